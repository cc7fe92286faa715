//! F: deleting files and writing into them.

use carbonfiles::{Bucket, ErrorKind};

use crate::bench::{Bench, holds, read};
use crate::content::{Hash, Large, random};
use crate::memory::Watch;
use crate::operation::{Operation, Outcome, ensure, operations, refused, same};

pub(crate) const OPERATIONS: &[Operation] = operations!["change":
    F1 delete_flat "delete flat";
    F2 delete_nested "delete nested";
    F3 delete_names "delete spaces, unicode, `%`, `+#?` names";
    F4 append_flat "append to a flat file";
    F5 append_nested "append to a nested file";
    F6 patch_flat "patch at an offset, flat";
    F7 patch_nested "patch at an offset, nested";
    F8 overwrite "overwrite by uploading again";
    F9 append_large "append 64 MiB from a file, memory flat";
];

/// Deletes a file, and only that one.
async fn deletes(bucket: &Bucket, path: &str) -> Outcome {
    let (file, other) = (bucket.file(path), bucket.file(format!("{path}.kept")));
    file.upload(random(10)).await?;
    other.upload(random(10)).await?;
    file.delete().await?;
    let error = refused(file.get().await, ErrorKind::NotFound, 404)?;
    same!(error.message(), "File not found", "the server's words");
    refused(file.download().await, ErrorKind::NotFound, 404)?;
    refused(file.delete().await, ErrorKind::NotFound, 404)?;
    ensure!(other.get_opt().await?.is_some(), "{path}.kept has gone, too");
    let names: Vec<_> = bucket.files().list().limit(1000).await?.items;
    ensure!(names.iter().all(|file| file.path != path), "{path} is still listed");
    Ok("gone, and only that one".to_owned())
}

async fn delete_flat(bench: Bench) -> Outcome {
    deletes(&bench.bucket().await?, "flat.txt").await
}

async fn delete_nested(bench: Bench) -> Outcome {
    deletes(&bench.bucket().await?, "docs/deep/a.txt").await
}

async fn delete_names(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let names = ["with  two spaces.txt", "naïve 日本.txt", "100%.txt", "a+b#c?.txt"];
    for name in names {
        deletes(&bucket, name).await?;
    }
    Ok(format!("{} names", names.len()))
}

async fn appends(bench: &Bench, path: &str) -> Outcome {
    let bucket = bench.bucket().await?;
    let (mut bytes, more) = (random(1000), random(500));
    let before = bucket.file(path).upload(bytes.clone()).await?;
    let after = bucket.file(path).append(more.clone()).await?;
    bytes.extend(more);
    holds(&after, path, &bytes)?;
    holds(&bucket.file(path).get().await?, path, &bytes)?;
    ensure!(read(&bucket, path).await? == bytes, "other bytes are stored");
    same!((after.created_at, &after.short_code), (before.created_at, &before.short_code), "creation and short code");
    same!(bucket.get().await?.total_size, 1500, "bytes in the bucket");
    Ok("1,000 and 500 bytes".to_owned())
}

async fn append_flat(bench: Bench) -> Outcome {
    let seen = appends(&bench, "flat.log").await?;
    let missing = bench.bucket().await?;
    let error = refused(missing.file("none.log").append("x".as_bytes()).await, ErrorKind::NotFound, 404)?;
    same!(error.message(), "File not found", "the server's words");
    Ok(seen)
}

async fn append_nested(bench: Bench) -> Outcome {
    appends(&bench, "docs/deep/ü %+#?.log").await
}

async fn patches(bench: &Bench, path: &str) -> Outcome {
    let bucket = bench.bucket().await?;
    let mut bytes = random(1000);
    bucket.file(path).upload(bytes.clone()).await?;
    // Inside, over the end, and behind it; the last time from where it began.
    for (offset, length) in [(100, 200), (900, 300), (1200, 50), (0, 1)] {
        let over = random(length);
        let info = bucket.file(path).patch(offset as u64, over.clone()).await?;
        bytes.resize(bytes.len().max(offset + length), 0);
        bytes[offset..offset + length].copy_from_slice(&over);
        holds(&info, path, &bytes)?;
    }
    ensure!(read(&bucket, path).await? == bytes, "other bytes are stored");
    let error = bucket.file(path).patch(5000, "x".as_bytes()).await;
    refused(error, ErrorKind::RangeNotSatisfiable, 416)?;
    Ok("inside, over the end, behind it; 416 further on".to_owned())
}

async fn patch_flat(bench: Bench) -> Outcome {
    patches(&bench, "flat.bin").await
}

async fn patch_nested(bench: Bench) -> Outcome {
    patches(&bench, "docs/deep/ü %+#?.bin").await
}

async fn overwrite(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let path = "docs/again.txt";
    let (first, second) = (random(1000), random(300));
    let before = bucket.file(path).upload(first).await?;
    let after = bucket.file(path).upload(second.clone()).await?;
    holds(&after, path, &second)?;
    same!((after.created_at, &after.short_code), (before.created_at, &before.short_code), "creation and short code");
    ensure!(after.updated_at > before.updated_at, "the time of the change stays");
    ensure!(read(&bucket, path).await? == second, "other bytes are stored");
    let details = bucket.get().await?;
    same!((details.file_count, details.total_size), (1, 300), "files and bytes in the bucket");
    Ok("300 bytes for 1,000; same creation, same short code".to_owned())
}

async fn append_large(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let large = Large::write(bench.scratch("more.bin")?, 64)?;
    let start = random(1000);
    bucket.file("docs/large.bin").upload(start.clone()).await?;
    let memory = Watch::start();
    let info = bucket.file("docs/large.bin").append(&large.path).await?;
    let memory = memory.flat(16)?;
    let mut hash = Hash::default();
    hash.add(&start);
    hash.add(&large.head(large.size)?);
    same!((info.size, info.sha256), (1000 + large.size, Some(hash.hex())), "size and hash");
    std::fs::remove_file(&large.path)?;
    Ok(format!("64 MiB, {memory}"))
}

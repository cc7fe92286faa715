//! E: contents.

use carbonfiles::{Bucket, ErrorKind, Phase, RetryPolicy};
use futures::TryStreamExt;

use crate::bench::{Bench, builder, read};
use crate::content::{Hash, random, sha256};
use crate::memory::Watch;
use crate::operation::{Operation, Outcome, Trouble, ensure, failed, operations, refused, same};
use crate::proxy::Rule;

pub(crate) const OPERATIONS: &[Operation] = operations!["download":
    E1 in_memory "flat, bytes in memory";
    E2 nested "nested `docs/a.txt`";
    E3 names "spaces, unicode, `%`, `+#?` names: right bytes";
    E4 to_a_file "256 MiB streamed to a file with an SDK helper, memory flat (<64 MiB growth)";
    E5 as_a_stream "read as a stream of chunks, memory flat";
    E6 ranged "ranged download";
    E7 resumed "resume a partial file";
    E8 conditional "conditional: 304 on a known ETag or hash";
    E9 head "HEAD: size, type, ETag without the body";
    E10 verify "verify (server-side) flat";
    E11 verify_nested "verify nested";
    E12 empty "0-byte file";
    E13 progress "progress callback";
    E14 checked "content checked against sha256 on the way";
    E15 cut "a connection cut half way is an error, never a short file";
];

/// A bucket with one file of random bytes.
async fn stored(bench: &Bench, path: &str, length: usize) -> Result<(Bucket, Vec<u8>), Trouble> {
    let (bucket, bytes) = (bench.bucket().await?, random(length));
    bucket.file(path).upload(bytes.clone()).await?;
    Ok((bucket, bytes))
}

async fn comes_back(bench: &Bench, path: &str) -> Outcome {
    let (bucket, bytes) = stored(bench, path, 100_000).await?;
    ensure!(read(&bucket, path).await? == bytes, "other bytes came back for {path:?}");
    // The public link leads to the same bytes, whoever follows it.
    let url = bucket.file(path).url()?;
    let (status, fetched) = bench.fetch(&url.as_str()[bench.url().len()..]).await?;
    same!((status, fetched == bytes), (200, true), "status and bytes of {url}");
    Ok("100,000 bytes".to_owned())
}

async fn in_memory(bench: Bench) -> Outcome {
    comes_back(&bench, "flat.bin").await
}

async fn nested(bench: Bench) -> Outcome {
    comes_back(&bench, "docs/a.txt").await
}

async fn names(bench: Bench) -> Outcome {
    let names = ["with  two spaces.bin", "naïve 日本.txt", "100%.txt", "a+b#c?.txt"];
    for name in names {
        comes_back(&bench, name).await?;
    }
    Ok(format!("{} names", names.len()))
}

async fn to_a_file(bench: Bench) -> Outcome {
    let (bucket, large) = (bench.large_bucket().await?, bench.large().await?);
    let target = bench.scratch("copy.bin")?;
    let memory = Watch::start();
    let done = bucket.file("large.bin").download_to(&target).await?;
    let memory = memory.flat(64)?;
    same!((done.size, done.verified_sha256.as_ref()), (large.size, Some(&large.sha256)), "size and checked hash");
    same!(Hash::of_file(&target)?, (large.size, large.sha256.clone()), "size and hash of the file");
    alone(&target)?;
    std::fs::remove_file(&target)?;
    Ok(format!("256 MiB, {memory}"))
}

/// There is nothing else in a file's directory: no part that was left behind.
fn alone(target: &std::path::Path) -> Result<(), Trouble> {
    let Some(directory) = target.parent() else { return Ok(()) };
    let mut others = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path != target {
            others.push(path);
        }
    }
    same!(others.len(), 0, "files left beside the target: {others:?}");
    Ok(())
}

async fn as_a_stream(bench: Bench) -> Outcome {
    let (bucket, large) = (bench.large_bucket().await?, bench.large().await?);
    let memory = Watch::start();
    let mut chunks = bucket.file("large.bin").download().await?.stream();
    same!(chunks.info().length, Some(large.size), "length in the head");
    let (mut hash, mut size, mut count) = (Hash::default(), 0, 0);
    while let Some(chunk) = chunks.try_next().await? {
        hash.add(&chunk);
        (size, count) = (size + chunk.len() as u64, count + 1);
    }
    let memory = memory.flat(64)?;
    same!((size, hash.hex()), (large.size, large.sha256.clone()), "size and hash");
    Ok(format!("{count} chunks, {memory}"))
}

async fn ranged(bench: Bench) -> Outcome {
    let (bucket, bytes) = stored(&bench, "docs/ranged.bin", 100_000).await?;
    let file = bucket.file("docs/ranged.bin");
    let middle = file.download().range(1000..2000).await?;
    let info = middle.info().clone();
    same!((info.start, info.length, info.total), (1000, Some(1000), Some(100_000)), "what the head says");
    ensure!(middle.bytes(1000).await? == bytes[1000..2000], "other bytes came for 1000..2000");
    ensure!(file.download().range(99_000..).await?.bytes(1000).await? == bytes[99_000..], "other bytes for 99000..");
    ensure!(file.download().range(..=0).await?.bytes(1).await? == bytes[..1], "another first byte came");
    ensure!(file.download().last(7).await?.bytes(7).await? == bytes[99_993..], "other last bytes came");
    ensure!(file.download().range(99_999..200_000).await?.bytes(1).await? == bytes[99_999..], "another last byte came");
    refused(file.download().range(100_000..).await, ErrorKind::RangeNotSatisfiable, 416)?;
    Ok("five ranges; 416 behind the end".to_owned())
}

async fn resumed(bench: Bench) -> Outcome {
    const HALF: u64 = 4 << 20;
    let (bucket, bytes) = stored(&bench, "docs/resumed.bin", 2 * HALF as usize).await?;
    // A connection that ends half way: the rest is asked for, and only the rest.
    let (proxy, client) = bench.proxy().await?;
    proxy.add(Rule::close_reply_after(HALF).on("GET", "/content"));
    let target = bench.scratch("resumed.bin")?;
    client.bucket(bucket.id()).file("docs/resumed.bin").download_to(&target).await?;
    ensure!(std::fs::read(&target)? == bytes, "other bytes are in the file");
    let asked: Vec<_> =
        proxy.requests().iter().map(|seen| (seen.header("range").map(str::to_owned), seen.reply)).collect();
    let rest = format!("bytes={HALF}-{}", 2 * HALF - 1);
    same!(asked, [(None, HALF), (Some(rest), HALF)], "ranges asked for, and bytes that came");
    // What an earlier run has left is gone on with: another client, and again only the rest.
    let before = proxy.requests().len();
    proxy.add(Rule::close_reply_after(HALF).on("GET", "/content"));
    let target = bench.scratch("left.bin")?;
    let file = client.bucket(bucket.id()).file("docs/resumed.bin");
    failed(file.download_to(&target).retry(RetryPolicy::never()).await, ErrorKind::Interrupted)?;
    ensure!(!target.exists(), "half of it is at the target");
    let later = builder(proxy.url()).build()?;
    let done = later.bucket(bucket.id()).file("docs/resumed.bin").download_to(&target).await?;
    same!((done.size, done.verified_sha256), (2 * HALF, Some(sha256(&bytes))), "size and checked hash");
    ensure!(std::fs::read(&target)? == bytes, "other bytes are in the file");
    alone(&target)?;
    let came: u64 = proxy.requests()[before..].iter().map(|seen| seen.reply).sum();
    same!(came, 2 * HALF, "bytes that came for both runs");
    Ok("4 of 8 MiB were left, and did not come again; in one run, and in two".to_owned())
}

async fn conditional(bench: Bench) -> Outcome {
    let (bucket, bytes) = stored(&bench, "docs/known.bin", 1000).await?;
    let file = bucket.file("docs/known.bin");
    let etag = file.head().await?.etag.unwrap_or_default();
    same!(etag, format!("\"{}\"", sha256(&bytes)), "ETag");
    for known in [etag.clone(), sha256(&bytes)] {
        ensure!(file.download().if_none_match(&known).await?.is_none(), "the content came although it is known");
    }
    let Some(other) = file.download().if_none_match(sha256(b"other")).await? else {
        return Err(Trouble::Failed("the content did not come although another one is known".to_owned()));
    };
    ensure!(other.bytes(1000).await? == bytes, "other bytes came");
    file.upload(random(1000)).await?;
    ensure!(file.download().if_none_match(&etag).await?.is_some(), "a new content did not come");
    refused(file.download().if_match(&etag).await, ErrorKind::PreconditionFailed, 412)?;
    Ok("known: nothing; changed: the content; if-match: 412".to_owned())
}

async fn head(bench: Bench) -> Outcome {
    let (bucket, bytes) = stored(&bench, "docs/head.txt", 5_000_000).await?;
    let (proxy, client) = bench.proxy().await?;
    let info = client.bucket(bucket.id()).file("docs/head.txt").head().await?;
    same!((info.length, info.total), (Some(5_000_000), Some(5_000_000)), "size");
    same!(info.content_type.as_deref(), Some("text/plain; charset=utf-8"), "type");
    same!(info.sha256(), Some(sha256(&bytes).as_str()), "hash in the ETag");
    let changed = bucket.file("docs/head.txt").get().await?.updated_at;
    same!(info.last_modified.map(|time| time.timestamp()), Some(changed.timestamp()), "last change");
    let moved: Vec<_> = proxy.requests().iter().map(|seen| (seen.method.clone(), seen.reply)).collect();
    same!(moved, [("HEAD".to_owned(), 0)], "requests and bytes that came");
    Ok("5,000,000 bytes, text/plain, and none of them came".to_owned())
}

async fn verified(bench: &Bench, path: &str) -> Outcome {
    let (bucket, bytes) = stored(bench, path, 10_000).await?;
    let verified = bucket.file(path).verify().await?;
    let hash = sha256(&bytes);
    same!((verified.path.as_str(), verified.valid), (path, true), "path and verdict");
    same!((&verified.stored_hash, &verified.computed_hash), (&hash, &hash), "hashes");
    Ok("valid".to_owned())
}

async fn verify(bench: Bench) -> Outcome {
    verified(&bench, "flat.bin").await
}

async fn verify_nested(bench: Bench) -> Outcome {
    verified(&bench, "docs/deep/ü %+#?.bin").await
}

async fn empty(bench: Bench) -> Outcome {
    let (bucket, _) = stored(&bench, "docs/empty.bin", 0).await?;
    let file = bucket.file("docs/empty.bin");
    same!(file.download().await?.bytes(0).await?.len(), 0, "bytes");
    let target = bench.scratch("empty.bin")?;
    let done = file.download_to(&target).await?;
    same!((done.size, done.verified_sha256), (0, Some(sha256(b""))), "size and checked hash");
    same!(std::fs::read(&target)?.len(), 0, "bytes in the file");
    let info = file.get().await?;
    same!((info.size, info.sha256), (0, Some(sha256(b""))), "size and hash");
    Ok("0 bytes, checked".to_owned())
}

async fn progress(bench: Bench) -> Outcome {
    let (bucket, bytes) = stored(&bench, "docs/progress.bin", 8 << 20).await?;
    // Over a link that takes half a second for it.
    let (proxy, client) = bench.proxy().await?;
    proxy.add(Rule::slow_reply(16 << 20).on("GET", "/content"));
    let file = client.bucket(bucket.id()).file("docs/progress.bin");
    let mut reports = Vec::new();
    let download = file.download().progress(|report| reports.push(report));
    let came = download.progress_interval(std::time::Duration::ZERO).await?.bytes(8 << 20).await?;
    ensure!(came == bytes, "other bytes came");
    let total = bytes.len() as u64;
    ensure!(reports.is_sorted_by_key(|report| report.sent), "it goes backwards");
    ensure!(reports.iter().all(|report| report.total == Some(total)), "the total changes");
    let (first, last) = (reports.first().map(|r| r.sent), reports.last().map(|r| (r.sent, r.phase, r.percent())));
    same!((first, last), (Some(0), Some((total, Phase::Done, Some(100.0)))), "first and last report");
    ensure!(reports.len() > 10, "there are {} reports", reports.len());
    Ok(format!("{} reports, 0 to 100 %", reports.len()))
}

async fn checked(bench: Bench) -> Outcome {
    let (bucket, bytes) = stored(&bench, "docs/checked.bin", 1 << 20).await?;
    let (proxy, client) = bench.proxy().await?;
    let file = client.bucket(bucket.id()).file("docs/checked.bin");
    ensure!(file.download().await?.bytes(1 << 20).await? == bytes, "other bytes came");
    let fault = proxy.add(Rule::corrupt_reply_at(700_000).on("GET", "/content").times(2));
    failed(file.download().await?.bytes(1 << 20).await, ErrorKind::IntegrityMismatch)?;
    let target = bench.scratch("checked.bin")?;
    let error = failed(file.download_to(&target).await, ErrorKind::IntegrityMismatch)?;
    same!(fault.fired(), 2, "how often a bit was turned");
    ensure!(!target.exists(), "the broken file is there");
    alone(&target)?;
    Ok(error.message().to_owned())
}

async fn cut(bench: Bench) -> Outcome {
    let (bucket, bytes) = stored(&bench, "docs/cut.bin", 1 << 20).await?;
    let (proxy, client) = bench.proxy().await?;
    let file = client.bucket(bucket.id()).file("docs/cut.bin");
    let target = bench.scratch("cut.bin")?;
    std::fs::write(&target, "what was there")?;
    for rule in [Rule::close_reply_after(1 << 19), Rule::reset_reply_after(1 << 19)] {
        let once = || RetryPolicy::never();
        proxy.add(rule.on("GET", "/content").times(3));
        failed(file.download().retry(once()).await?.bytes(1 << 20).await, ErrorKind::Interrupted)?;
        let (mut came, mut error) = (0, None);
        let mut chunks = file.download().retry(once()).await?.stream();
        while error.is_none() {
            match chunks.try_next().await {
                Ok(Some(chunk)) => came += chunk.len(),
                Ok(None) => break,
                Err(failed) => error = Some(failed),
            }
        }
        ensure!(error.is_some(), "a stream of {came} bytes ended as if it were whole");
        failed(file.download_to(&target).retry(once()).await, ErrorKind::Interrupted)?;
        same!(std::fs::read(&target)?, b"what was there", "the target");
        alone(&target)?;
    }
    // Where the server never gets further, it is an error in the end.
    proxy.add(Rule::close_reply_after(1000).on("GET", "/content").forever());
    failed(file.download_to(&target).await, ErrorKind::Interrupted)?;
    ensure!(read(&bucket, "docs/cut.bin").await? == bytes, "other bytes came without the cut");
    Ok("an error in memory, in a stream and to a file; the file that was there stays".to_owned())
}

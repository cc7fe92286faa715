//! What this server does not bear at once, from one client.

use carbonfiles::{Bucket, Error};
use futures::{StreamExt, TryStreamExt, stream};

use crate::bench::{Bench, holds, read};
use crate::content::random;
use crate::operation::{Operation, Outcome, Trouble, ensure, operations, same};

pub(crate) const OPERATIONS: &[Operation] = operations!["beyond":
    X15 equal_contents "1,000 files of which 300 are equal, 32 in flight";
    X16 empty_files "100 empty files, 32 in flight";
    X17 one_path "one new path, 16 different contents at once";
    X18 appends "20 appends to one file at once: none is lost";
    X19 changes "uploads, appends and patches of one file at once: no error, and nothing in between";
];

/// Uploads all, so many in flight. Errors are counted, not passed on.
async fn upload_all(bucket: &Bucket, files: &[(String, Vec<u8>)], in_flight: usize) -> Result<(), Trouble> {
    let uploads = files.iter().map(|(path, bytes)| bucket.file(path).upload(bytes.clone()).send());
    let uploads: Vec<_> = uploads.collect();
    let done: Vec<_> = stream::iter(uploads).buffer_unordered(in_flight).collect().await;
    let errors: Vec<&Error> = done.iter().filter_map(|done| done.as_ref().err()).collect();
    ensure!(errors.is_empty(), "{} of {} uploads failed, the first with: {}", errors.len(), files.len(), errors[0]);
    Ok(())
}

async fn all_there(bucket: &Bucket, files: &[(String, Vec<u8>)]) -> Result<(), Trouble> {
    let listed = bucket.files().list_all().stable().items().try_collect::<Vec<_>>().await?;
    let found: std::collections::BTreeMap<_, _> = listed.iter().map(|file| (file.path.as_str(), file)).collect();
    same!(found.len(), files.len(), "files");
    for (path, bytes) in files {
        match found.get(path.as_str()) {
            Some(info) => holds(info, path, bytes)?,
            None => return Err(Trouble::Failed(format!("{path} is missing"))),
        }
    }
    Ok(())
}

async fn equal_contents(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let equal = random(4096);
    // Spread, so that equal ones are in flight with others and with each other.
    let content = |n: usize| if n % 10 < 3 { equal.clone() } else { random(2000 + n) };
    let files: Vec<_> = (0..1000).map(|n| (format!("d{}/{n:04}.bin", n % 7), content(n))).collect();
    upload_all(&bucket, &files, 32).await?;
    all_there(&bucket, &files).await?;
    let details = bucket.get().await?;
    same!((details.file_count, details.unique_content_count), (1000, 701), "files and distinct contents");
    Ok("1,000 of 1,000, no error".to_owned())
}

async fn empty_files(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let files: Vec<_> = (0..100).map(|n| (format!("empty/{n}"), Vec::new())).collect();
    upload_all(&bucket, &files, 32).await?;
    all_there(&bucket, &files).await?;
    Ok("100 of 100, no error".to_owned())
}

async fn one_path(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let contents: Vec<_> = (0..16).map(|n| random(10_000 + n)).collect();
    let files: Vec<_> = contents.iter().map(|bytes| ("docs/one.bin".to_owned(), bytes.clone())).collect();
    upload_all(&bucket, &files, 16).await?;
    let stored = read(&bucket, "docs/one.bin").await?;
    ensure!(contents.contains(&stored), "none of the contents is stored");
    // None of the bytes is refused from now on.
    let again: Vec<_> = contents.into_iter().enumerate().map(|(n, bytes)| (format!("again/{n}"), bytes)).collect();
    upload_all(&bucket, &again, 4).await?;
    Ok("16 of 16, and all contents are taken again".to_owned())
}

async fn appends(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let file = bucket.file("docs/lines.log");
    file.upload(&b""[..]).await?;
    let lines: Vec<_> = (0..20).map(|n| format!("line {n:02} of many\n")).collect();
    let appends = lines.iter().map(|line| file.append(line.clone().into_bytes()).send());
    futures::future::try_join_all(appends).await?;
    let text = String::from_utf8(read(&bucket, "docs/lines.log").await?)?;
    let mut stored: Vec<_> = text.lines().map(|line| format!("{line}\n")).collect();
    stored.sort();
    same!(stored, lines, "lines");
    Ok("20 of 20 lines, each once".to_owned())
}

async fn changes(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let file = bucket.file("docs/busy.bin");
    file.upload(vec![b'a'; 1000]).await?;
    let upload = async |n: u8| file.upload(vec![b'a' + n; 1000]).await.map(drop);
    let change = async |n: u8| match n {
        0 => file.append(vec![b'z'; 10]).await.map(drop),
        _ => file.patch(0, vec![b'y'; 10]).await.map(drop),
    };
    let (uploads, changes) =
        (futures::future::try_join_all((0..8).map(upload)), futures::future::try_join_all((0..2).map(change)));
    futures::try_join!(uploads, changes)?;
    let bytes = read(&bucket, "docs/busy.bin").await?;
    let info = file.get().await?;
    holds(&info, "docs/busy.bin", &bytes)?;
    let body = &bytes[10..1000];
    ensure!(body.iter().all(|byte| *byte == body[0]), "contents are mixed");
    ensure!(file.verify().await?.valid, "it is not valid");
    Ok(format!("{} bytes of one content", bytes.len()))
}

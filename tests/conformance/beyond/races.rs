//! What this server does not bear at once, from one client.

use std::time::{Duration, Instant};

use carbonfiles::{Bucket, Error, ErrorKind};
use futures::{StreamExt, TryStreamExt, stream};

use crate::bench::{Bench, builder, holds, read};
use crate::content::random;
use crate::operation::{Operation, Outcome, Trouble, ensure, failed, operations, same};
use crate::proxy::Rule;

pub(crate) const OPERATIONS: &[Operation] = operations!["beyond":
    X15 equal_contents "1,000 files of which 300 are equal, 32 in flight";
    X16 empty_files "100 empty files, 32 in flight";
    X17 one_path "one new path, 16 different contents at once";
    X18 appends "20 appends to one file at once: none is lost";
    X19 changes "uploads, appends and patches of one file at once: no error, and nothing in between";
    X27 turns "of two uploads of equal contents, the end of the second waits for the first";
    X28 once "what must not happen twice is sent once: a bucket, a key, a token";
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

async fn turns(bench: Bench) -> Outcome {
    // Less than the time for which an upload waits for another.
    const SOON: Duration = Duration::from_secs(2);
    // Shorter ones wait with their head already, so the proxy would never see the second.
    const SIZE: usize = 200_000;
    let mut unseen = 0;
    for _ in 0..5 {
        let bucket = bench.bucket().await?;
        let (proxy, client) = bench.proxy().await?;
        let there = client.bucket(bucket.id());
        let equal = random(SIZE);
        // The first is stored, for all that is known here: its answer is held.
        let held = proxy.add(Rule::hold_reply().on("PUT", "first.bin"));
        let first = tokio::spawn(there.file("first.bin").upload(equal.clone()).send());
        held.fired_at_least(1).await;
        let start = Instant::now();
        let second = tokio::spawn(there.file("second.bin").upload(equal.clone()).send());
        proxy.until(|seen| seen.iter().any(|seen| seen.target.contains("second.bin"))).await;
        let came = start.elapsed();
        // Others do not wait.
        for n in 0..3 {
            there.file(format!("other {n}.bin")).upload(random(SIZE)).await?;
        }
        let sent: Vec<_> = proxy.requests_of("PUT", "").into_iter().filter(|seen| seen.body == SIZE as u64).collect();
        let took = start.elapsed();
        held.release();
        for upload in [first, second] {
            same!(upload.await??.size, SIZE as u64, "size");
        }
        if took < SOON {
            let whole: Vec<_> = sent.iter().filter_map(|seen| seen.target.split("filename=").nth(1)).collect();
            ensure!(!whole.contains(&"second.bin"), "the second did not wait: {whole:?} were sent whole");
            same!(sent.len(), 4, "uploads that were sent whole");
            return Ok("it waits; other contents do not".to_owned());
        }
        // That is not for want of speed where the others take less.
        unseen += usize::from(took - came < SOON / 2);
        ensure!(unseen < 2, "the request of the second came only after {came:?}, on a server that is not slow");
    }
    Err(Trouble::Skipped("the server is too slow to see it".to_owned()))
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

async fn once(bench: Bench) -> Outcome {
    let keyed = bench.key().await?;
    let bucket = bench.bucket_of(&keyed.client).await?;
    let (proxy, admin) = bench.proxy().await?;
    let client = builder(proxy.url()).token(keyed.key.key.expose()).build()?;
    let (name, key) = (bench.name("once"), bench.name("once"));
    let mut sent = 0;
    for fault in [Rule::lose_reply(), Rule::answer(503, "", ""), Rule::answer(502, "", "")] {
        let kind = if sent == 0 { ErrorKind::Interrupted } else { ErrorKind::Server };
        let struck = proxy.add(fault.on("POST", "/api/").times(3));
        failed(client.buckets().create(&name).expires("6h").await, kind)?;
        failed(admin.keys().create(&key).await, kind)?;
        failed(client.bucket(bucket.id()).upload_tokens().create().await, kind)?;
        sent += 3;
        same!((struck.fired(), proxy.requests_of("POST", "").len()), (3, sent), "faults, and requests in all");
    }
    // Carried out once, where the answer was lost.
    let buckets = client.buckets().list().await?.items;
    let made: Vec<_> = buckets.into_iter().filter(|bucket| bucket.name == name).collect();
    let count = made.len();
    for bucket in made {
        bench.made(&keyed.client, bucket);
    }
    same!(count, 1, "buckets of that name");
    let keys: Vec<_> = bench.admin().keys().list_all().items().try_collect().await?;
    let keys: Vec<_> = keys.into_iter().filter(|found| found.name == key).collect();
    for key in &keys {
        bench.admin().key(&key.prefix).revoke().await?;
    }
    same!(keys.len(), 1, "keys of that name");
    Ok("9 requests for 9 calls, 1 bucket, 1 key".to_owned())
}

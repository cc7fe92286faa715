//! Bytes that change on the way.

use carbonfiles::ErrorKind;

use crate::bench::{Bench, read};
use crate::content::{random, sha256};
use crate::operation::{Operation, Outcome, ensure, failed, operations, same};
use crate::proxy::Rule;

pub(crate) const OPERATIONS: &[Operation] = operations!["beyond":
    X25 changed_upload "an upload that is changed on the way is an error, by stream and by multipart";
    X26 ranges_at_once "a download in several ranges at once, checked as a whole";
];

async fn changed_upload(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let (proxy, client) = bench.proxy().await?;
    let there = client.bucket(bucket.id());
    for (method, path) in [("PUT", "docs/a.bin"), ("POST", "docs/ü.bin")] {
        let bytes = random(200_000);
        let fault = proxy.add(Rule::corrupt_request_at(100_000).on(method, "/upload"));
        failed(there.file(path).upload(bytes.clone()).await, ErrorKind::IntegrityMismatch)?;
        same!(fault.fired(), 1, "how often a bit was turned");
        there.file(path).upload(bytes.clone()).await?;
        ensure!(read(&bucket, path).await? == bytes, "other bytes are stored the second time");
    }
    Ok("both ways; the next try is whole".to_owned())
}

async fn ranges_at_once(bench: Bench) -> Outcome {
    const SIZE: usize = 40 << 20;
    let (bucket, bytes) = (bench.bucket().await?, random(SIZE));
    bucket.file("docs/large.bin").upload(bytes.clone()).await?;
    let (proxy, client) = bench.proxy().await?;
    let file = client.bucket(bucket.id()).file("docs/large.bin");
    let target = bench.scratch("ranges.bin")?;
    let fault = proxy.add(Rule::corrupt_reply_at(700_000).on("GET", "/content"));
    failed(file.download_to(&target).parallel(4).await, ErrorKind::IntegrityMismatch)?;
    same!((fault.fired(), target.exists()), (1, false), "bits turned, and whether the broken file is there");
    let before = proxy.requests().len();
    let done = file.download_to(&target).parallel(4).await?;
    same!((done.size, done.verified_sha256), (SIZE as u64, Some(sha256(&bytes))), "size and checked hash");
    ensure!(std::fs::read(&target)? == bytes, "other bytes are in the file");
    let ranges = proxy.requests()[before..].iter().filter(|seen| seen.header("range").is_some()).count();
    ensure!(ranges > 1, "it came in {ranges} ranges");
    Ok(format!("40 MiB in {ranges} ranges"))
}

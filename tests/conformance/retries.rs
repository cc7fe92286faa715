//! M: what is sent again, and what is not.

use std::time::Duration;

use carbonfiles::ErrorKind;

use crate::bench::{Bench, holds, read};
use crate::content::random;
use crate::operation::{Operation, Outcome, ensure, failed, operations, same};
use crate::proxy::Rule;

pub(crate) const OPERATIONS: &[Operation] = operations!["retries":
    M1 get_answered_503 "GET answered 503 once";
    M2 get_reset "GET, connection reset once";
    M3 retry_after "503 with Retry-After: 1 is waited for";
    M4 put_answered_503 "PUT of bytes answered 503 once";
    M5 put_reset_half_way "PUT of a 1 MiB file, reset half way once";
    M6 append_reset "append answered by a reset is NOT repeated";
];

fn busy() -> Rule {
    Rule::answer(503, "Content-Type: application/json\r\n", r#"{"error":"Service unavailable"}"#)
}

async fn get_answered_503(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let (proxy, client) = bench.proxy().await?;
    let fault = proxy.add(busy().on("GET", "/api/buckets"));
    same!(client.bucket(bucket.id()).get().await?.id, bucket.id(), "the bucket");
    same!((fault.fired(), proxy.requests().len()), (1, 2), "503s and requests");
    // One that lasts is an error in the end, in the server's words.
    proxy.add(busy().on("GET", "/api/buckets").forever());
    let error = failed(client.bucket(bucket.id()).get().await, ErrorKind::Server)?;
    same!((error.attempts(), error.message()), (4, "Service unavailable"), "attempts and words");
    Ok("2 requests".to_owned())
}

async fn get_reset(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let (proxy, client) = bench.proxy().await?;
    let there = client.bucket(bucket.id());
    // Before the answer, and in the middle of it.
    for rule in [Rule::reset(), Rule::lose_reply(), Rule::reset_reply_after(10), Rule::close_reply_after(10)] {
        let (before, fault) = (proxy.requests().len(), proxy.add(rule.on("GET", "/api/buckets")));
        same!(there.get().await?.id, bucket.id(), "the bucket");
        same!((fault.fired(), proxy.requests().len() - before), (1, 2), "faults and requests");
    }
    Ok("2 requests, wherever it breaks".to_owned())
}

async fn retry_after(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let (proxy, client) = bench.proxy().await?;
    proxy.add(Rule::answer(503, "Retry-After: 1\r\n", ""));
    same!(client.bucket(bucket.id()).get().await?.id, bucket.id(), "the bucket");
    let seen = proxy.requests();
    same!(seen.len(), 2, "requests");
    let waited = seen[1].at - seen[0].at;
    ensure!(waited >= Duration::from_secs(1), "it was tried again after {waited:?}");
    Ok(format!("tried again after {:.1} s", waited.as_secs_f64()))
}

async fn put_answered_503(bench: Bench) -> Outcome {
    let (bucket, bytes) = (bench.bucket().await?, random(100_000));
    let (proxy, client) = bench.proxy().await?;
    let fault = proxy.add(busy().on("PUT", "/upload/stream"));
    let done = client.bucket(bucket.id()).file("docs/a.bin").upload(bytes.clone()).await?;
    holds(&done, "docs/a.bin", &bytes)?;
    same!((fault.fired(), proxy.requests_of("PUT", "").len()), (1, 2), "503s and uploads");
    ensure!(read(&bucket, "docs/a.bin").await? == bytes, "other bytes are stored");
    Ok("2 uploads".to_owned())
}

async fn put_reset_half_way(bench: Bench) -> Outcome {
    let (bucket, bytes) = (bench.bucket().await?, random(1 << 20));
    let local = bench.scratch("half.bin")?;
    std::fs::write(&local, &bytes)?;
    let (proxy, client) = bench.proxy().await?;
    let fault = proxy.add(Rule::reset_request_after(1 << 19).on("PUT", "/upload/stream"));
    let done = client.bucket(bucket.id()).files().upload(&local).await?;
    holds(&done, "half.bin", &bytes)?;
    let sent: Vec<_> = proxy.requests_of("PUT", "").iter().map(|seen| seen.body).collect();
    same!((fault.fired(), &sent[..]), (1, &[1 << 19, 1 << 20][..]), "resets, and bytes of each upload");
    ensure!(read(&bucket, "half.bin").await? == bytes, "other bytes are stored");
    Ok("half of it, then all of it".to_owned())
}

async fn append_reset(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let mut bytes = random(1000);
    bucket.file("docs/a.log").upload(bytes.clone()).await?;
    let (proxy, client) = bench.proxy().await?;
    let file = client.bucket(bucket.id()).file("docs/a.log");
    // The server has it, and its answer is lost.
    let line = random(100);
    let fault = proxy.add(Rule::lose_reply().on("PATCH", "/content"));
    let error = failed(file.append(line.clone()).await, ErrorKind::Interrupted)?;
    bytes.extend(line);
    same!((fault.fired(), error.attempts()), (1, 1), "resets and attempts");
    same!(proxy.requests_of("PATCH", "").len(), 1, "appends sent");
    ensure!(read(&bucket, "docs/a.log").await? == bytes, "it was not appended exactly once");
    // A 503 may come from a gateway that does not know, so that is not repeated either.
    proxy.add(busy().on("PATCH", "/content"));
    failed(file.append("x".as_bytes()).await, ErrorKind::Server)?;
    same!(proxy.requests_of("PATCH", "").len(), 2, "appends sent");
    // A patch at an offset does the same twice, so it is repeated.
    let fault = proxy.add(Rule::lose_reply().on("PATCH", "/content"));
    file.patch(0, "x".as_bytes()).await?;
    same!((fault.fired(), proxy.requests_of("PATCH", "").len()), (1, 4), "resets, and patches sent in all");
    Ok("sent once, stored once".to_owned())
}

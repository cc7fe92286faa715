//! N: time limits.

use std::time::{Duration, Instant};

use carbonfiles::{Client, Error, ErrorKind, TimeoutPhase};

use crate::bench::{Bench, builder, holds};
use crate::content::random;
use crate::operation::{Operation, Outcome, Trouble, ensure, failed, operations, same};
use crate::proxy::{Handle, Proxy, Rule};

pub(crate) const OPERATIONS: &[Operation] = operations!["time-outs":
    N1 of_the_client "a time-out can be set on the client";
    N2 of_a_call "a time-out can be set on one call";
    N3 type_of_the_error "it is the SDK's own error type";
    N4 a_server_that_thinks "default survives 8 s of server thinking (verify of a large file)";
    N5 a_long_upload "default survives a healthy upload of 110 s";
];

const SHORT: Duration = Duration::from_millis(500);

/// A server that has answered once, so that it is one, and keeps the next answers to itself.
async fn silent(bench: &Bench) -> Result<(Proxy, Handle, String), Trouble> {
    let bucket = bench.bucket().await?;
    let (proxy, client) = bench.proxy().await?;
    same!(client.bucket(bucket.id()).get().await?.id, bucket.id(), "the bucket");
    let held = proxy.add(Rule::hold_reply().on("GET", "/api/buckets").forever());
    Ok((proxy, held, bucket.id().to_owned()))
}

async fn timed_out<T>(
    call: impl IntoFuture<Output = carbonfiles::Result<T>>,
    phase: TimeoutPhase,
) -> Result<Error, Trouble> {
    let start = Instant::now();
    let result = call.await;
    let took = start.elapsed();
    let error = failed(result, ErrorKind::Timeout(phase))?;
    ensure!(took >= SHORT, "it came after {took:?}");
    Ok(error)
}

async fn of_the_client(bench: Bench) -> Outcome {
    let (proxy, _held, id) = silent(&bench).await?;
    let client = builder(proxy.url()).token(bench.admin_key()).response_timeout(SHORT).build()?;
    timed_out(client.bucket(&id).get(), TimeoutPhase::Response).await?;
    let client = builder(proxy.url()).token(bench.admin_key()).total_timeout(SHORT).build()?;
    let error = timed_out(client.bucket(&id).get(), TimeoutPhase::Total).await?;
    Ok(error.to_string())
}

async fn of_a_call(bench: Bench) -> Outcome {
    let (proxy, held, id) = silent(&bench).await?;
    let client: Client = builder(proxy.url()).token(bench.admin_key()).build()?;
    timed_out(client.bucket(&id).get().timeout(SHORT), TimeoutPhase::Total).await?;
    let error = timed_out(client.bucket(&id).get().response_timeout(SHORT), TimeoutPhase::Response).await?;
    // A call beside them has no such limit: it waits until the answers come.
    let patient = tokio::spawn(client.bucket(&id).get().send());
    // Seen, not held: the answers to the others may come when they have long gone.
    proxy.until(|seen| seen.len() >= 4).await;
    timed_out(client.bucket(&id).get().timeout(SHORT), TimeoutPhase::Total).await?;
    held.release();
    same!(patient.await??.id, id, "the bucket");
    Ok(error.to_string())
}

async fn type_of_the_error(bench: Bench) -> Outcome {
    let (proxy, _held, id) = silent(&bench).await?;
    let client = builder(proxy.url()).token(bench.admin_key()).response_timeout(SHORT).build()?;
    let error = timed_out(client.bucket(&id).get(), TimeoutPhase::Response).await?;
    ensure!(error.is_timeout() && error.is_retryable(), "it is {error:?}");
    let url = format!("{}/api/buckets/{id}", proxy.url());
    same!((error.attempts(), error.url()), (1, Some(url.as_str())), "attempts and URL");
    // One that cuts through a body that stands still is the same.
    let bucket = bench.bucket().await?;
    bucket.file("a.bin").upload(random(100_000)).await?;
    let (proxy, client) = bench.proxy().await?;
    proxy.add(Rule::stall_reply_after(1000).on("GET", "/content").forever());
    let file = client.bucket(bucket.id()).file("a.bin");
    let download = file.download().idle_timeout(SHORT).retry(carbonfiles::RetryPolicy::never()).await?;
    failed(download.bytes(100_000).await, ErrorKind::Timeout(TimeoutPhase::Receive))?;
    // So is one of an upload that nobody takes.
    proxy.add(Rule::stall_request_after(1000).on("PUT", "/upload/stream").forever());
    let upload = client.bucket(bucket.id()).file("b.bin").upload(random(32 << 20)).idle_timeout(SHORT);
    let upload = upload.retry(carbonfiles::RetryPolicy::never()).await;
    failed(upload, ErrorKind::Timeout(TimeoutPhase::Send))?;
    Ok("carbonfiles::Error, with its phase: Response, Receive, Send".to_owned())
}

async fn a_server_that_thinks(bench: Bench) -> Outcome {
    const THOUGHT: Duration = Duration::from_secs(8);
    let bucket = bench.bucket().await?;
    bucket.file("docs/large.bin").upload(random(1 << 20)).await?;
    let (proxy, client) = bench.proxy().await?;
    let fault = proxy.add(Rule::delay_reply(THOUGHT));
    let start = Instant::now();
    let verified = client.bucket(bucket.id()).file("docs/large.bin").verify().await?;
    ensure!(verified.valid && start.elapsed() >= THOUGHT, "valid {} after {:?}", verified.valid, start.elapsed());
    same!((fault.fired(), proxy.requests().len()), (1, 1), "delays and requests");
    Ok(format!("an answer after {:.1} s", start.elapsed().as_secs_f64()))
}

async fn a_long_upload(bench: Bench) -> Outcome {
    const SECONDS: u64 = 110;
    // Slow enough for most of it to wait in the sockets' buffers at times.
    const RATE: u64 = 64 << 10;
    let (bucket, bytes) = (bench.bucket().await?, random((RATE * SECONDS) as usize));
    let (proxy, client) = bench.proxy().await?;
    let fault = proxy.add(Rule::slow_request(RATE));
    let start = Instant::now();
    let done = client.bucket(bucket.id()).file("docs/slow.bin").upload(bytes.clone()).await?;
    let elapsed = start.elapsed();
    holds(&done, "docs/slow.bin", &bytes)?;
    ensure!(elapsed >= Duration::from_secs(SECONDS - 5), "it took only {elapsed:?}");
    same!((fault.fired(), proxy.requests().len()), (1, 1), "slow uploads and requests");
    Ok(format!("{} KiB in {:.0} s", bytes.len() >> 10, elapsed.as_secs_f64()))
}

//! Time limits: which one ends what, and what none of them ends.

mod support;
#[path = "timeouts/total.rs"]
mod total;

use std::panic::Location;
use std::time::{Duration, Instant};

use carbonfiles::files::OnFailure;
use carbonfiles::{Client, Error, ErrorKind, RetryPolicy, Source, TimeoutPhase, Timeouts};
use carbonfiles_testserver::{Fault, TestServer};
use futures::{StreamExt, stream};
use support::{admin, bucket, builder, server, within};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

const SHORT: Duration = Duration::from_millis(300);
/// For what has to be done within a limit, on a busy machine too.
const AMPLE: Duration = Duration::from_secs(5);

fn impatient(server: &TestServer, set: impl FnOnce(&mut Timeouts)) -> Client {
    let mut timeouts = Timeouts::default();
    set(&mut timeouts);
    builder(server.url()).token(server.admin_key()).timeouts(timeouts).build().unwrap()
}

/// The call ends by the limit, no sooner than that allows, and is not tried again.
#[track_caller]
fn times_out<T>(
    call: impl IntoFuture<Output = carbonfiles::Result<T>>,
    phase: TimeoutPhase,
    limit: Duration,
) -> impl Future<Output = Error> {
    let (caller, call) = (Location::caller(), call.into_future());
    async move {
        // Not by what the error says, whose clock starts a little later than that of a limit for all of the call.
        let start = Instant::now();
        let outcome = within(call).await;
        let took = start.elapsed();
        let Err(error) = outcome else { panic!("{caller}: it succeeds") };
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Timeout(phase), 1), "{caller}: {error:?}");
        assert!(error.is_timeout() && error.is_retryable(), "{caller}");
        assert!(took >= limit, "{caller}: after {took:?}");
        error
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    bucket.file("a.txt").upload("x".as_bytes()).await.unwrap();
    let stalled = server.inject(Fault::stall_headers().forever());
    server.clear_requests();

    let client = impatient(&server, |t| t.response = SHORT);
    times_out(client.health(), TimeoutPhase::Response, SHORT).await;
    let call = admin(&server).buckets().create("b").response_timeout(SHORT);
    times_out(call, TimeoutPhase::Response, SHORT).await;
    let client = builder(server.url()).token(server.admin_key()).response_timeout(SHORT);
    let client = client.slow_response_timeout(SHORT).idle_timeout(SHORT).build().unwrap();
    let file = client.bucket(bucket.id()).file("a.txt");
    times_out(file.verify(), TimeoutPhase::Response, SHORT).await;
    times_out(file.download(), TimeoutPhase::Response, SHORT).await;
    times_out(file.upload("y".as_bytes()), TimeoutPhase::Response, SHORT).await;
    // The upload may still go on at the server, so this client leaves its path alone for a while.
    let other = client.bucket(bucket.id()).file("b.txt");
    times_out(other.append("y".as_bytes()), TimeoutPhase::Response, SHORT).await;
    assert_eq!((stalled.fired(), server.requests().len()), (6, 6));
}

#[tokio::test]
async fn slow_calls_have_a_limit_of_their_own() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    bucket.file("a.txt").upload("x".as_bytes()).await.unwrap();
    let stalled = server.inject(Fault::stall_headers().times(2));
    let client = impatient(&server, |t| t.response = SHORT);
    let file = client.bucket(bucket.id()).file("a.txt");
    let (slow, quick) = (file.verify().send(), async {
        stalled.fired_at_least(1).await;
        times_out(client.health(), TimeoutPhase::Response, SHORT).await;
        stalled.release();
    });
    let (slow, ()) = within(async { tokio::join!(slow, quick) }).await;
    assert!(slow.unwrap().valid, "it outlasted a call with the shorter limit");
}

#[tokio::test]
async fn the_defaults_survive_a_server_that_thinks() {
    let defaults = Timeouts::default();
    let longest_thought = Duration::from_secs(8);
    assert!(defaults.response > 3 * longest_thought && defaults.slow_response >= defaults.response);
    assert!(defaults.idle > 3 * longest_thought && defaults.total.is_none());
    // A client with a limit gives up on the same server while one with the defaults goes on waiting.
    let server = server().await;
    let stalled = server.inject(Fault::stall_headers().times(2));
    let (patient, hasty) = (admin(&server), impatient(&server, |t| t.response = Duration::from_secs(1)));
    let (patient, ()) = within(async {
        tokio::join!(patient.health().send(), async {
            stalled.fired_at_least(1).await;
            times_out(hasty.health(), TimeoutPhase::Response, Duration::from_secs(1)).await;
            stalled.release();
        })
    })
    .await;
    assert_eq!(patient.unwrap().db, "ok");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn an_answer_that_stands_still() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    bucket.file("a.bin").upload(vec![7; 300_000]).await.unwrap();
    let _stalled = server.inject(Fault::stall_response_after(10).forever());
    server.clear_requests();

    let client = impatient(&server, |t| t.idle = SHORT);
    times_out(client.buckets().list(), TimeoutPhase::Receive, SHORT).await;
    times_out(admin(&server).buckets().list().idle_timeout(SHORT), TimeoutPhase::Receive, SHORT).await;
    assert_eq!(server.requests().len(), 2);

    // A download says it where its body is read, as often as its policy asks for.
    let file = client.bucket(bucket.id()).file("a.bin");
    let download = within(file.download().retry(RetryPolicy::never()).send()).await.unwrap();
    let error = within(download.bytes(1 << 20)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutPhase::Receive), "{error:?}");
    let download = within(file.download().retry(RetryPolicy::never()).send()).await.unwrap();
    let error = within(download.stream().collect::<Vec<_>>()).await.pop().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutPhase::Receive), "{error:?}");
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn a_download_that_stood_still_goes_on() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let data: Vec<u8> = (0..300_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    bucket.file("a.bin").upload(data.clone()).await.unwrap();
    let stalled = server.inject(Fault::stall_response_after(1000).on("GET", "/content"));
    let download = within(bucket.file("a.bin").download().idle_timeout(SHORT).send()).await.unwrap();
    assert!(within(download.bytes(1 << 20)).await.unwrap() == data);
    assert_eq!(stalled.fired(), 1);
}

#[tokio::test]
async fn a_connection_that_takes_no_more() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let stalled = server.inject(Fault::stall_request_after(1000).on("PUT", "/upload/stream").forever());
    let endless = || Source::stream(stream::repeat_with(|| Ok::<_, std::io::Error>(vec![7; 1 << 20])));
    let hasty = impatient(&server, |t| t.idle = SHORT);
    let by_client = hasty.bucket(bucket.id()).file("a.bin").upload(endless());
    times_out(by_client, TimeoutPhase::Send, SHORT).await;
    let by_call = bucket.file("a.bin").upload(endless()).idle_timeout(SHORT);
    let error = times_out(by_call, TimeoutPhase::Send, SHORT).await;
    assert!(error.bytes_sent() > 0);
    assert_eq!(stalled.fired(), 2);
    // Longer where a busy machine had not come so far.
    let mut limit = SHORT;
    while stalled.fired() == 2 {
        let in_all = bucket.file("a.bin").upload(endless()).timeout(limit);
        let error = times_out(in_all, TimeoutPhase::Total, limit).await;
        assert!(error.bytes_sent() > 0 || stalled.fired() == 2);
        limit *= 2;
    }
    assert!(bucket.file("a.bin").get_opt().await.unwrap().is_none());
}

#[tokio::test]
async fn a_source_may_take_its_time() {
    let server = TestServer::builder().slow_body_grace(support::GUARD).start().await.unwrap();
    let bucket = bucket(&admin(&server)).await;
    let client = builder(server.url()).token(server.admin_key()).idle_timeout(AMPLE).response_timeout(AMPLE);
    let client = client.slow_response_timeout(AMPLE).build().unwrap();
    let uploads = [("unknown.bin", None), ("known.bin", Some(2000))].map(|(name, size)| {
        // The pause is what is tested: it outlasts all the limits.
        let pausing = stream::iter([0, 1]).then(|at| async move {
            tokio::time::sleep(at * (AMPLE + SHORT)).await;
            Ok::<_, std::io::Error>(vec![7; 1000])
        });
        let source = size.into_iter().fold(Source::stream(pausing), Source::size);
        client.bucket(bucket.id()).file(name).upload(source).send()
    });
    let start = Instant::now();
    for done in within(futures::future::join_all(uploads)).await {
        assert_eq!(done.unwrap().size, 2000);
    }
    assert!(start.elapsed() > AMPLE);
}

#[tokio::test]
async fn a_log_writer_outlives_the_limit_of_its_calls() {
    let server = server().await;
    let file = bucket(&admin(&server)).await.file("a.log");
    let mut log = within(file.log_writer().timeout(AMPLE).send()).await.unwrap();
    tokio::time::sleep(AMPLE).await;
    tokio::io::AsyncWriteExt::write_all(&mut log, b"later").await.unwrap();
    within(tokio::io::AsyncWriteExt::shutdown(&mut log)).await.unwrap();
    assert_eq!(file.get().await.unwrap().size, 5);
}

/// A listener that accepts nobody; once its queue is full, the system lets no more in.
struct Deaf {
    url: String,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

async fn deaf() -> Deaf {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(Ok(queued)) = tokio::time::timeout(SHORT, TcpStream::connect(address)).await {
        queue.push(queued);
        assert!(queue.len() < 1000, "the queue is never full");
    }
    Deaf { url: format!("http://{address}"), _listener: listener, _queue: queue }
}

#[tokio::test]
async fn a_connection_that_is_not_accepted() {
    let server = deaf().await;
    let client = builder(&server.url).retry(RetryPolicy::never()).connect_timeout(SHORT).build().unwrap();
    let error = times_out(client.health(), TimeoutPhase::Connect, SHORT).await;
    assert!(error.is_connect() && error.bytes_sent() == 0);
    // Nothing was sent, so it is tried again, whatever it is.
    let call = client.buckets().create("b").retry(support::quick().max_attempts(2));
    let error = within(call.send()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Timeout(TimeoutPhase::Connect), 2));
}

/// What has not been sent has no answer to wait for.
#[tokio::test]
async fn the_limit_for_the_answer_does_not_end_the_making_of_a_connection() {
    let server = deaf().await;
    let client = builder(&server.url).retry(support::quick().max_attempts(2)).connect_timeout(2 * SHORT);
    let client = client.response_timeout(SHORT).build().unwrap();
    let error = within(client.buckets().create("b").send()).await.unwrap_err();
    let seen = (error.kind(), error.attempts(), error.bytes_sent());
    assert_eq!(seen, (ErrorKind::Timeout(TimeoutPhase::Connect), 2, 0), "{error:?}");
}

/// A body that is in memory is sent in pieces: it stands still when they do, not when all of it takes long.
#[tokio::test]
async fn a_large_body_of_a_raw_request_is_limited_as_an_upload_is() {
    let server = server().await;
    let client = admin(&server);
    let bucket = bucket(&client).await;
    let data = bytes::Bytes::from(vec![7; 16 << 20]);
    let put = || {
        let path = format!("/api/buckets/{}/upload/stream", bucket.id());
        client.request(carbonfiles::Method::PUT, path).query("filename", "a.bin").body(data.clone())
    };
    let stalled = server.inject(Fault::stall_request_after(1000).on("PUT", ""));
    let hasty = put().idle_timeout(SHORT).response_timeout(Duration::from_secs(20));
    let error = times_out(hasty, TimeoutPhase::Send, SHORT).await;
    assert!(error.bytes_sent() > 0 && error.bytes_sent() < 16 << 20, "{error:?}");
    assert_eq!(stalled.fired(), 1);
    // It is there as often as it is needed, and may be answered before it has been read.
    server.inject(Fault::reset_request_after(1 << 20).on("PUT", ""));
    assert_eq!(within(put().idempotent().send()).await.unwrap().status(), 201);
    assert_eq!(bucket.file("a.bin").get().await.unwrap().size, 16 << 20);
    server.inject(Fault::status(202).early().on("PUT", ""));
    assert_eq!(within(put().send()).await.unwrap().status(), 202);
}

/// A client with a short limit for answers does not cut what the server needs its time for.
#[tokio::test]
async fn the_limit_for_answers_is_not_for_slow_ones() {
    let server = server().await;
    let file = bucket(&admin(&server)).await.file("a.txt");
    let client = builder(server.url()).token(server.admin_key()).response_timeout(SHORT).build().unwrap();
    let file = client.bucket(file.bucket().id()).file("a.txt");
    let stalled = server.inject(Fault::stall_headers().on("PUT", "/upload"));
    let (stored, ()) = within(async {
        tokio::join!(file.upload("x".as_bytes()).send(), async {
            stalled.fired_at_least(1).await;
            tokio::time::sleep(2 * SHORT).await;
            stalled.release();
        })
    })
    .await;
    assert_eq!(stored.unwrap().size, 1);
    // That of a call is for whatever it is.
    server.inject(Fault::stall_headers());
    times_out(file.upload("x".as_bytes()).response_timeout(SHORT), TimeoutPhase::Response, SHORT).await;
}

/// It starts when the call does, not with the last of its requests.
#[tokio::test]
async fn an_error_tells_the_time_of_all_of_its_call() {
    let server = server().await;
    let file = bucket(&admin(&server)).await.file("a.txt");
    let refused = |error: Error, took: Duration| {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
        assert!(error.elapsed().unwrap() >= took, "{:?} of {took:?}", error.elapsed());
    };

    // The wait for its turn.
    let stalled = server.inject(Fault::stall_headers().on("PUT", "/upload"));
    let first = tokio::spawn(file.upload("one".as_bytes()).send());
    within(stalled.fired_at_least(1)).await;
    server.inject(Fault::status(403).on("PUT", "/upload"));
    let (hear, waits) = support::queued();
    let second = tokio::spawn(file.upload("two".as_bytes()).progress(hear).send());
    within(waits).await;
    let queued = Instant::now();
    tokio::time::sleep(SHORT).await;
    let waited = queued.elapsed();
    stalled.release();
    within(first).await.unwrap().unwrap();
    refused(within(second).await.unwrap().unwrap_err(), waited);

    // Reading what is kept aside first.
    server.inject(Fault::status(403).on("PUT", "/upload"));
    let pausing = stream::once(async {
        tokio::time::sleep(SHORT).await;
        Ok::<_, std::io::Error>(vec![7; 10])
    });
    refused(within(file.upload(Source::stream(pausing)).spool(10).send()).await.unwrap_err(), SHORT);

    // What was sent before it was sent once more.
    server.inject(Fault::status(500).header("retry-after", "1").on("PUT", "/upload"));
    server.inject(Fault::status(403).on("PUT", "/upload"));
    refused(within(file.upload("three".as_bytes()).send()).await.unwrap_err(), Duration::from_secs(1));

    // Each file of a batch has a time of its own.
    server.inject(Fault::status(500).header("retry-after", "1").on("PUT", "/upload"));
    server.inject(Fault::status(403).on("PUT", "/upload").times(2));
    let files = [("1", "1".as_bytes()), ("2", "2".as_bytes())];
    let start = Instant::now();
    let done = within(file.bucket().files().upload_many(files).concurrency(1).on_failure(OnFailure::GoOn).send())
        .await
        .unwrap();
    let elapsed: Vec<_> = done.failed().map(|failed| failed.1.elapsed().unwrap()).collect();
    assert!(elapsed.len() == 2 && elapsed.iter().sum::<Duration>() <= start.elapsed(), "{elapsed:?}");
}

//! Appends that are safe to repeat, the log writer, and sources that pause or change.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use carbonfiles::files::LogWriter;
use carbonfiles::{Client, ErrorKind, File, Phase, RetryPolicy, Source, TimeoutPhase};
use carbonfiles_testserver::{Fault, TestServer};
use futures::{FutureExt, StreamExt, stream};
use support::{Answer, RawServer, admin, answer, bucket, builder, server};
use tokio::io::AsyncWriteExt;

const CONTENT: &str = "/content";

async fn within<T: IntoFuture>(work: T) -> T::Output {
    support::within(work.into_future()).await
}

async fn content(file: &File) -> Bytes {
    file.download().await.unwrap().bytes(64 << 20).await.unwrap()
}

fn patches(server: &TestServer) -> usize {
    server.requests().iter().filter(|request| request.method == "PATCH").count()
}

async fn start() -> (TestServer, Client, File) {
    let server = server().await;
    let client = admin(&server);
    let file = bucket(&client).await.file("log.txt");
    file.upload("0123".as_bytes()).await.unwrap();
    (server, client, file)
}

#[tokio::test]
async fn an_append_at_the_end_is_safe_to_repeat() {
    let (server, _, file) = start().await;
    assert_eq!(file.append_at(4, "45".as_bytes()).await.unwrap().size, 6);

    // The reply is lost, and the crate repeats it.
    let lost = server.inject(Fault::lose_reply().on("PATCH", CONTENT));
    assert_eq!(file.append_at(6, "67".as_bytes()).await.unwrap().size, 8);
    assert_eq!((lost.fired(), content(&file).await), (1, Bytes::from("01234567")));

    // The caller repeats it, all of it or with more.
    for (repeated, whole) in [("67", "01234567"), ("6789", "0123456789"), ("6789", "0123456789")] {
        file.append_at(6, repeated.as_bytes()).await.unwrap();
        assert_eq!(content(&file).await, whole);
    }

    // Anything else is somebody else's.
    server.clear_requests();
    for (offset, bytes) in [(6, "67x9"), (6, "678"), (8, "x"), (0, "")] {
        assert_eq!(file.append_at(offset, bytes.as_bytes()).await.unwrap_err().kind(), ErrorKind::Conflict, "{bytes}");
    }
    let once = Source::reader(&b"6789"[..]);
    assert_eq!(file.append_at(6, once).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(file.append_at(11, "x".as_bytes()).await.unwrap_err().kind(), ErrorKind::RangeNotSatisfiable);
    assert!(file.bucket().file("none").append_at(0, "x".as_bytes()).await.unwrap_err().is_not_found());
    assert_eq!((patches(&server), content(&file).await), (0, Bytes::from("0123456789")));
}

#[tokio::test]
async fn appends_of_one_client_to_one_file_are_all_there() {
    let (_server, _, file) = start().await;
    let appends = (0..20).map(|n| file.append(vec![b'a' + n; 10]).send());
    let done: Vec<_> = within(stream::iter(appends).buffer_unordered(20).collect()).await;
    assert!(done.iter().all(Result::is_ok));
    assert_eq!(content(&file).await.len(), 4 + 200);
}

#[tokio::test]
async fn a_log_is_there_when_it_was_flushed_and_neither_lost_nor_doubled() {
    let (server, client, _) = start().await;
    let file = bucket(&client).await.file("new.log");
    let ages = Duration::from_secs(3600);
    let mut log = file.log_writer().flush_every(ages).flush_bytes(100_000).await.unwrap();
    assert_eq!(content(&file).await, "");
    log.write_all(b"one\n").await.unwrap();
    within(log.flush()).await.unwrap();
    assert_eq!(content(&file).await, "one\n");

    server.inject(Fault::lose_reply().on("PATCH", CONTENT));
    server.inject(Fault::reset_request_after(1).on("PATCH", CONTENT));
    log.write_all(b"two\n").await.unwrap();
    within(log.flush()).await.unwrap();
    assert_eq!(content(&file).await, "one\ntwo\n");

    // The server is away for longer than a call is tried: the flush says so, and nothing is lost.
    let away = server.inject(Fault::status(503).on("*", "new.log").forever());
    log.write_all(b"three\n").await.unwrap();
    let error = within(log.flush()).await.unwrap_err();
    let error = error.get_ref().unwrap().downcast_ref::<carbonfiles::Error>().unwrap();
    assert!(error.is_retryable() && away.fired() > 0, "{error}");
    log.write_all(b"four\n").await.unwrap();
    server.clear_faults();
    within(log.flush()).await.unwrap();
    assert_eq!(content(&file).await, "one\ntwo\nthree\nfour\n");

    // Enough bytes go by themselves.
    log.write_all(&[b'x'; 250_000]).await.unwrap();
    within(async { while file.head().await.unwrap().length.unwrap() < 100_000 {} }).await;
    within(log.shutdown()).await.unwrap();
    assert_eq!(content(&file).await.len(), 19 + 250_000);
    assert!(log.write_all(b"more").await.is_err());
    within(log.shutdown()).await.unwrap();

    // So does the last of a writer that is dropped, and of one whose time has come.
    let mut log = file.log_writer().flush_every(ages).await.unwrap();
    log.write_all(b"end").await.unwrap();
    drop(log);
    within(async { while !content(&file).await.ends_with(b"end") {} }).await;
    let mut log = file.log_writer().flush_every(Duration::from_millis(1)).await.unwrap();
    log.write_all(b"time").await.unwrap();
    within(async { while !content(&file).await.ends_with(b"endtime") {} }).await;
}

#[tokio::test]
async fn a_log_holds_only_so_much_while_the_server_is_away() {
    let (server, _, _) = start().await;
    let client = builder(server.url()).token(server.admin_key()).retry(RetryPolicy::never()).build().unwrap();
    let file = client.bucket(&client.buckets().create("logs").await.unwrap().id).file("log.txt");
    let ages = Duration::from_secs(3600);
    // As much as there is: by time alone.
    let mut log = file.log_writer().flush_every(ages).flush_bytes(usize::MAX).await.unwrap();
    log.write_all(b"0123").await.unwrap();
    within(log.shutdown()).await.unwrap();

    let mut log = file.log_writer().flush_every(ages).flush_bytes(1000).await.unwrap();
    server.inject(Fault::status(503).on("*", "log.txt").forever());
    let line = [b'x'; 500];
    let mut written = 0;
    // Lines are written and flushed, and nobody looks at what becomes of that.
    while written < 1000 {
        let waits = {
            let mut write = std::pin::pin!(log.write_all(&line));
            (&mut write).now_or_never().is_none()
        };
        let _ = within(log.flush()).await;
        if waits {
            break;
        }
        written += 1;
    }
    assert!(written < 100, "{written} lines were taken");
    server.clear_faults();
    within(log.shutdown()).await.unwrap();
    assert_eq!(content(&file).await.len(), 4 + 500 * written, "and none of them is lost");
}

#[tokio::test]
async fn a_log_that_is_shut_down_tells_whether_all_is_there() {
    let (_server, _, file) = start().await;
    let ages = Duration::from_secs(3600);
    let mut log = file.log_writer().flush_every(ages).await.unwrap();
    log.write_all(b"lost").await.unwrap();
    file.delete().await.unwrap();
    assert!(within(log.flush()).await.is_err());
    assert!(within(log.write_all(b"more")).await.is_err());
    for _ in 0..2 {
        assert!(within(log.shutdown()).await.is_err(), "what was written is not there");
    }
    let mut log = file.bucket().file("other.log").log_writer().flush_every(ages).await.unwrap();
    log.write_all(b"kept").await.unwrap();
    within(log.shutdown()).await.unwrap();
    // The task that appends has ended by then.
    for _ in 0..10 {
        tokio::task::yield_now().await;
        within(log.flush()).await.unwrap();
        within(log.shutdown()).await.unwrap();
    }
    assert_eq!(within(log.write_all(b"more")).await.unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
}

/// Four times the bytes of a flush, and what the way to the task that appends takes.
#[tokio::test]
async fn a_log_whose_server_is_away_takes_just_so_much_more() {
    let (server, _, file) = start().await;
    let client = builder(server.url()).token(server.admin_key()).retry(RetryPolicy::never()).build().unwrap();
    let file = client.bucket(file.bucket().id()).file("log.txt");
    let mut log = file.log_writer().flush_every(Duration::from_secs(3600)).flush_bytes(1000).await.unwrap();
    server.inject(Fault::status(503).on("*", "log.txt").forever());
    log.write_all(&[b'x'; 999]).await.unwrap();
    assert!(within(log.flush()).await.is_err());
    let mut taken = 0;
    let mut waiting = 0;
    // Until it has waited for so long that the task can't have been on its way to it.
    while waiting < 1000 {
        match log.write(&[b'x'; 100]).now_or_never() {
            Some(written) => (taken, waiting) = (taken + written.unwrap(), 0),
            None => waiting += 1,
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(taken, 4 * 1000 + 16 * 100);
    server.clear_faults();
    within(log.shutdown()).await.unwrap();
    assert_eq!(content(&file).await.len(), 4 + 999 + taken);
}

#[tokio::test]
async fn a_log_that_goes_every_instant_does_not_hurry_a_server_that_is_away() {
    let (server, _, file) = start().await;
    let client = builder(server.url()).token(server.admin_key()).retry(RetryPolicy::never()).build().unwrap();
    let file = client.bucket(file.bucket().id()).file("log.txt");
    let mut log = file.log_writer().flush_every(Duration::ZERO).await.unwrap();
    let away = server.inject(Fault::status(503).on("*", "log.txt").forever());
    let started = std::time::Instant::now();
    log.write_all(b"end").await.unwrap();
    within(away.fired_at_least(4)).await;
    // A least time, not a measure: three pauses lie between four tries.
    assert!(started.elapsed() >= Duration::from_millis(300), "{:?}", started.elapsed());
    server.clear_faults();
    within(async { while !content(&file).await.ends_with(b"end") {} }).await;
}

#[tokio::test]
async fn a_log_goes_together_and_tries_again_by_itself() {
    let (server, _, file) = start().await;
    let client = builder(server.url()).token(server.admin_key()).retry(RetryPolicy::never()).build().unwrap();
    let file = client.bucket(file.bucket().id()).file("log.txt");
    // The task that appends has its turns.
    let settled = async || {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    };
    let ages = Duration::from_secs(3600);
    let mut log = file.log_writer().flush_every(ages).flush_bytes(10).await.unwrap();
    for _ in 0..4 {
        log.write_all(b"ab").await.unwrap();
        settled().await;
    }
    within(log.flush()).await.unwrap();
    assert_eq!((patches(&server), content(&file).await), (1, Bytes::from("0123abababab")));

    // What comes after a failure does not hurry it.
    let away = server.inject(Fault::status(503).on("HEAD", "log.txt").forever());
    log.write_all(b"0123456789").await.unwrap();
    within(away.fired_at_least(1)).await;
    settled().await;
    log.write_all(b"0123456789").await.unwrap();
    settled().await;
    assert!(within(log.flush()).await.is_err());
    assert_eq!(away.fired(), 2);
    server.clear_faults();
    within(log.shutdown()).await.unwrap();
    assert_eq!(content(&file).await.len(), 12 + 20);

    // Nobody asks, and it goes again.
    let away = server.inject(Fault::status(503).on("PATCH", CONTENT));
    let mut log = file.log_writer().flush_every(Duration::from_millis(1)).await.unwrap();
    log.write_all(b"end").await.unwrap();
    within(async { while !content(&file).await.ends_with(b"end") {} }).await;
    assert_eq!(away.fired(), 1);
}

/// How often it ran out of time until it was done.
async fn flushed(log: &mut LogWriter) -> u32 {
    let mut failures = 0;
    while let Err(error) = log.flush().await {
        let error = error.get_ref().unwrap().downcast_ref::<carbonfiles::Error>().unwrap();
        assert!(matches!(error.kind(), ErrorKind::Timeout(_)), "{error:?}");
        failures += 1;
    }
    failures
}

/// An append that was given up keeps its turn for a while, longer than these limits.
#[tokio::test]
async fn a_log_outlives_a_server_that_stood_still_whatever_its_limits() {
    let (server, _, file) = start().await;
    let limit = Duration::from_millis(500);
    let client = |response: Duration| {
        let builder = builder(server.url()).token(server.admin_key());
        builder.response_timeout(response).slow_response_timeout(response)
    };
    for (of_call, name) in [(false, "one"), (true, "two")] {
        let client = client(if of_call { support::GUARD } else { limit }).build().unwrap();
        let file = client.bucket(file.bucket().id()).file(name);
        let open = file.log_writer().flush_every(Duration::from_secs(3600));
        let mut log = if of_call { open.timeout(limit).await.unwrap() } else { open.await.unwrap() };
        log.write_all(b"one").await.unwrap();
        let held = server.inject(Fault::stall_headers().on("PATCH", CONTENT));
        let failures = within(flushed(&mut log)).await;
        assert!(held.fired() == 1 && failures > 0, "{name}");
        log.write_all(b"two").await.unwrap();
        // On a busy machine the limits may be too short for this as well.
        within(flushed(&mut log)).await;
        within(log.shutdown()).await.unwrap();
        assert_eq!(content(&file).await, "onetwo", "{name}");
    }
}

#[tokio::test]
async fn a_log_ends_where_somebody_else_writes() {
    let (_server, _, file) = start().await;
    let mut log = file.log_writer().flush_every(Duration::from_secs(3600)).await.unwrap();
    log.write_all(b"mine").await.unwrap();
    file.append("theirs".as_bytes()).await.unwrap();
    let error = within(log.flush()).await.unwrap_err();
    let error = error.get_ref().unwrap().downcast_ref::<carbonfiles::Error>().unwrap();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    within(async { while log.write_all(b"x").await.is_ok() {} }).await;
    assert_eq!(content(&file).await, "0123theirs");
    assert!(file.log_writer().flush_bytes(0).await.unwrap_err().is_invalid_input());
}

#[tokio::test]
async fn a_log_that_is_opened_after_one_was_dropped_goes_on_behind_it() {
    let (server, _, file) = start().await;
    for line in ["one", "two", "three"] {
        let mut log = file.log_writer().await.unwrap();
        log.write_all(line.as_bytes()).await.unwrap();
        let slow = server.inject(Fault::stall_headers().on("PATCH", "/content"));
        drop(log);
        let next = tokio::spawn(file.log_writer().into_future());
        within(slow.fired_at_least(1)).await;
        slow.release();
        let mut log = within(next).await.unwrap().unwrap();
        log.write_all(b".").await.unwrap();
        within(log.shutdown()).await.unwrap();
    }
    assert_eq!(content(&file).await, "0123one.two.three.");
}

#[tokio::test]
async fn a_client_has_one_log_writer_for_a_file() {
    let (_server, client, file) = start().await;
    let mut log = file.log_writer().await.unwrap();
    assert_eq!(file.log_writer().await.unwrap_err().kind(), ErrorKind::Conflict);
    drop(client.bucket(file.bucket().id()).file("other.txt").log_writer().await.unwrap());
    log.write_all(b"a").await.unwrap();
    within(log.shutdown()).await.unwrap();
    // Opened before the old one is dropped, as an assignment does.
    log = file.log_writer().await.unwrap();
    file.append("theirs".as_bytes()).await.unwrap();
    log.write_all(b"b").await.unwrap();
    within(log.flush()).await.unwrap_err();
    log = file.log_writer().await.unwrap();
    log.write_all(b"c").await.unwrap();
    within(log.shutdown()).await.unwrap();
    assert_eq!(content(&file).await, "0123atheirsc");
}

#[tokio::test]
async fn a_log_does_not_take_equal_bytes_of_another_for_its_own() {
    let (_server, _, file) = start().await;
    let mut log = file.log_writer().await.unwrap();
    log.write_all(b"tick").await.unwrap();
    file.append("tick".as_bytes()).await.unwrap();
    within(log.flush()).await.unwrap_err();
    // Of append_at it is what the caller's own earlier try may have left.
    within(file.append_at(4, "tick".as_bytes())).await.unwrap();
}

#[tokio::test]
async fn a_log_sends_no_more_at_once_than_was_asked_for() {
    let (server, _, file) = start().await;
    let away = server.inject(Fault::status(503).on("PATCH", "/content").times(4));
    let mut log = file.log_writer().flush_bytes(100 << 10).flush_every(Duration::from_secs(3600)).await.unwrap();
    log.write_all(&[b'x'; 350 << 10]).await.unwrap();
    while within(log.flush()).await.is_err() {}
    assert!(away.fired() > 0);
    let lengths = server.requests().into_iter().filter(|request| request.method == "PATCH");
    let lengths: Vec<u64> = lengths.map(|request| request.header("content-length").unwrap().parse().unwrap()).collect();
    assert!(lengths.iter().all(|length| *length <= 100 << 10), "{lengths:?}");
    assert_eq!(content(&file).await.len(), 4 + (350 << 10));
}

/// The server answers with what it remembers of the file, which may be from before the append.
#[tokio::test]
async fn an_append_that_is_answered_with_the_length_before_has_been_made() {
    let (server, _, file) = start().await;
    let held = server.inject(Fault::stall_headers().on("GET", "/files/log.txt"));
    let read = tokio::spawn(file.get().send());
    within(held.fired_at_least(1)).await;
    assert_eq!(within(file.append_at(4, "45".as_bytes())).await.unwrap().size, 6);
    assert_eq!(file.get().await.unwrap().size, 4, "the server says that it is as it was");
    held.release();
    within(read).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_flush_that_was_given_up_does_not_answer_for_what_came_after() {
    let (server, _, file) = start().await;
    let mut log = file.log_writer().flush_every(Duration::from_secs(3600)).await.unwrap();
    log.write_all(b"a").await.unwrap();
    let held = server.inject(Fault::stall_headers().on("PATCH", CONTENT));
    assert!(log.flush().now_or_never().is_none());
    within(held.fired_at_least(1)).await;
    log.write_all(b"b").await.unwrap();
    server.inject(Fault::status(403).on("PATCH", CONTENT));
    held.release();
    let error = within(log.shutdown()).await.unwrap_err();
    let error = error.get_ref().unwrap().downcast_ref::<carbonfiles::Error>().unwrap();
    assert_eq!((error.kind(), content(&file).await), (ErrorKind::PermissionDenied, Bytes::from("0123a")));

    // What ended it is told to the next who asks, if the flush that ran into it is not there any more.
    let mut log = file.log_writer().flush_every(Duration::from_secs(3600)).await.unwrap();
    log.write_all(b"a").await.unwrap();
    let refused = server.inject(Fault::status(403).on("PATCH", CONTENT));
    assert!(log.flush().now_or_never().is_none());
    within(refused.fired_at_least(1)).await;
    let error = within(async {
        loop {
            if let Err(error) = log.write_all(b"x").await {
                break error;
            }
        }
    });
    let error = error.await;
    let error = error.get_ref().unwrap().downcast_ref::<carbonfiles::Error>().unwrap();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn a_length_that_nobody_tells_is_not_taken_for_nothing() {
    let changes = Arc::new(AtomicUsize::new(0));
    let seen = changes.clone();
    // A proxy that takes the length away.
    let server = RawServer::start(move |head| match head.method.as_str() {
        "HEAD" => Answer::Bytes(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
        _ => {
            seen.fetch_add(1, Ordering::SeqCst);
            Answer::Bytes(answer(500, "", b""))
        }
    })
    .await;
    let file = builder(&server.url).build().unwrap().bucket("b").file("log.txt");
    assert_eq!(within(file.append_at(0, "x".as_bytes())).await.unwrap_err().kind(), ErrorKind::Decode);
    assert_eq!(within(file.log_writer()).await.unwrap_err().kind(), ErrorKind::Decode);
    assert_eq!(changes.load(Ordering::SeqCst), 0);
}

/// A server, or something before it, that is not exact.
#[tokio::test]
async fn what_an_append_is_told_of_the_file_is_looked_at() {
    let info = |size: u64| {
        let info = serde_json::json!({"path": "log.txt", "name": "log.txt", "size": size, "mime_type": "a/b",
            "created_at": "2026-01-01T00:00:00", "updated_at": "2026-01-01T00:00:00"});
        answer(200, "Content-Type: application/json\r\n", info.to_string().as_bytes())
    };
    for (parts, kind) in [
        // The length after.
        (None, Some(ErrorKind::Conflict)),
        // What is behind the offset: another place, another end, another length, all of it; and the right part.
        (Some("Content-Range: bytes 3-4/6\r\n"), Some(ErrorKind::ContentChanged)),
        (Some("Content-Range: bytes 4-5/7\r\n"), Some(ErrorKind::ContentChanged)),
        (Some("Content-Range: bytes 4-6/6\r\n"), Some(ErrorKind::ContentChanged)),
        (Some(""), Some(ErrorKind::ContentChanged)),
        (Some("Content-Range: bytes 4-5/6\r\n"), None),
    ] {
        let length = if parts.is_some() { 6 } else { 4 };
        let server = RawServer::start(move |head| {
            Answer::Bytes(match head.method.as_str() {
                "HEAD" => format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes(),
                "GET" => answer(if parts == Some("") { 200 } else { 206 }, parts.unwrap_or(""), b"45"),
                _ => info(if parts.is_some() { 7 } else { 100 }),
            })
        })
        .await;
        let file = builder(&server.url).build().unwrap().bucket("b").file("log.txt");
        let done = within(file.append_at(4, "456".as_bytes())).await;
        assert_eq!(done.err().map(|error| error.kind()), kind, "{parts:?}");
    }
}

#[tokio::test]
async fn an_append_that_looks_at_the_file_waits_for_no_room() {
    let server = server().await;
    let client = builder(server.url()).token(server.admin_key()).max_transfers(1).build().unwrap();
    let file = bucket(&client).await.file("log.txt");
    file.upload("012345".as_bytes()).await.unwrap();
    // It takes the only room for downloads.
    let download = file.download().await.unwrap();
    assert_eq!(within(file.append_at(4, "4567".as_bytes())).await.unwrap().size, 8);
    drop(download);
}

#[tokio::test]
async fn a_source_that_pauses_is_told_of_or_spooled() {
    let server = TestServer::builder().slow_body_grace(Duration::from_millis(100)).start().await.unwrap();
    let bucket = bucket(&admin(&server)).await;
    let file = bucket.file("x");
    let paused = || {
        let first = stream::iter([Ok::<_, std::io::Error>("first")]);
        first.chain(stream::once(async {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            Ok("second")
        }))
    };
    let error = within(file.upload(Source::stream(paused()))).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout(TimeoutPhase::Send) | ErrorKind::Interrupted), "{error:?}");
    assert!(error.hint().unwrap().contains("paused"), "{error}");
    assert!(file.get_opt().await.unwrap().is_none());

    let mut phases = Vec::new();
    // The first try is cut: spooled, it can be sent again.
    let cut = server.inject(Fault::reset_request_after(3).on("PUT", "/upload/stream"));
    let upload = file.upload(Source::stream(paused())).spool(11).progress(|p| phases.push((p.phase, p.sent)));
    let done = within(upload).await.unwrap();
    assert_eq!((done.size, content(&file).await, cut.fired()), (11, Bytes::from("firstsecond"), 1));
    assert!(phases.contains(&(Phase::Spooling, 5)), "{phases:?}");
    assert_eq!(phases.last(), Some(&(Phase::Done, 11)));
    let sent = server.requests();
    let last = sent.iter().rfind(|request| request.method == "PUT").unwrap();
    assert_eq!(last.header("content-length"), Some("11"));

    server.clear_requests();
    let error = within(file.upload(Source::stream(paused())).spool(10)).await.unwrap_err();
    assert_eq!((error.kind(), server.requests().len()), (ErrorKind::PayloadTooLarge, 0));
    let error = within(file.upload(Source::reader(&b"abc"[..]).size(4)).spool(10)).await.unwrap_err();
    assert!(error.is_invalid_input());
}

#[tokio::test]
async fn a_path_that_changes_between_two_attempts_is_not_sent_as_a_mixture() {
    let (server, _, file) = start().await;
    let disk = tempfile::tempdir().unwrap();
    let path = disk.path().join("x");
    std::fs::write(&path, vec![1; 1000]).unwrap();
    // Replaced by a file of the same length, while the crate waits to try again.
    let busy = server.inject(Fault::status(503).header("retry-after", "2").on("PUT", "/upload/stream"));
    let upload = file.upload(path.as_path()).start();
    within(busy.fired_at_least(1)).await;
    let new = disk.path().join("new");
    std::fs::write(&new, vec![2; 1000]).unwrap();
    std::fs::rename(&new, &path).unwrap();
    assert_eq!(within(upload).await.unwrap_err().kind(), ErrorKind::ContentChanged);
    assert_eq!(content(&file).await, "0123");
}

//! The log writer: what is written is there once, and not lost while the server is away.

use std::time::Duration;

use bytes::Bytes;
use carbonfiles::files::LogWriter;
use carbonfiles::{ErrorKind, RetryPolicy};
use carbonfiles_testserver::Fault;
use futures::FutureExt;
use tokio::io::AsyncWriteExt;

use super::support::{self, admin, bucket, builder, server};
use super::{CONTENT, content, patches, start, within};

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

/// An ingress during a rollout, or a content that is missing behind metadata that are there.
#[tokio::test]
async fn a_log_is_made_only_where_the_listing_has_none() {
    let (server, client, file) = start().await;
    let lost = server.inject(Fault::status(404).on("HEAD", CONTENT));
    let mut log = within(file.log_writer()).await.unwrap();
    assert_eq!((lost.fired(), content(&file).await), (1, Bytes::from("0123")));
    log.write_all(b"45").await.unwrap();
    within(log.shutdown()).await.unwrap();
    assert_eq!(content(&file).await, "012345");

    // Who is in front of everything knows nothing of the file.
    for (method, path) in [("HEAD", CONTENT), ("GET", "/files")] {
        server.inject(Fault::status(404).on(method, path));
    }
    assert!(within(file.log_writer()).await.unwrap_err().is_not_found());
    assert!(within(client.bucket("nosuchbuck").file("log.txt").log_writer()).await.unwrap_err().is_not_found());
    assert_eq!(content(&file).await, "012345");
}

/// `HEAD` gives no words, so a 404 of it may be anybody's: what counts is the listing.
#[tokio::test]
async fn a_log_goes_on_after_a_404_of_something_on_the_way() {
    let (server, _, file) = start().await;
    let ages = Duration::from_secs(3600);
    let mut log = file.log_writer().flush_every(ages).await.unwrap();
    for (line, look) in [("45", None), ("67", Some("<html>")), ("89", Some(""))] {
        let lost = server.inject(Fault::status(404).on("HEAD", CONTENT));
        if let Some(look) = look {
            server.inject(Fault::status(404).body(look).on("GET", "delimiter"));
        }
        log.write_all(line.as_bytes()).await.unwrap();
        let error = within(log.flush()).await.unwrap_err();
        let error = error.get_ref().unwrap().downcast_ref::<carbonfiles::Error>().unwrap();
        assert!(error.is_not_found() && error.hint().is_some() && lost.fired() == 1, "{look:?} {error}");
        within(log.flush()).await.unwrap();
    }
    assert_eq!(content(&file).await, "0123456789");
    // The change itself is refused in words of nobody's.
    server.inject(Fault::status(404).body("<html>").on("PATCH", CONTENT));
    log.write_all(b"ab").await.unwrap();
    assert!(within(log.flush()).await.is_err());
    within(log.flush()).await.unwrap();
    assert_eq!(content(&file).await, "0123456789ab");

    log.write_all(b"cd").await.unwrap();
    file.bucket().delete().await.unwrap();
    assert!(within(log.flush()).await.is_err());
    assert!(within(log.write_all(b"ef")).await.is_err(), "the server itself says that there is no such bucket");
}

/// The server has lost the bytes of a file: it is listed, and its content is not found.
#[tokio::test]
async fn a_log_whose_content_is_missing_ends() {
    let (server, _, file) = start().await;
    let mut log = file.log_writer().flush_every(Duration::from_millis(1)).flush_bytes(10).await.unwrap();
    server.inject(Fault::status(404).on("HEAD", CONTENT).forever());
    server.inject(Fault::status(404).body(r#"{"error":"File not found"}"#).on("GET", CONTENT).forever());
    let ended = within(async { while log.write_all(b"0123456789").await.is_ok() {} });
    ended.await;
    let error = within(log.flush()).await.unwrap_err();
    assert!(error.to_string().contains("ended"), "{error}");
}

/// An upload of the file is under way, that of a new one: to make it then would empty what has just been stored.
#[tokio::test]
async fn a_log_is_opened_behind_an_upload_of_its_file() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let file = bucket.file("new.txt");
    let held = server.inject(Fault::stall_request_after(1).on("PUT", ""));
    let upload = tokio::spawn(file.upload(vec![7; 300_000]).send());
    within(held.fired_at_least(1)).await;
    let opening = tokio::spawn(file.log_writer().send());
    // Time for a look at what is not there yet.
    for _ in 0..20 {
        within(bucket.get()).await.unwrap();
    }
    held.release();
    within(upload).await.unwrap().unwrap();
    let mut log = within(opening).await.unwrap().unwrap();
    log.write_all(b"more").await.unwrap();
    within(log.shutdown()).await.unwrap();
    assert_eq!(content(&file).await.len(), 300_004);
}

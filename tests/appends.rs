//! Appends that are safe to repeat, the log writer (`logs`), and sources that pause or change.

#[path = "appends/logs.rs"]
mod logs;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use carbonfiles::{Client, ErrorKind, File, Phase, Source, TimeoutPhase};
use carbonfiles_testserver::{Fault, TestServer};
use futures::{StreamExt, stream};
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

/// Appends while the row of the file is being read, which the server remembers from then on, as it was before. What comes is
/// what the append is answered.
async fn append_while_it_is_read(server: &TestServer, file: &File, offset: u64, bytes: &'static str) -> u64 {
    let held = server.inject(Fault::stall_headers().on("GET", "/files/log.txt"));
    let read = tokio::spawn(file.get().send());
    within(held.fired_at_least(1)).await;
    let size = within(file.append_at(offset, bytes.as_bytes())).await.unwrap().size;
    assert_eq!(file.get().await.unwrap().size, offset, "the server says that it is as it was");
    held.release();
    within(read).await.unwrap().unwrap();
    size
}

#[tokio::test]
async fn an_append_that_is_answered_with_the_length_before_has_been_made() {
    let (server, _, file) = start().await;
    assert_eq!(append_while_it_is_read(&server, &file, 4, "45").await, 6);
}

/// What the server remembers is what it compares an offset with, too.
#[tokio::test]
async fn an_append_to_a_file_that_is_remembered_as_shorter_is_made() {
    let (server, _, file) = start().await;
    append_while_it_is_read(&server, &file, 4, "45").await;
    let mut log = within(file.log_writer()).await.unwrap();
    assert_eq!(file.patch(6, "67".as_bytes()).await.unwrap_err().kind(), ErrorKind::RangeNotSatisfiable);
    log.write_all(b"67").await.unwrap();
    within(log.flush()).await.unwrap();
    assert_eq!((content(&file).await, file.get().await.unwrap().size), (Bytes::from("01234567"), 8));

    append_while_it_is_read(&server, &file, 8, "89").await;
    let once = Source::reader(&b"x"[..]);
    assert_eq!(within(file.append_at(10, once)).await.unwrap_err().kind(), ErrorKind::RangeNotSatisfiable);
    assert_eq!(within(file.append_at(10, "ab".as_bytes())).await.unwrap().size, 12);
}

/// What follows once the server has been made to forget is the same call: the attempts before it count.
#[tokio::test]
async fn an_append_that_is_sent_once_more_is_one_call() {
    let changes = AtomicUsize::new(0);
    let server = RawServer::start(move |head| {
        Answer::Bytes(match head.method.as_str() {
            "HEAD" => b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n".to_vec(),
            _ => {
                let statuses = [503, 503, 416, 200];
                let status = statuses.get(changes.fetch_add(1, Ordering::SeqCst)).copied().unwrap_or(503);
                answer(status, "", b"{}")
            }
        })
    })
    .await;
    let file = builder(&server.url).build().unwrap().bucket("b").file("log.txt");
    let error = within(file.append_at(4, "x".as_bytes())).await.unwrap_err();
    // Two that failed, the one that had to be sent once more, and the two that were left.
    assert_eq!((error.status().map(|status| status.as_u16()), error.attempts()), (Some(503), 5), "{error}");
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

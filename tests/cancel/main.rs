//! Transfers that are dropped wherever a server can hold them: nothing half is left, and the next call succeeds.

mod log;
mod many;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use carbonfiles::{Bucket, Phase, Progress, Source};
use carbonfiles_testserver::{Fault, TestServer};
use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use support::{admin, bucket, server, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const LENGTH: usize = 6 << 20;
const OLD: &[u8] = b"what was there before";

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect()
}

/// Where a server can hold a request with a body of so many bytes,
fn on_the_way_up(method: &str, target: &str, length: u64) -> Vec<(String, Fault)> {
    let mut holds: Vec<_> = [0, 1, length / 2, length - 1]
        .map(|bytes| (format!("request at {bytes}"), Fault::stall_request_after(bytes)))
        .into();
    if method == "POST" {
        // The file's last byte is not the last of the body there: framing follows, which comes with it.
        holds.pop();
    }
    holds.push(("the answer".to_owned(), Fault::stall_headers()));
    holds.push(("the answer's body".to_owned(), Fault::stall_response_after(1)));
    holds.into_iter().map(|(name, fault)| (format!("{method} {name}"), fault.on(method, target))).collect()
}

/// and an answer.
fn on_the_way_down(target: &'static str, length: u64, skip: u64) -> Vec<(String, Fault)> {
    let mut holds: Vec<_> = [0, 1, 100_000, length / 2, length - 1]
        .map(|bytes| (format!("answer {skip} at {bytes}"), Fault::stall_response_after(bytes)))
        .into();
    holds.push((format!("the head of answer {skip}"), Fault::stall_headers()));
    holds.into_iter().map(|(name, fault)| (name, fault.on("GET", target).skip(skip))).collect()
}

type Start<'a> = dyn Fn(Bucket) -> BoxFuture<'static, ()> + 'a;

/// Starts a transfer, drops it when the server holds it, and waits until the server has noticed.
async fn dropped_at(server: &TestServer, bucket: &Bucket, hold: Fault, start: &Start<'_>) -> bool {
    let held = server.inject(hold);
    let mut transfer = start(bucket.clone());
    let reached = within(async {
        tokio::select! {
            () = &mut transfer => false,
            () = held.fired_at_least(1) => true,
        }
    })
    .await;
    if reached {
        // A little further, to wherever it stands still.
        let _ = tokio::time::timeout(Duration::from_millis(20), &mut transfer).await;
    }
    drop(transfer);
    held.release();
    server.clear_faults();
    reached
}

/// More than this held back is more than the sockets' buffers take: then the end can't have been sent.
fn may_be_whole(hold: &str) -> bool {
    !(hold.ends_with("request at 0") || hold.ends_with("request at 1"))
}

async fn content(bucket: &Bucket, path: &str) -> Option<Vec<u8>> {
    bucket.file(path).get_opt().await.unwrap()?;
    Some(bucket.file(path).download().await.unwrap().bytes(2 * LENGTH).await.unwrap().into())
}

#[tokio::test]
async fn uploads_leave_the_old_file_or_the_whole_new_one() {
    let server = server().await;
    let data = pattern(LENGTH);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("source");
    std::fs::write(&path, &data).unwrap();
    let (whole, lent) = (data.clone(), path.clone());
    let starts: [(&str, &str, Box<Start<'_>>); 5] = [
        (
            "PUT",
            "bytes",
            Box::new(|bucket| {
                let upload = bucket.file("x").upload(whole.clone()).send();
                Box::pin(async { drop(upload.await) })
            }),
        ),
        (
            "PUT",
            "a path",
            Box::new(|bucket| {
                let upload = bucket.file("x").upload(lent.as_path()).send();
                Box::pin(async { drop(upload.await) })
            }),
        ),
        (
            "PUT",
            "a stream of unknown length",
            Box::new(|bucket| {
                let chunks: Vec<_> = whole.chunks(100_000).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect();
                let upload = bucket.file("x").upload(Source::stream(futures::stream::iter(chunks))).send();
                Box::pin(async { drop(upload.await) })
            }),
        ),
        (
            "PUT",
            "a writer",
            Box::new(|bucket| {
                let whole = whole.clone();
                Box::pin(async move {
                    let mut writer = bucket.file("x").upload_writer();
                    if writer.write_all(&whole).await.is_ok() {
                        let _ = writer.finish().await;
                    }
                })
            }),
        ),
        (
            "POST",
            "several in one request",
            Box::new(|bucket| {
                let upload = bucket.files().upload_multipart().file("x", whole.clone()).send();
                Box::pin(async { drop(upload.await) })
            }),
        ),
    ];
    for (method, kind, start) in &starts {
        for old in [false, true] {
            for (name, hold) in on_the_way_up(method, "/upload", LENGTH as u64) {
                let at = format!("{kind}, {name}, old: {old}");
                // Each time a new bucket, and new bytes: the server knows contents by their hash.
                let bucket = bucket(&admin(&server)).await;
                if old {
                    bucket.file("x").upload(OLD).await.unwrap();
                }
                assert!(dropped_at(&server, &bucket, hold, &**start).await, "{at}: it was not held");
                let may_be_whole = may_be_whole(&name);
                let found = content(&bucket, "x").await;
                match &found {
                    Some(found) if *found == data => assert!(may_be_whole, "{at}: stored all the same"),
                    Some(found) => assert!(old && found == OLD, "{at}: {} bytes", found.len()),
                    None => assert!(!old, "{at}: gone"),
                }
                // By a client that does not know what the server may still be at.
                let again = admin(&server).bucket(bucket.id()).file("x").upload(data.clone());
                let again = within(again.into_future()).await.unwrap();
                assert_eq!(again.size, LENGTH as u64, "{at}");
            }
        }
    }
}

#[tokio::test]
async fn of_several_files_in_one_request_those_before_stay() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    bucket.file("second").upload(OLD).await.unwrap();
    let data = pattern(LENGTH);
    let start = |bucket: Bucket| -> BoxFuture<'static, ()> {
        let upload = bucket.files().upload_multipart().file("first", "whole".as_bytes()).file("second", data.clone());
        let upload = upload.file("third", "never sent".as_bytes()).send();
        Box::pin(async { drop(upload.await) })
    };
    // In the second, and more of it is held back than the sockets' buffers take.
    let hold = Fault::stall_request_after(100_000).on("POST", "/upload");
    assert!(dropped_at(&server, &bucket, hold, &start).await);
    // The server notices by itself.
    let first = within(async {
        loop {
            match content(&bucket, "first").await {
                Some(first) => break first,
                None => tokio::task::yield_now().await,
            }
        }
    });
    assert_eq!(first.await, b"whole");
    assert!(content(&bucket, "second").await.as_deref() == Some(OLD));
    assert_eq!(content(&bucket, "third").await, None);
}

#[tokio::test]
async fn an_upload_dropped_while_its_source_is_read_ahead_has_sent_nothing() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    server.clear_requests();
    let read = tokio::sync::Notify::new();
    // So much that a part of it would have been seen by the server, and then nothing more.
    let begins = futures::stream::iter((0..LENGTH / 100_000).map(|_| Ok::<_, std::io::Error>(vec![7; 100_000])));
    let pauses = futures::stream::once(async {
        read.notify_one();
        std::future::pending().await
    });
    let upload = bucket.file("x").upload(Source::stream(begins.chain(pauses))).spool(1 << 30);
    within(async {
        tokio::select! {
            outcome = upload.into_future() => panic!("{outcome:?}"),
            () = read.notified() => {}
        }
    })
    .await;
    bucket.client().health().await.unwrap();
    assert_eq!(support::seen(&server), ["GET /healthz"]);
}

#[tokio::test]
async fn changes_in_place_are_done_whole_or_not_at_all() {
    let server = server().await;
    let data = pattern(LENGTH);
    for kind in ["append", "append_at", "patch"] {
        for (name, hold) in on_the_way_up("PATCH", "/content", LENGTH as u64) {
            let bucket = bucket(&admin(&server)).await;
            bucket.file("x").upload(OLD).await.unwrap();
            let start = |bucket: Bucket| -> BoxFuture<'static, ()> {
                let (file, data) = (bucket.file("x"), data.clone());
                Box::pin(async move {
                    let _ = match kind {
                        "append" => file.append(data).await,
                        "patch" => file.patch(OLD.len() as u64, data).await,
                        _ => file.append_at(OLD.len() as u64, data).await,
                    };
                })
            };
            assert!(dropped_at(&server, &bucket, hold, &start).await, "{kind}, {name}");
            let whole = [OLD, &data].concat();
            let found = content(&bucket, "x").await.unwrap();
            assert!(found == OLD || may_be_whole(&name) && found == whole, "{kind}, {name}: {}", found.len());
            // It is safe to repeat, whatever has become of it.
            let again = admin(&server).bucket(bucket.id()).file("x");
            within(again.append_at(OLD.len() as u64, data.clone()).into_future()).await.unwrap();
            assert!(content(&bucket, "x").await.unwrap() == whole, "{kind}, {name}");
        }
    }
}

/// What is beside a target.
fn beside(target: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(target.parent().unwrap()).unwrap();
    entries.map(|entry| entry.unwrap().path()).filter(|path| path != target).collect()
}

#[tokio::test]
async fn downloads_to_a_file_leave_the_target_and_what_can_be_gone_on_with() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let data = pattern(3 * LENGTH);
    bucket.file("x").upload(data.clone()).await.unwrap();
    for (ranges, skip) in [(1, 0), (3, 0), (3, 1), (3, 3)] {
        let length = if ranges == 1 { data.len() as u64 } else { 2 << 20 };
        for (name, hold) in on_the_way_down("/content", length, skip) {
            for old in [false, true] {
                let at = format!("{ranges} ranges, {name}, old: {old}");
                let folder = tempfile::tempdir().unwrap();
                let target = folder.path().join("x");
                if old {
                    std::fs::write(&target, OLD).unwrap();
                }
                let start = |bucket: Bucket| -> BoxFuture<'static, ()> {
                    let call = bucket.file("x").download_to(&target).parallel(ranges).send();
                    Box::pin(async { drop(call.await) })
                };
                assert!(dropped_at(&server, &bucket, hold.clone(), &start).await, "{at}");
                assert_eq!(std::fs::read(&target).ok(), old.then(|| OLD.to_vec()), "{at}");
                let done = within(bucket.file("x").download_to(&target).into_future()).await.unwrap();
                assert_eq!(done.size, data.len() as u64, "{at}");
                assert!(std::fs::read(&target).unwrap() == data, "{at}");
                assert!(beside(&target).is_empty(), "{at}: {:?}", beside(&target));
            }
        }
    }
}

#[tokio::test]
async fn streams_that_are_dropped_make_room_for_the_next() {
    let server = server().await;
    let client = support::builder(server.url()).token(server.admin_key()).max_transfers(1).build().unwrap();
    let bucket = bucket(&client).await;
    let data = pattern(LENGTH);
    bucket.file("x").upload(data.clone()).await.unwrap();
    for ranges in [1, 3] {
        for (name, hold) in on_the_way_down("/content", 2 << 20, 0) {
            let start = |bucket: Bucket| -> BoxFuture<'static, ()> {
                Box::pin(async move {
                    if let Ok(download) = bucket.file("x").download().parallel(ranges).await {
                        let _ = download.reader().read_to_end(&mut Vec::new()).await;
                    }
                })
            };
            assert!(dropped_at(&server, &bucket, hold, &start).await, "{ranges}, {name}");
            let whole = within(async { bucket.file("x").download().await.unwrap().bytes(LENGTH).await }).await;
            assert!(whole.unwrap() == data, "{ranges}, {name}");
        }
    }
}

/// Nobody knows then whether the server is still at it, and together it would answer one of them with 500.
#[tokio::test]
async fn an_upload_dropped_before_its_answer_keeps_its_turn_for_a_while() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let (log, file) = (bucket.file("log"), bucket.file("x"));
    log.upload(&b"one"[..]).await.unwrap();
    for (method, append) in [("PUT", false), ("PATCH", true)] {
        for answered in [false, true] {
            let fault = if answered { Fault::status(403) } else { Fault::stall_headers() };
            let held = server.inject(fault.on(method, "/"));
            let sent = tokio::sync::Notify::new();
            let watch = |p: Progress| {
                if p.phase == Phase::Waiting {
                    sent.notify_one();
                }
            };
            let first = match append {
                false => file.upload(&b"one"[..]).progress(watch).send().map(|done| done.map(drop)).left_future(),
                true => log.append(&b"two"[..]).progress(watch).send().map(|done| done.map(drop)).right_future(),
            };
            within(async {
                tokio::select! {
                    biased;
                    outcome = first => assert!(answered, "{outcome:?}"),
                    () = sent.notified(), if !answered => {}
                }
            })
            .await;
            held.release();
            let mut phases = Vec::new();
            let next = |p: Progress| phases.push(p.phase);
            match append {
                false => drop(within(file.upload(&b"other"[..]).progress(next).into_future()).await.unwrap()),
                true => drop(within(log.append(&b"three"[..]).progress(next).into_future()).await.unwrap()),
            }
            assert_eq!(phases.contains(&Phase::Queued), !answered, "{method}: {phases:?}");
        }
    }
}

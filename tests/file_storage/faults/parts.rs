//! Uploads in parts: sessions and buckets that misbehave.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use carbonfiles::file_storage::uploads::Checked;
use carbonfiles::{ErrorKind, Phase};

use super::{EXPIRED, ID, builder, client, noting, stored};
use crate::support::{Answer, GUARD, RawServer, answer, within};

/// A service whose bucket takes the only part of a session of 7 bytes, `content`.
pub(super) async fn in_one_part(bucket: &RawServer) -> RawServer {
    in_one_part_as(bucket, stored("x", b"content")).await
}

/// The same, which says that it has made this file of it.
async fn in_one_part_as(bucket: &RawServer, file: Vec<u8>) -> RawServer {
    let file = String::from_utf8(file).unwrap();
    let url = bucket.url.clone();
    let session = |status: &str, file: &str| {
        format!(
            r#"{{"id":"{ID}","filename":"x","content_type":"text/plain","total_size":7,"part_size":5242880,"total_parts":1,
            "status":"{status}","public":false,"expires_at":"2036-11-21T00:00:00Z","parts":[],"file":{file}}}"#
        )
    };
    let (service, _) = noting(move |head, n| {
        let body = match head.target.rsplit('/').next().unwrap() {
            "part-urls" => format!(
                r#"{{"urls":{{"1":"{url}/k?partNumber=1&X-Amz-Expires=300&X-Amz-Signature=0123456789abcdef{n}"}},"direct":true}}"#
            ),
            "complete" => session("completed", &file),
            _ => session("active", "null"),
        };
        Answer::Bytes(answer(200, "", body.as_bytes()))
    })
    .await;
    service
}

/// The MD5 of "content".
pub(super) const TAG: &str = "ETag: \"9a0364b9e99bb480dd25e1f0284c8555\"\r\n";

#[tokio::test]
async fn what_was_stored_is_compared_with_what_was_sent() {
    let right = stored("x", b"content");
    let longer = String::from_utf8(right.clone()).unwrap().replace(r#""size_bytes":7"#, r#""size_bytes":8"#);
    for (file, good) in [(right, true), (stored("x", b"CONTENT"), false), (longer.into_bytes(), false)] {
        let (bucket, _) = noting(|_, _| Answer::Bytes(answer(200, TAG, b""))).await;
        let service = in_one_part_as(&bucket, file).await;
        let resumed = within(client(&service).upload_session(ID).resume("content".as_bytes()).send()).await;
        match resumed {
            Ok(done) => assert_eq!((done.checked, good), (Checked::Sha256, true)),
            Err(error) => {
                assert_eq!((error.kind(), good), (ErrorKind::IntegrityMismatch, false), "{error}");
                assert!(error.may_have_been_done(), "it is stored");
            }
        }
    }
}

#[tokio::test]
async fn a_part_gets_a_fresh_url_when_one_has_expired() {
    let (bucket, at_bucket) = noting(|_, n| match n {
        0 => Answer::Bytes(answer(403, "", EXPIRED)),
        1 => Answer::ThenClose(Vec::new()),
        _ => Answer::Bytes(answer(200, TAG, b"")),
    })
    .await;
    let service = in_one_part(&bucket).await;
    let done = within(client(&service).upload_session(ID).resume("content".as_bytes()).send()).await.unwrap();
    assert_eq!(done.sent, 7);
    let seen = at_bucket.lock().unwrap();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|head| !head.to_lowercase().contains("authorization")));
}

#[tokio::test]
async fn a_part_survives_what_a_bucket_says_in_passing() {
    let (region, at_region) = noting(|_, _| Answer::Bytes(answer(200, TAG, b""))).await;
    let elsewhere = format!("Location: {}/k?X-Amz-Signature=0123456789abcdef\r\n", region.url);
    let slow = b"<Error><Code>RequestTimeout</Code><Message>Your socket connection was idle</Message></Error>";
    let (bucket, at_bucket) = noting(move |_, n| match n {
        0 => Answer::ThenClose(answer(400, "", slow)),
        _ => Answer::Bytes(answer(307, &elsewhere, b"<Error><Code>TemporaryRedirect</Code></Error>")),
    })
    .await;
    let service = in_one_part(&bucket).await;
    let phases = Arc::new(Mutex::new(Vec::new()));
    let seen = phases.clone();
    let resumed = client(&service).upload_session(ID).resume("content".as_bytes());
    let done = within(resumed.progress(move |p| seen.lock().unwrap().push((p.attempt, p.phase))).send()).await.unwrap();
    assert_eq!((done.sent, at_bucket.lock().unwrap().len(), at_region.lock().unwrap().len()), (7, 2, 1));
    assert!(at_region.lock().unwrap()[0].to_lowercase().contains("content-length: 7"));
    let phases = phases.lock().unwrap();
    let retries = phases.iter().filter(|(_, phase)| matches!(phase, Phase::Retrying { .. })).count();
    assert!(retries >= 1 && phases.last().unwrap().0 > 1, "{phases:?}");
}

#[tokio::test]
async fn a_bucket_that_redirects_for_ever_is_an_error() {
    let (bucket, seen) = noting(|head, _| {
        let location = format!("Location: {}\r\n", head.target);
        Answer::Bytes(answer(307, &location, b"<Error><Code>TemporaryRedirect</Code><Message>Go on</Message></Error>"))
    })
    .await;
    let service = in_one_part(&bucket).await;
    let error = within(client(&service).upload_session(ID).resume("content".as_bytes()).send()).await.unwrap_err();
    assert_eq!((error.code(), seen.lock().unwrap().len()), (Some("TemporaryRedirect"), 4), "{error}");
    assert!(!format!("{error} {error:?}").contains("0123456789abcdef"));
}

#[tokio::test]
async fn a_session_that_has_ended_says_so() {
    let closed = br#"{"detail":{"code":"file_storage.upload_session_closed","message":"Upload session is closed"}}"#;
    let session = |status: &str| {
        format!(
            r#"{{"id":"{ID}","filename":"x","content_type":"text/plain","total_size":7,"part_size":7,"total_parts":1,
            "status":"{status}","public":false,"expires_at":"2020-11-21T00:00:00Z","parts":[],"file":null}}"#
        )
    };
    // A word of a later service, which no file is begun anew for.
    let completing = session("completing");
    let (server, seen) = noting(move |_, _| Answer::Bytes(answer(200, "", completing.as_bytes()))).await;
    let error = within(client(&server).upload_session(ID).resume("content".as_bytes()).send()).await.unwrap_err();
    assert_eq!((error.kind(), seen.lock().unwrap().len()), (ErrorKind::Conflict, 1), "{error}");
    assert!(error.message().contains("\"completing\"") && !error.hint().unwrap().contains("anew"), "{error:?}");

    // Expired before: nothing is sent. Expired on the way: the service says it, and is not asked again.
    let (gone, active) = (session("aborted"), session("active"));
    let (server, seen) = noting(move |_, _| Answer::Bytes(answer(200, "", gone.as_bytes()))).await;
    let error = within(client(&server).upload_session(ID).resume("content".as_bytes()).send()).await.unwrap_err();
    assert_eq!((error.kind(), seen.lock().unwrap().len()), (ErrorKind::Conflict, 1), "{error}");
    assert!(error.hint().unwrap().contains("anew"));

    let (server, seen) = noting(move |head, _| match (head.method.as_str(), head.target.ends_with("/part-urls")) {
        ("GET", _) => Answer::Bytes(answer(200, "", active.as_bytes())),
        (_, true) => Answer::Bytes(answer(200, "", br#"{"urls":{"1":"/x"},"direct":false}"#)),
        _ => Answer::Bytes(answer(409, "", closed)),
    })
    .await;
    let error = within(client(&server).upload_session(ID).resume("content".as_bytes()).send()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, Some("file_storage.upload_session_closed")));
    assert!(error.hint().unwrap().contains("anew") && seen.lock().unwrap().len() == 3, "{error}");

    // Cleaned away.
    let missing = br#"{"detail":{"code":"file_storage.not_found","message":"Not found"}}"#;
    let (server, _) = noting(|_, _| Answer::Bytes(answer(404, "", missing))).await;
    let error = within(client(&server).upload_session(ID).resume("content".as_bytes()).send()).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
}

#[tokio::test]
async fn a_part_that_arrived_differently_is_an_error() {
    let (service, _) = noting(|head, _| {
        let body = match head.target.rsplit('/').next().unwrap() {
            "part-urls" => r#"{"urls":{"1":"/api/file-storage/uploads/x/parts/1"},"direct":false}"#.to_owned(),
            "1" => format!(r#"{{"no":1,"etag":"{}","size":7}}"#, "0".repeat(32)),
            _ => panic!("{}", head.target),
        };
        Answer::Bytes(answer(200, "", body.as_bytes()))
    })
    .await;
    let part = || client(&service).upload_session(ID).upload_part(1, "content".as_bytes());
    let error = within(part().send()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IntegrityMismatch);
    // As the hint says: a bucket with keys of its own has other tags.
    assert!(error.hint().unwrap().contains(".verify(false)"));
    assert_eq!(within(part().verify(false).send()).await.unwrap().size, 7);
    let transfer = part().verify(false).start();
    let progress = transfer.progress();
    assert_eq!(within(transfer).await.unwrap().size, 7);
    assert_eq!((progress.current().phase, progress.current().sent), (Phase::Done, 7));
}

#[tokio::test]
async fn a_part_that_arrived_shorter_is_an_error() {
    let (service, _) = noting(|head, _| {
        let body = match head.target.ends_with("/part-urls") {
            true => r#"{"urls":{"1":"/x"},"direct":false}"#,
            // The tag is that of all seven.
            false => r#"{"no":1,"etag":"9a0364b9e99bb480dd25e1f0284c8555","size":6}"#,
        };
        Answer::Bytes(answer(200, "", body.as_bytes()))
    })
    .await;
    let part = client(&service).upload_session(ID).upload_part(1, "content".as_bytes());
    let error = within(part.send()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IntegrityMismatch);
    assert!(error.message().contains("6 arrived"), "{error}");
}

#[tokio::test]
async fn sessions_that_are_not_what_they_seem() {
    let session = |status: &str, part_size: u64, parts: u32| {
        let file = String::from_utf8(stored("x", b"CONTENT")).unwrap();
        let (before, after) = file.split_once("\"checksum_sha256\":\"").unwrap();
        let file = format!("{before}\"checksum_sha256\":null{}", &after[65..]);
        format!(
            r#"{{"id":"{ID}","filename":"x","content_type":"text/plain","total_size":7,"part_size":{part_size},
            "total_parts":{parts},"status":"{status}","public":false,"expires_at":"2036-11-21T00:00:00Z",
            "parts":[],"file":{file}}}"#
        )
    };
    for (part_size, parts) in [(0, 1), (7, 4_000_000_000), (7, 0), (u64::MAX, 3)] {
        let body = session("active", part_size, parts);
        let (service, seen) = noting(move |_, _| Answer::Bytes(answer(200, "", body.as_bytes()))).await;
        let resumed = client(&service).upload_session(ID).resume("content".as_bytes());
        assert_eq!(within(resumed.send()).await.unwrap_err().kind(), ErrorKind::Decode);
        assert_eq!(seen.lock().unwrap().len(), 1);
    }
    // Complete before, and without a hash: nothing can be compared.
    let body = session("completed", 7, 1);
    let (service, _) = noting(move |_, _| Answer::Bytes(answer(200, "", body.as_bytes()))).await;
    let done = within(client(&service).upload_session(ID).resume("content".as_bytes()).send()).await.unwrap();
    assert_eq!((done.sent, done.checked), (0, Checked::Nothing));
}

/// A session of so many parts of one byte; `arrived` is what the service lists of them.
fn of_bytes(parts: u64, arrived: &str) -> String {
    format!(
        r#"{{"id":"{ID}","filename":"x","content_type":"text/plain","total_size":{parts},"part_size":1,"total_parts":{parts},
        "status":"active","public":false,"expires_at":"2036-11-21T00:00:00Z","parts":[{arrived}],"file":null}}"#
    )
}

#[tokio::test]
async fn a_session_of_absurdly_many_parts_is_not_begun() {
    let (service, seen) = noting(|_, _| Answer::Bytes(answer(200, "", of_bytes(20_000, "").as_bytes()))).await;
    let resumed = client(&service).upload_session(ID).resume(vec![0; 20_000]);
    let error = within(resumed.send()).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Decode && error.message().contains("20000 parts"), "{error}");
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_part_that_is_listed_twice_counts_once() {
    // The MD5 of "a".
    let part = r#"{"no":1,"etag":"0cc175b9c0f1b6a831c399e269772661","size":1}"#;
    let listed = [part; 3].join(",");
    let (service, _) = noting(move |head, _| {
        let body = match head.target.rsplit('/').next().unwrap() {
            "part-urls" => r#"{"urls":{"1":"/x"},"direct":false}"#.to_owned(),
            "complete" => {
                let session = of_bytes(1, "").replace("active", "completed");
                session.replace("null", std::str::from_utf8(&stored("x", b"a")).unwrap())
            }
            _ => of_bytes(1, &listed),
        };
        Answer::Bytes(answer(200, "", body.as_bytes()))
    })
    .await;
    let mut most = 0;
    let resumed = client(&service).upload_session(ID).resume("a".as_bytes()).progress_interval(Duration::ZERO);
    let resumed = resumed.progress(|p| most = most.max(p.sent));
    assert_eq!(within(resumed.send()).await.unwrap().sent, 0);
    assert_eq!(most, 1);
}

#[tokio::test]
async fn a_file_that_changes_on_the_way_is_called_so() {
    let source = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(source.path(), b"content").unwrap();
    let path = source.path().to_owned();
    let (service, seen) = noting(move |head, _| {
        // It was opened before.
        std::fs::write(&path, b"CONTENT, and more").unwrap();
        let body = match head.target.ends_with("/part-urls") {
            true => r#"{"urls":{"1":"/x"},"direct":false}"#.to_owned(),
            false => of_bytes(7, "").replace(r#""part_size":1,"total_parts":7"#, r#""part_size":7,"total_parts":1"#),
        };
        Answer::Bytes(answer(200, "", body.as_bytes()))
    })
    .await;
    for verify in [true, false] {
        std::fs::write(source.path(), b"content").unwrap();
        let resumed = client(&service).upload_session(ID).resume(source.path()).verify(verify);
        let error = within(resumed.send()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ContentChanged, "{verify} {error}");
    }
    assert!(!seen.lock().unwrap().iter().any(|head| head.starts_with("PUT")));
}

#[tokio::test]
async fn one_limit_is_for_a_part_and_its_place() {
    // The first takes a second, by a retry; what the second asks for would fit into the limit alone.
    let (service, seen) = noting(|_, n| match n {
        0 => Answer::Bytes(answer(503, "Retry-After: 1\r\n", b"")),
        1 => Answer::Bytes(answer(200, "", br#"{"urls":{"1":"/x"},"direct":false}"#)),
        _ => Answer::Bytes(answer(503, "Retry-After: 50\r\n", b"")),
    })
    .await;
    let client = builder(&service.url).total_timeout(Duration::from_millis(50_500)).build().unwrap();
    let error = within(client.upload_session(ID).upload_part(1, "content".as_bytes()).send()).await.unwrap_err();
    assert_eq!((error.status().map(|status| status.as_u16()), seen.lock().unwrap().len()), (Some(503), 3), "{error}");
}

/// A session of 8 parts whose answers wait until they are let go: tells of each part that came, and of how many waited at once.
struct Held {
    service: RawServer,
    came: mpsc::Receiver<()>,
    let_go: mpsc::Sender<()>,
    most: Arc<AtomicUsize>,
}

impl Held {
    async fn start() -> Self {
        let (coming, came) = mpsc::channel();
        let (let_go, held) = mpsc::channel::<()>();
        let (coming, held, most) = (Mutex::new(coming), Mutex::new(held), Arc::new(AtomicUsize::new(0)));
        let (waiting, seen) = (AtomicUsize::new(0), most.clone());
        let (service, _) = noting(move |head, _| {
            let body = match (head.method.as_str(), head.target.rsplit('/').next().unwrap()) {
                ("PUT", no) => {
                    seen.fetch_max(waiting.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    coming.lock().unwrap().send(()).unwrap();
                    tokio::task::block_in_place(|| held.lock().unwrap().recv().unwrap());
                    waiting.fetch_sub(1, Ordering::SeqCst);
                    // The MD5 of "a".
                    format!(r#"{{"no":{no},"etag":"0cc175b9c0f1b6a831c399e269772661","size":1}}"#)
                }
                (_, "part-urls") => r#"{"urls":{"1":"/x"},"direct":false}"#.to_owned(),
                (_, "complete") => {
                    let file = String::from_utf8(stored("x", b"aaaaaaaa")).unwrap();
                    of_bytes(8, "").replace("active", "completed").replace("null", &file)
                }
                _ => of_bytes(8, ""),
            };
            Answer::Bytes(answer(200, "", body.as_bytes()))
        })
        .await;
        Self { service, came, let_go, most }
    }

    fn came(&self) {
        tokio::task::block_in_place(|| self.came.recv_timeout(GUARD).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn so_many_parts_are_under_way_as_was_asked_for() {
    for parallel in [2, 8] {
        for whole in [true, false] {
            let held = Held::start().await;
            let client = client(&held.service);
            let call = match whole {
                true => client.uploads().upload("aaaaaaaa".as_bytes()).filename("x").parallel(parallel).send(),
                false => client.upload_session(ID).resume("aaaaaaaa".as_bytes()).parallel(parallel).send(),
            };
            let call = tokio::spawn(call);
            (0..parallel).for_each(|_| held.came());
            // Others of the same moment would have come before the answers to these.
            for _ in 0..20 {
                within(client.upload_session(ID).get().send()).await.unwrap();
            }
            assert_eq!(held.most.load(Ordering::SeqCst), parallel);
            for _ in parallel..8 {
                held.let_go.send(()).unwrap();
                held.came();
            }
            (0..parallel).for_each(|_| held.let_go.send(()).unwrap());
            assert_eq!(within(call).await.unwrap().unwrap().sent, 8);
            assert_eq!(held.most.load(Ordering::SeqCst), parallel);
        }
    }
}

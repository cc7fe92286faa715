//! Sources that can be read only once, kept in a temporary file; and what a source has to be.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use carbonfiles::file_storage::uploads::Checked;
use carbonfiles::{ErrorKind, Phase, Source};

use super::parts::{TAG, in_one_part};
use super::{ID, client, hash_of, noting, page, posts, stored};
use crate::support::{Answer, answer, within};

/// `content`, in pieces of which nobody knows how many come.
fn pieces() -> Source<'static> {
    let pieces = ["con", "te", "nt"].map(|piece| Ok::<_, std::io::Error>(piece.as_bytes()));
    Source::stream(futures::stream::iter(pieces))
}

fn unread() -> std::io::Result<Source<'static>> {
    panic!("it is not to be read");
}

#[tokio::test]
async fn a_stream_of_unknown_length_goes_up_in_parts() {
    let made = || Source::factory(|| async { Ok::<_, std::io::Error>(pieces()) });
    for (at, source) in
        [pieces(), Source::reader(&b"content"[..]), made(), "content".as_bytes().into()].into_iter().enumerate()
    {
        // The bucket loses the first answer: it is sent again, whatever it was.
        let (bucket, at_bucket) = noting(|_, n| match n {
            0 => Answer::ThenClose(Vec::new()),
            _ => Answer::Bytes(answer(200, TAG, b"")),
        })
        .await;
        let service = in_one_part(&bucket).await;
        let phases = Arc::new(Mutex::new(Vec::new()));
        let seen = phases.clone();
        let upload = client(&service).uploads().upload(source).filename("x").spool(7).progress_interval(Duration::ZERO);
        let upload = upload.progress(move |p| seen.lock().unwrap().push((p.phase, p.total)));
        let done = within(upload.send()).await.unwrap();
        assert_eq!((done.sent, done.checked, at_bucket.lock().unwrap().len()), (7, Checked::Sha256, 2), "{at}");
        let phases = phases.lock().unwrap();
        assert_eq!((phases[0].0, phases.last().unwrap()), (Phase::Spooling, &(Phase::Done, Some(7))), "{phases:?}");
    }
    // The same for one that goes on.
    let (bucket, _) = noting(|_, _| Answer::Bytes(answer(200, TAG, b""))).await;
    let service = in_one_part(&bucket).await;
    let resumed = client(&service).upload_session(ID).resume(pieces()).spool(7);
    assert_eq!(within(resumed.send()).await.unwrap().sent, 7);
}

#[tokio::test]
async fn what_is_refused_before_it_goes_up_in_parts() {
    let (service, seen) = noting(|_, _| Answer::ThenClose(Vec::new())).await;
    let uploads = client(&service).uploads();
    let upload = |source| uploads.upload(source).filename("x");

    let error = within(upload(pieces()).send()).await.unwrap_err();
    assert!(error.is_invalid_input() && error.hint().unwrap().contains(".spool("), "{error}");
    let error = within(upload(pieces()).spool(6).send()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
    let error = within(upload(pieces().size(8)).spool(100).send()).await.unwrap_err();
    assert!(error.is_invalid_input(), "{error}");
    // Nobody reads a source for a name that can't be sent.
    let error = within(uploads.upload(Source::factory(|| async { unread() })).spool(100).send()).await.unwrap_err();
    assert!(error.is_invalid_input(), "{error}");

    let wrong = "0".repeat(64);
    for expected in [wrong.as_str(), "12"] {
        let error = within(upload("content".as_bytes().into()).expect_sha256(expected).send()).await.unwrap_err();
        let kind = if expected == "12" { ErrorKind::InvalidInput } else { ErrorKind::IntegrityMismatch };
        assert_eq!(error.kind(), kind, "{error}");
        let of_session = client(&service).upload_session(ID).resume("content".as_bytes()).expect_sha256(expected);
        assert_eq!(within(of_session.send()).await.unwrap_err().kind(), kind);
    }
    let error = within(upload(pieces()).spool(7).expect_sha256(wrong).send()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IntegrityMismatch);
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_was_expected_goes_up_in_parts() {
    let (bucket, _) = noting(|_, _| Answer::Bytes(answer(200, TAG, b""))).await;
    let service = in_one_part(&bucket).await;
    let phases = Arc::new(Mutex::new(Vec::new()));
    let seen = phases.clone();
    let upload = client(&service).uploads().upload("content".as_bytes()).filename("x");
    let upload =
        upload.progress_interval(Duration::ZERO).progress(move |p| seen.lock().unwrap().push((p.phase, p.sent)));
    let done = within(upload.expect_sha256(hash_of(b"content").to_uppercase()).send()).await.unwrap();
    assert_eq!((done.sent, done.checked), (7, Checked::Sha256));
    assert_eq!(phases.lock().unwrap()[..2], [(Phase::Hashing, 0), (Phase::Hashing, 7)]);
}

#[tokio::test]
async fn what_was_kept_is_sent_again() {
    let (server, seen) = noting(|head, n| match (head.method.as_str(), n) {
        ("POST", 0) => Answer::Bytes(answer(503, "", b"")),
        ("POST", _) => Answer::Bytes(answer(201, "", &stored("x.txt", b"content"))),
        _ => Answer::Bytes(page(b"")),
    })
    .await;
    let files = client(&server).files();
    assert_eq!(within(files.upload(pieces()).filename("x.txt").spool(7).send()).await.unwrap().id, ID);
    assert_eq!(posts(&seen), 2);
    let length = |head: &String| head.to_lowercase().contains("content-length: ");
    assert!(seen.lock().unwrap().iter().filter(|head| head.starts_with("POST")).all(length), "it is known");

    let error = within(files.upload(pieces()).filename("x.txt").spool(6).send()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::PayloadTooLarge, 0), "{error}");
    let slow = Source::stream(futures::stream::pending::<std::io::Result<Vec<u8>>>());
    let limited = files.upload(slow).filename("x.txt").spool(7).timeout(Duration::from_millis(50));
    assert!(within(limited.send()).await.unwrap_err().is_timeout());
    assert_eq!(posts(&seen), 2);
}

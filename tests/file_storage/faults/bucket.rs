//! Downloads from a bucket that misbehaves.

use std::sync::{Arc, Mutex};

use carbonfiles::ErrorKind;

use super::{EXPIRED, ID, builder, client, hash_of, noting, stored};
use crate::support::{Answer, Head, RawServer, answer, part_or_whole, within};

/// A bucket, and a service that sends downloads there.
async fn with_bucket(
    bucket: impl Fn(&Head, u32) -> Answer + Send + Sync + 'static,
    content: &'static [u8],
) -> (RawServer, Arc<Mutex<Vec<String>>>, RawServer, Arc<Mutex<Vec<String>>>) {
    let (bucket, at_bucket) = noting(bucket).await;
    let url = bucket.url.clone();
    let (service, at_service) = noting(move |head, n| match head.target.as_str() {
        target if target.ends_with("/download") => {
            let location = format!("Location: {url}/files/k?X-Amz-Signature=0123456789abcdef{n}&X-Amz-Expires=300\r\n");
            Answer::Bytes(answer(302, &location, b""))
        }
        _ => Answer::Bytes(answer(200, "", &stored("x.txt", content))),
    })
    .await;
    (service, at_service, bucket, at_bucket)
}

#[tokio::test]
async fn a_bucket_gets_no_credential_and_is_checked_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let object = |_: &Head, _| Answer::Bytes(answer(200, "ETag: \"0123\"\r\n", b"content"));
    let (service, _, _bucket, seen) = with_bucket(object, b"content").await;
    let own = builder(&service.url).default_header("x-team", "secret").build().unwrap();
    let done = within(own.file(ID).download_to(folder.path().join("x")).send()).await.unwrap();
    assert!(done.verified_sha256.is_some());
    {
        let seen = seen.lock().unwrap();
        let head = seen[0].to_lowercase();
        assert!(
            !head.contains("authorization") && !head.contains("secret") && head.contains("accept-encoding: identity")
        );
    }
    // The bucket has other bytes than the service knows of.
    let (service, _, _bucket, _) = with_bucket(object, b"CONTENT").await;
    let error = within(client(&service).file(ID).download_to(folder.path().join("y")).send()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IntegrityMismatch);
    assert!(!folder.path().join("y").exists());
}

#[tokio::test]
async fn a_public_file_of_a_bucket_is_compared_with_the_hash_of_the_service() {
    for (object, good) in [(&b"content"[..], true), (b"CONTENT", false)] {
        let (bucket, _) = noting(move |_, _| Answer::Bytes(answer(200, "ETag: \"0123\"\r\n", object))).await;
        let hash = hash_of(b"content");
        let head = format!("ETag: \"{hash}\"\r\nLocation: {}/k?X-Amz-Signature=0123456789abcdef\r\n", bucket.url);
        let (service, _) = noting(move |_, _| Answer::Bytes(answer(302, &head, b""))).await;
        let download = within(client(&service).public_file(ID).download().send()).await.unwrap();
        assert_eq!(download.info().sha256(), Some(hash_of(b"content").as_str()));
        let outcome = within(download.bytes(10)).await;
        assert_eq!(outcome.is_ok(), good);
        if let Err(error) = outcome {
            assert_eq!(error.kind(), ErrorKind::IntegrityMismatch);
        }
    }
}

#[tokio::test]
async fn a_hash_that_one_knows_is_compared_with_whatever_the_service_says() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("x");
    std::fs::write(&target, "old").unwrap();
    let object = |_: &Head, _| Answer::Bytes(answer(200, "ETag: \"0123\"\r\n", b"content"));
    let (hash, wrong) = (hash_of(b"content"), hash_of(b"CONTENT"));
    // The service speaks of other bytes.
    let (service, at_service, _bucket, _) = with_bucket(object, b"CONTENT").await;
    let client = client(&service);
    let file = client.file(ID);
    for error in [
        within(file.download_to(&target).expect_sha256(&wrong).send()).await.unwrap_err(),
        within(file.download().expect_sha256(&wrong).send()).await.unwrap().bytes(10).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::IntegrityMismatch);
        assert!(error.message().contains(&hash) && error.message().contains(&wrong), "{error}");
    }
    assert_eq!(std::fs::read(&target).unwrap(), b"old");
    let download = within(file.download().expect_sha256(&hash).send()).await.unwrap();
    assert_eq!(download.bytes(10).await.unwrap(), "content");
    let done = within(file.download_to(&target).expect_sha256(&hash).verify(false).send()).await.unwrap();
    assert_eq!(done.verified_sha256, Some(hash.clone()));
    assert_eq!(std::fs::read(&target).unwrap(), b"content");
    assert!(at_service.lock().unwrap().iter().all(|head| head.contains("/download")), "nobody is asked for another");

    let (service, _) = noting(move |_, _| Answer::Bytes(answer(200, "", b"content"))).await;
    let public = super::client(&service).public_file(ID);
    let error = within(public.download_to(&target).expect_sha256(&wrong).send()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IntegrityMismatch);
    let download = within(public.download().expect_sha256(wrong).send()).await.unwrap();
    assert_eq!(download.bytes(10).await.unwrap_err().kind(), ErrorKind::IntegrityMismatch);
    let done = within(public.download_to(&target).expect_sha256(&hash).send()).await.unwrap();
    assert_eq!(done.verified_sha256, Some(hash));
}

#[tokio::test]
async fn a_download_goes_on_with_a_fresh_url_after_a_cut() {
    let object = |head: &Head, n| match n {
        0 => {
            Answer::ThenClose([&b"HTTP/1.1 200 X\r\nETag: \"v1\"\r\nContent-Length: 10\r\n\r\n"[..], b"01234"].concat())
        }
        1 => Answer::Bytes(answer(403, "", EXPIRED)),
        _ => {
            assert!(head.text.to_lowercase().contains("range: bytes=5-9"), "{}", head.text);
            Answer::Bytes(answer(206, "ETag: \"v1\"\r\nContent-Range: bytes 5-9/10\r\n", b"56789"))
        }
    };
    let (service, at_service, _bucket, at_bucket) = with_bucket(object, b"0123456789").await;
    let download = within(client(&service).file(ID).download().send()).await.unwrap();
    assert_eq!(within(download.bytes(10)).await.unwrap(), "0123456789");
    let targets: Vec<_> =
        at_bucket.lock().unwrap().iter().map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(targets.len(), 3);
    assert!(targets[0] != targets[1] && targets[1] != targets[2], "{targets:?}");
    assert!(at_service.lock().unwrap().iter().all(|head| head.to_lowercase().contains("authorization")));
}

#[tokio::test]
async fn a_bucket_that_refuses_is_understood() {
    let body = b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>";
    let (service, _, _bucket, _) = with_bucket(|_, _| Answer::Bytes(answer(404, "", body)), b"x").await;
    let error = within(client(&service).file(ID).download().send()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, Some("NoSuchKey")));
    assert!(!format!("{error} {error:?}").contains("0123456789abcdef"));
}

/// Of the rest of a content, after a cut: of who is before the bucket or the service, and of these themselves.
#[tokio::test]
async fn a_404_after_a_cut_is_believed_only_in_their_own_words() {
    let own = br#"{"detail":{"code":"file_storage.not_found","message":"File not found"}}"#;
    let key = b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>";
    for (at_bucket, is_gone, body) in [
        (true, false, &b"<html>"[..]),
        (true, false, b""),
        (true, true, key),
        (false, false, br#"{"detail":"Not Found"}"#),
        (false, false, b"404 page not found"),
        (false, true, own),
    ] {
        let content = move |head: &Head, n| match n {
            0 => {
                let head = &b"HTTP/1.1 200 X\r\nETag: \"v1\"\r\nContent-Length: 10\r\n\r\n"[..];
                Answer::ThenClose([head, b"01234"].concat())
            }
            1 => Answer::Bytes(answer(404, "", body)),
            _ => {
                assert!(head.text.to_lowercase().contains("range: bytes=5-9"), "{}", head.text);
                Answer::Bytes(answer(206, "ETag: \"v1\"\r\nContent-Range: bytes 5-9/10\r\n", b"56789"))
            }
        };
        let (service, _bucket, seen) = match at_bucket {
            true => {
                let (service, _, bucket, seen) = with_bucket(content, b"0123456789").await;
                (service, Some(bucket), seen)
            }
            false => {
                let (service, seen) = noting(content).await;
                (service, None, seen)
            }
        };
        let download = within(client(&service).file(ID).download().verify(false).send()).await.unwrap();
        let (outcome, body) = (within(download.bytes(10)).await, String::from_utf8_lossy(body));
        match is_gone {
            true => assert_eq!(outcome.unwrap_err().kind(), ErrorKind::ContentChanged, "{body}"),
            false => assert_eq!(outcome.unwrap(), "0123456789", "{body}"),
        }
        assert_eq!(seen.lock().unwrap().len(), if is_gone { 2 } else { 3 }, "{body}");
    }
}

#[tokio::test]
async fn ranges_of_a_bucket_are_put_together_and_compared() {
    const WHOLE: usize = 5 << 20;
    let content: Arc<[u8]> = (0..WHOLE).map(|n| (n * 7 / 3) as u8).collect();
    for right in [true, false] {
        let object = content.clone();
        let (bucket, at_bucket) =
            noting(move |head, _| Answer::Bytes(part_or_whole(head, "ETag: \"v1\"\r\n", &object, usize::MAX))).await;
        let url = bucket.url.clone();
        let hash = if right { hash_of(&content) } else { hash_of(b"other") };
        let metadata = String::from_utf8(stored("x.txt", &content)).unwrap().replace(&hash_of(&content), &hash);
        let (service, _) = noting(move |head, n| {
            if head.method == "GET" && !head.target.ends_with("/download") && !head.target.contains("/public/") {
                return Answer::Bytes(answer(200, "", metadata.as_bytes()));
            }
            let tag = if head.target.contains("/public/") { format!("ETag: \"{hash}\"\r\n") } else { String::new() };
            let location = format!("{tag}Location: {url}/k?X-Amz-Signature=0123456789abcdef{n}\r\n");
            Answer::Bytes(answer(302, &location, b""))
        })
        .await;
        let client = client(&service);
        for download in [
            within(client.file(ID).download().parallel(3).send()).await.unwrap(),
            within(client.public_file(ID).download().parallel(3).send()).await.unwrap(),
        ] {
            assert!(download.info().sha256().is_some());
            match within(download.bytes(WHOLE)).await {
                Ok(bytes) => assert!(right && bytes == content[..]),
                Err(error) => assert!(!right && error.kind() == ErrorKind::IntegrityMismatch, "{error}"),
            }
        }
        assert_eq!(at_bucket.lock().unwrap().len(), 6);
    }
}

//! Servers, buckets and networks that misbehave.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use carbonfiles::file_storage::{Client, ClientBuilder};
use carbonfiles::{ErrorKind, Source};
use chrono::Utc;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Answer, Head, RawServer, answer, quick, secrets, within};

const ID: &str = "3b53bad0-8223-48db-81fb-d6600ae05a40";
const EXPIRED: &[u8] = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";

fn builder(url: &str) -> ClientBuilder {
    secrets::watch();
    secrets::keep("smpat_secret");
    Client::builder(url).token("smpat_secret").retry(quick()).http(reqwest::ClientBuilder::no_proxy)
}

fn client(server: &RawServer) -> Client {
    builder(&server.url).build().unwrap()
}

fn hash_of(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn stored(name: &str, content: &[u8]) -> Vec<u8> {
    let hash = hash_of(content);
    format!(
        r#"{{"id":"{ID}","key":"k","filename":"{name}","content_type":"text/plain","size_bytes":{},"backend":"s3",
        "checksum_sha256":"{hash}","uploaded_by":null,"created_at":"{}","public":false,"public_url":null}}"#,
        content.len(),
        Utc::now().format("%Y-%m-%dT%H:%M:%S%.6fZ"),
    )
    .into_bytes()
}

fn page(items: &[u8]) -> Vec<u8> {
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    let body = [&br#"{"items":["#[..], items, br#"],"total":1,"page":1,"per_page":20}"#].concat();
    answer(200, &format!("Date: {date}\r\n"), &body)
}

/// A server that notes what it is asked.
async fn noting(
    respond: impl Fn(&Head, u32) -> Answer + Send + Sync + 'static,
) -> (RawServer, Arc<Mutex<Vec<String>>>) {
    let (seen, count) = (Arc::new(Mutex::new(Vec::new())), AtomicU32::new(0));
    let notes = seen.clone();
    let server = RawServer::start(move |head| {
        notes.lock().unwrap().push(head.text.clone());
        respond(head, count.fetch_add(1, Ordering::SeqCst))
    })
    .await;
    (server, seen)
}

#[tokio::test]
async fn too_many_requests_are_waited_for() {
    let (server, seen) = noting(|_, n| match n {
        0 => Answer::Bytes(answer(429, "Retry-After: 1\r\n", br#"{"detail":"Too many requests.","retry_after":1}"#)),
        _ => Answer::Bytes(page(b"")),
    })
    .await;
    let start = tokio::time::Instant::now();
    within(client(&server).files().list().send()).await.unwrap();
    assert!(start.elapsed().as_millis() >= 1000 && seen.lock().unwrap().len() == 2);
}

#[tokio::test]
async fn maintenance_is_not_waited_for() {
    let body = br#"{"detail":"Service temporarily unavailable"}"#;
    let (server, seen) = noting(|_, _| Answer::Bytes(answer(503, "Retry-After: 3600\r\n", body))).await;
    let error = within(client(&server).files().list().send()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after().unwrap().as_secs()), (ErrorKind::Server, 3600));
    assert_eq!((error.message(), seen.lock().unwrap().len()), ("Service temporarily unavailable", 1));
}

#[tokio::test]
async fn a_service_that_is_not_set_up() {
    let (server, _) = noting(|_, _| Answer::Bytes(answer(302, "Location: /setup\r\n", b""))).await;
    let login = Client::builder(&server.url).login("a@example.com", "x").http(reqwest::ClientBuilder::no_proxy);
    for error in [
        within(login.build().unwrap().files().list().send()).await.unwrap_err(),
        within(client(&server).file(ID).get().send()).await.unwrap_err(),
        within(client(&server).file(ID).download().send()).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("not set up yet"), "{error}");
    }
    // By its public name, which is another origin than the one that was asked.
    let (elsewhere, asked) = noting(|_, _| Answer::Bytes(answer(200, "", b"<html>"))).await;
    let location = format!("Location: {}/setup?next=/\r\n", elsewhere.url);
    let (server, _) = noting(move |_, _| Answer::Bytes(answer(302, &location, b""))).await;
    for error in [
        within(client(&server).file(ID).download().send()).await.unwrap_err(),
        within(client(&server).public_file(ID).download().send()).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("not set up yet"), "{error}");
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_page_for_browsers_is_not_shown() {
    let html = "<!DOCTYPE html>".to_owned() + &"x".repeat(70_000);
    let (server, seen) =
        noting(move |_, _| Answer::Bytes(answer(404, "Content-Type: text/html\r\n", html.as_bytes()))).await;
    let error = within(client(&server).file(ID).get().send()).await.unwrap_err();
    assert!(error.is_not_found() && !error.message().contains("DOCTYPE") && !error.message().contains("xxx"));
    assert!(seen.lock().unwrap()[0].to_lowercase().contains("accept: application/json"));
}

#[tokio::test]
async fn metadata_survives_what_passes() {
    for fault in [answer(500, "", b""), answer(502, "", b"<html>"), answer(503, "", b""), Vec::new()] {
        let (server, _) = noting(move |_, n| match n {
            0 | 1 => Answer::ThenClose(fault.clone()),
            _ => Answer::Bytes(answer(200, "", &stored("x", b"x"))),
        })
        .await;
        assert_eq!(within(client(&server).file(ID).get().send()).await.unwrap().id, ID);
    }
}

#[tokio::test]
async fn a_deletion_whose_answer_was_lost_has_succeeded() {
    let (server, seen) = noting(|_, n| match n {
        0 => Answer::ThenClose(Vec::new()),
        _ => Answer::Bytes(answer(
            404,
            "",
            br#"{"detail":{"code":"file_storage.not_found","message":"File not found"}}"#,
        )),
    })
    .await;
    within(client(&server).file(ID).delete().send()).await.unwrap();
    assert_eq!(seen.lock().unwrap().len(), 2);
}

/// A server on a bare socket: what `respond` writes to a connection, by number.
async fn bare<F, Fut>(respond: F) -> String
where
    F: Fn(tokio::net::TcpStream, u32) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut n = 0;
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(respond(socket, n));
            n += 1;
        }
    });
    url
}

/// Reads until so many bytes have come.
async fn read(socket: &mut tokio::net::TcpStream, bytes: usize) -> Vec<u8> {
    let mut read = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    while read.len() < bytes {
        match socket.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(n) => read.extend_from_slice(&buffer[..n]),
        }
    }
    read
}

/// Reads until what comes ends with this.
async fn read_to(socket: &mut tokio::net::TcpStream, end: &[u8]) {
    let (mut last, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    while !last.ends_with(end) {
        match socket.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(n) => {
                last.extend_from_slice(&buffer[..n]);
                last.drain(..last.len().saturating_sub(end.len()));
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_a_body() {
    let url = bare(|mut socket, _| async move {
        // The head is enough for it, as for the service's guard; the rest is left unread, which resets the connection.
        read(&mut socket, 1).await;
        let body = br#"{"detail":"Request body is too large.","max_bytes":1049576}"#;
        let _ = socket.write_all(&answer(413, "Connection: close\r\n", body)).await;
    })
    .await;
    for _ in 0..10 {
        let upload = builder(&url).build().unwrap().files().upload(vec![0; 32 << 20]).filename("big.bin");
        let error = within(upload.send()).await.unwrap_err();
        assert_eq!((error.kind(), error.max_bytes()), (ErrorKind::PayloadTooLarge, Some(1_049_576)), "{error:?}");
    }
}

#[tokio::test]
async fn an_upload_that_breaks_in_its_middle_is_sent_again() {
    // More than the sockets' buffers take: what was handed over whole is not sent again.
    let content = vec![7u8; 48 << 20];
    let answered = stored("x.txt", &content);
    let url = bare(move |mut socket, n| {
        let answered = answered.clone();
        async move {
            // The first connection breaks; the second is the question for a refusal, which nobody answers.
            match n {
                0 | 1 => drop(read(&mut socket, 200_000).await),
                _ => {
                    // An answer before the last byte would be taken for a refusal that is none.
                    read_to(&mut socket, b"--\r\n").await;
                    let _ = socket.write_all(&answer(201, "", &answered)).await;
                    let _ = socket.read(&mut [0; 1]).await;
                }
            }
        }
    })
    .await;
    let upload = builder(&url).build().unwrap().files().upload(content).filename("x.txt");
    assert_eq!(within(upload.send()).await.unwrap().id, ID);
}

#[tokio::test]
async fn an_upload_whose_answer_was_lost_is_looked_for() {
    let (server, seen) = noting(|head, _| match head.method.as_str() {
        "POST" => Answer::ThenClose(Vec::new()),
        _ => Answer::Bytes(page(&stored("x.txt", b"content"))),
    })
    .await;
    let upload = client(&server).files().upload("content".as_bytes()).filename("x.txt");
    assert_eq!(within(upload.send()).await.unwrap().id, ID);
    let posts = seen.lock().unwrap().iter().filter(|head| head.starts_with("POST")).count();
    assert_eq!(posts, 1, "never sent twice");

    // One of before, or with another content, is not it.
    for found in [stored("x.txt", b"CONTENT"), stored("y.txt", b"content"), {
        let old = String::from_utf8(stored("x.txt", b"content")).unwrap();
        old.replace(&Utc::now().format("%Y-").to_string(), "2020-").into_bytes()
    }] {
        let (server, seen) = noting(move |head, _| match head.method.as_str() {
            "POST" => Answer::ThenClose(Vec::new()),
            _ => Answer::Bytes(page(&found)),
        })
        .await;
        let upload = client(&server).files().upload("content".as_bytes()).filename("x.txt");
        let error = within(upload.send()).await.unwrap_err();
        assert!(
            error.kind() == ErrorKind::Interrupted && error.hint().unwrap().contains("look for the file"),
            "{error}"
        );
        assert_eq!(seen.lock().unwrap().iter().filter(|head| head.starts_with("POST")).count(), 1);
    }
}

#[tokio::test]
async fn a_failure_inside_the_service_makes_no_second_file() {
    let upload = |server: &RawServer| client(server).files().upload("content".as_bytes()).filename("x.txt").send();
    for status in [500, 502, 503, 504] {
        // It was stored all the same.
        let (server, seen) = noting(move |head, _| match head.method.as_str() {
            "POST" => Answer::Bytes(answer(status, "", b"")),
            _ => Answer::Bytes(page(&stored("x.txt", b"content"))),
        })
        .await;
        assert_eq!(within(upload(&server)).await.unwrap().id, ID);
        assert_eq!(posts(&seen), 1, "{status}");
        // It can't be told: nobody answers.
        let (server, seen) = noting(move |_, _| Answer::Bytes(answer(status, "", b""))).await;
        let error = within(upload(&server)).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Server && error.hint().unwrap().contains("look for the file"), "{error}");
        assert_eq!(posts(&seen), 1, "{status}");
    }
    // It is not there: with a 503 it is sent again, else it may be on its way.
    for (status, sent) in [(500, 1), (502, 1), (503, 2), (504, 1)] {
        let (server, seen) = noting(move |head, n| match (head.method.as_str(), n) {
            ("POST", 0) => Answer::Bytes(answer(status, "", b"")),
            ("POST", _) => Answer::Bytes(answer(201, "", &stored("x.txt", b"content"))),
            _ => Answer::Bytes(page(b"")),
        })
        .await;
        match within(upload(&server)).await {
            Ok(_) => assert_eq!(status, 503),
            Err(error) => assert!(error.hint().unwrap().contains("not stored yet"), "{error}"),
        }
        assert_eq!(posts(&seen), sent, "{status}");
    }
}

fn posts(seen: &Mutex<Vec<String>>) -> usize {
    seen.lock().unwrap().iter().filter(|head| head.starts_with("POST")).count()
}

#[tokio::test]
async fn a_gateway_that_never_recovers_is_left_alone() {
    let (server, seen) = noting(|head, _| match head.method.as_str() {
        "POST" => Answer::Bytes(answer(503, "", b"")),
        _ => Answer::Bytes(page(b"")),
    })
    .await;
    let upload = client(&server).files().upload("content".as_bytes()).filename("x.txt").send();
    let error = within(upload).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts(), posts(&seen)), (ErrorKind::Server, 4, 4), "{error}");
}

#[tokio::test]
async fn another_file_is_not_taken_for_the_one_that_was_sent() {
    let text = |content: &[u8]| String::from_utf8(stored("x.txt", content)).unwrap();
    let it = text(b"content");
    let unlike = [
        it.replace(r#""public":false"#, r#""public":true"#),
        it.replace("text/plain", "text/x"),
        it.replace(r#""size_bytes":7"#, r#""size_bytes":8"#),
        text(b"CONTENT"),
    ];
    for other in unlike {
        let (server, seen) = noting(move |head, _| match head.method.as_str() {
            "POST" => Answer::ThenClose(Vec::new()),
            _ => Answer::Bytes(page(other.as_bytes())),
        })
        .await;
        let upload = client(&server).files().upload("content".as_bytes()).filename("x.txt").send();
        assert_eq!((within(upload).await.unwrap_err().kind(), posts(&seen)), (ErrorKind::Interrupted, 1));
    }
    // Of two that are equal, it could be either.
    let both = format!("{it},{it}");
    let (server, _) = noting(move |head, _| match head.method.as_str() {
        "POST" => Answer::ThenClose(Vec::new()),
        _ => Answer::Bytes(page(both.as_bytes())),
    })
    .await;
    let upload = client(&server).files().upload("content".as_bytes()).filename("x.txt").send();
    let error = within(upload).await.unwrap_err();
    assert!(error.hint().unwrap().contains("several equal files"), "{error}");
}

#[tokio::test]
async fn an_upload_that_was_limited_goes_again_and_one_over_the_quota_does_not() {
    let (server, seen) = noting(|_, n| match n {
        0 => Answer::Bytes(answer(429, "Retry-After: 1\r\n", br#"{"detail":"Too many requests.","retry_after":1}"#)),
        _ => Answer::Bytes(answer(201, "", &stored("x.txt", b"content"))),
    })
    .await;
    let start = tokio::time::Instant::now();
    within(client(&server).files().upload("content".as_bytes()).filename("x.txt").send()).await.unwrap();
    assert!(start.elapsed().as_millis() >= 1000 && seen.lock().unwrap().len() == 2);

    let body = br#"{"detail":{"code":"file_storage.quota_exceeded","message":"Quota exceeded"}}"#;
    let (server, seen) = noting(|_, _| Answer::Bytes(answer(413, "", body))).await;
    let error =
        within(client(&server).files().upload("content".as_bytes()).filename("x.txt").send()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::QuotaExceeded, Some("file_storage.quota_exceeded")));
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_can_be_read_once_is_not_sent_again() {
    let (server, seen) = noting(|head, _| match head.method.as_str() {
        "POST" => Answer::Bytes(answer(503, "", b"")),
        _ => Answer::Bytes(page(b"")),
    })
    .await;
    let source = Source::reader(&b"content"[..]).size(7);
    let error = within(client(&server).files().upload(source).filename("x.txt").send()).await.unwrap_err();
    assert!(error.hint().unwrap().contains("read only once") && posts(&seen) == 1, "{error}");
}

#[tokio::test]
async fn what_was_stored_is_not_what_was_sent() {
    let (server, _) = noting(|_, _| Answer::Bytes(answer(201, "", &stored("x.txt", b"CONTENT")))).await;
    let upload = client(&server).files().upload("content".as_bytes()).filename("x.txt");
    assert_eq!(within(upload.send()).await.unwrap_err().kind(), ErrorKind::IntegrityMismatch);
}

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
    let client = builder(&service.url).default_header("x-team", "secret").build().unwrap();
    let done = within(client.file(ID).download_to(folder.path().join("x")).send()).await.unwrap();
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
    let error = within(client_of(&service).file(ID).download_to(folder.path().join("y")).send()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IntegrityMismatch);
    assert!(!folder.path().join("y").exists());
}

fn client_of(server: &RawServer) -> Client {
    client(server)
}

#[tokio::test]
async fn a_public_file_of_a_bucket_is_compared_with_the_hash_of_the_service() {
    for (object, good) in [(&b"content"[..], true), (b"CONTENT", false)] {
        let (bucket, _) = noting(move |_, _| Answer::Bytes(answer(200, "ETag: \"0123\"\r\n", object))).await;
        let hash: String = Sha256::digest(b"content").iter().map(|byte| format!("{byte:02x}")).collect();
        let head = format!("ETag: \"{hash}\"\r\nLocation: {}/k?X-Amz-Signature=0123456789abcdef\r\n", bucket.url);
        let (service, _) = noting(move |_, _| Answer::Bytes(answer(302, &head, b""))).await;
        let download = within(client_of(&service).public_file(ID).download().send()).await.unwrap();
        assert_eq!(download.info().sha256(), Some(hash_of(b"content").as_str()));
        let outcome = within(download.bytes(10)).await;
        assert_eq!(outcome.is_ok(), good);
        if let Err(error) = outcome {
            assert_eq!(error.kind(), ErrorKind::IntegrityMismatch);
        }
    }
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
    let download = within(client_of(&service).file(ID).download().send()).await.unwrap();
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
    let error = within(client_of(&service).file(ID).download().send()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, Some("NoSuchKey")));
    assert!(!format!("{error} {error:?}").contains("0123456789abcdef"));
}

#[tokio::test]
async fn a_part_gets_a_fresh_url_when_one_has_expired() {
    let (bucket, at_bucket) = noting(|_, n| match n {
        0 => Answer::Bytes(answer(403, "", EXPIRED)),
        1 => Answer::ThenClose(Vec::new()),
        // The MD5 of "content".
        _ => Answer::Bytes(answer(200, "ETag: \"9a0364b9e99bb480dd25e1f0284c8555\"\r\n", b"")),
    })
    .await;
    let service = in_one_part(&bucket).await;
    let done = within(client(&service).upload(ID).resume("content".as_bytes()).send()).await.unwrap();
    assert_eq!(done.sent, 7);
    let seen = at_bucket.lock().unwrap();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|head| !head.to_lowercase().contains("authorization")));
}

/// A service whose bucket takes the only part of a session of 7 bytes.
async fn in_one_part(bucket: &RawServer) -> RawServer {
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
            "complete" => session("completed", std::str::from_utf8(&stored("x", b"content")).unwrap()),
            _ => session("active", "null"),
        };
        Answer::Bytes(answer(200, "", body.as_bytes()))
    })
    .await;
    service
}

#[tokio::test]
async fn a_part_survives_what_a_bucket_says_in_passing() {
    use carbonfiles::Phase;
    const TAG: &str = "ETag: \"9a0364b9e99bb480dd25e1f0284c8555\"\r\n";
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
    let resumed = client(&service).upload(ID).resume("content".as_bytes());
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
    let error = within(client(&service).upload(ID).resume("content".as_bytes()).send()).await.unwrap_err();
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
    // Expired before: nothing is sent. Expired on the way: the service says it, and is not asked again.
    let (gone, active) = (session("aborted"), session("active"));
    let (server, seen) = noting(move |_, _| Answer::Bytes(answer(200, "", gone.as_bytes()))).await;
    let error = within(client(&server).upload(ID).resume("content".as_bytes()).send()).await.unwrap_err();
    assert_eq!((error.kind(), seen.lock().unwrap().len()), (ErrorKind::Conflict, 1), "{error}");
    assert!(error.hint().unwrap().contains("anew"));

    let (server, seen) = noting(move |head, _| match (head.method.as_str(), head.target.ends_with("/part-urls")) {
        ("GET", _) => Answer::Bytes(answer(200, "", active.as_bytes())),
        (_, true) => Answer::Bytes(answer(200, "", br#"{"urls":{"1":"/x"},"direct":false}"#)),
        _ => Answer::Bytes(answer(409, "", closed)),
    })
    .await;
    let error = within(client(&server).upload(ID).resume("content".as_bytes()).send()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, Some("file_storage.upload_session_closed")));
    assert!(error.hint().unwrap().contains("anew") && seen.lock().unwrap().len() == 3, "{error}");

    // Cleaned away.
    let missing = br#"{"detail":{"code":"file_storage.not_found","message":"Not found"}}"#;
    let (server, _) = noting(|_, _| Answer::Bytes(answer(404, "", missing))).await;
    let error = within(client(&server).upload(ID).resume("content".as_bytes()).send()).await.unwrap_err();
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
    let part = || client(&service).upload(ID).upload_part(1, "content".as_bytes());
    let error = within(part().send()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IntegrityMismatch);
    // As the hint says: a bucket with keys of its own has other tags.
    assert!(error.hint().unwrap().contains(".verify(false)"));
    assert_eq!(within(part().verify(false).send()).await.unwrap().size, 7);
}

#[tokio::test]
async fn news_go_on_after_an_outage_and_end_with_the_credential() {
    use carbonfiles::file_storage::files::FileEvent;
    use futures::TryStreamExt;
    let (server, _) = noting(|_, n| match n {
        0 | 1 => Answer::Bytes(answer(200, "", br#"{"items":[],"total":0,"page":1,"per_page":200}"#)),
        2..=5 => Answer::Bytes(answer(502, "", b"")),
        6 | 7 => Answer::Bytes(page(&stored("x.txt", b"content"))),
        _ => Answer::Bytes(answer(401, "", br#"{"detail":"Not authenticated"}"#)),
    })
    .await;
    let mut news = client(&server).files().watch().interval(std::time::Duration::from_millis(1));
    assert_eq!(within(news.try_next()).await.unwrap(), Some(FileEvent::Ready { files: 0 }));
    assert!(matches!(within(news.try_next()).await.unwrap(), Some(FileEvent::Unreachable { .. })));
    assert!(matches!(within(news.try_next()).await.unwrap(), Some(FileEvent::Uploaded(file)) if file.id == ID));
    assert_eq!(within(news.try_next()).await.unwrap_err().kind(), ErrorKind::Unauthenticated);
    assert!(within(news.try_next()).await.unwrap().is_none());
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
        let resumed = client(&service).upload(ID).resume("content".as_bytes());
        assert_eq!(within(resumed.send()).await.unwrap_err().kind(), ErrorKind::Decode);
        assert_eq!(seen.lock().unwrap().len(), 1);
    }
    // Complete before, and without a hash: nothing can be compared.
    let body = session("completed", 7, 1);
    let (service, _) = noting(move |_, _| Answer::Bytes(answer(200, "", body.as_bytes()))).await;
    let done = within(client(&service).upload(ID).resume("content".as_bytes()).send()).await.unwrap();
    assert_eq!((done.sent, done.checked), (0, carbonfiles::file_storage::uploads::Checked::Nothing));
}

#[tokio::test]
async fn a_renewal_that_fails_is_not_sent_again() {
    for status in [429, 503] {
        let (server, seen) = noting(move |head, _| match head.target.as_str() {
            "/api/users/auth/token" => {
                let pair = br#"{"access_token":"one","refresh_token":"r","expires_in":0}"#;
                Answer::Bytes(answer(200, "", pair))
            }
            _ => Answer::Bytes(answer(status, "", b"")),
        })
        .await;
        let login = Client::builder(&server.url).login("a@example.com", "x").retry(quick());
        let client = login.http(reqwest::ClientBuilder::no_proxy).build().unwrap();
        let _ = within(client.files().list().send()).await;
        let before = seen.lock().unwrap().len();
        let refreshes = || seen.lock().unwrap()[before..].iter().filter(|head| head.contains("/refresh")).count();
        let _ = within(client.file(ID).delete().send()).await.unwrap_err();
        assert!(refreshes() <= 1, "{status}: {}", refreshes());
    }
}

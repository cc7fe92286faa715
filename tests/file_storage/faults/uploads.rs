//! Uploads that break, and what becomes of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use carbonfiles::{ErrorKind, Source};
use chrono::Utc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{ID, builder, client, noting, page, posts, stored};
use crate::support::{Answer, GUARD, RawServer, answer, quick, within};

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
async fn a_file_is_found_by_a_slow_look_as_well() {
    // The service's clock has gone on between the upload and the listing, which came late.
    let later = httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(1_750_000_003));
    let at = "2025-06-15T15:06:40.500000Z"; // 2.5 s before that
    let (server, seen) = noting(move |head, n| match (head.method.as_str(), n) {
        ("POST", _) => Answer::ThenClose(Vec::new()),
        (_, 1) => Answer::Bytes(answer(503, "Retry-After: 1\r\n", b"")),
        _ => {
            let mut file: serde_json::Value = serde_json::from_slice(&stored("x.txt", b"content")).unwrap();
            file["created_at"] = at.into();
            let page = serde_json::json!({"items": [file], "total": 1, "page": 1, "per_page": 200});
            Answer::Bytes(answer(200, &format!("Date: {later}\r\n"), page.to_string().as_bytes()))
        }
    })
    .await;
    let upload = client(&server).files().upload("content".as_bytes()).filename("x.txt");
    assert_eq!(within(upload.send()).await.unwrap().id, ID);
    assert_eq!((posts(&seen), seen.lock().unwrap().len()), (1, 3));
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

/// What is sent again after a look is a part of the same call.
#[tokio::test]
async fn an_upload_is_not_sent_more_often_than_its_policy_says() {
    let tries = AtomicU32::new(0);
    let (server, seen) = noting(move |head, _| match head.method.as_str() {
        "POST" if tries.fetch_add(1, Ordering::SeqCst) == 0 => Answer::Bytes(answer(503, "", b"")),
        "POST" => Answer::Bytes(answer(429, "", b"")),
        _ => Answer::Bytes(page(b"")),
    })
    .await;
    let upload = client(&server).files().upload("content".as_bytes()).filename("x.txt");
    let error = within(upload.retry(quick().max_attempts(4)).send()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts(), posts(&seen)), (ErrorKind::RateLimited, 4, 4), "{error}");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_upload_does_not_take_the_file_of_an_equal_one() {
    let (first, came) = std::sync::mpsc::channel();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (first, held) = (Mutex::new(first), Mutex::new(held));
    let (server, _) = noting(move |head, n| match (head.method.as_str(), n) {
        // Its answer is lost, when that of the other one has arrived.
        ("POST", 0) => {
            first.lock().unwrap().send(()).unwrap();
            tokio::task::block_in_place(|| held.lock().unwrap().recv().unwrap());
            Answer::ThenClose(Vec::new())
        }
        ("POST", _) => Answer::Bytes(answer(201, "", &stored("x.txt", b"content"))),
        _ => Answer::Bytes(page(&stored("x.txt", b"content"))),
    })
    .await;
    let client = client(&server);
    let upload = || client.files().upload("content".as_bytes()).filename("x.txt").send();
    let lost = tokio::spawn(upload());
    tokio::task::block_in_place(|| came.recv_timeout(GUARD).unwrap());
    assert_eq!(within(upload()).await.unwrap().id, ID);
    release.send(()).unwrap();
    let error = within(lost).await.unwrap().unwrap_err();
    assert!(error.hint().unwrap().contains("not stored yet"), "{error:?}");
}

#[tokio::test]
async fn an_upload_does_not_take_the_file_of_an_equal_one_before_it() {
    let (server, _) = noting(|head, n| match (head.method.as_str(), n) {
        ("POST", 0) => Answer::Bytes(answer(201, "", &stored("x.txt", b"content"))),
        ("POST", _) => Answer::ThenClose(Vec::new()),
        _ => Answer::Bytes(page(&stored("x.txt", b"content"))),
    })
    .await;
    let client = client(&server);
    let upload = || client.files().upload("content".as_bytes()).filename("x.txt").send();
    assert_eq!(within(upload()).await.unwrap().id, ID);
    let error = within(upload()).await.unwrap_err();
    assert!(error.hint().unwrap().contains("not stored yet"), "{error:?}");
}

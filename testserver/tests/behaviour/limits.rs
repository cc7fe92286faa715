//! Limits of bodies, heads and time, and cross-origin requests with a list.

use std::time::Duration;

use carbonfiles_testserver::{Defects, TestServer};

use crate::client::{ADMIN, Client, bucket, get, head, once, put, upload};

const LIMIT: usize = 1 << 20;

async fn limited() -> (TestServer, String) {
    let server = TestServer::builder().max_upload_size(LIMIT as u64).start().await.unwrap();
    let bucket = bucket(&server, "1d").await;
    (server, bucket)
}

/// Exchanges 846, 847, 851.
#[tokio::test]
async fn a_length_over_the_limit_is_refused_before_the_body() {
    let (server, bucket) = limited().await;
    assert_eq!(put(&server, &bucket, "exact.bin", &vec![1; LIMIT]).await.status, 201);
    let mut client = Client::connect(&server).await;
    let length = format!("Content-Length: {}", LIMIT + 1);
    client.write(&head("PUT", &upload(&bucket, "over.bin"), &[ADMIN, &length])).await.unwrap();
    client.answer("PUT").await.unwrap().assert_closing(413);
    assert!(client.rest().await.0.is_empty());
}

/// Exchanges 848 to 850: the framing counts.
#[tokio::test]
async fn chunked_bodies_are_counted_with_their_framing() {
    let (server, bucket) = limited().await;
    for (size, status) in [(LIMIT - 100, 201), (LIMIT, 413), (5 * LIMIT, 413)] {
        let mut request = head("PUT", &upload(&bucket, "c.bin"), &[ADMIN, "Transfer-Encoding: chunked"]);
        request.extend(format!("{size:x}\r\n").into_bytes());
        request.extend(vec![1; size]);
        request.extend_from_slice(b"\r\n0\r\n\r\n");
        let mut client = Client::connect(&server).await;
        // The pipe may break once the limit is reached.
        let _ = client.write(&request).await;
        match client.answer("PUT").await {
            Ok(answer) => assert_eq!(answer.status, status, "{size}"),
            Err(broken) => assert!(status == 413 && size > LIMIT, "{broken}"),
        }
        assert_eq!(server.requests().last().unwrap().status, Some(status), "{size}");
    }
}

/// The same to the byte, where the whole body comes in one piece: `5a`, two line ends, and the last chunk.
#[tokio::test]
async fn the_last_chunk_counts_too() {
    let server = TestServer::builder().max_upload_size(100).start().await.unwrap();
    let bucket = bucket(&server, "1d").await;
    for (size, status) in [(89, 201), (90, 413)] {
        let mut request = head("PUT", &upload(&bucket, "c.bin"), &[ADMIN, "Transfer-Encoding: chunked"]);
        request.extend(format!("{size:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(size)).into_bytes());
        let mut client = Client::connect(&server).await;
        client.write(&request).await.unwrap();
        assert_eq!(client.answer("PUT").await.unwrap().status, status, "{size}");
    }
}

/// Exchange 852, and 866 on the way.
#[tokio::test]
async fn continue_is_only_said_to_what_will_be_read() {
    let (server, bucket) = limited().await;
    let target = upload(&bucket, "e.bin");
    for (credential, length, status) in [(ADMIN, LIMIT + 1, 413), ("X: y", 5, 403), (ADMIN, 5, 100)] {
        let mut client = Client::connect(&server).await;
        let length = format!("Content-Length: {length}");
        client.write(&head("PUT", &target, &[credential, &length, "Expect: 100-continue"])).await.unwrap();
        assert_eq!(client.answer_head().await.unwrap().status, status);
        if status == 100 {
            client.write(b"hello").await.unwrap();
            assert_eq!(client.answer("PUT").await.unwrap().status, 201);
        }
    }
}

/// Exchanges 853 to 855: other refusals come first, and close the connection without saying so.
#[tokio::test]
async fn other_refusals_come_before_the_limit() {
    let (server, bucket) = limited().await;
    let length = format!("Content-Length: {}", LIMIT + 1);
    for (target, credential, status) in [
        (upload(&bucket, "a"), "X: y", 403),
        (upload("/api/buckets/zzzzzzzzzz", "a"), ADMIN, 404),
        (format!("{bucket}/upload/stream"), ADMIN, 400),
    ] {
        let mut client = Client::connect(&server).await;
        client.write(&head("PUT", &target, &[credential, &length])).await.unwrap();
        let answer = client.answer("PUT").await.unwrap();
        assert_eq!((answer.status, answer.header("connection")), (status, None), "{target}");
        assert!(client.rest().await.0.is_empty());
    }
}

/// Exchanges 856 to 862.
#[tokio::test]
async fn the_limit_counts_whole_bodies_of_any_route() {
    let (server, bucket) = limited().await;
    let part = |name: &str, size: usize| {
        let mut part =
            format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"x\"\r\n\r\n").into_bytes();
        part.extend(vec![1; size]);
        part.extend_from_slice(b"\r\n");
        part
    };
    let multipart = [ADMIN, "Content-Type: multipart/form-data; boundary=B"];
    let target = format!("{bucket}/upload");
    for (size, status) in [(LIMIT, 413), (LIMIT - 200, 201)] {
        let mut body = part("m.bin", size);
        body.extend_from_slice(b"--B--\r\n");
        let mut client = Client::connect(&server).await;
        // A broken pipe may hide the answer; what was answered is in the log.
        let _ = client.request("POST", &target, &multipart, &body).await;
        assert_eq!(server.requests().last().unwrap().status, Some(status));
    }
    // Chunked, so that the first file is stored before the limit is reached.
    let mut request = head("POST", &target, &[multipart[0], multipart[1], "Transfer-Encoding: chunked"]);
    for piece in [part("first.txt", 5), part("second.bin", 2 * LIMIT)] {
        request.extend(format!("{:x}\r\n", piece.len()).into_bytes());
        request.extend(piece);
        request.extend_from_slice(b"\r\n");
    }
    let mut client = Client::connect(&server).await;
    let _ = client.write(&request).await;
    let _ = client.rest().await;
    assert_eq!(server.requests().last().unwrap().status, Some(413));
    assert_eq!(get(&server, &format!("{bucket}/files/first.txt")).await.status, 200);

    let json = format!(r#"{{"name":"{}"}}"#, "n".repeat(LIMIT));
    let mut client = Client::connect(&server).await;
    let _ = client.request("POST", "/api/buckets", &[ADMIN, "Content-Type: application/json"], json.as_bytes()).await;
    assert_eq!(server.requests().last().unwrap().status, Some(413));

    let append = format!("{bucket}/files/m.bin/content");
    let grown = once(&server, "PATCH", &append, &[ADMIN, "X-Append: true"], &vec![2; LIMIT]).await;
    assert_eq!((grown.status, grown.json()["size"].as_u64()), (200, Some(2 * LIMIT as u64 - 200)));
}

/// Exchange 892. Paused time passes only while everybody waits.
#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_a_408() {
    let server = TestServer::builder().slow_body_grace(Duration::from_secs(5)).start().await.unwrap();
    let bucket = bucket(&server, "1d").await;
    let before = tokio::time::Instant::now();
    let mut client = Client::connect(&server).await;
    let mut request = head("PUT", &upload(&bucket, "slow.txt"), &[ADMIN, "Content-Length: 1000"]);
    request.extend_from_slice(b"xxxxxxxxxx");
    client.write(&request).await.unwrap();
    client.answer("PUT").await.unwrap().assert_closing(408);
    assert_eq!(before.elapsed().as_secs(), 5);
    assert_eq!(get(&server, &format!("{bucket}/files/slow.txt")).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn without_the_defect_a_body_may_take_its_time() {
    let server = TestServer::builder().defects(Defects::none()).start().await.unwrap();
    let bucket = bucket(&server, "1d").await;
    let mut client = Client::connect(&server).await;
    client.write(&head("PUT", &upload(&bucket, "slow.txt"), &[ADMIN, "Content-Length: 2"])).await.unwrap();
    for byte in [b"a", b"b"] {
        tokio::time::sleep(Duration::from_secs(600)).await;
        client.write(byte).await.unwrap();
    }
    assert_eq!(client.answer("PUT").await.unwrap().status, 201);
}

/// Exchange 949: what was refused is read for 5 seconds more, then the connection is reset.
#[tokio::test(start_paused = true)]
async fn a_refused_body_is_drained_for_a_while() {
    let server = TestServer::start().await.unwrap();
    let bucket = bucket(&server, "1d").await;
    let before = tokio::time::Instant::now();
    let mut client = Client::connect(&server).await;
    client.write(&head("PUT", &upload(&bucket, "a"), &["Content-Length: 1000"])).await.unwrap();
    assert_eq!(client.answer("PUT").await.unwrap().status, 403);
    client.write(b"zzzz").await.unwrap();
    client.assert_reset().await;
    assert_eq!(before.elapsed().as_secs(), 5);
}

/// Exchange 939.
#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_a_while() {
    let server = TestServer::start().await.unwrap();
    let before = tokio::time::Instant::now();
    let mut client = Client::connect(&server).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(client.request("GET", "/healthz", &[], b"").await.unwrap().status, 200);
    let (rest, end) = client.rest().await;
    end.expect("an orderly end");
    assert_eq!((rest.len(), before.elapsed().as_secs()), (0, 230));
}

/// Exchanges 43 to 45 and 56.
#[tokio::test]
async fn heads_have_limits_and_requests_may_be_pipelined() {
    let server = TestServer::start().await.unwrap();
    let many: Vec<String> = (0..101).map(|at| format!("X-{at}: 1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (target, headers, status) in [
        (format!("/healthz?x={}", "a".repeat(9000)), vec![], 414),
        ("/healthz".to_owned(), vec!["X: y"; 1], 200),
        ("/healthz".to_owned(), many, 431),
    ] {
        let mut client = Client::connect(&server).await;
        client.write(&head("GET", &target, &headers)).await.unwrap();
        assert_eq!(client.answer("GET").await.unwrap().status, status);
    }
    let large = format!("X-A: {}", "a".repeat(40_000));
    let mut client = Client::connect(&server).await;
    client.write(&head("GET", "/healthz", &[&large])).await.unwrap();
    client.answer("GET").await.unwrap().assert_closing(431);

    let mut client = Client::connect(&server).await;
    let both = [head("GET", "/healthz", &[]), head("GET", "/nope", &[])].concat();
    client.write(&both).await.unwrap();
    assert_eq!(client.answer("GET").await.unwrap().status, 200);
    assert_eq!(client.answer("GET").await.unwrap().status, 404);
}

/// Exchange 419.
#[tokio::test]
async fn a_bad_chunk_header_is_a_400() {
    let server = TestServer::start().await.unwrap();
    let bucket = bucket(&server, "1d").await;
    let mut client = Client::connect(&server).await;
    let mut request = head("PUT", &upload(&bucket, "bad.txt"), &[ADMIN, "Transfer-Encoding: chunked"]);
    request.extend_from_slice(b"zz\r\nhello\r\n");
    client.write(&request).await.unwrap();
    client.answer("PUT").await.unwrap().assert_closing(400);
}

/// Exchanges 867 to 871.
#[tokio::test]
async fn listed_origins_are_echoed_and_others_are_not() {
    let origins = ["https://a.example", "https://b.example"];
    let server = TestServer::builder().cors_origins(origins).start().await.unwrap();
    let allowed = once(&server, "GET", "/healthz", &["Origin: https://b.example"], b"").await;
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://b.example"));
    assert_eq!(allowed.header("vary"), Some("Origin"));
    assert!(allowed.header("access-control-expose-headers").is_some());
    let other = once(&server, "GET", "/healthz", &["Origin: https://c.example"], b"").await;
    assert_eq!((other.status, other.header("access-control-allow-origin"), other.header("vary")), (200, None, None));
    let asked = "Access-Control-Request-Method: POST";
    let preflight = once(&server, "OPTIONS", "/api/buckets", &["Origin: https://a.example", asked], b"").await;
    assert_eq!((preflight.status, preflight.header("access-control-allow-methods")), (204, Some("POST")));
    let refused = once(&server, "OPTIONS", "/api/buckets", &["Origin: https://c.example", asked], b"").await;
    assert_eq!((refused.status, refused.header("access-control-allow-methods")), (204, None));
}

/// Exchange 872.
#[tokio::test]
async fn a_dashboard_token_of_another_secret_is_no_token() {
    let server = TestServer::start().await.unwrap();
    let other = TestServer::builder().jwt_secret("its own").start().await.unwrap();
    let token = crate::client::post(&server, "/api/tokens/dashboard", "{}").await["token"].as_str().unwrap().to_owned();
    let bearer = format!("Authorization: Bearer {token}");
    assert_eq!(once(&server, "GET", "/api/tokens/dashboard/me", &[&bearer], b"").await.status, 200);
    assert_eq!(once(&other, "GET", "/api/tokens/dashboard/me", &[&bearer], b"").await.status, 401);
}

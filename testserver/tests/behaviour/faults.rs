//! Every kind of fault.

use std::io::ErrorKind;

use carbonfiles_testserver::{Fault, TestServer};

use crate::client::{ADMIN, Client, bucket, get, head, put, started, upload};

const MIB: usize = 1 << 20;

async fn server_with_file(length: usize) -> (TestServer, String) {
    let server = TestServer::start().await.unwrap();
    let bucket = bucket(&server, "1d").await;
    assert_eq!(put(&server, &bucket, "a.bin", &vec![7; length]).await.status, 201);
    server.clear_requests();
    (server, bucket)
}

/// Asks for the content, which a fault will spoil.
async fn ask(server: &TestServer, bucket: &str) -> Client {
    let mut client = Client::connect(server).await;
    client.write(&head("GET", &format!("{bucket}/files/a.bin/content"), &[])).await.unwrap();
    client
}

#[tokio::test]
async fn a_status_is_answered_without_the_handler() {
    let server = TestServer::start().await.unwrap();
    let bucket = bucket(&server, "1d").await;
    let fault = Fault::status(503).body("<h1>busy</h1>").header("retry-after", "1").header("content-type", "text/html");
    let fault = server.inject(fault.on("PUT", "/upload/stream"));
    let refused = put(&server, &bucket, "a.txt", &[1; 3 * MIB]).await;
    assert_eq!((refused.status, &*refused.body), (503, &b"<h1>busy</h1>"[..]));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("content-type"), Some("text/html"));
    assert_eq!(fault.fired(), 1);
    assert_eq!(server.requests().last().unwrap().body_bytes, 3 << 20);
    assert_eq!(get(&server, &format!("{bucket}/files/a.txt")).await.status, 404);
    assert_eq!(put(&server, &bucket, "a.txt", b"x").await.status, 201);
}

#[tokio::test]
async fn an_early_status_does_not_wait_for_the_body() {
    let server = TestServer::start().await.unwrap();
    server.inject(Fault::status(429).early());
    let mut client = Client::connect(&server).await;
    client.write(&head("PUT", "/x", &["Content-Length: 10"])).await.unwrap();
    assert_eq!(client.answer("PUT").await.unwrap().status, 429);
    assert_eq!(server.requests()[0].body_bytes, 0);
    // The body may still come, and then the connection goes on.
    client.write(b"0123456789").await.unwrap();
    assert_eq!(client.request("GET", "/healthz", &[], b"").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let server = TestServer::start().await.unwrap();
    let fault = server.inject(Fault::reset().on("GET", "/healthz"));
    let mut client = Client::connect(&server).await;
    client.write(&head("GET", "/healthz", &[])).await.unwrap();
    client.assert_reset().await;
    assert_eq!(fault.fired(), 1);
    assert_eq!(server.requests()[0].status, None);
}

#[tokio::test]
async fn a_request_is_reset_in_its_body_and_nothing_is_stored() {
    let (server, bucket) = server_with_file(1).await;
    let fault = server.inject(Fault::reset_request_after(100_000).on("PUT", ""));
    let mut client = Client::connect(&server).await;
    let answer = client.request("PUT", &upload(&bucket, "a.bin"), &[ADMIN], &vec![1; 8 * MIB]).await;
    let kind = answer.expect_err("no answer").kind();
    assert!(matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{kind}");
    fault.fired_at_least(1).await;
    let seen = server.requests()[0].body_bytes;
    assert!((100_000..8 << 20).contains(&seen), "{seen}");
    assert_eq!(get(&server, &format!("{bucket}/files/a.bin")).await.json()["size"], 1);
}

#[tokio::test]
async fn a_response_is_reset_after_exactly_so_many_bytes() {
    let (server, bucket) = server_with_file(MIB).await;
    for after in [0, 10, 300_000] {
        let fault = server.inject(Fault::reset_response_after(after).on("GET", "/content"));
        let mut client = ask(&server, &bucket).await;
        let answer = client.answer_head().await.unwrap();
        assert_eq!((answer.status, answer.header("content-length")), (200, Some("1048576")));
        let (body, end) = client.rest().await;
        assert_eq!(end.expect_err("a reset").kind(), ErrorKind::ConnectionReset);
        assert_eq!(body.len() as u64, after);
        assert_eq!(fault.fired(), 1);
    }
}

#[tokio::test]
async fn a_response_is_closed_after_exactly_so_many_bytes() {
    let (server, bucket) = server_with_file(MIB).await;
    server.inject(Fault::close_response_after(12_345));
    let mut client = ask(&server, &bucket).await;
    client.answer_head().await.unwrap();
    let (body, end) = client.rest().await;
    end.expect("an orderly end");
    assert_eq!(body.len(), 12_345);
}

#[tokio::test]
async fn a_chunked_answer_is_cut_too() {
    let server = TestServer::start().await.unwrap();
    server.inject(Fault::close_response_after(5).on("GET", "/healthz"));
    let mut client = Client::connect(&server).await;
    client.write(&head("GET", "/healthz", &[])).await.unwrap();
    client.answer_head().await.unwrap();
    let (body, end) = client.rest().await;
    end.expect("an orderly end");
    assert_eq!(String::from_utf8_lossy(&body), "5\r\n{\"sta\r\n");
}

/// Whole, chunked, and in several pieces.
#[tokio::test]
async fn a_fault_at_the_last_byte_needs_no_length() {
    let (server, bucket) = server_with_file(3 * MIB).await;
    for target in ["/files/a.bin/content", "/zip", "/files"].map(|target| format!("{bucket}{target}")) {
        let whole = get(&server, &target).await.body;
        let cut = server.inject(Fault::close_response_after(0).at_last_byte());
        let mut client = Client::connect(&server).await;
        client.write(&head("GET", &target, &[])).await.unwrap();
        let is_chunked = client.answer_head().await.unwrap().header("transfer-encoding").is_some();
        let (body, end) = client.rest().await;
        end.expect("an orderly end");
        assert_eq!(cut.fired(), 1, "{target}");
        assert_eq!(!is_chunked, body == whole[..whole.len() - 1], "{target}");
        assert!(!body.ends_with(b"0\r\n\r\n"), "{target}");

        server.inject(Fault::corrupt_response().at_last_byte());
        let corrupted = get(&server, &target).await.body;
        let (last, rest) = whole.split_last().unwrap();
        assert_eq!(corrupted.split_last().unwrap(), (&(last ^ 1), rest), "{target}");
    }
    let stalled = server.inject(Fault::stall_response_after(0).at_last_byte());
    let mut client = Client::connect(&server).await;
    client.write(&head("GET", "/healthz", &[])).await.unwrap();
    stalled.fired_at_least(1).await;
    stalled.release();
    assert_eq!(client.answer("GET").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_stalled_response_goes_on_when_released() {
    let (server, bucket) = server_with_file(MIB).await;
    let fault = server.inject(Fault::stall_response_after(1000));
    let mut client = ask(&server, &bucket).await;
    client.answer_head().await.unwrap();
    fault.fired_at_least(1).await;
    assert_eq!(client.take(1000).await.unwrap(), [7; 1000]);
    fault.release();
    assert_eq!(client.take(MIB - 1000).await.unwrap().len(), MIB - 1000);
}

#[tokio::test]
async fn stalled_headers_come_when_released() {
    let server = TestServer::start().await.unwrap();
    let fault = server.inject(Fault::stall_headers());
    let mut client = Client::connect(&server).await;
    client.write(&head("GET", "/healthz", &[])).await.unwrap();
    fault.fired_at_least(1).await;
    assert_eq!(server.requests()[0].status, None);
    fault.release();
    assert_eq!(client.answer("GET").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_stalled_request_goes_on_when_released() {
    let (server, bucket) = server_with_file(1).await;
    let fault = server.inject(Fault::stall_request_after(10).on("PUT", ""));
    let mut client = started(&server, "PUT", &upload(&bucket, "b.bin"), 20, b"0123456789").await;
    fault.fired_at_least(1).await;
    client.write(b"0123456789").await.unwrap();
    fault.release();
    assert_eq!(client.answer("PUT").await.unwrap().status, 201);
    assert_eq!(server.requests()[0].body_bytes, 20);
}

#[tokio::test]
async fn a_lost_reply_has_been_committed() {
    let (server, bucket) = server_with_file(1).await;
    let fault = server.inject(Fault::lose_reply().on("PUT", "/upload/stream"));
    let mut client = Client::connect(&server).await;
    let lost = client.request("PUT", &upload(&bucket, "kept.txt"), &[ADMIN], b"kept").await;
    assert_eq!(lost.expect_err("no answer").kind(), ErrorKind::ConnectionReset);
    assert_eq!(fault.fired(), 1);
    assert_eq!(get(&server, &format!("{bucket}/files/kept.txt/content")).await.body, b"kept");
}

#[tokio::test(start_paused = true)]
async fn a_slow_link_takes_its_time_both_ways() {
    let (server, bucket) = server_with_file(50_000).await;
    let fault = server.inject(Fault::slow(10_000).forever());
    let before = tokio::time::Instant::now();
    assert_eq!(get(&server, &format!("{bucket}/files/a.bin/content")).await.body.len(), 50_000);
    let download = before.elapsed().as_secs_f64();
    assert!((4.0..7.0).contains(&download), "{download}");
    let before = tokio::time::Instant::now();
    assert_eq!(put(&server, &bucket, "b.bin", &[1; 20_000]).await.status, 201);
    let upload = before.elapsed().as_secs_f64();
    assert!((2.0..3.0).contains(&upload), "{upload}");
    assert_eq!(fault.fired(), 2);
}

#[tokio::test]
async fn bodies_are_corrupted_replaced_and_truncated() {
    let (server, bucket) = server_with_file(10).await;
    let content = format!("{bucket}/files/a.bin/content");
    server.inject(Fault::corrupt_response());
    assert_eq!(get(&server, &content).await.body, [6, 7, 7, 7, 7, 7, 7, 7, 7, 7]);
    server.inject(Fault::corrupt_response_after(3));
    assert_eq!(get(&server, &content).await.body, [7, 7, 7, 6, 7, 7, 7, 7, 7, 7]);
    server.inject(Fault::replace_body("<html>"));
    let replaced = get(&server, &content).await;
    assert_eq!((replaced.status, &*replaced.body), (200, &b"<html>"[..]));
    server.inject(Fault::truncate_body(3));
    assert_eq!(get(&server, &content).await.body, [7; 3]);
    assert_eq!(get(&server, &content).await.body, [7; 10]);
}

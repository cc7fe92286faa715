//! The proxy of `tests/conformance`, on its own: each rule does what it says, and nothing else is changed.

// Which operation needs which part of it is not the question here.
#[allow(dead_code)]
#[path = "conformance/proxy/mod.rs"]
mod proxy;

use std::time::{Duration, Instant};

use carbonfiles_testserver::TestServer;
use proxy::relay::Relay;
use proxy::{BodyEnd, Head, Proxy, Rule, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const GUARD: Duration = Duration::from_secs(60);

/// A server with a file of 100,000 bytes, a proxy before it, and the path of the file's content.
async fn setup(below: &str) -> (TestServer, Proxy, reqwest::Client, String) {
    let server = TestServer::start().await.unwrap();
    let proxy = Proxy::before(server.url(), below).await.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let made = http.post(format!("{}/api/buckets", proxy.url())).bearer_auth(server.admin_key());
    let made = made.json(&serde_json::json!({"name": "b"})).send().await.unwrap();
    let id = made.json::<serde_json::Value>().await.unwrap()["id"].as_str().unwrap().to_owned();
    let content = format!("{}/api/buckets/{id}/files/a.bin/content", proxy.url());
    put(&http, &content, &server, pattern()).await.unwrap();
    (server, proxy, http, content)
}

async fn put(
    http: &reqwest::Client,
    content: &str,
    server: &TestServer,
    body: impl Into<reqwest::Body>,
) -> reqwest::Result<u16> {
    let url = content.replace("/files/a.bin/content", "/upload/stream?filename=a.bin");
    Ok(http.put(url).bearer_auth(server.admin_key()).body(body).send().await?.status().as_u16())
}

fn pattern() -> Vec<u8> {
    (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect()
}

async fn get(http: &reqwest::Client, url: &str) -> reqwest::Result<Vec<u8>> {
    let answer = http.get(url).send().await?.error_for_status()?;
    answer.bytes().await.map(|bytes| bytes.to_vec())
}

#[tokio::test]
async fn what_no_rule_is_for_passes_as_it_is() {
    for below in ["", "/cf"] {
        let (server, proxy, http, content) = setup(below).await;
        assert_eq!(get(&http, &content).await.unwrap(), pattern());
        let head = http.head(&content).send().await.unwrap();
        assert_eq!(head.headers()["content-length"], "100000");
        // Chunked, up and down.
        let pieces = pattern().chunks(999).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect::<Vec<_>>();
        let stream = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
        assert_eq!(put(&http, &content, &server, stream).await.unwrap(), 201);
        assert_eq!(get(&http, &content).await.unwrap(), pattern());
        let seen = proxy.requests();
        assert_eq!(seen.len(), 6);
        assert!(seen.iter().all(|seen| seen.target.starts_with(&format!("{below}/api/"))));
        assert_eq!((seen[2].body, seen[2].status, seen[2].reply), (0, Some(200), 100_000));
        assert_eq!((seen[3].method.as_str(), seen[3].reply), ("HEAD", 0));
        assert_eq!(seen[4].header("transfer-encoding"), Some("chunked"));
        assert!(seen[4].body > 100_000, "with its framing");
    }
    let (_server, proxy, http, _) = setup("/cf").await;
    let elsewhere = proxy.url().replace("/cf", "/healthz");
    assert_eq!(http.get(elsewhere).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn canned_answers_come_as_often_as_they_should() {
    let (server, proxy, http, content) = setup("").await;
    server.clear_requests();
    let rule = proxy.add(Rule::answer(503, "Retry-After: 7\r\n", "busy").on("GET", "/content").times(2));
    for _ in 0..2 {
        let answer = http.get(&content).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (503, "7"));
        assert_eq!(answer.text().await.unwrap(), "busy");
    }
    assert_eq!((rule.fired(), server.requests().len()), (2, 0), "the server has heard nothing");
    assert_eq!(get(&http, &content).await.unwrap(), pattern());
    // The body of a request is read before its answer.
    proxy.add(Rule::answer(503, "", "").on("PUT", ""));
    assert_eq!(put(&http, &content, &server, pattern()).await.unwrap(), 503);
    assert_eq!(proxy.requests().last().unwrap().body, 100_000);
}

#[tokio::test]
async fn answers_are_cut_where_they_should_be() {
    let (_server, proxy, http, content) = setup("").await;
    for rule in [Rule::close_reply_after(40_000), Rule::reset_reply_after(40_000)] {
        proxy.add(rule.on("GET", "/content"));
        let mut answer = http.get(&content).send().await.unwrap();
        let mut came = Vec::new();
        let broken = loop {
            match answer.chunk().await {
                Ok(Some(chunk)) => came.extend_from_slice(&chunk),
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        assert!(broken && pattern().starts_with(&came));
        assert_eq!(proxy.requests().last().unwrap().reply, 40_000);
    }
    for rule in [Rule::reset(), Rule::lose_reply()] {
        proxy.add(rule);
        assert!(get(&http, &content).await.is_err());
        assert_eq!(proxy.requests().last().unwrap().status, None);
    }
    assert_eq!(get(&http, &content).await.unwrap(), pattern());
}

#[tokio::test]
async fn a_request_that_is_cut_stores_nothing_and_a_lost_reply_does() {
    let (server, proxy, http, content) = setup("").await;
    let rule = proxy.add(Rule::reset_request_after(50_000).on("PUT", "/upload"));
    assert!(put(&http, &content, &server, vec![1; 100_000]).await.is_err());
    assert_eq!((rule.fired(), proxy.requests().last().unwrap().body), (1, 50_000));
    assert_eq!(get(&http, &content).await.unwrap(), pattern());
    proxy.add(Rule::lose_reply().on("PUT", "/upload"));
    assert!(put(&http, &content, &server, vec![2; 10]).await.is_err());
    assert_eq!(get(&http, &content).await.unwrap(), [2; 10]);
}

#[tokio::test]
async fn what_is_held_goes_on_when_it_is_released() {
    let (server, proxy, http, content) = setup("").await;
    for rule in [Rule::hold_reply(), Rule::stall_reply_after(40_000)] {
        let held = proxy.add(rule.on("GET", "/content"));
        let read = tokio::spawn({
            let (http, content) = (http.clone(), content.clone());
            async move { get(&http, &content).await }
        });
        held.fired_at_least(1).await;
        assert!(!read.is_finished());
        held.release();
        assert_eq!(tokio::time::timeout(GUARD, read).await.unwrap().unwrap().unwrap(), pattern());
    }
    let held = proxy.add(Rule::stall_request_after(10).on("PUT", "/upload"));
    let release = async {
        held.fired_at_least(1).await;
        held.release();
    };
    let (status, ()) = tokio::join!(put(&http, &content, &server, pattern()), release);
    assert_eq!(status.unwrap(), 201);
}

#[tokio::test]
async fn a_client_that_goes_takes_its_request_along() {
    let (_server, proxy, http, content) = setup("").await;
    let held = proxy.add(Rule::hold_reply().on("GET", "/content"));
    let before = proxy.requests().len();
    let read = tokio::spawn(async move { get(&http, &content).await });
    held.fired_at_least(1).await;
    read.abort();
    tokio::time::timeout(GUARD, proxy.until(|seen| seen[before].ended)).await.unwrap();
    assert_eq!(proxy.requests()[before].status, None);
}

#[tokio::test]
async fn slow_links_are_slow_and_late_answers_late() {
    let (server, proxy, http, content) = setup("").await;
    let start = Instant::now();
    proxy.add(Rule::slow_reply(400_000).on("GET", "/content"));
    assert_eq!(get(&http, &content).await.unwrap(), pattern());
    proxy.add(Rule::slow_request(400_000).on("PUT", "/upload"));
    assert_eq!(put(&http, &content, &server, pattern()).await.unwrap(), 201);
    proxy.add(Rule::delay_reply(Duration::from_millis(200)));
    assert_eq!(get(&http, &content).await.unwrap(), pattern());
    // A quarter of a second each, less the last piece.
    assert!(start.elapsed() >= Duration::from_millis(600), "{:?}", start.elapsed());
}

#[tokio::test]
async fn one_byte_is_changed_and_fields_are_added() {
    let (_server, proxy, http, content) = setup("").await;
    proxy.add(Rule::corrupt_reply_at(70_000).on("GET", "/content"));
    let came = get(&http, &content).await.unwrap();
    let changed: Vec<_> =
        came.iter().zip(pattern()).enumerate().filter(|(_, (a, b))| **a != *b).map(|(i, _)| i).collect();
    assert_eq!((came.len(), changed), (100_000, vec![70_000]));
    proxy.add(Rule::add_fields());
    let listed = get(&http, &content.replace("/a.bin/content", "")).await.unwrap();
    let listed: serde_json::Value = serde_json::from_slice(&listed).unwrap();
    assert_eq!((listed["total"].as_u64(), listed["zz_new_number"].as_f64()), (Some(1), Some(1.5)));
    assert!(listed["items"][0]["zz_new_object"].is_object());
}

#[tokio::test]
async fn an_answer_that_comes_early_overtakes_the_request_and_a_connection_is_counted_once() {
    let server = TestServer::builder().max_upload_size(1000).start().await.unwrap();
    let proxy = Proxy::before(server.url(), "").await.unwrap();
    let mut socket = TcpStream::connect(proxy.url().trim_start_matches("http://")).await.unwrap();
    for _ in 0..3 {
        socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
        let mut start = [0; 12];
        socket.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
        while socket.read_u8().await.unwrap() != b'}' {}
        // What ends the chunk and the body.
        socket.read_exact(&mut [0; 7]).await.unwrap();
    }
    let head = "PUT /api/buckets/x/upload/stream?filename=a HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(GUARD, socket.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!((proxy.connections(), proxy.requests().len()), (1, 4));
}

/// Before a server, and only for those who name it as its URL does. Each of its connections takes one request.
async fn front(server: &TestServer) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = format!("localhost:{}", listener.local_addr().unwrap().port());
    let (url, behind) = (format!("http://{host}"), server.url().trim_start_matches("http://").to_owned());
    let mut accepting = JoinSet::new();
    accepting.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let (host, behind) = (host.clone(), behind.clone());
            connections.spawn(async move {
                let mut client = BufReader::new(client);
                let Ok(Some(head)) = Head::read(&mut client).await else { return };
                if head.get("host") != Some(host.as_str()) {
                    let nobody = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                    return client.write_all(nobody).await.unwrap();
                }
                let mut server = TcpStream::connect(behind).await.unwrap();
                server.write_all(&head.bytes()).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (url, accepting)
}

#[tokio::test]
async fn a_server_hears_its_own_name_through_the_proxy_and_through_the_relay() {
    let server = TestServer::start().await.unwrap();
    let (url, _front) = front(&server).await;
    let (proxy, relay) = (Proxy::before(&url, "").await.unwrap(), Relay::before(&url).await.unwrap());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for url in [proxy.url(), relay.url(), relay.url()] {
        assert_eq!(http.get(format!("{url}/healthz")).send().await.unwrap().status(), 200);
    }
    let mut socket = TcpStream::connect(relay.url().trim_start_matches("http://")).await.unwrap();
    let head = "GET /hub/files HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    let head = format!("{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut socket = BufReader::new(socket);
    assert_eq!(Head::read(&mut socket).await.unwrap().unwrap().status(), 101);
    relay.cut();
    let cut = tokio::time::timeout(GUARD, socket.read(&mut [0])).await.unwrap();
    assert!(!matches!(cut, Ok(1..)), "{cut:?}");
}

#[test]
fn where_a_server_is() {
    for (url, host, authority, base) in [
        ("http://a.example", "a.example", "a.example:80", ""),
        ("http://a.example:8080/cf/", "a.example:8080", "a.example:8080", "/cf"),
        ("http://[::1]", "[::1]", "[::1]:80", ""),
        ("http://[::1]:8080", "[::1]:8080", "[::1]:8080", ""),
    ] {
        let server = Server::of(url).unwrap();
        assert_eq!((server.host.as_str(), server.authority.as_str(), server.base.as_str()), (host, authority, base));
    }
    assert!(Server::of("https://a.example").is_err());
}

#[test]
fn a_chunked_body_ends_behind_its_trailers_however_it_is_cut() {
    let body = b"5;x=1\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nA: b\r\n\r\nGET /next";
    let head = Head { first: "PUT / HTTP/1.1".into(), headers: vec![("Transfer-Encoding".into(), "chunked".into())] };
    for cut in 0..body.len() - 9 {
        let mut end = BodyEnd::of_request(&head);
        let mut content = Vec::new();
        let first = end.advance(&body[..cut], |bytes| content.extend_from_slice(bytes));
        assert_eq!(first, cut);
        assert!(!end.is_reached());
        let second = end.advance(&body[cut..], |bytes| content.extend_from_slice(bytes));
        assert_eq!(first + second, body.len() - 9, "{cut}");
        assert!(end.is_reached());
        assert_eq!(content, b"hello0123456789abcdef");
    }
}

#[test]
fn bodies_of_answers() {
    let end = |first: &str, name: &str, value: &str, method| {
        let headers = vec![(name.to_owned(), value.to_owned())];
        BodyEnd::of_reply(&Head { first: first.into(), headers }, method)
    };
    assert_eq!(end("HTTP/1.1 200 OK", "Content-Length", "5", "GET"), BodyEnd::Length(5));
    assert!(end("HTTP/1.1 200 OK", "Content-Length", "5", "HEAD").is_reached());
    assert!(end("HTTP/1.1 304 X", "Content-Length", "5", "GET").is_reached());
    assert_eq!(end("HTTP/1.1 200 OK", "X", "y", "GET"), BodyEnd::Close);
    assert!(matches!(end("HTTP/1.1 200 OK", "Transfer-Encoding", "chunked", "GET"), BodyEnd::Chunked(_)));
}

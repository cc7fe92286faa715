//! Expiry, clean-up, shutdown and restart.

use std::io::ErrorKind;
use std::time::Duration;

use carbonfiles_testserver::TestServer;
use chrono::{DateTime, TimeDelta, Utc};

use crate::client::{ADMIN, Client, bucket, get, once, post, put, started, upload};

/// Exchanges 930 to 933.
#[tokio::test]
async fn cleaning_up_really_deletes_what_has_expired() {
    let server = TestServer::start().await.unwrap();
    let expiring = bucket(&server, "5s").await;
    let uploaded = put(&server, &expiring, "a.txt", b"clean me").await.json();
    let short = uploaded["uploaded"][0]["short_url"].as_str().unwrap().to_owned();
    assert_eq!(get(&server, &short).await.status, 302);
    server.clock().advance(Duration::from_secs(6));
    assert_eq!(get(&server, "/api/buckets").await.json()["total"], 0);
    assert_eq!(get(&server, "/api/buckets?include_expired=true").await.json()["total"], 1);
    server.cleanup();
    assert_eq!(get(&server, "/api/buckets?include_expired=true").await.json()["total"], 0);
    let revival =
        once(&server, "PATCH", &expiring, &[ADMIN, "Content-Type: application/json"], br#"{"expires_in":"1d"}"#);
    assert_eq!(revival.await.json()["error"], "Bucket not found");
    assert_eq!(get(&server, &short).await.status, 404);
    assert_eq!(server.bytes_in_memory(), 0);
    let fresh = bucket(&server, "1d").await;
    let again = put(&server, &fresh, "a.txt", b"clean me").await.json();
    assert_eq!(again["uploaded"][0]["deduplicated"], true);
    assert_eq!(get(&server, &format!("{fresh}/files/a.txt/content")).await.body, b"clean me");
}

/// 30 seconds after the start, and then every so often. Paused time passes only while everybody waits.
#[tokio::test(start_paused = true)]
async fn a_server_cleans_up_by_itself_when_told_to() {
    for (interval, left) in [(None, [1, 1, 2]), (Some(Duration::from_secs(60)), [1, 0, 0])] {
        let mut builder = TestServer::builder();
        if let Some(interval) = interval {
            builder = builder.cleanup_interval(interval);
        }
        let server = builder.start().await.unwrap();
        let known = async || get(&server, "/api/buckets?include_expired=true").await.json()["total"].clone();
        bucket(&server, "1577836800").await;
        tokio::time::sleep(Duration::from_secs(29)).await;
        let before = known().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let after = known().await;
        bucket(&server, "1577836800").await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!([before, after, known().await], left.map(serde_json::Value::from));
    }
}

/// Exchange 934.
#[tokio::test]
async fn a_graceful_stop_lets_requests_finish() {
    let server = TestServer::start().await.unwrap();
    let bucket = bucket(&server, "1d").await;
    let mut idle = Client::connect(&server).await;
    idle.request("GET", "/healthz", &[], b"").await.unwrap();
    let mut running = started(&server, "PUT", &upload(&bucket, "shut.bin"), 4, b"do").await;
    let finish = async {
        idle.rest().await.1.expect("an orderly end");
        running.write(b"ne").await.unwrap();
        let answer = running.answer("PUT").await.unwrap();
        assert_eq!((answer.status, answer.header("connection")), (201, Some("close")));
    };
    tokio::join!(server.shutdown_gracefully(), finish);
    server.restart().await.unwrap();
    assert_eq!(get(&server, &format!("{bucket}/files/shut.bin/content")).await.body, b"done");
    assert_eq!(get(&server, "/healthz").await.json()["uptime_seconds"], 0);
}

/// Exchanges 937 and 938.
#[tokio::test]
async fn a_hard_stop_drops_what_is_under_way() {
    let server = TestServer::start().await.unwrap();
    let bucket = bucket(&server, "1d").await;
    let mut running = started(&server, "PUT", &upload(&bucket, "stall.bin"), 4, b"do").await;
    server.shutdown().await;
    assert!(running.answer("PUT").await.is_err());
    let refused = tokio::net::TcpStream::connect(server.address()).await.expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    server.restart().await.unwrap();
    assert_eq!(get(&server, &format!("{bucket}/files/stall.bin")).await.status, 404);
    assert_eq!(server.bytes_in_memory(), 0);
}

#[tokio::test]
async fn dropping_a_server_ends_its_connections() {
    let server = TestServer::start().await.unwrap();
    let mut client = Client::connect(&server).await;
    client.request("GET", "/healthz", &[], b"").await.unwrap();
    drop(server);
    assert!(client.rest().await.0.is_empty());
}

#[tokio::test]
async fn requests_and_connections_are_seen() {
    let server = TestServer::start().await.unwrap();
    let mut client = Client::connect(&server).await;
    client
        .request("POST", "/api/keys?a=%20", &[ADMIN, "X-Test: yes", "Content-Type: application/json"], b"{")
        .await
        .unwrap();
    client.request("GET", "/healthz", &[], b"").await.unwrap();
    post(&server, "/api/keys", r#"{"name":"k"}"#).await;
    let seen = server.requests();
    assert_eq!((seen[0].method.as_str(), seen[0].path.as_str()), ("POST", "/api/keys?a=%20"));
    assert_eq!((seen[0].header("x-test"), seen[0].body_bytes, seen[0].status), (Some("yes"), 1, Some(400)));
    assert_eq!((seen[1].connection, seen[2].connection, server.connections()), (1, 2, 2));
    server.clear_requests();
    assert!(server.requests().is_empty());
}

/// Exchanges 144, 146 and 821: the expiry is reckoned from a look at the clock that comes before that of `created_at`.
#[tokio::test]
async fn a_bucket_lives_a_little_less_than_it_was_given() {
    let server = TestServer::start().await.unwrap();
    for (asked, days) in [(r#"{"name":"b"}"#, 7), (r#"{"name":"b","expires_in":"2d"}"#, 2)] {
        let made = post(&server, "/api/buckets", asked).await;
        let at = |name: &str| made[name].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
        let less = TimeDelta::days(days) - (at("expires_at") - at("created_at"));
        assert!(less > TimeDelta::zero() && less < TimeDelta::microseconds(12), "{less}: {made}");
    }
}

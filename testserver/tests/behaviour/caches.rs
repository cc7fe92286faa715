//! How long the caches of the real server stand, by the clock.

use std::time::Duration;

use carbonfiles_testserver::{Defects, Fault, TestServer};
use serde_json::Value;

use crate::client::{ADMIN, Client, bucket, get, head, once, post, put, upload};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn server(defects: Defects) -> (TestServer, String) {
    let server = TestServer::builder().defects(defects).start().await.unwrap();
    let bucket = bucket(&server, "1d").await;
    put(&server, &bucket, "a.txt", b"a").await;
    (server, bucket)
}

/// Exchanges 426, 428 and 929.
#[tokio::test]
async fn a_revoked_key_lives_on_for_half_a_minute() {
    for (defects, statuses) in [(Defects::all(), [200, 403]), (Defects::none(), [403, 403])] {
        let (server, _) = server(defects).await;
        let key = post(&server, "/api/keys", r#"{"name":"k"}"#).await;
        let bearer = format!("Authorization: Bearer {}", key["key"].as_str().unwrap());
        let used = async || once(&server, "GET", "/api/buckets", &[&bearer], b"").await.status;
        assert_eq!(used().await, 200);
        let target = format!("/api/keys/{}", key["prefix"].as_str().unwrap());
        assert_eq!(once(&server, "DELETE", &target, &[ADMIN], b"").await.status, 204);
        let at_once = used().await;
        server.clock().advance(seconds(31));
        assert_eq!([at_once, used().await], statuses);
    }
}

/// Exchanges 940 and 941.
#[tokio::test]
async fn a_verdict_on_a_token_stands_for_two_minutes() {
    for (defects, after_expiry) in [(Defects::all(), 400), (Defects::none(), 403)] {
        let (server, bucket) = server(defects).await;
        let token = post(&server, &format!("{bucket}/tokens"), r#"{"expires_in":"2s"}"#).await;
        let target = upload(&bucket, &format!("&token={}", token["token"].as_str().unwrap()));
        // Fails for want of a name, so that the verdict stays.
        let used = async || once(&server, "PUT", &target, &[], b"x").await.status;
        assert_eq!(used().await, 400);
        server.clock().advance(seconds(112));
        assert_eq!(used().await, after_expiry);
        server.clock().advance(seconds(14));
        assert_eq!(used().await, 403);
    }
}

/// Exchanges 942 and 943.
#[tokio::test]
async fn statistics_stand_for_five_minutes() {
    for (defects, keys) in [(Defects::all(), [0, 0, 1]), (Defects::none(), [0, 1, 1])] {
        let (server, _) = server(defects).await;
        let count = async || get(&server, "/api/stats").await.json()["total_keys"].as_u64().unwrap();
        let first = count().await;
        post(&server, "/api/keys", r#"{"name":"k"}"#).await;
        server.clock().advance(seconds(290));
        let stale = count().await;
        server.clock().advance(seconds(18));
        assert_eq!([first, stale, count().await], keys);
    }
}

/// Exchanges 944 and 946.
#[tokio::test]
async fn the_detail_of_a_bucket_stands_for_ten_minutes() {
    for (defects, stale) in [(Defects::all(), true), (Defects::none(), false)] {
        let (server, bucket) = server(defects).await;
        let used = async || get(&server, &bucket).await.json()["last_used_at"].clone();
        let first = used().await;
        server.clock().advance(seconds(590));
        get(&server, &format!("{bucket}/files/a.txt/content")).await;
        assert_eq!(used().await == first, stale);
        server.clock().advance(seconds(18));
        assert_ne!(used().await, first);
    }
}

/// Exchanges 248 to 251, with and without the mix-up.
#[tokio::test]
async fn files_are_included_for_whom_they_were_read() {
    for (defects, plain_has_files) in [(Defects::all(), true), (Defects::all().with_include_files_mixup(false), false)]
    {
        let (server, bucket) = server(defects).await;
        let included = get(&server, &format!("{bucket}?include=files")).await.json();
        assert_eq!(included["files"].as_array().map(Vec::len), Some(1));
        assert_eq!(get(&server, &bucket).await.json().get("files").is_some(), plain_has_files);
    }
}

/// Exchanges 664 to 666, 945 and 947.
#[tokio::test]
async fn a_resolved_code_redirects_for_ten_minutes() {
    for (defects, statuses) in [(Defects::all(), [302, 404]), (Defects::none(), [404, 404])] {
        let (server, bucket) = server(defects).await;
        let short =
            get(&server, &format!("{bucket}/files/a.txt")).await.json()["short_url"].as_str().unwrap().to_owned();
        assert_eq!(get(&server, &short).await.status, 302);
        assert_eq!(once(&server, "DELETE", &format!("{bucket}/files/a.txt"), &[ADMIN], b"").await.status, 204);
        server.clock().advance(seconds(590));
        let stale = get(&server, &short).await.status;
        server.clock().advance(seconds(18));
        assert_eq!([stale, get(&server, &short).await.status], statuses);
    }
}

/// A row that was read before a change, for an answer that comes after it, stands for five minutes.
#[tokio::test]
async fn a_row_that_was_read_too_early_stands_for_five_minutes() {
    for (defects, stale) in [(Defects::all(), true), (Defects::none(), false)] {
        let (server, bucket) = server(defects).await;
        let file = format!("{bucket}/files/a.txt");
        let old = get(&server, &file).await.json()["sha256"].as_str().unwrap().to_owned();
        let held = server.inject(Fault::stall_headers().on("GET", &file));
        let mut reader = Client::connect(&server).await;
        reader.write(&head("GET", &format!("{file}/content"), &[])).await.unwrap();
        held.fired_at_least(1).await;
        put(&server, &bucket, "a.txt", b"new").await;
        held.release();
        assert_eq!(reader.answer("GET").await.unwrap().body, b"a");
        let is_old = async || get(&server, &file).await.json()["sha256"] == old.as_str();
        assert_eq!(is_old().await, stale);
        let content = get(&server, &format!("{file}/content")).await;
        assert_eq!((content.body.as_slice(), content.header("content-length")), (&b"new"[..], Some("3")));
        assert_eq!(content.header("etag") == Some(format!("\"{old}\"").as_str()), stale);
        let listed = get(&server, &format!("{bucket}/files")).await.json();
        assert_ne!(listed["items"][0]["sha256"], old.as_str());
        server.clock().advance(seconds(301));
        assert!(!is_old().await);
        // What nobody was reading is not remembered.
        put(&server, &bucket, "a.txt", b"newer").await;
        assert_eq!(get(&server, &file).await.json()["size"], 5);
    }
}

/// The defects of names and of matching, switched off.
#[tokio::test]
async fn without_defects_any_name_works() {
    let (server, bucket) = server(Defects::none()).await;
    let stored = put(&server, &bucket, "a_b/%C3%BC.txt", b"x").await;
    assert_eq!(stored.status, 201);
    assert!(stored.header("location").unwrap().ends_with("/files/a_b/%C3%BC.txt"));
    let tree = get(&server, &format!("{bucket}/files?delimiter=/&prefix=a_b/")).await.json();
    assert_eq!(tree["total_files"], 1);
    let other_case = get(&server, &format!("{bucket}/ls?path=A_B")).await.json();
    assert_eq!(other_case["files"], Value::Array(Vec::new()));
    let renamed =
        once(&server, "PATCH", &bucket, &[ADMIN, "Content-Type: application/json"], r#"{"name":"ü"}"#.as_bytes());
    assert_eq!(renamed.await.status, 200);
    assert_eq!(get(&server, &format!("{bucket}/zip")).await.status, 200);
}

//! What can be made to go wrong with events and invocations.

use std::sync::Arc;
use std::time::Duration;

use carbonfiles_testserver::{Defects, Fault, HubTimes, TestServer};
use serde_json::json;

use crate::client::{Client, End, bucket, request, upload, within};

async fn subscribed() -> (TestServer, String, Client) {
    let server = TestServer::start().await.unwrap();
    let id = bucket(&server).await;
    let client = Client::subscribed(&server, "SubscribeToBucket", json!([id])).await;
    (server, id, client)
}

async fn paths(client: &mut Client, count: usize) -> Vec<String> {
    let mut paths = Vec::new();
    for _ in 0..count {
        paths.push(client.event().await.1);
    }
    paths
}

#[tokio::test]
async fn events_are_lost_doubled_held_delayed_and_overtaken() {
    let (server, id, mut client) = subscribed().await;
    let lost = server.inject(Fault::lose_event().on("FileCreated", "\"lost").times(2));
    server.inject(Fault::duplicate_event(1).on("FileCreated", "twice"));
    server.inject(Fault::overtake_event(2).on("*", "late"));
    let held = server.inject(Fault::hold_event().on("*", "held"));
    server.inject(Fault::delay_event(Duration::from_millis(20)).on("*", "delayed"));
    for name in ["lost1", "a", "lost2", "twice", "late", "held", "b", "c", "d", "lost3", "delayed"] {
        assert_eq!(upload(&server, &id, name).await, 201);
    }
    assert_eq!(lost.fired(), 2);
    assert_eq!(paths(&mut client, 9).await, ["a", "twice", "twice", "b", "c", "late", "d", "lost3", "delayed"]);
    held.release();
    assert_eq!(paths(&mut client, 1).await, ["held"]);
}

#[tokio::test]
async fn faults_of_requests_leave_events_alone() {
    let (server, id, mut client) = subscribed().await;
    let busy = server.inject(Fault::status(503).forever().on("*", "b.txt"));
    assert_eq!(upload(&server, &id, "a.txt").await, 201);
    assert_eq!(upload(&server, &id, "b.txt").await, 503);
    assert_eq!(busy.fired(), 1);
    assert_eq!(paths(&mut client, 1).await, ["a.txt"]);
}

#[tokio::test]
async fn invocations_fail_go_unanswered_or_break_the_connection() {
    let (server, id, mut client) = subscribed().await;
    server.inject(Fault::fail_call("HubException: no").on("SubscribeToBucket", "other"));
    assert_eq!(client.call("SubscribeToBucket", json!(["other"])).await["error"], "HubException: no");
    server.inject(Fault::lose_completion().on("SubscribeToFile", ""));
    client
        .say(&json!({"type": 1, "invocationId": "1", "target": "SubscribeToFile", "arguments": [id, "f"]}).to_string())
        .await;
    upload(&server, &id, "f").await;
    assert_eq!(paths(&mut client, 2).await, ["f", "f"]);
    server.inject(Fault::reset_call().on("UnsubscribeFromFile", ""));
    client.say(&json!({"type": 1, "target": "UnsubscribeFromFile", "arguments": [id, "f"]}).to_string()).await;
    assert_eq!(client.end().await, End::Reset);
    server.inject(Fault::fail_call("not you").on("handshake", ""));
    let mut client = Client::open(&server, "").await;
    client.say(r#"{"protocol":"json","version":1}"#).await;
    assert_eq!(client.record().await, r#"{"error":"not you"}"#);
    assert_eq!(client.end().await, End::Closed(1000));
}

#[tokio::test]
async fn an_upgrade_is_answered_by_a_proxy_instead() {
    let server = TestServer::start().await.unwrap();
    server.inject(Fault::status(200).header("content-type", "text/html").body("<html>").on("GET", "/hub/files"));
    assert_eq!(request(&server, "GET", "/hub/files", "").await, (200, "<html>".to_owned()));
    Client::connect(&server, "").await;
}

#[tokio::test]
async fn a_mute_hub_stays_connected_and_says_nothing() {
    let (server, id, mut client) = subscribed().await;
    server.hub().mute(true);
    upload(&server, &id, "a").await;
    client.say(r#"{"type":1,"invocationId":"1","target":"SubscribeToBucket","arguments":["x"]}"#).await;
    within(server.hub().until(|hub| hub.seen().len() == 3)).await;
    server.hub().mute(false);
    upload(&server, &id, "b").await;
    assert_eq!(paths(&mut client, 1).await, ["b"]);
}

#[tokio::test]
async fn groups_can_be_forgotten_behind_the_clients_backs() {
    let (server, id, mut client) = subscribed().await;
    server.hub().forget_groups();
    upload(&server, &id, "a").await;
    client.call("SubscribeToBucket", json!([id])).await;
    upload(&server, &id, "b").await;
    assert_eq!(paths(&mut client, 1).await, ["b"]);
}

#[tokio::test]
async fn a_stalled_reader_blocks_uploads_into_its_bucket_until_it_is_reset() {
    let slow_reader = Duration::from_millis(300);
    let times = HubTimes { slow_reader, ..HubTimes::default() };
    let server = TestServer::builder().hub_times(times).start().await.unwrap();
    let (id, free) = (bucket(&server).await, bucket(&server).await);
    let mut client = Client::subscribed(&server, "SubscribeToBucket", json!([id])).await;
    server.hub().stall(true);
    let begun = std::time::Instant::now();
    assert_eq!(upload(&server, &free, "free").await, 201);
    assert_eq!(within(upload(&server, &id, "blocked")).await, 201);
    assert!(begun.elapsed() >= slow_reader);
    assert_eq!(client.end().await, End::Reset);
    server.hub().stall(false);
    let mut client = Client::subscribed(&server, "SubscribeToBucket", json!([id])).await;
    upload(&server, &id, "b").await;
    assert_eq!(paths(&mut client, 1).await, ["b"]);
}

#[tokio::test]
async fn a_client_that_really_does_not_read_is_reset_and_the_others_get_everything() {
    let times = HubTimes { slow_reader: Duration::from_millis(500), ..HubTimes::default() };
    let server = TestServer::builder().hub_times(times).start().await.unwrap();
    let mut slow = Client::connect(&server, "").await;
    let mut quick = Client::connect(&server, "").await;
    let message = vec![b' '; 1 << 20];
    let mut text = message.clone();
    text.push(0x1e);
    let flood = async {
        for _ in 0..40 {
            server.hub().send_text(text.clone()).await;
        }
    };
    let read = async {
        for _ in 0..40 {
            assert_eq!(quick.record().await.len(), message.len());
        }
    };
    within(async { tokio::join!(flood, read) }).await;
    assert_eq!(server.hub().connections().len(), 1);
    assert_eq!(slow.end().await, End::Reset);
}

/// What is deleted is told before it is forgotten: while a reader holds the telling up, it is remembered if it was read.
#[tokio::test]
async fn what_is_deleted_is_remembered_until_it_has_been_told() {
    for (defects, file, again) in [(Defects::all(), 200, 403), (Defects::none(), 404, 404)] {
        let server = Arc::new(TestServer::builder().defects(defects).start().await.unwrap());
        let id = bucket(&server).await;
        for name in ["read", "unread"] {
            assert_eq!(upload(&server, &id, name).await, 201);
        }
        let _client = Client::subscribed(&server, "SubscribeToBucket", json!([id])).await;
        let bucket = format!("/api/buckets/{id}");
        let (read, unread) = (format!("{bucket}/files/read"), format!("{bucket}/files/unread"));
        let status = async |method: &str, target: &str| request(&server, method, target, "").await.0;
        let delete = |target: &str| {
            let (server, target) = (Arc::clone(&server), target.to_owned());
            tokio::spawn(async move { request(&server, "DELETE", &target, "").await.0 })
        };
        let listing = async || request(&server, "GET", &format!("{bucket}/files"), "").await.1;
        let until = async |said: &str| within(async { while !listing().await.contains(said) {} }).await;

        assert_eq!((status("GET", &read).await, status("GET", &bucket).await), (200, 200));
        server.hub().stall(true);
        let deleting = [delete(&read), delete(&unread)];
        until("\"total\":0").await;
        assert_eq!((status("GET", &read).await, status("GET", &unread).await), (file, 404));
        server.hub().stall(false);
        for done in deleting {
            assert_eq!(within(done).await.unwrap(), 204);
        }
        assert_eq!(status("GET", &read).await, 404);

        assert_eq!(status("GET", &bucket).await, 200);
        server.hub().stall(true);
        let deleting = delete(&bucket);
        until("Bucket not found").await;
        assert_eq!(status("DELETE", &bucket).await, again);
        server.hub().stall(false);
        assert_eq!(within(deleting).await.unwrap(), 204);
        assert_eq!(status("DELETE", &bucket).await, 404);
    }
}

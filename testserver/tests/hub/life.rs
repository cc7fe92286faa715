//! Pings, time-outs, restarts and ends.

use std::time::Duration;

use carbonfiles_testserver::{HubTimes, TestServer};
use serde_json::json;

use crate::client::{Client, End, bucket, request, upload, within};

const PING: &str = r#"{"type":6}"#;
const ERROR: &str = r#"{"type":7,"error":"Connection closed with an error.","allowReconnect":true}"#;

async fn with_times(times: HubTimes) -> TestServer {
    TestServer::builder().hub_times(times).start().await.unwrap()
}

#[tokio::test]
async fn the_server_pings_and_can_be_told_not_to() {
    let ping = Duration::from_millis(20);
    let server = with_times(HubTimes { ping, ..HubTimes::default() }).await;
    let mut client = Client::connect(&server, "").await;
    for _ in 0..3 {
        assert_eq!(client.record().await, PING);
    }
    server.hub().send_pings(false);
    client.say(r#"{"type":1,"invocationId":"1","target":"SubscribeToBucket","arguments":["x"]}"#).await;
    while client.record().await == PING {}
    tokio::time::sleep(10 * ping).await;
    client.say(r#"{"type":1,"invocationId":"2","target":"SubscribeToBucket","arguments":["x"]}"#).await;
    assert_eq!(client.json().await["invocationId"], "2");
}

#[tokio::test]
async fn who_has_pinged_once_must_go_on() {
    let client_timeout = Duration::from_millis(300);
    let server = with_times(HubTimes { client_timeout, ..HubTimes::default() }).await;
    let mut silent = Client::connect(&server, "").await;
    let mut pinging = Client::connect(&server, "").await;
    pinging.say(PING).await;
    assert_eq!(pinging.record().await, ERROR);
    assert_eq!(pinging.end().await, End::Closed(1000));
    assert_eq!(silent.call("SubscribeToBucket", json!(["x"])).await["result"], json!(null));
}

#[tokio::test]
async fn the_handshake_has_its_time_and_its_errors() {
    let handshake = Duration::from_millis(50);
    let server = with_times(HubTimes { handshake, ..HubTimes::default() }).await;
    let mut client = Client::open(&server, "").await;
    assert_eq!(client.record().await, r#"{"error":"Handshake was canceled."}"#);
    assert_eq!(client.end().await, End::Closed(1000));
    for (said, error) in [
        (r#"{"protocol":"foo","version":1}"#, "The protocol 'foo' is not supported."),
        (r#"{"protocol":"json","version":3}"#, "The server does not support version 3 of the 'json' protocol."),
        ("hello", "An unexpected error occurred during connection handshake."),
    ] {
        let mut client = Client::open(&server, "").await;
        client.say(said).await;
        assert_eq!(client.json().await, json!({"error": error}));
        assert_eq!(client.end().await, End::Closed(1000));
    }
}

#[tokio::test]
async fn sigterm_resets_and_sigkill_just_ends() {
    let server = TestServer::start().await.unwrap();
    let mut client = Client::subscribed(&server, "SubscribeToBucket", json!(["x"])).await;
    within(server.shutdown_gracefully()).await;
    assert_eq!(client.end().await, End::Reset);
    server.restart().await.unwrap();
    let mut client = Client::connect(&server, "").await;
    server.shutdown().await;
    assert_eq!(client.end().await, End::Gone);
}

#[tokio::test]
async fn a_restart_forgets_subscriptions_and_ids() {
    let server = TestServer::start().await.unwrap();
    let id = bucket(&server).await;
    let negotiated = request(&server, "POST", "/hub/files/negotiate?negotiateVersion=1", "").await.1;
    let token = negotiated.split("connectionToken\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let old = format!("/hub/files?id={token}");
    assert_eq!(request(&server, "GET", &old, "").await.0, 501);
    let mut before = Client::subscribed(&server, "SubscribeToBucket", json!([id])).await;
    server.restart().await.unwrap();
    assert_eq!(before.end().await, End::Gone);
    assert_eq!(request(&server, "GET", &old, "").await.0, 404);
    let mut after = Client::connect(&server, "").await;
    upload(&server, &id, "a.txt").await;
    after.call("SubscribeToBucket", json!([id])).await;
    upload(&server, &id, "b.txt").await;
    assert_eq!(after.event().await, ("FileCreated".to_owned(), "b.txt".to_owned()));
}

#[tokio::test]
async fn an_unknown_type_freezes_a_connection_that_goes_on_getting_events() {
    let server = TestServer::start().await.unwrap();
    let id = bucket(&server).await;
    let mut client = Client::subscribed(&server, "SubscribeToBucket", json!([id])).await;
    client.say(r#"{"type":99}"#).await;
    client.say("not even JSON").await;
    within(server.hub().until(|hub| hub.seen().len() == 3)).await;
    upload(&server, &id, "a.txt").await;
    assert_eq!(client.event().await, ("FileCreated".to_owned(), "a.txt".to_owned()));
    client.raw(&"x".repeat(33_000)).await;
    assert_eq!(client.record().await, ERROR);
    assert_eq!(client.end().await, End::Closed(1000));
}

#[tokio::test]
async fn goodbyes_are_said_with_and_without_leave_to_come_back() {
    let server = TestServer::start().await.unwrap();
    for (error, back, said) in [
        (None, true, r#"{"type":7,"allowReconnect":true}"#),
        (Some("so \"long\""), false, r#"{"type":7,"error":"so \"long\""}"#),
    ] {
        let mut client = Client::connect(&server, "").await;
        server.hub().say_goodbye(error, back);
        assert_eq!(client.record().await, said);
        assert_eq!(client.end().await, End::Closed(1000));
    }
}

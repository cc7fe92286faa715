//! Which event goes to whom.

use carbonfiles_testserver::{Group, TestServer};
use serde_json::json;

use crate::client::{Client, bucket, request, upload, within};

fn names(events: &[(String, String)]) -> Vec<(&str, &str)> {
    events.iter().map(|(target, about)| (target.as_str(), about.as_str())).collect()
}

#[tokio::test]
async fn the_subscribers_of_a_bucket_get_its_events_in_order() {
    let server = TestServer::start().await.unwrap();
    let id = bucket(&server).await;
    let mut client = Client::subscribed(&server, "SubscribeToBucket", json!([id])).await;
    let elsewhere = bucket(&server).await;
    upload(&server, &elsewhere, "unseen.txt").await;
    upload(&server, &id, "a.txt").await;
    upload(&server, &id, "a.txt").await;
    let file = format!("/api/buckets/{id}/files/a.txt");
    assert_eq!(request(&server, "PATCH", &format!("{file}/content"), "").await.0, 400);
    assert_eq!(request(&server, "DELETE", &file, "").await.0, 204);
    let patched = request(&server, "PATCH", &format!("/api/buckets/{id}"), r#"{"name":"b"}"#).await;
    assert_eq!(patched.0, 200);
    assert_eq!(request(&server, "DELETE", &format!("/api/buckets/{id}"), "").await.0, 204);
    let mut events = Vec::new();
    for _ in 0..5 {
        events.push(client.event().await);
    }
    let expected = [
        ("FileCreated", "a.txt"),
        ("FileUpdated", "a.txt"),
        ("FileDeleted", "a.txt"),
        ("BucketUpdated", ""),
        ("BucketDeleted", id.as_str()),
    ];
    assert_eq!(names(&events), expected);
}

/// The real hub's groups are texts, so that it does not matter where the bucket ends.
#[tokio::test]
async fn the_file_of_a_subscription_is_one_text() {
    let server = TestServer::start().await.unwrap();
    let id = bucket(&server).await;
    let mut client = Client::subscribed(&server, "SubscribeToFile", json!([format!("{id}:dir"), "a"])).await;
    upload(&server, &id, "a").await;
    upload(&server, &id, "dir:a").await;
    assert_eq!(client.event().await.1, "dir:a");
}

#[tokio::test]
async fn one_connection_gets_a_copy_for_each_kind_of_subscription() {
    let server = TestServer::start().await.unwrap();
    let id = bucket(&server).await;
    let mut client = Client::subscribed(&server, "SubscribeToAll", json!([])).await;
    client.call("SubscribeToFile", json!([id, "a.txt"])).await;
    client.call("subscribetobucket", json!([id])).await;
    client.call("SUBSCRIBETOBUCKET", json!([id])).await;
    let groups = vec![Group::All, Group::Bucket(id.clone()), Group::File(id.clone(), "a.txt".to_owned())];
    assert_eq!(server.hub().connections()[0].groups, groups);
    upload(&server, &id, "a.txt").await;
    let first = client.record().await;
    assert_eq!((client.record().await, client.record().await), (first.clone(), first));
    client.call("UnsubscribeFromBucket", json!([id])).await;
    client.call("UnsubscribeFromAll", json!([])).await;
    upload(&server, &id, "b.txt").await;
    upload(&server, &id, "a.txt").await;
    assert_eq!(client.event().await, ("FileUpdated".to_owned(), "a.txt".to_owned()));
}

#[tokio::test]
async fn all_needs_the_admin_key_in_the_query() {
    let server = TestServer::start().await.unwrap();
    let mut nobody = Client::connect(&server, "").await;
    let error = nobody.call("SubscribeToAll", json!([])).await["error"].as_str().unwrap().to_owned();
    assert!(error.ends_with("HubException: Admin authentication required for global subscriptions"), "{error}");
    let mut admin = Client::connect(&server, "?Access_Token=admin-test-key").await;
    assert_eq!(admin.call("SubscribeToAll", json!([])).await["error"], json!(null));
}

#[tokio::test]
async fn the_hub_tells_who_is_there_and_what_they_said() {
    let server = TestServer::start().await.unwrap();
    let hub = server.hub();
    assert_eq!(hub.connections(), []);
    let mut client = Client::subscribed(&server, "SubscribeToBucket", json!(["x"])).await;
    client.say(r#"{"type":6}"#).await;
    within(hub.until(|hub| hub.seen().len() == 3)).await;
    assert_eq!(hub.subscribers(&Group::Bucket("x".to_owned())), 1);
    assert!(hub.connections()[0].handshaken);
    assert_eq!(hub.seen()[2].record, r#"{"type":6}"#);
    drop(client);
    within(hub.until(|hub| hub.connections().is_empty())).await;
    assert_eq!(hub.subscribers(&Group::Bucket("x".to_owned())), 0);
}

//! Callbacks instead of streams.

use tokio::sync::mpsc;

use crate::support::within;
use crate::{start, upload};
use carbonfiles::ErrorKind;
use carbonfiles_testserver::Fault;

#[tokio::test]
async fn callbacks_are_called_until_their_guard_goes() {
    let (server, client, bucket) = start().await;
    let (send, mut called) = mpsc::unbounded_channel();
    let tell = |what: &'static str| {
        let send = send.clone();
        move |text: String| drop(send.send(format!("{what} {text}")))
    };
    let (created, updated, deleted) = (tell("created"), tell("updated"), tell("deleted"));
    let (all, gone) = (tell("all"), tell("gone"));
    let guards = (
        bucket.on_file_created(move |file| created(file.path)).await.unwrap(),
        bucket.file("a").on_file_updated(move |file| updated(file.path)).await.unwrap(),
        bucket.on_bucket_deleted(gone).await.unwrap(),
        client.events().on_bucket_created(move |bucket| all(bucket.name)).await.unwrap(),
    );
    bucket.on_file_deleted(deleted).await.unwrap().detach();
    let mut expect = async |what: &str| assert_eq!(within(called.recv()).await.unwrap(), what);
    upload(&bucket, "a").await;
    expect("created a").await;
    upload(&bucket, "b").await;
    expect("created b").await;
    upload(&bucket, "a").await;
    expect("updated a").await;
    bucket.file("b").delete().await.unwrap();
    expect("deleted b").await;
    client.buckets().create("new").await.unwrap();
    expect("all new").await;
    drop(guards);
    within(server.hub().until(|hub| hub.connections().len() == 1)).await;
    upload(&bucket, "c").await;
    bucket.file("c").delete().await.unwrap();
    // Detached, it goes on alone.
    expect("deleted c").await;
}

#[tokio::test]
async fn a_guard_tells_why_its_callback_is_called_no_more() {
    let (server, _client, bucket) = start().await;
    let panics = bucket.on_file_created(|_| panic!("on purpose")).await.unwrap();
    let refused = bucket.on_file_deleted(drop).await.unwrap();
    upload(&bucket, "a").await;
    assert!(within(panics.ended()).await.message().contains("panicked"));
    server.inject(Fault::fail_call("HubException: not any more").on("SubscribeToBucket", ""));
    server.hub().reset_connections();
    let error = within(refused.ended()).await;
    assert_eq!(error.message(), "not any more");
    assert!(error.is_denied());
    assert_eq!(bucket.file("../x").on_file_created(drop).await.unwrap_err().kind(), ErrorKind::InvalidInput);
}

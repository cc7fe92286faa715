//! The budget of retries that the calls of a client share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use carbonfiles::{Client, ErrorKind};
use carbonfiles_testserver::{Fault, TestServer};

use crate::support::{Answer, RawServer, admin, answer, bucket, builder, server, within};

#[tokio::test]
async fn an_outage_is_not_multiplied() {
    let server = server().await;
    let client = admin(&server);
    server.inject(Fault::status(503).forever());
    for _ in 0..200 {
        within(client.health().send()).await.unwrap_err();
    }
    let outage = server.requests().len();
    assert!((200..=300).contains(&outage), "{outage} requests for 200 calls");
    // Clones share the budget, and it is still empty.
    server.clear_requests();
    within(client.clone().health().send()).await.unwrap_err();
    assert_eq!(server.requests().len(), 1);
    // When the server is back, retrying comes back.
    server.clear_faults();
    for _ in 0..20 {
        within(client.health().send()).await.unwrap();
    }
    server.inject(Fault::status(503));
    within(client.health().send()).await.unwrap();
}

#[tokio::test]
async fn a_download_that_is_cut_takes_from_the_budget_too() {
    let server = server().await;
    let client = admin(&server);
    let file = bucket(&client).await.file("x.bin");
    file.upload(vec![7; 1_000_000]).await.unwrap();
    let cut = server.inject(Fault::reset_response_after(1000).on("GET", "/content").forever());
    let gets = async || {
        let before = cut.fired();
        let error = within(async { file.download().await.unwrap().bytes(1_000_000).await }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{error:?}");
        cut.fired() - before
    };
    assert_eq!(gets().await, 4);
    server.inject(Fault::status(503).on("GET", "/healthz").forever());
    for _ in 0..60 {
        within(client.health().send()).await.unwrap_err();
    }
    // One cut costs nothing: most are the only one.
    assert_eq!(gets().await, 2);
}

/// Calls that fail until nobody may try again.
async fn empty(server: &TestServer, client: &Client) {
    server.inject(Fault::status(503).forever());
    for _ in 0..60 {
        within(client.health().send()).await.unwrap_err();
    }
    server.clear_requests();
    within(client.health().send()).await.unwrap_err();
    assert_eq!(server.requests().len(), 1, "it is empty");
    server.clear_faults();
}

/// A client that is seldom used has no calls that would fill it.
#[tokio::test]
async fn the_budget_comes_back_with_time() {
    let server = server().await;
    let client = admin(&server);
    empty(&server, &client).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(600)).await;
    tokio::time::resume();
    server.inject(Fault::status(503));
    within(client.health().send()).await.unwrap();
}

/// Whoever says that there is no such thing is well.
#[tokio::test]
async fn a_refusal_of_a_healthy_server_fills_the_budget() {
    for (status, fills) in [(404, true), (403, true), (412, true), (501, false), (500, false), (429, false)] {
        let (count, well) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(503)));
        let (counted, says) = (count.clone(), well.clone());
        let server = RawServer::start(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            Answer::Bytes(answer(says.load(Ordering::SeqCst) as u16, "", b""))
        })
        .await;
        let client = builder(&server.url).build().unwrap();
        for _ in 0..60 {
            within(client.health().send()).await.unwrap_err();
        }
        well.store(status, Ordering::SeqCst);
        for _ in 0..20 {
            within(client.bucket("b").update().description("d").send()).await.unwrap_err();
        }
        well.store(503, Ordering::SeqCst);
        let before = count.load(Ordering::SeqCst);
        within(client.health().send()).await.unwrap_err();
        // Twenty answers are two retries.
        let tries = count.load(Ordering::SeqCst) - before;
        assert_eq!(tries, if fills { 3 } else { 1 }, "{status}");
    }
}

//! What a watch, a mirror and a wait say while they can't do what they are for.

use std::time::Duration;

use carbonfiles::events::WatchEvent;
use carbonfiles::models::FileInfo;
use carbonfiles_testserver::{Fault, Group};
use futures::StreamExt;

use crate::support::{self, RawServer, answer, within};
use crate::watch::told;
use crate::{settings, start, upload};

const SOON: Duration = Duration::from_millis(50);
/// So that whoever waits learns why on a busy machine too.
const LIMIT: Duration = Duration::from_secs(1);

/// Events are followed all the same, and for what has none the mirror is known to be old.
#[tokio::test]
async fn a_mirror_says_that_listings_fail() {
    let (server, _client, bucket) = start().await;
    upload(&bucket, "a").await;
    let mirror = within(bucket.mirror().relist_every(SOON).send()).await.unwrap();
    assert_eq!(mirror.listing_error(), None);
    let (revision, mut changes) = (mirror.revision(), mirror.changes());
    server.inject(Fault::status(403).on("GET", "delimiter").forever());
    let change = within(changes.next()).await.unwrap().unwrap();
    assert!(change.stale && change.is_empty() && !change.reset && change.revision > revision, "{change:?}");
    let reason = mirror.listing_error().unwrap();
    assert!(reason.contains("403") && mirror.error().is_none(), "{reason}");
    upload(&bucket, "b").await;
    let change = within(changes.next()).await.unwrap().unwrap();
    assert!(change.stale && change.changed[0].path == "b", "{change:?}");
    let late = within(mirror.follow(mirror.revision() - 1).next()).await.unwrap().unwrap();
    assert!(late.stale && late.changed.len() == 1, "{late:?}");
    server.clear_faults();
    let change = within(changes.next()).await.unwrap().unwrap();
    assert!(!change.stale && change.is_empty(), "{change:?}");
    assert_eq!(mirror.listing_error(), None);
    // Whoever was away meanwhile is told as well.
    let all = within(mirror.follow(revision).next()).await.unwrap().unwrap();
    assert!(!all.stale && !all.reset && all.changed.len() == 1, "{all:?}");
}

#[tokio::test]
async fn a_watch_says_when_listings_succeed_again() {
    let (server, _client, bucket) = start().await;
    upload(&bucket, "a").await;
    let mut watch = bucket.watch().relist_every(SOON);
    told(&mut watch, 3).await;
    server.inject(Fault::status(403).on("GET", "delimiter"));
    assert_eq!(told(&mut watch, 2).await, ["failed", "succeeded"], "nothing is different");
}

#[tokio::test]
async fn a_mirror_may_have_a_limit_and_says_what_it_waited_for() {
    let nowhere = format!("http://{}", support::nobody().await);
    let nobody = support::builder(&nowhere).events(settings()).build().unwrap();
    let error = within(nobody.bucket("b").mirror().timeout(LIMIT).send()).await.unwrap_err();
    assert!(error.is_timeout() && error.message().contains("refused"), "{error}");
    let (server, _client, bucket) = start().await;
    server.inject(Fault::status(503).on("GET", "delimiter").forever());
    let error = within(bucket.mirror().timeout(LIMIT).send()).await.unwrap_err();
    assert!(error.is_timeout() && error.message().contains("status 503"), "{error}");
    server.clear_faults();
    drop(within(bucket.mirror().timeout(support::GUARD).send()).await.unwrap());
}

/// Such as a proxy that is to pass the request for a WebSocket on to nobody.
#[tokio::test]
async fn a_watch_says_why_it_does_not_begin() {
    let proxy = RawServer::saying(answer(502, "", b"")).await;
    let client = support::builder(&proxy.url).token("key").events(settings()).build().unwrap();
    let first = within(client.bucket("b").watch().next()).await.unwrap().unwrap();
    assert!(matches!(&first, WatchEvent::Waiting { reason, .. } if reason.contains("502")), "{first:?}");
    let first = within(client.watch().next()).await.unwrap().unwrap();
    assert!(matches!(&first, WatchEvent::Waiting { reason, .. } if reason.contains("502")), "{first:?}");
}

/// The server says so twice; what others say of it, or it says once, is waited out.
#[tokio::test]
async fn waiting_ends_with_the_bucket() {
    let (server, client, bucket) = start().await;
    let error = within(client.bucket("nothere00").wait_for("x")).await.unwrap_err();
    assert!(error.is_not_found() && error.message() == "Bucket not found", "{error}");
    let once = Fault::status(404).body(r#"{"error":"Bucket not found"}"#).on("GET", "/files/x");
    let page = Fault::status(404).body("<html>").on("GET", "/files/x");
    let answers = [server.inject(once), server.inject(page)];
    let waiting = tokio::spawn(bucket.wait_for("x"));
    for answered in answers {
        within(answered.fired_at_least(1)).await;
    }
    bucket.delete().await.unwrap();
    // Of which no event tells a file's subscriber. After a gap it is asked for.
    within(server.hub().until(|hub| hub.subscribers(&Group::File(bucket.id().into(), "x".into())) == 1)).await;
    server.hub().restart();
    assert!(within(waiting).await.unwrap().unwrap_err().is_not_found());
}

/// However often something unreadable comes, which may be about this file, it is asked for.
#[tokio::test]
async fn waiting_goes_on_among_events_of_another_shape() {
    let (server, _client, bucket) = start().await;
    upload(&bucket, "a").await;
    let (tell, mut told) = futures::channel::mpsc::unbounded();
    let wanted = move |file: Option<&FileInfo>| {
        tell.unbounded_send(file.map(|file| file.size)).unwrap();
        file.is_some_and(|file| file.size == 2)
    };
    let waiting = tokio::spawn(bucket.file("a").wait_until(wanted, support::GUARD / 2));
    assert_eq!(within(told.next()).await, Some(Some(1)));
    let unreadable = async {
        let record = "{\"type\":1,\"target\":\"FileUpdated\",\"arguments\":[{}]}\x1e";
        let mut every = tokio::time::interval(Duration::from_millis(10));
        loop {
            every.tick().await;
            server.hub().send_text(record).await;
        }
    };
    let appended = async {
        // Of which no event tells.
        bucket.file("a").append("2".as_bytes()).await.unwrap();
        within(waiting).await.unwrap().unwrap()
    };
    tokio::select! {
        () = unreadable => {}
        file = appended => assert_eq!(file.unwrap().size, 2),
    }
}

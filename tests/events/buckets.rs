//! Watching all buckets: what is stored in them, and when they go.

use std::time::Duration;

use carbonfiles::events::WatchEvent;
use futures::StreamExt;

use crate::support::{self, within};
use crate::{settings, start, upload};

/// A bucket that never rests is shown all the same, and one that comes later expires in time.
#[tokio::test]
async fn busy_buckets_and_brief_ones() {
    let (_server, client, bucket) = start().await;
    let mut watch = client.watch().relist_every(Duration::from_secs(3600));
    for _ in 0..3 {
        within(watch.next()).await.unwrap().unwrap();
    }
    let busy = async {
        loop {
            upload(&bucket, "a").await;
            bucket.file("a").delete().await.unwrap();
            upload(&bucket, &fastrand::u64(..).to_string()).await;
        }
    };
    let mut count = 0;
    let shown = async {
        for _ in 0..3 {
            let WatchEvent::Changed(now) = within(watch.next()).await.unwrap().unwrap() else { panic!() };
            assert!(now.file_count >= count);
            count = now.file_count;
        }
    };
    tokio::select! {
        () = busy => {}
        () = shown => {}
    }
    let brief = client.buckets().create("brief").expires(Duration::from_secs(1)).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        match within(watch.next()).await.unwrap().unwrap() {
            WatchEvent::Changed(one) if one.id == brief.id => seen.push("there"),
            WatchEvent::Removed(id) if id == brief.id => seen.push("gone"),
            _ => {}
        }
    }
    assert_eq!(seen, ["there", "gone"]);
}

#[tokio::test]
async fn all_buckets_with_what_is_stored_in_them() {
    let (server, client, bucket) = start().await;
    let mut watch = client.watch();
    let mut next = async || within(watch.next()).await.unwrap().unwrap();
    assert_eq!(next().await, WatchEvent::Init);
    assert!(matches!(next().await, WatchEvent::Listed(b) if b.id == bucket.id()));
    assert_eq!(next().await, WatchEvent::InitDone);
    let other = client.buckets().create("other").expires(Duration::from_secs(3600)).await.unwrap();
    assert_eq!(next().await, WatchEvent::Changed(other.clone()));
    upload(&bucket, "abc").await;
    assert!(matches!(next().await, WatchEvent::Changed(b) if (b.file_count, b.total_size) == (1, 3)));
    client.bucket(&other.id).update().name("renamed").await.unwrap();
    assert!(matches!(next().await, WatchEvent::Changed(b) if b.name == "renamed"));
    client.bucket(&other.id).delete().await.unwrap();
    assert_eq!(next().await, WatchEvent::Removed(other.id));
    let guest = support::builder(server.url()).events(settings()).build().unwrap();
    assert!(within(guest.watch().next()).await.unwrap().unwrap_err().is_denied());
}

/// The server may remember a bucket that has expired for ten minutes, and says so when it is looked up.
#[tokio::test]
async fn an_expired_bucket_that_the_server_remembers_stays_gone() {
    let (server, client, other) = start().await;
    let brief = client.buckets().create("brief").expires(Duration::from_secs(300)).await.unwrap();
    let mut watch = client.watch().relist_every(Duration::from_secs(3600));
    for _ in 0..4 {
        within(watch.next()).await.unwrap().unwrap();
    }
    // It is looked up for the upload, after the listing for the gap has found it gone.
    upload(&client.bucket(&brief.id), "a").await;
    client.bucket(&brief.id).get().await.unwrap();
    server.clock().advance(Duration::from_secs(360));
    assert_eq!(client.bucket(&brief.id).get().await.unwrap().bucket.id, brief.id, "the server says that it is there");
    server.hub().restart();
    assert_eq!(within(watch.next()).await.unwrap().unwrap(), WatchEvent::Removed(brief.id));
    for path in ["b", "c", "d"] {
        upload(&other, path).await;
        let next = within(watch.next()).await.unwrap().unwrap();
        assert!(matches!(&next, WatchEvent::Changed(bucket) if bucket.id == other.id()), "{next:?}");
    }
}

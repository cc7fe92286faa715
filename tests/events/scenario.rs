//! The scenario in which the official clients were compared: 5 uploads, the server restarted, 5 more. And a long silence.
//!
//! Shortened in every run of the tests; in its real times by
//! `cargo test --features events --test events real_time -- --ignored --nocapture` (10 minutes, next to no CPU).

use std::collections::BTreeMap;
use std::time::Duration;

use carbonfiles::events::{EventSettings, WatchEvent};
use carbonfiles_testserver::{Group, Hub, TestServer};
use futures::StreamExt;

use crate::support::{self, within};
use crate::watch::told;
use crate::{settings, short, upload};

/// When the second five are uploaded.
enum Then {
    AtOnce,
    /// When the watch is back, and so long after the restart.
    Later(Duration),
    AfterDowntime(Duration),
    AfterKill,
}

/// How many of the ten files the watch has shown in the end, and that each came once.
async fn shown(settings: EventSettings, then: Then) -> usize {
    let server = support::server().await;
    let client = || support::builder(server.url()).token(server.admin_key()).events(settings.clone()).build().unwrap();
    let uploader = support::bucket(&client()).await;
    let mut watch = client().bucket(uploader.id()).watch();
    told(&mut watch, 2).await;
    for n in 0..5 {
        upload(&uploader, &n.to_string()).await;
    }
    let mut seen = BTreeMap::new();
    let mut follow = async |until: usize| {
        while seen.len() < until {
            if let WatchEvent::Changed(file) = within(watch.next()).await.unwrap().unwrap() {
                *seen.entry(file.path).or_insert(0) += 1;
            }
        }
    };
    follow(5).await;
    match then {
        Then::AfterKill => {
            server.hub().end_connections();
            server.restart().await.unwrap();
        }
        Then::AfterDowntime(time) => {
            server.shutdown().await;
            tokio::time::sleep(time).await;
            server.restart().await.unwrap();
        }
        Then::AtOnce => server.restart().await.unwrap(),
        Then::Later(time) => {
            server.restart().await.unwrap();
            tokio::time::sleep(time).await;
            within(server.hub().until(|hub| hub.subscribers(&Group::Bucket(uploader.id().into())) == 1)).await;
        }
    }
    for n in 5..10 {
        upload(&uploader, &n.to_string()).await;
    }
    follow(10).await;
    assert!(seen.values().all(|times| *times == 1), "{seen:?}");
    seen.len()
}

async fn ten_of_ten(settings: EventSettings, pause: Duration, downtime: Duration) {
    for (when, then) in [
        ("at once".to_owned(), Then::AtOnce),
        (format!("{pause:?} later"), Then::Later(pause)),
        (format!("after {downtime:?} of downtime"), Then::AfterDowntime(downtime)),
        ("after a kill".to_owned(), Then::AfterKill),
    ] {
        let shown = shown(settings.clone(), then).await;
        println!("5 uploads, server restarted, 5 uploads {when}: watch showed {shown} of 10");
        assert_eq!(shown, 10);
    }
}

#[tokio::test]
async fn ten_of_ten_whenever_the_server_is_restarted() {
    // Many attempts fail during the downtime: the longest wait between them is 50 ms here.
    ten_of_ten(settings(), Duration::ZERO, Duration::from_secs(1)).await;
}

#[tokio::test]
#[ignore = "takes a minute"]
async fn real_time_ten_of_ten() {
    ten_of_ten(EventSettings::default(), Duration::from_secs(5), Duration::from_secs(20)).await;
}

#[tokio::test]
#[ignore = "takes ten minutes"]
async fn real_time_silence() {
    let silence = Duration::from_secs(600);
    let server = TestServer::start().await.unwrap();
    let client = support::builder(server.url()).token(server.admin_key()).build().unwrap();
    let bucket = support::bucket(&client).await;
    let mut events = bucket.events().await.unwrap();
    tokio::time::sleep(silence).await;
    let pings = |hub: &Hub| hub.seen().iter().filter(|seen| seen.record.contains(":6")).count();
    let hub = server.hub();
    println!("{silence:?} of silence: connection {}, {} pings", hub.connections()[0].number, pings(hub));
    assert_eq!(hub.connections()[0].number, 1, "the same connection");
    upload(&bucket, "a").await;
    assert_eq!(short(&within(events.next()).await.unwrap().unwrap()), "+a");
}

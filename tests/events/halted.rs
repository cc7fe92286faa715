//! A client whose runtime is kept from running, as by a machine that sleeps, a process that is stopped, or blocking work.

use std::sync::mpsc;
use std::time::Duration;

use carbonfiles::events::Event;
use carbonfiles_testserver::{Fault, Group, HubTimes, TestServer};
use chrono::Utc;
use futures::StreamExt;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::support::{self, within};
use crate::{next, settings, short, some, start, upload};

/// It can be kept from running.
fn one_worker() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Does something on the runtime, and then keeps it from running until what this gives is dropped.
async fn halt(runtime: &Runtime, before: impl FnOnce() + Send + 'static) -> mpsc::Sender<()> {
    let ((halted, is_halted), (release, released)) = (oneshot::channel(), mpsc::channel());
    runtime.spawn(async move {
        before();
        halted.send(()).unwrap();
        let _ = released.recv();
    });
    within(is_halted).await.unwrap();
    release
}

/// What a limit ends a connection at may have come with events, whose readers are to hear of them, and of all that follows.
#[tokio::test]
async fn a_reader_is_woken_for_what_came_with_the_end_of_a_connection() {
    let (server, _client, bucket) = start().await;
    let (hub, limit) = (server.hub(), Duration::from_secs(2));
    let client = support::builder(server.url()).events(settings().handshake_timeout(limit)).build().unwrap();
    let followed = client.bucket(bucket.id());
    let runtime = one_worker();
    let mut events = runtime.spawn(async move { followed.events().await.unwrap() }).await.unwrap();
    let unanswered = server.inject(Fault::lose_completion().on("SubscribeToBucket", ""));
    hub.restart();
    assert_eq!(some(&mut events, 1).await, ["disconnected"]);
    // Without a limit of its own, which would wake it.
    let reader = tokio::spawn(events.take(2).collect::<Vec<_>>());
    within(unanswered.fired_at_least(1)).await;
    within(hub.until(|hub| hub.subscribers(&Group::Bucket(bucket.id().into())) == 1)).await;
    let release = halt(&runtime, || ()).await;
    upload(&bucket, "a").await;
    // For the answer.
    tokio::time::sleep(limit).await;
    drop(release);
    let told = within(reader).await.unwrap();
    let mut told: Vec<_> = told.iter().map(|event| short(event.as_ref().unwrap())).collect();
    told.sort_unstable();
    assert_eq!(told, ["+a", "reconnected"]);
    runtime.shutdown_background();
}

/// What is read late came at any time before: events are missing from before the halt on.
#[tokio::test]
async fn a_gap_begins_before_what_was_read_late() {
    let (server, _client, bucket) = start().await;
    let followed = support::builder(server.url()).events(settings()).build().unwrap().bucket(bucket.id());
    let runtime = one_worker();
    let mut events = runtime.spawn(async move { followed.events().await.unwrap() }).await.unwrap();
    let release = halt(&runtime, || ()).await;
    let halted = Utc::now();
    upload(&bucket, "a").await;
    server.hub().end_connections();
    drop(release);
    assert_eq!(some(&mut events, 2).await, ["+a", "disconnected"]);
    let Event::Reconnected { missed_since, .. } = next(&mut events).await else { panic!() };
    assert!(missed_since <= halted, "{:?} too late", missed_since - halted);
    runtime.shutdown_background();
}

/// What has come meanwhile is looked for before a server counts as silent.
#[tokio::test]
async fn a_server_that_was_not_listened_to_is_not_silent() {
    let (limit, ping) = (Duration::from_secs(1), Duration::from_millis(100));
    let times = HubTimes { ping, ..HubTimes::default() };
    let server = TestServer::builder().hub_times(times).start().await.unwrap();
    let admin = crate::client(&server);
    let bucket = support::bucket(&admin).await;
    let client = support::builder(server.url()).events(settings().server_timeout(limit)).build().unwrap();
    let followed = client.bucket(bucket.id());
    let runtime = one_worker();
    let subscribing = async move { (followed.events().await.unwrap(), followed.file("a").events().await.unwrap()) };
    let (mut events, other) = runtime.spawn(subscribing).await.unwrap();
    // That is cause for the connection's task to have a turn before the runtime knows what has come.
    let release = halt(&runtime, || drop(other)).await;
    tokio::time::sleep(limit + ping).await;
    drop(release);
    upload(&bucket, "a").await;
    assert_eq!(some(&mut events, 1).await, ["+a"]);
    // Nothing at all is another matter.
    server.hub().mute(true);
    let Event::Disconnected { reason, .. } = next(&mut events).await else { panic!() };
    assert!(reason.contains("silent for 1s"), "{reason}");
    runtime.shutdown_background();
}

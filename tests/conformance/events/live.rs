//! The operations themselves, on a real connection to the hub.

use std::time::{Duration, Instant};

use carbonfiles::events::{ConnectionState, Event, EventKind, EventStream};
use carbonfiles::{Bucket, Client};
use futures::StreamExt;
use tokio::time::timeout;

use crate::bench::{Bench, builder};
use crate::operation::{Outcome, Trouble, ensure, same};
use crate::proxy::relay::Relay;

/// An event comes within milliseconds, and after a lost connection within some seconds.
const PATIENCE: Duration = Duration::from_secs(60);

async fn next(events: &mut EventStream) -> Result<Event, Trouble> {
    let ended = || Trouble::Failed("the stream has ended".to_owned());
    let late = |_| Trouble::Failed(format!("no event in {PATIENCE:?}"));
    Ok(timeout(PATIENCE, events.next()).await.map_err(late)?.ok_or_else(ended)??)
}

async fn upload(bucket: &Bucket, path: &str, text: &str) -> Result<(), Trouble> {
    bucket.file(path).upload(text.as_bytes().to_vec()).await?;
    Ok(())
}

fn kind(event: &Event) -> (Option<EventKind>, Option<&str>) {
    (event.kind(), event.path())
}

pub(super) async fn created(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let anyone = bench.anonymous()?.bucket(bucket.id());
    let mut events = anyone.events().await?;
    upload(&bucket, "docs/ü %+#?.txt", "hello").await?;
    let event = next(&mut events).await?;
    let Event::FileCreated { bucket_id, file, .. } = &event else {
        return Err(Trouble::Failed(format!("{event:?} is no FileCreated")));
    };
    same!(bucket_id, bucket.id(), "the bucket");
    same!(*file, bucket.file("docs/ü %+#?.txt").get().await?, "the file of the event, beside what the API says");
    Ok("the event's file is the API's".to_owned())
}

pub(super) async fn updated_and_deleted(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let mut events = bucket.events().await?;
    for text in ["one", "three"] {
        upload(&bucket, "a", text).await?;
    }
    bucket.file("a").delete().await?;
    same!(kind(&next(&mut events).await?), (Some(EventKind::FileCreated), Some("a")), "the first event");
    let event = next(&mut events).await?;
    ensure!(matches!(&event, Event::FileUpdated { file, .. } if file.size == 5), "{event:?} is not the update");
    same!(kind(&next(&mut events).await?), (Some(EventKind::FileDeleted), Some("a")), "the last event");
    Ok("in order".to_owned())
}

pub(super) async fn one_file(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let mut events = bucket.file("dir/a.txt").events().await?;
    for path in ["a.txt", "dir/A.txt", "dir/a.txt", "dir/a.txt2", "dir/a.txt"] {
        upload(&bucket, path, path).await?;
    }
    same!(kind(&next(&mut events).await?), (Some(EventKind::FileCreated), Some("dir/a.txt")), "the first event");
    same!(kind(&next(&mut events).await?), (Some(EventKind::FileUpdated), Some("dir/a.txt")), "the second event");
    Ok("2 events of 5 uploads".to_owned())
}

pub(super) async fn all(bench: Bench) -> Outcome {
    let mut events = bench.admin().events().all().await?;
    let made = bench.made(bench.admin(), bench.admin().buckets().create(bench.name("bucket")).await?);
    // Others may be at work on the server.
    loop {
        match next(&mut events).await? {
            Event::BucketCreated { bucket, .. } if bucket.id == made.id => {
                same!(bucket, made, "the bucket of the event, beside the answer");
                break;
            }
            _ => {}
        }
    }
    let key = bench.key().await?;
    let error = key.client.events().all().await.err();
    ensure!(error.as_ref().is_some_and(carbonfiles::Error::is_denied), "an API key is not refused: {error:?}");
    Ok("and an API key is refused in the server's words".to_owned())
}

pub(super) async fn unsubscribe(bench: Bench) -> Outcome {
    let (bucket, other) = (bench.bucket().await?, bench.bucket().await?);
    let (relay, client) = relay(&bench).await?;
    let mut dropped = client.bucket(bucket.id()).events().await?;
    let mut kept = client.bucket(other.id()).events().await?;
    upload(&bucket, "before.txt", "a").await?;
    same!(kind(&next(&mut dropped).await?), (Some(EventKind::FileCreated), Some("before.txt")), "the event before");
    ensure!(relay.has_passed("before.txt"), "its path is not in what the server sends");
    drop(dropped);
    // The hub does one thing after another. The first of these may still be asked for before the other is left; once the
    // second stands, the other is gone.
    let first = client.bucket("elsewhere1").file("a").events().await?;
    let second = client.bucket("elsewhere1").file("b").events().await?;
    upload(&bucket, "behind.txt", "a").await?;
    upload(&other, "b", "b").await?;
    same!(kind(&next(&mut kept).await?), (Some(EventKind::FileCreated), Some("b")), "the only event");
    ensure!(!relay.has_passed("behind.txt"), "the server goes on sending events of what nobody listens to");
    drop((kept, first, second));
    let closed = async { client.events().state().wait_for(|state| *state == ConnectionState::Closed).await };
    ensure!(timeout(PATIENCE, closed).await.is_ok(), "the connection stays open without subscriptions");
    Ok("the last one closes the connection".to_owned())
}

/// A relay before the server, and an admin's client behind it.
async fn relay(bench: &Bench) -> Result<(Relay, Client), Trouble> {
    let relay = Relay::before(bench.plain_url()?).await?;
    let client = builder(relay.url()).token(bench.admin_key()).build()?;
    Ok((relay, client))
}

async fn lost_and_back(events: &mut EventStream) -> Result<(), Trouble> {
    let event = next(events).await?;
    ensure!(matches!(event, Event::Disconnected { .. }), "{event:?} instead of the loss");
    let event = next(events).await?;
    ensure!(matches!(event, Event::Reconnected { .. }), "{event:?} instead of the return");
    Ok(())
}

pub(super) async fn reconnect(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let (relay, client) = relay(&bench).await?;
    let mut events = client.bucket(bucket.id()).events().await?;
    for _ in 0..3 {
        relay.cut();
        lost_and_back(&mut events).await?;
    }
    ensure!(client.events().state().current().is_connected(), "the connection says that it is not there");
    Ok("3 times".to_owned())
}

pub(super) async fn subscriptions_return(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let (relay, client) = relay(&bench).await?;
    let mut of_bucket = client.bucket(bucket.id()).events().await?;
    let mut of_file = client.bucket("elsewhere1").file("a").events().await?;
    let mut of_all = client.events().all().await?;
    relay.cut();
    for events in [&mut of_bucket, &mut of_file] {
        lost_and_back(events).await?;
    }
    while !matches!(next(&mut of_all).await?, Event::Reconnected { .. }) {}
    upload(&bucket, "a", "a").await?;
    let created = (Some(EventKind::FileCreated), Some("a"));
    same!(kind(&next(&mut of_bucket).await?), created, "the event of the bucket");
    while kind(&next(&mut of_all).await?) != created {}
    Ok("bucket, file and all".to_owned())
}

pub(super) async fn loss_and_return(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let (relay, client) = relay(&bench).await?;
    let mut events = client.bucket(bucket.id()).events().await?;
    let mut states = client.events().state();
    let mut watch = client.bucket(bucket.id()).watch();
    for _ in 0..2 {
        ensure!(matches!(timeout(PATIENCE, watch.next()).await, Ok(Some(Ok(_)))), "the watch does not begin");
    }
    relay.away(true);
    // In the stream, in the state, and in the view: nothing is missing in it.
    let waiting = states.wait_for(|state| !state.is_connected());
    ensure!(timeout(PATIENCE, waiting).await.is_ok(), "the state does not show the loss");
    upload(&bucket, "a", "a").await?;
    relay.away(false);
    lost_and_back(&mut events).await?;
    let back = states.wait_for(ConnectionState::is_connected);
    ensure!(timeout(PATIENCE, back).await.is_ok(), "the state does not show the return");
    let seen = timeout(PATIENCE, watch.next()).await.ok().flatten();
    ensure!(
        matches!(&seen, Some(Ok(carbonfiles::events::WatchEvent::Changed(file))) if file.path == "a"),
        "the watch shows {seen:?}"
    );
    Ok("in the stream, the state and the watch".to_owned())
}

pub(super) async fn long_silence(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let mut events = bucket.events().await?;
    let start = Instant::now();
    tokio::time::sleep(Duration::from_secs(45)).await;
    upload(&bucket, "a", "a").await?;
    let event = next(&mut events).await?;
    same!(kind(&event), (Some(EventKind::FileCreated), Some("a")), "the first event after {:?}", start.elapsed());
    Ok("on the same connection".to_owned())
}

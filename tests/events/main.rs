//! Live events as a user meets them, against the test server's hub and its faults.

#[path = "../support/mod.rs"]
mod support;

mod backlog;
mod bad_input;
mod buckets;
mod callbacks;
mod connection;
mod consistency;
mod deaf;
mod halted;
mod runtimes;
mod scenario;
mod scripted;
mod streams;
mod tokens;
mod troubled;
mod watch;

use std::time::Duration;

use carbonfiles::events::{Event, EventSettings, EventStream};
use carbonfiles::{Bucket, Client};
use carbonfiles_testserver::TestServer;
use futures::StreamExt;

use support::within;

/// Waits that are short, and signs of life as usual.
fn settings() -> EventSettings {
    EventSettings::default().base_delay(Duration::from_millis(5)).max_delay(Duration::from_millis(50))
}

fn client(server: &TestServer) -> Client {
    support::builder(server.url()).token(server.admin_key()).events(settings()).build().unwrap()
}

async fn start() -> (TestServer, Client, Bucket) {
    let server = support::server().await;
    let client = client(&server);
    let bucket = support::bucket(&client).await;
    (server, client, bucket)
}

async fn upload(bucket: &Bucket, path: &str) {
    bucket.file(path).upload(path.as_bytes().to_vec()).await.unwrap();
}

/// The next event; a stream that ends fails the test.
async fn next(events: &mut EventStream) -> Event {
    within(events.next()).await.expect("the stream goes on").expect("no refusal")
}

/// `+path`, `~path`, `-path`, or the name of another event.
fn short(event: &Event) -> String {
    match event {
        Event::FileCreated { file, .. } => format!("+{}", file.path),
        Event::FileUpdated { file, .. } => format!("~{}", file.path),
        Event::FileDeleted { path, .. } => format!("-{path}"),
        Event::Lagged(n) => format!("lagged {n}"),
        Event::Disconnected { .. } => "disconnected".into(),
        Event::Reconnected { .. } => "reconnected".into(),
        other => format!("{:?}", other.kind().unwrap()),
    }
}

async fn some(events: &mut EventStream, count: usize) -> Vec<String> {
    let mut some = Vec::new();
    for _ in 0..count {
        some.push(short(&next(events).await));
    }
    some
}

/// What has come and nothing more: ends with an event that is certain to come, and is left out.
async fn so_far(events: &mut EventStream, bucket: &Bucket) -> Vec<String> {
    upload(bucket, "the last").await;
    let mut all = Vec::new();
    loop {
        let event = short(&next(events).await);
        if event.ends_with("the last") {
            return all;
        }
        all.push(event);
    }
}

//! A hub that shakes hands, and then reads nothing until it is told to: what is sent to it piles up.

use std::time::Duration;

use futures::future::join_all;
use futures::{FutureExt, SinkExt, StreamExt};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, yield_now};
use tokio_tungstenite::tungstenite::Message;

use carbonfiles::Bucket;
use carbonfiles::events::{ConnectionState, EventSettings};

use crate::settings;
use crate::support::{self, within};

struct Deaf {
    url: String,
    /// Makes it read.
    hear: oneshot::Sender<()>,
    /// What it has heard up to a subscription to the bucket `end`.
    heard: JoinHandle<Vec<String>>,
}

fn deaf() -> Deaf {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    // Connections inherit it: a little fills them.
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(8).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (hear, mut told) = oneshot::channel();
    let heard = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        socket.next().await.unwrap().unwrap();
        socket.send(Message::text("{}\x1e")).await.unwrap();
        // It lives, so that its silence is no reason to leave it.
        while told.try_recv().is_err() {
            if socket.send(Message::text("{\"type\":6}\x1e")).await.is_err() {
                return Vec::new();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut heard: Vec<String> = Vec::new();
        while !heard.iter().rev().take(100).any(|record| record.contains("[\"end\"]")) {
            let message = socket.next().await.unwrap().unwrap().into_text().unwrap();
            heard.extend(message.split('\x1e').map(str::to_owned));
        }
        heard
    });
    Deaf { url, hear, heard }
}

fn bucket(url: &str, settings: EventSettings, id: &str) -> Bucket {
    support::builder(url).events(settings).build().unwrap().bucket(id)
}

/// With a KiB each, more than the buffers on the way take.
const MANY: usize = 4000;

fn subscribe_to_many(bucket: &Bucket) -> JoinHandle<()> {
    let (bucket, long) = (bucket.clone(), "x".repeat(1000));
    tokio::spawn(
        async move { drop(join_all((0..MANY).map(|n| bucket.file(format!("{long}{n}")).events().send())).await) },
    )
}

#[tokio::test]
async fn a_hub_that_does_not_read_is_left_after_the_limit() {
    let hub = deaf();
    let bucket = bucket(&hub.url, settings().handshake_timeout(Duration::from_secs(1)), "b");
    let many = subscribe_to_many(&bucket);
    let mut state = bucket.client().events().state();
    let state = within(state.wait_for(|state| matches!(state, ConnectionState::Waiting { .. }))).await;
    let ConnectionState::Waiting { reason, .. } = state else { panic!() };
    assert!(reason.contains("the server has read nothing for 1s"), "{reason}");
    many.abort();
}

/// While it is not read what was said before, no more is said: who comes and goes meanwhile leaves no trace.
#[tokio::test]
async fn what_is_to_be_said_does_not_pile_up() {
    let hub = deaf();
    let bucket = bucket(&hub.url, settings().handshake_timeout(Duration::MAX).server_timeout(Duration::MAX), "b");
    let many = subscribe_to_many(&bucket);
    let mut state = bucket.client().events().state();
    within(state.wait_for(|state| *state == ConnectionState::Subscribing)).await;
    for _ in 0..100 {
        let mut brief = bucket.client().bucket("brief").events().send();
        assert!((&mut brief).now_or_never().is_none(), "it is asked for, and not in force");
        // The connection's task has a turn while it is there, and one when it is not.
        yield_now().await;
        drop(brief);
        yield_now().await;
    }
    let end = tokio::spawn(bucket.client().bucket("end").events().send());
    hub.hear.send(()).unwrap();
    let heard = within(hub.heard).await.unwrap();
    let brief = heard.iter().filter(|record| record.contains("brief")).count();
    assert!(heard.len() > MANY && brief <= 2, "{brief} of {}", heard.len());
    many.abort();
    end.abort();
}

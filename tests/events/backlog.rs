//! Readers for whom there is always something to read.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake};
use std::time::{Duration, Instant};

use carbonfiles::Bucket;
use carbonfiles::events::EventKind;
use carbonfiles_testserver::TestServer;
use futures::StreamExt;
use tokio::sync::oneshot;

use crate::support::{until, within};
use crate::{short, start};

/// So many deletions and then the bucket's, all in one message, so that all of them wait before the first is read.
async fn send(server: &TestServer, bucket: &Bucket, count: usize) {
    let told = |target: &str, rest: &str| {
        format!("{{\"type\":1,\"target\":\"{target}\",\"arguments\":[\"{}\"{rest}]}}\x1e", bucket.id())
    };
    let mut message: String = (0..count).map(|n| told("FileDeleted", &format!(",\"{n}\""))).collect();
    message.push_str(&told("BucketDeleted", ""));
    server.hub().send_text(message).await;
}

#[tokio::test]
async fn a_callback_is_not_called_any_more_when_its_guard_is_gone() {
    let (server, _client, bucket) = start().await;
    let mut end = bucket.events().kinds([EventKind::BucketDeleted]).await.unwrap();
    let (pass, guard) = oneshot::channel();
    let (called, mut guard) = (Arc::new(AtomicUsize::new(0)), Some(guard));
    let count = called.clone();
    let registered = bucket.on_file_deleted(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        drop(guard.take().map(|mut guard| guard.try_recv().unwrap()));
    });
    pass.send(registered.await.unwrap()).unwrap();
    send(&server, &bucket, 100).await;
    assert_eq!(short(&within(end.next()).await.unwrap().unwrap()), "BucketDeleted");
    // Its task has gone when what it held is dropped.
    until(|| Arc::strong_count(&called) == 1).await;
    assert_eq!(called.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_slow_callback_lets_others_have_a_turn() {
    let (server, _client, bucket) = start().await;
    let mut end = bucket.events().kinds([EventKind::BucketDeleted]).await.unwrap();
    let called = Arc::new(AtomicUsize::new(0));
    let count = called.clone();
    let slow = move |_| {
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(2) {
            std::hint::spin_loop();
        }
        count.fetch_add(1, Ordering::SeqCst);
    };
    let _guard = bucket.on_file_deleted(slow).await.unwrap();
    send(&server, &bucket, 20).await;
    assert_eq!(short(&within(end.next()).await.unwrap().unwrap()), "BucketDeleted");
    let mut seen = BTreeSet::new();
    until(|| {
        let calls = called.load(Ordering::SeqCst);
        seen.insert(calls);
        calls == 20
    })
    .await;
    assert!(seen.len() > 11, "{seen:?}");
}

/// Otherwise nothing else would have a turn: no time limit, no end of a task.
#[tokio::test]
async fn a_stream_that_always_has_something_lets_others_have_a_turn() {
    struct Woken(AtomicUsize);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    const MANY: usize = 4000;
    let (server, _client, bucket) = start().await;
    let mut events = bucket.events().await.unwrap();
    let mut end = bucket.events().kinds([EventKind::BucketDeleted]).await.unwrap();
    send(&server, &bucket, MANY).await;
    assert_eq!(short(&within(end.next()).await.unwrap().unwrap()), "BucketDeleted");
    let (woken, mut turns) = (Arc::new(Woken(AtomicUsize::new(0))), vec![0]);
    let waker = woken.clone().into();
    while turns.iter().sum::<usize>() <= MANY {
        match events.poll_next_unpin(&mut Context::from_waker(&waker)) {
            Poll::Ready(item) => *turns.last_mut().unwrap() += usize::from(item.unwrap().is_ok()),
            Poll::Pending => {
                assert_eq!(woken.0.load(Ordering::SeqCst), turns.len(), "it goes on");
                turns.push(0);
            }
        }
    }
    // And more than the connection reads at a time, so that a reader keeps up with it.
    assert_eq!(turns, [1024, 1024, 1024, MANY + 1 - 3 * 1024]);
    assert!(events.poll_next_unpin(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(woken.0.load(Ordering::SeqCst), 3, "nothing waits");
}

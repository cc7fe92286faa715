//! The connection belongs to no runtime: what becomes of it when one ends.

use carbonfiles::events::ConnectionState;
use carbonfiles::{Bucket, ErrorKind};
use futures::{FutureExt, StreamExt};
use tokio::runtime::{Builder, Runtime};

use crate::support::within;
use crate::{some, start, upload};

/// A runtime that ends takes the connection with it; the next one makes it again.
#[test]
fn a_client_outlives_its_runtime() {
    let outer = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (server, client, bucket) = outer.block_on(start());
    let inner = Builder::new_current_thread().enable_all().build().unwrap();
    let mut orphan = inner.block_on(bucket.events().send()).unwrap();
    drop(inner);
    let error = outer.block_on(within(orphan.next())).unwrap().unwrap_err();
    assert!(error.message().contains("runtime"), "{error}");
    // One that ends before the connection's task had a turn.
    let inner = Builder::new_current_thread().enable_all().build().unwrap();
    let mut unpolled = bucket.events().send();
    {
        let _entered = inner.enter();
        assert!((&mut unpolled).now_or_never().is_none());
    }
    drop(inner);
    let error = outer.block_on(within(unpolled)).unwrap_err();
    assert!(error.message().contains("runtime"), "{error}");
    let mut events = outer.block_on(async { within(bucket.events().send()).await }).unwrap();
    outer.block_on(async {
        client.bucket(bucket.id()).file("a").upload("a".as_bytes()).await.unwrap();
        assert_eq!(some(&mut events, 1).await, ["+a"]);
    });
    let inner = Builder::new_current_thread().enable_all().build().unwrap();
    let mirror = inner.block_on(within(bucket.mirror().send())).unwrap();
    let mut changes = mirror.changes();
    drop(inner);
    assert_eq!(mirror.error().unwrap().kind(), ErrorKind::Interrupted);
    assert!(outer.block_on(within(changes.next())).unwrap().is_err());
    drop(server);
}

/// The connection is made again where another of its subscribers lives.
#[test]
fn a_runtime_that_ends_leaves_the_subscriptions_of_others() {
    let runtime = || Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (outer, inner) = (runtime(), runtime());
    let (server, client, bucket) = outer.block_on(start());
    let mut orphan = inner.block_on(bucket.events().send()).unwrap();
    let mirror = outer.block_on(within(bucket.mirror().send())).unwrap();
    let mut changes = mirror.changes();
    drop(inner);
    outer.block_on(async {
        // It is still there, whoever reads it.
        assert_eq!(some(&mut orphan, 2).await, ["disconnected", "reconnected"]);
        upload(&bucket, "a").await;
        assert_eq!(some(&mut orphan, 1).await, ["+a"]);
        assert_eq!(within(changes.next()).await.unwrap().unwrap().changed[0].path, "a");
    });
    assert!(mirror.get("a").is_some() && mirror.error().is_none());
    drop((orphan, changes, mirror));
    outer.block_on(within(client.events().state().wait_for(|state| *state == ConnectionState::Closed)));
    // Where nobody is left, nothing has failed.
    let inner = Builder::new_current_thread().enable_all().build().unwrap();
    drop(inner.block_on(bucket.events().send()).unwrap());
    drop(inner);
    assert_eq!(client.events().state().current(), ConnectionState::Closed);
    let mut events = outer.block_on(within(bucket.events().send())).unwrap();
    outer.block_on(async {
        upload(&bucket, "b").await;
        assert_eq!(some(&mut events, 1).await, ["+b"]);
    });
    drop(server);
}

/// A runtime of one thread that nobody waits in takes a task and never begins it.
#[test]
fn the_connection_waits_for_no_runtime_that_stands_still() {
    let with_workers = || Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let of_one_thread = || Builder::new_current_thread().enable_all().build().unwrap();
    let (outer, holder) = (with_workers(), with_workers());
    let (server, client, bucket) = outer.block_on(start());
    let follow = |runtime: &Runtime, bucket: Bucket| runtime.block_on(within(bucket.events().send())).unwrap();
    let _held = follow(&holder, bucket.clone());
    let (still, driven) = (of_one_thread(), of_one_thread());
    // In the order of their ids, this one's comes first.
    let _first = follow(&still, client.bucket("0"));
    let mut events = follow(&driven, bucket.clone());
    drop(holder);
    let state = client.events().state().current();
    assert!(!state.is_connected(), "nobody looks after it: {state:?}");
    driven.block_on(async {
        assert_eq!(some(&mut events, 2).await, ["disconnected", "reconnected"]);
        upload(&bucket, "a").await;
        assert_eq!(some(&mut events, 1).await, ["+a"]);
    });
    drop(server);
}

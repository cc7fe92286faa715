//! Life, loss and return of the connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use carbonfiles::ErrorKind;
use carbonfiles::events::{ConnectionState, Event, EventStream};
use carbonfiles_testserver::{Fault, Group, HubTimes, TestServer};
use chrono::Utc;
use futures::StreamExt;

use crate::support::{self, within};
use crate::{next, settings, some, start, upload};

#[tokio::test]
async fn opened_with_the_first_subscription_and_closed_with_the_last() {
    let (server, client, bucket) = start().await;
    let hub = server.hub();
    let mut state = client.events().state();
    assert_eq!(state.current(), ConnectionState::Closed);
    assert!(hub.connections().is_empty());
    let one = bucket.events().await.unwrap();
    let two = bucket.file("a").events().await.unwrap();
    assert!(state.current().is_connected());
    assert_eq!(hub.connections().len(), 1);
    drop(one);
    assert_eq!(hub.connections().len(), 1);
    drop(two);
    within(state.wait_for(|state| *state == ConnectionState::Closed)).await;
    within(hub.until(|hub| hub.connections().is_empty())).await;
    // And again.
    let mut three = bucket.events().await.unwrap();
    upload(&bucket, "a").await;
    assert_eq!(some(&mut three, 1).await, ["+a"]);
    // A subscription that is given up before it is in force leaves nothing behind.
    server.inject(Fault::lose_completion().on("SubscribeToBucket", "other"));
    let other = tokio::spawn(client.bucket("other").events().send());
    within(hub.until(|hub| hub.subscribers(&Group::Bucket("other".into())) == 1)).await;
    other.abort();
    within(hub.until(|hub| hub.subscribers(&Group::Bucket("other".into())) == 0)).await;
    let states: Vec<_> = within(client.events().state().take(1).collect()).await;
    assert_eq!(states, [ConnectionState::Connected]);
}

/// RST as on SIGTERM, EOF as on SIGKILL, a close message, garbage, too long a record: it comes back, with everything
/// subscribed to, and says so.
#[tokio::test]
async fn every_loss_is_told_and_mended() {
    let (server, client, bucket) = start().await;
    let hub = server.hub();
    let mut events = bucket.events().await.unwrap();
    let mut file = client.bucket("elsewhere").file("x").events().await.unwrap();
    let say = |message: Vec<u8>| {
        let hub = hub.clone();
        drop(tokio::spawn(async move { hub.send_text(message).await }));
    };
    let losses: [(&str, &dyn Fn()); 7] = [
        ("reset", &|| hub.restart()),
        ("", &|| hub.end_connections()),
        ("Bye", &|| hub.say_goodbye(Some("Bye"), true)),
        // Every end is alike, whatever the hub says of coming back.
        ("the hub ended the connection", &|| hub.say_goodbye(None, false)),
        ("Go away", &|| hub.say_goodbye(Some("Go away."), false)),
        ("SignalR", &|| say(b"garbage\x1e".to_vec())),
        ("longer", &|| say(vec![b'x'; 2 << 20])),
    ];
    for (named, lose) in losses {
        let before = Utc::now() - chrono::TimeDelta::milliseconds(1);
        lose();
        for stream in [&mut events, &mut file] {
            let Event::Disconnected { reason, .. } = next(stream).await else { panic!() };
            assert!(reason.contains(named), "{reason}");
            let Event::Reconnected { missed_since, .. } = next(stream).await else { panic!() };
            assert!(missed_since <= Utc::now() && before - missed_since < chrono::TimeDelta::minutes(1));
        }
        // Re-subscribed before it was said.
        assert_eq!(hub.subscribers(&Group::Bucket(bucket.id().into())), 1);
        assert_eq!(hub.subscribers(&Group::File("elsewhere".into(), "x".into())), 1);
        upload(&bucket, "after").await;
        bucket.file("after").delete().await.unwrap();
        assert_eq!(some(&mut events, 2).await, ["+after", "-after"]);
    }
}

#[tokio::test]
async fn a_silent_server_is_given_up_and_an_idle_one_is_not() {
    let ping = Duration::from_millis(100);
    // One stall of the machine is no silence.
    let patience = 50 * ping;
    let times = HubTimes { ping, client_timeout: patience, ..HubTimes::default() };
    let server = TestServer::builder().hub_times(times).start().await.unwrap();
    let idle = settings().keep_alive(ping).server_timeout(patience);
    let client = support::builder(server.url()).token(server.admin_key()).events(idle).build().unwrap();
    let bucket = support::bucket(&client).await;
    let mut events = bucket.events().await.unwrap();
    let hub = server.hub();
    // Idle through two time-outs on both sides: only pings keep it.
    let pings = |hub: &carbonfiles_testserver::Hub| hub.seen().iter().filter(|seen| seen.record.contains(":6")).count();
    within(hub.until(|hub| pings(hub) >= 102)).await;
    assert_eq!(hub.connections()[0].number, 1, "the same connection");
    upload(&bucket, "a").await;
    assert_eq!(some(&mut events, 1).await, ["+a"]);
    hub.mute(true);
    let Event::Disconnected { reason, .. } = next(&mut events).await else { panic!() };
    assert!(reason.contains("silent for 5s"), "{reason}");
    let told = Utc::now();
    hub.mute(false);
    let Event::Reconnected { missed_since, .. } = next(&mut events).await else { panic!() };
    assert!(
        told - missed_since > chrono::TimeDelta::seconds(1),
        "from when it was last heard, not when it was given up"
    );
}

/// `Duration::MAX` is a natural way to say "never".
#[tokio::test]
async fn limits_may_be_for_ever() {
    let server = support::server().await;
    let never = settings().keep_alive(Duration::MAX).server_timeout(Duration::MAX).handshake_timeout(Duration::MAX);
    let client = support::builder(server.url()).token(server.admin_key()).events(never).build().unwrap();
    let bucket = support::bucket(&client).await;
    let mirror = within(bucket.mirror().relist_every(Duration::MAX).send()).await.unwrap();
    let mut changes = mirror.changes();
    upload(&bucket, "a").await;
    assert_eq!(within(changes.next()).await.unwrap().unwrap().changed[0].path, "a");
}

#[tokio::test]
async fn a_server_that_is_away_is_waited_for_without_end() {
    let (server, client, bucket) = start().await;
    let mut events = bucket.events().await.unwrap();
    let away = server.inject(Fault::reset().on("GET", "/hub/files").forever());
    server.hub().restart();
    within(away.fired_at_least(12)).await;
    assert!(!client.events().state().current().is_connected());
    let mut waiting = client.events().state();
    let state = within(waiting.wait_for(|state| matches!(state, ConnectionState::Waiting { .. }))).await;
    assert!(
        matches!(state, ConnectionState::Waiting { failures: 5.., retry_in, .. } if retry_in <= Duration::from_millis(50))
    );
    // A new subscription waits with the others.
    let late = tokio::spawn(bucket.file("a").events().send());
    away.release();
    drop(away);
    server.clear_faults();
    assert_eq!(some(&mut events, 2).await, ["disconnected", "reconnected"]);
    let mut late = within(late).await.unwrap().unwrap();
    upload(&bucket, "a").await;
    assert_eq!(some(&mut late, 1).await, ["+a"], "it was never lost to this one");
}

/// A connection that breaks as soon as it is made is no success: the waits between attempts grow.
#[tokio::test]
async fn connections_that_do_not_last_count_as_failures() {
    let server = support::server().await;
    let client = support::builder(server.url()).events(settings().max_attempts(3)).build().unwrap();
    let mut events = client.bucket("b").events().await.unwrap();
    for _ in 0..2 {
        server.hub().restart();
        assert_eq!(some(&mut events, 2).await, ["disconnected", "reconnected"]);
    }
    server.hub().restart();
    assert_eq!(within(events.next()).await.unwrap().unwrap_err().kind(), ErrorKind::Interrupted);
}

/// What the server says to a handshake that came too late for it, or while it goes down.
#[tokio::test]
async fn a_cancelled_handshake_is_made_again() {
    let (server, _client, bucket) = start().await;
    let cancelled = server.inject(Fault::fail_call("Handshake was canceled.").on("handshake", "").times(2));
    drop(within(bucket.events().send()).await.unwrap());
    assert_eq!(cancelled.fired(), 2);
}

#[tokio::test]
async fn a_subscription_that_is_not_answered_is_asked_for_again() {
    let server = support::server().await;
    let patient = settings().handshake_timeout(Duration::from_secs(1));
    let client = support::builder(server.url()).token(server.admin_key()).events(patient).build().unwrap();
    let bucket = support::bucket(&client).await;
    let mut events = bucket.events().await.unwrap();
    let lost = server.inject(Fault::lose_completion().on("SubscribeToBucket", "other").times(2));
    let _other = within(client.bucket("other").events().send()).await.unwrap();
    assert_eq!(lost.fired(), 2);
    upload(&bucket, "a").await;
    assert_eq!(some(&mut events, 1).await, ["+a"], "nobody else is disturbed");
    // Who was there before is subscribed to on another connection.
    let lost = server.inject(Fault::lose_completion().on("SubscribeToBucket", bucket.id()));
    server.hub().restart();
    assert_eq!(some(&mut events, 2).await, ["disconnected", "reconnected"]);
    assert_eq!(lost.fired(), 1);
    assert_eq!(server.hub().connections()[0].number, 3);
}

/// With nobody in force there is nobody to disturb: it counts as a failure.
#[tokio::test]
async fn a_hub_that_never_answers_is_given_up() {
    let server = support::server().await;
    let impatient = settings().handshake_timeout(Duration::from_secs(1)).max_attempts(2);
    let client = support::builder(server.url()).events(impatient).build().unwrap();
    let lost = server.inject(Fault::lose_completion().on("SubscribeToBucket", "").forever());
    let mut connected = client.events().state();
    let connected = tokio::spawn(async move { connected.wait_for(ConnectionState::is_connected).await });
    let error = within(client.bucket("b").events().send()).await.unwrap_err();
    assert!(error.is_timeout() && error.message().contains("has not answered a subscription"), "{error}");
    assert_eq!(lost.fired(), 2);
    assert!(!connected.is_finished());
    connected.abort();
}

/// Whoever is woken by a state may use the client at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_is_told_while_nothing_is_locked() {
    struct Drops(std::sync::Mutex<Vec<EventStream>>, Arc<AtomicUsize>);
    impl std::task::Wake for Drops {
        fn wake(self: Arc<Self>) {
            self.0.lock().unwrap().clear();
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }
    let (server, client, bucket) = start().await;
    let woken = Arc::new(AtomicUsize::new(0));
    let streams = vec![bucket.events().await.unwrap(), client.bucket("other").events().await.unwrap()];
    let waker = Arc::new(Drops(streams.into(), woken.clone())).into();
    let mut states = client.events().state();
    while states.poll_next_unpin(&mut std::task::Context::from_waker(&waker)).is_ready() {}
    server.hub().say_goodbye(None, false);
    let mut state = client.events().state();
    within(state.wait_for(|state| !state.is_connected())).await;
    drop(within(bucket.events().send()).await.unwrap());
    assert_eq!(woken.load(Ordering::SeqCst), 1);
}

/// Once it has been there, a proxy's error page does not end it, nor does a fault of the hub.
#[tokio::test]
async fn a_fault_on_the_way_is_not_taken_for_a_refusal() {
    let (server, _client, bucket) = start().await;
    let mut events = bucket.events().await.unwrap();
    server.inject(Fault::status(404).body("<html>").on("GET", "/hub/files").times(2));
    server.inject(Fault::fail_call("An unexpected error occurred invoking it.").on("SubscribeToBucket", "").times(2));
    server.inject(Fault::reset_call().on("SubscribeToBucket", ""));
    server.hub().restart();
    assert_eq!(some(&mut events, 2).await, ["disconnected", "reconnected"]);
    upload(&bucket, "a").await;
    assert_eq!(some(&mut events, 1).await, ["+a"]);
}

/// Be it long ago: a client knows that there is a hub.
#[tokio::test]
async fn a_fault_on_the_way_is_no_refusal_of_the_next_subscription() {
    let (server, client, bucket) = start().await;
    drop(bucket.events().await.unwrap());
    within(client.events().state().wait_for(|state| *state == ConnectionState::Closed)).await;
    let lost = server.inject(Fault::status(404).body("<html>").on("GET", "/hub/files").times(2));
    let mut events = within(bucket.events().send()).await.unwrap();
    assert_eq!(lost.fired(), 2);
    upload(&bucket, "a").await;
    assert_eq!(some(&mut events, 1).await, ["+a"]);
}

#[tokio::test]
async fn negotiation_where_it_is_wanted() {
    let server = support::server().await;
    let builder = support::builder(server.url()).token(server.admin_key());
    let client = builder.events(settings().negotiate(true)).build().unwrap();
    let bucket = support::bucket(&client).await;
    let mut all = client.events().all().await.unwrap();
    upload(&bucket, "a").await;
    assert_eq!(some(&mut all, 1).await, ["+a"]);
    server.hub().restart();
    assert_eq!(some(&mut all, 2).await, ["disconnected", "reconnected"]);
    let requests = server.requests();
    let negotiations: Vec<_> = requests.iter().filter(|request| request.path.contains("negotiate")).collect();
    assert_eq!(negotiations.len(), 2);
    assert!(negotiations.iter().all(|r| r.header("authorization").is_none() && !r.path.contains("access_token")));
    server.inject(Fault::status(200).body(r#"{"error":"not this version"}"#).on("POST", "negotiate"));
    let error = within(bucket.events().send()).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Unsupported, "not this version"));
    server.inject(Fault::status(200).body("<html>").on("POST", "negotiate"));
    assert_eq!(within(bucket.events().send()).await.unwrap_err().kind(), ErrorKind::Decode);
}

/// A subscriber that does not read would block uploads into the bucket: the socket is read all the same.
#[tokio::test]
async fn streams_that_nobody_reads_hold_up_no_upload() {
    let (server, _client, bucket) = start().await;
    let _unread = bucket.events().buffer(1).await.unwrap();
    for _ in 0..100 {
        server.hub().send_text(vec![b' '; 100_000].into_iter().chain(*b"{\"type\":6}\x1e").collect::<Vec<u8>>()).await;
    }
    within(upload(&bucket, "a")).await;
    assert_eq!(server.hub().connections()[0].number, 1);
}

#[tokio::test]
async fn ten_thousand_subscriptions_share_a_connection() {
    let (server, client, bucket) = start().await;
    let asked = (0..10_000).map(|n| bucket.file(n.to_string()).events().send());
    let mut streams = within(futures::future::try_join_all(asked)).await.unwrap();
    server.hub().restart();
    for stream in [0, 5_000, 9_999] {
        assert_eq!(some(&mut streams[stream], 2).await, ["disconnected", "reconnected"]);
        upload(&bucket, &stream.to_string()).await;
        assert_eq!(some(&mut streams[stream], 1).await, [format!("+{stream}")]);
    }
    assert_eq!(server.hub().connections().len(), 1);
    drop(streams);
    within(client.events().state().wait_for(|state| *state == ConnectionState::Closed)).await;
}

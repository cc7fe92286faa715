//! What streams of events give.

use carbonfiles::Bucket;
use carbonfiles::events::{Event, EventKind, Overflow};
use carbonfiles_testserver::{Fault, Framing, Group, TestServer};
use futures::StreamExt;

use crate::support::within;
use crate::{next, short, so_far, some, start, upload};

#[tokio::test]
async fn events_of_a_bucket_arrive_typed_and_in_order() {
    let (_server, client, bucket) = start().await;
    let mut events = bucket.events().await.unwrap();
    upload(&bucket, "docs/ü %+#?.txt").await;
    let Event::FileCreated { bucket_id, file, .. } = next(&mut events).await else { panic!() };
    assert_eq!((bucket_id.as_str(), file.path.as_str()), (bucket.id(), "docs/ü %+#?.txt"));
    assert_eq!(file, bucket.file("docs/ü %+#?.txt").get().await.unwrap());
    upload(&bucket, "docs/ü %+#?.txt").await;
    bucket.file("docs/ü %+#?.txt").delete().await.unwrap();
    assert_eq!(some(&mut events, 2).await, ["~docs/ü %+#?.txt", "-docs/ü %+#?.txt"]);
    bucket.update().name("new").await.unwrap();
    let Event::BucketUpdated { changes, .. } = next(&mut events).await else { panic!() };
    assert_eq!((changes.name.as_deref(), changes.description), (Some("new"), None));
    for n in 0..200 {
        upload(&bucket, &format!("{n}")).await;
    }
    let expected: Vec<_> = (0..200).map(|n| format!("+{n}")).collect();
    assert_eq!(some(&mut events, 200).await, expected);
    bucket.delete().await.unwrap();
    assert!(matches!(next(&mut events).await, Event::BucketDeleted { bucket_id, .. } if bucket_id == bucket.id()));
    drop((events, client));
}

#[tokio::test]
async fn everything_for_the_admin_over_a_connection_of_its_own() {
    let (server, client, bucket) = start().await;
    let mut one = bucket.events().await.unwrap();
    let mut all = client.events().all().await.unwrap();
    let hub = server.hub();
    assert_eq!(hub.connections().len(), 2);
    let made = client.buckets().create("other").await.unwrap();
    assert!(matches!(next(&mut all).await, Event::BucketCreated { bucket, .. } if bucket == made));
    upload(&bucket, "a").await;
    assert_eq!((short(&next(&mut one).await), short(&next(&mut all).await)), ("+a".into(), "+a".into()));
    client.bucket(&made.id).delete().await.unwrap();
    assert_eq!(some(&mut all, 1).await, ["BucketDeleted"]);
    assert_eq!(so_far(&mut one, &bucket).await, [""; 0], "nothing doubled");

    // The token is where the server wants it, and nowhere else.
    let requests = server.requests();
    let upgrades: Vec<_> = requests.iter().filter(|request| request.path.starts_with("/hub/files")).collect();
    let with_token = |r: &&&carbonfiles_testserver::SeenRequest| r.path.contains("access_token=");
    assert_eq!(upgrades.len(), 2);
    assert_eq!(upgrades.iter().filter(with_token).count(), 1);
    assert!(upgrades.iter().all(|request| request.header("authorization").is_none()));
}

#[tokio::test]
async fn two_streams_of_a_bucket_join_once_and_overlaps_do_not_double() {
    let (server, _client, bucket) = start().await;
    let hub = server.hub();
    let whole = Group::Bucket(bucket.id().into());
    let only = |path: &str| Group::File(bucket.id().into(), path.into());
    let mut file = bucket.file("a").events().await.unwrap();
    assert_eq!((hub.subscribers(&whole), hub.subscribers(&only("a"))), (0, 1));
    let mut first = bucket.events().await.unwrap();
    let mut second = bucket.events().await.unwrap();
    within(hub.until(|hub| hub.subscribers(&only("a")) == 0)).await;
    assert_eq!(hub.subscribers(&whole), 1);
    upload(&bucket, "b").await;
    upload(&bucket, "a").await;
    assert_eq!(some(&mut file, 1).await, ["+a"]);
    assert_eq!(some(&mut first, 2).await, ["+b", "+a"]);
    drop(first);
    assert_eq!(some(&mut second, 2).await, ["+b", "+a"]);
    drop(second);
    within(hub.until(|hub| hub.subscribers(&whole) == 0)).await;
    assert_eq!(hub.subscribers(&only("a")), 1, "joined before the bucket was left");
    upload(&bucket, "a").await;
    upload(&bucket, "b").await;
    upload(&bucket, "a").await;
    assert_eq!(some(&mut file, 2).await, ["~a", "~a"]);
    assert_eq!(hub.connections().len(), 1);
    drop(file);
    within(hub.until(|hub| hub.connections().is_empty())).await;
    let joins = hub.seen().iter().filter(|seen| seen.record.contains("\"SubscribeToBucket\"")).count();
    assert_eq!(joins, 1);
}

/// While a file's group and its bucket's overlap, the server sends each event twice.
#[tokio::test]
async fn copies_of_an_overlap_are_dropped() {
    let (server, _client, bucket) = start().await;
    let hub = server.hub();
    let mut file = bucket.file("a").events().await.unwrap();
    // The file's group can't be left while this is not answered.
    let held = server.inject(Fault::lose_completion().on("SubscribeToBucket", ""));
    let joining = tokio::spawn(bucket.events().send());
    within(held.fired_at_least(1)).await;
    assert_eq!(hub.subscribers(&Group::Bucket(bucket.id().into())), 1);
    for _ in 0..3 {
        upload(&bucket, "a").await;
    }
    bucket.file("a").delete().await.unwrap();
    upload(&bucket, "a").await;
    assert_eq!(some(&mut file, 5).await, ["+a", "~a", "~a", "-a", "+a"]);
    // Each has one copy.
    delete_twice(&server, &bucket).await;
    assert_eq!(some(&mut file, 3).await, ["-a", "-a", "+a"]);
    joining.abort();
}

/// The event of what was stored in between comes after both.
async fn delete_twice(server: &TestServer, bucket: &Bucket) {
    bucket.file("a").delete().await.unwrap();
    let late = server.inject(Fault::hold_event().on("FileCreated", ""));
    upload(bucket, "a").await;
    within(late.fired_at_least(1)).await;
    bucket.file("a").delete().await.unwrap();
    late.release();
}

/// The same bytes twice are no copies where no groups overlap: the event of what was between is only late.
#[tokio::test]
async fn two_deletions_in_a_row_are_two() {
    let (server, _client, bucket) = start().await;
    let mut events = bucket.events().await.unwrap();
    upload(&bucket, "a").await;
    delete_twice(&server, &bucket).await;
    assert_eq!(some(&mut events, 4).await, ["+a", "-a", "-a", "+a"]);
}

#[tokio::test]
async fn filters_by_prefix_and_by_kind() {
    let (_server, _client, bucket) = start().await;
    let mut docs = bucket.events().prefix("docs/").await.unwrap();
    let mut deleted = bucket.events().kinds([EventKind::FileDeleted]).await.unwrap();
    for path in ["docs/a", "Docs/a", "doc", "docs/b"] {
        upload(&bucket, path).await;
    }
    bucket.file("docs/a").delete().await.unwrap();
    bucket.update().name("x").await.unwrap();
    assert_eq!(some(&mut docs, 4).await, ["+docs/a", "+docs/b", "-docs/a", "BucketUpdated"]);
    assert_eq!(some(&mut deleted, 1).await, ["-docs/a"]);
}

/// Nobody waits for a stream that is not read: not the server, not the other streams.
#[tokio::test]
async fn a_slow_reader_loses_by_its_own_policy_and_stalls_nobody() {
    let (_server, _client, bucket) = start().await;
    let mut oldest = bucket.events().buffer(5).await.unwrap();
    let mut newest = bucket.events().buffer(3).overflow(Overflow::CoalesceByPath).await.unwrap();
    let mut failing = bucket.events().buffer(5).overflow(Overflow::Fail).await.unwrap();
    let mut narrow = bucket.events().buffer_bytes(1).await.unwrap();
    let mut all = bucket.events().await.unwrap();
    for n in 0..30 {
        upload(&bucket, &(n % 3).to_string()).await;
    }
    assert_eq!(some(&mut all, 30).await.len(), 30);
    assert_eq!(some(&mut oldest, 6).await, ["lagged 25", "~1", "~2", "~0", "~1", "~2"]);
    assert_eq!(some(&mut narrow, 2).await, ["lagged 29", "~2"], "there is always room for one");
    assert_eq!(some(&mut newest, 3).await, ["+0", "+1", "+2"]);
    assert_eq!(some(&mut failing, 5).await, ["+0", "+1", "+2", "~0", "~1"]);
    let error = within(failing.next()).await.unwrap().unwrap_err();
    assert!(error.message().contains("5 events"), "{error}");
    assert!(within(failing.next()).await.is_none());
}

/// Records over several messages, several in one, and messages in many frames.
#[tokio::test]
async fn however_the_server_frames_its_records() {
    let (server, client, bucket) = start().await;
    let hub = server.hub();
    for framing in [Framing::Records(7), Framing::Cut] {
        hub.frame_size(Some(11));
        hub.framing(framing);
        let mut events = bucket.events().await.unwrap();
        for n in 0..30 {
            upload(&bucket, &n.to_string()).await;
        }
        assert_eq!(some(&mut events, 30).await.len(), 30);
        drop(events);
        within(client.events().state().wait_for(|state| *state == carbonfiles::events::ConnectionState::Closed)).await;
        within(hub.until(|hub| hub.connections().is_empty())).await;
        bucket.file("0").delete().await.unwrap();
    }
}

#[tokio::test]
async fn what_this_version_does_not_know_is_passed_on_or_skipped() {
    let (server, _client, bucket) = start().await;
    let mut events = bucket.events().await.unwrap();
    let hub = server.hub();
    let moved = format!(r#"{{"type":1,"target":"FileMoved","arguments":["{}","a","b"]}}"#, bucket.id());
    hub.send_binary(format!("{{\"type\":99}}\x1e{{\"type\":6,\"new\":[]}}\x1e{moved}\x1e")).await;
    let Event::Unknown { target, arguments, .. } = next(&mut events).await else { panic!() };
    assert_eq!((target.as_str(), arguments[2].as_str()), ("FileMoved", Some("b")));
    let json = r#"{"type":"file_deleted","data":{"bucket_id":"b","path":"p"}}"#;
    let deleted: Event = serde_json::from_str(json).unwrap();
    assert!(matches!(&deleted, Event::FileDeleted { bucket_id, path, .. } if (&**bucket_id, &**path) == ("b", "p")));
    assert_eq!(serde_json::to_string(&deleted).unwrap(), json);
    assert_eq!(serde_json::to_string(&Event::Lagged(3)).unwrap(), r#"{"type":"lagged","data":3}"#);
}

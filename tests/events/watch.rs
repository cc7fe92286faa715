//! Watching, mirroring, waiting: right after every gap, and for what has no event.

use std::time::Duration;

use carbonfiles::events::WatchEvent;
use carbonfiles::models::FileInfo;
use carbonfiles::{Client, ErrorKind};
use carbonfiles_testserver::{Fault, Group};
use futures::{Stream, StreamExt, TryStreamExt};

use crate::support::{self, within};
use crate::{client, start, upload};

/// `waiting`, `init`, `=path`, `done`, `*path size`, `-path`, `failed`, `succeeded`.
pub(crate) async fn told(
    watch: &mut (impl Stream<Item = carbonfiles::Result<WatchEvent<FileInfo>>> + Unpin),
    count: usize,
) -> Vec<String> {
    let mut told = Vec::new();
    for _ in 0..count {
        told.push(match within(watch.next()).await.unwrap().unwrap() {
            WatchEvent::Waiting { .. } => "waiting".to_owned(),
            WatchEvent::Init => "init".to_owned(),
            WatchEvent::Listed(file) => format!("={}", file.path),
            WatchEvent::InitDone => "done".to_owned(),
            WatchEvent::Changed(file) => format!("*{} {}", file.path, file.size),
            WatchEvent::Removed(path) => format!("-{path}"),
            WatchEvent::ListingFailed { .. } => "failed".to_owned(),
            WatchEvent::ListingSucceeded => "succeeded".to_owned(),
            other => format!("{other:?}"),
        });
    }
    told
}

#[tokio::test]
async fn a_listing_then_changes_then_the_difference_after_a_gap() {
    let (server, client, bucket) = start().await;
    for path in ["a", "b", "docs/ü %+#?"] {
        upload(&bucket, path).await;
    }
    let mut watch = bucket.watch();
    assert_eq!(told(&mut watch, 5).await, ["init", "=a", "=b", "=docs/ü %+#?", "done"]);
    upload(&bucket, "c").await;
    bucket.file("a").delete().await.unwrap();
    assert_eq!(told(&mut watch, 2).await, ["*c 1", "-a"]);
    // While the hub is away, and it knows nobody when it is back.
    let away = server.inject(Fault::status(503).on("GET", "/hub/files").forever());
    server.hub().restart();
    within(away.fired_at_least(1)).await;
    upload(&bucket, "d").await;
    bucket.file("b").delete().await.unwrap();
    bucket.file("c").upload("longer".as_bytes()).await.unwrap();
    server.clear_faults();
    let mut difference = told(&mut watch, 3).await;
    // Whether "c" is still looked up, as it came soon after the subscription, is a matter of time.
    difference.sort_unstable();
    assert_eq!(difference, ["*c 6", "*d 1", "-b"], "the difference, and no more");
    // What has no event: nobody says it, and the next listing shows it.
    let mut often = bucket.watch().relist_every(Duration::from_millis(50)).prefix("c");
    assert_eq!(told(&mut often, 3).await, ["init", "=c", "done"]);
    bucket.file("c").append("!".as_bytes()).await.unwrap();
    assert_eq!(told(&mut often, 1).await, ["*c 7"]);
    drop(client);
}

#[tokio::test]
async fn it_subscribes_before_it_lists() {
    let (server, _client, bucket) = start().await;
    upload(&bucket, "a").await;
    let held = server.inject(Fault::stall_headers().on("GET", "delimiter"));
    let mut watch = bucket.watch();
    assert_eq!(told(&mut watch, 1).await, ["init"]);
    let listing = tokio::spawn(async move {
        let all = told(&mut watch, 3).await;
        (all, watch)
    });
    within(held.fired_at_least(1)).await;
    assert_eq!(server.hub().subscribers(&Group::Bucket(bucket.id().into())), 1);
    // The listing was made before this; the event comes after it.
    upload(&bucket, "b").await;
    held.release();
    let (all, _watch) = within(listing).await.unwrap();
    assert_eq!(all, ["=a", "done", "*b 1"]);
}

#[tokio::test]
async fn a_bucket_that_goes_takes_its_files_along() {
    let (server, client, bucket) = start().await;
    upload(&bucket, "a").await;
    let mut watch = bucket.watch();
    told(&mut watch, 3).await;
    bucket.delete().await.unwrap();
    assert_eq!(told(&mut watch, 1).await, ["-a"]);
    assert!(within(watch.next()).await.unwrap().unwrap_err().is_not_found());
    assert!(within(watch.next()).await.is_none());
    assert!(within(bucket.mirror().send()).await.unwrap_err().is_not_found());
    // One that expires says nothing; the next listing finds it gone.
    let brief = support::bucket(&client).await;
    upload(&brief, "a").await;
    brief.update().expires(Duration::from_secs(3600)).await.unwrap();
    let mut watch = brief.watch().relist_every(Duration::from_millis(50));
    told(&mut watch, 3).await;
    server.clock().advance(Duration::from_secs(2 * 3600));
    assert_eq!(told(&mut watch, 1).await, ["-a"]);
    assert!(within(watch.next()).await.unwrap().unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_listing_that_fails_is_made_again() {
    let (server, client, bucket) = start().await;
    for n in 0..5 {
        upload(&bucket, &n.to_string()).await;
    }
    let down = server.inject(Fault::status(503).on("GET", "delimiter").times(9));
    let mut watch = bucket.watch();
    let all = told(&mut watch, 10).await;
    assert_eq!(down.fired(), 9, "four attempts each");
    assert_eq!(all, ["init", "failed", "failed", "=0", "=1", "=2", "=3", "=4", "succeeded", "done"]);
    let error = client.bucket("nothere").watch().try_collect::<Vec<_>>();
    assert!(within(error).await.unwrap_err().is_not_found());
    let error = client.bucket(" ").watch().try_collect::<Vec<_>>();
    assert_eq!(within(error).await.unwrap_err().kind(), ErrorKind::InvalidInput);
}

/// What a page on the way says, or the server says once, is no reason to forget a bucket.
#[tokio::test]
async fn a_watch_outlives_what_others_say_of_its_bucket() {
    let (server, _client, bucket) = start().await;
    upload(&bucket, "a").await;
    let mut watch = bucket.watch().relist_every(Duration::from_millis(50));
    told(&mut watch, 3).await;
    let page = "<html><h1>404 Not Found</h1><hr>ingress</html>";
    for answer in [
        Fault::status(404).body(page).times(2),
        Fault::status(200).header("content-type", "text/html").body(page).times(2),
        Fault::status(403).body(r#"{"error":"Access denied"}"#).times(2),
        Fault::status(404).body(r#"{"error":"no route"}"#).times(2),
    ] {
        server.inject(answer.on("GET", "delimiter"));
        assert_eq!(told(&mut watch, 3).await, ["failed", "failed", "succeeded"], "though nothing is different");
    }
    let once = server.inject(Fault::status(404).body(r#"{"error":"Bucket not found"}"#).on("GET", "delimiter"));
    let watching = tokio::spawn(async move { (told(&mut watch, 1).await, watch) });
    within(once.fired_at_least(1)).await;
    bucket.file("a").append("!".as_bytes()).await.unwrap();
    let (all, mut watch) = within(watching).await.unwrap();
    assert_eq!(all, ["*a 2"]);
    // Said twice, it is so; no event tells of it here.
    let lost = server.inject(Fault::lose_event().on("BucketDeleted", ""));
    bucket.delete().await.unwrap();
    assert_eq!(told(&mut watch, 1).await, ["-a"]);
    assert!(within(watch.next()).await.unwrap().unwrap_err().is_not_found());
    assert_eq!(lost.fired(), 1);
}

/// However many gaps come while it runs, a listing is of use.
#[tokio::test]
async fn a_gap_does_not_cut_a_listing_short() {
    let (server, _client, bucket) = start().await;
    upload(&bucket, "a").await;
    let mut watch = bucket.watch().relist_every(Duration::from_secs(3600));
    told(&mut watch, 3).await;
    bucket.file("a").append("!".as_bytes()).await.unwrap();
    let held = server.inject(Fault::stall_headers().on("GET", "delimiter"));
    server.hub().restart();
    let watching = tokio::spawn(async move { (told(&mut watch, 1).await, watch) });
    within(held.fired_at_least(1)).await;
    // Another gap; that it has been heard of shows in an event behind it.
    server.inject(Fault::status(503).on("GET", "delimiter").forever());
    server.hub().restart();
    let group = Group::Bucket(bucket.id().into());
    let back = |hub: &carbonfiles_testserver::Hub| hub.connections().iter().any(|c| c.number == 3);
    within(server.hub().until(|hub| back(hub) && hub.subscribers(&group) == 1)).await;
    upload(&bucket, "b").await;
    let (all, mut watch) = within(watching).await.unwrap();
    assert_eq!(all, ["*b 1"]);
    held.release();
    assert_eq!(told(&mut watch, 1).await, ["*a 2"], "from the listing that began before the gap");
    assert_eq!(told(&mut watch, 1).await, ["failed"], "and one for the gap");
}

/// A page on the way that answers a look-up is not taken for the file's end; a listing tells.
#[tokio::test]
async fn a_look_up_that_fails_is_made_good_by_a_listing() {
    let (server, _client, bucket) = start().await;
    upload(&bucket, "a").await;
    let mut watch = bucket.watch().relist_every(Duration::from_secs(3600));
    told(&mut watch, 3).await;
    // Nothing of this is looked at before it is all done.
    let failing = server.inject(Fault::status(404).body("<html>").on("GET", "prefix=a"));
    bucket.file("a").delete().await.unwrap();
    upload(&bucket, "a").await;
    bucket.file("a").append("!".as_bytes()).await.unwrap();
    assert_eq!(told(&mut watch, 3).await, ["-a", "*a 1", "*a 2"]);
    assert_eq!(failing.fired(), 1);
}

/// The server may remember a file that is gone for five minutes; what is looked up is asked of what it lists.
#[tokio::test]
async fn a_deleted_file_that_the_server_remembers_stays_deleted() {
    let (server, _client, bucket) = start().await;
    upload(&bucket, "a").await;
    let mut watch = bucket.watch().relist_every(Duration::from_secs(3600));
    told(&mut watch, 3).await;
    let held = server.inject(Fault::stall_headers().on("GET", "/files/a"));
    let read = tokio::spawn(bucket.file("a").get_opt().send());
    within(held.fired_at_least(1)).await;
    let looked = server.inject(Fault::slow(1 << 30).on("GET", "prefix=a"));
    bucket.file("a").upload("22".as_bytes()).await.unwrap();
    bucket.file("a").delete().await.unwrap();
    assert!(bucket.file("a").get_opt().await.unwrap().is_some(), "the server says that it is there");
    assert_eq!(told(&mut watch, 2).await, ["*a 2", "-a"]);
    // What came close together is looked up, while somebody reads the watch; nothing comes of it.
    let asked = std::pin::pin!(within(looked.fired_at_least(1)));
    let first = futures::future::select(asked, watch.next()).await;
    assert!(matches!(first, futures::future::Either::Left(_)), "the file is not shown again");
    upload(&bucket, "b").await;
    assert_eq!(told(&mut watch, 1).await, ["*b 1"]);
    held.release();
    within(read).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_unknown_event_is_no_gap_and_an_unreadable_one_is() {
    let (server, _client, bucket) = start().await;
    let mut watch = bucket.watch().relist_every(Duration::from_secs(3600));
    told(&mut watch, 2).await;
    server.inject(Fault::status(404).body("no").on("GET", "limit=1000").forever());
    let say = async |target: &str| {
        let record = format!("{{\"type\":1,\"target\":\"{target}\",\"arguments\":[\"{}\",7]}}\x1e", bucket.id());
        server.hub().send_text(record).await;
    };
    say("FileMoved").await;
    upload(&bucket, "a").await;
    assert_eq!(told(&mut watch, 1).await, ["*a 1"]);
    say("FileUpdated").await;
    assert_eq!(told(&mut watch, 1).await, ["failed"]);
}

#[tokio::test]
async fn a_mirror_is_read_by_many_and_followed_from_any_revision() {
    let (server, _client, bucket) = start().await;
    for n in 0..20 {
        upload(&bucket, &format!("docs/{n:02}")).await;
    }
    let mirror = bucket.mirror().await.unwrap();
    assert_eq!((mirror.len(), mirror.total_size()), (20, 140));
    assert_eq!(mirror.get("docs/07").unwrap().size, 7);
    assert_eq!(mirror.files_under("docs/1").len(), 10);
    let (revision, mut changes) = (mirror.revision(), mirror.changes());
    upload(&bucket, "new").await;
    bucket.file("docs/07").delete().await.unwrap();
    let mut seen = (Vec::new(), Vec::new());
    while seen.1.is_empty() {
        let change = within(changes.next()).await.unwrap().unwrap();
        assert!(!change.reset);
        seen.0.extend(change.changed.iter().map(|file| file.path.clone()));
        seen.1.extend(change.removed);
    }
    assert_eq!(seen, (vec!["new".to_owned()], vec!["docs/07".to_owned()]));
    let since = mirror.changes_since(revision);
    assert_eq!((since.changed.len(), since.removed.len(), since.total_files), (1, 1, 20));
    // A browser that has never been here, or before the program was started again, gets everything.
    let all = within(mirror.follow(0).next()).await.unwrap().unwrap();
    assert!(all.reset && all.changed.len() == 20 && all.removed.is_empty());
    assert!(serde_json::to_string(&all).unwrap().starts_with(&format!("{{\"revision\":{}", all.revision)));
    // Readers from many tasks, while it changes.
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let mirror = mirror.clone();
            tokio::spawn(async move {
                for _ in 0..200 {
                    let files = mirror.files();
                    assert!(files.is_sorted_by_key(|file| file.path.clone()));
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for n in 0..20 {
        upload(&bucket, &n.to_string()).await;
    }
    for reader in readers {
        reader.await.unwrap();
    }
    bucket.delete().await.unwrap();
    let last = within(changes.try_collect::<Vec<_>>()).await;
    assert!(last.unwrap_err().is_not_found());
    assert!(mirror.is_empty() && mirror.error().unwrap().is_not_found());
    drop(mirror);
    within(server.hub().until(|hub| hub.connections().is_empty())).await;
}

#[tokio::test]
async fn waiting_for_a_file_misses_nothing() {
    let (server, client, bucket) = start().await;
    let limit = Duration::from_secs(60);
    let file = bucket.file("a");
    let later = {
        let file = file.clone();
        tokio::spawn(async move { file.wait_until(|file| file.is_some_and(|file| file.size == 2), limit).await })
    };
    let there = tokio::spawn(bucket.wait_for("a"));
    file.upload("1".as_bytes()).await.unwrap();
    assert_eq!(within(there).await.unwrap().unwrap().size, 1);
    file.upload("22".as_bytes()).await.unwrap();
    assert_eq!(within(later).await.unwrap().unwrap().unwrap().size, 2);
    assert_eq!(within(bucket.wait_for("a")).await.unwrap().size, 2, "at once, as it is there");
    // Through a gap in which the event is lost.
    let gone = tokio::spawn(file.wait_until(|file| file.is_none(), limit));
    within(server.hub().until(|hub| hub.subscribers(&Group::File(bucket.id().into(), "a".into())) == 1)).await;
    let lost = server.inject(Fault::lose_event().on("FileDeleted", ""));
    file.delete().await.unwrap();
    assert_eq!(lost.fired(), 1);
    server.hub().restart();
    assert_eq!(within(gone).await.unwrap().unwrap(), None);
    let error = file.wait_until(|file| file.is_some(), Duration::from_millis(50)).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    let error = within(bucket.wait_for("../a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    drop(client);
}

/// A page on the way that says 404 does not say that there is no file.
#[tokio::test]
async fn waiting_believes_the_server_alone() {
    let (server, client, bucket) = start().await;
    let limit = Duration::from_secs(60);
    upload(&bucket, "a").await;
    let page = server.inject(Fault::status(404).body("<html>").on("GET", "/files/a"));
    let (tell, mut told) = futures::channel::mpsc::unbounded();
    let waiting = bucket.file("a").wait_until(
        move |file| {
            tell.unbounded_send(file.map(|file| file.size)).unwrap();
            file.is_some_and(|file| file.size == 2)
        },
        limit,
    );
    let waiting = tokio::spawn(waiting);
    within(page.fired_at_least(1)).await;
    bucket.file("a").upload("22".as_bytes()).await.unwrap();
    within(waiting).await.unwrap().unwrap();
    assert_eq!(within(told.next()).await, Some(Some(2)));
    assert_eq!(within(told.next()).await, None);
    let nowhere = client.bucket("nothere00").file("a").wait_until(|file| file.is_none(), limit);
    assert_eq!(within(nowhere).await.unwrap(), None);
}

/// The server may remember a file as it was, or one that is gone; what is waited for is asked of what it lists.
#[tokio::test]
async fn waiting_is_not_for_what_the_server_remembers() {
    let (server, _client, bucket) = start().await;
    let (file, limit) = (bucket.file("a"), Duration::from_secs(20));
    upload(&bucket, "a").await;
    let held = server.inject(Fault::stall_headers().on("GET", "/files/a"));
    let read = tokio::spawn(file.get().send());
    within(held.fired_at_least(1)).await;
    file.upload("22".as_bytes()).await.unwrap();
    assert_eq!(file.get().await.unwrap().size, 1, "the server says that it is what it was");
    let now = file.wait_until(|file| file.is_some_and(|file| file.size == 2), limit);
    assert_eq!(within(now).await.unwrap().unwrap().size, 2);
    file.delete().await.unwrap();
    assert!(file.get_opt().await.unwrap().is_some(), "the server says that it is there");
    assert_eq!(within(file.wait_until(|file| file.is_none(), limit)).await.unwrap(), None);
    let again = tokio::spawn(bucket.wait_for("a"));
    within(server.hub().until(|hub| hub.subscribers(&Group::File(bucket.id().into(), "a".into())) == 1)).await;
    file.upload("333".as_bytes()).await.unwrap();
    assert_eq!(within(again).await.unwrap().unwrap().size, 3);
    held.release();
    within(read).await.unwrap().unwrap();
}

/// The same client again, from the first moment of a server that was not there.
#[tokio::test]
async fn a_watch_may_be_there_before_the_server() {
    let (server, _, bucket) = start().await;
    let fresh: Client = client(&server);
    server.shutdown().await;
    let mut watch = fresh.bucket(bucket.id()).watch();
    assert_eq!(told(&mut watch, 2).await, ["waiting", "waiting"]);
    server.restart().await.unwrap();
    while told(&mut watch, 1).await != ["init"] {}
    assert_eq!(told(&mut watch, 1).await, ["done"]);
}

/// What a reader that stops loses is made good by a listing.
#[tokio::test]
async fn a_watch_that_was_not_read_for_long_is_right_again() {
    let (server, _client, bucket) = start().await;
    let mut watch = bucket.watch();
    told(&mut watch, 2).await;
    let record = |n: usize| {
        let file = format!(
            r#"{{"path":"never{n}","name":"never{n}","size":1,"mimeType":"x","createdAt":"2026-11-21T09:34:42","updatedAt":"2026-11-21T09:34:42Z"}}"#
        );
        format!("{{\"type\":1,\"target\":\"FileCreated\",\"arguments\":[\"{}\",{file}]}}\x1e", bucket.id())
    };
    for part in 0..60 {
        server.hub().send_text((0..100).map(|n| record(part * 100 + n)).collect::<String>()).await;
    }
    upload(&bucket, "a").await;
    let mut files = std::collections::BTreeSet::new();
    while !files.iter().eq(["a"]) {
        match within(watch.next()).await.unwrap().unwrap() {
            WatchEvent::Changed(file) => drop(files.insert(file.path)),
            WatchEvent::Removed(path) => assert!(files.remove(&path), "{path} was told to be there"),
            other => panic!("{other:?}"),
        }
    }
}

/// Where a stream is one of several in a `select`, it is polled after its end.
#[tokio::test]
async fn what_has_ended_may_be_polled_again() {
    let (server, client, bucket) = start().await;
    let mirror = bucket.mirror().await.unwrap();
    let (mut watch, mut changes) = (bucket.watch(), mirror.changes());
    told(&mut watch, 2).await;
    bucket.delete().await.unwrap();
    support::ends(&mut watch).await;
    support::ends(&mut changes).await;
    support::ends(&mut Client::anonymous(server.url()).unwrap().watch()).await;
    let other = Client::anonymous(server.url()).unwrap();
    let mut states = other.events().state();
    drop(other);
    support::ends(&mut states).await;
    drop(client);
}

//! What the server does that a user would not expect, and that no other test shows: `docs/server-notes.md` tells of it.

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carbonfiles::{Access, Client, ErrorKind, Expiry, Source, TimeoutPhase};
use carbonfiles_testserver::{Fault, TestServer};
use futures::{StreamExt, future, stream};
use support::{admin, bucket, client, server, within};

/// A client with an API key of this name.
async fn keyed(server: &TestServer, name: &str) -> Client {
    let key = admin(server).keys().create(name).await.unwrap().key;
    client(server, key)
}

#[tokio::test]
async fn any_api_key_may_write_to_any_bucket() {
    let server = server().await;
    let (alice, bob) = (keyed(&server, "alice").await, keyed(&server, "bob").await);
    let hers = bucket(&alice).await;
    let file = bob.bucket(hers.id()).file("from-bob.txt");
    file.upload("hello".as_bytes()).await.unwrap();
    assert_eq!(file.append("!".as_bytes()).await.unwrap().size, 6);
}

#[tokio::test]
async fn what_belongs_to_others_is_refused_in_three_ways() {
    let server = server().await;
    let (alice, bob) = (keyed(&server, "alice").await, keyed(&server, "bob").await);
    let hers = bucket(&alice).await;
    hers.file("a.txt").upload("a".as_bytes()).await.unwrap();
    let theirs = bob.bucket(hers.id());
    let error = theirs.delete().await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::PermissionDenied, "Access denied"));
    assert_eq!(theirs.update().name("mine").await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    let error = theirs.file("a.txt").delete().await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::NotFound, "File not found"));
    hers.update().expires(Expiry::from("2020-01-01T00:00:00Z").allow_past()).await.unwrap();
    assert_eq!(theirs.delete().await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn keys_of_one_name_own_the_same_buckets() {
    let server = server().await;
    let (first, second) = (keyed(&server, "team").await, keyed(&server, "team").await);
    let made = bucket(&first).await;
    assert_eq!(second.buckets().list().await.unwrap().total, 1);
    second.bucket(made.id()).delete().await.unwrap();

    let admins = bucket(&admin(&server)).await;
    let named_admin = keyed(&server, "admin").await;
    assert_eq!(named_admin.buckets().list().await.unwrap().items[0].id, admins.id());
    assert_eq!(named_admin.keys().list().await.unwrap_err().kind(), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn a_revoked_key_works_for_half_a_minute() {
    let server = server().await;
    let key = admin(&server).keys().create("k").await.unwrap();
    let revoked = client(&server, &key.key);
    assert_eq!(revoked.check().await.unwrap(), Access::ApiKey);
    admin(&server).key(&key.prefix).revoke().await.unwrap();
    assert_eq!(revoked.check().await.unwrap(), Access::ApiKey);
    server.clock().advance(Duration::from_secs(31));
    assert_eq!(revoked.check().await.unwrap(), Access::Rejected);
}

#[tokio::test]
async fn the_extension_decides_the_content_type() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    for (name, mime) in
        [("a.json", "application/json"), ("a.log", "application/octet-stream"), ("a", "application/octet-stream")]
    {
        let upload = bucket.file(name).upload(name.as_bytes().to_vec()).header("content-type", "image/png");
        assert_eq!(upload.await.unwrap().mime_type, mime);
        let both = bucket.files().upload_multipart().file(name, name.as_bytes().to_vec());
        assert_eq!(both.await.unwrap()[0].mime_type, mime);
    }
}

#[tokio::test]
async fn a_multipart_upload_is_not_atomic() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    // The server stores a part when the next one begins; then the source of that one breaks.
    let first = bucket.file("first");
    let breaks = stream::once(async {
        within(async {
            while first.get_opt().await.unwrap().is_none() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        Err(std::io::Error::other("the source broke"))
    });
    let breaking = stream::iter([Ok(Bytes::from(vec![1; 300_000]))]).chain(breaks);
    let upload =
        bucket.files().upload_multipart().file("first", vec![2; 300_000]).file("second", Source::stream(breaking));
    assert_eq!(upload.await.unwrap_err().kind(), ErrorKind::Io);
    assert!(first.get_opt().await.unwrap().is_some());
    assert!(bucket.file("second").get_opt().await.unwrap().is_none());
}

#[tokio::test]
async fn deduplicated_speaks_of_the_whole_server() {
    let server = server().await;
    let admin = admin(&server);
    let (one, other) = (bucket(&admin).await, bucket(&admin).await);
    assert!(!one.file("a").upload("same".as_bytes()).await.unwrap().deduplicated);
    assert!(other.file("b").upload("same".as_bytes()).await.unwrap().deduplicated);
    one.delete().await.unwrap();
    other.delete().await.unwrap();
    assert!(bucket(&admin).await.file("c").upload("same".as_bytes()).await.unwrap().deduplicated);
}

#[tokio::test]
async fn a_source_that_gives_nothing_is_given_up_by_the_server() {
    let server = TestServer::builder().slow_body_grace(Duration::from_millis(50)).start().await.unwrap();
    let bucket = bucket(&admin(&server)).await;
    let once = stream::once(future::ready(Ok::<_, std::io::Error>(Bytes::from(vec![1; 100]))));
    let error =
        within(bucket.file("a").upload(Source::stream(once.chain(stream::pending()))).send()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutPhase::Send), "{error:?}");
    assert_eq!(error.status().unwrap().as_u16(), 408);
    assert!(bucket.file("a").get_opt().await.unwrap().is_none());
}

#[tokio::test]
async fn a_short_url_outlives_its_file() {
    let server = server().await;
    let client = admin(&server);
    let file = bucket(&client).await.file("a.txt");
    let code = file.upload("a".as_bytes()).await.unwrap().short_code.clone().unwrap();
    let short = client.short_url(&code);
    short.resolve().await.unwrap();
    file.delete().await.unwrap();
    assert_eq!(short.resolve().await.unwrap().path, "a.txt", "the server remembers for ten minutes");
    assert!(file.get_opt().await.unwrap().is_none());
    server.clock().advance(Duration::from_secs(601));
    assert!(short.resolve().await.unwrap_err().is_not_found());

    // A code that was deleted never comes back, and the file goes on showing it.
    let done = file.upload("b".as_bytes()).await.unwrap();
    let code = done.short_code.clone();
    client.short_url(code.as_deref().unwrap()).delete().await.unwrap();
    assert_eq!(file.upload("c".as_bytes()).await.unwrap().short_code, code);
    file.delete().await.unwrap();
    assert_ne!(file.upload("d".as_bytes()).await.unwrap().short_code, code);
}

#[tokio::test]
async fn a_token_is_counted_by_files_and_looked_at_only_when_a_request_starts() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let token = bucket.upload_tokens().create().max_uploads(1).await.unwrap().token;
    let guest = client(&server, &token).bucket(bucket.id());
    let three = guest.files().upload_multipart().file("a", "1".as_bytes()).file("b", "2".as_bytes());
    assert_eq!(three.file("c", "3".as_bytes()).await.unwrap().len(), 3);
    assert_eq!(guest.file("d").upload("4".as_bytes()).await.unwrap_err().kind(), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn a_token_may_outlive_its_expiry() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    bucket.file("a").upload("1".as_bytes()).await.unwrap();
    let token = bucket.upload_tokens().create().expires("60s").await.unwrap().token;
    let guest = client(&server, &token).bucket(bucket.id());
    guest.file("a").append("2".as_bytes()).await.unwrap();
    server.clock().advance(Duration::from_secs(90));
    guest.file("a").append("3".as_bytes()).await.unwrap();
    server.clock().advance(Duration::from_secs(60));
    assert_eq!(guest.file("a").append("4".as_bytes()).await.unwrap_err().kind(), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn an_expired_bucket_comes_back_by_an_update() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    bucket.file("a").upload("1".as_bytes()).await.unwrap();
    bucket.update().expires("1h").await.unwrap();
    server.clock().advance(Duration::from_secs(3601));
    assert!(bucket.files().list().await.unwrap_err().is_not_found());
    assert!(admin(&server).buckets().list().await.unwrap().items.is_empty());
    assert_eq!(admin(&server).buckets().list().include_expired(true).await.unwrap().total, 1);
    bucket.update().expires("30d").await.unwrap();
    assert_eq!(bucket.files().list().await.unwrap().total, 1);
}

#[tokio::test]
async fn an_expired_bucket_that_is_remembered_takes_one_more_upload() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    bucket.update().expires("60s").await.unwrap();
    bucket.get().await.unwrap();
    server.clock().advance(Duration::from_secs(61));
    bucket.get().await.unwrap();
    bucket.file("late").upload("1".as_bytes()).await.unwrap();
    assert!(bucket.file("later").upload("2".as_bytes()).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn statistics_may_be_five_minutes_old() {
    let server = server().await;
    let admin = admin(&server);
    let before = admin.stats().await.unwrap().total_keys;
    admin.keys().create("k").await.unwrap();
    assert_eq!(admin.stats().await.unwrap().total_keys, before);
    server.clock().advance(Duration::from_secs(301));
    assert_eq!(admin.stats().await.unwrap().total_keys, before + 1);
}

#[tokio::test]
async fn every_call_with_json_says_so() {
    let server = server().await;
    let admin = admin(&server);
    let bucket = bucket(&admin).await;
    bucket.update().name("b").await.unwrap();
    bucket.upload_tokens().create().await.unwrap();
    admin.keys().create("k").await.unwrap();
    admin.dashboard().create_token().await.unwrap();
    let sent = server.requests();
    assert_eq!(sent.len(), 5);
    for request in sent {
        assert_eq!(request.header("content-type"), Some("application/json"), "{request:?}");
    }
}

/// Two clients that know nothing of each other, and uploads that take a while to commit.
async fn strangers() -> (Arc<TestServer>, Client, Client) {
    let server = TestServer::builder().commit_time(Duration::from_millis(200)).start().await.unwrap();
    let (one, other) = (admin(&server), admin(&server));
    (Arc::new(server), one, other)
}

/// Bytes that end when `many` uploads are under way. They can be sent again.
fn together(server: &Arc<TestServer>, many: usize, bytes: &'static str) -> Source<'static> {
    let server = server.clone();
    Source::factory(move || {
        let (server, (first, rest)) = (server.clone(), bytes.split_at(1));
        let rest = async move {
            while server.requests().iter().filter(|seen| seen.method == "PUT").count() < many {
                tokio::task::yield_now().await;
            }
            Ok(Bytes::from(rest))
        };
        let first = future::ready(Ok::<_, std::io::Error>(Bytes::from(first)));
        future::ready(Ok::<_, std::io::Error>(Source::stream(stream::once(first).chain(stream::once(rest)))))
    })
}

#[tokio::test]
async fn equal_new_bytes_of_two_clients_both_arrive() {
    let (server, one, other) = strangers().await;
    let bucket = bucket(&one).await;
    let (a, b) = future::join(
        within(one.bucket(bucket.id()).file("a").upload(together(&server, 2, "same")).send()),
        within(other.bucket(bucket.id()).file("b").upload(together(&server, 2, "same")).send()),
    )
    .await;
    assert_eq!((a.unwrap().size, b.unwrap().size), (4, 4));
    let met = server.requests().iter().filter(|seen| seen.status == Some(500)).count();
    assert_eq!(met, 1, "the race was there: one of them was sent again");
}

#[tokio::test]
async fn a_new_path_of_two_clients_goes_to_one_of_them() {
    let (server, one, other) = strangers().await;
    let bucket = bucket(&one).await;
    let (a, b) = future::join(
        within(one.bucket(bucket.id()).file("x").upload(together(&server, 2, "one")).send()),
        within(other.bucket(bucket.id()).file("x").upload(together(&server, 2, "another")).send()),
    )
    .await;
    let (won, lost) = match (a, b) {
        (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
        both => panic!("{both:?}"),
    };
    assert_eq!((lost.kind(), lost.status().unwrap().as_u16()), (ErrorKind::Server, 500));
    assert_eq!(bucket.file("x").get().await.unwrap().sha256, won.sha256);
    // The loser's bytes are refused from now on, wherever they go.
    let bytes = if won.size == 3 { "another" } else { "one" };
    let error = within(bucket.file("elsewhere").upload(bytes.as_bytes()).send()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server);
}

#[tokio::test]
async fn overwrites_of_two_clients_both_succeed_and_the_last_stays() {
    let (server, one, other) = strangers().await;
    let bucket = bucket(&one).await;
    bucket.file("x").upload("old".as_bytes()).await.unwrap();
    server.clear_requests();
    let (a, b) = future::join(
        within(one.bucket(bucket.id()).file("x").upload(together(&server, 2, "one")).send()),
        within(other.bucket(bucket.id()).file("x").upload(together(&server, 2, "another")).send()),
    )
    .await;
    let kept = bucket.file("x").get().await.unwrap().sha256;
    assert!([a.unwrap().sha256.clone(), b.unwrap().sha256.clone()].contains(&kept));
}

#[tokio::test]
async fn of_two_appends_by_two_clients_one_is_lost() {
    let (server, one, other) = strangers().await;
    let bucket = bucket(&one).await;
    bucket.file("log").upload("".as_bytes()).await.unwrap();
    // The first has been read and is held until the second has been made.
    let held = server.inject(Fault::stall_request_after(1).on("PATCH", "/content"));
    let first = tokio::spawn(one.bucket(bucket.id()).file("log").append("first\n".as_bytes()).send());
    held.fired_at_least(1).await;
    within(other.bucket(bucket.id()).file("log").append("second\n".as_bytes()).send()).await.unwrap();
    held.release();
    assert!(first.await.unwrap().is_ok(), "nobody is told");
    assert!(bucket.file("log").get().await.unwrap().size < 13);
}

#[tokio::test]
async fn uploads_at_once_may_use_a_token_more_often_than_it_allows() {
    let (server, one, _) = strangers().await;
    let bucket = bucket(&one).await;
    let token = bucket.upload_tokens().create().max_uploads(1).await.unwrap().token;
    let upload = |content| bucket.file(content).upload(together(&server, 4, content)).upload_token(&token).send();
    let outcomes = within(future::join_all(["one", "two", "three", "four"].map(upload))).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(upload("five").await.unwrap_err().kind(), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn a_server_that_stops_lets_a_request_finish() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let held = server.inject(Fault::stall_headers().on("PUT", "/upload/stream"));
    let upload = tokio::spawn(bucket.file("a").upload("whole".as_bytes()).send());
    held.fired_at_least(1).await;
    let stopping = server.shutdown_gracefully();
    held.release();
    future::join(stopping, async { assert_eq!(within(upload).await.unwrap().unwrap().size, 5) }).await;
    assert_eq!(bucket.get().await.unwrap_err().kind(), ErrorKind::Connect);
}

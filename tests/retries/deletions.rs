//! Deletions that were tried more than once: what "not found" says of them then.

use std::sync::atomic::{AtomicU32, Ordering};

use carbonfiles::ErrorKind;
use carbonfiles_testserver::Fault;

use crate::support::{Answer, RawServer, admin, answer, bucket, builder, client, seen, server, within};

#[tokio::test]
async fn a_deletion_whose_answer_was_lost_has_succeeded() {
    let server = server().await;
    let client = admin(&server);
    let bucket = bucket(&client).await;
    let file = bucket.file("a.txt");
    let done = file.upload("x".as_bytes()).await.unwrap();
    let key = client.keys().create("k").await.unwrap();
    let short = client.short_url(done.short_code.as_deref().unwrap());

    let lose = || {
        server.clear_requests();
        server.inject(Fault::lose_reply().on("DELETE", ""));
    };
    lose();
    within(short.delete().send()).await.unwrap();
    assert_eq!(server.requests().len(), 2);
    lose();
    within(file.delete().send()).await.unwrap();
    assert_eq!(server.requests().len(), 3, "and a look at what is there");
    lose();
    within(client.key(&key.prefix).revoke().send()).await.unwrap();
    assert_eq!(server.requests().len(), 2);
    lose();
    within(bucket.delete().send()).await.unwrap();
    assert_eq!(server.requests().len(), 2);
    assert!(bucket.get_opt().await.unwrap().is_none());
}

#[tokio::test]
async fn a_deletion_of_nothing_is_not_found() {
    let server = server().await;
    let client = admin(&server);
    let bucket = bucket(&client).await;
    server.clear_requests();
    for error in [
        within(bucket.file("none.txt").delete().send()).await.unwrap_err(),
        within(client.bucket("nosuchbuck").delete().send()).await.unwrap_err(),
        within(client.key("cf4_00000000").revoke().send()).await.unwrap_err(),
        within(client.short_url("abcdef").delete().send()).await.unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::NotFound, 1));
    }
    assert_eq!(server.requests().len(), 4);
    // The first attempt was turned away: nothing was deleted by it.
    server.inject(Fault::status(429));
    let error = within(bucket.file("none.txt").delete().send()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::NotFound, 2));
}

/// This server says of somebody else's file that it is not there.
#[tokio::test]
async fn a_file_that_is_still_there_has_not_been_deleted() {
    let server = server().await;
    let admin = admin(&server);
    let bucket = bucket(&admin).await;
    let file = bucket.file("a.txt");
    file.upload("x".as_bytes()).await.unwrap();
    let other = client(&server, &admin.keys().create("other").await.unwrap().key);
    for path in ["a.txt", "none.txt"] {
        server.clear_requests();
        server.inject(Fault::reset().on("DELETE", path));
        let deleted = within(other.bucket(bucket.id()).file(path).delete().send()).await;
        assert_eq!(
            deleted.as_ref().err().map(|error| (error.kind(), error.attempts())),
            match path {
                "a.txt" => Some((ErrorKind::NotFound, 2)),
                // What is not there is as it should be.
                _ => None,
            }
        );
        let requests = seen(&server);
        assert_eq!(requests.len(), 3, "{requests:?}");
        assert!(requests[2].starts_with("GET "), "{requests:?}");
    }
    assert_eq!(file.get().await.unwrap().size, 1);
    // Nobody can say what has become of it.
    let lost = server.inject(Fault::lose_reply().on("DELETE", ""));
    let silent = server.inject(Fault::status(503).on("GET", "a.txt").forever());
    within(file.delete().send()).await.unwrap();
    assert_eq!((lost.fired(), silent.fired()), (1, 1), "one look");
}

/// The server may remember a file that is gone, for five minutes; what is looked at is what it lists.
#[tokio::test]
async fn a_deleted_file_that_the_server_remembers_has_been_deleted() {
    let server = server().await;
    let file = bucket(&admin(&server)).await.file("a.txt");
    file.upload("x".as_bytes()).await.unwrap();
    let held = server.inject(Fault::stall_headers().on("GET", "/files/a.txt"));
    let read = tokio::spawn(file.get().send());
    within(held.fired_at_least(1)).await;
    server.inject(Fault::lose_reply().on("DELETE", ""));
    within(file.delete().send()).await.unwrap();
    assert!(file.get_opt().await.unwrap().is_some(), "the server says that it is there");
    held.release();
    within(read).await.unwrap().unwrap();
}

/// The server may remember a bucket that is gone, and then takes whoever deletes it again for somebody who must not.
#[tokio::test]
async fn a_bucket_that_the_server_remembers_has_been_deleted() {
    for (first, look, is_gone) in [
        (504, (404, r#"{"error":"Bucket not found"}"#), true),
        (504, (200, r#"{"items":[],"total":0,"limit":1,"offset":0}"#), false),
        // Of something on the way, and of nobody.
        (504, (404, r#"{"error":"no route"}"#), false),
        (504, (503, ""), false),
        // The first attempt was turned away.
        (429, (404, r#"{"error":"Bucket not found"}"#), false),
    ] {
        let tries = AtomicU32::new(0);
        let server = RawServer::start(move |head| {
            Answer::Bytes(match (&*head.method, tries.fetch_add(1, Ordering::SeqCst)) {
                ("DELETE", 0) => answer(first, "", b""),
                ("DELETE", _) => answer(403, "Content-Type: application/json\r\n", br#"{"error":"Access denied"}"#),
                _ => answer(look.0, "Content-Type: application/json\r\n", look.1.as_bytes()),
            })
        })
        .await;
        let client = builder(&server.url).token("key").build().unwrap();
        let outcome = within(client.bucket("b").delete().send()).await;
        let error = outcome.as_ref().err().map(|error| (error.kind(), error.message(), error.attempts()));
        let denied = Some((ErrorKind::PermissionDenied, "Access denied", 2));
        assert_eq!(error, denied.filter(|_| !is_gone), "{first}, {look:?}");
    }
}

/// The server may have failed after it had deleted, as it stores a file and answers 500; and what says 502, 503 or 504 may be a
/// gateway that has passed the request on.
#[tokio::test]
async fn a_deletion_that_got_a_500_may_have_been_carried_out() {
    for (first, succeeds) in [(500, true), (502, true), (503, true), (504, true), (429, false)] {
        let tries = AtomicU32::new(0);
        let server = RawServer::start(move |head| {
            let is_first = head.method == "DELETE" && tries.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
            Answer::Bytes(if is_first { answer(first, "", b"") } else { answer(404, "", words_for(&head.target)) })
        })
        .await;
        let client = builder(&server.url).token("key").build().unwrap();
        for outcome in [
            within(client.bucket("b").file("a").delete().send()).await,
            within(client.bucket("b").delete().send()).await,
            within(client.key("cf4_00000000").revoke().send()).await,
            within(client.short_url("abcdef").delete().send()).await,
        ] {
            assert_eq!(outcome.is_ok(), succeeds, "{first}: {outcome:?}");
        }
    }
}

/// What the server says to a deletion of nothing (recordings 425, 661, 802).
fn words_for(target: &str) -> &'static [u8] {
    match target {
        _ if target.contains("/files/") => br#"{"error": "File not found"}"#,
        _ if target.starts_with("/api/buckets/") => br#"{"error": "Bucket not found"}"#,
        _ if target.starts_with("/api/keys/") => br#"{"error": "API key not found"}"#,
        _ => b"",
    }
}

/// A gateway that lost sight of the server says 502, and then that it knows no such thing.
#[tokio::test]
async fn a_gateway_does_not_say_what_was_deleted() {
    let server = server().await;
    let client = admin(&server);
    let bucket = bucket(&client).await;
    let file = bucket.file("a.txt");
    let done = file.upload("x".as_bytes()).await.unwrap();
    let short = client.short_url(done.short_code.as_deref().unwrap());
    let key = client.keys().create("k").await.unwrap();
    for (says, call) in [
        ("<html>default backend</html>", "key"),
        (r#"{"status": 404, "error": "Not Found", "path": "/"}"#, "key"),
        ("", "key"),
        ("<html>", "short"),
        ("", "bucket"),
        ("", "file"),
    ] {
        let gateway = [502, 404].map(|status| server.inject(Fault::status(status).body(says).on("DELETE", "")));
        let error = match call {
            "key" => within(client.key(&key.prefix).revoke().send()).await,
            "short" => within(short.delete().send()).await,
            "bucket" => within(bucket.delete().send()).await,
            _ => within(file.delete().send()).await,
        };
        let error = error.unwrap_err();
        assert_eq!(gateway.map(|fault| fault.fired()), [1, 1], "{call} {says:?}");
        assert_eq!((error.kind(), error.may_have_been_done()), (ErrorKind::NotFound, true), "{call} {says:?}");
    }
    assert_eq!((file.get().await.unwrap().size, client.keys().list().await.unwrap().total), (1, 1));
}

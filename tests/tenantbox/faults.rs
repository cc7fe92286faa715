//! What passes: cuts, gateways, limits, URLs that expire on the way. With counts of what was sent.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use carbonfiles::tenantbox::Client;
use carbonfiles::{ErrorKind, RetryPolicy, Source};
use carbonfiles_testserver::Fault;

use crate::support::{Answer, RawServer, answer, part_or_whole, within};
use crate::{builder, client, header, pattern, seen, server};

const EXPIRED: &str = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";

#[tokio::test]
async fn an_upload_with_an_expired_url_gets_a_fresh_one() {
    let server = server().await;
    let client = client(&server);
    server.sign_in_the_past(1, Duration::from_secs(7200));
    let content = pattern(2 << 20);
    let done = client.tenant("new").files().upload(content.clone()).filename("a.bin").await.unwrap();
    assert_eq!(server.requests().len(), 2);
    assert_eq!(server.storage_requests().len(), 2);
    // The path is that of the bytes, and the tenant was new although the second announcement does not say so.
    assert_eq!(server.stored(&done.file_path).await.unwrap(), content);
    assert!(done.is_new_tenant && server.objects() == 1);
}

#[tokio::test]
async fn a_fresh_url_is_no_retry() {
    let server = server().await;
    let twice = RetryPolicy::default().base_delay(Duration::from_millis(1)).max_attempts(2);
    let client = builder(&server).retry(twice).build().unwrap();
    let content = pattern(1 << 20);
    // Expired, then a gateway's word: of the two tries that the policy grants, this is the first.
    server.sign_in_the_past(1, Duration::from_secs(7200));
    server.inject_storage(Fault::status(503).on("PUT", "").skip(1).times(1));
    let done = client.tenant("u").files().upload(content.clone()).await.unwrap();
    server.sign_in_the_past(1, Duration::from_secs(7200));
    server.inject_storage(Fault::status(503).on("GET", "").skip(1).times(1));
    assert_eq!(client.file(&done.file_path).download().await.unwrap().bytes(2 << 20).await.unwrap(), content);
}

#[tokio::test]
async fn a_storage_that_sends_on_to_another_region_is_followed() {
    let server = server().await;
    let client = client(&server);
    let tenant = client.tenant("u");
    let url = tenant.files().upload_url("there.bin").content_type("a/b").await.unwrap();
    let location = url.presigned_url.expose();
    let elsewhere =
        Fault::status(307).header("location", location).body("<Error><Code>TemporaryRedirect</Code></Error>");
    server.inject_storage(elsewhere.on("PUT", "").times(1));
    let content = pattern(3 << 20);
    tenant.files().upload(content.clone()).content_type("a/b").await.unwrap();
    assert_eq!(server.stored(&url.file_path).await.unwrap(), content);

    // What can be read once has gone to the first place.
    let elsewhere =
        Fault::status(307).header("location", location).body("<Error><Code>TemporaryRedirect</Code></Error>");
    server.inject_storage(elsewhere.on("PUT", "").times(1));
    let source = Source::reader(&content[..]).size(content.len() as u64);
    let error = tenant.files().upload(source).content_type("a/b").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BodyNotReplayable, "{error}");
    assert!(!format!("{error:?}").contains("X-Amz"));
}

#[tokio::test]
async fn a_storage_that_waited_in_vain_is_asked_again() {
    let server = server().await;
    let idle =
        "<Error><Code>RequestTimeout</Code><Message>Your socket connection to the server was idle</Message></Error>";
    server.inject_storage(Fault::status(400).body(idle).on("PUT", "").times(1));
    let done = client(&server).tenant("u").files().upload(pattern(1 << 20)).await.unwrap();
    assert_eq!((done.size, server.storage_requests().len()), (1 << 20, 2));
}

#[tokio::test]
async fn a_fresh_url_that_is_expired_again_is_an_error() {
    let server = server().await;
    server.sign_in_the_past(9, Duration::from_secs(7200));
    let error = client(&server).tenant("u").files().upload("x".as_bytes()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::PermissionDenied, Some("AccessDenied")), "{error}");
    assert_eq!((error.message(), server.requests().len()), ("Request has expired", 2));
}

#[tokio::test]
async fn a_source_that_can_be_read_once_is_not_sent_twice() {
    let server = server().await;
    server.sign_in_the_past(1, Duration::from_secs(7200));
    let content = pattern(300_000);
    let source = Source::reader(&content[..]).size(300_000);
    let error = client(&server).tenant("u").files().upload(source).await.unwrap_err();
    assert_eq!((error.kind(), server.requests().len()), (ErrorKind::PermissionDenied, 1), "{error}");
}

#[tokio::test]
async fn a_source_of_known_length_can_be_kept_to_be_sent_twice() {
    let server = server().await;
    let content = pattern(300_000);
    let source = || Source::reader(&content[..]).size(300_000);
    let files = client(&server).tenant("u").files();
    server.sign_in_the_past(1, Duration::from_secs(7200));
    let done = within(files.upload(source()).spool(300_000).send()).await.unwrap();
    assert_eq!(server.stored(&done.file_path).await.unwrap(), content);
    let before = server.requests().len();
    let error = within(files.upload(source()).spool(299_999).send()).await.unwrap_err();
    assert_eq!((error.kind(), server.requests().len()), (ErrorKind::PayloadTooLarge, before), "{error}");
    let short = Source::reader(tokio::io::empty()).size(5);
    let error = within(files.upload(short).spool(5).send()).await.unwrap_err();
    assert!(error.is_invalid_input() && server.requests().len() == before, "shorter than it says: {error}");
}

#[tokio::test]
async fn an_upload_survives_cuts_with_one_announcement() {
    let server = server().await;
    let client = client(&server);
    let content = pattern(4 << 20);
    server.inject_storage(Fault::reset_request_after(1 << 20).on("PUT", ""));
    server.inject_storage(Fault::lose_reply().on("PUT", ""));
    server.inject_storage(Fault::status(503).header("retry-after", "0").on("PUT", ""));
    // Of unknown length: what was spooled is sent again.
    let chunks = content.chunks(100_000).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect::<Vec<_>>();
    let source = Source::stream(futures::stream::iter(chunks));
    let done = within(client.tenant("u").files().upload(source).send()).await.unwrap();
    assert_eq!(server.stored(&done.file_path).await.unwrap(), content);
    assert_eq!((server.requests().len(), server.objects()), (1, 1));
    // One of them may be the question what a broken connection had to say.
    assert!((4..=5).contains(&server.storage_requests().len()), "{:?}", seen(&server.storage_requests()));
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_a_body_is_heard() {
    let server = server().await;
    let client = client(&server);
    for (fault, kind) in [
        (Fault::status(413).after(1 << 20), ErrorKind::PayloadTooLarge),
        (Fault::status(413).early(), ErrorKind::PayloadTooLarge),
        (
            Fault::status(400)
                .after(1 << 20)
                .body("<Error><Code>EntityTooLarge</Code><Message>too large</Message></Error>"),
            ErrorKind::PayloadTooLarge,
        ),
        (
            Fault::status(403).early().body("<Error><Code>QuotaExceeded</Code><Message>full</Message></Error>"),
            ErrorKind::QuotaExceeded,
        ),
    ] {
        server.inject_storage(fault.on("PUT", ""));
        let error = within(client.tenant("u").files().upload(pattern(32 << 20)).send()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.bytes_sent() > 0 || error.status().is_some());
    }
    assert_eq!(server.objects(), 0);
}

#[tokio::test]
async fn announcements_are_not_repeated() {
    let server = server().await;
    let client = client(&server);
    for fault in [Fault::lose_reply(), Fault::status(503), Fault::status(429).header("retry-after", "1")] {
        let before = server.requests().len();
        server.inject(fault);
        let error = client.tenant("u").files().upload("x".as_bytes()).await.unwrap_err();
        assert_eq!(server.requests().len(), before + 1, "{error}");
        assert!(error.is_retryable() && error.url().unwrap().ends_with("/api/storage/upload/"), "{error}");
    }
    assert!(server.storage_requests().is_empty());
}

#[tokio::test]
async fn other_calls_are_repeated() {
    let server = server().await;
    let client = client(&server);
    let done = client.tenant("u").files().upload("x".as_bytes()).await.unwrap();
    let file = client.file(&done.file_path);
    for fault in
        [Fault::reset(), Fault::lose_reply(), Fault::status(502), Fault::status(429).header("retry-after", "0")]
    {
        server.inject(fault.clone());
        client.tenant("u").usage().await.unwrap();
        server.inject(fault.clone());
        client.tenant("u").set_limit(100).await.unwrap();
        server.inject(fault);
        file.download_url().await.unwrap();
    }
    let busy = Fault::status(429).header("retry-after", "3600").body(r#"{"detail":"Slow down"}"#);
    server.inject(busy);
    let error = client.tenant("u").usage().await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::RateLimited, Some(Duration::from_secs(3600))));
    // Deleted by the attempt whose answer was lost.
    server.inject(Fault::lose_reply().on("DELETE", ""));
    assert!(!file.delete().await.unwrap().detail.is_empty());
}

#[tokio::test]
async fn a_404_of_something_on_the_way_is_no_deletion() {
    let server = server().await;
    let client = client(&server);
    let done = client.tenant("u").files().upload("x".as_bytes()).await.unwrap();
    let file = client.file(&done.file_path);
    for body in ["404 page not found", "<html>", "{}", ""] {
        server.inject(Fault::status(502).on("DELETE", "").times(1));
        server.inject(Fault::status(404).body(body).on("DELETE", "").times(1));
        let error = within(file.delete().send()).await.unwrap_err();
        assert_eq!((error.is_not_found(), error.may_have_been_done()), (true, true), "{body} {error}");
        assert!(server.stored(&done.file_path).await.is_some());
    }
}

#[tokio::test]
async fn a_download_goes_on_after_a_cut_with_a_fresh_url_where_it_needs_one() {
    let server = server().await;
    let client = client(&server);
    let content = pattern(3 << 20);
    let done = client.tenant("u").files().upload(content.clone()).await.unwrap();
    let file = client.file(&done.file_path);
    let (api, storage) = (server.requests().len(), server.storage_requests().len());

    // A cut, and the same URL.
    server.inject_storage(Fault::reset_response_after(1 << 20).on("GET", ""));
    assert_eq!(file.download().await.unwrap().bytes(4 << 20).await.unwrap(), content);
    assert_eq!((server.requests().len() - api, server.storage_requests().len() - storage), (1, 2));
    let resumed = server.storage_requests().pop().unwrap();
    assert_eq!(header(&resumed, "range"), Some("bytes=1048576-3145727"));

    // Expired when it is asked for the rest.
    let (api, storage) = (server.requests().len(), server.storage_requests().len());
    server.inject_storage(Fault::reset_response_after(1 << 20).on("GET", ""));
    server.inject_storage(Fault::status(403).body(EXPIRED).on("GET", ""));
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("copy");
    within(file.download_to(&target).send()).await.unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), content);
    assert_eq!((server.requests().len() - api, server.storage_requests().len() - storage), (2, 3));

    // Expired from the start.
    server.sign_in_the_past(1, Duration::from_secs(7200));
    assert_eq!(file.download().await.unwrap().bytes(4 << 20).await.unwrap(), content);
}

#[tokio::test]
async fn a_404_after_a_cut_is_believed_only_in_their_own_words() {
    let server = server().await;
    let client = client(&server);
    let content = pattern(3 << 20);
    let done = client.tenant("u").files().upload(content.clone()).await.unwrap();
    let file = client.file(&done.file_path);
    let cut = || server.inject_storage(Fault::reset_response_after(2 << 20).on("GET", ""));
    // Of what is before the storage.
    cut();
    server.inject_storage(Fault::status(404).body("<html>").on("GET", ""));
    assert_eq!(file.download().await.unwrap().bytes(4 << 20).await.unwrap(), content);

    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("copy");
    let left = || std::fs::read_dir(folder.path()).unwrap().count();
    let cut_and_not_found = async |body: &'static str| {
        cut();
        let gone = server.inject_storage(Fault::status(404).body(body).on("GET", "").times(2));
        let twice = RetryPolicy::default().base_delay(Duration::from_millis(1)).max_attempts(2);
        let error = within(file.download_to(&target).retry(twice).send()).await.unwrap_err();
        (error.kind(), gone.fired())
    };
    assert_eq!((cut_and_not_found("").await, left()), ((ErrorKind::NotFound, 2), 2), "a part and its record");
    assert!(within(file.download_to(&target).send()).await.unwrap().resumed >= 2 << 20);
    std::fs::remove_file(&target).unwrap();
    let key = "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>";
    assert_eq!((cut_and_not_found(key).await, left()), ((ErrorKind::ContentChanged, 1), 0));
    // The second of them is still to come.
    assert!(within(file.download_to(&target).send()).await.unwrap_err().is_not_found());

    // The URL is asked for anew, and the service says that there is no such file, or something before it does.
    for (body, kind, left_over) in
        [(r#"{"detail":"File not found"}"#, ErrorKind::ContentChanged, 0), ("<html>", ErrorKind::NotFound, 2)]
    {
        cut();
        server.inject_storage(Fault::status(403).body(EXPIRED).on("GET", ""));
        server.inject(Fault::status(404).body(body).on("POST", "/download/").skip(1));
        let error = within(file.download_to(&target).send()).await.unwrap_err();
        assert_eq!((error.kind(), left()), (kind, left_over), "{body} {error}");
    }
}

#[tokio::test]
async fn a_url_that_is_about_to_expire_is_not_used_again() {
    let server = server().await;
    let client = client(&server);
    // It lives for no time at all: each attempt asks for its own.
    server.upload_urls_live(Duration::ZERO);
    server.inject_storage(Fault::reset().on("PUT", "").forever());
    let twice = RetryPolicy::default().base_delay(Duration::from_millis(1)).max_attempts(2);
    let error = client.tenant("u").files().upload("x".as_bytes()).retry(twice).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Interrupted, 2), "{error}");
    assert_eq!((server.requests().len(), server.storage_requests().len()), (2, 2));
}

#[tokio::test]
async fn a_dropped_upload_leaves_nothing() {
    let server = server().await;
    let client = client(&server);
    let stalled = server.inject_storage(Fault::stall_request_after(1 << 20).on("PUT", ""));
    let upload = client.tenant("u").files().upload(pattern(32 << 20)).send();
    tokio::select! {
        done = upload => panic!("{done:?}"),
        () = within(stalled.fired_at_least(1)) => {}
    }
    stalled.release();
    // The next one is served, and the first has left nothing.
    client.tenant("u").files().upload("x".as_bytes()).await.unwrap();
    assert_eq!((server.objects(), client.tenant("u").usage().await.unwrap().storage_used_bytes), (1, 1));
}

#[tokio::test]
async fn where_an_upload_may_be_stored_is_told() {
    let server = server().await;
    let once = RetryPolicy::default().max_attempts(1);
    let upload = |content: Vec<u8>| client(&server).tenant("u").files().upload(content).filename("a.bin");
    let path = |hint: &str| hint.split('"').nth(1).unwrap().to_owned();

    server.inject_storage(Fault::lose_reply().on("PUT", "").times(1));
    let error = within(upload(pattern(1 << 20)).retry(once.clone()).send()).await.unwrap_err();
    let stored = path(error.hint().unwrap());
    assert_eq!((server.stored(&stored).await.unwrap().len(), server.objects()), (1 << 20, 1), "{error}");

    // The storage has it, and says nothing until the call is over.
    for (at, limited) in [
        upload(pattern(1000)).timeout(Duration::from_secs(1)),
        upload(pattern(1000)).response_timeout(Duration::from_secs(1)).retry(once.clone()),
    ]
    .into_iter()
    .enumerate()
    {
        let stalled = server.inject_storage(Fault::stall_headers().on("PUT", "").times(1));
        let error = within(limited.send()).await.unwrap_err();
        assert!(error.is_timeout(), "{at} {error}");
        assert!(server.stored(&path(error.hint().unwrap())).await.is_some(), "{at} {error}");
        stalled.release();
    }

    // Its URL expires before the next attempt, and the one after that is refused.
    server.inject_storage(Fault::lose_reply().on("PUT", "").times(1));
    server.inject_storage(Fault::status(403).body(EXPIRED).on("PUT", "").times(1));
    let denied = "<Error><Code>AccessDenied</Code><Message>No</Message></Error>";
    server.inject_storage(Fault::status(403).body(denied).on("PUT", "").times(1));
    let error = within(upload(pattern(1 << 20)).send()).await.unwrap_err();
    assert_eq!((error.kind(), server.objects()), (ErrorKind::PermissionDenied, 4), "{error}");
    let hint = error.hint().unwrap();
    assert!(path(hint) != stored && server.stored(&path(hint)).await.is_some(), "{error}");
    assert_eq!(hint.matches("a.bin").count(), 1, "{hint}");

    // What was refused, or not sent whole, is nowhere.
    for fault in [Fault::status(403).body(denied), Fault::reset_request_after(100_000)] {
        server.inject_storage(fault.on("PUT", "").times(1));
        let error = within(upload(pattern(16 << 20)).retry(once.clone()).send()).await.unwrap_err();
        assert!(error.hint().is_none_or(|hint| !hint.contains("a.bin")), "{error}");
    }
    assert_eq!(server.objects(), 4);
}

#[tokio::test]
async fn a_second_place_tells_of_the_first() {
    let server = server().await;
    let upload = || client(&server).tenant("u").files().upload(pattern(1 << 20)).filename("a.bin").send();
    // Stored, without an answer; its URL expires before the next attempt.
    server.inject_storage(Fault::lose_reply().on("PUT", "").times(1));
    server.inject_storage(Fault::status(403).body(EXPIRED).on("PUT", "").times(1));
    let done = within(upload()).await.unwrap();
    let [first] = &done.maybe_also_at[..] else { panic!("{done:?}") };
    assert_ne!(*first, done.file_path);
    assert!(server.stored(first).await.is_some() && server.stored(&done.file_path).await.is_some());
    assert_eq!(server.objects(), 2);
    // At the same place again, there is one.
    server.inject_storage(Fault::lose_reply().on("PUT", "").times(1));
    let done = within(upload()).await.unwrap();
    assert!(done.maybe_also_at.is_empty() && server.objects() == 3, "{done:?}");
    // What was refused is nowhere.
    server.inject_storage(Fault::status(403).body(EXPIRED).on("PUT", "").times(1));
    let done = within(upload()).await.unwrap();
    assert!(done.maybe_also_at.is_empty() && server.objects() == 4, "{done:?}");
}

#[tokio::test]
async fn an_etag_that_looks_like_a_hash_is_none() {
    let content = pattern(3 << 20);
    let (bytes, cut) = (content.clone(), AtomicBool::new(false));
    let server = RawServer::start(move |head| {
        let text = head.text.to_lowercase();
        let of = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let tag = format!("ETag: \"{}\"\r\n", "a".repeat(64));
        if head.target.starts_with("/api/") {
            let url = format!("http://{}/k?X-Amz-Signature=0123456789abcdef", of("host: ").unwrap());
            let body = serde_json::json!({"download_url": url, "expires_in": 3600, "file_path": "k"});
            return Answer::Bytes(answer(200, "", body.to_string().as_bytes()));
        }
        let mut came = part_or_whole(head, &tag, &bytes, usize::MAX);
        if of("range: ").is_some() || cut.swap(true, Ordering::SeqCst) {
            return Answer::Bytes(came);
        }
        came.truncate(came.len() - (1 << 20));
        Answer::ThenClose(came)
    })
    .await;
    let client = Client::builder("key").base_url(&server.url).http(reqwest::ClientBuilder::no_proxy).build().unwrap();
    let file = client.file("k");
    let folder = tempfile::tempdir().unwrap();
    // What the first has left is gone on with, and not compared either.
    let once = RetryPolicy::default().max_attempts(1);
    let error = within(file.download_to(folder.path().join("x")).retry(once).send()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
    let mut names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let record = names.find(|path| path.extension().is_some_and(|x| x == "json")).unwrap();
    let record = std::fs::read_to_string(record).unwrap();
    assert!(record.contains("\"hashed\":false"), "then what is noted of it is on the disk: {record}");
    let done = within(file.download_to(folder.path().join("x")).send()).await.unwrap();
    assert!(done.resumed > 0 && done.verified_sha256.is_none(), "{done:?}");
    assert_eq!(std::fs::read(folder.path().join("x")).unwrap(), content);

    assert_eq!(within(file.download().await.unwrap().bytes(4 << 20)).await.unwrap(), content);
    let done = within(file.download_to(folder.path().join("y")).send()).await.unwrap();
    assert_eq!((done.size, done.verified_sha256), (3 << 20, None));
    let wrong = file.download_to(folder.path().join("z")).expect_sha256("a".repeat(64));
    assert_eq!(within(wrong.send()).await.unwrap_err().kind(), ErrorKind::IntegrityMismatch);
}

#[tokio::test]
async fn a_wrong_source_stores_nothing() {
    let server = server().await;
    let client = builder(&server).build().unwrap();
    let files = client.tenant("u").files();
    let upload = files.upload(pattern(1 << 20)).expect_sha256("0".repeat(64));
    assert_eq!(upload.await.unwrap_err().kind(), ErrorKind::IntegrityMismatch);
    let short = Source::reader(&b"short"[..]).size(10);
    assert!(files.upload(short).await.unwrap_err().is_invalid_input());
    assert_eq!(server.objects(), 0);
}

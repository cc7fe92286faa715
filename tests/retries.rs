//! What is sent again, how often and when: counted on the server's side.

#[path = "retries/budget.rs"]
mod budget;
#[path = "retries/calls.rs"]
mod calls;
#[path = "retries/deletions.rs"]
mod deletions;
mod support;
#[path = "support/table.rs"]
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use carbonfiles::{Client, ErrorKind, RetryPolicy, Source, StatusCode};
use carbonfiles_testserver::{Fault, SeenRequest, TestServer};
use support::{admin, bucket, builder, client, nobody, quick, seen, server, within};

/// Requests whose body came, whole or in part: not those that announce one and send nothing of it, which ask what a
/// broken upload would have been told.
fn carried_out(server: &TestServer, method: &str) -> usize {
    let real = |request: &&SeenRequest| request.method == method && request.body_bytes > 0;
    server.requests().iter().filter(real).count()
}

#[tokio::test]
async fn a_get_survives_one_503_and_one_reset() {
    let server = server().await;
    let client = admin(&server);
    for fault in [Fault::status(503), Fault::status(502), Fault::status(504), Fault::status(429), Fault::reset()] {
        server.clear_requests();
        let fault = server.inject(fault);
        within(client.buckets().list().send()).await.unwrap();
        assert_eq!((fault.fired(), server.requests().len()), (1, 2), "{:?}", server.requests());
    }
    // Half of an answer is none.
    for fault in [Fault::reset_response_after(10), Fault::close_response_after(10), Fault::lose_reply()] {
        server.clear_requests();
        let fault = server.inject(fault);
        assert!(within(client.buckets().list().send()).await.unwrap().items.is_empty());
        assert_eq!((fault.fired(), server.requests().len()), (1, 2));
    }
}

#[tokio::test]
async fn refusals_that_stay_are_not_asked_for_again() {
    let server = server().await;
    let client = admin(&server);
    for status in [400, 401, 403, 404, 405, 409, 412, 413, 501, 507] {
        server.clear_requests();
        server.inject(Fault::status(status));
        let error = within(client.buckets().list().send()).await.unwrap_err();
        assert_eq!((error.status().unwrap().as_u16(), error.attempts()), (status, 1));
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn attempts_are_counted_and_bounded() {
    let server = server().await;
    server.inject(Fault::status(503).body("busy").forever());
    let error = within(admin(&server).health().send()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts(), server.requests().len()), (ErrorKind::Server, 4, 4));
    assert!(error.is_retryable() && error.to_string().contains("4 attempts"), "{error}");
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let server = server().await;
    server.inject(Fault::status(503).header("retry-after", "1"));
    let start = Instant::now();
    within(admin(&server).health().send()).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_retry_after_above_the_cap_ends_the_call() {
    let server = server().await;
    server.inject(Fault::status(429).header("retry-after", "3600").forever());
    let error = within(admin(&server).health().send()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::RateLimited, Some(Duration::from_secs(3600))));
    assert_eq!((error.attempts(), server.requests().len()), (1, 1));
    // So does one that would outlast the call.
    server.clear_faults();
    server.clear_requests();
    server.inject(Fault::status(503).header("retry-after", "50").forever());
    let error = within(admin(&server).health().timeout(Duration::from_secs(20)).send()).await.unwrap_err();
    assert_eq!((error.kind(), server.requests().len()), (ErrorKind::Server, 1));
}

#[tokio::test]
async fn a_put_of_bytes_survives_a_503() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    server.clear_requests();
    server.inject(Fault::status(503).on("PUT", "/upload/stream"));
    let done = within(bucket.file("a.txt").upload("hello".as_bytes()).send()).await.unwrap();
    assert_eq!((done.size, carried_out(&server, "PUT")), (5, 2));
}

#[tokio::test]
async fn a_file_survives_a_reset_half_way() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let disk = tempfile::NamedTempFile::new().unwrap();
    let data: Vec<u8> = (0..1 << 20).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(disk.path(), &data).unwrap();
    server.clear_requests();
    let fault = server.inject(Fault::reset_request_after(512 << 10).on("PUT", "/upload/stream"));
    let done = within(bucket.files().upload(disk.path()).named("big.bin").send()).await.unwrap();
    assert_eq!((done.size, fault.fired()), (1 << 20, 1));
    let stored = bucket.file("big.bin").download().await.unwrap().bytes(2 << 20).await.unwrap();
    assert!(stored == data);
    let whole = |r: &&SeenRequest| r.method == "PUT" && r.body_bytes == 1 << 20;
    assert_eq!(server.requests().iter().filter(whole).count(), 1, "sent whole once more, and once only");
}

#[tokio::test]
async fn what_must_not_happen_twice_is_sent_once() {
    let server = server().await;
    let client = admin(&server);
    let bucket = bucket(&client).await;
    let file = bucket.file("log.txt");
    file.upload("one\n".as_bytes()).await.unwrap();
    for fault in [Fault::reset, Fault::lose_reply, || Fault::status(503), || Fault::status(504)] {
        let start = || {
            server.clear_requests();
            server.inject(fault())
        };
        let once = |method: &str, error: carbonfiles::Error| {
            assert!(matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Server), "{error:?}");
            assert_eq!(error.attempts(), 1, "{error:?}");
            assert!(carried_out(&server, method) <= 1, "{:?}", server.requests());
        };
        let struck = start();
        once("POST", within(client.buckets().create("b").send()).await.unwrap_err());
        assert_eq!((struck.fired(), server.requests().len()), (1, 1));
        let struck = start();
        once("PATCH", within(bucket.update().expires("30d").send()).await.unwrap_err());
        assert_eq!((struck.fired(), server.requests().len()), (1, 1));
        let struck = start();
        once("POST", within(client.keys().create("k").send()).await.unwrap_err());
        assert_eq!((struck.fired(), server.requests().len()), (1, 1));
        let struck = start();
        once("POST", within(bucket.upload_tokens().create().send()).await.unwrap_err());
        assert_eq!((struck.fired(), server.requests().len()), (1, 1));
        let struck = start();
        once("POST", within(client.dashboard().create_token().send()).await.unwrap_err());
        assert_eq!((struck.fired(), server.requests().len()), (1, 1));
        let struck = start();
        once("PATCH", within(file.append("two\n".as_bytes()).send()).await.unwrap_err());
        assert_eq!(struck.fired(), 1);
        let struck = start();
        let raw = client.request(http::Method::POST, "/api/buckets").json(&serde_json::json!({"name": "raw"}));
        once("POST", within(raw.send()).await.unwrap_err());
        assert_eq!((struck.fired(), server.requests().len()), (1, 1));
    }
    // One of the four appends was committed, and its answer lost.
    assert_eq!(file.get().await.unwrap().size, 8);
    let names = client.buckets().list().await.unwrap().items;
    assert_eq!(names.iter().filter(|bucket| bucket.name == "b").count(), 1);
}

#[tokio::test]
async fn changes_that_may_happen_twice_are_sent_again() {
    let server = server().await;
    let client = admin(&server);
    let bucket = bucket(&client).await;
    let file = bucket.file("a.txt");
    file.upload("abc".as_bytes()).await.unwrap();
    for fault in [Fault::reset, Fault::lose_reply, || Fault::status(503)] {
        let struck = server.inject(fault());
        within(bucket.update().name("new").description("").send()).await.unwrap();
        assert_eq!(struck.fired(), 1);
        let struck = server.inject(fault());
        assert_eq!(within(file.patch(3, "def".as_bytes()).send()).await.unwrap().size, 6);
        assert_eq!(struck.fired(), 1);
        let struck = server.inject(fault());
        let raw = client.request(http::Method::PATCH, format!("/api/buckets/{}", bucket.id())).idempotent();
        within(raw.json(&serde_json::json!({"name": "raw"})).send()).await.unwrap();
        assert_eq!(struck.fired(), 1);
    }
}

#[tokio::test]
async fn an_upload_with_a_token_whose_answer_was_lost_costs_one_use() {
    let server = server().await;
    let admin = admin(&server);
    let bucket = bucket(&admin).await;
    for as_guest in [true, false] {
        let token = bucket.upload_tokens().create().max_uploads(2).await.unwrap().token;
        let uploader = if as_guest { client(&server, &token) } else { admin.clone() };
        let upload = |name: &str, content: &'static str| {
            let upload = uploader.bucket(bucket.id()).file(name).upload(content.as_bytes());
            if as_guest { upload.send() } else { upload.upload_token(&token).send() }
        };
        server.clear_requests();
        let lost = server.inject(Fault::lose_reply().on("PUT", "/upload/stream"));
        let content = if as_guest { "guest" } else { "token" };
        let done = within(upload("a.txt", content)).await.unwrap();
        assert_eq!((done.size, lost.fired(), carried_out(&server, "PUT")), (5, 1, 1), "{:#?}", server.requests());
        within(upload("b.txt", content)).await.unwrap();
        let error = within(upload("c.txt", content)).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::PermissionDenied, "Invalid or expired upload token"));
    }
}

#[tokio::test]
async fn an_upload_with_a_token_of_which_nothing_can_be_known_is_not_sent_again() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    for (name, look) in [("unhashed.txt", None), ("unseen.txt", Some(503)), ("astray.txt", Some(404))] {
        let token = bucket.upload_tokens().create().max_uploads(1).await.unwrap().token;
        server.clear_requests();
        server.inject(Fault::lose_reply().on("PUT", "/upload/stream"));
        if let Some(status) = look {
            server.inject(Fault::status(status).body("<html>").on("GET", name).forever());
        }
        let upload = bucket.file(name).upload("x".as_bytes()).upload_token(&token).verify(look.is_some());
        let error = within(upload.send()).await.unwrap_err();
        assert_eq!((error.kind(), carried_out(&server, "PUT")), (ErrorKind::Interrupted, 1), "{error}");
        server.clear_faults();
        assert_eq!(bucket.file(name).get().await.unwrap().size, 1);
    }
}

#[tokio::test]
async fn an_upload_with_a_token_that_never_arrived_is_sent_again() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let token = bucket.upload_tokens().create().max_uploads(1).await.unwrap().token;
    let guest = client(&server, &token);
    server.inject(Fault::reset().on("PUT", "/upload/stream"));
    within(guest.bucket(bucket.id()).file("a.txt").upload("x".as_bytes()).send()).await.unwrap();
    assert_eq!(bucket.file("a.txt").get().await.unwrap().size, 1);
}

#[tokio::test]
async fn a_source_that_reads_once_is_not_sent_again() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    for fault in [Fault::reset_request_after(1000), Fault::status(503), Fault::lose_reply()] {
        server.clear_requests();
        server.inject(fault.on("PUT", "/upload/stream"));
        let source = Source::reader(std::io::Cursor::new(vec![7; 100_000])).size(100_000);
        let error = within(bucket.file("once.bin").upload(source).send()).await.unwrap_err();
        assert!(error.hint().is_some_and(|hint| hint.contains("only once")), "{error:?}");
        assert_eq!((error.attempts(), carried_out(&server, "PUT")), (1, 1), "{:?}", server.requests());
    }
    // The same out of a factory is.
    server.inject(Fault::reset_request_after(1000).on("PUT", "/upload/stream"));
    let make = || std::future::ready(Ok::<_, std::io::Error>(Source::reader(std::io::Cursor::new(vec![7; 100_000]))));
    let done = within(bucket.file("again.bin").upload(Source::factory(make)).send()).await.unwrap();
    assert_eq!(done.size, 100_000);
}

#[tokio::test]
async fn never_is_never() {
    let server = server().await;
    let client = builder(server.url()).token(server.admin_key()).retry(RetryPolicy::never()).build().unwrap();
    for fault in [Fault::status(503), Fault::reset(), Fault::lose_reply()] {
        server.clear_requests();
        server.inject(fault);
        within(client.health().send()).await.unwrap_err();
        assert_eq!(server.requests().len(), 1);
    }
    // A call's own policy wins, either way.
    server.clear_requests();
    server.inject(Fault::status(503).times(2));
    within(client.health().retry(quick()).send()).await.unwrap();
    assert_eq!(server.requests().len(), 3);
    server.clear_requests();
    server.inject(Fault::status(503).times(6));
    within(admin(&server).health().retry(quick().max_attempts(7)).send()).await.unwrap();
    assert_eq!(server.requests().len(), 7);
    server.clear_requests();
    server.inject(Fault::status(503));
    within(admin(&server).health().retry(RetryPolicy::never()).send()).await.unwrap_err();
    assert_eq!(server.requests().len(), 1);
}

/// The credential is asked for before each attempt, so its provider can do what should happen between two of them.
fn client_that_starts_a_server_before_its_third_attempt(
    address: std::net::SocketAddr,
) -> (Client, Arc<AtomicU32>, Arc<tokio::sync::Mutex<Option<TestServer>>>) {
    let (asked, started) = (Arc::new(AtomicU32::new(0)), Arc::new(tokio::sync::Mutex::new(None)));
    let (count, slot) = (asked.clone(), started.clone());
    let provide = move || {
        let (attempt, slot) = (count.fetch_add(1, Ordering::SeqCst) + 1, slot.clone());
        async move {
            if attempt == 3 {
                let server = TestServer::builder().address(address).admin_key("late").start().await?;
                *slot.lock().await = Some(server);
            }
            Ok::<_, carbonfiles_testserver::StartError>("late")
        }
    };
    let client = builder(&format!("http://{address}")).token_provider(provide).build().unwrap();
    (client, asked, started)
}

#[tokio::test]
async fn what_never_left_is_sent_when_the_server_comes_up() {
    // Nothing was sent, so even a creation may go again.
    let (client, asked, started) = client_that_starts_a_server_before_its_third_attempt(nobody().await);
    let made = within(client.buckets().create("late").send()).await.unwrap();
    assert_eq!((made.name.as_str(), asked.load(Ordering::SeqCst)), ("late", 3));
    let server = started.lock().await.take().unwrap();
    assert_eq!(seen(&server), ["POST /api/buckets"]);

    let (client, asked, started) = client_that_starts_a_server_before_its_third_attempt(nobody().await);
    let error = within(client.buckets().create("late").retry(quick().max_attempts(2)).send()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts(), asked.load(Ordering::SeqCst)), (ErrorKind::Connect, 2, 2));
    assert!(started.lock().await.is_none());
}

#[tokio::test]
async fn a_server_that_restarts_between_calls_is_not_noticed() {
    let server = server().await;
    let client = admin(&server);
    for round in 0..20 {
        client.health().await.unwrap();
        server.restart().await.unwrap();
        // The pooled connection is dead: a creation may only go again because it never left.
        let made = within(client.buckets().create(format!("b{round}")).send()).await;
        let made = made.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        assert_eq!(made.name, format!("b{round}"));
    }
    assert_eq!(client.buckets().list().await.unwrap().total, 20);
}

/// After a 500 an upload is looked for, and sent once more.
#[tokio::test]
async fn the_second_sending_of_an_upload_is_part_of_the_same_call() {
    let server = server().await;
    let client = admin(&server);
    let bucket = support::bucket(&client).await;
    let puts = |server: &TestServer| {
        let count = seen(server).iter().filter(|request| request.starts_with("PUT")).count();
        server.clear_requests();
        server.clear_faults();
        count
    };
    let upload = |file: &str| bucket.file(file).upload(file.as_bytes().to_vec());

    // What is left of the limit does not last until then.
    server.inject(Fault::status(500).header("retry-after", "30").on("PUT", "/upload"));
    let error = within(upload("a").timeout(Duration::from_secs(20)).send()).await.unwrap_err();
    assert_eq!((error.status(), puts(&server)), (Some(StatusCode::INTERNAL_SERVER_ERROR), 1));

    server.inject(Fault::status(503).on("PUT", "/upload"));
    server.inject(Fault::status(500).on("PUT", "/upload"));
    server.inject(Fault::status(503).on("PUT", "/upload").forever());
    let error = within(upload("b").retry(quick().max_attempts(5)).send()).await.unwrap_err();
    assert_eq!((error.attempts(), puts(&server)), (5, 5));

    // Each takes from the budget of the client, until there is none.
    server.inject(Fault::status(500).on("PUT", "/upload").forever());
    for file in 0..60 {
        within(upload(&format!("c{file}")).send()).await.unwrap_err();
    }
    server.clear_requests();
    within(upload("d").send()).await.unwrap_err();
    assert_eq!(puts(&server), 1);
}

/// Whoever asks again for what must not happen twice has to know.
#[tokio::test]
async fn an_error_tells_whether_it_may_have_been_done() {
    let server = server().await;
    let client = admin(&server);
    let create = async |fault: Option<Fault>| {
        fault.map(|fault| server.inject(fault));
        within(client.buckets().create("b").send()).await.unwrap_err().may_have_been_done()
    };
    assert!(create(Some(Fault::lose_reply())).await);
    assert_eq!(client.buckets().list().await.unwrap().total, 1, "and it was");
    for status in [500, 502, 503, 504] {
        assert!(create(Some(Fault::status(status))).await, "{status}");
    }
    for status in [302, 400, 401, 403, 404, 408, 409, 413, 429, 501, 507] {
        assert!(!create(Some(Fault::status(status))).await, "{status}");
    }
    assert!(create(Some(Fault::replace_body("not JSON"))).await, "done, and not understood");
    assert!(!within(client.buckets().create("").send()).await.unwrap_err().may_have_been_done());
    let away = builder(&format!("http://{}", nobody().await)).token("t").build().unwrap();
    let error = within(away.buckets().create("b").send()).await.unwrap_err();
    assert!(error.is_connect() && error.attempts() == 4 && !error.may_have_been_done(), "{error:?}");
    // A limit that passes before anything is sent, and one that passes after it.
    let short = Duration::from_millis(200);
    let waits = builder(server.url()).token_provider(std::future::pending::<std::io::Result<String>>);
    let error = within(waits.build().unwrap().buckets().create("b").timeout(short).send()).await.unwrap_err();
    assert!(error.is_timeout() && !error.may_have_been_done(), "{error:?}");
    let pending = Source::stream(futures::stream::pending::<std::io::Result<Vec<u8>>>());
    let spooled = client.bucket("b").file("a").upload(pending).spool(1).timeout(short);
    let error = within(spooled.send()).await.unwrap_err();
    assert!(error.is_timeout() && !error.may_have_been_done(), "{error:?}");
    let stalled = server.inject(Fault::stall_headers());
    let mut limit = short;
    let error = loop {
        let error = within(client.buckets().create("b").timeout(limit).send()).await.unwrap_err();
        if stalled.fired() == 1 {
            break error;
        }
        limit *= 2;
    };
    assert!(error.is_timeout() && error.may_have_been_done(), "{error:?}");
}

/// An answer to the last attempt says nothing of one before it.
#[tokio::test]
async fn what_an_earlier_attempt_may_have_done_is_not_forgotten() {
    let server = server().await;
    let client = admin(&server);
    let bucket = support::bucket(&client).await;
    for (first, may_be_done) in [
        (Fault::lose_reply(), true),
        (Fault::status(502), true),
        (Fault::status(429), false),
        (Fault::status(408), false),
    ] {
        server.clear_faults();
        let struck = server.inject(first.clone().on("PATCH", ""));
        let refused = server.inject(Fault::status(403).on("PATCH", ""));
        let raw = client.request(http::Method::PATCH, format!("/api/buckets/{}", bucket.id())).idempotent();
        let error = within(raw.json(&serde_json::json!({"name": "new"})).send()).await.unwrap_err();
        assert_eq!((struck.fired(), refused.fired(), error.attempts()), (1, 1, 2), "{first:?}");
        assert_eq!((error.kind(), error.may_have_been_done()), (ErrorKind::PermissionDenied, may_be_done), "{first:?}");
    }
    // Nor does the second sending of an upload.
    server.clear_faults();
    server.inject(Fault::status(500).on("PUT", "/upload"));
    server.inject(Fault::status(403).on("PUT", "/upload"));
    let error = within(bucket.file("a").upload("a".as_bytes()).send()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::PermissionDenied, 2), "{error:?}");
    assert!(error.may_have_been_done());
}

#[tokio::test]
async fn looking_for_an_upload_is_a_part_of_its_call() {
    let server = server().await;
    let bucket = support::bucket(&admin(&server)).await;
    let upload = || bucket.file("a").upload(&b"content"[..]).header("x-mark", "of the call");
    let looks = || server.requests().into_iter().filter(|request| request.method == "GET").collect::<Vec<_>>();
    server.inject(Fault::status(500).on("PUT", "/upload"));
    server.clear_requests();
    within(upload().send()).await.unwrap();
    let seen = looks();
    assert_eq!(seen.iter().map(|look| look.header("x-mark")).collect::<Vec<_>>(), [Some("of the call")]);

    for policy in [RetryPolicy::never(), quick().max_attempts(2)] {
        server.clear_requests();
        server.clear_faults();
        server.inject(Fault::status(500).on("PUT", "/upload").forever());
        server.inject(Fault::status(503).on("GET", "/files?").forever());
        let error = within(upload().retry(policy).send()).await.unwrap_err();
        assert_eq!(error.status(), Some(StatusCode::INTERNAL_SERVER_ERROR));
        assert_eq!(looks().len(), error.attempts() as usize, "once for each sending");
    }
}

//! Where a client's credential comes from, and how it is replaced: by a provider, for one user of many, by the environment.

mod support;

use std::io;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use carbonfiles::{Client, ErrorKind, Method, RetryPolicy, Source, StatusCode};
use carbonfiles_testserver::{Fault, TestServer};
use support::{Answer, RawServer, admin, answer, bucket, builder, client, server, within};

/// A provider that gives these one after another, and the last for ever; and how often it was asked.
fn provider(
    tokens: &[&str],
) -> (impl Fn() -> std::future::Ready<io::Result<String>> + Send + Sync + use<>, Arc<AtomicUsize>) {
    let (tokens, asked): (Vec<_>, _) =
        (tokens.iter().map(ToString::to_string).collect(), Arc::<AtomicUsize>::default());
    let count = asked.clone();
    let provide = move || {
        let at = count.fetch_add(1, Ordering::SeqCst).min(tokens.len() - 1);
        std::future::ready(Ok(tokens[at].clone()))
    };
    (provide, asked)
}

/// The credentials that came, in order.
fn sent(server: &TestServer) -> Vec<String> {
    let bearer = |value: &str| value.strip_prefix("Bearer ").unwrap_or(value).to_owned();
    server.requests().iter().map(|request| request.header("authorization").map(bearer).unwrap_or_default()).collect()
}

#[tokio::test]
async fn a_provider_is_asked_once_more_where_its_token_was_refused() {
    let server = server().await;
    let good = server.admin_key();
    let made = bucket(&admin(&server)).await;
    // This server says 403 to a credential that it does not know, in other words where only the admin may; what stands
    // before it may say 401.
    for (tokens, struck, gives, asked_for, seen) in [
        (vec!["stale", good], None, None, 2, vec!["stale", good]),
        (vec![good, "fresh", good], Some(401), Some(ErrorKind::PermissionDenied), 2, vec![good, "fresh"]),
        (vec!["stale"], None, Some(ErrorKind::PermissionDenied), 2, vec!["stale"]),
        (vec!["stale", "staler", good], None, Some(ErrorKind::PermissionDenied), 2, vec!["stale", "staler"]),
        (vec![good, "fresh"], Some(404), Some(ErrorKind::NotFound), 1, vec![good]),
    ] {
        let (provide, asked) = provider(&tokens);
        // It is no retry.
        let client = builder(server.url()).token_provider(provide).retry(RetryPolicy::never()).build().unwrap();
        struck.map(|status| server.inject(Fault::status(status)));
        server.clear_requests();
        let outcome = within(client.keys().list().send()).await;
        assert_eq!(outcome.err().map(|error| error.kind()), gives, "{tokens:?}");
        assert_eq!(
            (asked.load(Ordering::SeqCst), sent(&server)),
            (asked_for, seen.iter().map(ToString::to_string).collect())
        );
    }
    // A body goes again where it can. Both tell beforehand whether the upload costs a use of a token.
    for (source, stored) in [(Source::from(vec![7; 10]), true), (Source::reader(io::Cursor::new(vec![7; 10])), false)] {
        let (provide, asked) = provider(&["stale", "stale", good]);
        let client = builder(server.url()).token_provider(provide).build().unwrap();
        let outcome = within(client.bucket(made.id()).file("a.bin").upload(source).send()).await;
        assert_eq!(
            (outcome.is_ok(), asked.load(Ordering::SeqCst)),
            (stored, if stored { 3 } else { 2 }),
            "{outcome:?}"
        );
        assert!(outcome.err().is_none_or(|error| error.kind() == ErrorKind::Unauthenticated));
    }
}

/// A refusal says more than that no other token is to be had.
#[tokio::test]
async fn a_provider_that_fails_when_asked_once_more_leaves_the_refusal() {
    let server = server().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let provide = move || {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        async move { if first { Ok("stale") } else { Err(io::Error::other("the vault is down")) } }
    };
    let client = builder(server.url()).token_provider(provide).build().unwrap();
    let error = within(client.keys().list().send()).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::PermissionDenied, Some(StatusCode::FORBIDDEN)), "{error}");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

/// What the provider has met is what the caller decides on.
#[tokio::test]
async fn a_provider_fails_with_the_kind_of_what_it_met() {
    #[derive(Debug, thiserror::Error)]
    #[error("no token")]
    struct NoToken(#[source] carbonfiles::Error);

    let server = server().await;
    server.inject(Fault::status(503).forever());
    let vault = builder(server.url()).retry(RetryPolicy::never()).build().unwrap();
    let met = within(vault.health().send()).await.unwrap_err();
    let seen = server.requests().len();
    type Cause = Box<dyn std::error::Error + Send + Sync>;
    let plain = met.clone();
    let causes: [(Box<dyn Fn() -> Cause + Send + Sync>, ErrorKind); 4] = [
        (Box::new(move || plain.clone().into()), ErrorKind::Server),
        (
            Box::new({
                let met = met.clone();
                move || NoToken(met.clone()).into()
            }),
            ErrorKind::Server,
        ),
        (Box::new(move || io::Error::other(NoToken(met.clone())).into()), ErrorKind::Server),
        (Box::new(|| io::Error::other("sealed").into()), ErrorKind::Unauthenticated),
    ];
    for (cause, kind) in causes {
        let provide = move || std::future::ready(Err::<String, _>(cause()));
        let client = builder(server.url()).token_provider(provide).build().unwrap();
        let error = within(client.keys().create("k").send()).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (kind, kind == ErrorKind::Server), "{error:?}");
        assert!(!error.may_have_been_done() && std::error::Error::source(&error).is_some());
    }
    assert_eq!(server.requests().len(), seen, "nothing is sent without a token");
}

/// What the vault does not have, or will not give, says nothing of what was asked for with it.
#[tokio::test]
async fn a_credential_that_is_not_found_leaves_open_what_is_there() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    for (status, met) in [
        (404, ErrorKind::NotFound),
        (412, ErrorKind::PreconditionFailed),
        (416, ErrorKind::RangeNotSatisfiable),
        (501, ErrorKind::Unsupported),
    ] {
        server.inject(Fault::status(status));
        let vault = builder(server.url()).retry(RetryPolicy::never()).build().unwrap();
        let cause = within(vault.health().send()).await.unwrap_err();
        assert_eq!(cause.kind(), met);
        let provide = move || std::future::ready(Err::<String, _>(cause.clone()));
        let client = builder(server.url()).token_provider(provide).build().unwrap();
        let error = within(client.bucket(bucket.id()).get_opt().send()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.downcast_ref::<carbonfiles::Error>().unwrap().kind(), met);
    }
}

#[tokio::test]
async fn a_client_with_another_token_is_that_users_and_shares_the_rest() {
    let server = server().await;
    let admin = builder(server.url())
        .token(server.admin_key())
        .default_header("x-team", "a")
        .max_transfers(1)
        .retry(support::quick())
        .build()
        .unwrap();
    let key = admin.keys().create("user").await.unwrap().key;
    let user = admin.with_token(&key);
    server.clear_requests();
    user.buckets().list().await.unwrap();
    assert!(user.keys().list().await.unwrap_err().is_denied());
    admin.keys().list().await.unwrap();
    assert_eq!(sent(&server), [key.expose(), key.expose(), server.admin_key()]);
    assert!(server.requests().iter().all(|request| request.header("x-team") == Some("a")));
    assert!(admin.with_token("two words").buckets().list().await.unwrap_err().is_invalid_input());
    assert_eq!(server.requests().len(), 3);

    // The number of transfers, and the turns at a path.
    let one_each = user.with_token(server.admin_key());
    let many = builder(server.url()).token(server.admin_key()).build().unwrap();
    let bucket = bucket(&many).await;
    let all_of_many = many.with_token(server.admin_key());
    for (first, second, other) in [(&admin, &one_each, "b.txt"), (&many, &all_of_many, "a.txt")] {
        let stalled = server.inject(Fault::stall_headers().on("PUT", "/upload"));
        let first = tokio::spawn(first.bucket(bucket.id()).file("a.txt").upload("one".as_bytes()).send());
        within(stalled.fired_at_least(1)).await;
        let (hear, waits) = support::queued();
        let second = second.bucket(bucket.id()).file(other).upload("second".as_bytes()).progress(hear);
        let second = tokio::spawn(second.send());
        within(waits).await;
        stalled.release();
        within(first).await.unwrap().unwrap();
        assert_eq!(within(second).await.unwrap().unwrap().size, 6);
    }

    // And the budget of retries: one who has emptied it has emptied it for all.
    server.inject(Fault::status(503).forever());
    for _ in 0..60 {
        within(admin.health().send()).await.unwrap_err();
    }
    server.clear_requests();
    within(user.health().send()).await.unwrap_err();
    assert_eq!(server.requests().len(), 1);
}

/// A client without a credential that sends an `Authorization` of its own can't be made somebody else.
#[tokio::test]
async fn a_token_beside_a_default_authorization_is_refused() {
    let server = server().await;
    let proxied = builder(server.url()).default_header("authorization", "Basic x").build().unwrap();
    let error = proxied.with_token("cf4_user").health().await.unwrap_err();
    assert!(error.is_invalid_input() && server.requests().is_empty(), "{error}");
}

/// The same for the clients of the other services, each against a server that takes down who calls.
#[cfg(all(feature = "tenantbox", feature = "file-storage"))]
#[tokio::test]
async fn the_other_clients_take_tokens_alike() {
    let said = Arc::<std::sync::Mutex<Vec<String>>>::default();
    let notes = said.clone();
    let server = RawServer::start(move |head| {
        let token = head
            .text
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("authorization: bearer ").map(str::to_owned));
        let known = token.as_deref() != Some("stale");
        notes.lock().unwrap().push(token.unwrap_or_default());
        Answer::Bytes(answer(if known { 200 } else { 401 }, "", b"{}"))
    })
    .await;
    let (provide, _) = provider(&["stale", "fresh"]);
    let boxes = carbonfiles::tenantbox::Client::builder("").base_url(&server.url).http(support::local);
    let boxes = boxes.token_provider(provide).build().unwrap();
    within(boxes.request(Method::GET, "/").send()).await.unwrap();
    within(boxes.with_token("another").request(Method::GET, "/").send()).await.unwrap();
    let storage = carbonfiles::file_storage::Client::builder(&server.url).http(support::local);
    let storage = storage.login("a@example.com", "password").build().unwrap();
    let user = storage.with_token("user");
    within(user.request(Method::GET, "/").send()).await.unwrap();
    assert_eq!(*said.lock().unwrap(), ["stale", "fresh", "another", "user"]);
    assert!(user.session_tokens().is_none());
    within(user.log_out().send()).await.unwrap();
    assert_eq!(said.lock().unwrap().len(), 4, "there is no session that could end");
}

const OF_CHILD: &str = "CARBONFILES_TESTS_CLIENT";

/// The environment is that of a process, so each row has a process of its own: this test, told what to make.
#[test]
fn what_is_empty_in_the_environment_is_not_set() {
    let shown = |made: carbonfiles::Result<String>| made.unwrap_or_else(|error| error.to_string());
    match std::env::var(OF_CHILD).as_deref() {
        Ok("carbonfiles") => {
            return println!("made: {}", shown(Client::from_env().map(|client| format!("{client:?}"))));
        }
        #[cfg(feature = "tenantbox")]
        Ok("tenantbox") => {
            let made = carbonfiles::tenantbox::Client::from_env();
            return println!("made: {}", shown(made.map(|client| format!("{client:?}"))));
        }
        #[cfg(feature = "tenantbox")]
        Ok("tenantbox with a provider") => {
            let made = carbonfiles::tenantbox::ClientBuilder::from_env()
                .and_then(|builder| builder.token_provider(async || Ok::<_, std::io::Error>("k")).build());
            return println!("made: {}", shown(made.map(|client| format!("{client:?}"))));
        }
        #[cfg(feature = "file-storage")]
        Ok("file-storage") => {
            let made = carbonfiles::file_storage::Client::from_env();
            return println!("made: {}", shown(made.map(|client| format!("{client:?}"))));
        }
        _ => {}
    }
    let made = |client: &str, set: &[(&str, &str)]| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "what_is_empty_in_the_environment_is_not_set", "--nocapture"]).env(OF_CHILD, client);
        for name in ["CARBONFILES_URL", "CARBONFILES_TOKEN", "TENANTBOX_API_KEY", "TENANTBOX_BASE_URL"] {
            child.env_remove(name);
        }
        for name in ["URL", "TOKEN", "EMAIL", "PASSWORD"] {
            child.env_remove(format!("FILE_STORAGE_{name}"));
        }
        let said = child.envs(set.iter().copied()).output().unwrap().stdout;
        let said = String::from_utf8(said).unwrap();
        said.split_once("made: ").unwrap_or_else(|| panic!("{said}")).1.lines().next().unwrap().to_owned()
    };
    let has = |made: String, parts: &[&str]| assert!(parts.iter().all(|part| made.contains(part)), "{parts:?}: {made}");
    let url = "http://files.test";
    has(made("carbonfiles", &[("CARBONFILES_URL", url), ("CARBONFILES_TOKEN", "t")]), &[url, "Fixed"]);
    has(made("carbonfiles", &[("CARBONFILES_URL", url), ("CARBONFILES_TOKEN", "")]), &[url, "Anonymous"]);
    has(made("carbonfiles", &[("CARBONFILES_URL", "")]), &["CARBONFILES_URL", "not set, or empty"]);
    if cfg!(all(feature = "tenantbox", feature = "rustls")) {
        let hosted = "https://api.tenantbox.dev";
        has(made("tenantbox", &[("TENANTBOX_API_KEY", "k"), ("TENANTBOX_BASE_URL", "")]), &[hosted]);
        has(made("tenantbox", &[("TENANTBOX_API_KEY", "k"), ("TENANTBOX_BASE_URL", url)]), &[url]);
        has(made("tenantbox", &[("TENANTBOX_API_KEY", "")]), &["TENANTBOX_API_KEY", "not set, or empty"]);
        has(made("tenantbox with a provider", &[]), &[hosted]);
    }
    if cfg!(feature = "file-storage") {
        let login = [("FILE_STORAGE_URL", url), ("FILE_STORAGE_TOKEN", ""), ("FILE_STORAGE_EMAIL", "a@b.c")];
        let whole = [&login[..], &[("FILE_STORAGE_PASSWORD", "p")]].concat();
        has(made("file-storage", &whole), &[url, "Session"]);
        has(made("file-storage", &login), &["invalid FILE_STORAGE_PASSWORD"]);
        has(made("file-storage", &[login[0], whole[3]]), &["invalid FILE_STORAGE_EMAIL"]);
        has(made("file-storage", &login[..2]), &[url, "Anonymous"]);
        has(made("file-storage", &[("FILE_STORAGE_URL", "")]), &["FILE_STORAGE_URL", "not set, or empty"]);
    }
}

/// Every answer to a request of one's own, as it came.
#[tokio::test]
async fn a_raw_request_may_take_any_status() {
    let server = RawServer::start(|head| {
        let status = head.target.trim_start_matches('/').parse().unwrap();
        Answer::Bytes(answer(status, "X-From: here\r\nLocation: /200\r\n", &vec![b'x'; 100_000]))
    })
    .await;
    let client = builder(&server.url).build().unwrap();
    let get = |status: u16| client.request(Method::GET, format!("/{status}"));
    for status in [200, 302, 401, 404, 418, 500, 503] {
        let answer = within(get(status).any_status().send()).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.body().len()), (status, 100_000));
        assert_eq!(answer.headers()["x-from"], "here");
        assert_eq!(within(get(status).send()).await.is_ok(), status == 200);
    }
    let error = within(get(404).any_status().max_bytes(1000).send()).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Decode, Some(StatusCode::NOT_FOUND)), "{error:?}");

    // What passes is waited out, and the last answer is given.
    let passing = support::server().await;
    let client = client_of(&passing);
    for (struck, status, attempts) in [(2, 200, 3), (9, 503, 4)] {
        passing.clear_faults();
        passing.clear_requests();
        passing.inject(Fault::status(503).body(vec![b'y'; 70_000]).times(struck));
        let answer = within(client.request(Method::GET, "/healthz").any_status().send()).await.unwrap();
        assert_eq!((answer.status().as_u16(), passing.requests().len()), (status, attempts));
        assert!(status == 200 || answer.body().len() == 70_000, "{}", answer.body().len());
    }
    passing.clear_faults();
    passing.inject(Fault::status(503));
    passing.inject(Fault::reset().forever());
    let error = within(client.request(Method::GET, "/healthz").any_status().send()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted, "an answer before it is not the last");
}

#[tokio::test]
async fn a_raw_request_reads_json() {
    let server = support::server().await;
    let client = client_of(&server);
    let health: carbonfiles::models::Health =
        within(client.request(Method::GET, "/healthz").receive_json()).await.unwrap();
    assert_eq!(health.db, "ok");
    let error = within(client.request(Method::GET, "/healthz").receive_json::<Vec<u8>>()).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Decode, Some(StatusCode::OK)), "{error}");
    let error = within(client.request(Method::GET, "no slash").receive_json::<u8>()).await.unwrap_err();
    assert!(error.is_invalid_input(), "{error}");
    server.inject(Fault::stall_headers());
    let limited = client.request(Method::GET, "/healthz").timeout(std::time::Duration::from_millis(50));
    let error = within(limited.receive_json::<u8>()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(carbonfiles::TimeoutPhase::Total));
}

fn client_of(server: &TestServer) -> Client {
    client(server, server.admin_key())
}

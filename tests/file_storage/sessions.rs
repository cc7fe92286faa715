//! Logins: renewed once for all, never with a token that was used.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use carbonfiles::file_storage::models::SessionTokens;
use carbonfiles::file_storage::{Client, ClientBuilder};
use carbonfiles::{ErrorKind, RetryPolicy};
use chrono::{TimeDelta, Utc};

use crate::host::{USER, host};
use crate::support::secrets::printed;
use crate::support::{Answer, GUARD, RawServer, answer, quick, within};

/// A service that hands out tokens by number, and takes each refresh token once.
struct Tokens {
    issued: AtomicU32,
    seen: Mutex<Vec<String>>,
}

impl Tokens {
    fn pair(&self) -> Vec<u8> {
        let n = self.issued.fetch_add(1, Ordering::SeqCst) + 1;
        let body = format!(
            r#"{{"access_token":"access-{n}","refresh_token":"refresh-{n}","token_type":"Bearer","expires_in":900}}"#
        );
        answer(200, "Content-Type: application/json\r\n", body.as_bytes())
    }

    fn count(&self, what: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|seen| seen.starts_with(what)).count()
    }
}

const EMPTY: &[u8] = br#"{"items":[],"total":0,"page":1,"per_page":20}"#;

/// `refresh` and `list` are the service's answers to these two.
async fn service(
    refresh: impl Fn(&Tokens) -> Answer + Send + Sync + 'static,
    list: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
) -> (RawServer, Arc<Tokens>) {
    let tokens = Arc::new(Tokens { issued: AtomicU32::new(0), seen: Mutex::default() });
    let shared = tokens.clone();
    let server = RawServer::start(move |head| {
        shared.seen.lock().unwrap().push(format!("{} {}", head.method, head.target));
        match head.target.as_str() {
            "/api/users/auth/token" => Answer::Bytes(shared.pair()),
            "/api/users/auth/token/refresh" => refresh(&shared),
            _ => {
                let lower = head.text.to_lowercase();
                let token =
                    lower.lines().find_map(|line| line.strip_prefix("authorization: bearer ")).unwrap_or("none");
                Answer::Bytes(list(token.trim()))
            }
        }
    })
    .await;
    (server, tokens)
}

fn builder(server: &RawServer) -> ClientBuilder {
    Client::builder(&server.url).retry(quick()).http(reqwest::ClientBuilder::no_proxy)
}

fn expired() -> SessionTokens {
    SessionTokens::new("access-0", "refresh-0", Utc::now() - TimeDelta::seconds(1))
}

fn fine(_: &str) -> Vec<u8> {
    answer(200, "", EMPTY)
}

#[tokio::test]
async fn many_calls_renew_once() {
    let (server, tokens) = service(|tokens| Answer::Bytes(tokens.pair()), fine).await;
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = kept.clone();
    let client = builder(&server).session(expired()).on_session(move |new| keep.lock().unwrap().push(new.clone()));
    let client = client.build().unwrap();
    let calls = (0..20).map(|_| client.files().list().send());
    within(futures::future::try_join_all(calls)).await.unwrap();
    assert_eq!((tokens.count("POST /api/users/auth/token/refresh"), kept.lock().unwrap().len()), (1, 1));
    assert_eq!(client.session_tokens().as_ref(), kept.lock().unwrap().last());
}

#[tokio::test]
async fn a_call_that_is_dropped_does_not_lose_the_session() {
    let (server, tokens) = service(|tokens| Answer::Bytes(tokens.pair()), fine).await;
    let client = builder(&server).session(expired()).build().unwrap();
    // Polled once: the renewal is under way.
    let mut call = client.files().list().send();
    assert!(futures::poll!(&mut call).is_pending());
    drop(call);
    within(client.files().list().send()).await.unwrap();
    assert_eq!(tokens.count("POST /api/users/auth/token/refresh"), 1);
}

#[tokio::test]
async fn a_token_that_was_ended_early_is_renewed_once() {
    let list = |token: &str| match token {
        "access-2" => answer(200, "", EMPTY),
        _ => answer(401, "", br#"{"detail":"Not authenticated"}"#),
    };
    let (server, tokens) = service(|tokens| Answer::Bytes(tokens.pair()), list).await;
    let client = builder(&server).login("a@example.com", "password").build().unwrap();
    within(client.files().list().send()).await.unwrap();
    assert_eq!((tokens.count("POST /api/users/auth/token"), tokens.count("GET")), (2, 2));

    // Where a new one does not help, it is not asked for again and again.
    let (server, tokens) =
        service(|tokens| Answer::Bytes(tokens.pair()), |_| answer(401, "", br#"{"detail":"Not authenticated"}"#)).await;
    let client = builder(&server).login("a@example.com", "password").build().unwrap();
    let error = within(client.files().list().send()).await.unwrap_err();
    assert_eq!((error.kind(), tokens.count("GET")), (ErrorKind::Unauthenticated, 2));
}

#[tokio::test]
async fn a_renewal_without_an_answer_is_tried_again_by_the_next_call() {
    let unknown = [Vec::new(), answer(502, "", b""), answer(504, "", b""), answer(200, "", b"<html>")];
    for unknown in unknown {
        for was_used in [false, true] {
            let (first, unknown) = (AtomicU32::new(0), unknown.clone());
            let answers = move |tokens: &Tokens| match (first.fetch_add(1, Ordering::SeqCst), was_used) {
                (0, _) => Answer::ThenClose(unknown.clone()),
                (_, true) => Answer::Bytes(answer(401, "", br#"{"detail":"Invalid or expired refresh token"}"#)),
                (_, false) => Answer::Bytes(tokens.pair()),
            };
            let (server, tokens) = service(answers, fine).await;
            let client = builder(&server).session(expired()).build().unwrap();
            let error = within(client.files().list().send()).await.unwrap_err();
            assert_ne!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");
            assert_eq!(tokens.count("POST /api/users/auth/token/refresh"), 1, "once for a call");
            assert!(client.session_tokens().is_some());
            for _ in 0..2 {
                match within(client.files().list().send()).await {
                    Ok(_) => assert!(!was_used),
                    Err(error) => {
                        assert_eq!((error.kind(), was_used), (ErrorKind::Unauthenticated, true), "{error:?}");
                        assert_eq!(error.hint(), Some("Log in again"));
                    }
                }
            }
            assert_eq!(tokens.count("POST /api/users/auth/token/refresh"), 2, "and no more once it is over");
        }
    }
}

#[tokio::test]
async fn where_the_password_is_known_a_lost_session_begins_anew() {
    let refused = || Answer::Bytes(answer(401, "", br#"{"detail":"Invalid or expired refresh token"}"#));
    let (server, tokens) = service(move |_| refused(), fine).await;
    let client = builder(&server).session(expired()).login("a@example.com", "password").build().unwrap();
    within(client.files().list().send()).await.unwrap();
    assert_eq!(tokens.count("POST /api/users/auth/token"), 2, "one renewal and one login");
}

#[tokio::test]
async fn a_renewal_that_was_turned_away_keeps_the_session() {
    let turned_away = AtomicU32::new(0);
    let (server, tokens) = service(
        move |tokens| match turned_away.fetch_add(1, Ordering::SeqCst) {
            0 => Answer::Bytes(answer(
                429,
                "Retry-After: 3600\r\n",
                br#"{"detail":"Too many requests.","retry_after":3600}"#,
            )),
            _ => Answer::Bytes(tokens.pair()),
        },
        fine,
    )
    .await;
    let client = builder(&server).session(expired()).build().unwrap();
    assert_eq!(within(client.files().list().send()).await.unwrap_err().kind(), ErrorKind::RateLimited);
    within(client.files().list().send()).await.unwrap();
    assert_eq!(tokens.count("POST /api/users/auth/token/refresh"), 2);
}

#[tokio::test]
async fn a_renewal_that_is_refused_by_what_is_on_the_way_keeps_the_session() {
    for status in [400, 403, 404, 407, 408] {
        for password in [false, true] {
            let refused = AtomicU32::new(0);
            let login = password.then_some(("a@example.com", "password"));
            let (server, tokens) = service(
                move |tokens| match refused.fetch_add(1, Ordering::SeqCst) {
                    0 => Answer::Bytes(answer(status, "", br#"{"detail":"DEMO_READ_ONLY"}"#)),
                    _ => Answer::Bytes(tokens.pair()),
                },
                fine,
            )
            .await;
            let mut builder = builder(&server).session(expired());
            if let Some((email, password)) = login {
                builder = builder.login(email, password);
            }
            let client = builder.build().unwrap();
            let first = within(client.files().list().send()).await;
            if password {
                first.unwrap();
                assert_eq!(tokens.count("POST /api/users/auth/token"), 2, "{status}: one renewal and one login");
                continue;
            }
            let error = first.unwrap_err();
            // Of what was asked for, nothing is known.
            assert_eq!(error.kind() == ErrorKind::Unauthenticated, status == 404, "{error}");
            assert!(client.session_tokens().is_some());
            within(client.files().list().send()).await.unwrap();
            assert_eq!(tokens.count("POST /api/users/auth/token/refresh"), 2, "{status}");
        }
    }
}

#[tokio::test]
async fn a_renewal_and_a_login_that_are_refused_on_the_way_keep_the_session() {
    let paths = Mutex::new(Vec::new());
    let server = RawServer::start(move |head| {
        let mut paths = paths.lock().unwrap();
        paths.push(head.target.clone());
        Answer::Bytes(match (head.target.as_str(), paths.len()) {
            (_, 1 | 2) => answer(403, "", b"<html>"),
            ("/api/users/auth/token/refresh", 3) => {
                answer(200, "", br#"{"access_token":"a","refresh_token":"b","expires_in":900}"#)
            }
            ("/api/users/auth/token/refresh" | "/api/users/auth/token", _) => panic!("{paths:?}"),
            _ => answer(200, "", EMPTY),
        })
    })
    .await;
    let client = builder(&server).session(expired()).login("a@example.com", "password").build().unwrap();
    let error = within(client.files().list().send()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    assert!(client.session_tokens().is_some());
    within(client.files().list().send()).await.unwrap();
}

#[tokio::test]
async fn an_account_that_is_not_verified_yet_can_log_in_later() {
    let asked = AtomicU32::new(0);
    let server = RawServer::start(move |head| {
        Answer::Bytes(match (head.target.as_str(), asked.fetch_add(1, Ordering::SeqCst)) {
            ("/api/users/auth/token", 0) => answer(400, "", br#"{"detail":"LOGIN_USER_NOT_VERIFIED"}"#),
            ("/api/users/auth/token", _) => {
                answer(200, "", br#"{"access_token":"a","refresh_token":"b","expires_in":900}"#)
            }
            _ => answer(200, "", EMPTY),
        })
    })
    .await;
    let client = builder(&server).login("a@example.com", "password").build().unwrap();
    let error = within(client.files().list().send()).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Unauthenticated, "LOGIN_USER_NOT_VERIFIED"));
    assert!(error.hint().unwrap().contains("verify"), "{error}");
    within(client.files().list().send()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_last_pair_is_there_while_it_is_renewed() {
    let (going, asked) = std::sync::mpsc::channel();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (going, held) = (Mutex::new(going), Mutex::new(held));
    let (server, _) = service(
        move |tokens| {
            going.lock().unwrap().send(()).unwrap();
            tokio::task::block_in_place(|| held.lock().unwrap().recv().unwrap());
            Answer::Bytes(tokens.pair())
        },
        fine,
    )
    .await;
    let client = builder(&server).session(expired()).build().unwrap();
    let before = client.session_tokens().unwrap();
    let call = tokio::spawn(client.files().list().send());
    tokio::task::block_in_place(|| asked.recv_timeout(GUARD).unwrap());
    assert_eq!(client.session_tokens().unwrap(), before);
    release.send(()).unwrap();
    within(call).await.unwrap().unwrap();
    assert_ne!(client.session_tokens().unwrap(), before);
}

#[tokio::test]
async fn those_who_wait_for_a_login_share_its_failure() {
    let logins = Arc::new(AtomicU32::new(0));
    let counted = logins.clone();
    let server = RawServer::start(move |head| {
        assert_eq!(head.target, "/api/users/auth/token");
        counted.fetch_add(1, Ordering::SeqCst);
        Answer::Bytes(answer(429, "Retry-After: 299\r\n", br#"{"detail":"Too many attempts"}"#))
    })
    .await;
    let client = builder(&server).login("a@example.com", "password").build().unwrap();
    let calls = (0..20).map(|_| client.files().list().send());
    for outcome in within(futures::future::join_all(calls)).await {
        let error = outcome.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::RateLimited, "Too many attempts"));
        assert_eq!(error.retry_after().unwrap().as_secs(), 299);
    }
    assert_eq!(logins.load(Ordering::SeqCst), 1);
    // The next call is another matter.
    within(client.files().list().send()).await.unwrap_err();
    assert_eq!(logins.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_keeps_the_tokens_may_panic() {
    let (server, tokens) = service(|tokens| Answer::Bytes(tokens.pair()), fine).await;
    let client = builder(&server).login("a@example.com", "password").on_session(|_| panic!("no disk")).build().unwrap();
    assert_eq!(within(client.files().list().send()).await.unwrap_err().kind(), ErrorKind::Interrupted);
    assert!(client.session_tokens().is_some());
    within(client.files().list().send()).await.unwrap();
    assert_eq!(tokens.count("POST"), 1, "the pair that was issued is used");
}

#[tokio::test]
async fn a_password_that_was_refused_stays_refused_after_a_log_out() {
    let (server, seen) = refusing().await;
    let client = builder(&server).login("a@example.com", "password").build().unwrap();
    for _ in 0..2 {
        within(client.files().list().send()).await.unwrap_err();
        within(client.log_out().send()).await.unwrap();
    }
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_session_that_could_not_be_ended_can_be_ended_again() {
    let status = Arc::new(AtomicU32::new(503));
    let (says, seen) = (status.clone(), Arc::new(AtomicU32::new(0)));
    let count = seen.clone();
    let server = RawServer::start(move |head| {
        assert!(head.method == "DELETE" && head.target == "/api/users/auth/token", "{}", head.text);
        count.fetch_add(1, Ordering::SeqCst);
        Answer::Bytes(answer(says.load(Ordering::SeqCst) as u16, "", b"{}"))
    })
    .await;
    let tokens = || SessionTokens::new("access-0", "refresh-0", Utc::now() + TimeDelta::hours(1));
    let client = builder(&server).session(tokens()).retry(RetryPolicy::never()).build().unwrap();
    // Only the service knows of sessions, and not what is on the way to it.
    for refused in [503, 401, 403, 404, 407] {
        status.store(refused, Ordering::SeqCst);
        assert_eq!(within(client.log_out().send()).await.unwrap_err().status().unwrap().as_u16() as u32, refused);
        assert!(client.session_tokens().is_some(), "{refused}");
    }
    status.store(200, Ordering::SeqCst);
    within(client.log_out().send()).await.unwrap();
    assert!(client.session_tokens().is_none());
    within(client.log_out().send()).await.unwrap();
    assert_eq!(seen.load(Ordering::SeqCst), 6, "there is nothing to end any more");

    // One that the service does not know is no session.
    status.store(400, Ordering::SeqCst);
    let client = builder(&server).session(tokens()).build().unwrap();
    assert!(within(client.log_out().send()).await.is_err());
    assert!(client.session_tokens().is_none());
}

/// A service that refuses every login, and counts them.
async fn refusing() -> (RawServer, Arc<AtomicU32>) {
    let seen = Arc::new(AtomicU32::new(0));
    let count = seen.clone();
    let server = RawServer::start(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Answer::Bytes(answer(401, "", br#"{"detail":"Invalid credentials"}"#))
    })
    .await;
    (server, seen)
}

#[tokio::test]
async fn a_login_that_fails_says_nothing_of_the_call() {
    // A gateway fails the renewal, and would have made of the 404 a deletion whose answer was lost.
    let failures = AtomicU32::new(0);
    let (server, tokens) = service(
        move |tokens| match failures.fetch_add(1, Ordering::SeqCst) {
            0 => Answer::Bytes(answer(503, "", b"")),
            _ => Answer::Bytes(tokens.pair()),
        },
        |_| answer(404, "", br#"{"detail":{"code":"file_storage.not_found","message":"File not found"}}"#),
    )
    .await;
    let client = builder(&server).session(expired()).build().unwrap();
    let file = client.file("3b53bad0-8223-48db-81fb-d6600ae05a40");
    assert_eq!(within(file.delete().send()).await.unwrap_err().kind(), ErrorKind::Server);
    assert_eq!(tokens.count("DELETE"), 0);
    assert!(within(file.delete().send()).await.unwrap_err().is_not_found());
    assert_eq!(tokens.count("DELETE"), 1);
}

#[tokio::test]
async fn a_login_that_is_not_found_leaves_open_what_is_there() {
    // A gateway that knows no logins.
    let server = RawServer::saying(answer(404, "", b"<html>default backend</html>")).await;
    let client = builder(&server).login("a@example.com", "password").build().unwrap();
    let error = within(client.file("3b53bad0-8223-48db-81fb-d6600ae05a40").get_opt().send()).await.unwrap_err();
    assert_eq!((error.kind(), error.status().map(|status| status.as_u16())), (ErrorKind::Unauthenticated, Some(404)));
    assert!(error.url().unwrap().ends_with("/api/users/auth/token"), "{error}");
}

#[tokio::test]
async fn no_error_repeats_what_a_login_has_sent() {
    // All the worlds a body may come back in: as it was, escaped, cut, in fields, in pages.
    for (password, echoed) in [
        ("correct horse", r#"no way for {"email":"a@example.com","password":"correct horse"}"#),
        ("quo\"te\\d word", r#"no way for {"email":"a@example.com","password":"quo\"te\\d word"}"#),
        ("x7", r#"<p>password=x7</p>"#),
        ("correct horse", r#"{"detail":"Bad password: correct horse"}"#),
        ("x7", r#"{"detail":[{"type":"t","loc":["body","x7"],"msg":"not x7","input":"x7"}]}"#),
        ("correct horse", r#"{"detail":{"code":"correct horse","message":"correct horse"}}"#),
    ] {
        for status in [400, 401, 422, 500] {
            let server = RawServer::saying(answer(status, "", echoed.as_bytes())).await;
            let client = builder(&server).login("a@example.com", password).build().unwrap();
            let escaped = serde_json::json!(password).to_string();
            for _ in 0..2 {
                let error = within(client.files().list().send()).await.unwrap_err();
                let shown = printed(&error);
                assert!(!shown.contains(password) && !shown.contains(escaped.trim_matches('"')), "{shown}");
            }
            let tokens = SessionTokens::new("access-0", password, Utc::now());
            let client = builder(&server).session(tokens).build().unwrap();
            let shown = printed(&within(client.files().list().send()).await.unwrap_err());
            assert!(!shown.contains(password) && !shown.contains(escaped.trim_matches('"')), "{shown}");
        }
    }
}

#[tokio::test]
async fn what_is_no_login_is_refused() {
    let at = || Client::builder("http://127.0.0.1:9");
    assert!(at().login(" ", "x").build().unwrap_err().is_invalid_input());
    assert!(at().login("a@example.com", "x").token("smpat_x").build().unwrap_err().is_invalid_input());
    for login in [at().login("a@example.com", "x"), at().session(expired())] {
        let error = login.default_header("Authorization", "Basic eDp5").build().unwrap_err();
        assert!(error.is_invalid_input() && error.message().contains("default_header"), "{error}");
    }
    let client = at().login("a@example.com", "hunter2").session(expired()).build().unwrap();
    assert!(!format!("{client:?} {:?}", client.session_tokens()).contains("hunter2"));
    assert!(!format!("{:?}", client.session_tokens()).contains("refresh-0"));
}

#[tokio::test]
async fn the_real_service_renews_and_remembers_a_wrong_password() {
    let Some(host) = host(false) else { return };
    let first = host.login(USER);
    first.files().list().await.unwrap();
    let mut stale = first.session_tokens().unwrap();
    stale.expires_at = Utc::now();
    let second = host.builder().session(stale.clone()).build().unwrap();
    second.files().list().await.unwrap();
    assert_ne!(second.session_tokens().unwrap(), stale);
    // The family is dead once an old token comes again.
    let third = host.builder().session(stale).build().unwrap();
    assert_eq!(third.files().list().await.unwrap_err().kind(), ErrorKind::Unauthenticated);

    let wrong = host.login(("nobody@example.com", "wrong"));
    for attempts in [1, 0] {
        let error = wrong.files().list().await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Unauthenticated, "Invalid credentials"));
        assert!(attempts == 1 || error.hint().unwrap().contains("not tried again"));
    }
}

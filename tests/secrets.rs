//! No credential is in what is traced, logged, or printed of handles, builders, answers and errors.
//!
//! The logs are watched in every test binary that makes clients (see `support/secrets.rs`, which says of whom they are);
//! here everything is called once, with everything that may go wrong, and everything that can be printed is looked at as well.

mod support;

use std::error::Error as _;
use std::fmt::Debug;
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};

use carbonfiles::{Client, Error, Result, Token};
use carbonfiles_testserver::{Fault, TestServer};
use http::Method;
use support::secrets::{keep, shown, targets};
use support::{Answer, RawServer, admin, answer, builder, client, quick, server, within};

#[track_caller]
fn look(what: impl Debug) {
    let text = format!("{what:?}\n{what:#?}");
    if let Some(secret) = shown(&text) {
        panic!("{secret:?} is shown by {text}");
    }
}

#[track_caller]
fn look_at(error: &Error) {
    look(error);
    let mut texts = vec![error.to_string(), error.message().to_owned()];
    texts.extend(error.hint().map(str::to_owned));
    texts.extend(error.url().map(str::to_owned));
    let mut next = error.source();
    while let Some(cause) = next {
        texts.push(format!("{cause} {cause:?}"));
        next = cause.source();
    }
    for text in texts {
        assert_eq!(shown(&text), None, "{text}");
    }
}

/// Whatever came of it, nothing that can be printed of it shows a credential.
#[track_caller]
fn outcome<T: Debug>(outcome: Result<T>) -> Option<T> {
    match outcome {
        Ok(value) => {
            look(&value);
            Some(value)
        }
        Err(error) => {
            look_at(&error);
            None
        }
    }
}

macro_rules! each {
    ($($call:expr),* $(,)?) => {
        $(
            look(&$call);
            outcome(within($call.send()).await);
        )*
    };
}

/// Every call there is, as this client makes it.
async fn everything(client: &Client, id: &str, token: &Token) {
    let bucket = client.bucket(id);
    let (files, file) = (bucket.files(), bucket.file("docs/a b.txt"));
    look((
        client,
        &bucket,
        &files,
        &file,
        client.keys(),
        client.dashboard(),
        client.short_urls(),
        bucket.upload_tokens(),
    ));
    each![
        client.health(),
        client.check(),
        client.stats(),
        client.buckets().list(),
        client.buckets().create("b"),
        bucket.get().with_files(),
        bucket.get_opt(),
        bucket.update().description("d"),
        bucket.summary(),
        bucket.zip(),
        client.bucket("nothere").delete(),
        file.upload("guest".as_bytes()),
        file.upload("token".as_bytes()).upload_token(token),
        bucket.file("ü.txt").upload("multipart".as_bytes()).upload_token(token),
        files.upload_multipart().file("m.txt", "m".as_bytes()).upload_token(token),
        file.append("more".as_bytes()),
        file.append("more".as_bytes()).upload_token(token),
        file.patch(0, "MORE".as_bytes()).upload_token(token),
        file.get(),
        file.head(),
        file.verify(),
        files.list(),
        files.directory("docs"),
        files.tree(),
        bucket.file("gone.txt").delete(),
        bucket.upload_tokens().create().max_uploads(9),
        client.keys().create("k"),
        client.keys().list(),
        client.key("cf4_00000000").usage(),
        client.key("cf4_00000000").revoke(),
        client.dashboard().create_token(),
        client.dashboard().me(),
        client.short_url("abcdef").resolve(),
        client.short_url("abcdef").delete(),
        client.health().header("x-api-key", token.expose()),
        client.request(Method::GET, "/s/abcdef").query("access_token", token.expose()),
    ];
    let target = tempfile::tempdir().unwrap();
    each![file.download_to(target.path().join("a.txt"))];
    look(file.download());
    if let Some(download) = outcome(within(file.download().send()).await) {
        outcome(within(download.bytes(1 << 20)).await);
    }
    if let Some(key) = outcome(within(client.keys().create("k").send()).await) {
        outcome(within(client.key(&key.prefix).usage().send()).await);
        outcome(within(client.key(&key.prefix).revoke().send()).await);
    }
}

/// What goes wrong for some of the calls of `everything`, wherever it strikes.
fn faults() -> Vec<Fault> {
    vec![
        Fault::status(503),
        Fault::status(429).header("retry-after", "0").times(3),
        Fault::status(500).body("<html>internal</html>"),
        Fault::status(302).header("location", "http://other.example/?token=nothing"),
        Fault::reset().times(2),
        Fault::lose_reply(),
        Fault::reset_request_after(1),
        Fault::reset_response_after(3),
        Fault::close_response_after(3),
        Fault::corrupt_response(),
        Fault::replace_body("[]"),
        Fault::truncate_body(5),
    ]
}

async fn start() -> (TestServer, String, Vec<Token>) {
    let server = server().await;
    let admin = admin(&server);
    let id = admin.buckets().create("secrets").await.unwrap().id;
    let key = admin.keys().create("k").await.unwrap();
    let upload = admin.bucket(&id).upload_tokens().create().await.unwrap();
    let jwt = admin.dashboard().create_token().await.unwrap();
    look((&key, &upload, &jwt));
    let tokens = vec![(&key.key).into(), (&upload.token).into(), (&jwt.token).into(), server.admin_key().into()];
    for token in &tokens {
        let token: &Token = token;
        keep(token.expose());
        look(token);
    }
    (server, id, tokens)
}

#[tokio::test]
async fn nothing_is_shown_when_all_goes_well_nor_when_it_does_not() {
    let (server, id, tokens) = start().await;
    let upload_token = tokens[1].clone();
    for token in &tokens {
        look(Client::builder(server.url()).token(token).default_header("x-api-key", token.expose()));
        let client = client(&server, token);
        everything(&client, &id, &upload_token).await;
        // Each fault meets each kind of call.
        for fault in faults() {
            for (method, part) in [("GET", "/api"), ("PUT", "/upload"), ("POST", ""), ("PATCH", ""), ("DELETE", "")] {
                // Not all of them may send each kind, and not each has a body that could be cut.
                server.inject(fault.clone().on(method, part).may_miss());
            }
            everything(&client, &id, &upload_token).await;
            server.clear_faults();
        }
    }
    // The watch sees what the crates below say, through `tracing` and through `log`.
    let heard = targets();
    for crate_ in ["reqwest", "hyper_util"] {
        assert!(heard.iter().any(|target| target.starts_with(crate_)), "{crate_} has said nothing: {heard:?}");
    }
    #[cfg(feature = "tracing")]
    assert!(heard.contains("carbonfiles"), "{heard:?}");
}

#[tokio::test]
async fn a_server_that_repeats_what_it_was_sent_is_not_repeated() {
    // As proxies do, in their error pages.
    let count = AtomicU16::new(0);
    let server = RawServer::start(move |head| {
        let count = count.fetch_add(1, Ordering::Relaxed);
        let status = 400 + count % 112;
        let json = serde_json::json!({"error": format!("refused: {}", head.text), "hint": head.target});
        let page = format!("<html><pre>{}</pre>", head.text);
        Answer::Bytes(answer(status, "", if count.is_multiple_of(2) { json.to_string() } else { page }.as_bytes()))
    })
    .await;
    for token in ["cfu_0123456789abcdef", "cf4_12345678_secret", "eyJhbGciOi.eyJzY29wZSI.sig-na_ture"] {
        keep(token);
        let client = builder(&server.url).token(token).retry(quick().max_attempts(2)).build().unwrap();
        for _ in 0..4 {
            everything(&client, "bucket", &"cfu_fedcba9876543210".into()).await;
        }
    }
}

/// A credential of a user's own header is more than the value of the header: a server repeats it without the scheme, a
/// cookie without its name, and as its own form of text wants it.
#[tokio::test]
async fn a_server_that_repeats_a_part_of_a_header_is_not_repeated() {
    let bearer = "header+secret/\"and&more'<1>";
    let server = RawServer::start(|head| {
        let token = head.text.lines().find_map(|line| line.strip_prefix("authorization: Bearer ")).unwrap_or_default();
        let cookie = head.text.lines().find_map(|line| line.strip_prefix("cookie: session=")).unwrap_or_default();
        let cookie = cookie.split(';').next().unwrap_or_default();
        let refused = match &*head.target {
            "/api/buckets/own" => serde_json::json!({"error": format!("no {token}, no {cookie}")}).to_string(),
            "/api/buckets/other" => serde_json::json!({"message": format!("no {token}, no {cookie}")}).to_string(),
            "/api/buckets/escaped" => {
                let escaped: String = token.chars().map(|c| format!("\\u{:04X}", u32::from(c))).collect();
                format!(r#"{{"message":"no {escaped}, no {cookie}"}}"#)
            }
            _ => {
                let escaped = token.replace('&', "&amp;").replace('"', "&quot;").replace('\'', "&#39;");
                let escaped = escaped.replace('<', "&lt;").replace('>', "&#x3E;");
                format!("<html>no {escaped}, no {cookie}</html>")
            }
        };
        Answer::Bytes(answer(403, "Content-Type: application/json\r\n", refused.as_bytes()))
    })
    .await;
    let cookie = "0123456789-cookie";
    keep(bearer);
    keep(cookie);
    let (authorization, cookies) = (format!("Bearer {bearer}"), format!("session={cookie}; theme=dark"));
    let plain = builder(&server.url).build().unwrap();
    let always = builder(&server.url)
        .default_header("authorization", &authorization)
        .default_header("cookie", &cookies)
        .build()
        .unwrap();
    for bucket in ["own", "other", "escaped", "page"] {
        let call = plain.bucket(bucket).get().header("Authorization", &authorization).header("Cookie", &cookies);
        for error in
            [within(call.send()).await.unwrap_err(), within(always.bucket(bucket).get().send()).await.unwrap_err()]
        {
            look_at(&error);
            assert!(error.message().contains("no [redacted], no [redacted]"), "{bucket}: {error}");
        }
    }
}

#[cfg(feature = "events")]
#[tokio::test]
async fn nothing_is_shown_of_connections_for_events() {
    use std::time::Duration;

    use carbonfiles::events::Event;
    use futures::StreamExt;

    let (server, id, tokens) = start().await;
    for token in &tokens {
        let client = client(&server, token);
        look((client.events(), client.events().all(), client.bucket(&id).events()));
        let of_bucket = outcome(within(client.bucket(&id).events().send()).await);
        let of_all = outcome(within(client.events().all().send()).await);
        look((client.events().state(), client.events().state_of_all()));
        for mut events in of_bucket.into_iter().chain(of_all) {
            server.restart().await.unwrap();
            loop {
                let event = outcome(within(events.next()).await.expect("it goes on")).expect("no refusal");
                if let Event::Reconnected { .. } = event {
                    break;
                }
            }
        }
    }
    // Where there is no hub, but somebody who repeats what was asked; and where nobody is at all.
    for status in [403, 404, 502] {
        let server = RawServer::start(move |head| Answer::ThenClose(answer(status, "", head.text.as_bytes()))).await;
        let client = builder(&server.url).token(&tokens[3]).build().unwrap();
        outcome(within(client.events().all().timeout(Duration::from_millis(200)).send()).await);
        look(client.events().state_of_all().current());
    }
    let client = builder(&format!("http://{}", support::nobody().await)).token(&tokens[3]).build().unwrap();
    outcome(within(client.events().all().timeout(Duration::from_millis(200)).send()).await);
    look(client.events().state_of_all().current());
}

#[tokio::test]
async fn a_new_key_in_another_shape_is_not_shown() {
    let key = "cf4_01234567_0123456789abcdef0123456789abcdef";
    for body in [
        format!("\"{key}\""),
        format!("{{\"key\":\"{key}\",\"prefix\":5}}"),
        format!("[\"{key}\"]"),
        format!("{{\"{key}"),
    ] {
        let server = RawServer::start(move |_| Answer::Bytes(answer(201, "", body.as_bytes()))).await;
        let client = builder(&server.url).token("key").build().unwrap();
        look_at(&within(client.keys().create("k").send()).await.unwrap_err());
    }
}

#[tokio::test]
async fn nothing_is_shown_of_what_is_refused_before_it_is_sent() {
    let server = server().await;
    let bad = "cf4_with a blank";
    keep(bad);
    for error in [
        Client::new(server.url(), bad).unwrap_err(),
        Client::new(format!("http://{bad}@host"), "t").unwrap_err(),
        Client::new(format!("http://host/?token={}", bad.replace(' ', "")), "t").unwrap_err(),
        builder(server.url()).default_header("x-key", &format!("{bad}\n")).build().unwrap_err(),
        within(admin(&server).health().header("x-key", &format!("{bad}\n")).send()).await.unwrap_err(),
        within(admin(&server).bucket("b").file("a").upload("x".as_bytes()).upload_token(bad).send()).await.unwrap_err(),
    ] {
        assert!(error.is_invalid_input());
        look_at(&error);
    }
    // Where the prefix of a key belongs.
    let key = "cf4_01234567_0123456789abcdef0123456789abcdef";
    let client = admin(&server);
    look((client.key(key), client.key(key).usage(), client.keys()[key].revoke()));
    for error in [
        within(client.key(key).usage().send()).await.unwrap_err(),
        within(client.keys()[key].revoke().send()).await.unwrap_err(),
        within(client.key(key.to_uppercase()).revoke().send()).await.unwrap_err(),
    ] {
        assert!(error.is_invalid_input() && error.message().starts_with("invalid prefix: "), "{error}");
        look_at(&error);
    }
    assert!(format!("{:?}", client.key("cf4_01234567")).contains("cf4_01234567"));
    assert_eq!(server.requests(), []);
    let provider = || async { Err::<String, _>(std::io::Error::other("the vault is closed")) };
    let client = builder(server.url()).token_provider(provider).build().unwrap();
    look(&client);
    look_at(&within(client.buckets().list().send()).await.unwrap_err());
}

/// Those that make no client of this crate: they read documents and recordings, or start other programs.
const UNWATCHED: [&str; 5] = ["browser", "docs.rs", "foreign", "models.rs", "proxy.rs"];

/// What starts the watch, or does so by the way.
const WATCHED_BY: [&str; 6] =
    ["secrets::watch()", "support::server(", "support::builder(", "support::admin(", "RawServer", "support::{admin, "];

#[test]
fn every_suite_is_watched() {
    fn read(path: &std::path::Path) -> String {
        if path.is_file() {
            return if path.extension().is_some_and(|kind| kind == "rs") {
                std::fs::read_to_string(path).unwrap()
            } else {
                String::new()
            };
        }
        std::fs::read_dir(path).unwrap().map(|entry| read(&entry.unwrap().path())).collect()
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let (mut watched, mut unwatched) = (0, Vec::new());
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|kind| kind != "rs") && !path.join("main.rs").exists() {
            continue;
        }
        let source = read(&path);
        match WATCHED_BY.iter().any(|call| source.contains(call)) {
            true => watched += 1,
            false => unwatched.push(path.file_name().unwrap().to_str().unwrap().to_owned()),
        }
    }
    unwatched.sort();
    assert_eq!(unwatched, UNWATCHED);
    assert!(watched > 25, "{watched}");
}

#[test]
fn the_watch_knows_a_credential_when_it_sees_one() {
    keep("registered-secret");
    for bad in [
        "a registered-secret here",
        "GET /upload?token=abc HTTP/1.1",
        "wss://h/hub?access_token=abc",
        "authorization: Bearer abc",
        "cf4_01234567_0123456789abcdef0123456789abcdef",
        "x=cfu_0123456789abcdef0123456789abcdef0123456789abcdef.",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.x",
        "smpat_0123456789abcdefghijKLMNOPQRSTUVWXYZ012345678",
        "PUT /b/a?X-Amz-Date=1&X-Amz-Signature=0a1b HTTP/1.1",
        "http://h/a?X-Amz-Credential=AKIA%2F2026%2Fauto",
        "http://h/a?x-amz-security-token=abc",
        "authorization: AWS4-HMAC-SHA256 Credential=AKIA/2026, Signature=0a1b",
    ] {
        assert!(shown(bad).is_some(), "{bad}");
    }
    for good in [
        "token=REDACTED&a=b",
        "X-Amz-Credential=REDACTED&X-Amz-Signature=REDACTED",
        "cf4_01234567",
        "Token([redacted])",
        "an upload token (cfu_…)",
        "Bearer [redacted]",
    ] {
        assert_eq!(shown(good), None);
    }
}

#[tokio::test]
#[ignore = "a_credential_in_a_log_ends_the_process starts it, and sees it die"]
async fn child() {
    support::secrets::watch();
    match std::env::var("CARBONFILES_LEAK").as_deref() {
        Ok("log") => log::trace!(target: "below", "sent {}", "cfu_0123456789abcdef0123456789abcdef0123456789abcdef"),
        Ok("event") => tracing::trace!(url = "http://h/?token=x"),
        Ok("span") => drop(tracing::trace_span!("s", header = "Bearer abc")),
        Ok("record") => drop(tracing::trace_span!("s", url = tracing::field::Empty).record("url", "?access_token=x")),
        _ => drop(admin(&server().await).health().await),
    }
}

#[tokio::test]
async fn a_credential_in_a_log_ends_the_process() {
    for (leak, dies) in [("log", true), ("event", true), ("span", true), ("record", true), ("none", false)] {
        let output = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--ignored"])
            .env("CARBONFILES_LEAK", leak)
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), !dies, "{leak}: {told}");
        assert_eq!(told.contains("shows the credential"), dies, "{leak}: {told}");
    }
}

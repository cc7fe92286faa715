//! What can't work is said, by a typed error that names it.

use carbonfiles::ErrorKind;
use carbonfiles::events::{ConnectionState, Event};
use carbonfiles_testserver::{Fault, Group, TestServer};
use futures::StreamExt;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::support::{self, Answer, Head, RawServer, answer, within};
use crate::{client, next, settings, short, start, upload};

#[tokio::test]
async fn bad_ids_and_paths_send_nothing() {
    let (server, client, bucket) = start().await;
    server.clear_requests();
    for (events, named) in [
        (client.bucket("").events(), "bucket id"),
        (client.bucket("..").events(), "bucket id"),
        (client.bucket(" ").file("a").events(), "bucket id"),
        (bucket.file("a/../b").events(), "path"),
        (bucket.file("").events(), "path"),
        (bucket.file("a\\b").events(), "path"),
        (client.bucket("x".repeat(33_000)).events(), "bucket id"),
        (client.bucket("x".repeat(33_000)).file("a").events(), "bucket id"),
        (bucket.file("x".repeat(33_000)).events(), "path"),
        // As it is written, a quote takes two bytes.
        (bucket.file("\"".repeat(16_500)).events(), "path"),
    ] {
        let error = within(events.send()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.message().contains(named), "{error}");
    }
    assert_eq!(server.requests(), []);
}

/// The hub ends a connection at a longer record than it takes: all that it takes is asked for, and left, on one.
#[tokio::test]
async fn the_longest_paths_that_the_hub_takes_disturb_nobody() {
    let (server, client, bucket) = start().await;
    let hub = server.hub();
    let mut events = bucket.events().await.unwrap();
    // With the bucket's group, a file of it needs none.
    let other = client.bucket("other");
    let mut longest = 32_768;
    let file = loop {
        match within(other.file("x".repeat(longest)).events().send()).await {
            Ok(file) => break file,
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidInput),
        }
        longest -= 1;
    };
    assert!(longest > 32_600, "{longest}");
    let group = Group::File("other".into(), "x".repeat(longest));
    assert_eq!(hub.subscribers(&group), 1);
    drop(file);
    within(hub.until(|hub| hub.subscribers(&group) == 0)).await;
    upload(&bucket, "a").await;
    assert_eq!(short(&next(&mut events).await), "+a", "and nothing of a lost connection");
}

#[tokio::test]
async fn everything_is_for_the_admin_in_the_servers_words() {
    let (server, admin, bucket) = start().await;
    let key = admin.keys().create("k").await.unwrap();
    let guest = bucket.upload_tokens().create().await.unwrap();
    let with = |token: &str| support::builder(server.url()).token(token).events(settings()).build().unwrap();
    let said = "Admin authentication required for global subscriptions";
    for (client, kind) in [
        (support::builder(server.url()).build().unwrap(), ErrorKind::Unauthenticated),
        (with(key.key.expose()), ErrorKind::PermissionDenied),
        (with("mistyped-admin-key"), ErrorKind::PermissionDenied),
    ] {
        let error = within(client.events().all().send()).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (kind, said));
        assert!(error.hint().is_some());
        assert!(!format!("{error:?}").contains("mistyped"));
        let over = |state: &ConnectionState| matches!(state, ConnectionState::Closed | ConnectionState::Refused { .. });
        let state = within(client.events().state_of_all().wait_for(over)).await;
        assert!(matches!(&state, ConnectionState::Refused { reason, .. } if reason.contains(said)), "{state:?}");
    }
    let error = within(with(guest.token.expose()).events().all().send()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    let token = admin.dashboard().create_token().await.unwrap();
    let _all = within(with(token.token.expose()).events().all().send()).await.unwrap();
}

#[tokio::test]
async fn answers_that_are_no_hub() {
    let server = TestServer::start().await.unwrap();
    let asked = async |fault: Fault| {
        server.inject(fault.on("GET", "/hub/files"));
        within(client(&server).bucket("b").events().send()).await.unwrap_err()
    };
    let page = "<html><title>Sign in</title></html>";
    let error = asked(Fault::status(200).header("content-type", "text/html").body(page)).await;
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(error.message().contains("text/html") && error.message().contains("Sign in"), "{error}");
    assert!(error.hint().unwrap().contains("proxy"));
    assert_eq!(error.status().unwrap(), 200);
    for (status, kind) in [
        (400, ErrorKind::Unsupported),
        (403, ErrorKind::PermissionDenied),
        (404, ErrorKind::NotFound),
        (407, ErrorKind::Unauthenticated),
        (426, ErrorKind::Unsupported),
        (501, ErrorKind::Unsupported),
    ] {
        let error = asked(Fault::status(status).body("no")).await;
        assert_eq!(error.kind(), kind, "{status}");
        assert!(error.message().contains("websocket was refused: "), "{error}");
        assert!(error.hint().unwrap().contains("Upgrade"));
    }
}

/// What may pass is waited out, on the first connection too.
#[tokio::test]
async fn a_busy_server_is_waited_for() {
    let (server, client, bucket) = start().await;
    let busy = server.inject(Fault::status(503).on("GET", "/hub/files").times(3));
    let mut events = within(bucket.events().send()).await.unwrap();
    assert_eq!(busy.fired(), 3);
    upload(&bucket, "a").await;
    assert_eq!(short(&next(&mut events).await), "+a");
    drop(events);
    let nobody = support::builder(&format!("http://{}", support::nobody().await)).events(settings()).build().unwrap();
    let mut limit = std::time::Duration::from_millis(200);
    let error = loop {
        let error = within(nobody.bucket("b").events().timeout(limit).send()).await.unwrap_err();
        // It has not come to a first try, or is at one again.
        if error.message().contains("refused") || limit > support::GUARD / 8 {
            break error;
        }
        limit *= 2;
    };
    assert!(error.is_timeout() && error.message().contains("refused"), "{error}");
    let few = settings().max_attempts(3);
    let nobody = support::builder(&format!("http://{}", support::nobody().await)).events(few).build().unwrap();
    let error = within(nobody.bucket("b").events().send()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Connect, 3));
    drop(client);
}

#[tokio::test]
async fn hubs_of_another_protocol() {
    let server = TestServer::start().await.unwrap();
    server.inject(Fault::fail_call("The protocol 'json' is not supported.").on("handshake", ""));
    let error = within(client(&server).bucket("b").events().send()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("The protocol 'json' is not supported."), "{error}");
    server.inject(Fault::fail_call("HubException: Method does not exist.").on("SubscribeToBucket", ""));
    let error = within(client(&server).bucket("b").events().send()).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Unsupported, "Method does not exist."));
    server
        .inject(Fault::fail_call("Failed to invoke 'SubscribeToBucket' due to an error on the server.").on("*", "Sub"));
    let error = within(client(&server).bucket("b").events().send()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server);
}

/// Answers the upgrade as it should be, and then says something of its own.
async fn echoing(says: impl Fn(&Head) -> Vec<u8> + Send + Sync + 'static) -> RawServer {
    RawServer::start(move |head| {
        let key = head
            .text
            .lines()
            .find_map(|line| line.to_ascii_lowercase().starts_with("sec-websocket-key:").then(|| &line[18..]));
        let accept = key.map_or_else(String::new, |key| derive_accept_key(key.trim().as_bytes()));
        let mut bytes = format!(
            "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        )
        .into_bytes();
        bytes.extend(says(head));
        Answer::ThenSilence(bytes)
    })
    .await
}

/// A server may say what it was told, in any of its forms.
#[tokio::test]
async fn a_token_that_a_hub_repeats_is_not_passed_on() {
    const TOKEN: &str = "open+sesame/now";
    let frame = |kind: u8, payload: &[u8]| [&[kind, payload.len() as u8], payload].concat();
    for (place, code) in
        [("{\"error\":\"TOKEN\"}", None), ("{}\x1e{\"type\":7,\"error\":\"TOKEN\"}", None), ("{}", Some(1000u16))]
    {
        let server = echoing(move |head| {
            let sent = head.target.split("access_token=").nth(1).unwrap_or_default();
            let repeated = format!("{TOKEN} {sent}");
            let mut bytes = frame(0x81, format!("{place}\x1e").replace("TOKEN", &repeated).as_bytes());
            if let Some(code) = code {
                bytes.extend(frame(0x88, &[&code.to_be_bytes(), repeated.as_bytes()].concat()));
            }
            bytes
        })
        .await;
        let client = support::builder(&server.url).token(TOKEN).events(settings().max_attempts(1)).build().unwrap();
        let error = within(client.events().all().send()).await.unwrap_err();
        assert!(error.message().ends_with("[redacted] [redacted]"), "{error}");
        assert!(!format!("{error:?}").contains("sesame"));
    }
}

#[tokio::test]
async fn garbage_behind_an_upgrade() {
    for (says, kind, named) in [
        (&b"\x81\x06hello\x1e"[..], ErrorKind::Decode, "SignalR"),
        (b"\x81\x05[\"a\"]", ErrorKind::Interrupted, "without a word"),
        (b"\x81\x0b{\"type\":6}\x1e", ErrorKind::Decode, "SignalR"),
        (b"\xff\x01xx", ErrorKind::Decode, "WebSocket"),
        // What is no UTF-8, as text and as bytes.
        (b"\x81\x02\xff\x1e", ErrorKind::Decode, "WebSocket"),
        (b"\x82\x02\xff\x1e", ErrorKind::Decode, "no text"),
        (b"\x81\x04{}\x1e{\x81\x02]\x1e", ErrorKind::Decode, "SignalR"),
        (b"\x81\x7f\x00\x00\x00\x00\x10\x00\x00\x00", ErrorKind::Decode, "longer"),
        (b"\x81\x7e\x01\x00{}\x1e", ErrorKind::Interrupted, "without a word"),
        (b"\x01\x0f{\"error\":\"sec\"}\x80\x01\x1e", ErrorKind::Unsupported, "sec"),
    ] {
        let server = echoing(|_| says.to_vec()).await;
        let short = settings().handshake_timeout(std::time::Duration::from_millis(300)).max_attempts(1);
        let client = support::builder(&server.url).events(short).build().unwrap();
        let error = within(client.bucket("b").events().send()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{says:?} {error}");
        assert!(error.message().contains(named), "{says:?} {error}");
    }
    let other = RawServer::saying(answer(101, "Upgrade: websocket\r\nConnection: Upgrade\r\n", b"")).await;
    let client = support::builder(&other.url).events(settings().max_attempts(1)).build().unwrap();
    let error = within(client.bucket("b").events().send()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Decode | ErrorKind::Interrupted), "{error}");
}

#[tokio::test]
async fn a_record_is_as_long_as_it_is_let_be() {
    let server = TestServer::start().await.unwrap();
    let told = |limit: usize| {
        let settings = settings().record_limit(limit).max_attempts(1);
        support::builder(server.url()).token(server.admin_key()).events(settings).build().unwrap()
    };
    let bucket = support::bucket(&told(1 << 20)).await;
    for (limit, fits) in [(2000, false), (3000, true)] {
        let mut events = within(told(limit).bucket(bucket.id()).events().send()).await.unwrap();
        let record = format!(r#"{{"type":1,"target":"New","arguments":["{}","{}"]}}"#, bucket.id(), "x".repeat(2500));
        server.hub().send_text(record + "\x1e").await;
        match within(events.next()).await.unwrap() {
            Ok(event) => {
                assert!(fits && matches!(&event, Event::Unknown { target, .. } if target == "New"), "{event:?}");
            }
            Err(error) => assert_eq!((fits, error.message()), (false, "a record of the hub is longer than 2000 bytes")),
        }
    }
}

/// The request for a WebSocket goes where all others go: through the proxy of the HTTP client, with its headers.
#[tokio::test]
async fn a_proxy_of_the_client_is_used_and_named_when_it_refuses() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let note = seen.clone();
    let proxy = RawServer::start(move |head| {
        *note.lock().unwrap() = head.text.to_ascii_lowercase();
        Answer::ThenClose(answer(403, "Content-Type: text/html\r\n", b"<h1>WebSockets are not allowed here</h1>"))
    })
    .await;
    let url = proxy.url.clone();
    let client = carbonfiles::Client::builder("http://files.example.com/base")
        .default_header("x-team", "assets")
        .token("cf4_not_for_the_hub")
        .http(move |http| http.no_proxy().proxy(reqwest::Proxy::all(url).unwrap()))
        .build()
        .unwrap();
    let error = within(client.bucket("b").events().send()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.message().contains("WebSockets are not allowed here") && error.hint().unwrap().contains("proxy"));
    let seen = seen.lock().unwrap().clone();
    assert!(seen.starts_with("get http://files.example.com/base/hub/files http/1.1"), "{seen}");
    assert!(seen.contains("x-team: assets") && seen.contains("upgrade: websocket") && !seen.contains("cf4_"), "{seen}");
}

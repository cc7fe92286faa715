//! What servers, good and bad, can answer, and the error that each becomes.

mod support;

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use carbonfiles::{Client, Error, ErrorKind, RetryPolicy, TimeoutPhase};
use carbonfiles_testserver::Fault;
use http::Method;
use serde_json::Value;
use support::{Answer, RawServer, answer, nobody, within};
#[cfg(feature = "rustls")]
use tokio::io::AsyncWriteExt;

/// One that tries once, so that each answer is seen as it is.
fn client(url: &str) -> Client {
    support::builder(url).retry(RetryPolicy::never()).build().unwrap()
}

/// The kind that a refusal of CarbonFiles has by its status alone.
fn kind_of(status: u16) -> ErrorKind {
    match status {
        400 | 414 | 415 | 431 => ErrorKind::InvalidInput,
        401 => ErrorKind::Unauthenticated,
        403 => ErrorKind::PermissionDenied,
        404 => ErrorKind::NotFound,
        405 => ErrorKind::Unsupported,
        408 => ErrorKind::Timeout(TimeoutPhase::Send),
        412 => ErrorKind::PreconditionFailed,
        413 => ErrorKind::PayloadTooLarge,
        416 => ErrorKind::RangeNotSatisfiable,
        500 => ErrorKind::Server,
        status => panic!("no recorded refusal has the status {status}"),
    }
}

/// `Display` of an error and of all that caused it.
fn layers(error: &Error) -> Vec<String> {
    let mut layers = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        layers.push(cause.to_string());
        next = cause.source();
    }
    layers
}

/// Everything that can be printed of an error.
fn all_text(error: &Error) -> String {
    let mut text =
        format!("{error}\n{error:?}\n{error:#?}\n{}\n{:?}\n{:?}", error.message(), error.hint(), error.url());
    let mut next = error.source();
    while let Some(cause) = next {
        text += &format!("\n{cause}\n{cause:?}\n{cause:#?}");
        next = cause.source();
    }
    text
}

/// What holds for every error, whatever the server did.
#[track_caller]
fn assert_sound(error: &Error) {
    let message = error.message();
    assert!(!message.trim().is_empty(), "{error:?}");
    assert!(message.chars().count() < 400, "{} characters", message.chars().count());
    assert!(error.hint().is_none_or(|hint| !hint.trim().is_empty()), "{error:?}");
    assert!(error.method().is_some() && error.url().is_some() && error.attempts() == 1, "{error:?}");
    assert!(error.elapsed().is_some());
    let layers = layers(error);
    for (at, layer) in layers.iter().enumerate() {
        assert!(!layer.trim().is_empty(), "{layers:?}");
        for below in &layers[at + 1..] {
            assert!(!layer.contains(below.as_str()), "a layer repeats another: {layers:?}");
        }
    }
}

struct Refusal {
    n: String,
    method: Method,
    path: String,
    status: u16,
    bytes: Vec<u8>,
    error: Option<String>,
    hint: Option<String>,
}

impl Refusal {
    /// Of an exchange of the recordings; `None` where the answer is no refusal.
    fn of(exchange: &Value) -> Option<Self> {
        let answer = &exchange["response"];
        let status = answer["status"].as_u64().filter(|status| *status >= 400)? as u16;
        let method: Method = exchange["request"]["method"].as_str()?.parse().unwrap();
        let path = exchange["request"]["path"].as_str()?.split('?').next()?.to_owned();
        let json = answer["body_encoding"] == "json";
        let body = match &answer["raw"] {
            Value::String(raw) => raw.clone(),
            _ if json => answer["body"].to_string(),
            _ => answer["body"].as_str().unwrap_or_default().to_owned(),
        };
        let mut bytes = format!("HTTP/1.1 {status} X\r\n").into_bytes();
        let mut chunked = false;
        for header in answer["headers"].as_array().unwrap() {
            let (name, value) = (header[0].as_str().unwrap(), header[1].as_str().unwrap());
            chunked |= name == "Transfer-Encoding";
            bytes.extend(format!("{name}: {value}\r\n").bytes());
        }
        bytes.extend(b"\r\n");
        if method != Method::HEAD {
            bytes.extend(if chunked { format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()) } else { body }.into_bytes());
        }
        let text = |name: &str| answer["body"][name].as_str().filter(|_| json).map(str::to_owned);
        let (error, hint) = (text("error"), text("hint"));
        let n = exchange["n"].to_string().replace('"', "");
        Some(Self { n, method, path, status, bytes, error, hint })
    }

    fn all() -> Vec<Self> {
        let recordings =
            std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/carbonfiles/recordings.json")).unwrap();
        let recordings: Vec<Value> = serde_json::from_slice(&recordings).unwrap();
        recordings.iter().filter_map(Self::of).collect()
    }

    /// Says that there is no such bucket or file, to who asks what it is.
    fn is_absence(&self) -> bool {
        let of_what = match self.path.split('/').collect::<Vec<_>>()[..] {
            ["", "api", "buckets", _] => true,
            ["", "api", "buckets", _, "files", .., last] => !matches!(last, "content" | "verify"),
            _ => false,
        };
        (&self.method, self.status) == (&Method::GET, 404) && of_what
    }
}

#[tokio::test]
async fn every_recorded_refusal_has_a_kind_and_the_servers_words() {
    let refusals = Arc::new(Refusal::all());
    let server = {
        let refusals = refusals.clone();
        RawServer::start(move |head| {
            let n = head.target.strip_prefix("/n/").unwrap();
            let refusal = refusals.iter().find(|refusal| refusal.n == n).unwrap();
            let closes = refusal.bytes.windows(17).any(|w| w.eq_ignore_ascii_case(b"connection: close"));
            (if closes { Answer::ThenClose } else { Answer::Bytes })(refusal.bytes.clone())
        })
        .await
    };
    let client = client(&server.url);
    let mut counts = BTreeMap::<String, usize>::new();
    for refusal in &*refusals {
        let call = client.request(refusal.method.clone(), format!("/n/{}", refusal.n));
        let error = within(call.send()).await.expect_err(&refusal.n);
        let mut kind = kind_of(refusal.status);
        if refusal.status == 403 && refusal.error.as_deref() == Some("Authentication required") {
            kind = ErrorKind::Unauthenticated;
        }
        assert_eq!(error.kind(), kind, "[{}] {error}", refusal.n);
        assert_eq!(error.status().map(|s| s.as_u16()), Some(refusal.status), "[{}]", refusal.n);
        if let Some(words) = &refusal.error {
            assert_eq!(error.message(), words, "[{}]", refusal.n);
        }
        assert_eq!(error.hint(), refusal.hint.as_deref(), "[{}]", refusal.n);
        assert_sound(&error);
        *counts.entry(format!("{kind:?}")).or_default() += 1;
    }
    println!("{} refusals: {counts:#?}", refusals.len());
    assert!(refusals.len() >= 300, "the recordings have lost refusals");
    assert_eq!(counts.len(), 10, "{counts:?}");
}

#[tokio::test]
async fn every_recorded_404_of_a_bucket_or_file_says_that_it_is_not_there() {
    let absences: Vec<_> = Refusal::all().into_iter().filter(Refusal::is_absence).collect();
    let (asked, answers) = (AtomicUsize::new(0), absences.iter().map(|a| a.bytes.clone()).collect::<Vec<_>>());
    let server = RawServer::start(move |_| Answer::Bytes(answers[asked.fetch_add(1, Ordering::SeqCst)].clone())).await;
    let bucket = client(&server.url).bucket("b");
    for absence in &absences {
        let is_none = match absence.path.contains("/files/") {
            true => within(bucket.file("x").get_opt().send()).await.map(|file| file.is_none()),
            false => within(bucket.get_opt().send()).await.map(|bucket| bucket.is_none()),
        };
        assert!(is_none.unwrap(), "[{}] {}", absence.n, absence.path);
    }
    assert!(absences.len() >= 30, "the recordings have lost some: {}", absences.len());
}

fn hostile_bodies() -> Vec<(&'static str, Vec<u8>)> {
    let mut html = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n".to_vec();
    html.resize(5 << 20, b'x');
    vec![
        ("empty", vec![]),
        ("blank", b" \r\n\t ".to_vec()),
        ("html", html),
        ("not UTF-8", b"\xff\xfe\x80oops\xc3".to_vec()),
        ("truncated", br#"{"error":"Bucket not fo"#.to_vec()),
        ("array", b"[]".to_vec()),
        ("null", b"null".to_vec()),
        ("number", br#"{"error":5}"#.to_vec()),
        ("object", br#"{"error":{"code":7}}"#.to_vec()),
        ("no words", br#"{"error":""}"#.to_vec()),
        ("blank words", br#"{"error":"  "}"#.to_vec()),
        ("null words", br#"{"error":null,"hint":null}"#.to_vec()),
        ("numeric hint", br#"{"error":"x","hint":5}"#.to_vec()),
        ("deep", vec![b'['; 200_000]),
        ("controls", b"\x1b[31mred\x00\x07\r\nSet-Cookie: a=b\x7f".to_vec()),
    ]
}

const HOSTILE_STATUSES: [(u16, ErrorKind); 8] = [
    (400, ErrorKind::InvalidInput),
    (403, ErrorKind::PermissionDenied),
    (404, ErrorKind::NotFound),
    (413, ErrorKind::PayloadTooLarge),
    (500, ErrorKind::Server),
    (502, ErrorKind::Server),
    (599, ErrorKind::Server),
    (302, ErrorKind::Decode),
];

#[tokio::test]
async fn hostile_refusals_are_typed_short_and_quick() {
    let bodies = Arc::new(hostile_bodies());
    let server = {
        let bodies = bodies.clone();
        RawServer::start(move |head| {
            let (status, body) = head.target[1..].split_once('/').unwrap();
            let headers = "Location: /elsewhere\r\nContent-Type: application/json\r\n";
            Answer::Bytes(answer(status.parse().unwrap(), headers, &bodies[body.parse::<usize>().unwrap()].1))
        })
        .await
    };
    let client = client(&server.url);
    let start = Instant::now();
    for (status, kind) in HOSTILE_STATUSES {
        for (at, (name, _)) in bodies.iter().enumerate() {
            let error = within(client.request(Method::GET, format!("/{status}/{at}")).send()).await.unwrap_err();
            assert_eq!((error.kind(), error.status().unwrap().as_u16()), (kind, status), "{name}: {error}");
            assert_sound(&error);
            assert!(!error.to_string().contains(char::is_control), "{name}: {error:?}");
        }
    }
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

#[tokio::test]
async fn answers_that_are_not_the_json_expected_are_decode_errors() {
    for (name, body) in hostile_bodies() {
        let server = RawServer::saying(answer(200, "Content-Type: application/json\r\n", &body)).await;
        let error = within(client(&server.url).health().send()).await.unwrap_err();
        assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Decode, 200), "{name}: {error}");
        assert_sound(&error);
        // What is longer than any answer about one thing is not looked at.
        assert!(error.source().is_some() || body.len() > 1 << 20, "{name}");
    }
    for right_json_of_another_shape in [r#"{"status":"healthy"}"#, r#"{"status":1,"uptime_seconds":2,"db":"ok"}"#, "{}"]
    {
        let server = RawServer::saying(answer(200, "", right_json_of_another_shape.as_bytes())).await;
        let error = within(client(&server.url).health().send()).await.unwrap_err();
        assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Decode, 200), "{error}");
        assert_sound(&error);
    }
    let server = RawServer::saying(answer(204, "", b"")).await;
    let error = within(client(&server.url).health().send()).await.unwrap_err();
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Decode, 204), "{error}");
    assert_sound(&error);
}

#[tokio::test]
async fn an_endless_refusal_is_cut_off() {
    let server = RawServer::start(|_| {
        let chunk = format!("10000\r\n{}\r\n", "y".repeat(0x10000));
        Answer::ThenEndless(b"HTTP/1.1 502 X\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(), chunk.into_bytes())
    })
    .await;
    let error = within(client(&server.url).health().send()).await.unwrap_err();
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Server, 502));
    assert_sound(&error);
    // What the sockets' buffers hold, and no more.
    assert!(server.written() < 32 << 20, "{} bytes went out", server.written());
}

#[tokio::test]
async fn an_answer_about_one_thing_is_short() {
    let server = RawServer::start(|_| {
        let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
        Answer::ThenEndless(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(), chunk.into_bytes())
    })
    .await;
    let error = within(client(&server.url).health().send()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert_sound(&error);
    // What the sockets' buffers hold, and no more.
    assert!(server.written() < 32 << 20, "{} bytes went out", server.written());
    let request = |most| client(&server.url).request(http::Method::GET, "/x").max_bytes(most);
    let error = within(request(5 << 20).send()).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Decode && error.message().contains("5242880"), "{error}");
}

#[tokio::test]
async fn a_refusal_whose_body_never_comes_is_still_that_refusal() {
    let server = RawServer::start(|_| {
        Answer::ThenSilence(b"HTTP/1.1 404 X\r\nContent-Length: 1000\r\n\r\n{\"error\":\"Buck".to_vec())
    })
    .await;
    let error = within(client(&server.url).health().send()).await.unwrap_err();
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::NotFound, 404));
    assert_sound(&error);
}

#[tokio::test]
async fn a_refusal_that_breaks_off_is_still_that_refusal() {
    for answer in [
        "HTTP/1.1 500 X\r\nContent-Length: 10\r\n\r\n",
        "HTTP/1.1 500 X\r\n\r\n",
        "HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let server = RawServer::saying(answer).await;
        let error = within(client(&server.url).health().send()).await.unwrap_err();
        assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Server, 500), "{answer:?}");
        assert_sound(&error);
    }
}

#[tokio::test]
async fn answers_that_break_off_and_answers_that_are_no_http() {
    let kinds: [(&str, &[u8], ErrorKind); 11] = [
        ("nothing", b"", ErrorKind::Interrupted),
        ("half a head", b"HTTP/1.1 200 OK\r\nContent-Ty", ErrorKind::Interrupted),
        ("a head alone", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", ErrorKind::Interrupted),
        ("fewer than announced", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"status\":", ErrorKind::Interrupted),
        (
            "a chunk too few",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
            ErrorKind::Interrupted,
        ),
        (
            "more than announced",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{\"status\":\"healthy\"}",
            ErrorKind::Decode,
        ),
        ("no number", b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n{}", ErrorKind::Decode),
        ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}", ErrorKind::Decode),
        ("garbage", b"SSH-2.0-OpenSSH_9.6\r\n", ErrorKind::Decode),
        ("bytes", b"\x00\x01\x02\xff\xfe\r\n\r\n", ErrorKind::Decode),
        ("no status", b"HTTP/1.1 abc\r\n\r\n", ErrorKind::Decode),
    ];
    for (name, answer, kind) in kinds {
        let server = RawServer::saying(answer).await;
        let error = within(client(&server.url).health().send()).await.expect_err(name);
        assert_eq!(error.kind(), kind, "{name}: {error:?}");
        assert_sound(&error);
        assert!(error.source().is_some(), "{name}");
    }
}

/// As a rule the base URL is http, and the server wants https.
#[tokio::test]
async fn a_redirection_says_where_to() {
    for (location, hint) in [
        ("https://files.example.com/healthz?token=5ec2e7#x", Some("https://files.example.com/healthz:")),
        ("https://u:5ec2e7@files.example.com/a/cfu_5ec2e7", Some("https://files.example.com/a/[redacted]:")),
        ("/cf/healthz", Some("/cf/healthz:")),
        ("mailto:a@example.com", None),
        ("http://", None),
    ] {
        let page = b"<html><h1>301 Moved Permanently</h1></html>";
        let server = RawServer::saying(answer(301, &format!("Location: {location}\r\n"), page)).await;
        let call = client(&server.url).request(Method::GET, "/healthz").query("token", format!("cfu_{SECRET}"));
        let error = within(call.send()).await.unwrap_err();
        assert_eq!((error.kind(), error.hint().is_some()), (ErrorKind::Decode, hint.is_some()), "{location} {error:?}");
        assert!(error.hint().unwrap_or_default().contains(hint.unwrap_or_default()), "{error:?}");
        assert!(
            !error.to_string().contains(SECRET) && !error.hint().is_some_and(|hint| hint.contains(SECRET)),
            "{error:?}"
        );
        assert_sound(&error);
    }
}

#[tokio::test]
async fn where_nobody_listens() {
    let address = nobody().await;
    let error = within(client(&format!("http://{address}")).health().send()).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Connect, None));
    assert!(error.is_connect() && error.is_retryable() && error.bytes_sent() == 0);
    assert!(error.to_string().contains("refused"), "{error}");
    assert_eq!((error.method(), error.url()), (Some(&Method::GET), Some(format!("http://{address}/healthz").as_str())));
    assert_sound(&error);
    assert!(layers(&error).len() > 1, "{error:?}");
    // There was a body to send, and nobody to take it.
    let error = within(client(&format!("http://{address}")).buckets().create("b").send()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts() > 0, error.bytes_sent()), (ErrorKind::Connect, true, 0), "{error:?}");
}

struct NoNames;

impl reqwest::dns::Resolve for NoNames {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Box::pin(std::future::ready(Err("no such host".into())))
    }
}

#[tokio::test]
async fn where_the_name_is_unknown() {
    let client = Client::builder("http://files.example.com")
        .retry(RetryPolicy::never())
        .http(|http| http.no_proxy().dns_resolver(NoNames))
        .build()
        .unwrap();
    let error = within(client.health().send()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert_sound(&error);
    assert!(layers(&error).iter().any(|layer| layer.contains("no such host")), "{error:?}");
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn tls_to_a_port_that_does_not_speak_it() {
    // It reads lines, so it has to be one that answers without having understood anything.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
        }
    });
    let error = within(client(&url).health().send()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "{error:?}");
    assert_sound(&error);
    assert!(error.source().is_some());
    serving.abort();
}

const SECRET: &str = "5ec2e7";

#[tokio::test]
async fn no_error_shows_a_credential() {
    let answers: [(&str, Option<Vec<u8>>); 7] = [
        ("nobody", None),
        ("nothing", Some(vec![])),
        ("garbage", Some(b"SSH-2.0\r\n".to_vec())),
        ("refusal", Some(answer(403, "", br#"{"error":"Invalid or expired upload token"}"#))),
        ("empty refusal", Some(answer(500, "", b""))),
        ("wrong JSON", Some(answer(200, "", b"[]"))),
        ("redirect", Some(answer(302, "Location: http://other.example/?token=5ec2e7\r\n", b""))),
    ];
    let tokens = [format!("cfu_{SECRET}"), format!("cf4_12345678_{SECRET}"), format!("ey.{SECRET}.sig")];
    let cases =
        answers.iter().flat_map(|(name, answer)| tokens.iter().map(move |token| (*name, answer.clone(), token)));
    // A broken upload is followed by a question that takes its time: so all at once.
    futures::future::join_all(cases.map(|(name, answer, token)| errors_hide(name, answer, token))).await;
}

async fn errors_hide(name: &str, answer: Option<Vec<u8>>, token: &str) {
    let server = match answer {
        Some(answer) => Some(RawServer::saying(answer).await),
        None => None,
    };
    let url = match &server {
        Some(server) => server.url.clone(),
        None => format!("http://{}", nobody().await),
    };
    let client = support::builder(&url).retry(RetryPolicy::never()).token(token).build().unwrap();
    let file = client.bucket("b1").file("a.txt");
    let mut errors = vec![
        within(file.upload("x".as_bytes()).send()).await.unwrap_err(),
        within(file.upload("x".as_bytes()).upload_token(format!("cfu_{SECRET}")).send()).await.unwrap_err(),
        within(file.append("x".as_bytes()).send()).await.unwrap_err(),
        within(file.get().send()).await.unwrap_err(),
        within(client.buckets().list().send()).await.unwrap_err(),
        within(client.health().header("x-api-key", SECRET).send()).await.unwrap_err(),
    ];
    // A raw request takes any body.
    errors.extend(within(client.request(Method::GET, "/x").query("access_token", SECRET).send()).await.err());
    for error in errors {
        assert!(!all_text(&error).contains(SECRET), "{name}: {}", all_text(&error));
    }
    assert!(!format!("{client:?} {file:?} {:?}", file.upload("x".as_bytes())).contains(SECRET));
}

/// It says so with a status that means "later" of anybody else.
#[tokio::test]
async fn a_server_that_is_not_well_says_so() {
    use carbonfiles::models::HealthStatus;

    let server = support::server().await;
    let sick = r#"{"status":"unhealthy","uptime_seconds":5,"db":"error"}"#;
    server.inject(Fault::status(503).body(sick));
    let health = within(support::builder(server.url()).build().unwrap().health().send()).await.unwrap();
    assert_eq!((health.status, health.db.as_str(), server.requests().len()), (HealthStatus::Unhealthy, "error", 1));
    // A proxy's is no verdict, and neither is a verdict with another status, or on another call.
    for (status, body) in [(503, ""), (503, "busy"), (503, "{}"), (503, r#"{"status":"unhealthy"}"#), (502, sick)] {
        server.clear_requests();
        server.inject(Fault::status(status).body(body));
        let health = within(support::builder(server.url()).build().unwrap().health().send()).await.unwrap();
        assert_eq!((health.status, server.requests().len()), (HealthStatus::Healthy, 2), "{status} {body}");
    }
    server.inject(Fault::status(503).body(sick));
    let error = within(support::admin(&server).stats().retry(RetryPolicy::never()).send()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server);
}

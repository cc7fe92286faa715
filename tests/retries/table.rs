//! Every kind of call against every kind of fault: how often it was sent, what came of it, and what the server holds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use carbonfiles::models::NewUploadToken;
use carbonfiles::{Bucket, Client, Error, ErrorKind, File};
use carbonfiles_testserver::{Fault, TestServer};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryFutureExt, stream};

use crate::support::{admin, bucket, builder, local, server, within};

/// What is right to do with a call whose attempt failed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Class {
    /// Doing it twice is the same as doing it once.
    Safe,
    /// As `Safe`, and what is gone the second time has been deleted by the first.
    Deletion,
    /// Sent again only if it never arrived.
    Once,
    /// An upload that costs a use of a token: sent again when the server is seen not to have it.
    Counted,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Trouble {
    /// Nobody listens at first.
    Refused,
    /// Reset when the head has arrived.
    ResetBefore,
    /// Reset in the middle of the request's body.
    ResetWithin,
    Status(u16),
    /// A 503 that asks for a second.
    Busy,
    /// Carried out, and reset before the answer.
    LostReply,
    /// Carried out, and reset in the middle of the answer's body.
    HalfReply,
}

const TROUBLES: [Trouble; 11] = [
    Trouble::Refused,
    Trouble::ResetBefore,
    Trouble::ResetWithin,
    Trouble::Status(429),
    Trouble::Status(500),
    Trouble::Status(502),
    Trouble::Status(503),
    Trouble::Status(504),
    Trouble::Busy,
    Trouble::LostReply,
    Trouble::HalfReply,
];

/// Whether the call succeeds, how often it was sent, and how often it was carried out.
fn expected(class: Class, trouble: Trouble) -> (bool, usize, u64) {
    use Class::{Counted, Deletion, Once, Safe};
    use Trouble::{HalfReply, LostReply, Refused, ResetBefore, ResetWithin, Status};
    match (class, trouble) {
        (_, Refused) => (true, 1, 1),
        (Once, LostReply | HalfReply) => (false, 1, 1),
        (Counted, LostReply | HalfReply) => (true, 1, 1),
        (Counted, ResetBefore | ResetWithin | Status(500)) => (true, 2, 1),
        (Once | Counted, _) => (false, 1, 0),
        (Safe | Deletion, _) => (true, 2, 1),
    }
}

/// What a call is made on, by a client without connections.
#[derive(Clone)]
struct Place {
    client: Client,
    bucket: Bucket,
    /// Holds `one\n`.
    file: File,
    /// For two files of `bucket`.
    token: NewUploadToken,
    /// Of a key, and of the short URL of `file`.
    prefix: String,
    code: String,
    /// For looking at the server afterwards.
    admin: Client,
}

impl Place {
    async fn new(server: &TestServer, dead_at_first: bool) -> Self {
        let admin = admin(server);
        let bucket = bucket(&admin).await;
        let done = bucket.file("old.txt").upload("one\n".as_bytes()).await.unwrap();
        let token = bucket.upload_tokens().create().max_uploads(2).await.unwrap();
        let prefix = admin.keys().create("old").await.unwrap().prefix;
        let names = Names { dead_at_first: AtomicBool::new(dead_at_first) };
        let client = builder(&format!("http://files.test:{}", server.address().port()))
            .token(server.admin_key())
            .http(|http| local(http).dns_resolver(names))
            .build()
            .unwrap();
        let bucket = client.bucket(bucket.id());
        let file = bucket.file("old.txt");
        Self { client, bucket, file, token, prefix, code: done.short_code.clone().unwrap(), admin }
    }

    /// The size of a file, as another client sees it.
    async fn size(&self, path: &str) -> u64 {
        let info = self.admin.bucket(self.bucket.id()).file(path).get_opt().await.unwrap();
        info.map_or(0, |info| info.size)
    }
}

/// Knows one name. The port is that of the URL, and at 127.0.0.2 nobody listens on it.
struct Names {
    dead_at_first: AtomicBool,
}

impl reqwest::dns::Resolve for Names {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let last = if self.dead_at_first.swap(false, Ordering::SeqCst) { 2 } else { 1 };
        let addresses: reqwest::dns::Addrs = Box::new([SocketAddr::from(([127, 0, 0, last], 0))].into_iter());
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

type Outcome = Result<(), Error>;

#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    class: Class,
    /// Which requests are those of the call, and not of what goes with it.
    method: &'static str,
    target: &'static str,
    /// Its requests, and its answers, have a body.
    bodies: (bool, bool),
    call: fn(Place) -> BoxFuture<'static, Outcome>,
    /// How often it has been carried out, as the server shows; for reads there is nothing to see.
    seen: Option<fn(Place) -> BoxFuture<'static, u64>>,
}

macro_rules! kind {
    ($name:literal, $class:ident, $method:literal $target:literal, $bodies:expr, |$p:ident| $call:expr) => {
        kind!(@ $name, $class, $method $target, $bodies, |$p| $call, None)
    };
    ($name:literal, $class:ident, $method:literal $target:literal, $bodies:expr, |$p:ident| $call:expr, $seen:expr) => {
        kind!(@ $name, $class, $method $target, $bodies, |$p| $call, Some(|$p: Place| async move { $seen }.boxed()))
    };
    (@ $name:literal, $class:ident, $method:literal $target:literal, $bodies:expr, |$p:ident| $call:expr, $seen:expr) => {
        Kind {
            name: $name,
            class: Class::$class,
            method: $method,
            target: $target,
            bodies: $bodies,
            call: |$p: Place| async move { $call.map_ok(drop).await }.boxed(),
            seen: $seen,
        }
    };
}

fn new_content() -> Vec<u8> {
    vec![b'n'; 100_000]
}

fn is_new(size: u64) -> u64 {
    u64::from(size == 100_000)
}

fn kinds() -> Vec<Kind> {
    vec![
        kind!("health", Safe, "GET" "/healthz", (false, true), |p| p.client.health().send()),
        kind!("stats", Safe, "GET" "/api/stats", (false, true), |p| p.client.stats().send()),
        kind!("list of buckets", Safe, "GET" "/api/buckets", (false, true), |p| p.client.buckets().list().send()),
        kind!("bucket", Safe, "GET" "/api/buckets/", (false, true), |p| p.bucket.get().send()),
        kind!("summary", Safe, "GET" "/summary", (false, true), |p| p.bucket.summary().send()),
        kind!("list of files", Safe, "GET" "/files", (false, true), |p| p.bucket.files().list().send()),
        kind!("tree", Safe, "GET" "/files", (false, true), |p| p.bucket.files().tree().send()),
        kind!("directory", Safe, "GET" "/ls", (false, true), |p| p.bucket.files().directory("").send()),
        kind!("metadata", Safe, "GET" "/files/old.txt", (false, true), |p| p.file.get().send()),
        kind!("head", Safe, "HEAD" "/content", (false, false), |p| p.file.head().send()),
        kind!("verify", Safe, "GET" "/verify", (false, true), |p| p.file.verify().send()),
        kind!("download", Safe, "GET" "/content", (false, true), |p| p
            .file
            .download()
            .send()
            .and_then(|download| download.bytes(100))),
        kind!("short URL", Safe, "GET" "/s/", (false, false), |p| p.client.short_url(&p.code).resolve().send()),
        kind!("list of keys", Safe, "GET" "/api/keys", (false, true), |p| p.client.keys().list().send()),
        kind!("usage of a key", Safe, "GET" "/usage", (false, true), |p| p.client.key(&p.prefix).usage().send()),
        kind!(
            "creation of a bucket",
            Once,
            "POST" "/api/buckets",
            (true, true),
            |p| p.client.buckets().create("new").send(),
            p.admin.buckets().list().await.unwrap().items.iter().filter(|b| b.name == "new").count() as u64
        ),
        kind!(
            "update",
            Safe,
            "PATCH" "/api/buckets",
            (true, true),
            |p| p.bucket.update().description("new").send(),
            u64::from(p.admin.bucket(p.bucket.id()).get().await.unwrap().description.as_deref() == Some("new"))
        ),
        kind!(
            "update with an expiry from now on",
            Once,
            "PATCH" "/api/buckets",
            (true, true),
            |p| p.bucket.update().description("new").expires("30d").send(),
            u64::from(p.admin.bucket(p.bucket.id()).get().await.unwrap().description.as_deref() == Some("new"))
        ),
        kind!(
            "deletion of a bucket",
            Deletion,
            "DELETE" "/api/buckets",
            (false, false),
            |p| p.bucket.delete().send(),
            u64::from(p.admin.bucket(p.bucket.id()).get_opt().await.unwrap().is_none())
        ),
        kind!(
            "deletion of a file",
            Deletion,
            "DELETE" "/files/old.txt",
            (false, false),
            |p| p.file.delete().send(),
            u64::from(p.size("old.txt").await == 0)
        ),
        kind!(
            "deletion of a short URL",
            Deletion,
            "DELETE" "/api/short",
            (false, false),
            |p| p.client.short_url(&p.code).delete().send(),
            u64::from(p.admin.short_url(&p.code).resolve().await.is_err())
        ),
        kind!(
            "revocation of a key",
            Deletion,
            "DELETE" "/api/keys",
            (false, false),
            |p| p.client.key(&p.prefix).revoke().send(),
            u64::from(p.admin.key(&p.prefix).usage().await.is_err())
        ),
        kind!(
            "creation of a key",
            Once,
            "POST" "/api/keys",
            (true, true),
            |p| p.client.keys().create("new").send(),
            p.admin.keys().list().await.unwrap().items.iter().filter(|key| key.name == "new").count() as u64
        ),
        kind!("creation of an upload token", Once, "POST" "/tokens", (true, true), |p| p
            .bucket
            .upload_tokens()
            .create()
            .send()),
        kind!("creation of a dashboard token", Once, "POST" "/tokens/dashboard", (true, true), |p| p
            .client
            .dashboard()
            .create_token()
            .send()),
        kind!(
            "upload",
            Safe,
            "PUT" "/upload/stream",
            (true, true),
            |p| p.bucket.file("new.txt").upload(new_content()).send(),
            is_new(p.size("new.txt").await)
        ),
        kind!(
            "overwriting upload",
            Safe,
            "PUT" "/upload/stream",
            (true, true),
            |p| p.file.upload(new_content()).send(),
            is_new(p.size("old.txt").await)
        ),
        kind!(
            "upload of a name that needs multipart",
            Safe,
            "POST" "/upload",
            (true, true),
            |p| p.bucket.file("neü.txt").upload(new_content()).send(),
            is_new(p.size("neü.txt").await)
        ),
        kind!(
            "upload of several files",
            Safe,
            "POST" "/upload",
            (true, true),
            |p| p.bucket.files().upload_multipart().file("a", new_content()).file("b", "b".as_bytes()).send(),
            is_new(p.size("a").await)
        ),
        kind!(
            "upload with a token",
            Counted,
            "PUT" "/upload/stream",
            (true, true),
            |p| p.bucket.file("new.txt").upload(new_content()).upload_token(&p.token.token).send(),
            is_new(p.size("new.txt").await)
        ),
        kind!(
            "append",
            Once,
            "PATCH" "/content",
            (true, true),
            |p| p.file.append("two\n".as_bytes()).send(),
            (p.size("old.txt").await - 4) / 4
        ),
        kind!(
            "append with a token",
            Once,
            "PATCH" "/content",
            (true, true),
            |p| p.file.append("two\n".as_bytes()).upload_token(&p.token.token).send(),
            (p.size("old.txt").await - 4) / 4
        ),
        kind!(
            "patch",
            Safe,
            "PATCH" "/content",
            (true, true),
            |p| p.file.patch(4, "two\n".as_bytes()).send(),
            u64::from(p.size("old.txt").await == 8)
        ),
        kind!("raw GET", Safe, "GET" "/api/stats", (false, true), |p| p
            .client
            .request(http::Method::GET, "/api/stats")
            .send()),
        kind!("raw POST", Once, "POST" "/api/keys", (true, true), |p| p
            .client
            .request(http::Method::POST, "/api/keys")
            .json(&serde_json::json!({"name": "new"}))
            .send()),
        kind!("raw PATCH that is called idempotent", Safe, "PATCH" "/api/buckets", (true, true), |p| p
            .client
            .request(http::Method::PATCH, format!("/api/buckets/{}", p.bucket.id()))
            .idempotent()
            .json(&serde_json::json!({"name": "new"}))
            .send()),
    ]
}

async fn meet(kind: Kind, trouble: Trouble) {
    let name = format!("{} × {trouble:?}", kind.name);
    let server = server().await;
    let place = Place::new(&server, trouble == Trouble::Refused).await;
    server.clear_requests();
    let fault = match trouble {
        Trouble::Refused => None,
        Trouble::ResetBefore => Some(Fault::reset()),
        Trouble::ResetWithin => Some(Fault::reset_request_after(1)),
        Trouble::Status(status) => Some(Fault::status(status)),
        Trouble::Busy => Some(Fault::status(503).header("retry-after", "1")),
        Trouble::LostReply => Some(Fault::lose_reply()),
        Trouble::HalfReply => Some(Fault::reset_response_after(1)),
    };
    let struck = fault.map(|fault| server.inject(fault.on(kind.method, kind.target)));

    let start = Instant::now();
    let outcome = within((kind.call)(place.clone())).await;
    let took = start.elapsed();

    let (succeeds, sent, done) = expected(kind.class, trouble);
    assert_eq!(outcome.is_ok(), succeeds, "{name}: {outcome:?}");
    assert_eq!(struck.map_or(1, |fault| fault.fired()), 1, "{name}");
    // What asks a server that broke off why it did announces a body and sends none.
    let asks = |seen: &carbonfiles_testserver::SeenRequest| {
        seen.body_bytes == 0 && seen.header("content-length").is_some_and(|length| length != "0")
    };
    let requests = server.requests();
    let of_call = requests.iter().filter(|seen| seen.method == kind.method && seen.path.contains(kind.target));
    let sends = of_call.enumerate().filter(|(at, seen)| *at == 0 || !asks(seen)).count();
    assert_eq!(sends, sent, "{name}: {requests:#?}");
    if let Some(seen) = kind.seen {
        assert_eq!(seen(place).await, done, "{name}: what the server holds");
    }
    if let Err(error) = outcome {
        let wanted = match trouble {
            Trouble::Status(429) => ErrorKind::RateLimited,
            Trouble::Status(_) | Trouble::Busy => ErrorKind::Server,
            _ => ErrorKind::Interrupted,
        };
        assert_eq!((error.kind(), error.attempts()), (wanted, 1), "{name}: {error:?}");
    } else if trouble == Trouble::Busy {
        assert!(took >= Duration::from_secs(1), "{name}: sent again after {took:?}");
    }
}

#[tokio::test]
async fn every_call_meets_every_fault() {
    let cells = kinds().into_iter().flat_map(|kind| TROUBLES.map(|trouble| (kind, trouble)));
    let cells = cells.filter(|(kind, trouble)| match trouble {
        Trouble::ResetWithin => kind.bodies.0,
        Trouble::HalfReply => kind.bodies.1,
        _ => true,
    });
    // Together, as some of them wait for a second.
    let met = stream::iter(cells).map(|(kind, trouble)| meet(kind, trouble)).buffer_unordered(64).count().await;
    assert!(met > 300, "{met}");
}

#[tokio::test]
async fn uses_of_a_token_are_counted_once_whatever_happened() {
    let troubles = [Fault::reset(), Fault::reset_request_after(1), Fault::lose_reply(), Fault::status(500)];
    for trouble in troubles {
        let server = Arc::new(server().await);
        let place = Place::new(&server, false).await;
        server.inject(trouble.clone().on("PUT", "/upload/stream"));
        let upload = |name: &str| {
            let content = name.as_bytes().to_vec();
            within(place.bucket.file(name).upload(content).upload_token(&place.token.token).send())
        };
        upload("first").await.unwrap();
        upload("second").await.unwrap();
        let error = upload("third").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{trouble:?}");
    }
}

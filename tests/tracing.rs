//! The spans and events of the feature `tracing`, as a subscriber sees them.

mod support;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use carbonfiles_testserver::{Fault, TestServer};
use futures::TryStreamExt;
use support::{admin, bucket, server, within};
use tracing::Instrument;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

type Fields = BTreeMap<String, String>;

#[derive(Debug, Clone)]
struct Seen {
    /// Of a span; the message of an event.
    name: String,
    /// The name of the span around it.
    parent: Option<String>,
    fields: Fields,
    closed: bool,
    id: u64,
}

impl Seen {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }
}

/// All spans and events of the crate, in the order of their start.
#[derive(Clone, Default)]
struct Traces(Arc<Mutex<Vec<Seen>>>);

impl Traces {
    fn all(&self, name: &str) -> Vec<Seen> {
        self.0.lock().unwrap().iter().filter(|seen| seen.name == name).cloned().collect()
    }

    fn update(&self, id: &Id, change: impl FnOnce(&mut Seen)) {
        // The registry uses an id again once its span has closed.
        if let Some(seen) = self.0.lock().unwrap().iter_mut().rev().find(|seen| seen.id == id.into_u64()) {
            change(seen);
        }
    }
}

struct Fill<'a>(&'a mut Fields);

impl Visit for Fill<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Traces {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().target() != "carbonfiles" {
            return;
        }
        let mut fields = Fields::new();
        attributes.record(&mut Fill(&mut fields));
        let parent = context.span(id).and_then(|span| Some(span.parent()?.name().to_owned()));
        let name = attributes.metadata().name().to_owned();
        self.0.lock().unwrap().push(Seen { name, parent, fields, closed: false, id: id.into_u64() });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        self.update(id, |seen| values.record(&mut Fill(&mut seen.fields)));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() != "carbonfiles" {
            return;
        }
        let mut fields = Fields::new();
        event.record(&mut Fill(&mut fields));
        let parent = context.event_span(event).map(|span| span.name().to_owned());
        let name = fields.remove("message").unwrap();
        self.0.lock().unwrap().push(Seen { name, parent, fields, closed: true, id: 0 });
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.update(&id, |seen| seen.closed = true);
    }
}

/// A server, and what this thread traces from now on: the tests run on one thread each.
async fn traced() -> (TestServer, Traces, tracing::subscriber::DefaultGuard) {
    let (server, traces) = (server().await, Traces::default());
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(traces.clone()));
    (server, traces, guard)
}

#[tokio::test]
async fn a_call_is_a_request_with_an_attempt() {
    let (server, traces, _guard) = traced().await;
    let client = admin(&server);
    within(client.bucket("b1").get_opt().send()).await.unwrap();
    let port = server.url().rsplit_once(':').unwrap().1;
    let common = [
        ("otel.name", "GET /api/buckets/{id}"),
        ("http.request.method", "GET"),
        ("url.template", "/api/buckets/{id}"),
        ("server.address", "127.0.0.1"),
        ("server.port", port),
        ("error.type", "404"),
        ("otel.status_code", "ERROR"),
    ];
    let (request, attempt) = (&traces.all("request")[0], &traces.all("attempt")[0]);
    for seen in [request, attempt] {
        for (name, value) in common {
            assert_eq!(seen.field(name), Some(value), "{name} of {}", seen.name);
        }
        assert!(seen.closed);
    }
    assert_eq!((request.parent.as_deref(), request.field("otel.kind")), (None, Some("internal")));
    assert_eq!((attempt.parent.as_deref(), attempt.field("otel.kind")), (Some("request"), Some("client")));
    assert_eq!(attempt.field("url.full"), Some(format!("{}/api/buckets/b1", server.url()).as_str()));
    assert_eq!(attempt.field("http.response.status_code"), Some("404"));
    assert_eq!(attempt.field("http.request.resend_count"), None);

    within(client.health().send()).await.unwrap();
    let healthy = &traces.all("attempt")[1];
    assert_eq!((healthy.field("error.type"), healthy.field("http.response.status_code")), (None, Some("200")));
}

#[tokio::test]
async fn a_retry_is_an_attempt_more_and_an_event() {
    let (server, traces, _guard) = traced().await;
    server.inject(Fault::status(503).body("busy"));
    server.inject(Fault::reset());
    within(admin(&server).health().send()).await.unwrap();
    let attempts = traces.all("attempt");
    let told: Vec<_> = attempts
        .iter()
        .map(|a| ["http.request.resend_count", "http.response.status_code", "error.type"].map(|name| a.field(name)))
        .collect();
    assert_eq!(
        told,
        [[None, Some("503"), Some("503")], [Some("1"), None, Some("interrupted")], [Some("2"), Some("200"), None]]
    );
    let [request] = &traces.all("request")[..] else { panic!("one request") };
    assert_eq!((request.field("error.type"), request.closed), (None, true));
    let retries = traces.all("trying again");
    assert_eq!(retries.iter().map(|r| r.field("error.type").unwrap()).collect::<Vec<_>>(), ["503", "interrupted"]);
    for (retry, number) in retries.iter().zip(["1", "2"]) {
        assert_eq!((retry.parent.as_deref(), retry.field("attempt")), (Some("request"), Some(number)));
        assert!(retry.field("delay_ms").is_some());
    }
    assert!(retries[0].field("error").unwrap().contains("busy"), "{retries:?}");
}

#[tokio::test]
async fn a_call_that_nobody_answers_has_failed() {
    let (server, traces, _guard) = traced().await;
    let client = admin(&server);
    server.shutdown().await;
    within(client.health().send()).await.unwrap_err();
    assert_eq!(traces.all("attempt").len(), 4);
    for seen in traces.all("attempt").iter().chain(&traces.all("request")) {
        assert_eq!((seen.field("error.type"), seen.field("http.response.status_code")), (Some("connect"), None));
    }
}

#[tokio::test]
async fn the_span_of_a_download_lasts_until_its_end() {
    let (server, traces, _guard) = traced().await;
    let file = bucket(&admin(&server)).await.file("a.bin");
    within(file.upload(vec![7; 600_000]).send()).await.unwrap();
    let before = traces.all("attempt").len();

    let download = within(file.download().send()).await.unwrap();
    let last = |name: &str| traces.all(name).pop().unwrap();
    assert!(!last("attempt").closed && !last("request").closed);
    within(download.bytes(1 << 20)).await.unwrap();
    assert!(last("attempt").closed && last("request").closed);

    drop(within(file.download().send()).await.unwrap());
    assert!(last("attempt").closed, "a body that is dropped ends it as well");

    // A cut is an error of the exchange that was cut, an event, and a request more.
    server.inject(Fault::reset_response_after(300_000).on("GET", "/content"));
    within(within(file.download().send()).await.unwrap().bytes(1 << 20)).await.unwrap();
    let attempts = &traces.all("attempt")[before + 2..];
    let told: Vec<_> =
        attempts.iter().map(|a| (a.field("http.response.status_code").unwrap(), a.field("error.type"))).collect();
    assert_eq!(told, [("200", Some("interrupted")), ("206", None)]);
    let resumed = last("going on with the download");
    assert!(resumed.field("position").unwrap().parse::<u64>().unwrap() > 0, "{resumed:?}");
}

#[tokio::test]
async fn what_is_fetched_ahead_is_within_the_span_of_the_caller() {
    let (server, traces, _guard) = traced().await;
    let client = admin(&server);
    for _ in 0..3 {
        bucket(&client).await;
    }
    let before = traces.all("request").len();
    let listing = client.buckets().list_all().limit(2).items().try_collect::<Vec<_>>();
    assert_eq!(within(listing.instrument(tracing::info_span!("job"))).await.unwrap().len(), 3);
    let pages = &traces.all("request")[before..];
    assert_eq!(pages.len(), 2);
    assert!(pages.iter().all(|page| page.parent.as_deref() == Some("job")), "{pages:?}");
}

#[tokio::test]
async fn an_upload_with_a_token_shows_none() {
    let (server, traces, _guard) = traced().await;
    let bucket = bucket(&admin(&server)).await;
    let token = bucket.upload_tokens().create().await.unwrap().token;
    let upload = bucket.file("ü.txt").upload("x".as_bytes()).upload_token(&token);
    within(upload.send()).await.unwrap();
    let raw = admin(&server).request(http::Method::GET, "/healthz").query("token", token.expose());
    within(raw.send()).await.unwrap();
    let all = format!("{:?}", traces.0.lock().unwrap());
    assert!(all.contains("token=REDACTED") && all.contains("{id}/upload"), "{all}");
    assert!(!all.contains(token.expose()) && !all.contains(server.admin_key()), "{all}");
}

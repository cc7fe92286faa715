//! The web service of the dashboard: a page, its events, uploads streamed through, deletions.
//!
//! It has no accounts, so it is for this machine only: it is to be bound to a loopback address, answers to loopback names
//! only (a web page elsewhere could otherwise reach it through a DNS name of its own), and allows no other origin to use
//! it. The credential stays here; the page never sees it, nor the server's address.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse, Response, Sse};
use axum::routing::{get, put};
use axum::{Json, Router};
use carbonfiles::events::{Changes, ConnectionState, Mirror};
use carbonfiles::{Bucket, Client, ErrorKind, Source};
use futures::{Stream, StreamExt, TryStreamExt};
use serde_json::json;

/// The largest upload that is passed on.
pub(crate) const LARGEST_UPLOAD: u64 = 2 << 30;

/// No longer does a browser wait for a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Scripts and styles of our own only, nothing inline: a name that slips through unescaped still can't run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct Dashboard {
    client: Client,
    bucket: Bucket,
    name: String,
    mirror: Mirror,
}

type Shared = State<Arc<Dashboard>>;

/// The service for one bucket; ready when the bucket has been listed.
pub(crate) async fn router(client: Client, bucket_id: &str) -> carbonfiles::Result<Router> {
    let bucket = client.bucket(bucket_id);
    let name = bucket.get().await?.bucket.name;
    let mirror = bucket.mirror().await?;
    let dashboard = Arc::new(Dashboard { client, bucket, name, mirror });
    Ok(Router::new()
        .route("/", get(|| async { page("text/html; charset=utf-8", include_str!("page.html")) }))
        .route("/page.css", get(|| async { page("text/css; charset=utf-8", include_str!("page.css")) }))
        .route("/page.js", get(|| async { page("text/javascript; charset=utf-8", include_str!("page.js")) }))
        .route("/events", get(events))
        .route("/files/{*path}", put(upload).delete(delete))
        .layer(middleware::from_fn(loopback_only))
        .with_state(dashboard))
}

fn page(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, text)
}

/// Refuses requests that name another host.
async fn loopback_only(request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    match name {
        "127.0.0.1" | "localhost" | "[::1]" => next.run(request).await,
        _ => refused(StatusCode::MISDIRECTED_REQUEST, "this dashboard is for this machine only"),
    }
}

fn refused(status: StatusCode, error: impl std::fmt::Display) -> Response {
    (status, Json(json!({ "error": error.to_string() }))).into_response()
}

/// What went wrong, as a status and in words: without the request, whose URL is not the page's business.
fn failed(error: &carbonfiles::Error) -> Response {
    let status = match error.kind() {
        ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::BAD_GATEWAY,
    };
    refused(status, error.message())
}

/// Server-sent events: what changed since the browser's `Last-Event-ID` (everything, to a new one), then every change;
/// and the state of the connection to CarbonFiles.
async fn events(State(dashboard): Shared, headers: HeaderMap) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let about = Event::default()
        .event("about")
        .data(json!({ "bucket": dashboard.name, "largest": LARGEST_UPLOAD }).to_string());
    let files = dashboard.mirror.follow(seen.unwrap_or(0)).map(|changes| match changes {
        Ok(changes) => of_changes(&changes),
        Err(error) => Event::default().event("over").data(error.message()),
    });
    // The last error is for the eye: at that, the page closes the stream. For others the states go on.
    let states = dashboard.client.events().state().map(|state| of_state(&state));
    let events = futures::stream::iter([about]).chain(futures::stream::select(files, states)).map(Ok);
    Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT))
}

fn of_changes(changes: &Changes) -> Event {
    let data = serde_json::to_string(changes).unwrap_or_default();
    Event::default().event("files").id(changes.revision.to_string()).data(data)
}

/// By its name alone: the reason for there being no connection names the server's URL.
fn of_state(state: &ConnectionState) -> Event {
    Event::default().event("state").data(match state {
        ConnectionState::Connected => "connected",
        ConnectionState::Waiting { .. } => "waiting",
        ConnectionState::Refused { .. } => "refused",
        _ => "connecting",
    })
}

/// Passes an upload on while it comes: the browser sends as fast as CarbonFiles takes it, and nothing is kept here.
async fn upload(State(dashboard): Shared, Path(path): Path<String>, headers: HeaderMap, body: Body) -> Response {
    let length =
        headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()).and_then(|length| length.parse().ok());
    let length: u64 = match length {
        None => return refused(StatusCode::LENGTH_REQUIRED, "an upload must say how long it is"),
        Some(length) if length > LARGEST_UPLOAD => {
            return refused(StatusCode::PAYLOAD_TOO_LARGE, format!("more than {LARGEST_UPLOAD} bytes"));
        }
        Some(length) => length,
    };
    // A path that is none (`..`, a backslash) is refused by the crate before anything is sent. A browser that goes away
    // breaks the stream, and then nothing is stored.
    let source = Source::stream(body.into_data_stream().map_err(std::io::Error::other)).size(length);
    match dashboard.bucket.file(path).upload(source).await {
        Ok(stored) => (StatusCode::CREATED, Json(json!({ "path": stored.path, "size": stored.size }))).into_response(),
        Err(error) => failed(&error),
    }
}

async fn delete(State(dashboard): Shared, Path(path): Path<String>) -> Response {
    match dashboard.bucket.file(path).delete().await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => failed(&error),
    }
}

//! A web service that passes files on: downloads with ranges and conditions, uploads as they come, nothing in memory.
//!
//! ```console
//! CARBONFILES_URL=https://files.example.com CARBONFILES_TOKEN=cf4_… cargo run --example service -- BUCKET 127.0.0.1:3000
//! cargo run --example service -- --demo
//! curl -T photo.jpg http://127.0.0.1:3000/files/docs/photo.jpg
//! curl -r 0-99 http://127.0.0.1:3000/files/docs/photo.jpg
//! ```

#[allow(dead_code, reason = "each example uses a part of it")]
#[path = "common/mod.rs"]
mod common;

use std::process::ExitCode;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use carbonfiles::{Bucket, ContentInfo, Error, ErrorKind, File, Source};
use common::{Failure, Service};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    common::exit(run().await)
}

async fn run() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let demo = arguments.first().is_some_and(|first| first == "--demo");
    let service = Service::find(demo).await?;
    let bucket = match &arguments[..] {
        [flag, ..] if flag == "--demo" => service.client.buckets().create("service").await?.id,
        [bucket, ..] => bucket.clone(),
        [] => return Err("usage: service BUCKET [ADDRESS], or service --demo".into()),
    };
    let address = arguments.get(1).map_or("127.0.0.1:3000", String::as_str);
    let listener = TcpListener::bind(address).await?;
    println!("http://{}/files/…", listener.local_addr()?);
    axum::serve(listener, router(service.client.bucket(bucket))).await?;
    Ok(())
}

/// The routes of the service: one resource, `/files/{path}`.
pub(crate) fn router(bucket: Bucket) -> Router {
    // `get` alone would answer HEAD too, by beginning a download.
    let files = get(download).head(head).put(upload);
    Router::new().route("/files/{*path}", files).with_state(bucket)
}

/// What went wrong, as the service's own answer.
struct Refusal(Error);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let status = match error.kind() {
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
            ErrorKind::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
            ErrorKind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            ErrorKind::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            // The source is the body of a request: who sends it broke off.
            ErrorKind::Io => StatusCode::BAD_REQUEST,
            _ if error.retry_after().is_some() => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            // Also where this service's own credential is not good enough: that is not the user's fault.
            _ => StatusCode::BAD_GATEWAY,
        };
        if status.is_server_error() {
            eprintln!("{error}");
        }
        // The words of an error name the server behind; a public service keeps them to itself.
        let mut response = (status, status.canonical_reason().unwrap_or_default()).into_response();
        if let Some(after) = error.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, after.as_secs().max(1).into());
        }
        response
    }
}

/// `Range` of one range, as the crate takes it. Anything else may be ignored (RFC 9110 section 14.2): the whole is sent.
enum Wanted {
    Whole,
    From(u64),
    FromTo(u64, u64),
    Last(u64),
}

impl Wanted {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let Some((first, last)) =
            text(header::RANGE).and_then(|range| range.strip_prefix("bytes=")).and_then(|range| range.split_once('-'))
        else {
            return Self::Whole;
        };
        match (first.trim().parse(), last.trim().parse()) {
            (Ok(first), Ok(last)) if first <= last => Self::FromTo(first, last),
            (Ok(first), Err(_)) if last.trim().is_empty() => Self::From(first),
            (Err(_), Ok(last)) if first.trim().is_empty() => Self::Last(last),
            _ => Self::Whole,
        }
    }
}

async fn download(
    State(bucket): State<Bucket>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let file = bucket.file(path);
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let mut download = file.download();
    download = match Wanted::of(&headers) {
        Wanted::Whole => download,
        Wanted::From(first) => download.range(first..),
        Wanted::FromTo(first, last) => download.range(first..=last),
        Wanted::Last(0) => return unsatisfiable(&file).await,
        Wanted::Last(bytes) => download.last(bytes),
    };
    // With If-Range, a range is of that content, or it is the whole of what there is.
    let if_range = text(header::IF_RANGE).filter(|_| headers.contains_key(header::RANGE));
    if let Some(etag) = if_range.or(text(header::IF_MATCH)) {
        download = download.if_match(etag);
    }
    let answer = match text(header::IF_NONE_MATCH) {
        None => download.await.map(Some),
        Some(etag) => download.if_none_match(etag).await,
    };
    let answer = match answer {
        Err(error) if error.kind() == ErrorKind::PreconditionFailed && if_range.is_some() => {
            file.download().await.map(Some)
        }
        Err(error) if error.kind() == ErrorKind::RangeNotSatisfiable => return unsatisfiable(&file).await,
        answer => answer,
    };
    match answer? {
        // Status, lengths, type, ETag and the like come with it; the body streams, and breaks off where its source does.
        Some(download) => {
            let mut response = download.into_http_response().map(Body::from_stream);
            defuse(response.headers_mut());
            Ok(response)
        }
        None => {
            let mut response = StatusCode::NOT_MODIFIED.into_response();
            // A 304 names the ETag (RFC 9110 section 15.4.5), which this server leaves out.
            if let Some(etag) = file.head().await?.etag.and_then(|etag| HeaderValue::try_from(etag).ok()) {
                response.headers_mut().insert(header::ETAG, etag);
            }
            Ok(response)
        }
    }
}

/// Anybody may have uploaded it: no browser is to take it for a page of this origin.
fn defuse(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
}

/// A 416 says how long the content is.
async fn unsatisfiable(file: &File) -> Result<Response, Refusal> {
    let length = file.head().await?.length.unwrap_or(0);
    let headers = [(header::CONTENT_RANGE, format!("bytes */{length}"))];
    Ok((StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response())
}

async fn head(State(bucket): State<Bucket>, Path(path): Path<String>) -> Result<Response, Refusal> {
    let info: ContentInfo = bucket.file(path).head().await?;
    let mut response = Response::new(Body::empty());
    let mut set = |name: HeaderName, value: Option<String>| {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            response.headers_mut().insert(name, value);
        }
    };
    set(header::CONTENT_LENGTH, info.length.map(|length| length.to_string()));
    set(header::CONTENT_TYPE, info.content_type);
    set(header::ETAG, info.etag);
    set(header::LAST_MODIFIED, info.last_modified.map(|at| at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()));
    set(header::ACCEPT_RANGES, Some("bytes".to_owned()));
    defuse(response.headers_mut());
    Ok(response)
}

async fn upload(State(bucket): State<Bucket>, Path(path): Path<String>, request: Request) -> Result<Response, Refusal> {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    // Passed on as it comes. A body that breaks off fails the upload, and nothing is stored.
    let mut source = Source::stream(request.into_body().into_data_stream());
    if let Some(length) = length {
        source = source.size(length);
    }
    let done = bucket.file(path).upload(source).await?;
    let etag = done.sha256.as_ref().map_or_else(String::new, |hash| format!("\"{hash}\""));
    Ok((StatusCode::CREATED, [(header::ETAG, etag)]).into_response())
}

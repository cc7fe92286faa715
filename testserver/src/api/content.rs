//! `GET|HEAD …/files/{path}/content`

use std::ops::Range;
use std::time::SystemTime;

use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue, LAST_MODIFIED,
};
use hyper::{Response, StatusCode};

use super::files;
use crate::content::{Blob, hex};
use crate::http::conditional::{self, Validators, Verdict};
use crate::http::disposition;
use crate::http::exchange::Exchange;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};
use crate::http::reply_body::ReplyBody;
use crate::mime;
use crate::state::bucket::File;

pub(super) fn get(exchange: &Exchange, id: &str, path: &str) -> Result<Reply, Refusal> {
    let file = files::remembered(exchange, id, path)?;
    let etag = format!("\"{}\"", hex(&file.hash));
    // Where the bytes are is looked up anew.
    let stored = files::find(exchange, id, path)?.hash;
    // Before anybody looks for the bytes.
    if conditional::is_not_modified(&exchange.head.headers, &etag, file.updated_at) {
        return Ok(reply::empty(StatusCode::NOT_MODIFIED));
    }
    let blob = exchange.shared.state().contents.blob(&stored).ok_or(Refusal::NotFound("File not found"))?;
    // Altered bytes are served with the old ETag, but with their real length.
    let size = blob.length();
    let validators = Validators { etag: &etag, updated_at: file.updated_at, size };
    let now = exchange.shared.now();
    let verdict = validators.judge(&exchange.head.headers, now);

    // Whatever the conditions come to from here on.
    if let Some(bucket) = exchange.shared.state().bucket_mut(id) {
        bucket.last_used_at = Some(now);
    }
    let describes = matches!(verdict, Verdict::Whole | Verdict::Part(_) | Verdict::Unsatisfiable);
    let mut reply = match verdict {
        Verdict::NotModified => reply::empty(StatusCode::NOT_MODIFIED),
        Verdict::PreconditionFailed => reply::empty(StatusCode::PRECONDITION_FAILED),
        Verdict::Whole => bytes(StatusCode::OK, &blob, 0..size),
        Verdict::Part(range) => {
            let told = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            let mut part = bytes(StatusCode::PARTIAL_CONTENT, &blob, range);
            set(part.headers_mut(), CONTENT_RANGE, told);
            part
        }
        Verdict::Unsatisfiable => {
            let mut refused = reply::empty(StatusCode::RANGE_NOT_SATISFIABLE);
            set(refused.headers_mut(), CONTENT_RANGE, format!("bytes */{size}"));
            refused
        }
    };
    let headers = reply.headers_mut();
    headers.insert(CACHE_CONTROL, reply::text("public, no-cache"));
    let modified = httpdate::fmt_http_date(SystemTime::from(validators.last_modified()));
    set(headers, LAST_MODIFIED, modified);
    set(headers, ETAG, etag);
    if describes {
        describe(exchange, &file, headers);
    }
    files::mark(&mut reply, id, path);
    Ok(reply)
}

fn bytes(status: StatusCode, blob: &Blob, range: Range<u64>) -> Reply {
    let length = range.end - range.start;
    let mut reply = Response::new(ReplyBody::content(blob.read(range), length));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    reply
}

/// What only answers about the bytes themselves carry.
fn describe(exchange: &Exchange, file: &File, headers: &mut HeaderMap) {
    headers.insert(ACCEPT_RANGES, reply::text("bytes"));
    set(headers, CONTENT_TYPE, mime::content_type(file.mime_type));
    // Exactly so; `TRUE` or `1` is an inline answer.
    if exchange.query.text("download").as_deref() == Some("true") {
        set(headers, CONTENT_DISPOSITION, disposition::attachment(file.name()));
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

//! Answers, read with a limit on size and on standing still.

use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures::poll;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use super::classify::exchange_error;
use super::options::over_limit;
use super::secrets::redact;
use super::trace::AttemptSpan;
use super::watchdog::later;
use crate::error::{Error, ErrorKind, Fate, RequestContext, Result, TimeoutPhase};

/// An answer whose status was expected. It is handed on by value, step by step, so what it is made of lies in a box.
pub(crate) struct Response(Box<Answer>);

/// What a [`Response`] is made of.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: ResponseBody,
    pub(crate) exchange: Exchange,
    pub(crate) limits: ReadLimits,
    /// The ETag that the API gave where it redirected to this answer.
    pub(crate) api_etag: Option<HeaderValue>,
    /// The "not found" that this answer stands for: an attempt before it, of unknown fate, is taken to have deleted the
    /// thing.
    pub(crate) presumed: Option<Error>,
}

/// Which request an answer belongs to; put into words only where there is an error to tell.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub(crate) method: Method,
    pub(crate) url: Arc<Url>,
    pub(crate) attempts: u32,
    pub(crate) start: Instant,
    pub(crate) bytes_sent: u64,
    /// Open until the body has been read or dropped.
    pub(crate) span: AttemptSpan,
}

impl Exchange {
    pub(crate) fn context(&self) -> RequestContext {
        RequestContext {
            method: self.method.clone(),
            url: redact(&self.url),
            attempts: self.attempts,
            elapsed: self.start.elapsed(),
            bytes_sent: self.bytes_sent,
        }
    }
}

pub(crate) enum ResponseBody {
    Whole(Bytes),
    Streamed(Box<reqwest::Response>),
}

/// How long reading may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadLimits {
    pub(crate) idle: Duration,
    pub(crate) deadline: Option<Instant>,
}

impl Deref for Response {
    type Target = Answer;

    fn deref(&self) -> &Answer {
        &self.0
    }
}

impl DerefMut for Response {
    fn deref_mut(&mut self) -> &mut Answer {
        &mut self.0
    }
}

impl From<Answer> for Response {
    fn from(answer: Answer) -> Self {
        Self(Box::new(answer))
    }
}

impl Response {
    /// The next piece of the body.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let limits = self.limits;
        let next = match &mut self.body {
            ResponseBody::Whole(body) => return Ok(Some(std::mem::take(body)).filter(|b| !b.is_empty())),
            ResponseBody::Streamed(response) => chunk(response, &limits, None).await,
        };
        next.map_err(|error| {
            let error = error.with_status(self.status).with_fate(Fate::Unknown).with_request(self.exchange.context());
            self.exchange.span.broke(&error);
            error
        })
    }

    /// The same answer without its body.
    pub(crate) fn head(&self) -> Self {
        let (body, exchange) = (ResponseBody::Whole(Bytes::new()), self.exchange.clone());
        let (headers, api_etag) = (self.headers.clone(), self.api_etag.clone());
        Answer { status: self.status, headers, body, exchange, limits: self.limits, api_etag, presumed: None }.into()
    }

    /// The server's time at which it was made.
    pub(crate) fn date(&self) -> Option<DateTime<Utc>> {
        let date = self.headers.get(header::DATE)?.to_str().ok()?;
        httpdate::parse_http_date(date).ok().map(DateTime::from)
    }

    /// Says which part of the whole its body is.
    pub(crate) fn describe_part(&mut self, start: u64, end: u64, total: u64) {
        let range = format!("bytes {start}-{}/{total}", end.saturating_sub(1));
        if let Ok(range) = HeaderValue::try_from(range) {
            self.headers.insert(header::CONTENT_RANGE, range);
        }
        self.headers.insert(header::CONTENT_LENGTH, end.saturating_sub(start).into());
    }

    /// An error about this answer.
    pub(crate) fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, message).with_status(self.status).with_request(self.exchange.context())
    }

    /// The whole body; `Receive::Whole` has read it already.
    pub(crate) fn whole(&self) -> &Bytes {
        static EMPTY: Bytes = Bytes::new();
        match &self.body {
            ResponseBody::Whole(body) => body,
            ResponseBody::Streamed(_) => &EMPTY,
        }
    }

    pub(crate) fn json<T: DeserializeOwned>(self) -> Result<T> {
        let body = self.whole();
        serde_json::from_slice(body).map_err(|cause| {
            let message = match body.is_empty() {
                true => "the answer has no body where JSON was expected",
                false => "the answer is not the JSON that was expected",
            };
            self.error(ErrorKind::Decode, message).caused_by(Misread::from(cause))
        })
    }
}

/// Why JSON could not be read, without the texts in it: one of them may be the key that was to be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Misread(String);

impl From<serde_json::Error> for Misread {
    fn from(cause: serde_json::Error) -> Self {
        /// What stands before a text in serde's words, and what ends it.
        const SHOWN: [(&str, char); 3] = [("string \"", '"'), ("unknown variant `", '`'), ("unknown field `", '`')];
        let told = cause.to_string();
        let first = SHOWN.iter().filter_map(|(shown, end)| Some((told.find(shown)? + shown.len(), *end))).min();
        let Some((start, end)) = first else { return Self(told) };
        // What follows a text is the crate's own, which tells where it ends: the text may hold whatever ends one.
        let rest =
            [", expected ", ", there are no "].iter().filter_map(|then| told.rfind(&format!("{end}{then}"))).max();
        let rest = rest.filter(|rest| *rest >= start).map_or(String::from(end), |rest| told[rest..].to_owned());
        Self(format!("{}…{rest}", &told[..start]))
    }
}

/// One piece of a streamed body, within the limits, and before `end` where all of it has to be there by then.
async fn chunk(response: &mut reqwest::Response, limits: &ReadLimits, end: Option<Instant>) -> Result<Option<Bytes>> {
    let mut next = pin!(response.chunk());
    // Most of what is asked for is there already: a timer would be set for nothing.
    if let Poll::Ready(read) = poll!(next.as_mut()) {
        return read.map_err(exchange_error);
    }
    let idle = later(Instant::now(), limits.idle);
    let by = |end: Option<Instant>| end.map_or(idle, |end| end.min(idle));
    let until = by(limits.deadline).min(by(end));
    if let Ok(read) = timeout_at(until, next).await {
        return read.map_err(exchange_error);
    }
    let message = match until < idle {
        true if by(limits.deadline) == until => return Err(over_limit()),
        true => "the answer took too long to come",
        false => "the answer's body stood still for too long",
    };
    Err(Error::new(ErrorKind::Timeout(TimeoutPhase::Receive), message))
}

/// What an answer that is read whole brings in a second at least, or a server could hold its caller for ever by a byte now and
/// then.
const SLOWEST: usize = 10 << 10;

/// The whole of a streamed body, refused when it is longer than `limit`. It may take as long as an answer may be waited for, and
/// as its limit takes over a slow link.
pub(crate) async fn read_whole(
    response: &mut reqwest::Response,
    limit: usize,
    patience: Duration,
    limits: &ReadLimits,
) -> Result<Bytes> {
    let too_long = || Error::new(ErrorKind::Decode, format!("the answer is longer than the {limit} bytes expected"));
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Err(too_long());
    }
    let end = Some(later(Instant::now(), patience.saturating_add(Duration::from_secs((limit / SLOWEST) as u64))));
    let Some(first) = chunk(response, limits, end).await? else { return Ok(Bytes::new()) };
    let mut whole: Option<BytesMut> = None;
    while let Some(more) = chunk(response, limits, end).await? {
        let whole = whole.get_or_insert_with(|| BytesMut::from(&first[..]));
        if whole.len() + more.len() > limit {
            return Err(too_long());
        }
        whole.extend_from_slice(&more);
    }
    let body = whole.map_or(first, BytesMut::freeze);
    if body.len() > limit { Err(too_long()) } else { Ok(body) }
}

/// As much of an error's body as comes within limits; what breaks is left out.
pub(crate) async fn read_excerpt(response: &mut reqwest::Response, limit: usize, patience: Duration) -> Bytes {
    let mut excerpt = BytesMut::new();
    let _ = timeout(patience, async {
        while excerpt.len() < limit {
            match response.chunk().await {
                Ok(Some(data)) => excerpt.extend_from_slice(&data[..data.len().min(limit - excerpt.len())]),
                Ok(None) | Err(_) => break,
            }
        }
    })
    .await;
    excerpt.freeze()
}

#[cfg(test)]
#[path = "response/tests.rs"]
mod tests;

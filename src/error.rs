//! The one error type of this crate: what kind it is, what the server said, and what was being done.

mod io;
mod kind;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;

pub use kind::{ErrorKind, TimeoutPhase};

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An error of this crate. Clones share the cause.
///
/// `Display` says what happened in one line, control characters escaped, with the request it happened to;
/// [`std::error::Error::source`] has the cause. No credential is ever part of it: query parameters that carry secrets are cut
/// out of the URL.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    status: Option<StatusCode>,
    retry_after: Option<Duration>,
    headers: Option<Arc<HeaderMap>>,
    details: Details,
    request: Option<RequestContext>,
    fate: Fate,
    /// An attempt before the last of the call may have been carried out.
    may_be_done: bool,
    /// Shared, since one cause may end several streams of events, or calls.
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What a service says about a refusal beside its words; which of it there is depends on the service.
#[derive(Debug, Clone, Default)]
pub(crate) struct Details {
    pub(crate) code: Option<String>,
    pub(crate) max_bytes: Option<u64>,
    pub(crate) permission: Option<String>,
    /// The URL was good once: a fresh one would do.
    pub(crate) expired: bool,
    /// The service says the same to a credential that it does not know.
    pub(crate) perhaps_unknown: bool,
    /// It is the service that knows of no such thing: what is on the way to it has 404s as well.
    pub(crate) absent: bool,
    pub(crate) fields: Vec<FieldError>,
}

/// What a service found wrong with one part of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FieldError {
    /// Where it is, from the outside in: `["query", "per_page"]`, `["body", "ids", "0"]`.
    pub location: Vec<String>,
    /// The service's word for the kind of fault, such as `less_than_equal`.
    pub code: String,
    /// What is wrong, in the service's words.
    pub message: String,
}

/// The request that an error belongs to.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext {
    pub(crate) method: Method,
    /// Without secrets.
    pub(crate) url: String,
    pub(crate) attempts: u32,
    pub(crate) elapsed: Duration,
    pub(crate) bytes_sent: u64,
}

/// What is known about whether the server acted on the last attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing reached the server.
    NeverSent,
    /// It may have been carried out.
    Unknown,
    /// The server answered.
    Answered,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            hint: None,
            status: None,
            retry_after: None,
            headers: None,
            details: Details::default(),
            request: None,
            fate: Fate::NeverSent,
            may_be_done: false,
            source: None,
        }))
    }

    /// An argument that can't be used, found before anything was sent.
    pub(crate) fn invalid_input(argument: &'static str, message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::InvalidInput, format!("invalid {argument}: {message}"))
    }

    pub(crate) fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::new(ErrorKind::Io, what).caused_by(source)
    }

    pub(crate) fn caused_by(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into().into());
        self
    }

    pub(crate) fn with_fate(mut self, fate: Fate) -> Self {
        self.0.fate = fate;
        self
    }

    /// It ended a call before the request was sent, whatever other requests it is about.
    pub(crate) fn never_sent(self) -> Self {
        self.with_fate(Fate::NeverSent)
    }

    /// An attempt before may have been carried out, if so.
    pub(crate) fn unless_done(mut self, may_be_done: bool) -> Self {
        self.0.may_be_done |= may_be_done;
        self
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = Some(status);
        self.0.fate = Fate::Answered;
        self
    }

    pub(crate) fn with_retry_after(mut self, after: Option<Duration>) -> Self {
        self.0.retry_after = after;
        self
    }

    pub(crate) fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.0.headers = Some(Arc::new(headers));
        self
    }

    pub(crate) fn with_details(mut self, details: Details) -> Self {
        self.0.details = details;
        self
    }

    /// Adds the request, unless a layer below has done so.
    pub(crate) fn with_request(mut self, request: RequestContext) -> Self {
        self.0.request.get_or_insert(request);
        self
    }

    /// Counts what the same call did before it came to that error.
    pub(crate) fn after(mut self, earlier: Option<&Self>) -> Self {
        let Some(earlier) = earlier else { return self };
        if let Some(request) = &mut self.0.request {
            request.attempts += earlier.attempts();
        }
        self.unless_done(earlier.may_have_been_done())
    }

    pub(crate) fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// It was refused because its presigned URL has expired.
    pub(crate) fn tells_of_expired_url(&self) -> bool {
        self.0.details.expired
    }

    /// The server did not know the credential, or may not have: 401, or what a service says in its place.
    pub(crate) fn tells_of_unknown_credential(&self) -> bool {
        let unknown = self.kind() == ErrorKind::Unauthenticated || self.status() == Some(StatusCode::UNAUTHORIZED);
        self.fate() == Fate::Answered && (unknown || self.0.details.perhaps_unknown)
    }

    /// The service itself says that there is no such thing.
    pub(crate) fn tells_of_absence(&self) -> bool {
        self.0.details.absent
    }

    /// Nothing, where the service itself says that there is nothing.
    pub(crate) fn or_none<T>(self) -> Result<Option<T>> {
        if self.tells_of_absence() { Ok(None) } else { Err(self) }
    }

    pub(crate) fn fate(&self) -> Fate {
        self.0.fate
    }

    /// What went wrong, for code to decide on.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The status of the answer, where there was one.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// What happened: the server's own words where it gave any. Never empty.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to do about it, where the server or this crate knows.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The time that the server asked to wait before another try (`Retry-After`, RFC 9110 section 10.2.3).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The headers of the answer that refused the request, such as a proxy's `X-Request-Id`; `None` for every other error. They
    /// are the server's, unchecked, and in neither `Display` nor `Debug`.
    #[must_use]
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.0.headers.as_deref()
    }

    /// The service's own word for this error, where it has one: `file_storage.too_large`, or `AccessDenied` of an S3. For
    /// code to match on where the [`kind`](Self::kind) is too coarse.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.details.code.as_deref()
    }

    /// The most bytes that the server would have taken, where it says so. Of file_storage without a [`code`](Self::code) it is
    /// the limit of a whole request, 1 MiB more than a file may have.
    #[must_use]
    pub fn max_bytes(&self) -> Option<u64> {
        self.0.details.max_bytes
    }

    /// The permission that the credential lacks, where the server names it: `file_storage.upload`.
    #[must_use]
    pub fn missing_permission(&self) -> Option<&str> {
        self.0.details.permission.as_deref()
    }

    /// What is wrong with which part of the request, where the server says so; else empty.
    #[must_use]
    pub fn field_errors(&self) -> &[FieldError] {
        &self.0.details.fields
    }

    /// The method of the request.
    #[must_use]
    pub fn method(&self) -> Option<&Method> {
        self.0.request.as_ref().map(|r| &r.method)
    }

    /// The URL of the request, without secrets.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.0.request.as_ref().map(|r| r.url.as_str())
    }

    /// How many times the request was tried, counting tries that found no connection or had no credential fit for it; 0 where
    /// it ended before the first: an argument was refused, or its turn never came.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.request.as_ref().map_or(0, |r| r.attempts)
    }

    /// The time from the start of the call, its first poll, to the error: waiting for a turn or a token, look-ups and retries
    /// included. `None` for an error that belongs to no request.
    #[must_use]
    pub fn elapsed(&self) -> Option<Duration> {
        self.0.request.as_ref().map(|r| r.elapsed)
    }

    /// How many bytes of the body the last attempt handed to the transport: 0 where there was no connection.
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        self.0.request.as_ref().map_or(0, |r| r.bytes_sent)
    }

    /// An argument is not usable.
    #[must_use]
    pub fn is_invalid_input(&self) -> bool {
        self.kind() == ErrorKind::InvalidInput
    }

    /// There is no such thing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind() == ErrorKind::NotFound
    }

    /// The credential is missing, bad, or does not allow this.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self.kind(), ErrorKind::Unauthenticated | ErrorKind::PermissionDenied)
    }

    /// A time limit passed.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.kind(), ErrorKind::Timeout(_))
    }

    /// No connection could be made.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        matches!(self.kind(), ErrorKind::Connect | ErrorKind::Timeout(TimeoutPhase::Connect))
    }

    /// The same call, made again later, may succeed. Whether making it again is safe is the caller's knowledge: this
    /// crate has already repeated what is safe to repeat.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.kind() {
            ErrorKind::Connect | ErrorKind::Interrupted | ErrorKind::RateLimited | ErrorKind::Timeout(_) => true,
            ErrorKind::Server => self.status().is_none_or(|s| s != StatusCode::NOT_IMPLEMENTED),
            _ => false,
        }
    }

    /// Whether the server may have done what was asked for, although the call failed: by the last attempt or by one before.
    /// Then look before you ask again for what is not the same when it is done twice, such as making a bucket.
    ///
    /// `false` is certain: nothing was sent, or each attempt was refused (4xx, 501, 507) before it changed anything. `true`
    /// is not: the answer was lost or late, the server failed (another 5xx), or it answered what can't be understood. A batch
    /// or a sync has an error for each file.
    ///
    /// ```no_run
    /// # async fn f(client: carbonfiles::Client) -> carbonfiles::Result<()> {
    /// match client.buckets().create("photos").await {
    ///     Err(error) if error.may_have_been_done() => println!("look among the buckets first: {error}"),
    ///     Err(error) if error.is_retryable() => println!("try again later: {error}"),
    ///     other => println!("{}", other?.id),
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn may_have_been_done(&self) -> bool {
        let last = match (self.0.fate, self.0.status.map(|status| status.as_u16())) {
            (Fate::NeverSent, _) => false,
            (Fate::Unknown, _) | (Fate::Answered, None) => true,
            // Done, and the answer is of no use.
            (Fate::Answered, Some(200..=299 | 303)) => true,
            (Fate::Answered, Some(501 | 505 | 507)) => false,
            (Fate::Answered, Some(status)) => status >= 500,
        };
        last || self.0.may_be_done
    }

    fn line(&self) -> String {
        use fmt::Write;
        let inner = &self.0;
        let mut line = shown(&inner.message);
        if let Some(hint) = &inner.hint {
            let _ = write!(line, ". {}", shown(hint));
        }
        let mut notes = Vec::new();
        if let Some(status) = inner.status {
            notes.push(format!("status {}", status.as_u16()));
        }
        if let Some(request) = &inner.request {
            notes.push(format!("{} {}", request.method, request.url));
            if request.attempts > 1 {
                notes.push(format!("{} attempts", request.attempts));
            }
        }
        if !notes.is_empty() {
            let _ = write!(line, " ({})", notes.join(", "));
        }
        line
    }
}

/// A text in one line, fit for a terminal: a peer may have chosen names in it. What would steer the terminal, or turn the
/// direction of the text around, is escaped.
fn shown(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => line.push(' '),
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                line.extend(c.escape_unicode());
            }
            _ if c.is_control() => line.extend(c.escape_unicode()),
            _ => line.push(c),
        }
    }
    line
}

/// Why the system refused: by the name that the reason has on all of them, else in the system's own words.
pub(crate) fn reason(error: &std::io::Error) -> String {
    // The kind of whatever has no name.
    let nameless = std::io::Error::from_raw_os_error(i32::MAX).kind();
    match error.raw_os_error() {
        Some(_) if error.kind() != nameless => error.kind().to_string(),
        _ => error.to_string(),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        let mut out = f.debug_struct("Error");
        out.field("kind", &inner.kind).field("message", &inner.message);
        if let Some(hint) = &inner.hint {
            out.field("hint", hint);
        }
        if let Some(status) = &inner.status {
            out.field("status", &status.as_u16());
        }
        if let Some(code) = self.code() {
            out.field("code", &code);
        }
        if let Some(request) = &inner.request {
            out.field("request", request);
        }
        if let Some(source) = &inner.source {
            out.field("source", source);
        }
        out.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_peer_has_chosen_steers_no_terminal() {
        let error =
            Error::new(ErrorKind::Io, "a\u{1b}]0;x\u{7}/\u{202e}gpj.exe\nb\u{9b}é").with_hint("\u{2066}c\t\u{7f}");
        let line = error.to_string();
        assert_eq!(line, r"a\u{1b}]0;x\u{7}/\u{202e}gpj.exe b\u{9b}é. \u{2066}c \u{7f}".replace(r"\\", r"\"));
        assert!(!format!("{error:?}").chars().any(char::is_control));
    }
}

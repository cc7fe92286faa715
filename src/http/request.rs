//! What to send, and what may be done with it when it fails.

use std::ops::{Deref, DerefMut};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::Serialize;
use url::form_urlencoded;

use super::elsewhere::Elsewhere;
use super::options::CallOptions;
use super::refusal::Dialect;
use crate::auth::Token;
use crate::error::{Error, Result};

/// Whether a request may be sent again when it is not known what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replay {
    /// Doing it twice does the same as doing it once.
    Safe,
    /// As `Safe`; and where the thing is gone after an attempt of unknown fate, or one that got a 500 or a 503, that attempt did
    /// it.
    Deletion,
    /// Only what certainly never reached the server is sent again.
    Never,
    /// As `Never`; but the server does nothing before it has the whole body, so an attempt that broke before that may be
    /// repeated. So may one that was turned away for now (408, 429); a 503 may be a gateway's, who has passed the body on,
    /// and counts only before its last byte.
    #[cfg_attr(not(feature = "file-storage"), allow(dead_code, reason = "for a service behind a feature"))]
    UnlessSentWhole,
}

/// Which credential goes with a request.
#[derive(Debug, Clone)]
pub(crate) enum Authorization {
    /// None, whatever the client has.
    #[allow(dead_code, reason = "for services behind features")]
    Never,
    /// The client's, if it has one; a guest's upload token stays at home.
    Optional,
    /// The client's. A guest is refused before anything is sent.
    Required,
    /// The client's, where a guest's upload token goes into the query.
    Upload,
    /// This upload token, in the query, and nothing else: beside a valid credential the server would not look at it.
    UploadToken(Token),
}

/// How much of the answer belongs to the attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Receive {
    /// The head: the body is streamed to the caller.
    Head,
    /// All of it, at most so many bytes: a body that breaks off is a failed attempt.
    Whole(usize),
}

/// The longest answer about one thing that is read. What the services say of one is below 10 KiB.
const ANSWER_LIMIT: usize = 1 << 20;
/// So much a row of a listing may have: a path of 8 KiB, escaped.
const ROW_LIMIT: usize = 16 << 10;
/// The longest answer that is read of any listing, and of those that have no pages.
const LISTING_LIMIT: usize = 256 << 20;

/// One call of an API. It is handed on by value, step by step, so what it is made of lies in a box.
#[derive(Debug, Clone)]
pub(crate) struct Request(Box<Parts>);

/// What a [`Request`] is made of.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) method: Method,
    /// Percent-encoded, from the first `/` after the base URL.
    pub(crate) path: String,
    /// Encoded, without the `?`.
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    /// Apart from the other headers: most requests that have any have this one alone.
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) body: Bytes,
    /// What the body holds and no error may repeat.
    pub(crate) secrets: Vec<Token>,
    pub(crate) authorization: Authorization,
    pub(crate) replay: Replay,
    pub(crate) receive: Receive,
    /// The server reads or writes whole files before it answers.
    pub(crate) slow: bool,
    /// A 500 of this call is a lasting refusal, not a passing fault.
    pub(crate) lasting_500: bool,
    /// Its head alone may make the server refuse it, and asking with the head alone changes nothing on the server.
    pub(crate) refused_early: bool,
    /// What it asks for was there a moment ago.
    pub(crate) was_there: bool,
    /// Statuses that are answers, beside 2xx.
    pub(crate) also_expected: &'static [StatusCode],
    /// Tells an answer by its body where its status is that of an error.
    pub(crate) is_answer: Option<fn(StatusCode, &[u8]) -> bool>,
    /// Every answer is one, whatever its status.
    pub(crate) any_status: bool,
    /// Goes there instead of to a path of the API.
    pub(crate) elsewhere: Option<Elsewhere>,
    /// Redirections are followed, to a place that words its refusals like this.
    pub(crate) redirects: Option<&'static dyn Dialect>,
    pub(crate) options: CallOptions,
}

impl Deref for Request {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl DerefMut for Request {
    fn deref_mut(&mut self) -> &mut Parts {
        &mut self.0
    }
}

impl Request {
    /// `GET` and `HEAD` are safe to repeat; others say so with [`Request::replay`].
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        let replay = if method.is_safe() { Replay::Safe } else { Replay::Never };
        Self(Box::new(Parts {
            method,
            path: path.into(),
            query: String::new(),
            headers: HeaderMap::new(),
            content_type: None,
            body: Bytes::new(),
            secrets: Vec::new(),
            authorization: Authorization::Optional,
            replay,
            receive: Receive::Whole(ANSWER_LIMIT),
            slow: false,
            lasting_500: false,
            refused_early: false,
            was_there: false,
            also_expected: &[],
            is_answer: None,
            any_status: false,
            elsewhere: None,
            redirects: None,
            options: CallOptions::default(),
        }))
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn query(mut self, name: &str, value: impl AsRef<str>) -> Self {
        let (mut query, value) = (std::mem::take(&mut self.query), value.as_ref());
        // Enough for a few characters that are encoded.
        query.reserve(name.len() + value.len() + 16);
        self.query = form_urlencoded::Serializer::new(query).append_pair(name, value).finish();
        self
    }

    pub(crate) fn query_opt<T: ToString>(self, name: &str, value: Option<T>) -> Self {
        match value {
            Some(value) => self.query(name, value.to_string()),
            None => self,
        }
    }

    pub(crate) fn set_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(crate) fn content_type(mut self, value: HeaderValue) -> Self {
        self.content_type = Some(value);
        self
    }

    pub(crate) fn json<T: Serialize>(mut self, body: &T) -> Result<Self> {
        let json = serde_json::to_vec(body)
            .map_err(|e| Error::invalid_input("body", "it can't be written as JSON").caused_by(e))?;
        self.body = json.into();
        Ok(self.content_type(HeaderValue::from_static("application/json")))
    }

    /// Its body holds this, which no error may repeat.
    #[cfg(feature = "file-storage")]
    pub(crate) fn conceal(mut self, secret: impl Into<Token>) -> Self {
        self.secrets.push(secret.into());
        self
    }

    pub(crate) fn authorization(mut self, authorization: Authorization) -> Self {
        self.authorization = authorization;
        self
    }

    pub(crate) fn needs_credential(self) -> Self {
        self.authorization(Authorization::Required)
    }

    pub(crate) fn replay(mut self, replay: Replay) -> Self {
        self.replay = replay;
        self
    }

    pub(crate) fn receive(mut self, receive: Receive) -> Self {
        self.receive = receive;
        self
    }

    /// The answer has up to so many rows.
    pub(crate) fn rows(self, rows: u64) -> Self {
        let bytes = usize::try_from(rows).unwrap_or(usize::MAX).saturating_mul(ROW_LIMIT);
        self.receive(Receive::Whole(bytes.clamp(ANSWER_LIMIT, LISTING_LIMIT)))
    }

    /// The answer has as many rows as there are.
    pub(crate) fn unpaged(self) -> Self {
        self.rows(u64::MAX)
    }

    pub(crate) fn slow(mut self) -> Self {
        self.slow = true;
        self
    }

    pub(crate) fn lasting_500(mut self) -> Self {
        self.lasting_500 = true;
        self
    }

    pub(crate) fn refused_early(mut self) -> Self {
        self.refused_early = true;
        self
    }

    pub(crate) fn also_expect(mut self, statuses: &'static [StatusCode]) -> Self {
        self.also_expected = statuses;
        self
    }

    pub(crate) fn answers_with(mut self, is_answer: fn(StatusCode, &[u8]) -> bool) -> Self {
        self.is_answer = Some(is_answer);
        self
    }

    pub(crate) fn options(mut self, options: CallOptions) -> Self {
        self.options = options;
        self
    }

    pub(crate) fn expects(&self, status: StatusCode) -> bool {
        status.is_success() || self.also_expected.contains(&status)
    }
}

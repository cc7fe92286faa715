//! A request that this crate has no name for.

use std::pin::pin;

use bytes::Bytes;
use http::Method;
use serde::de::DeserializeOwned;

use crate::call::Call;
use crate::error::{Error, Result};
use crate::http::{CallOptions, Receive, Replay, Request, Response, Transport, awaitable, within};

/// A request of the user's own. Made by [`Client::request`](crate::Client::request).
#[derive(Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct RawRequest {
    transport: Transport,
    request: Request,
    problem: Option<Error>,
    options: CallOptions,
}

impl RawRequest {
    pub(crate) fn new(transport: Transport, method: Method, path: &str) -> Self {
        let encoded = path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'\\'));
        let is_dots = |segment: &str| matches!(&*segment.to_ascii_lowercase().replace("%2e", "."), "." | "..");
        let problem = if !path.starts_with('/') || !encoded {
            Some("it starts with a slash, is percent-encoded, and has no query (use .query())")
        } else if path.split('/').any(is_dots) {
            Some("it has a . or .. segment")
        } else {
            None
        };
        let problem = problem.map(|problem| Error::invalid_input("path", problem));
        let request = Request::new(method, path).receive(Receive::Whole(16 << 20));
        Self { transport, request, problem, options: CallOptions::default() }
    }

    /// Adds a query parameter; it is encoded here.
    pub fn query(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.request = self.request.query(name, value);
        self
    }

    /// Sets the body. Its type is yours to say, with `.header("content-type", …)`. It is sent in pieces: a large one has
    /// as long as it moves, and the limit for the answer begins at its end.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.request.body = body.into();
        self
    }

    /// Sets a JSON body.
    pub fn json<T: serde::Serialize + ?Sized>(mut self, body: &T) -> Self {
        match serde_json::to_vec(body) {
            Ok(json) => {
                self.request.body = json.into();
                self.header("content-type", "application/json")
            }
            Err(cause) => {
                self.problem = Some(Error::invalid_input("body", "it can't be written as JSON").caused_by(cause));
                self
            }
        }
    }

    /// Says that doing it twice does the same as doing it once, so that it may be retried. `GET` and `HEAD` are.
    pub fn idempotent(mut self) -> Self {
        self.request = self.request.replay(Replay::Safe);
        self
    }

    /// The longest body of an answer that is read; 16 MiB by default. A longer one is `Decode`.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.request.receive = Receive::Whole(bytes);
        self
    }

    /// Takes every answer, whatever its status: errors and redirections, which are not followed, are `Ok` too, with up to
    /// [`max_bytes`](Self::max_bytes) of body.
    ///
    /// What may be retried still is, as the client's policy or [`retry`](Self::retry) says, and the last answer is given; with
    /// [`RetryPolicy::never`](crate::RetryPolicy::never) the first. An `Err` means that there was no answer, or that it could
    /// not be read.
    ///
    /// ```no_run
    /// # async fn f(client: carbonfiles::Client) -> carbonfiles::Result<()> {
    /// let answer = client.request(carbonfiles::Method::GET, "/api/new").any_status().await?;
    /// println!("{}: {}", answer.status(), String::from_utf8_lossy(answer.body()));
    /// # Ok(()) }
    /// ```
    pub fn any_status(mut self) -> Self {
        self.request.any_status = true;
        self
    }

    /// Sends it, and reads the answer's body as JSON; an answer that is none, or other than `T`, is `Decode`.
    ///
    /// ```no_run
    /// # async fn f(client: carbonfiles::Client) -> carbonfiles::Result<()> {
    /// #[derive(serde::Deserialize)]
    /// struct New {
    ///     id: String,
    /// }
    /// let new: New = client.request(carbonfiles::Method::GET, "/api/new").receive_json().await?;
    /// println!("{}", new.id);
    /// # Ok(()) }
    /// ```
    pub fn receive_json<T: DeserializeOwned + Send + 'static>(mut self) -> Call<'static, T> {
        Call::new(async move {
            let deadline = self.options.start(None);
            within(deadline, pin!(self.answer())).await?.json()
        })
    }

    async fn answer(self) -> Result<Response> {
        match self.problem {
            Some(problem) => Err(problem),
            None => self.transport.send(self.request.options(self.options)).await,
        }
    }

    async fn run(self) -> Result<http::Response<Bytes>> {
        let answer = self.answer().await?;
        let mut response = http::Response::new(Bytes::new());
        *response.status_mut() = answer.status;
        response.headers_mut().clone_from(&answer.headers);
        *response.body_mut() = answer.whole().clone();
        Ok(response)
    }
}

/// Query and body may hold secrets.
impl std::fmt::Debug for RawRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawRequest")
            .field("method", &self.request.method)
            .field("path", &self.request.path)
            .finish_non_exhaustive()
    }
}

awaitable!(RawRequest => http::Response<Bytes>);

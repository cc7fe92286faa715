//! The one function that sends every request.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::poll;
use http::{HeaderMap, StatusCode, header};
use tokio::time::{Instant, sleep};
use url::Url;

use super::body::{Fixed, Gauge, Outgoing, RequestBody};
use super::elsewhere::Destination;
use super::exchange::Asked;
use super::limits::{Limits, Room, Way};
use super::options::{CallOptions, within};
use super::refusal::Dialect;
use super::request::{Authorization, Replay, Request};
use super::response::{Answer, Exchange, ReadLimits, Response, ResponseBody};
use super::retry::{Budget, READ_ONCE, RetryPolicy, is_of_healthy_server, may_retry};
use super::timeouts::Timeouts;
use super::trace::{AttemptSpan, OperationSpan, retrying};
use crate::auth::{Credentials, Token};
use crate::error::{Error, ErrorKind, Fate, Result};

/// What a client is made of.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) http: reqwest::Client,
    /// Without a trailing slash, query or fragment.
    pub(crate) base: Url,
    pub(crate) credentials: Credentials,
    pub(crate) headers: HeaderMap,
    pub(crate) retry: RetryPolicy,
    pub(crate) timeouts: Timeouts,
    pub(crate) limits: Limits,
    pub(crate) dialect: &'static dyn Dialect,
}

/// A cheap handle to a client's connection pool and settings.
#[derive(Clone)]
pub(crate) struct Transport(Arc<Inner>);

struct Inner {
    config: Config,
    budget: Arc<Budget>,
}

/// What has happened to a call so far, for its errors.
pub(super) struct Call {
    pub(super) start: Instant,
    pub(super) deadline: Option<Instant>,
    pub(super) attempts: u32,
    /// Of the body of the last attempt.
    pub(super) gauge: Option<Arc<Gauge>>,
    /// That of the API.
    pub(super) url: Arc<Url>,
    /// The one gone to last, as it may be shown.
    pub(super) shown: Arc<Url>,
    /// Of the attempt under way.
    pub(super) span: AttemptSpan,
    /// The credential of the last attempt.
    pub(super) token: Option<Token>,
    /// That of the next one, where it is known already.
    pub(super) given: Option<Token>,
    /// The answer to the last attempt, where any would do.
    pub(super) answer: Option<Response>,
    /// What may be sent again is not sent again after the attempt under way.
    pub(super) is_last: bool,
    /// The attempt under way, or the last one, may have been sent: it had its credential.
    pub(super) sent: bool,
    /// The refusal of a deletion has the service's own words for what is not there.
    pub(super) says_gone: bool,
    /// An attempt before it may have been carried out.
    pub(super) may_be_done: bool,
}

/// The longest request line that the server takes, with its line end.
pub(crate) const REQUEST_LINE: usize = 8 << 10;

impl Transport {
    pub(crate) fn new(config: Config) -> Self {
        Self(Arc::new(Inner { config, budget: Arc::default() }))
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    /// The same with another credential: connections, limits and the budget of retries are shared.
    pub(crate) fn with_credentials(&self, credentials: Credentials) -> Self {
        let config = Config { credentials, ..self.0.config.clone() };
        Self(Arc::new(Inner { config, budget: self.0.budget.clone() }))
    }

    /// The absolute URL of an encoded path (`/api/…`), below the base URL's own path.
    pub(crate) fn url(&self, path: &str) -> Result<Url> {
        // Only the path is parsed: the rest has been, when the client was built.
        let mut url = self.0.config.base.clone();
        let whole: Cow<'_, str> = match url.path().trim_end_matches('/') {
            "" => path.into(),
            below => [below, path].concat().into(),
        };
        url.set_path(&whole);
        if url.path() == whole {
            return Ok(url);
        }
        Err(Error::invalid_input("path", "it is not the path of a URL"))
    }

    /// Whether the server takes so long a request line: of a longer one it says 414, and closes the connection.
    pub(crate) fn fits(&self, request: &Request) -> bool {
        let target = self.0.config.base.path().trim_end_matches('/').len() + request.path.len() + request.query.len();
        // Two blanks, a question mark, `HTTP/1.1` and the line end.
        request.method.as_str().len() + target + 12 + usize::from(!request.query.is_empty()) <= REQUEST_LINE
    }

    /// Where the API has what is asked for; of what is elsewhere, the API itself.
    fn url_of(&self, request: &Request) -> Result<Url> {
        let mut url = match &request.elsewhere {
            Some(_) => self.0.config.base.clone(),
            None => self.url(&request.path)?,
        };
        if !request.query.is_empty() {
            url.set_query(Some(&request.query));
        }
        Ok(url)
    }

    /// When a call with these options has to be over, which starts now or has started.
    pub(crate) fn deadline(&self, options: &CallOptions) -> Option<Instant> {
        options.deadline(self.0.config.timeouts.total)
    }

    /// Starts a call that sends several requests: the limit of the call, or of the client, is for all of it.
    pub(crate) fn start(&self, options: &mut CallOptions) -> Option<Instant> {
        options.start(self.0.config.timeouts.total)
    }

    /// Whether there may be another try after so many failures, and how long to wait before it: as the policy says, within the
    /// time of the call, and as long as the calls of this client don't fail too often.
    pub(crate) fn pause(
        &self,
        policy: &RetryPolicy,
        failures: u32,
        retry_after: Option<Duration>,
        deadline: Option<Instant>,
    ) -> Option<Duration> {
        policy.pause(failures, retry_after, deadline).filter(|_| self.0.budget.take())
    }

    /// Room for a transfer, held as long as it is under way. An upload sent by [`Transport::send_body`] has its own.
    pub(crate) fn room(&self, way: Way, transfers: usize, bytes: u64) -> impl Future<Output = Room> {
        self.0.config.limits.room(way, transfers, bytes)
    }

    /// Sends a request whose body, if any, is in memory.
    pub(crate) async fn send(&self, request: Request) -> Result<Response> {
        self.send_kept(&request).await
    }

    /// The same for one that its owner may send again.
    pub(crate) async fn send_kept(&self, request: &Request) -> Result<Response> {
        let mut body = Fixed(request.body.clone());
        self.send_body(request, &mut body).await
    }

    /// Sends a request with a body of its own.
    pub(crate) async fn send_body(&self, request: &Request, body: &mut dyn RequestBody) -> Result<Response> {
        request.options.check()?;
        let url = Arc::new(self.url_of(request)?);
        let start = request.options.started().unwrap_or_else(Instant::now);
        let operation = OperationSpan::start(request, &url, self.0.config.dialect);
        let deadline = self.deadline(&request.options);
        let (shown, span) = (url.clone(), AttemptSpan::none());
        let mut call = Call {
            start,
            deadline,
            attempts: 0,
            gauge: None,
            url,
            shown,
            span,
            token: None,
            given: None,
            answer: None,
            is_last: false,
            sent: false,
            says_gone: false,
            may_be_done: false,
        };
        // In a place of its own: all the futures around it stay small, which are copied wherever they are passed on.
        let sent = Box::pin(operation.cover(self.attempts(request, body, &mut call)));
        let outcome = within(deadline, sent).await;
        if outcome.as_ref().err().is_none_or(is_of_healthy_server) {
            self.0.budget.give_back();
        }
        let outcome = match (outcome, call.answer.take()) {
            // Held since the last exchange: what has failed since is a wait, or a token for one exchange more.
            (Err(_), Some(answer)) => Ok(answer),
            (outcome, _) => outcome,
        };
        outcome.map_err(|error| {
            let error = if call.sent { error } else { error.never_sent() }.unless_done(call.may_be_done);
            operation.failed(&error);
            match (error.fate(), error.kind()) {
                // It belongs to an argument or a source: nothing was sent anywhere.
                (Fate::NeverSent, ErrorKind::InvalidInput) => error,
                _ => error.with_request(call.exchange(request).context()),
            }
        })
    }

    /// Room for an upload, asked for before its source is opened.
    async fn room_for(&self, body: &mut dyn RequestBody) -> Room {
        let bytes = match self.0.config.limits.most_bytes(Way::Up) {
            u64::MAX => 0,
            _ => body.buffers().await,
        };
        let mut room = pin!(self.room(Way::Up, 1, bytes));
        if let Poll::Ready(room) = poll!(room.as_mut()) {
            return room;
        }
        body.queued();
        room.await
    }

    async fn attempts(&self, request: &Request, body: &mut dyn RequestBody, call: &mut Call) -> Result<Response> {
        let _room = match body.is_transfer() {
            true => Some(self.room_for(body).await),
            false => None,
        };
        let policy = request.options.retry().unwrap_or(&self.0.config.retry);
        let (mut may_be_deleted, mut reauthorized) = (false, false);
        let mut expired: Option<Arc<Url>> = None;
        // Attempts that followed no failure, but had a fresh URL or credential: they are no retries.
        let mut afresh = 0;
        loop {
            call.attempts += 1;
            let tries = call.attempts - afresh;
            call.is_last = tries >= policy.max_attempts || !body.is_replayable();
            call.sent = false;
            let mut outgoing = body.open(call.attempts).await?;
            let renewed = expired.is_some();
            let to = self.destination(request, call, expired.take().as_deref()).await?;
            let outcome = self.attempt(Asked { request, to: &to }, &mut outgoing, call).await;
            drop(outgoing);
            let outcome = match outcome {
                // Seldom, and large beside the rest.
                Ok(answer) if to.redirects(request, self.0.config.dialect, answer.status, &answer.headers) => {
                    Box::pin(self.follow(request, &to, answer, body, call)).await?
                }
                outcome => outcome,
            };
            let error = match outcome {
                Ok(response) => {
                    body.answered();
                    return Ok(response);
                }
                // A login that failed has had its own retries, and says nothing about this request: nothing of it was sent.
                Err(error) if !call.sent => {
                    body.answered();
                    return Err(error);
                }
                Err(error) if may_be_deleted && call.says_gone && error.is_not_found() => {
                    return Ok(self.already_deleted(request, call, error));
                }
                Err(error) => error,
            };
            let unknown = error.fate() == Fate::Unknown || leaves_open(request.replay, error.status());
            if !unknown {
                body.answered();
            }
            may_be_deleted |= unknown;
            call.may_be_done |= error.may_have_been_done();
            // A fresh URL is no retry: it neither waits nor counts. One that expires at once is not asked for again.
            if error.tells_of_expired_url() && !renewed && body.is_replayable() {
                body.retrying(Duration::ZERO);
                expired = Some(to.url);
                afresh += 1;
                continue;
            }
            // Nothing was done: the token may have ended before its time.
            if error.tells_of_unknown_credential()
                && to.foreign.is_none()
                && !matches!(request.authorization, Authorization::UploadToken(_))
                && !std::mem::replace(&mut reauthorized, true)
                && body.is_replayable()
                && let Some(refused) = &call.token
            {
                call.sent = false;
                let credentials = &self.0.config.credentials;
                call.given = match credentials.instead_of(refused).await {
                    // What the server said is worth more than why a provider has no other.
                    Err(_) if credentials.is_provided() => None,
                    other => other?,
                };
                call.sent = true;
                if call.given.is_some() {
                    body.retrying(Duration::ZERO);
                    afresh += 1;
                    continue;
                }
            }
            if tries >= policy.max_attempts || !may_retry(request, body, &error) {
                return Err(error);
            }
            if !body.is_replayable() {
                return Err(if error.hint().is_some() { error } else { error.with_hint(READ_ONCE) });
            }
            let Some(delay) = self.pause(policy, tries, error.retry_after(), call.deadline) else { return Err(error) };
            body.retrying(delay);
            retrying(call.attempts, delay, &error);
            // The waiting is no part of the attempt.
            (call.span, call.sent) = (AttemptSpan::none(), false);
            Box::pin(sleep(delay)).await;
        }
    }

    /// What comes of going where an answer leads; what comes has the ETag that the API gave on the way.
    ///
    /// # Errors
    /// Those of setting out, which are none of an exchange's.
    async fn follow(
        &self,
        request: &Request,
        from: &Destination,
        mut answer: Response,
        body: &mut dyn RequestBody,
        call: &mut Call,
    ) -> Result<Result<Response>> {
        let (mut api_etag, mut redirected) = (None, None);
        loop {
            let at = redirected.as_ref().unwrap_or(from);
            let Some(next) = at.redirected(request, self.0.config.dialect, answer.status, &answer.headers) else {
                answer.api_etag = api_etag;
                return Ok(Ok(answer));
            };
            if at.foreign.is_none() {
                api_etag = answer.headers.get(header::ETAG).cloned();
            } else {
                body.retrying(Duration::ZERO);
            }
            let to = redirected.insert(next?);
            let mut outgoing = body.open(call.attempts).await?;
            match self.attempt(Asked { request, to }, &mut outgoing, call).await {
                Ok(next) => answer = next,
                failed => return Ok(failed),
            }
        }
    }

    /// What a deletion would have answered, had its answer arrived.
    fn already_deleted(&self, request: &Request, call: &Call, not_found: Error) -> Response {
        Answer {
            status: StatusCode::NO_CONTENT,
            headers: HeaderMap::new(),
            body: ResponseBody::Whole(Bytes::new()),
            exchange: call.exchange(request),
            limits: ReadLimits { idle: self.0.config.timeouts.idle, deadline: call.deadline },
            api_etag: None,
            presumed: Some(not_found.with_request(call.exchange(request).context())),
        }
        .into()
    }

    async fn destination(&self, request: &Request, call: &Call, expired: Option<&Url>) -> Result<Destination> {
        match &request.elsewhere {
            Some(there) => Destination::foreign(&self.0.config.base, there.place.locate(expired).await?, there.dialect),
            None => Ok(Destination::api(call.url.clone())),
        }
    }

    /// One exchange, in a span of its own.
    async fn attempt(&self, asked: Asked<'_>, outgoing: &mut Outgoing<'_>, call: &mut Call) -> Result<Response> {
        call.shown = asked.to.shown();
        let dialect = asked.to.foreign.unwrap_or(self.0.config.dialect);
        let span = AttemptSpan::start(asked.request, &call.shown, dialect, call.attempts);
        call.span = span.clone();
        let outcome = span.cover(self.exchange(asked, outgoing, call)).await;
        match &outcome {
            Ok(response) => span.answered(response.status),
            Err(error) => span.failed(error),
        }
        outcome
    }
}

/// Whether an answer leaves open what has been done: a gateway that gave up does not know it. Of a deletion it is not known
/// either where the server failed, which may have been done with it, nor after a 503: that may be a gateway's that has passed it
/// on.
fn leaves_open(replay: Replay, status: Option<StatusCode>) -> bool {
    match status.map(|status| status.as_u16()) {
        Some(502 | 504) => true,
        Some(500 | 503) => replay == Replay::Deletion,
        _ => false,
    }
}

impl Call {
    pub(super) fn bytes_sent(&self) -> u64 {
        self.gauge.as_deref().map_or(0, Gauge::taken)
    }

    pub(super) fn exchange(&self, request: &Request) -> Exchange {
        Exchange {
            method: request.method.clone(),
            url: self.shown.clone(),
            attempts: self.attempts,
            start: self.start,
            bytes_sent: self.bytes_sent(),
            span: self.span.clone(),
        }
    }
}

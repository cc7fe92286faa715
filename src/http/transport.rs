//! The one function that sends every request.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::future::OptionFuture;
use futures::poll;
use http::{HeaderMap, StatusCode, header};
use tokio::time::{Instant, sleep};
use url::Url;

use super::body::{Fixed, Gauge, Outgoing, RequestBody};
use super::classify::{exchange_error, is_write_failure};
use super::elsewhere::Destination;
use super::limits::{Limits, Room, Way};
use super::options::{CallOptions, within};
use super::probe::refusal_of_head;
use super::refusal::{BODY_LIMIT, BODY_PATIENCE, Dialect, refusal};
use super::request::{Authorization, Receive, Replay, Request};
use super::response::{Answer, Exchange, ReadLimits, Response, ResponseBody, read_excerpt, read_whole};
use super::retry::{Budget, READ_ONCE, RetryPolicy, may_retry};
use super::secrets::Secrets;
use super::timeouts::Timeouts;
use super::trace::{AttemptSpan, OperationSpan, retrying};
use super::watchdog::{Watchdog, later};
use crate::auth::{Credentials, Token};
use crate::error::{Error, ErrorKind, Fate, Result, TimeoutPhase};

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
struct Call {
    start: Instant,
    deadline: Option<Instant>,
    attempts: u32,
    bytes_sent: u64,
    /// That of the API.
    url: Arc<Url>,
    /// The one gone to last, as it may be shown.
    shown: Arc<Url>,
    /// Of the attempt under way.
    span: AttemptSpan,
    /// The credential of the last attempt.
    token: Option<Token>,
    /// That of the next one, where it is known already.
    given: Option<Token>,
    /// The answer to the last attempt, where any would do.
    answer: Option<Response>,
    /// The attempt under way, or the last one, may have been sent: it had its credential.
    sent: bool,
    /// An attempt before it may have been carried out.
    may_be_done: bool,
}

/// What an answer is the answer to.
struct Asked<'a> {
    request: &'a Request,
    to: &'a Destination,
    /// That of the request, where it had one.
    token: Option<Token>,
}

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

    /// When a call with these options has to be over, which starts now or has started.
    pub(crate) fn deadline(&self, options: &CallOptions) -> Option<Instant> {
        options.deadline(self.0.config.timeouts.total)
    }

    /// Starts a call that sends several requests: the limit of the call, or of the client, is for all of it.
    pub(crate) fn start(&self, options: &mut CallOptions) -> Option<Instant> {
        options.start(self.0.config.timeouts.total)
    }

    /// Asks for a retry that no policy of a call bounds, such as going on with a download that makes no headway.
    pub(crate) fn take_from_budget(&self) -> bool {
        self.0.budget.take()
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
        let mut url = match &request.elsewhere {
            Some(_) => self.0.config.base.clone(),
            None => self.url(&request.path)?,
        };
        if !request.query.is_empty() {
            url.set_query(Some(&request.query));
        }
        let url = Arc::new(url);
        let start = request.options.started().unwrap_or_else(Instant::now);
        let operation = OperationSpan::start(request, &url, self.0.config.dialect);
        let deadline = self.deadline(&request.options);
        let (shown, span) = (url.clone(), AttemptSpan::none());
        let mut call = Call {
            start,
            deadline,
            attempts: 0,
            bytes_sent: 0,
            url,
            shown,
            span,
            token: None,
            given: None,
            answer: None,
            sent: false,
            may_be_done: false,
        };
        // In a place of its own: all the futures around it stay small, which are copied wherever they are passed on.
        let sent = Box::pin(operation.cover(async {
            let _room = match body.is_transfer() {
                true => Some(self.room_for(body).await),
                false => None,
            };
            self.attempts(request, body, &mut call).await
        }));
        let outcome = match (within(deadline, sent).await, call.answer.take()) {
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
        let policy = request.options.retry().unwrap_or(&self.0.config.retry);
        let (mut may_be_deleted, mut reauthorized) = (false, false);
        let mut expired: Option<Arc<Url>> = None;
        // Attempts that followed no failure, but had a fresh URL or credential: they are no retries.
        let mut afresh = 0;
        loop {
            call.attempts += 1;
            call.sent = false;
            let outgoing = body.open(call.attempts).await?;
            let renewed = expired.is_some();
            let to = self.destination(request, call, expired.take().as_deref()).await?;
            let mut outcome = self.attempt(request, &to, outgoing, call).await;
            let (mut api_etag, mut redirected) = (None, None);
            while let Ok(answer) = &outcome
                && let at = redirected.as_ref().unwrap_or(&to)
                && let Some(next) = at.redirected(request, self.0.config.dialect, answer.status, &answer.headers)
            {
                if at.foreign.is_none() {
                    api_etag = answer.headers.get(header::ETAG).cloned();
                } else {
                    body.retrying(Duration::ZERO);
                }
                let next = redirected.insert(next?);
                let outgoing = body.open(call.attempts).await?;
                outcome = self.attempt(request, next, outgoing, call).await;
            }
            let error = match outcome {
                Ok(mut response) => {
                    body.answered();
                    self.0.budget.give_back();
                    response.api_etag = api_etag;
                    return Ok(response);
                }
                // A login that failed has had its own retries, and says nothing about this request: nothing of it was sent.
                Err(error) if !call.sent => {
                    body.answered();
                    return Err(error);
                }
                Err(error) if may_be_deleted && request.replay == Replay::Deletion && error.is_not_found() => {
                    return Ok(self.already_deleted(request, call, error));
                }
                Err(error) => error,
            };
            // A gateway that gave up does not know either what the server has done.
            let unknown = error.fate() == Fate::Unknown
                || matches!(error.status(), Some(StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT))
                // Nor is it known of a server that failed: it may have been done with what was to be deleted.
                || request.replay == Replay::Deletion && error.status() == Some(StatusCode::INTERNAL_SERVER_ERROR);
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
                call.given = self.0.config.credentials.instead_of(refused).await?;
                call.sent = true;
                if call.given.is_some() {
                    body.retrying(Duration::ZERO);
                    afresh += 1;
                    continue;
                }
            }
            let tries = call.attempts - afresh;
            if tries >= policy.max_attempts || !may_retry(request, body, &error) {
                return Err(error);
            }
            if !body.is_replayable() {
                return Err(if error.hint().is_some() { error } else { error.with_hint(READ_ONCE) });
            }
            let Some(delay) = policy.delay(tries, error.retry_after()) else { return Err(error) };
            if call.deadline.is_some_and(|deadline| later(Instant::now(), delay) >= deadline) || !self.0.budget.take() {
                return Err(error);
            }
            body.retrying(delay);
            retrying(call.attempts, delay, &error);
            // The waiting is no part of the attempt.
            (call.span, call.sent) = (AttemptSpan::none(), false);
            Box::pin(sleep(delay)).await;
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
    async fn attempt(
        &self,
        request: &Request,
        to: &Destination,
        outgoing: Outgoing<'_>,
        call: &mut Call,
    ) -> Result<Response> {
        call.shown = to.shown();
        let dialect = to.foreign.unwrap_or(self.0.config.dialect);
        let span = AttemptSpan::start(request, &call.shown, dialect, call.attempts);
        call.span = span.clone();
        let outcome = span.cover(self.exchange(request, to, outgoing, call)).await;
        match &outcome {
            Ok(response) => span.answered(response.status),
            Err(error) => span.failed(error),
        }
        outcome
    }

    async fn exchange(
        &self,
        request: &Request,
        to: &Destination,
        outgoing: Outgoing<'_>,
        call: &mut Call,
    ) -> Result<Response> {
        let timeouts = &self.0.config.timeouts;
        let Outgoing { body, length, feed } = outgoing;
        (call.sent, call.answer) = (false, None);
        let (exchange, token) = self.begin(request, to, body, length, call.given.take()).await?;
        call.sent = true;
        call.token = token.clone();
        let asked = Asked { request, to, token };
        let (gauge, mut run) = feed.map_or((None, None), |feed| (Some(feed.gauge), feed.run));
        let watchdog = Watchdog {
            start: Instant::now(),
            gauge: gauge.as_deref(),
            response: request.options.response_timeout().unwrap_or(if request.slow {
                timeouts.slow_response.max(timeouts.response)
            } else {
                timeouts.response
            }),
            idle: request.options.idle_timeout().unwrap_or(timeouts.idle),
        };
        let answer = {
            let mut exchange = pin!(exchange);
            let mut expired = pin!(watchdog.expired());
            loop {
                tokio::select! {
                    biased;
                    answer = &mut exchange => break Ok(answer.map(Box::new)),
                    Some(fed) = OptionFuture::from(run.as_mut()) => match fed {
                        Ok(()) => run = None,
                        Err(error) => break Err(error),
                    },
                    phase = &mut expired => break Err(timed_out(phase)),
                }
            }
        };
        if let Some(gauge) = &gauge {
            gauge.stop();
        }
        call.bytes_sent = gauge.as_ref().map_or(0, |gauge| gauge.taken());
        let limits = ReadLimits { idle: watchdog.idle, deadline: call.deadline };
        match answer? {
            Ok(answer) => self.receive(&asked, answer, gauge.as_deref(), limits, call).await,
            Err(cause) => {
                // What broke after all was written broke while the answer was awaited: no refusal was overlooked.
                let overlooked = is_write_failure(&cause) || gauge.is_some_and(|gauge| !gauge.has_ended());
                let error = exchange_error(cause);
                // `run` is kept until here: a feed that is dropped fails the body, and the answer with it.
                drop(run);
                // Never a head that is a whole request: asking with it would store an empty file.
                let announced = length.unwrap_or(call.bytes_sent);
                let unclear = request.refused_early && overlooked && announced > 0 && error.fate() == Fate::Unknown;
                if !unclear {
                    return Err(error);
                }
                Box::pin(self.overlooked(&asked, announced, limits, call)).await.and(Err(error))
            }
        }
    }

    /// What a server that broke the connection in the middle of a body had to say: a refusal, or nothing.
    async fn overlooked(&self, asked: &Asked<'_>, announced: u64, limits: ReadLimits, call: &mut Call) -> Result<()> {
        let Ok((head, _)) = self.build(asked.request, asked.to, asked.token.clone()).await else { return Ok(()) };
        match refusal_of_head(&self.0.config.http, head, announced).await {
            Some(answer) => self.receive(asked, answer.into(), None, limits, call).await.map(drop),
            None => Ok(()),
        }
    }

    async fn receive(
        &self,
        asked: &Asked<'_>,
        mut answer: Box<reqwest::Response>,
        gauge: Option<&Gauge>,
        limits: ReadLimits,
        call: &mut Call,
    ) -> Result<Response> {
        let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        let Asked { request, to, token } = asked;
        let exchange = call.exchange(request);
        let response =
            |headers, body| Answer { status, headers, body, exchange, limits, api_etag: None, presumed: None }.into();
        if to.redirects(request, self.0.config.dialect, status, &headers) {
            return Ok(response(headers, ResponseBody::Whole(Bytes::new())));
        }
        if !request.expects(status) {
            let (excerpt, body) = match request.receive {
                Receive::Whole(limit) if request.any_status => {
                    let body = Box::pin(read_whole(&mut answer, limit, limits)).await;
                    let body = body.map_err(|e| e.with_status(status).with_fate(Fate::Unknown))?;
                    (body.slice(..body.len().min(BODY_LIMIT)), Some(body))
                }
                _ => (Box::pin(read_excerpt(&mut answer, BODY_LIMIT, BODY_PATIENCE)).await, None),
            };
            if request.is_answer.is_some_and(|is_answer| is_answer(status, &excerpt)) {
                return Ok(response(headers, ResponseBody::Whole(excerpt)));
            }
            let named = to.foreign.map(|_| to.secrets()).unwrap_or_default();
            let secrets: Vec<_> = token.iter().cloned().chain(named).collect();
            let secrets = Secrets::of(&secrets, &call.url, self.headers_of(request)).with_body(&request.secrets);
            let dialect = to.foreign.unwrap_or(self.0.config.dialect);
            let error = refusal(dialect, status, &headers, &excerpt, &secrets);
            call.answer = body.map(|body| response(headers.clone(), ResponseBody::Whole(body)));
            return Err(error.with_headers(headers));
        }
        // A body of the request's own is a caller's affair, and no file that could have been cut.
        if request.body.is_empty() && gauge.is_some_and(|gauge| !gauge.has_ended()) {
            return Err(Error::new(ErrorKind::Decode, "the server accepted the upload before it had read all of it")
                .with_status(status));
        }
        let body = match request.receive {
            Receive::Head => ResponseBody::Streamed(answer),
            Receive::Whole(limit) => ResponseBody::Whole(
                read_whole(&mut answer, limit, limits)
                    .await
                    .map_err(|e| e.with_status(status).with_fate(Fate::Unknown))?,
            ),
        };
        Ok(response(headers, body))
    }
}

impl Call {
    fn exchange(&self, request: &Request) -> Exchange {
        Exchange {
            method: request.method.clone(),
            url: self.shown.clone(),
            attempts: self.attempts,
            start: self.start,
            bytes_sent: self.bytes_sent,
            span: self.span.clone(),
        }
    }
}

fn timed_out(phase: TimeoutPhase) -> Error {
    let message = match phase {
        TimeoutPhase::Send => "the connection took no more of the body for too long",
        _ => "no answer within the time limit",
    };
    Error::new(ErrorKind::Timeout(phase), message).with_fate(Fate::Unknown)
}

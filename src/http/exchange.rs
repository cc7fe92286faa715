//! One exchange: a request goes out, its body is fed, and what comes back is looked at.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures::future::OptionFuture;
use tokio::time::Instant;

use super::body::{Feed, Gauge, Outgoing};
use super::classify::{exchange_error, is_write_failure};
use super::elsewhere::Destination;
use super::probe::refusal_of_head;
use super::refusal::{BODY_LIMIT, BODY_PATIENCE, refusal};
use super::request::{Receive, Replay, Request};
use super::response::{Answer, ReadLimits, Response, ResponseBody, read_excerpt, read_whole};
use super::secrets::Secrets;
use super::transport::{Call, Transport};
use super::watchdog::Watchdog;
use crate::error::{Error, ErrorKind, Fate, Result, TimeoutPhase};

/// What an answer is the answer to.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) request: &'a Request,
    pub(super) to: &'a Destination,
}

impl Transport {
    pub(super) async fn exchange(
        &self,
        asked: Asked<'_>,
        outgoing: &mut Outgoing<'_>,
        call: &mut Call,
    ) -> Result<Response> {
        let Asked { request, to } = asked;
        (call.sent, call.says_gone, call.answer, call.gauge) = (false, false, None, None);
        call.token = self.credential(request, to, call.given.take()).await?;
        let body = std::mem::take(&mut outgoing.body);
        let exchange = self.begin(request, to, body, outgoing.length, call.token.as_ref())?;
        call.sent = true;
        // Before anything is waited for: the limit of the call may end that.
        call.gauge = outgoing.feed.as_ref().map(|feed| feed.gauge.clone());
        let answer = self.answer(exchange, request, outgoing.feed.as_mut()).await?;
        let gauge = outgoing.feed.as_ref().map(|feed| feed.gauge.as_ref());
        let cause = match answer {
            Ok(answer) => return self.receive(asked, answer, gauge, call).await,
            Err(cause) => cause,
        };
        // Before all was written, a refusal may be there unread. After that it can only have been lost on the way: one that
        // depends on nothing but the head is asked for where nothing else would tell why.
        let unread = is_write_failure(&cause) || gauge.is_some_and(|gauge| !gauge.has_ended());
        let error = exchange_error(cause);
        // Kept until here: a feed that is dropped fails the body, and the answer with it.
        outgoing.feed = None;
        // Never a head that is a whole request: asking with it would store an empty file.
        let announced = outgoing.length.unwrap_or(call.bytes_sent());
        let unclear = request.refused_early && announced > 0 && error.fate() == Fate::Unknown;
        if !(unclear && (unread || call.is_last && to.foreign.is_none())) {
            return Err(error);
        }
        match Box::pin(self.overlooked(asked, announced, call)).await {
            Err(refusal) if unread || refusal.kind() == ErrorKind::PayloadTooLarge => Err(refusal),
            _ => Err(error),
        }
    }

    /// Waits for the head of an answer, within the limits, while the body is fed.
    async fn answer(
        &self,
        exchange: impl Future<Output = reqwest::Result<reqwest::Response>>,
        request: &Request,
        feed: Option<&mut Feed<'_>>,
    ) -> Result<reqwest::Result<Box<reqwest::Response>>> {
        let (gauge, mut run) = match feed {
            Some(feed) => (Some(&*feed.gauge), feed.run.as_mut()),
            None => (None, None),
        };
        let watchdog =
            Watchdog { start: Instant::now(), gauge, response: self.patience(request), idle: self.idle(request) };
        let mut exchange = pin!(exchange);
        let mut expired = pin!(watchdog.expired());
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut exchange => break Ok(answer.map(Box::new)),
                Some(fed) = OptionFuture::from(run.as_mut()) => match fed {
                    Ok(()) => run = None,
                    Err(error) => break Err(error),
                },
                phase = &mut expired => break Err(timed_out(phase)),
            }
        };
        if let Some(gauge) = gauge {
            gauge.stop();
        }
        answer
    }

    /// How long an answer may be waited for.
    fn patience(&self, request: &Request) -> Duration {
        let timeouts = &self.config().timeouts;
        let usual = if request.slow { timeouts.slow_response.max(timeouts.response) } else { timeouts.response };
        request.options.response_timeout().unwrap_or(usual)
    }

    /// How long a body may stand still, in either direction.
    fn idle(&self, request: &Request) -> Duration {
        request.options.idle_timeout().unwrap_or(self.config().timeouts.idle)
    }

    /// What a server that broke the connection of an upload had to say: a refusal, or nothing.
    async fn overlooked(&self, asked: Asked<'_>, announced: u64, call: &mut Call) -> Result<()> {
        let Ok(head) = self.build(asked.request, asked.to, call.token.as_ref()) else { return Ok(()) };
        match refusal_of_head(&self.config().http, head, announced).await {
            Some(answer) => self.receive(asked, answer.into(), None, call).await.map(drop),
            None => Ok(()),
        }
    }

    async fn receive(
        &self,
        asked: Asked<'_>,
        mut answer: Box<reqwest::Response>,
        gauge: Option<&Gauge>,
        call: &mut Call,
    ) -> Result<Response> {
        let Asked { request, to } = asked;
        let status = answer.status();
        let limits = ReadLimits { idle: self.idle(request), deadline: call.deadline };
        let whole = if to.redirects(request, self.config().dialect, status, answer.headers()) {
            Some(Bytes::new())
        } else if !request.expects(status) {
            // Seldom, and large beside the rest.
            return Box::pin(self.refused(asked, answer, limits, call)).await;
        } else if request.body.is_empty() && gauge.is_some_and(|gauge| !gauge.has_ended()) {
            // A body of the request's own is a caller's affair, and no file that could have been cut.
            let message = "the server accepted the upload before it had read all of it";
            return Err(Error::new(ErrorKind::Decode, message).with_status(status));
        } else {
            match request.receive {
                Receive::Head => None,
                Receive::Whole(limit) => {
                    Some(read_expected(&mut answer, limit, self.patience(request), &limits).await?)
                }
            }
        };
        let headers = std::mem::take(answer.headers_mut());
        let body = whole.map_or(ResponseBody::Streamed(answer), ResponseBody::Whole);
        let exchange = call.exchange(request);
        Ok(Answer { status, headers, body, exchange, limits, api_etag: None, presumed: None }.into())
    }

    /// What an answer means whose status was not expected: an error, or after all what was asked for.
    async fn refused(
        &self,
        Asked { request, to }: Asked<'_>,
        mut answer: Box<reqwest::Response>,
        limits: ReadLimits,
        call: &mut Call,
    ) -> Result<Response> {
        let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        let (excerpt, body) = match request.receive {
            Receive::Whole(limit) if request.any_status => {
                let body = read_expected(&mut answer, limit, self.patience(request), &limits).await?;
                (body.slice(..body.len().min(BODY_LIMIT)), Some(body))
            }
            _ => (read_excerpt(&mut answer, BODY_LIMIT, BODY_PATIENCE).await, None),
        };
        let exchange = call.exchange(request);
        let response = |headers, body| {
            let body = ResponseBody::Whole(body);
            Answer { status, headers, body, exchange, limits, api_etag: None, presumed: None }.into()
        };
        if request.is_answer.is_some_and(|is_answer| is_answer(status, &excerpt)) {
            return Ok(response(headers, excerpt));
        }
        let named = to.foreign.map(|_| to.secrets()).unwrap_or_default();
        let secrets: Vec<_> = call.token.iter().cloned().chain(named).collect();
        let secrets = Secrets::of(&secrets, &call.url, self.headers_of(request)).with_body(&request.secrets);
        let dialect = to.foreign.unwrap_or(self.config().dialect);
        call.says_gone = request.replay == Replay::Deletion && dialect.says_gone(&request.path, &excerpt);
        let moved_to = to.location(&headers).filter(|_| to.foreign.is_none());
        let error = refusal(dialect, status, &headers, &excerpt, &secrets, moved_to.as_ref());
        call.answer = body.map(|body| response(headers.clone(), body));
        Err(error.with_headers(headers))
    }
}

/// The body of an answer that has come, so that what it answers may have been done.
async fn read_expected(
    answer: &mut reqwest::Response,
    limit: usize,
    patience: Duration,
    limits: &ReadLimits,
) -> Result<Bytes> {
    let status = answer.status();
    let read = read_whole(answer, limit, patience, limits).await;
    read.map_err(|error| error.with_status(status).with_fate(Fate::Unknown))
}

fn timed_out(phase: TimeoutPhase) -> Error {
    let message = match phase {
        TimeoutPhase::Send => "the connection took no more of the body for too long",
        _ => "no answer within the time limit",
    };
    Error::new(ErrorKind::Timeout(phase), message).with_fate(Fate::Unknown)
}

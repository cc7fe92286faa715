//! One request and its answer, from the parsed head to the finished reply.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, ETAG, HeaderName, HeaderValue, SERVER};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Version};
use tokio::sync::oneshot;

use super::body::{BodyRules, RequestBody};
use super::host;
use super::link::{Cut, Link};
use super::query::Query;
use super::refusal::{Refusal, closing};
use super::reply::{self, Reply};
use super::reply_body::ReplyBody;
use super::site::{Asked, Site};
use super::target;
use crate::api;
use crate::api::files::RowOf;
use crate::fault::{Action, Firing, Script, Subject};
use crate::seen::SeenLog;
use crate::shared::{Reading, Shared};

/// Kestrel's limits of a request head.
const REQUEST_LINE: usize = 8 * 1024;
const HEADERS: usize = 32 * 1024;
const HEADER_COUNT: usize = 100;

/// A request on its way through a handler.
pub(crate) struct Exchange {
    pub(crate) shared: Arc<Shared>,
    pub(crate) link: Arc<Link>,
    pub(crate) head: Parts,
    pub(crate) query: Query,
    pub(crate) body: RequestBody,
}

impl Exchange {
    /// A header as text; `None` if it is missing or no text.
    pub(crate) fn header(&self, name: impl hyper::header::AsHeaderName) -> Option<&str> {
        self.head.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Answers one request, with whatever a fault does to it.
pub(crate) async fn answer<S: Site>(
    site: Arc<S>,
    link: Arc<Link>,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Infallible> {
    let busy = link.begin();
    let (head, incoming) = request.into_parts();
    let sighting = site.seen().add(&head, link.id());
    let target = head.uri.path_and_query().map_or("", |target| target.as_str()).to_owned();
    let firing = site.script().strike(Subject::Request, head.method.as_str(), &target);
    let body = RequestBody::new(incoming, Arc::clone(&link), Arc::clone(&sighting), firing.clone(), site.body_rules());
    let mut asked = Asked { link: Arc::clone(&link), head, body };

    let scripted = match &firing {
        Some(firing) => struck_before(firing, &mut asked.body, &link).await,
        None => None,
    };
    let (reply, asked) = match scripted {
        Some(reply) => (reply, asked),
        None => Arc::clone(&site).answer(asked).await,
    };
    let mut reply = site.finish(&asked.head, reply);
    if let Some(firing) = firing {
        let _reading = matches!(firing.action(), Action::StallHeaders).then(|| site.reading(&reply));
        reply = struck_after(firing, reply, &link).await;
    }
    sighting.answered(reply.status().as_u16());
    let (signal, handed_over) = oneshot::channel();
    asked.body.drain(handed_over);
    Ok(reply.map(|body| body.signalling(signal, busy)))
}

impl Site for Shared {
    fn seen(&self) -> &SeenLog {
        &self.seen
    }

    fn script(&self) -> &Script {
        &self.script
    }

    fn connections(&self) -> &AtomicU64 {
        &self.connections
    }

    fn body_rules(&self) -> BodyRules {
        let grace = self.defects().slow_body_timeout.then_some(self.config.slow_body_grace);
        BodyRules { limit: self.config.max_upload_size, grace }
    }

    async fn answer(self: Arc<Self>, asked: Asked) -> (Reply, Asked) {
        let Asked { link, mut head, body } = asked;
        target::fold_method(&mut head.method);
        let mut exchange = Exchange { shared: self, link, query: Query::parse(head.uri.query()), head, body };
        let reply = exchange.run().await;
        let Exchange { link, head, body, .. } = exchange;
        (reply, Asked { link, head, body })
    }

    fn reading(self: &Arc<Self>, reply: &Reply) -> Option<Reading> {
        let RowOf(id, path) = reply.extensions().get()?;
        Some(self.read(id, path))
    }

    /// The headers every answer has, and what HEAD and HTTP/1.0 change.
    fn finish(&self, head: &Parts, mut reply: Reply) -> Reply {
        let status = reply.status();
        let headers = reply.headers_mut();
        headers.insert(SERVER, reply::text("Kestrel"));
        let now = std::time::SystemTime::from(self.now());
        if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(now)) {
            headers.insert(DATE, date);
        }
        if head.method == Method::HEAD {
            let of_a_file = headers.contains_key(ETAG) && status != StatusCode::PRECONDITION_FAILED;
            // What Kestrel itself answers says that it has no body, whatever was asked.
            let of_the_server = status == StatusCode::INTERNAL_SERVER_ERROR || headers.contains_key(CONNECTION);
            if !of_a_file && !of_the_server {
                headers.remove(CONTENT_LENGTH);
            }
            *reply.body_mut() = ReplyBody::empty();
        }
        if head.version < Version::HTTP_11 {
            reply.headers_mut().insert(CONNECTION, reply::text("close"));
        }
        reply
    }
}

impl Exchange {
    async fn run(&mut self) -> Reply {
        let path = match self.checked_path() {
            Ok(path) => path,
            Err(status) => return closing(status),
        };
        let origins = &self.shared.config.origins;
        if let Some(preflight) = origins.preflight(&self.head) {
            return preflight;
        }
        let outcome = api::handle(self, &path).await;
        let below = outcome.as_ref().is_err_and(Refusal::is_below_middleware);
        let mut reply = outcome.unwrap_or_else(|refusal| refusal.reply());
        if !below {
            self.shared.config.origins.expose(&self.head, reply.headers_mut());
        }
        reply
    }

    /// What Kestrel checks before anyone else sees the request.
    fn checked_path(&self) -> Result<String, StatusCode> {
        let head = &self.head;
        let target = head.uri.path_and_query().map_or("", |target| target.as_str());
        // Method, two blanks, `HTTP/1.1` and the line end.
        if head.method.as_str().len() + target.len() + 12 > REQUEST_LINE {
            return Err(StatusCode::URI_TOO_LONG);
        }
        let size: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if size > HEADERS || head.headers.len() > HEADER_COUNT {
            return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        }
        // A mere name is a target for `CONNECT` only.
        let is_target = head.method == Method::CONNECT || head.uri.path().starts_with(['/', '*']);
        if !host::is_fine(head) || !is_target || !target.is_ascii() {
            return Err(StatusCode::BAD_REQUEST);
        }
        target::routed_path(head.uri.path()).map_err(|_| StatusCode::BAD_REQUEST)
    }
}

/// What a fault does before the handler runs: an answer of its own, or the end of the connection.
async fn struck_before(firing: &Firing, request: &mut RequestBody, link: &Link) -> Option<Reply> {
    match firing.action() {
        Action::Reset => {
            firing.fire();
            link.cut_and_vanish(Cut::Reset).await
        }
        Action::Status { status, headers, body, after } => {
            while after.is_none_or(|after| request.bytes_read() < after) && matches!(request.chunk().await, Ok(Some(_)))
            {
            }
            firing.fire();
            let mut reply = Response::new(ReplyBody::whole(body.clone()));
            *reply.status_mut() = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            if !body.is_empty() {
                reply.headers_mut().insert(CONTENT_TYPE, reply::text("text/plain"));
            }
            for (name, value) in headers {
                if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                    reply.headers_mut().insert(name, value);
                }
            }
            Some(reply)
        }
        Action::Slow(_) => {
            firing.fire();
            None
        }
        _ => None,
    }
}

/// What a fault does to a finished answer.
async fn struck_after(firing: Firing, reply: Reply, link: &Arc<Link>) -> Reply {
    match firing.action() {
        Action::LoseReply => {
            firing.fire();
            link.cut_and_vanish(Cut::Reset).await
        }
        Action::StallHeaders => {
            firing.fire();
            firing.released().await;
            reply
        }
        Action::ReplaceBody(body) => {
            firing.fire();
            with_body(reply, body.clone())
        }
        Action::TruncateBody(bytes) => {
            use http_body_util::BodyExt;

            firing.fire();
            let (head, body) = reply.into_parts();
            let whole = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let kept = whole.slice(..whole.len().min(*bytes));
            with_body(Response::from_parts(head, ReplyBody::empty()), kept)
        }
        Action::ResetResponseAfter(_)
        | Action::CloseResponseAfter(_)
        | Action::StallResponseAfter(_)
        | Action::CorruptResponseAfter(_)
        | Action::Slow(_) => {
            let link = Arc::clone(link);
            reply.map(|body| body.meddled(firing, link))
        }
        _ => reply,
    }
}

fn with_body(mut reply: Reply, body: bytes::Bytes) -> Reply {
    reply.headers_mut().remove(CONTENT_LENGTH);
    *reply.body_mut() = ReplyBody::whole(body);
    reply
}

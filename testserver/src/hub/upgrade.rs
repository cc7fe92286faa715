//! `/hub/files`: the WebSocket's beginning, and the refusals of everything else.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, EXPIRES, HeaderName, HeaderValue, PRAGMA, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Response, StatusCode};

use super::member::Membership;
use super::negotiate::Standing;
use crate::http::exchange::Exchange;
use crate::http::reply::{self, Reply};
use crate::http::reply_body::ReplyBody;
use crate::shared::Shared;

/// A WebSocket that was agreed upon and is to be taken over once the 101 is out.
pub(crate) struct Entrance {
    pub(super) shared: Arc<Shared>,
    pub(super) on_upgrade: OnUpgrade,
    pub(super) membership: Membership,
}

impl std::fmt::Debug for Entrance {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Entrance").finish_non_exhaustive()
    }
}

/// Answers a request for the hub itself.
pub(crate) fn answer(exchange: &mut Exchange) -> Reply {
    let method = exchange.head.method.clone();
    if ![Method::GET, Method::POST, Method::DELETE].contains(&method) {
        return reply::empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let is_websocket = is_websocket(exchange);
    let accept = if is_websocket { accept(exchange) } else { None };
    let id = exchange.query.first("id").filter(|id| !id.is_empty()).map(str::to_owned);
    let hub = exchange.shared.hub.clone();
    let life = hub.inner.times.negotiated_id;
    let standing = id.as_deref().map(|id| {
        let ids = &mut hub.registry().ids;
        let standing = ids.standing(id, life);
        if standing == Standing::Unused && accept.is_some() {
            ids.open(id);
        }
        standing
    });
    let mut refused = match (standing, accept) {
        (None | Some(Standing::Unused), Some((accept, on_upgrade))) => {
            let token = exchange.query.first("access_token").map(str::to_owned);
            let shared = Arc::clone(&exchange.shared);
            exchange.link.hand_over(Entrance { shared, on_upgrade, membership: Membership::new(&hub, token, id) });
            return switching(accept);
        }
        (None, None) => plain(StatusCode::BAD_REQUEST, "Connection ID required"),
        (Some(Standing::Unknown), _) => plain(StatusCode::NOT_FOUND, "No Connection with that ID"),
        (Some(Standing::Open), Some(_)) => {
            let mut conflict = reply::empty(StatusCode::CONFLICT);
            conflict.headers_mut().insert(CONTENT_TYPE, reply::text("text/plain"));
            conflict
        }
        (Some(Standing::Open), None) => match method {
            Method::POST => {
                plain(StatusCode::METHOD_NOT_ALLOWED, "POST requests are not allowed for WebSocket connections.")
            }
            Method::DELETE => {
                plain(StatusCode::BAD_REQUEST, "Cannot terminate this connection using the DELETE endpoint.")
            }
            _ => plain(StatusCode::BAD_REQUEST, "Cannot change transports mid-connection"),
        },
        (Some(Standing::Unused), None) => plain(StatusCode::NOT_IMPLEMENTED, "This test server speaks WebSockets only"),
    };
    if method == Method::GET && !is_websocket {
        let headers = refused.headers_mut();
        headers.insert(CACHE_CONTROL, reply::text("no-cache, no-store"));
        headers.insert(EXPIRES, reply::text("Thu, 01 Jan 1970 00:00:00 GMT"));
        headers.insert(PRAGMA, reply::text("no-cache"));
    }
    refused
}

/// What Kestrel takes for a WebSocket request.
fn is_websocket(exchange: &Exchange) -> bool {
    let has = |name: HeaderName, word: &str| {
        let text = exchange.header(name).unwrap_or_default();
        text.split(',').any(|part| part.trim().eq_ignore_ascii_case(word))
    };
    exchange.head.method == Method::GET
        && has(UPGRADE, "websocket")
        && has(CONNECTION, "upgrade")
        && has(SEC_WEBSOCKET_VERSION, "13")
        && exchange.header(SEC_WEBSOCKET_KEY).is_some()
}

/// The answer to the key of a WebSocket request, and the connection to come.
fn accept(exchange: &mut Exchange) -> Option<(HeaderValue, OnUpgrade)> {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let mut hash = sha1_smol::Sha1::from(exchange.header(SEC_WEBSOCKET_KEY)?.trim());
    hash.update(GUID);
    let accept = HeaderValue::try_from(STANDARD.encode(hash.digest().bytes())).ok()?;
    Some((accept, exchange.head.extensions.remove::<OnUpgrade>()?))
}

fn switching(accept: HeaderValue) -> Reply {
    let mut reply = Response::new(ReplyBody::empty());
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = reply.headers_mut();
    headers.insert(CONNECTION, reply::text("Upgrade"));
    headers.insert(UPGRADE, reply::text("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    reply
}

fn plain(status: StatusCode, text: &'static str) -> Reply {
    let mut reply = Response::new(ReplyBody::chunked(Bytes::from_static(text.as_bytes())));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, reply::text("text/plain"));
    reply
}

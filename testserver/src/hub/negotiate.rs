//! `POST /hub/files/negotiate`, and the ids it gives out.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use serde::Serialize;
use tokio::time::Instant;

use super::Hub;
use crate::http::exchange::Exchange;
use crate::http::query::dotnet_integer;
use crate::http::reply::{self, Reply, relaxed_json};
use crate::http::reply_body::ReplyBody;

/// Ids that were given out and are still good.
#[derive(Default)]
pub(super) struct Ids {
    known: HashMap<String, Use>,
}

#[derive(Clone, Copy)]
enum Use {
    NotYet(Instant),
    Open,
}

/// What an id is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Unknown,
    Unused,
    Open,
}

impl Ids {
    fn give_out(&mut self, life: Duration) -> String {
        let id = new_id();
        self.known.retain(|_, used| !matches!(used, Use::NotYet(since) if since.elapsed() > life));
        self.known.insert(id.clone(), Use::NotYet(Instant::now()));
        id
    }

    pub(super) fn standing(&self, id: &str, life: Duration) -> Standing {
        match self.known.get(id) {
            Some(Use::Open) => Standing::Open,
            Some(Use::NotYet(since)) if since.elapsed() <= life => Standing::Unused,
            _ => Standing::Unknown,
        }
    }

    pub(super) fn open(&mut self, id: &str) {
        self.known.insert(id.to_owned(), Use::Open);
    }

    pub(super) fn end(&mut self, id: &str) {
        self.known.remove(id);
    }

    pub(super) fn forget(&mut self) {
        self.known.clear();
    }
}

/// 22 characters of base64url.
fn new_id() -> String {
    URL_SAFE_NO_PAD.encode(fastrand::u128(..).to_le_bytes())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Negotiated {
    negotiate_version: u8,
    connection_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_token: Option<String>,
    available_transports: [Transport; 3],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Transport {
    transport: &'static str,
    transfer_formats: &'static [&'static str],
}

const TRANSPORTS: [Transport; 3] = [
    Transport { transport: "WebSockets", transfer_formats: &["Text", "Binary"] },
    Transport { transport: "ServerSentEvents", transfer_formats: &["Text"] },
    Transport { transport: "LongPolling", transfer_formats: &["Text", "Binary"] },
];

/// Nobody is asked who they are.
pub(crate) fn answer(exchange: &Exchange) -> Reply {
    if exchange.head.method != Method::POST {
        let mut refused = reply::empty(StatusCode::METHOD_NOT_ALLOWED);
        refused.headers_mut().insert(CONTENT_TYPE, reply::text("text/plain"));
        return refused;
    }
    let version = exchange.query.text("negotiateversion");
    match version.as_deref().map_or(Some(0), dotnet_integer::<i32>) {
        None => refused("The client requested a non-integer protocol version."),
        Some(version) if version < 0 => {
            refused(&format!("The client requested version '{version}', but the server does not support this version."))
        }
        Some(version) => plain_json(&give_out(&exchange.shared.hub, version >= 1)),
    }
}

fn give_out(hub: &Hub, with_token: bool) -> Negotiated {
    let id = hub.registry().ids.give_out(hub.inner.times.negotiated_id);
    let (connection_id, connection_token) = if with_token { (new_id(), Some(id)) } else { (id, None) };
    let negotiate_version = u8::from(with_token);
    Negotiated { negotiate_version, connection_id, connection_token, available_transports: TRANSPORTS }
}

/// An error, with status 200.
fn refused(error: &str) -> Reply {
    #[derive(Serialize)]
    struct Error<'a> {
        error: &'a str,
    }
    plain_json(&Error { error })
}

fn plain_json(value: &impl Serialize) -> Reply {
    let mut reply = Response::new(ReplyBody::whole(Bytes::from(relaxed_json(value))));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

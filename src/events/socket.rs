//! A WebSocket to the hub, over the client's own connections: same proxies, TLS, resolver and headers.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::{Sink, Stream};
use http::{HeaderMap, HeaderValue, Method};
use serde::Deserialize;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message as WsMessage};

use super::settings::EventSettings;
use crate::auth::Token;
use crate::error::{Error, ErrorKind, Fate, Result};
use crate::http::{
    Authorization, CallOptions, Request, RetryPolicy, Secrets, Transport, Upgrade, Upgraded, words_of_hub,
};

const HUB: &str = "/hub/files";

pub(super) struct Socket {
    stream: WebSocketStream<Upgraded>,
    /// What the server was sent and must not be heard to repeat.
    secrets: Secrets,
}

/// Under load, one message of the server holds over a thousand records.
const LONGEST_MESSAGE: usize = 16 << 20;
/// What one read takes at most. Tungstenite clears room for that much before each read, however little comes: its own
/// 128 KiB delay an event that comes alone. Smaller ones make more reads of a flood.
const READ_BUFFER: usize = 32 << 10;

impl Socket {
    /// Makes one attempt at a connection. The token, if any, goes into the URL: the server looks nowhere else.
    pub(super) async fn open(
        transport: &Transport,
        settings: &EventSettings,
        token: Option<&Token>,
        secrets: Secrets,
        attempts: u32,
    ) -> Result<Self> {
        let mut query = Vec::new();
        let id;
        if settings.negotiate {
            id = negotiate(transport, settings.handshake_timeout, &secrets).await?;
            query.push(("id", id.as_str()));
        }
        if let Some(token) = token {
            query.push(("access_token", token.expose()));
        }
        let key = generate_key();
        let mut headers = HeaderMap::new();
        headers.insert("sec-websocket-version", HeaderValue::from_static("13"));
        headers.insert("sec-websocket-key", header_value(&key)?);
        let upgrade = Upgrade {
            path: HUB,
            query: &query,
            protocol: "websocket",
            headers,
            limit: transport.config().timeouts.connect.saturating_add(settings.handshake_timeout),
            attempts,
            token,
        };
        let (answer, bytes) = transport.upgrade(upgrade).await?;
        let accepted = answer.get("sec-websocket-accept").map(HeaderValue::as_bytes);
        if accepted != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
            return Err(Error::new(
                ErrorKind::Decode,
                "the answer to the request for a WebSocket is not one to this request",
            ));
        }
        let longest = LONGEST_MESSAGE.max(settings.record_limit);
        let config = WebSocketConfig::default().max_message_size(Some(longest)).max_frame_size(Some(longest));
        let config = config.read_buffer_size(READ_BUFFER);
        let stream = WebSocketStream::from_raw_socket(bytes, Role::Client, Some(config)).await;
        Ok(Self { stream, secrets })
    }

    /// The next message; pings are answered, and pongs skipped.
    pub(super) fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<WsText>> {
        loop {
            return Poll::Ready(match ready!(Pin::new(&mut self.stream).poll_next(cx)) {
                Some(Ok(WsMessage::Text(text))) => Ok(text),
                Some(Ok(WsMessage::Binary(bytes))) => WsText::try_from(bytes)
                    .map_err(|cause| Error::new(ErrorKind::Decode, "a message of the hub is no text").caused_by(cause)),
                Some(Ok(WsMessage::Close(frame))) => Err(closed(frame.map(|f| (f.code.into(), self.words(&f.reason))))),
                Some(Ok(_)) => continue,
                Some(Err(error)) => Err(broken(error)),
                None => Err(closed(None)),
            });
        }
    }

    /// Writes a message, or waits until there is room for it; `message` is then left alone.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, message: &mut Option<WsText>) -> Poll<Result<()>> {
        let mut socket = Pin::new(&mut self.stream);
        if message.is_some() {
            ready!(socket.as_mut().poll_ready(cx)).map_err(broken)?;
            if let Some(text) = message.take() {
                socket.as_mut().start_send(WsMessage::Text(text)).map_err(broken)?;
            }
        }
        socket.poll_flush(cx).map_err(broken)
    }

    /// A text of the server, fit to be passed on.
    pub(super) fn words(&self, text: &str) -> String {
        words_of_hub(text, &self.secrets)
    }

    /// The hub's refusal of an invocation (events description, section 6), and whether it is its own decision or a fault.
    pub(super) fn refusal(&self, words: &str, anonymous: bool) -> (Error, bool) {
        let Some((_, decision)) = words.split_once("HubException: ") else {
            return (Error::new(ErrorKind::Server, self.words(words)), false);
        };
        let kind = match decision {
            "Method does not exist." => ErrorKind::Unsupported,
            _ if anonymous => ErrorKind::Unauthenticated,
            _ => ErrorKind::PermissionDenied,
        };
        let error = Error::new(kind, self.words(decision));
        let error = match kind {
            ErrorKind::Unsupported => error,
            _ => error.with_hint("Events of everything need the admin key or a dashboard token"),
        };
        (error, true)
    }

    /// Says goodbye, for a moment at most.
    pub(super) async fn close(&mut self) {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.stream.close(None)).await;
    }
}

pub(super) type WsText = tokio_tungstenite::tungstenite::Utf8Bytes;

fn header_value(text: &str) -> Result<HeaderValue> {
    HeaderValue::try_from(text).map_err(|cause| Error::new(ErrorKind::InvalidInput, "not a header").caused_by(cause))
}

fn interrupted(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Interrupted, message).with_fate(Fate::Unknown)
}

fn closed(frame: Option<(u16, String)>) -> Error {
    interrupted(match frame {
        None => "the server closed the connection".to_owned(),
        Some((code, reason)) => format!("the server closed the connection (code {code}): {reason}"),
    })
}

fn broken(error: WsError) -> Error {
    match error {
        WsError::ConnectionClosed | WsError::AlreadyClosed => closed(None),
        WsError::Io(cause) => interrupted(format!("the connection broke: {}", cause.kind())).caused_by(cause),
        WsError::Capacity(cause) => {
            Error::new(ErrorKind::Decode, "a message of the hub is longer than is allowed").caused_by(cause)
        }
        WsError::Protocol(tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            interrupted("the connection broke without a word")
        }
        other => Error::new(ErrorKind::Decode, "what came is not the WebSocket protocol").caused_by(other),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Negotiated {
    error: Option<String>,
    url: Option<String>,
    connection_token: Option<String>,
    connection_id: Option<String>,
    #[serde(default)]
    available_transports: Vec<Offer>,
}

#[derive(Deserialize)]
struct Offer {
    transport: String,
}

/// Asks for the id of a connection (events description, section 2). It is good for some 15 s, and for one connection.
async fn negotiate(transport: &Transport, limit: Duration, secrets: &Secrets) -> Result<String> {
    let mut options = CallOptions::default();
    options.set_retry(RetryPolicy::never());
    options.set_response_timeout(limit);
    let request = Request::new(Method::POST, format!("{HUB}/negotiate"))
        .query("negotiateVersion", "1")
        .authorization(Authorization::Never)
        .options(options);
    let answer: Negotiated = transport.send(request).await?.json()?;
    if let Some(error) = answer.error {
        return Err(Error::new(ErrorKind::Unsupported, words_of_hub(&error, secrets)));
    }
    if answer.url.is_some() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "the hub redirects to another one, which no CarbonFiles server does",
        ));
    }
    if !answer.available_transports.iter().any(|offer| offer.transport == "WebSockets") {
        return Err(Error::new(ErrorKind::Unsupported, "the hub does not offer WebSockets"));
    }
    answer
        .connection_token
        .or(answer.connection_id)
        .ok_or_else(|| Error::new(ErrorKind::Decode, "the answer to negotiate has no connection id"))
}

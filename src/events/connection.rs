//! One connection to the hub: a task, and the state machine it runs.
//!
//! ```text
//!           first subscription                          101, handshake
//! Closed ──────────────────────▶ Connecting ───────────────────────────▶ Subscribing
//!   ▲ ▲                          │   ▲    │                              │    │ every group joined:
//!   │ │ last one dropped,        │   │    │ failed                  lost │    ▼ Reconnected to those who were told
//!   │ └── in any state           │   │    ▼                              │  Connected
//!   │                  refused   │   └─ Waiting ◀────────────────────────┴────┘ lost: Disconnected
//!   └── Refused ◀────────────────┘  (jittered, endless)
//! ```
//!
//! Refused is only what will not pass by itself: the hub's own refusals, also of the only subscription, a token that can't be
//! one, and, before the client's first connection, an answer that is not that of a hub. Once a connection has been made, such
//! an answer is taken for a fault on the way, also where a later subscription meets it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::line::{Line, Running, wake};
use super::session::{Ended, Session, too_late};
use super::socket::Socket;
use super::state::ConnectionState;
use crate::auth::Token;
use crate::error::{Error, ErrorKind, Result};
use crate::http::Secrets;

/// A connection that stood so long was a good one: the next failure is the first.
const STOOD: Duration = Duration::from_secs(10);

/// Keeps a connection up for as long as there are subscriptions.
pub(super) async fn keep_up(running: &mut Running) {
    let line = running.line.clone();
    let mut failures = 0;
    // In place of one that was refused, for the next attempt alone.
    let mut other: Option<Token> = None;
    loop {
        line.enter(ConnectionState::Connecting { failures });
        let is_other = other.is_some();
        let ended = match unless_unneeded(&line, connect(&line, failures, other.take())).await {
            Err(ended) => ended,
            Ok(mut session) => {
                let start = Instant::now();
                let ended = session.run().await;
                // However it ended: nobody else has the wakers of readers whose events came with the end.
                session.wake();
                if session.settled && start.elapsed() >= STOOD {
                    failures = 0;
                }
                if matches!(ended, Ended::Unneeded | Ended::Denied(..)) {
                    session.socket.close().await;
                }
                ended
            }
        };
        let ended = match ended {
            Ended::Denied(error, refused) if !is_other => {
                match unless_unneeded(&line, instead_of(&line, &refused)).await {
                    Ok(None) => Ended::Refused(error),
                    Ok(token) => {
                        other = token;
                        wake(|wakers| line.registry().disconnected(&error.to_string(), wakers));
                        // That belongs to the attempt, and is no failure yet.
                        continue;
                    }
                    Err(ended) => ended,
                }
            }
            ended => ended,
        };
        let error = match ended {
            Ended::Unneeded if running.retire() => return,
            Ended::Unneeded => continue,
            Ended::Lost(error) if line.is_established() || error.is_retryable() => error,
            Ended::Passing(error) => error,
            Ended::Lost(error) | Ended::Denied(error, _) | Ended::Refused(error) => return running.refuse(&error),
        };
        failures += 1;
        if line.settings.max_attempts.is_some_and(|most| failures >= most) {
            return running.refuse(&error);
        }
        let retry_in = line.settings.delay(failures, error.retry_after());
        wake(|wakers| line.registry().disconnected(&error.to_string(), wakers));
        line.enter(ConnectionState::Waiting { failures, retry_in, reason: error.to_string() });
        let waited = async {
            sleep(retry_in).await;
            Ok(())
        };
        if unless_unneeded(&line, waited).await.is_err() && running.retire() {
            return;
        }
    }
}

/// Does something as long as there are subscriptions.
async fn unless_unneeded<T>(line: &Line, work: impl Future<Output = Result<T, Ended>>) -> Result<T, Ended> {
    let unneeded = async {
        while !line.registry().is_empty() {
            line.changed.notified().await;
        }
    };
    tokio::select! {
        () = unneeded => Err(Ended::Unneeded),
        done = work => done,
    }
}

/// Makes one attempt: token, unless there is one, WebSocket, handshake.
async fn connect(line: &Arc<Line>, failures: u32, other: Option<Token>) -> Result<Session, Ended> {
    let token = token(line, other).await?;
    let config = line.transport.config();
    let mut url = config.base.clone();
    if let Some(token) = &token {
        // As it will be sent, so that it is not repeated in that form either.
        url.query_pairs_mut().append_pair("access_token", token.expose());
    }
    let secrets = Secrets::of(token.as_slice(), &url, [&config.headers]);
    let opened = Socket::open(&line.transport, &line.settings, token.as_ref(), secrets, failures + 1).await;
    let session = Session::new(line, token, opened.map_err(Ended::Lost)?);
    let limit = line.settings.handshake_timeout;
    timeout(limit, session.shake_hands())
        .await
        .unwrap_or_else(|_| Err(Ended::Lost(too_late("the hub did not answer the handshake within the time limit"))))
}

/// The credential for the URL.
async fn token(line: &Line, other: Option<Token>) -> Result<Option<Token>, Ended> {
    if !line.admin {
        return Ok(None);
    }
    let token = match other {
        Some(other) => Some(other),
        None => in_time(line, line.transport.config().credentials.token()).await?,
    };
    let Some(token) = token else { return Ok(None) };
    // Nobody on the way has said so.
    token.check().map_err(Ended::Refused)?;
    if token.is_upload_token() {
        let error = Error::new(ErrorKind::PermissionDenied, "an upload token does not let a client hear of everything");
        return Err(Ended::Refused(error.with_hint("Use the admin key or a dashboard token")));
    }
    Ok(Some(token))
}

/// The token to try after one that was refused, if there is another; it is asked for once, as by a call.
async fn instead_of(line: &Line, refused: &Token) -> Result<Option<Token>, Ended> {
    in_time(line, line.transport.config().credentials.instead_of(refused)).await
}

/// What a provider gives. One that fails, or takes too long, may succeed the next time.
async fn in_time(line: &Line, asked: impl Future<Output = Result<Option<Token>>>) -> Result<Option<Token>, Ended> {
    let limit = line.settings.handshake_timeout;
    let late = || too_late(format!("the token provider has given no token for {limit:?}"));
    timeout(limit, asked).await.unwrap_or_else(|_| Err(late())).map_err(Ended::Passing)
}

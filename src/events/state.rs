//! What can be seen of a connection from outside.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use futures::stream::FusedStream;
use serde::Serialize;
use tokio::sync::watch;

use crate::error::Error;

/// The state of an event connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ConnectionState {
    /// There is no subscription, and so no connection.
    Closed,
    /// A connection is being made.
    #[non_exhaustive]
    Connecting {
        /// The failures in a row so far.
        failures: u32,
    },
    /// The connection is there; not every subscription is in force yet.
    Subscribing,
    /// All subscriptions are in force.
    Connected,
    /// The connection was lost or could not be made; it will be tried again.
    #[non_exhaustive]
    Waiting {
        /// The failures in a row so far.
        failures: u32,
        /// How long from the beginning of this state.
        retry_in: Duration,
        /// Why, in words.
        reason: String,
    },
    /// The server refused the connection or its last subscription for good: all have ended with the error. A new one tries
    /// again. Where others are left, a refused subscription changes nothing here.
    #[non_exhaustive]
    Refused {
        /// In the server's words where it gave any.
        reason: String,
    },
}

impl ConnectionState {
    pub(super) fn refused(error: &Error) -> Self {
        Self::Refused { reason: error.to_string() }
    }

    /// Whether all subscriptions are in force.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self, Self::Connected)
    }
}

/// A view of a connection's state: the current one at any time, and a stream of its changes, beginning with the current
/// one. States that follow each other faster than they are read are skipped; the last one never is. It ends with the client.
#[must_use = "a stream does nothing unless it is polled"]
pub struct StateWatch {
    now: watch::Receiver<ConnectionState>,
    ended: bool,
    changes: tokio_util::sync::ReusableBoxFuture<'static, Option<(watch::Receiver<ConnectionState>, ConnectionState)>>,
}

impl StateWatch {
    pub(super) fn new(mut now: watch::Receiver<ConnectionState>) -> Self {
        now.mark_changed();
        Self { ended: false, changes: tokio_util::sync::ReusableBoxFuture::new(next(now.clone())), now }
    }

    /// The state now.
    #[must_use]
    pub fn current(&self) -> ConnectionState {
        self.now.borrow().clone()
    }

    /// Waits until `is` holds for the state; returns at once if it already does.
    pub async fn wait_for(&mut self, mut is: impl FnMut(&ConnectionState) -> bool) -> ConnectionState {
        match self.now.wait_for(|state| is(state)).await {
            Ok(state) => state.clone(),
            // The client is gone, and no connection is left.
            Err(_) => ConnectionState::Closed,
        }
    }
}

async fn next(
    mut states: watch::Receiver<ConnectionState>,
) -> Option<(watch::Receiver<ConnectionState>, ConnectionState)> {
    states.changed().await.ok()?;
    let state = states.borrow_and_update().clone();
    Some((states, state))
}

impl Clone for StateWatch {
    fn clone(&self) -> Self {
        Self::new(self.now.clone())
    }
}

impl Stream for StateWatch {
    type Item = ConnectionState;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ConnectionState>> {
        if self.ended {
            return Poll::Ready(None);
        }
        match std::task::ready!(self.changes.poll(cx)) {
            Some((states, state)) => {
                self.changes.set(next(states));
                Poll::Ready(Some(state))
            }
            None => {
                self.ended = true;
                Poll::Ready(None)
            }
        }
    }
}

impl FusedStream for StateWatch {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

impl fmt::Debug for StateWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StateWatch").field(&*self.now.borrow()).finish()
    }
}

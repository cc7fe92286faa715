//! What the event connection can be told.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::http::jittered;

/// How a client's event connections behave; see [`ClientBuilder::events`](crate::ClientBuilder::events).
///
/// The defaults are those of the SignalR protocol, which the server uses untouched (events description, section 7).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventSettings {
    /// How often the client gives a sign of life, from the start; 100 ms at least. The server waits 30 s for one.
    /// Default 15 s.
    pub keep_alive: Duration,
    /// How long the server may be silent until the connection counts as lost; it pings every 15 s. 100 ms at
    /// least, default 30 s.
    pub server_timeout: Duration,
    /// How long the answers to the request for a WebSocket, to the handshake and to a subscription may take each, and that of
    /// a token provider, and how long the server may leave unread what it is sent; then the connection is made again, with
    /// growing waits. Only a subscription that is new is asked for once more on the same connection, so that others in force
    /// are not disturbed. Default 15 s.
    pub handshake_timeout: Duration,
    /// The upper bound of the wait before the first attempt to connect again; it doubles with each. Waits are drawn
    /// between zero and the bound ("full jitter"), on top of what a server asks for by `Retry-After`. 5 ms at least, default
    /// 200 ms.
    pub base_delay: Duration,
    /// The upper bound of every such wait. 5 ms at least, default 15 s.
    pub max_delay: Duration,
    /// After how many failures in a row the subscriptions end with the error. Default `None`: never.
    pub max_attempts: Option<u32>,
    /// The longest record that is taken from the server, in bytes; its own are below 40 KiB. Default 1 MiB.
    pub record_limit: usize,
    /// Asks `negotiate` for a connection id first. The server does not need it; what routes connections before it may.
    /// Default `false`.
    pub negotiate: bool,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self {
            keep_alive: Duration::from_secs(15),
            server_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(15),
            base_delay: Duration::from_millis(200),
            max_delay: Duration::from_secs(15),
            max_attempts: None,
            record_limit: 1 << 20,
            negotiate: false,
        }
    }
}

/// Less than this would be a busy loop.
const SHORTEST: Duration = Duration::from_millis(100);
/// And so would this, where an attempt fails at once.
const SOONEST: Duration = Duration::from_millis(5);

impl EventSettings {
    /// Sets how often the client gives a sign of life.
    #[must_use]
    pub fn keep_alive(mut self, every: Duration) -> Self {
        self.keep_alive = every;
        self
    }

    /// Sets how long the server may be silent.
    #[must_use]
    pub fn server_timeout(mut self, limit: Duration) -> Self {
        self.server_timeout = limit;
        self
    }

    /// Sets how long each answer of the hub may take.
    #[must_use]
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.handshake_timeout = limit;
        self
    }

    /// Sets the upper bound of the first wait before connecting again.
    #[must_use]
    pub fn base_delay(mut self, delay: Duration) -> Self {
        self.base_delay = delay;
        self
    }

    /// Sets the upper bound of every wait before connecting again.
    #[must_use]
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// Gives up after so many failures in a row. With 0 nothing could be tried: `build` of the client refuses it.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// Sets the longest record that is taken from the server.
    #[must_use]
    pub fn record_limit(mut self, bytes: usize) -> Self {
        self.record_limit = bytes;
        self
    }

    /// Sets whether a connection id is negotiated first.
    #[must_use]
    pub fn negotiate(mut self, negotiate: bool) -> Self {
        self.negotiate = negotiate;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        match self.max_attempts {
            Some(0) => Err(Error::invalid_input("max_attempts", "at least one attempt has to be made")),
            _ => Ok(()),
        }
    }

    /// What the connection goes by.
    pub(super) fn bounded(mut self) -> Self {
        self.keep_alive = self.keep_alive.max(SHORTEST);
        self.server_timeout = self.server_timeout.max(SHORTEST);
        self.base_delay = self.base_delay.max(SOONEST);
        self.max_delay = self.max_delay.max(SOONEST);
        self
    }

    /// The wait after `failures` in a row (from 1). A server's `Retry-After` comes on top, up to a minute:
    /// those whom it sent away together are not to come back together.
    pub(super) fn delay(&self, failures: u32, retry_after: Option<Duration>) -> Duration {
        let floor = retry_after.unwrap_or_default().min(Duration::from_secs(60));
        floor + jittered(self.base_delay, self.max_delay, failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn no_setting_makes_a_busy_loop() {
        let idle = EventSettings::default().keep_alive(Duration::ZERO).server_timeout(Duration::ZERO).bounded();
        assert_eq!((idle.keep_alive, idle.server_timeout), (SHORTEST, SHORTEST));
        for waits in
            [EventSettings::default().base_delay(Duration::ZERO), EventSettings::default().max_delay(Duration::ZERO)]
        {
            let waits = waits.bounded();
            assert!((1..200).map(|failures| waits.delay(failures, None)).sum::<Duration>() > Duration::from_millis(50));
        }
    }

    /// All whom a server sends away with the same word would come back at once.
    #[test]
    fn a_servers_word_on_when_to_come_back_makes_no_herd() {
        let settings = EventSettings::default();
        let delays: HashSet<_> = (0..50).map(|_| settings.delay(1, Some(Duration::from_secs(10)))).collect();
        assert!(delays.len() > 40, "{delays:?}");
    }

    proptest! {
        #[test]
        fn waits_stay_in_their_bounds(failures in 0u32..=u32::MAX, after in proptest::option::of(0u64..10_000)) {
            let floor = after.map(Duration::from_secs);
            let delay = EventSettings::default().delay(failures, floor);
            let floor = floor.unwrap_or_default().min(Duration::from_secs(60));
            prop_assert!(delay >= floor && delay <= floor + Duration::from_secs(15));
        }
    }
}

//! What a hub can be told beforehand and while it runs.

use std::time::Duration;

/// How long the hub waits for what. The default is what the real server does; tests that are to see a time-out shorten it.
///
/// ```
/// use std::time::Duration;
/// use carbonfiles_testserver::HubTimes;
///
/// let quick = HubTimes { ping: Duration::from_millis(50), ..HubTimes::default() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubTimes {
    /// Between two pings of the server: 15 s.
    pub ping: Duration,
    /// Without a record of a client that has pinged once: 30 s. Who never pings is never dropped.
    pub client_timeout: Duration,
    /// Until the handshake: 15 s.
    pub handshake: Duration,
    /// How long a negotiated id is good while unused: 15.5 s.
    pub negotiated_id: Duration,
    /// How long a write to a client that does not read may take before the connection is reset: 10 s. Uploads into its
    /// groups wait meanwhile.
    pub slow_reader: Duration,
}

impl Default for HubTimes {
    fn default() -> Self {
        Self {
            ping: Duration::from_secs(15),
            client_timeout: Duration::from_secs(30),
            handshake: Duration::from_secs(15),
            negotiated_id: Duration::from_millis(15_500),
            slow_reader: Duration::from_secs(10),
        }
    }
}

/// How records are put into WebSocket messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Framing {
    /// As the real server does it: what has gathered while the last message was written goes into the next one.
    #[default]
    Gathered,
    /// At most so many records a message.
    Records(usize),
    /// Every record is cut over two messages.
    Cut,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Switches {
    pub(super) framing: Framing,
    /// The longest frame of connections that are opened from now on.
    pub(super) frame_size: Option<usize>,
    pub(super) pings: bool,
    /// Nothing goes out.
    pub(super) mute: bool,
    /// Nothing is written.
    pub(super) stalled: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self { framing: Framing::default(), frame_size: None, pings: true, mute: false, stalled: false }
    }
}

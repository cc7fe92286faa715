//! Time limits. They are kept here, not in reqwest: its total time-out would kill long transfers, and its read time-out
//! runs from the start of a request, upload included.

use std::time::Duration;

/// The time limits of a client or of one call. None but `total` ends a healthy transfer, however long it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// Making a connection, TLS included. Default 10 s.
    pub connect: Duration,
    /// From the end of the request's body to the head of the answer. Default 60 s. Where a request has no body, the making
    /// of its connection is part of it. An answer that is read whole, as all but downloads are, has to be there in as long
    /// again, and as much longer as the longest one that is read takes at 10 KB/s (1 MiB as a rule).
    pub response: Duration,
    /// The same for calls that make the server read or write whole files before it answers (uploads, `verify`,
    /// `append`, `patch`, ZIP); also covers what is still in the socket's buffers of a slow link. Default 10 min. Where
    /// `response` is longer, that counts for these calls too.
    pub slow_response: Duration,
    /// How long a body may stand still, either way, for reasons that lie in the connection. Default 60 s. A source that
    /// has nothing to send does not count. What is sent moves in pieces of up to 512 KiB, of which one has to get through
    /// in this time: for links slower than 10 KB/s, raise it.
    ///
    /// On Linux and Android the system, too, gives up a connection whose peer has taken nothing of what was sent for this
    /// long. That is set when the connection is made, for all calls that will use it: a call's own longer limit does not
    /// lengthen it. A wait for an answer to what has been taken is not limited by it.
    pub idle: Duration,
    /// The whole call, retries and waiting included. Default none.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            response: Duration::from_secs(60),
            slow_response: Duration::from_secs(600),
            idle: Duration::from_secs(60),
            total: None,
        }
    }
}

macro_rules! setters {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)*) => {
        impl Timeouts {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $field(mut self, limit: $type) -> Self {
                    self.$field = limit;
                    self
                }
            )*
        }
    };
}

setters! {
    /// Limits the making of a connection.
    connect: Duration,
    /// Limits the wait for an answer.
    response: Duration,
    /// Limits the wait for an answer of a slow call.
    slow_response: Duration,
    /// Limits how long a body may stand still.
    idle: Duration,
    /// Limits each call as a whole; `None` lifts that.
    total: Option<Duration>,
}

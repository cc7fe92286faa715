//! What kinds of error there are, and their words.

use std::fmt;

use serde::{Serialize, Serializer};

/// What went wrong, coarse enough to decide on. Shown and serialised as one [word](Self::as_str).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument is not usable. Found before anything was sent, or the server's 400, 414, 415, 422 and 431.
    InvalidInput,
    /// No usable credential (401, and 403 where the server sees an anonymous caller).
    Unauthenticated,
    /// The credential does not allow this (403).
    PermissionDenied,
    /// There is no such thing (404, 410).
    NotFound,
    /// It collides with something that is there or under way (409).
    Conflict,
    /// The body is larger than the server takes (413).
    PayloadTooLarge,
    /// The storage granted is used up (507).
    QuotaExceeded,
    /// The range asked for lies outside the file (416).
    RangeNotSatisfiable,
    /// A condition such as `If-Match` did not hold (412).
    PreconditionFailed,
    /// Too many requests (429).
    RateLimited,
    /// A time limit passed; the phase tells which.
    Timeout(TimeoutPhase),
    /// No connection could be made: nothing was sent.
    Connect,
    /// The connection broke while a request or an answer was under way.
    Interrupted,
    /// The server failed (5xx).
    Server,
    /// The answer is not what the API promises: not JSON, a missing member, an unexpected status.
    Decode,
    /// The bytes that arrived are not the bytes that were sent: their SHA-256 or their number differs.
    IntegrityMismatch,
    /// The source or the remote file changed while it was being read.
    ContentChanged,
    /// A storage sent the request on to another place (307, 308), but its body can be read only once. After any other fault
    /// of such a body, the error is of that fault's own kind, with a hint.
    BodyNotReplayable,
    /// A local file, reader or stream failed.
    Io,
    /// The server does not do this.
    Unsupported,
    /// The caller stopped it: by [`Transfer::cancel`](crate::Transfer::cancel), or by the signal of a batch or a sync.
    Cancelled,
}

/// Which limit a [`ErrorKind::Timeout`] hit. Shown and serialised as one [word](Self::as_str).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeoutPhase {
    /// Making the connection.
    Connect,
    /// Sending the body: the connection took no more bytes, or the server gave up waiting for them (408).
    Send,
    /// Waiting for the answer after the whole request was sent.
    Response,
    /// Waiting for more of the answer's body.
    Receive,
    /// The total time allowed for the call.
    Total,
}

impl ErrorKind {
    /// A word for logs and metrics, the same in all versions: `not_found`, `timeout_connect`, …
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid_input",
            Self::Unauthenticated => "unauthenticated",
            Self::PermissionDenied => "permission_denied",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::PayloadTooLarge => "payload_too_large",
            Self::QuotaExceeded => "quota_exceeded",
            Self::RangeNotSatisfiable => "range_not_satisfiable",
            Self::PreconditionFailed => "precondition_failed",
            Self::RateLimited => "rate_limited",
            Self::Timeout(TimeoutPhase::Connect) => "timeout_connect",
            Self::Timeout(TimeoutPhase::Send) => "timeout_send",
            Self::Timeout(TimeoutPhase::Response) => "timeout_response",
            Self::Timeout(TimeoutPhase::Receive) => "timeout_receive",
            Self::Timeout(TimeoutPhase::Total) => "timeout_total",
            Self::Connect => "connect",
            Self::Interrupted => "interrupted",
            Self::Server => "server",
            Self::Decode => "decode",
            Self::IntegrityMismatch => "integrity_mismatch",
            Self::ContentChanged => "content_changed",
            Self::BodyNotReplayable => "body_not_replayable",
            Self::Io => "io",
            Self::Unsupported => "unsupported",
            Self::Cancelled => "cancelled",
        }
    }
}

impl TimeoutPhase {
    /// A word for logs and metrics, the same in all versions: `connect`, `send`, `response`, `receive` or `total`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Send => "send",
            Self::Response => "response",
            Self::Receive => "receive",
            Self::Total => "total",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for TimeoutPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for ErrorKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for TimeoutPhase {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::error) const PHASES: [TimeoutPhase; 5] =
        [TimeoutPhase::Connect, TimeoutPhase::Send, TimeoutPhase::Response, TimeoutPhase::Receive, TimeoutPhase::Total];
    pub(in crate::error) const KINDS: [ErrorKind; 20] = [
        ErrorKind::InvalidInput,
        ErrorKind::Unauthenticated,
        ErrorKind::PermissionDenied,
        ErrorKind::NotFound,
        ErrorKind::Conflict,
        ErrorKind::PayloadTooLarge,
        ErrorKind::QuotaExceeded,
        ErrorKind::RangeNotSatisfiable,
        ErrorKind::PreconditionFailed,
        ErrorKind::RateLimited,
        ErrorKind::Connect,
        ErrorKind::Interrupted,
        ErrorKind::Server,
        ErrorKind::Decode,
        ErrorKind::IntegrityMismatch,
        ErrorKind::ContentChanged,
        ErrorKind::BodyNotReplayable,
        ErrorKind::Io,
        ErrorKind::Unsupported,
        ErrorKind::Cancelled,
    ];

    #[test]
    fn every_kind_has_a_word_of_its_own() {
        let kinds = KINDS.into_iter().chain(PHASES.map(ErrorKind::Timeout));
        let words: Vec<_> = kinds.clone().map(ErrorKind::as_str).collect();
        assert_eq!(words.iter().collect::<std::collections::HashSet<_>>().len(), 25, "{words:?}");
        for kind in kinds {
            // The name of the variant, in snake_case.
            let mut word = String::new();
            for letter in format!("{kind:?}").chars().filter(char::is_ascii_alphabetic) {
                if letter.is_ascii_uppercase() && !word.is_empty() {
                    word.push('_');
                }
                word.push(letter.to_ascii_lowercase());
            }
            assert_eq!(
                (kind.as_str(), kind.to_string(), serde_json::json!(kind)),
                (&*word, word.clone(), word.clone().into())
            );
        }
        for phase in PHASES {
            assert_eq!(ErrorKind::Timeout(phase).as_str(), format!("timeout_{phase}"));
            assert_eq!(serde_json::json!(phase), phase.as_str());
        }
    }
}

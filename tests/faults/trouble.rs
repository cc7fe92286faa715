//! What goes wrong.

use carbonfiles::ErrorKind;
use carbonfiles_testserver::Fault;

/// Something that goes wrong on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The connection is reset while the request's body is read.
    CutRequest(Place),
    /// The connection is reset while the answer's body is written.
    ResetResponse(Place),
    /// The connection is closed, in order, while the answer's body is written.
    CloseResponse(Place),
    /// The server stops reading.
    StallRequest(Place),
    /// The server stops writing.
    StallResponse(Place),
    /// The server does it, and does not answer.
    StallHeaders,
    /// The server does it, and the connection breaks before the answer.
    LoseReply,
    /// The server refuses, perhaps with a `Retry-After`.
    Status(u16, bool),
    /// The content, or the source, is another one when the transfer goes on.
    Replaced,
    /// The source is written over while it is being sent.
    Rewritten,
    /// A body shorter than it should be, as a complete answer.
    Truncated,
    /// A body longer than it should be.
    OverLong,
    /// Other bytes than the hash says, or another hash than the bytes have.
    WrongHash,
}

/// After how many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Start,
    First,
    Middle,
    Last,
}

impl Place {
    fn of(self, length: u64) -> u64 {
        match self {
            Self::Start => 0,
            Self::First => 1.min(length.saturating_sub(1)),
            Self::Middle => length / 2,
            Self::Last => length.saturating_sub(1),
        }
    }

    /// Of an answer, whose last byte is where it ends, however long somebody thinks that it is.
    fn in_answer(self, length: u64, fault: fn(u64) -> Fault) -> Fault {
        match self {
            Self::Last => fault(0).at_last_byte(),
            place => fault(place.of(length)),
        }
    }
}

pub(crate) fn all() -> Vec<(String, Trouble)> {
    const PLACES: [(&str, Place); 4] =
        [("0", Place::Start), ("1", Place::First), ("middle", Place::Middle), ("last", Place::Last)];
    let mut all = Vec::new();
    for (name, place) in PLACES {
        all.push((format!("cut-request-{name}"), Trouble::CutRequest(place)));
        all.push((format!("reset-response-{name}"), Trouble::ResetResponse(place)));
        all.push((format!("close-response-{name}"), Trouble::CloseResponse(place)));
    }
    // Where nothing has come yet, it is the head that is waited for.
    for (name, place) in &PLACES[1..] {
        all.push((format!("stall-request-{name}"), Trouble::StallRequest(*place)));
        all.push((format!("stall-response-{name}"), Trouble::StallResponse(*place)));
    }
    for status in [408, 429, 500, 502, 503, 504] {
        all.push((format!("{status}"), Trouble::Status(status, false)));
        all.push((format!("{status}-retry-after"), Trouble::Status(status, true)));
    }
    for (name, trouble) in [
        ("stall-headers", Trouble::StallHeaders),
        ("lose-reply", Trouble::LoseReply),
        ("replaced", Trouble::Replaced),
        ("rewritten", Trouble::Rewritten),
        ("truncated", Trouble::Truncated),
        ("over-long", Trouble::OverLong),
        ("wrong-hash", Trouble::WrongHash),
    ] {
        all.push((name.into(), trouble));
    }
    all
}

/// How long the bodies are that a fault may cut, and what an answer may be replaced by.
pub(crate) struct Bodies {
    /// 0 for a request without one.
    pub(crate) request: u64,
    pub(crate) response: u64,
    /// Longer than the right one.
    pub(crate) over_long: Vec<u8>,
    pub(crate) wrong: Wrong,
}

/// What is wrong with an answer whose hash is.
pub(crate) enum Wrong {
    /// It has the right form, and says the wrong hash.
    Says(Vec<u8>),
    /// A bit is flipped behind so many bytes,
    Bit(u64),
    /// or in the last byte.
    LastBit,
}

impl Trouble {
    pub(crate) fn fault(self, bodies: &Bodies) -> Fault {
        match self {
            Self::CutRequest(_) if bodies.request == 0 => Fault::reset(),
            Self::CutRequest(place) => Fault::reset_request_after(place.of(bodies.request)),
            Self::ResetResponse(place) => place.in_answer(bodies.response, Fault::reset_response_after),
            Self::CloseResponse(place) => place.in_answer(bodies.response, Fault::close_response_after),
            Self::StallRequest(place) => Fault::stall_request_after(place.of(bodies.request)),
            Self::StallResponse(place) => place.in_answer(bodies.response, Fault::stall_response_after),
            Self::StallHeaders => Fault::stall_headers(),
            Self::LoseReply => Fault::lose_reply(),
            Self::Status(status, false) => Fault::status(status),
            Self::Status(status, true) => Fault::status(status).header("retry-after", "0"),
            Self::Replaced if bodies.request == 0 => Fault::stall_response_after(bodies.response / 2),
            Self::Replaced => Fault::reset_request_after(bodies.request / 2),
            Self::Rewritten => Fault::stall_request_after(0),
            Self::Truncated => Fault::truncate_body(Place::Middle.of(bodies.response) as usize),
            Self::OverLong => Fault::replace_body(bodies.over_long.clone()),
            Self::WrongHash => match &bodies.wrong {
                Wrong::Says(answer) => Fault::replace_body(answer.clone()),
                Wrong::Bit(after) => Fault::corrupt_response_after(*after),
                Wrong::LastBit => Fault::corrupt_response().at_last_byte(),
            },
        }
    }

    /// Why it can't strike a request without a body: that is cut at once, or not at all.
    pub(crate) fn spares_bare_requests(self) -> Option<&'static str> {
        match self {
            Self::CutRequest(Place::Start) => None,
            Self::CutRequest(_) | Self::StallRequest(_) => Some("the request has no body"),
            Self::Rewritten => Some("there is no source: what the server has is \"replaced\""),
            _ => None,
        }
    }

    /// Why it can't strike an answer without a body.
    pub(crate) fn spares_bare_answers(self) -> Option<&'static str> {
        self.is_within_answer().then_some("the answer has no body")
    }

    pub(crate) fn is_within_answer(self) -> bool {
        matches!(
            self,
            Self::ResetResponse(_)
                | Self::CloseResponse(_)
                | Self::StallResponse(_)
                | Self::Truncated
                | Self::OverLong
                | Self::WrongHash
        )
    }

    /// Whether the next try, if there is one, meets it no more. (A time limit may be for all tries, and a 500 may stay.)
    pub(crate) fn passes(self) -> bool {
        match self {
            Self::CutRequest(_) | Self::ResetResponse(_) | Self::CloseResponse(_) | Self::LoseReply => true,
            Self::Status(status, _) => status != 500,
            _ => false,
        }
    }

    /// Whether it passes only when the client loses its patience.
    pub(crate) fn is_stall(self) -> bool {
        matches!(self, Self::StallRequest(_) | Self::StallResponse(_) | Self::StallHeaders | Self::Replaced)
    }

    /// Whether an error of this kind may come of it.
    pub(crate) fn fits(self, kind: ErrorKind) -> bool {
        use ErrorKind::{
            BodyNotReplayable, ContentChanged, Decode, IntegrityMismatch, Interrupted, RateLimited, Server, Timeout,
        };
        match self {
            Self::CutRequest(_) | Self::ResetResponse(_) | Self::CloseResponse(_) | Self::LoseReply => {
                matches!(kind, Interrupted | BodyNotReplayable)
            }
            Self::StallRequest(_) | Self::StallResponse(_) | Self::StallHeaders => {
                matches!(kind, Timeout(_) | BodyNotReplayable)
            }
            Self::Status(408, _) => matches!(kind, Timeout(_) | BodyNotReplayable),
            Self::Status(429, _) => matches!(kind, RateLimited | BodyNotReplayable),
            Self::Status(..) => matches!(kind, Server | BodyNotReplayable),
            Self::Replaced => matches!(kind, ContentChanged | Timeout(_) | Interrupted),
            Self::Rewritten => kind == ContentChanged,
            Self::Truncated | Self::OverLong | Self::WrongHash => {
                matches!(kind, Interrupted | IntegrityMismatch | Decode)
            }
        }
    }
}

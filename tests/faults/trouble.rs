//! What goes wrong.

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
    pub(crate) fn of(self, length: u64) -> u64 {
        match self {
            Self::Start => 0,
            Self::First => 1.min(length.saturating_sub(1)),
            Self::Middle => length / 2,
            Self::Last => length.saturating_sub(1),
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
    /// The right form with a wrong hash; without it, a bit of the answer is flipped.
    pub(crate) wrong_hash: Option<Vec<u8>>,
}

impl Trouble {
    pub(crate) fn fault(self, bodies: &Bodies) -> Fault {
        match self {
            Self::CutRequest(_) if bodies.request == 0 => Fault::reset(),
            Self::CutRequest(place) => Fault::reset_request_after(place.of(bodies.request)),
            Self::ResetResponse(place) => Fault::reset_response_after(place.of(bodies.response)),
            Self::CloseResponse(place) => Fault::close_response_after(place.of(bodies.response)),
            Self::StallRequest(place) => Fault::stall_request_after(place.of(bodies.request)),
            Self::StallResponse(place) => Fault::stall_response_after(place.of(bodies.response)),
            Self::StallHeaders => Fault::stall_headers(),
            Self::LoseReply => Fault::lose_reply(),
            Self::Status(status, false) => Fault::status(status),
            Self::Status(status, true) => Fault::status(status).header("retry-after", "0"),
            Self::Replaced if bodies.request == 0 => Fault::stall_response_after(bodies.response / 2),
            Self::Replaced => Fault::reset_request_after(bodies.request / 2),
            Self::Truncated => Fault::truncate_body(Place::Middle.of(bodies.response) as usize),
            Self::OverLong => Fault::replace_body(bodies.over_long.clone()),
            Self::WrongHash => match &bodies.wrong_hash {
                Some(answer) => Fault::replace_body(answer.clone()),
                None => Fault::corrupt_response(),
            },
        }
    }

    /// Whether it strikes the last byte of an answer, whose length has to be known for that.
    pub(crate) fn is_at_the_end(self) -> bool {
        matches!(
            self,
            Self::ResetResponse(Place::Last) | Self::CloseResponse(Place::Last) | Self::StallResponse(Place::Last)
        )
    }

    /// Whether it passes only when the client loses its patience.
    pub(crate) fn is_stall(self) -> bool {
        matches!(self, Self::StallRequest(_) | Self::StallResponse(_) | Self::StallHeaders | Self::Replaced)
    }
}

//! Scripted faults: what goes wrong, on which requests, how often.

mod handle;
mod meddling;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

pub use handle::FaultHandle;
pub(crate) use handle::Firing;
pub(crate) use meddling::ReplyMeddling;

/// Something that goes wrong, to be given to [`TestServer::inject`](crate::TestServer::inject).
///
/// A fault strikes once, on any request (or event, or invocation), unless told otherwise:
///
/// ```
/// use carbonfiles_testserver::Fault;
///
/// let busy = Fault::status(503).header("retry-after", "1").on("PUT", "/upload/stream").times(2);
/// let half = Fault::reset_response_after(10).on("GET", "/content").skip(1).forever();
/// # let _ = (busy, half);
/// ```
///
/// Of several faults that match, the one injected first strikes.
#[derive(Clone, Debug)]
pub struct Fault {
    pub(crate) action: Action,
    method: Option<String>,
    target: String,
    skip: u64,
    times: Option<u64>,
    may_miss: bool,
}

/// What a fault does.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Status { status: u16, headers: Vec<(String, String)>, body: Bytes, after: Option<u64> },
    Reset,
    ResetRequestAfter(u64),
    StallRequestAfter(u64),
    ResetResponseAfter(u64),
    CloseResponseAfter(u64),
    StallResponseAfter(u64),
    StallHeaders,
    LoseReply,
    Slow(u64),
    CorruptResponseAfter(u64),
    ReplaceBody(Bytes),
    TruncateBody(usize),
    LoseEvent,
    DuplicateEvent(usize),
    DelayEvent(Duration),
    HoldEvent,
    OvertakeEvent(u64),
    FailCall(String),
    LoseCompletion,
    ResetCall,
}

/// After so many bytes: one less than there are.
pub(crate) const AT_LAST_BYTE: u64 = u64::MAX;

/// What a fault can strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A request, by its method and target.
    Request,
    /// An event of the hub, by its name and record.
    Event,
    /// An invocation of a method of the hub, or its handshake, by its name and record.
    Call,
}

impl Action {
    fn subject(&self) -> Subject {
        match self {
            Self::LoseEvent
            | Self::DuplicateEvent(_)
            | Self::DelayEvent(_)
            | Self::HoldEvent
            | Self::OvertakeEvent(_) => Subject::Event,
            Self::FailCall(_) | Self::LoseCompletion | Self::ResetCall => Subject::Call,
            _ => Subject::Request,
        }
    }
}

impl Fault {
    fn of(action: Action) -> Self {
        Self { action, method: None, target: String::new(), skip: 0, times: Some(1), may_miss: false }
    }

    /// Answers with this status; no handler runs. The request body is read first, unless [`early`](Self::early)
    /// or [`after`](Self::after).
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::of(Action::Status { status, headers: Vec::new(), body: Bytes::new(), after: None })
    }

    /// Resets the connection (TCP RST) as soon as the request head is there.
    #[must_use]
    pub fn reset() -> Self {
        Self::of(Action::Reset)
    }

    /// Resets the connection when `bytes` of the request body were read. Nothing is stored.
    #[must_use]
    pub fn reset_request_after(bytes: u64) -> Self {
        Self::of(Action::ResetRequestAfter(bytes))
    }

    /// Resets the connection when `bytes` of the response body were written.
    #[must_use]
    pub fn reset_response_after(bytes: u64) -> Self {
        Self::of(Action::ResetResponseAfter(bytes))
    }

    /// Closes the connection (FIN) when `bytes` of the response body were written.
    #[must_use]
    pub fn close_response_after(bytes: u64) -> Self {
        Self::of(Action::CloseResponseAfter(bytes))
    }

    /// Stops reading when `bytes` of the request body were read, until [`FaultHandle::release`].
    #[must_use]
    pub fn stall_request_after(bytes: u64) -> Self {
        Self::of(Action::StallRequestAfter(bytes))
    }

    /// Stops writing when `bytes` of the response body were written, until [`FaultHandle::release`].
    #[must_use]
    pub fn stall_response_after(bytes: u64) -> Self {
        Self::of(Action::StallResponseAfter(bytes))
    }

    /// Runs the handler, but sends nothing of the answer until [`FaultHandle::release`].
    #[must_use]
    pub fn stall_headers() -> Self {
        Self::of(Action::StallHeaders)
    }

    /// Runs the handler, which commits, then resets the connection instead of answering.
    #[must_use]
    pub fn lose_reply() -> Self {
        Self::of(Action::LoseReply)
    }

    /// Reads and writes bodies at this rate.
    #[must_use]
    pub fn slow(bytes_per_second: u64) -> Self {
        Self::of(Action::Slow(bytes_per_second.max(1)))
    }

    /// Flips a bit of the first byte of the response body.
    #[must_use]
    pub fn corrupt_response() -> Self {
        Self::corrupt_response_after(0)
    }

    /// Flips a bit of the byte that comes after `bytes` of the response body.
    #[must_use]
    pub fn corrupt_response_after(bytes: u64) -> Self {
        Self::of(Action::CorruptResponseAfter(bytes))
    }

    /// Runs the handler and sends its status and headers, but with this body (and its length).
    #[must_use]
    pub fn replace_body(body: impl Into<Bytes>) -> Self {
        Self::of(Action::ReplaceBody(body.into()))
    }

    /// Runs the handler and sends only the first `bytes` of the body, as a complete answer: what a bad proxy does.
    #[must_use]
    pub fn truncate_body(bytes: usize) -> Self {
        Self::of(Action::TruncateBody(bytes))
    }

    /// Loses an event of the hub: nobody gets it. Of events, [`on`](Self::on) takes the name and a part of the record.
    #[must_use]
    pub fn lose_event() -> Self {
        Self::of(Action::LoseEvent)
    }

    /// Sends an event so many times more, all in a row.
    #[must_use]
    pub fn duplicate_event(copies: usize) -> Self {
        Self::of(Action::DuplicateEvent(copies))
    }

    /// Sends an event later; the request that caused it is answered meanwhile.
    #[must_use]
    pub fn delay_event(by: Duration) -> Self {
        Self::of(Action::DelayEvent(by))
    }

    /// Keeps an event back until [`FaultHandle::release`].
    #[must_use]
    pub fn hold_event() -> Self {
        Self::of(Action::HoldEvent)
    }

    /// Sends an event right after the next `events`: out of order.
    #[must_use]
    pub fn overtake_event(events: u64) -> Self {
        Self::of(Action::OvertakeEvent(events.max(1)))
    }

    /// Answers an invocation with this error, without carrying it out. Of invocations, [`on`](Self::on) takes the name of
    /// the method and a part of the record; the handshake's name is `handshake`, and it is refused.
    #[must_use]
    pub fn fail_call(error: impl Into<String>) -> Self {
        Self::of(Action::FailCall(error.into()))
    }

    /// Carries an invocation out (or shakes hands) and never answers.
    #[must_use]
    pub fn lose_completion() -> Self {
        Self::of(Action::LoseCompletion)
    }

    /// Resets the connection when an invocation (or the handshake) has come.
    #[must_use]
    pub fn reset_call() -> Self {
        Self::of(Action::ResetCall)
    }

    /// The body of a [`status`](Self::status) fault. Without a `content-type` header it is `text/plain`.
    #[must_use]
    pub fn body(mut self, text: impl Into<Bytes>) -> Self {
        if let Action::Status { body, .. } = &mut self.action {
            *body = text.into();
        }
        self
    }

    /// A header of a [`status`](Self::status) fault.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Action::Status { headers, .. } = &mut self.action {
            headers.push((name.into(), value.into()));
        }
        self
    }

    /// A [`status`](Self::status) fault that answers before it reads the request body.
    #[must_use]
    pub fn early(self) -> Self {
        self.after(0)
    }

    /// A [`status`](Self::status) fault that answers in the middle of the request body, once so many bytes were read.
    #[must_use]
    pub fn after(mut self, bytes: u64) -> Self {
        if let Action::Status { after, .. } = &mut self.action {
            *after = Some(bytes);
        }
        self
    }

    /// A fault that acts within the response body acts right before its last byte, however long it turns out to be.
    #[must_use]
    pub fn at_last_byte(mut self) -> Self {
        if let Action::ResetResponseAfter(after)
        | Action::CloseResponseAfter(after)
        | Action::StallResponseAfter(after)
        | Action::CorruptResponseAfter(after) = &mut self.action
        {
            *after = AT_LAST_BYTE;
        }
        self
    }

    /// Only requests of this method (`"*"` for any) whose target, with its query, contains `target`.
    #[must_use]
    pub fn on(mut self, method: &str, target: &str) -> Self {
        self.method = (method != "*").then(|| method.to_owned());
        target.clone_into(&mut self.target);
        self
    }

    /// Strikes `times` times, not once.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Strikes every time.
    #[must_use]
    pub fn forever(mut self) -> Self {
        self.times = None;
        self
    }

    /// Lets the first `requests` that match go by.
    #[must_use]
    pub fn skip(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// It need not take effect where the others [have to](crate::Builder::faults_must_fire).
    #[must_use]
    pub fn may_miss(mut self) -> Self {
        self.may_miss = true;
        self
    }

    fn matches(&self, subject: Subject, method: &str, target: &str) -> bool {
        self.action.subject() == subject
            && self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && target.contains(&self.target)
    }
}

/// The faults of one server that are still to strike.
#[derive(Debug, Default)]
pub(crate) struct Script {
    lines: Mutex<Vec<Line>>,
    /// Each that has to take effect, also when it strikes no more.
    due: Mutex<Vec<Line>>,
}

#[derive(Clone, Debug)]
struct Line {
    fault: Fault,
    handle: FaultHandle,
}

impl Script {
    pub(crate) fn add(&self, fault: Fault) -> FaultHandle {
        let handle = FaultHandle::new();
        let line = Line { fault, handle: handle.clone() };
        if !line.fault.may_miss {
            self.due.lock().unwrap_or_else(PoisonError::into_inner).push(line.clone());
        }
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        handle
    }

    pub(crate) fn clear(&self) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Those that have never taken effect although they have to.
    pub(crate) fn misses(&self) -> Vec<String> {
        let due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        due.iter().filter(|line| line.handle.fired() == 0).map(|line| format!("{:?}", line.fault)).collect()
    }

    /// The fault that strikes this, if one does.
    pub(crate) fn strike(&self, subject: Subject, method: &str, target: &str) -> Option<Firing> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut struck = None;
        for (at, line) in lines.iter_mut().enumerate() {
            if !line.fault.matches(subject, method, target) {
                continue;
            }
            if line.fault.skip > 0 {
                line.fault.skip -= 1;
                continue;
            }
            match &mut line.fault.times {
                Some(0) => continue,
                Some(times) => *times -= 1,
                None => {}
            }
            struck = Some((at, Firing::new(Arc::new(line.fault.action.clone()), line.handle.clone())));
            break;
        }
        let (at, firing) = struck?;
        if lines[at].fault.times == Some(0) {
            lines.remove(at);
        }
        Some(firing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strikes(script: &Script, method: &str, target: &str) -> bool {
        script.strike(Subject::Request, method, target).is_some()
    }

    #[test]
    fn a_fault_strikes_where_and_as_often_as_told() {
        let script = Script::default();
        script.add(Fault::reset().on("GET", "/content").skip(1).times(2));
        assert!(!strikes(&script, "PUT", "/a/content"));
        assert!(!strikes(&script, "GET", "/a/verify"));
        let struck: Vec<bool> = (0..4).map(|_| strikes(&script, "get", "/a/content?x")).collect();
        assert_eq!(struck, [false, true, true, false]);
    }

    #[test]
    fn forever_is_until_cleared() {
        let script = Script::default();
        script.add(Fault::reset().forever());
        assert!((0..9).all(|_| strikes(&script, "GET", "/")));
        script.clear();
        assert!(!strikes(&script, "GET", "/"));
    }

    #[test]
    fn what_struck_and_took_no_effect_is_a_miss() {
        let script = Script::default();
        let firing = |script: &Script| script.strike(Subject::Request, "GET", "/");
        script.add(Fault::reset());
        firing(&script).unwrap().fire();
        script.add(Fault::reset_response_after(10));
        assert!(firing(&script).is_some());
        script.add(Fault::reset_response_after(10).may_miss());
        assert!(firing(&script).is_some());
        script.clear();
        let misses = script.misses();
        assert!(misses.len() == 1 && misses[0].contains("ResetResponseAfter(10)"), "{misses:?}");
    }

    #[test]
    fn the_first_of_several_strikes_first() {
        let script = Script::default();
        script.add(Fault::status(503));
        script.add(Fault::status(504));
        let status = |script: &Script| match script.strike(Subject::Request, "GET", "/").as_ref().map(Firing::action) {
            Some(Action::Status { status, .. }) => *status,
            _ => 0,
        };
        assert_eq!([status(&script), status(&script), status(&script)], [503, 504, 0]);
    }
}

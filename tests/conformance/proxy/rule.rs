//! What goes wrong, with which requests, how often.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Head;

/// Something that goes wrong with a request. It strikes once, on any request, unless told otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    act: Act,
    method: Option<&'static str>,
    target: &'static str,
    times: Option<u64>,
}

/// What a rule does.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// Answers this, once the request's body has come; the server hears nothing.
    Answer(Vec<u8>),
    /// Resets the connection when the head is there; the server hears nothing.
    Reset,
    Request(Tap),
    Reply(Tap),
    /// Lets the server answer, and resets the connection instead of passing the answer on.
    LoseReply,
    /// Holds the answer until it is released.
    HoldReply,
    /// Holds the answer so long.
    DelayReply(Duration),
    /// Adds members that no client knows to every JSON object of the answer.
    AddFields,
}

/// What happens to a body on its way.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tap {
    /// The connection is reset after so many bytes.
    Reset(u64),
    /// The connection is closed in good order after so many bytes.
    Close(u64),
    /// Nothing moves any more after so many bytes, until it is released.
    Stall(u64),
    /// So many bytes a second.
    Slow(u64),
    /// The byte at this offset is another one.
    Corrupt(u64),
}

impl Rule {
    fn of(act: Act) -> Self {
        Self { act, method: None, target: "", times: Some(1) }
    }

    /// Answers with this status, these header lines (each with its CR LF) and this body.
    pub(crate) fn answer(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::of(Act::Answer(
            format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes(),
        ))
    }

    pub(crate) fn reset() -> Self {
        Self::of(Act::Reset)
    }

    pub(crate) fn reset_request_after(bytes: u64) -> Self {
        Self::of(Act::Request(Tap::Reset(bytes)))
    }

    pub(crate) fn slow_request(bytes_per_second: u64) -> Self {
        Self::of(Act::Request(Tap::Slow(bytes_per_second)))
    }

    pub(crate) fn stall_request_after(bytes: u64) -> Self {
        Self::of(Act::Request(Tap::Stall(bytes)))
    }

    pub(crate) fn corrupt_request_at(offset: u64) -> Self {
        Self::of(Act::Request(Tap::Corrupt(offset)))
    }

    pub(crate) fn reset_reply_after(bytes: u64) -> Self {
        Self::of(Act::Reply(Tap::Reset(bytes)))
    }

    pub(crate) fn close_reply_after(bytes: u64) -> Self {
        Self::of(Act::Reply(Tap::Close(bytes)))
    }

    pub(crate) fn stall_reply_after(bytes: u64) -> Self {
        Self::of(Act::Reply(Tap::Stall(bytes)))
    }

    pub(crate) fn slow_reply(bytes_per_second: u64) -> Self {
        Self::of(Act::Reply(Tap::Slow(bytes_per_second)))
    }

    pub(crate) fn corrupt_reply_at(offset: u64) -> Self {
        Self::of(Act::Reply(Tap::Corrupt(offset)))
    }

    pub(crate) fn lose_reply() -> Self {
        Self::of(Act::LoseReply)
    }

    pub(crate) fn hold_reply() -> Self {
        Self::of(Act::HoldReply)
    }

    pub(crate) fn delay_reply(time: Duration) -> Self {
        Self::of(Act::DelayReply(time))
    }

    pub(crate) fn add_fields() -> Self {
        Self::of(Act::AddFields)
    }

    /// Only requests of this method whose target contains this text.
    pub(crate) fn on(mut self, method: &'static str, target: &'static str) -> Self {
        (self.method, self.target) = (Some(method), target);
        self
    }

    pub(crate) fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    pub(crate) fn forever(mut self) -> Self {
        self.times = None;
        self
    }

    pub(super) fn activate(self) -> (Active, Handle) {
        let state = Arc::new(State { fired: watch::Sender::new(0), released: watch::Sender::new(false) });
        (Active { rule: self, state: state.clone() }, Handle(state))
    }
}

struct State {
    fired: watch::Sender<u64>,
    released: watch::Sender<bool>,
}

/// A rule that a proxy has.
pub(super) struct Active {
    rule: Rule,
    state: Arc<State>,
}

impl Active {
    pub(super) fn strike(&mut self, head: &Head) -> Option<Firing> {
        let rule = &mut self.rule;
        let fits = rule.method.is_none_or(|method| head.method() == method) && head.target().contains(rule.target);
        if !fits || rule.times == Some(0) {
            return None;
        }
        rule.times = rule.times.map(|times| times - 1);
        Some(Firing { act: rule.act.clone(), state: self.state.clone() })
    }
}

/// A rule that struck a request.
pub(crate) struct Firing {
    pub(super) act: Act,
    state: Arc<State>,
}

impl Firing {
    /// The fault has taken effect.
    pub(super) fn fired(&self) {
        self.state.fired.send_modify(|fired| *fired += 1);
    }

    pub(super) async fn released(&self) {
        let _ = self.state.released.subscribe().wait_for(|released| *released).await;
    }
}

/// Tells of a rule, and lets go what it holds.
pub(crate) struct Handle(Arc<State>);

impl Handle {
    /// How often it took effect.
    pub(crate) fn fired(&self) -> u64 {
        *self.0.fired.borrow()
    }

    pub(crate) async fn fired_at_least(&self, times: u64) {
        let _ = self.0.fired.subscribe().wait_for(|fired| *fired >= times).await;
    }

    /// Lets everything go on that it holds or will hold.
    pub(crate) fn release(&self) {
        let _ = self.0.released.send_replace(true);
    }
}

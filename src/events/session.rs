//! What is said and heard on one connection, from the handshake to its end.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use chrono::Utc;
use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep, sleep_until};

use super::event::Event;
use super::heard::Heard;
use super::line::Line;
use super::parcel::Parcel;
use super::protocol::{self, HANDSHAKE, Handshake, Malformed, Message, PING, Records, TooLong};
use super::registry::Wakers;
use super::socket::{Socket, WsText};
use super::state::ConnectionState;
use crate::auth::Token;
use crate::error::{Error, ErrorKind, Fate, Result, TimeoutPhase};
use crate::http::later;

/// How a connection, or the attempt at one, came to its end.
pub(super) enum Ended {
    /// Nobody listens any more.
    Unneeded,
    /// It will be tried again, where it has been there before or the error may pass.
    Lost(Error),
    /// It will be tried again.
    Passing(Error),
    /// It will not, unless there is another token than this.
    Denied(Error, Token),
    /// It will not.
    Refused(Error),
}

/// How many events are read before others get their turn, the readers above all: an eighth of what waits for them at most
/// unless they say otherwise. A message that has begun is read to its end.
const BURST: usize = 512;
/// The most that is put into one message to the hub.
const MESSAGE: usize = 16 << 10;

pub(super) fn too_late(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Timeout(TimeoutPhase::Response), message).with_fate(Fate::Unknown)
}

/// A connection that is there.
pub(super) struct Session {
    line: Arc<Line>,
    /// What it was opened with.
    token: Option<Token>,
    pub(super) socket: Socket,
    records: Records,
    outbox: VecDeque<WsText>,
    sending: Option<WsText>,
    /// Something may wait in the socket's own buffer.
    unsent: bool,
    /// Since when the server has taken nothing of what is written.
    stuck: Option<Instant>,
    /// The handshake was answered.
    accepted: bool,
    /// All subscriptions that were there at first are in force.
    pub(super) settled: bool,
    /// What was asked for up to here was asked for at first.
    first: Option<u64>,
    /// The oldest join that the hub has not answered, and since when it is that. It answers one after another.
    unanswered: Option<(u64, Instant)>,
    pub(super) heard: Heard,
    /// The last event about a file, as it came, unless its copy has come too.
    previous: Vec<u8>,
    wakers: Wakers,
}

/// Whether there may be more to read at once.
enum Burst {
    Empty,
    Full,
}

/// What a server may take too long for.
#[derive(Clone, Copy)]
enum Limit {
    Silence,
    Answer,
    Writing,
}

impl From<TooLong> for Ended {
    fn from(cause: TooLong) -> Self {
        Self::Lost(Error::new(ErrorKind::Decode, cause.to_string()))
    }
}

impl From<Malformed> for Ended {
    fn from(cause: Malformed) -> Self {
        Self::Lost(Error::new(ErrorKind::Decode, cause.to_string()).caused_by(cause))
    }
}

/// However it ends: its runtime may do so at any time.
impl Drop for Session {
    fn drop(&mut self) {
        self.line.registry().missing(self.heard.since);
    }
}

impl Session {
    pub(super) fn new(line: &Arc<Line>, token: Option<Token>, socket: Socket) -> Self {
        Self {
            line: line.clone(),
            token,
            socket,
            records: Records::new(line.settings.record_limit),
            outbox: VecDeque::from([WsText::from_static(HANDSHAKE), WsText::from_static(PING)]),
            sending: None,
            unsent: true,
            stuck: None,
            accepted: false,
            settled: false,
            first: None,
            unanswered: None,
            heard: Heard::new(Instant::now(), Utc::now()),
            previous: Vec::new(),
            wakers: Wakers::new(),
        }
    }

    /// Sends the handshake and the first ping, and waits for the answer.
    pub(super) async fn shake_hands(mut self) -> Result<Self, Ended> {
        while !self.accepted {
            let burst = poll_fn(|cx| self.poll_burst(cx)).await;
            if let Err(ended) = burst {
                // Events may have come with the end, and nobody else has the wakers of their readers.
                self.wake();
                return Err(ended);
            }
        }
        Ok(self)
    }

    pub(super) async fn run(&mut self) -> Ended {
        self.line.enter(ConnectionState::Subscribing);
        let line = self.line.clone();
        let settings = &line.settings;
        let mut next_ping = later(Instant::now(), settings.keep_alive);
        // One timer for all limits: it is set anew when it has run out or a limit is nearer, not with each record.
        let mut timer: Pin<&mut Sleep> = pin!(sleep_until(next_ping));
        let mut looked_again = false;
        loop {
            if let Err(ended) = self.look_after_groups() {
                return ended;
            }
            let due = self.limits().map(|(at, _)| at).fold(next_ping, Instant::min);
            if due < timer.deadline() {
                timer.as_mut().reset(due);
            }
            self.wake();
            let burst = tokio::select! {
                biased;
                burst = poll_fn(|cx| self.poll_burst(cx)) => burst,
                () = line.changed.notified() => Ok(Burst::Empty),
                () = &mut timer => Ok(Burst::Empty),
            };
            match burst {
                Ok(Burst::Empty) => {}
                Ok(Burst::Full) => {
                    self.wake();
                    tokio::task::yield_now().await;
                }
                Err(ended) => return ended,
            }
            let now = Instant::now();
            // The timer has no turn as long as there is something to read; its time comes all the same.
            if now < timer.deadline() {
                continue;
            }
            let passed = self.limits().find(|(at, _)| *at <= now);
            // Where this task, or all of them, were kept from running, what has come is not known of yet.
            if passed.is_some() && !std::mem::replace(&mut looked_again, true) {
                tokio::task::yield_now().await;
                continue;
            }
            looked_again = false;
            if let Some((_, passed)) = passed
                && !self.goes_on(passed)
            {
                return Ended::Lost(self.too_slow(passed));
            }
            if now >= next_ping {
                next_ping = later(now, settings.keep_alive);
                // One that waits to be written is enough.
                if !self.is_writing() {
                    self.outbox.push_back(WsText::from_static(PING));
                }
            }
            timer.as_mut().reset(later(now, settings.keep_alive));
        }
    }

    /// When which limit for the server passes.
    fn limits(&self) -> impl Iterator<Item = (Instant, Limit)> + use<> {
        let settings = &self.line.settings;
        let answer = settings.handshake_timeout;
        let silence = (later(self.heard.at, settings.server_timeout), Limit::Silence);
        // Who does not even read can't answer: that has a limit of its own.
        let awaited = self.unanswered.filter(|_| self.stuck.is_none());
        let answer_due = awaited.map(|(_, since)| (later(since, answer), Limit::Answer));
        let writing_due = self.stuck.map(|since| (later(since, answer), Limit::Writing));
        [Some(silence), answer_due, writing_due].into_iter().flatten()
    }

    /// Whether the connection is kept all the same: a newcomer that is left without an answer is asked for again, and
    /// those whom it serves are not disturbed. Who was in force before is better served by another connection.
    fn goes_on(&mut self, passed: Limit) -> bool {
        let (Limit::Answer, Some((id, _))) = (passed, self.unanswered) else { return false };
        let mut out = Vec::new();
        let mut registry = self.line.registry();
        let goes_on = registry.is_of_use() && !registry.was_in_force(id);
        if goes_on {
            registry.ask_again(id, &mut out);
        }
        drop(registry);
        self.post(&out);
        goes_on
    }

    fn too_slow(&self, passed: Limit) -> Error {
        let (silence, answer) = (self.line.settings.server_timeout, self.line.settings.handshake_timeout);
        match passed {
            Limit::Silence => Error::new(
                ErrorKind::Timeout(TimeoutPhase::Receive),
                format!("the server has been silent for {silence:?}"),
            )
            .with_fate(Fate::Unknown),
            Limit::Answer => too_late(format!("the hub has not answered a subscription for {answer:?}")),
            Limit::Writing => too_late(format!("the server has read nothing for {answer:?}")),
        }
    }

    fn is_writing(&self) -> bool {
        self.unsent || self.sending.is_some() || !self.outbox.is_empty()
    }

    /// Wakes readers, when all is as they are to find it. It has to be done before anything is waited for, and at the end.
    pub(super) fn wake(&mut self) {
        self.wakers.drain(..).for_each(std::task::Waker::wake);
    }

    /// Joins and leaves groups as the subscriptions need it; and when all is in force, says so.
    fn look_after_groups(&mut self) -> Result<(), Ended> {
        let mut out = Vec::new();
        let mut registry = self.line.registry();
        if registry.is_empty() {
            registry.close();
            return Err(Ended::Unneeded);
        }
        // Until all before it is written, what is to be said next may still become less; so it never piles up.
        if !self.is_writing() {
            registry.plan(&mut out);
            self.first.get_or_insert(registry.last_id());
        }
        let oldest = registry.oldest_asked();
        if oldest != self.unanswered.map(|(id, _)| id) {
            self.unanswered = oldest.map(|id| (id, Instant::now()));
        }
        let settles = !self.settled && self.first.is_some_and(|first| registry.is_settled(first));
        if settles {
            registry.reconnected(Utc::now(), &mut self.wakers);
        }
        drop(registry);
        if settles {
            self.settled = true;
            self.line.establish();
            self.line.enter(ConnectionState::Connected);
        }
        self.post(&out);
        Ok(())
    }

    /// Puts records into the outbox, several to a message.
    fn post(&mut self, records: &[u8]) {
        let mut message = String::new();
        for record in records.split_inclusive(|byte| *byte == protocol::SEPARATOR) {
            if !message.is_empty() && message.len() + record.len() > MESSAGE {
                self.outbox.push_back(std::mem::take(&mut message).into());
            }
            message.push_str(&String::from_utf8_lossy(record));
        }
        if !message.is_empty() {
            self.outbox.push_back(message.into());
        }
    }

    /// Writes what there is to write, and takes what has come, up to a burst. Reading never waits for writing.
    fn poll_burst(&mut self, cx: &mut Context<'_>) -> Poll<Result<Burst, Ended>> {
        let halted = self.write(cx)?;
        let (mut heard, mut came) = (false, 0);
        while came < BURST {
            match self.socket.poll_message(cx) {
                Poll::Pending => {
                    // Unless it is only this task's turn that is over.
                    if heard && has_budget_remaining() {
                        self.heard.end(Utc::now());
                    }
                    return if heard || halted { Poll::Ready(Ok(Burst::Empty)) } else { Poll::Pending };
                }
                Poll::Ready(Ok(message)) => {
                    if !std::mem::replace(&mut heard, true) {
                        self.heard.begin(Instant::now());
                    }
                    came += 1.max(self.take(&message)?);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Ended::Lost(error))),
            }
        }
        Poll::Ready(Ok(Burst::Full))
    }

    /// Writes what there is to write. Whether it has just come to an end with that, or to a halt.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<bool, Ended> {
        let mut wrote = false;
        while self.is_writing() {
            if self.sending.is_none() {
                self.sending = self.outbox.pop_front();
            }
            self.unsent = true;
            match self.socket.poll_send(cx, &mut self.sending) {
                Poll::Ready(written) => {
                    written.map_err(Ended::Lost)?;
                    // What the server could not read until now, it could not answer.
                    if self.stuck.take().is_some()
                        && let Some((_, since)) = &mut self.unanswered
                    {
                        *since = Instant::now();
                    }
                    (self.unsent, wrote) = (false, true);
                }
                Poll::Pending => {
                    let halts = self.stuck.is_none();
                    self.stuck.get_or_insert_with(Instant::now);
                    return Ok(halts);
                }
            }
        }
        Ok(wrote)
    }

    /// How many records ended in a message.
    fn take(&mut self, message: &str) -> Result<usize, Ended> {
        let mut records = std::mem::replace(&mut self.records, Records::new(0));
        let mut count = 0;
        let taken = records.feed(message, |record| {
            count += 1;
            self.record(record)
        });
        self.records = records;
        taken.map(|()| count)
    }

    fn record(&mut self, record: &str) -> Result<(), Ended> {
        if !self.accepted {
            return match protocol::parse_handshake(record)? {
                Handshake::Accepted => {
                    self.accepted = true;
                    Ok(())
                }
                Handshake::Refused(words) => {
                    let message = format!("the hub refused the handshake: {}", self.socket.words(&words));
                    // That it came too late, or the server is going down: no word about this client.
                    Err(if words == "Handshake was canceled." {
                        Ended::Passing(Error::new(ErrorKind::Interrupted, message).with_fate(Fate::Unknown))
                    } else {
                        Ended::Refused(Error::new(ErrorKind::Unsupported, message))
                    })
                }
            };
        }
        match protocol::parse(record)? {
            Message::Event(event) => self.event(event, record.as_bytes()),
            Message::Completion { id: Some(id), error } => return self.completion(id, error),
            Message::Completion { id: None, .. } | Message::Ping | Message::Ignored => {}
            // With `allowReconnect` or without: like every other end (events description, section 12).
            Message::Close { error } => {
                let words = error.map_or_else(String::new, |e| format!(": {}", self.socket.words(&e)));
                let message = format!("the hub ended the connection{words}");
                return Err(Ended::Lost(Error::new(ErrorKind::Interrupted, message).with_fate(Fate::Unknown)));
            }
        }
        Ok(())
    }

    fn event(&mut self, event: Event, record: &[u8]) {
        let mut registry = self.line.registry();
        // While two groups overlap, the server sends the same bytes twice, one right after the other. Otherwise they are
        // two deletions of one path, and the event of what was stored in between is late.
        let is_copy = self.previous == record && registry.may_be_doubled(&event);
        self.previous.clear();
        if is_copy {
            return;
        }
        if event.path().is_some() {
            self.previous.extend_from_slice(record);
        }
        registry.deliver(Parcel::of_record(self.heard.at, record, event), &mut self.wakers);
    }

    fn completion(&mut self, id: u64, error: Option<String>) -> Result<(), Ended> {
        let mut registry = self.line.registry();
        let Some(words) = error else {
            registry.completed(id, None, &mut self.wakers);
            return Ok(());
        };
        let (error, lasting) = self.socket.refusal(&words, self.token.is_none());
        // What was in force a moment ago is not given up for a fault of the server.
        if !lasting && registry.was_in_force(id) {
            return Err(Ended::Lost(error));
        }
        if lasting
            && error.is_denied()
            && let Some(token) = &self.token
        {
            return Err(Ended::Denied(error, token.clone()));
        }
        registry.completed(id, Some(&error), &mut self.wakers);
        // What the group would have served besides is asked for by itself.
        self.first = None;
        Ok(())
    }
}

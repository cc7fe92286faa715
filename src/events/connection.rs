//! One connection to the hub: a task, and the state machine it runs.
//!
//! ```text
//!           first subscription                          101, handshake
//! Closed ──────────────────────▶ Connecting ───────────────────────────▶ Subscribing
//!   ▲ ▲                          │   ▲    │                              │    │ every group joined:
//!   │ │ last one dropped,        │   │    │ failed                  lost │    ▼ Reconnected to those who were told
//!   │ └── in any state           │   │    ▼                              │  Connected
//!   │                  refused   │   └─ Waiting ◀────────────────────────┴────┘ lost: Disconnected
//!   └── Refused ◀────────────────┘  (jittered, endless)
//! ```
//!
//! Refused is only what will not pass by itself: the hub's own refusals, its word not to come back, and, before the
//! first connection, an answer that is not that of a hub. Once a connection has been made, such an answer is taken for a
//! fault on the way.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};

use super::event::Event;
use super::protocol::{self, HANDSHAKE, Handshake, Malformed, Message, PING, Records, TooLong};
use super::queue::Queue;
use super::registry::{Filter, Interest, Registry, Wakers};
use super::settings::EventSettings;
use super::socket::{Socket, WsText};
use super::state::{ConnectionState, StateWatch};
use crate::auth::Token;
use crate::error::{Error, ErrorKind, Fate, Result, TimeoutPhase};
use crate::http::{Secrets, Transport, later, words_of_hub};

/// One of a client's connections to the hub, made when it is needed.
pub(crate) struct Line {
    transport: Transport,
    settings: EventSettings,
    /// Whether the client's credential goes into the URL.
    admin: bool,
    registry: Mutex<Registry>,
    /// The subscriptions have changed.
    changed: Notify,
    state: watch::Sender<ConnectionState>,
}

/// How a connection, or the attempt at one, came to its end.
enum Ended {
    /// Nobody listens any more.
    Unneeded,
    /// It will be tried again.
    Lost(Error),
    /// It will not.
    Refused(Error),
}

/// How many messages are read before others get their turn, and readers are woken.
const BURST: usize = 256;
/// The most that is put into one message to the hub.
const MESSAGE: usize = 16 << 10;
/// A connection that stood so long was a good one: the next failure is the first.
const STOOD: Duration = Duration::from_secs(10);

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("state", &*self.state.borrow()).finish_non_exhaustive()
    }
}

impl Line {
    pub(super) fn new(transport: Transport, settings: EventSettings, admin: bool) -> Arc<Self> {
        Arc::new(Self {
            transport,
            settings: settings.bounded(),
            admin,
            registry: Mutex::default(),
            changed: Notify::new(),
            state: watch::Sender::new(ConnectionState::Closed),
        })
    }

    pub(super) fn settings(&self) -> &EventSettings {
        &self.settings
    }

    pub(super) fn state(&self) -> StateWatch {
        StateWatch::new(self.state.subscribe())
    }

    /// Adds a subscription, and makes the connection if there is none.
    ///
    /// # Errors
    /// `Interrupted` where there is no runtime to look after it.
    pub(super) fn subscribe(self: &Arc<Self>, interest: &Interest, filter: Filter, queue: Arc<Queue>) -> Result<u64> {
        let runtime = Handle::try_current().map_err(|cause| {
            Error::new(ErrorKind::Interrupted, "no Tokio runtime looks after the event connection").caused_by(cause)
        })?;
        let (id, start) = {
            let mut registry = self.registry();
            let id = registry.add(interest, filter, queue);
            (id, !std::mem::replace(&mut registry.running, true))
        };
        if start {
            // Made here, as the runtime may end before the task's first turn.
            let running = Running { line: self.clone(), done: false };
            runtime.spawn(self.clone().run(running));
        }
        self.changed.notify_one();
        Ok(id)
    }

    pub(super) fn unsubscribe(&self, interest: &Interest, id: u64) {
        self.registry().remove(interest, id);
        self.changed.notify_one();
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, state: ConnectionState) {
        self.state.send_replace(state);
    }

    async fn run(self: Arc<Self>, mut running: Running) {
        let (mut failures, mut established) = (0, false);
        let mut gap: Option<DateTime<Utc>> = None;
        loop {
            self.enter(ConnectionState::Connecting { failures });
            let ended = match self.unless_unneeded(self.connect(failures)).await {
                Err(ended) => ended,
                Ok(mut session) => {
                    let start = Instant::now();
                    let ended = session.run(&mut gap).await;
                    established |= session.settled;
                    if session.settled && start.elapsed() >= STOOD {
                        failures = 0;
                    }
                    gap.get_or_insert_with(|| Utc::now() - session.heard.elapsed());
                    if matches!(ended, Ended::Unneeded) {
                        session.socket.close().await;
                    }
                    ended
                }
            };
            let error = match ended {
                Ended::Unneeded if running.retire() => return,
                Ended::Unneeded => continue,
                Ended::Lost(error) if established || error.is_retryable() => error,
                Ended::Lost(error) | Ended::Refused(error) => return running.refuse(&error),
            };
            failures += 1;
            if self.settings.max_attempts.is_some_and(|most| failures >= most) {
                return running.refuse(&error);
            }
            let retry_in = self.settings.delay(failures, error.retry_after());
            wake(|wakers| self.registry().disconnected(&error.to_string(), wakers));
            self.enter(ConnectionState::Waiting { failures, retry_in, reason: error.to_string() });
            let waited = async {
                sleep(retry_in).await;
                Ok(())
            };
            if self.unless_unneeded(waited).await.is_err() && running.retire() {
                return;
            }
        }
    }

    /// Does something as long as there are subscriptions.
    async fn unless_unneeded<T>(&self, work: impl Future<Output = Result<T, Ended>>) -> Result<T, Ended> {
        let unneeded = async {
            while !self.registry().is_empty() {
                self.changed.notified().await;
            }
        };
        tokio::select! {
            () = unneeded => Err(Ended::Unneeded),
            done = work => done,
        }
    }

    /// Makes one attempt: token, WebSocket, handshake.
    async fn connect(self: &Arc<Self>, failures: u32) -> Result<Session, Ended> {
        let token = self.token().await.map_err(Ended::Lost)?;
        let config = self.transport.config();
        let secrets = Secrets::of(token.as_slice(), &config.base, [&config.headers]);
        let opened = Socket::open(&self.transport, &self.settings, token.as_ref(), &secrets, failures + 1).await;
        let session = Session {
            line: self.clone(),
            anonymous: token.is_none(),
            secrets,
            socket: opened.map_err(Ended::Lost)?,
            records: Records::new(self.settings.record_limit),
            outbox: VecDeque::from([WsText::from_static(HANDSHAKE), WsText::from_static(PING)]),
            sending: None,
            unsent: true,
            accepted: false,
            settled: false,
            first: None,
            heard: Instant::now(),
            previous: Vec::new(),
            wakers: Wakers::new(),
        };
        timeout(self.settings.handshake_timeout, session.shake_hands()).await.unwrap_or_else(|_| {
            let message = "the hub did not answer the handshake within the time limit";
            Err(Ended::Lost(Error::new(ErrorKind::Timeout(TimeoutPhase::Response), message).with_fate(Fate::Unknown)))
        })
    }

    async fn token(&self) -> Result<Option<Token>> {
        if !self.admin {
            return Ok(None);
        }
        let Some(token) = self.transport.config().credentials.token().await? else { return Ok(None) };
        token.check()?;
        if token.is_upload_token() {
            return Err(Error::new(
                ErrorKind::PermissionDenied,
                "an upload token does not let a client hear of everything",
            )
            .with_hint("Use the admin key or a dashboard token"));
        }
        Ok(Some(token))
    }
}

/// That a task looks after the connection. It may be dropped with its runtime at any time.
struct Running {
    line: Arc<Line>,
    done: bool,
}

impl Running {
    /// Ends the task, unless there is a subscription again.
    fn retire(&mut self) -> bool {
        let mut registry = self.line.registry();
        if registry.is_empty() {
            registry.running = false;
            self.done = true;
            self.line.enter(ConnectionState::Closed);
        }
        self.done
    }

    fn refuse(&mut self, error: &Error) {
        wake(|wakers| {
            let mut registry = self.line.registry();
            registry.running = false;
            registry.fail(error, wakers);
            self.line.enter(ConnectionState::Refused { reason: error.to_string() });
        });
        self.done = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.done {
            let error =
                Error::new(ErrorKind::Interrupted, "the runtime that looked after the event connection has ended");
            self.refuse(&error);
        }
    }
}

/// Wakes readers after the registry is unlocked.
fn wake(work: impl FnOnce(&mut Wakers)) {
    let mut wakers = Wakers::new();
    work(&mut wakers);
    wakers.into_iter().for_each(std::task::Waker::wake);
}

/// A connection that is there.
struct Session {
    line: Arc<Line>,
    anonymous: bool,
    secrets: Secrets,
    socket: Socket,
    records: Records,
    outbox: VecDeque<WsText>,
    sending: Option<WsText>,
    /// Something may wait in the socket's own buffer.
    unsent: bool,
    /// The handshake was answered.
    accepted: bool,
    /// All subscriptions that were there at first are in force.
    settled: bool,
    /// What was asked for up to here was asked for at first.
    first: Option<u64>,
    /// When the server last sent a record.
    heard: Instant,
    /// The last event about a file, as it came.
    previous: Vec<u8>,
    wakers: Wakers,
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

impl Session {
    /// Sends the handshake and the first ping, and waits for the answer.
    async fn shake_hands(mut self) -> Result<Self, Ended> {
        while !self.accepted {
            poll_fn(|cx| self.poll_burst(cx)).await?;
        }
        Ok(self)
    }

    async fn run(&mut self, gap: &mut Option<DateTime<Utc>>) -> Ended {
        self.line.enter(ConnectionState::Subscribing);
        let line = self.line.clone();
        let settings = &line.settings;
        let mut next_ping = later(Instant::now(), settings.keep_alive);
        // One timer for both ends: it is set anew only when it has run out, not with each record.
        let mut timer: Pin<&mut Sleep> = pin!(sleep_until(next_ping.min(later(self.heard, settings.server_timeout))));
        loop {
            if let Err(ended) = self.look_after_groups(gap) {
                return ended;
            }
            let (burst, time_is_up) = tokio::select! {
                biased;
                burst = poll_fn(|cx| self.poll_burst(cx)) => (burst, false),
                () = line.changed.notified() => (Ok(()), false),
                () = &mut timer => (Ok(()), true),
            };
            if let Err(ended) = burst {
                return ended;
            }
            // The timer has no turn as long as there is something to read; the server waits for a sign of life all the same.
            let now = Instant::now();
            if now >= next_ping {
                self.outbox.push_back(WsText::from_static(PING));
                next_ping = later(now, settings.keep_alive);
            }
            if time_is_up {
                if now - self.heard >= settings.server_timeout {
                    return self.silence();
                }
                timer.as_mut().reset(next_ping.min(later(self.heard, settings.server_timeout)));
            }
        }
    }

    fn silence(&self) -> Ended {
        let limit = self.line.settings.server_timeout;
        let message = format!("the server has been silent for {limit:?}");
        Ended::Lost(Error::new(ErrorKind::Timeout(TimeoutPhase::Receive), message).with_fate(Fate::Unknown))
    }

    /// Joins and leaves groups as the subscriptions need it; and when all is in force, says so.
    fn look_after_groups(&mut self, gap: &mut Option<DateTime<Utc>>) -> Result<(), Ended> {
        let mut out = Vec::new();
        let mut registry = self.line.registry();
        if registry.is_empty() {
            registry.close();
            return Err(Ended::Unneeded);
        }
        registry.plan(&mut out);
        let first = *self.first.get_or_insert(registry.last_id());
        if !self.settled && registry.is_settled(first) {
            self.settled = true;
            if let Some(missed_since) = gap.take() {
                registry.reconnected(missed_since, &mut self.wakers);
            }
            self.line.enter(ConnectionState::Connected);
        }
        drop(registry);
        self.wakers.drain(..).for_each(std::task::Waker::wake);
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
    fn poll_burst(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        while self.unsent || self.sending.is_some() || !self.outbox.is_empty() {
            if self.sending.is_none() {
                self.sending = self.outbox.pop_front();
            }
            self.unsent = true;
            match self.socket.poll_send(cx, &mut self.sending) {
                Poll::Ready(Ok(())) => self.unsent = false,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Ended::Lost(error))),
                Poll::Pending => break,
            }
        }
        let mut came = 0;
        let mut end = None;
        while came < BURST {
            match self.socket.poll_message(cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(message)) => {
                    came += 1;
                    if let Err(ended) = self.take(&message) {
                        end = Some(ended);
                        break;
                    }
                }
                Poll::Ready(Err(error)) => {
                    end = Some(Ended::Lost(error));
                    break;
                }
            }
        }
        if came > 0 {
            self.heard = Instant::now();
        }
        self.wakers.drain(..).for_each(std::task::Waker::wake);
        match end {
            Some(ended) => Poll::Ready(Err(ended)),
            None if came > 0 => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }

    fn take(&mut self, message: &[u8]) -> Result<(), Ended> {
        let mut records = std::mem::replace(&mut self.records, Records::new(0));
        let taken = records.feed(message, |record| self.record(record));
        self.records = records;
        taken
    }

    fn record(&mut self, record: &[u8]) -> Result<(), Ended> {
        if !self.accepted {
            return match protocol::parse_handshake(record)? {
                Handshake::Accepted => {
                    self.accepted = true;
                    Ok(())
                }
                Handshake::Refused(words) => {
                    let message = format!("the hub refused the handshake: {}", words_of_hub(&words, &self.secrets));
                    Err(Ended::Refused(Error::new(ErrorKind::Unsupported, message)))
                }
            };
        }
        match protocol::parse(record)? {
            Message::Event(event) => self.event(event, record),
            Message::Completion { id: Some(id), error } => return self.completion(id, error),
            Message::Completion { id: None, .. } | Message::Ping | Message::Ignored => {}
            Message::Close { error, allow_reconnect } => {
                let words = error.map_or_else(String::new, |e| format!(": {}", words_of_hub(&e, &self.secrets)));
                let message = format!("the hub ended the connection{words}");
                return Err(if allow_reconnect {
                    Ended::Lost(Error::new(ErrorKind::Interrupted, message).with_fate(Fate::Unknown))
                } else {
                    let hint = "The hub does not want the client to come back by itself; subscribe again to try";
                    Ended::Refused(Error::new(ErrorKind::Interrupted, message).with_hint(hint))
                });
            }
        }
        Ok(())
    }

    fn event(&mut self, event: Event, record: &[u8]) {
        // While two groups overlap, the server sends the same bytes twice, one right after the other. No two changes of
        // a file make the same bytes: they differ in `updatedAt`, or there is another event between two deletions.
        if event.path().is_some() {
            if self.previous == record {
                return;
            }
            self.previous.clear();
            self.previous.extend_from_slice(record);
        } else {
            self.previous.clear();
        }
        self.line.registry().deliver(event, &mut self.wakers);
    }

    fn completion(&mut self, id: u64, error: Option<String>) -> Result<(), Ended> {
        let mut registry = self.line.registry();
        let Some(words) = error else {
            registry.completed(id, None, &mut self.wakers);
            return Ok(());
        };
        let (error, lasting) = refusal(&words, self.anonymous, &self.secrets);
        // What was in force a moment ago is not given up for a fault of the server.
        if !lasting && registry.was_in_force(id) {
            return Err(Ended::Lost(error));
        }
        registry.completed(id, Some(&error), &mut self.wakers);
        // What the group would have served besides is asked for by itself.
        self.first = None;
        Ok(())
    }
}

/// The hub's refusal of an invocation (events description, section 6), and whether it is its own decision or a fault.
fn refusal(words: &str, anonymous: bool, secrets: &Secrets) -> (Error, bool) {
    let Some((_, decision)) = words.split_once("HubException: ") else {
        return (Error::new(ErrorKind::Server, words_of_hub(words, secrets)), false);
    };
    let kind = match decision {
        "Method does not exist." => ErrorKind::Unsupported,
        _ if anonymous => ErrorKind::Unauthenticated,
        _ => ErrorKind::PermissionDenied,
    };
    let error = Error::new(kind, words_of_hub(decision, secrets));
    let error = match kind {
        ErrorKind::Unsupported => error,
        _ => error.with_hint("Events of everything need the admin key or a dashboard token"),
    };
    (error, true)
}

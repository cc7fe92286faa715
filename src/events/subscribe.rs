//! Subscriptions: how they are asked for, and the stream that comes of it.

use std::collections::VecDeque;
use std::fmt;
use std::future::{IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use futures::stream::FusedStream;

use super::event::{Arrival, Event, EventKind};
use super::interest::{Filter, Interest};
use super::line::Line;
use super::parcel::Parcel;
use super::queue::{Overflow, Queue, Room};
use super::state::ConnectionState;
use crate::call::Call;
use crate::error::{Error, ErrorKind, Fate, Result, TimeoutPhase};

/// Asks for a stream of events. Made by [`Bucket::events`](crate::Bucket::events), [`File::events`](crate::File::events)
/// and [`Events::all`](super::Events::all).
#[derive(Debug, Clone)]
#[must_use = "nothing is subscribed to until it is awaited"]
pub struct Subscribe {
    line: Arc<Line>,
    /// What it is about, or why there is no such thing.
    interest: Result<Interest>,
    filter: Filter,
    buffer: Room,
    overflow: Overflow,
    timeout: Option<Duration>,
}

/// What waits for a reader unless it says otherwise.
const BUFFER: Room = Room { events: 4096, bytes: 16 << 20 };
/// So many items are given before other tasks have a turn, though there are more. It is above what the connection reads in
/// one turn of its own, so that a reader keeps up with it.
const TURN: usize = 1024;

impl Subscribe {
    pub(super) fn new(line: Arc<Line>, interest: Result<Interest>) -> Self {
        Self { line, interest, filter: Filter::default(), buffer: BUFFER, overflow: Overflow::default(), timeout: None }
    }

    /// Only events about files whose path begins with exactly this text; events about buckets are not held back.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.filter.prefix = Some(prefix.into().into());
        self
    }

    /// Only events of these kinds, and those about the connection and the stream itself. One of a known name whose shape is
    /// not known counts as [`Unknown`](super::Event::Unknown).
    pub fn kinds(mut self, kinds: impl IntoIterator<Item = EventKind>) -> Self {
        self.filter.kinds = Some(kinds.into_iter().collect());
        self
    }

    /// How many events wait for a reader that is slower than they come; 4,096 by default; 0 is refused.
    ///
    /// Up to 64 more may be on their way from the buffer to the reader.
    pub fn buffer(mut self, events: usize) -> Self {
        self.buffer.events = events;
        self
    }

    /// How many bytes of records wait at most, however few events these are; 16 MiB by default; 0 is refused. What this
    /// version does not know of them, and keeps as JSON, counts by what it takes in memory.
    ///
    /// There is always room for one event, which may be as long as [`EventSettings`](super::EventSettings) lets it be.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.buffer.bytes = bytes;
        self
    }

    /// What becomes of events when the buffer is full; by default the oldest are dropped, and the stream reports how many.
    pub fn overflow(mut self, policy: Overflow) -> Self {
        self.overflow = policy;
        self
    }

    /// Limits the wait until the subscription is in force: then it ends with `Timeout` and the reason that there is no
    /// connection. There is no such limit by default: it is tried for as long as it is awaited.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Returns the call as a named future, for `tokio::spawn` and the like. The same as awaiting the builder.
    pub fn send(self) -> Call<'static, EventStream> {
        self.into_future()
    }

    async fn run(self) -> Result<EventStream> {
        let interest = self.interest?;
        if self.buffer.events == 0 || self.buffer.bytes == 0 {
            return Err(Error::invalid_input("buffer", "an event needs a place to wait in"));
        }
        let queue = Arc::new(Queue::new(self.buffer, self.overflow));
        let id = self.line.subscribe(&interest, self.filter, queue.clone())?;
        // From here on, dropping it unsubscribes.
        let stream =
            EventStream { taken: VecDeque::new(), given: 0, queue, line: self.line, interest, id, ended: false };
        let in_force = poll_fn(|cx| stream.queue.poll_in_force(cx));
        match self.timeout {
            None => in_force.await?,
            Some(limit) => tokio::time::timeout(limit, in_force).await.unwrap_or_else(|_| Err(stream.too_late()))?,
        }
        Ok(stream)
    }
}

impl IntoFuture for Subscribe {
    type Output = Result<EventStream>;
    type IntoFuture = Call<'static, EventStream>;

    fn into_future(self) -> Self::IntoFuture {
        Call::new(self.run())
    }
}

/// What was not done within its limit, and why, where that is known.
pub(super) fn not_in_time(what: &str, reason: Option<&str>) -> Error {
    let reason = reason.unwrap_or("no answer has come");
    Error::new(ErrorKind::Timeout(TimeoutPhase::Total), format!("{what} within the limit: {reason}"))
        .with_fate(Fate::Unknown)
}

/// The events of a subscription. Dropping it unsubscribes; with the last one the connection is closed.
///
/// Loss and return of the connection are [`Event`]s. A refusal for good is the last item, an `Err`.
#[must_use = "dropping a stream of events unsubscribes"]
pub struct EventStream {
    /// Taken from the queue, many at a time.
    taken: VecDeque<Arc<Parcel>>,
    /// How many were given since it last let its task wait.
    given: usize,
    queue: Arc<Queue>,
    line: Arc<Line>,
    interest: Interest,
    id: u64,
    ended: bool,
}

impl EventStream {
    fn too_late(&self) -> Error {
        let reason = match self.line.state().current() {
            ConnectionState::Waiting { reason, .. } | ConnectionState::Refused { reason } => Some(reason),
            _ => None,
        };
        not_in_time("not subscribed", reason.as_deref())
    }

    /// The items, and when they came.
    pub(super) fn arrivals(mut self) -> impl Stream<Item = Result<Arrival>> + Send {
        futures::stream::poll_fn(move |cx| self.poll_parcel(cx).map_ok(Parcel::open))
    }

    fn poll_parcel(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Arc<Parcel>>>> {
        loop {
            if self.given >= TURN {
                // Or there would be no end to a task that only reads, be it told to end.
                self.given = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Some(parcel) = self.taken.pop_front() {
                self.given += 1;
                return Poll::Ready(Some(Ok(parcel)));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match self.queue.poll_take(cx, &mut self.taken) {
                Poll::Ready(Some(Ok(()))) => {}
                Poll::Ready(Some(Err(error))) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(None) => self.ended = true,
                Poll::Pending => {
                    self.given = 0;
                    return Poll::Pending;
                }
            }
        }
    }
}

impl Stream for EventStream {
    type Item = Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_parcel(cx).map_ok(Parcel::event)
    }
}

impl FusedStream for EventStream {
    fn is_terminated(&self) -> bool {
        self.ended && self.taken.is_empty()
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        self.line.unsubscribe(&self.interest, self.id);
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("of", &self.interest).finish_non_exhaustive()
    }
}

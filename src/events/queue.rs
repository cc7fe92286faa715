//! The bounded buffer between the connection and one reader.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::event::{Event, was_set_back};
use super::parcel::Parcel;
use crate::error::{Error, ErrorKind, Result};

/// What becomes of events that a reader leaves waiting until its buffer is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// The oldest goes; the stream says how many went by [`Event::Lagged`]. The last [`Event::Disconnected`] or
    /// [`Event::Reconnected`] among them stays.
    #[default]
    DropOldest,
    /// Of several events that wait for one file, only the newest stays (of two states of the file by `updated_at`, unless
    /// the server's clock was set back; a file whose creation was not read stays created). That is no loss and not told;
    /// where the paths themselves are too many, as `DropOldest`. [`Event::Unknown`] takes the place of none, and none that
    /// comes after it takes that of one before it.
    CoalesceByPath,
    /// The stream ends with an error (`Interrupted`), after what was waiting.
    Fail,
}

/// What a buffer takes. There is always room for one event, however long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) events: usize,
    /// As parcels count them.
    pub(super) bytes: usize,
}

/// One subscription's buffer. Locked for moments only: neither side waits for the other.
#[derive(Debug)]
pub(super) struct Queue(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    /// `None` where an event was taken back for a newer one.
    waiting: VecDeque<Option<Arc<Parcel>>>,
    /// How many of them are events.
    count: usize,
    /// The bytes of their records.
    bytes: usize,
    /// How many were put in before the first of `waiting`.
    gone: u64,
    /// Where the newest event of a path is, by the path's hash.
    newest: HashMap<u64, u64>,
    hasher: RandomState,
    room: Room,
    overflow: Overflow,
    lost: u64,
    /// The last word on the connection that there was no room for.
    dropped_word: Option<Arc<Parcel>>,
    in_force: bool,
    end: End,
    reader: Option<Waker>,
}

#[derive(Debug)]
enum End {
    Open,
    /// The reader still has to hear of it.
    Failed(Error),
    Told,
}

/// How many events a reader takes at a time, and in how many bytes.
const TAKEN: Room = Room { events: 64, bytes: 64 << 10 };

impl Queue {
    pub(super) fn new(room: Room, overflow: Overflow) -> Self {
        Self(Mutex::new(Inner {
            waiting: VecDeque::new(),
            count: 0,
            bytes: 0,
            gone: 0,
            newest: HashMap::new(),
            hasher: RandomState::new(),
            room,
            overflow,
            lost: 0,
            dropped_word: None,
            in_force: false,
            end: End::Open,
            reader: None,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event. Hands back who is to be woken, so that a burst wakes once, and whether more is taken.
    #[must_use]
    pub(super) fn push(&self, parcel: Arc<Parcel>) -> (Option<Waker>, bool) {
        let mut inner = self.lock();
        if !matches!(inner.end, End::Open) {
            return (None, false);
        }
        inner.push(parcel);
        (inner.reader.take(), matches!(inner.end, End::Open))
    }

    /// The subscription is in force: the server has confirmed it.
    #[must_use]
    pub(super) fn confirm(&self) -> Option<Waker> {
        let mut inner = self.lock();
        inner.in_force = true;
        inner.reader.take()
    }

    pub(super) fn is_in_force(&self) -> bool {
        self.lock().in_force
    }

    /// Ends it with an error, behind what is waiting.
    #[must_use]
    pub(super) fn fail(&self, error: Error) -> Option<Waker> {
        let mut inner = self.lock();
        if matches!(inner.end, End::Open) {
            inner.end = End::Failed(error);
        }
        inner.reader.take()
    }

    /// Whether it has ended, be it that the reader has not heard of it.
    pub(super) fn has_ended(&self) -> bool {
        !matches!(self.lock().end, End::Open)
    }

    /// Waits until the subscription is in force or refused.
    pub(super) fn poll_in_force(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut inner = self.lock();
        if let Some(error) = inner.end.tell() {
            return Poll::Ready(Err(error));
        }
        if inner.in_force {
            return Poll::Ready(Ok(()));
        }
        inner.wait(cx);
        Poll::Pending
    }

    /// Moves what is waiting to `taken`, which is empty, or waits for it.
    pub(super) fn poll_take(
        &self,
        cx: &mut Context<'_>,
        taken: &mut VecDeque<Arc<Parcel>>,
    ) -> Poll<Option<Result<()>>> {
        let mut inner = self.lock();
        if inner.lost > 0 {
            taken.push_back(Arc::new(Parcel::now(Event::Lagged(std::mem::take(&mut inner.lost)))));
        }
        // Older than all that waits.
        taken.extend(inner.dropped_word.take());
        let mut bytes = 0;
        while taken.len() < TAKEN.events && bytes < TAKEN.bytes {
            let Some(slot) = inner.waiting.pop_front() else { break };
            inner.gone += 1;
            if let Some(parcel) = slot {
                bytes += parcel.length;
                inner.forget(&parcel);
                taken.push_back(parcel);
            }
        }
        if inner.waiting.is_empty() {
            inner.newest.clear();
        }
        if !taken.is_empty() {
            return Poll::Ready(Some(Ok(())));
        }
        match std::mem::replace(&mut inner.end, End::Told) {
            End::Failed(error) => Poll::Ready(Some(Err(error))),
            End::Told => Poll::Ready(None),
            End::Open => {
                inner.end = End::Open;
                inner.wait(cx);
                Poll::Pending
            }
        }
    }
}

impl End {
    fn tell(&mut self) -> Option<Error> {
        match std::mem::replace(self, Self::Told) {
            Self::Failed(error) => Some(error),
            other => {
                *self = other;
                None
            }
        }
    }
}

impl Inner {
    fn wait(&mut self, cx: &Context<'_>) {
        match &mut self.reader {
            Some(reader) => reader.clone_from(cx.waker()),
            None => self.reader = Some(cx.waker().clone()),
        }
    }

    fn push(&mut self, mut parcel: Arc<Parcel>) {
        if self.overflow == Overflow::CoalesceByPath {
            parcel = self.coalesce(parcel);
        }
        while !self.has_room(parcel.length) {
            if self.overflow == Overflow::Fail {
                let message = format!(
                    "the reader of this stream let {} events wait ({} bytes), all that its buffer takes",
                    self.count, self.bytes
                );
                let hint = "Read faster, or give the subscription a larger buffer or another policy";
                self.end = End::Failed(Error::new(ErrorKind::Interrupted, message).with_hint(hint));
                return;
            }
            self.drop_oldest();
        }
        self.count += 1;
        self.bytes += parcel.length;
        self.waiting.push_back(Some(parcel));
    }

    fn has_room(&self, length: usize) -> bool {
        let fits = self.count < self.room.events && self.bytes.saturating_add(length) <= self.room.bytes;
        self.count == 0 || fits
    }

    /// Notes that it does not wait any more.
    fn forget(&mut self, parcel: &Parcel) {
        self.count -= 1;
        self.bytes -= parcel.length;
    }

    fn drop_oldest(&mut self) {
        while let Some(slot) = self.waiting.pop_front() {
            self.gone += 1;
            if let Some(parcel) = slot {
                self.forget(&parcel);
                let dropped = match parcel.event {
                    // The next one may be long in coming, and until then a reader would be wrong about the connection.
                    Event::Disconnected { .. } | Event::Reconnected { .. } => self.dropped_word.replace(parcel),
                    _ => Some(parcel),
                };
                self.lost += u64::from(dropped.is_some());
                return;
            }
        }
    }

    /// Takes back the event that waits for the same path, if any, and hands back the one to keep.
    fn coalesce(&mut self, parcel: Arc<Parcel>) -> Arc<Parcel> {
        let event = &parcel.event;
        let Some(path) = event.path() else { return parcel };
        let hash = self.hasher.hash_one((event.bucket_id(), path));
        if !is_of_a_file(event) {
            self.newest.remove(&hash);
            return parcel;
        }
        let mut kept = None;
        if let Some(slot) = self
            .newest
            .get(&hash)
            .and_then(|at| at.checked_sub(self.gone))
            .and_then(|at| self.waiting.get_mut(at as usize))
        {
            let same = slot
                .as_deref()
                .is_some_and(|old| old.event.path() == Some(path) && old.event.bucket_id() == event.bucket_id());
            if same && let Some(old) = slot.take() {
                self.forget(&old);
                let length = parcel.length.max(old.length);
                kept = newer(&old.event, event).map(|event| Parcel { at: parcel.at, length, event });
            }
        }
        while let Some(None) = self.waiting.front() {
            self.waiting.pop_front();
            self.gone += 1;
        }
        if self.waiting.len().max(self.newest.len()) > self.room.events.saturating_mul(2) {
            self.close_ranks();
        }
        self.newest.insert(hash, self.gone + self.waiting.len() as u64);
        kept.map_or(parcel, Arc::new)
    }

    fn close_ranks(&mut self) {
        self.waiting.retain(Option::is_some);
        self.newest.clear();
        for (at, parcel) in (self.gone..).zip(self.waiting.iter().flatten()) {
            if let Some(path) = parcel.event.path() {
                let hash = self.hasher.hash_one((parcel.event.bucket_id(), path));
                if is_of_a_file(&parcel.event) {
                    self.newest.insert(hash, at);
                } else {
                    self.newest.remove(&hash);
                }
            }
        }
    }
}

/// Whether a later event about the same file says all that this one does. What is not known may say something else.
fn is_of_a_file(event: &Event) -> bool {
    matches!(event, Event::FileCreated { .. } | Event::FileUpdated { .. } | Event::FileDeleted { .. })
}

/// What is kept of two events about one path, where it is not the one that came last: events of changes made at about the
/// same time come in any order, though none so late that a state is older by much; and a file whose creation was not read
/// stays created.
fn newer(old: &Event, new: &Event) -> Option<Event> {
    let (Event::FileCreated { bucket_id, file: before } | Event::FileUpdated { bucket_id, file: before }) = old else {
        return None;
    };
    let (Event::FileCreated { file: after, .. } | Event::FileUpdated { file: after, .. }) = new else { return None };
    let (bucket_id, before_at, after_at) = (bucket_id.clone(), before.updated_at, after.updated_at);
    let outdated = before_at > after_at && !was_set_back(before_at, after_at);
    let file = if outdated { before.clone() } else { after.clone() };
    match (old, new) {
        (Event::FileCreated { .. }, _) | (_, Event::FileCreated { .. }) => Some(Event::FileCreated { bucket_id, file }),
        _ => outdated.then_some(Event::FileUpdated { bucket_id, file }),
    }
}

#[cfg(test)]
mod tests;

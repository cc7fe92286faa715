//! Uploads that must not be under way together take turns.
//!
//! The server answers 500 to one of two uploads that are the first with the same bytes, or the first to the same path,
//! and in the second case never takes those bytes again; of two appends at once it loses one (wire description section
//! 13). So uploads of one client to one path go one after another. For equal contents it is enough that their **ends** do:
//! a server can't know that contents are equal before it has read them whole, so the bytes that complete a body wait until
//! the one before has been stored. Once the bytes are there, the others need not wait for each other.
//!
//! An upload that is dropped, or whose connection breaks, when all is sent and nothing answered may still be stored: its
//! turns [linger](Turn::linger) for a while. So does the turn at its path where it was sent again and that was answered: the
//! first sending may yet be stored over what comes next there.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, sleep_until, timeout};

use crate::http::body::Gauge;

/// The turns of a client's uploads, by key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns(Arc<Mutex<Slots>>);

#[derive(Debug, Default)]
struct Slots {
    by_key: HashMap<String, Weak<tokio::sync::Mutex<Slot>>>,
    /// Kept although nobody holds or waits for them, until then.
    lingering: VecDeque<(Instant, Arc<tokio::sync::Mutex<Slot>>)>,
}

/// What the last one left for the others.
#[derive(Debug, Default)]
struct Slot {
    /// There is no need to take turns any more.
    done: bool,
    /// The next one begins then.
    free_from: Option<Instant>,
}

/// A turn: others with the same key wait until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    slot: Option<OwnedMutexGuard<Slot>>,
    turns: Turns,
}

impl Turn {
    /// Whoever waits may go, all at once: what they would have raced for is there.
    pub(crate) fn done(self) {
        if let Some(mut slot) = self.slot {
            slot.done = true;
        }
    }

    /// Lets the next one wait a while: nobody knows whether the server is still at it.
    pub(crate) fn linger(self) {
        if let Some(mut slot) = self.slot {
            let until = Instant::now() + LINGERING;
            slot.free_from = Some(until);
            self.turns.slots().lingering.push_back((until, OwnedMutexGuard::mutex(&slot).clone()));
        }
    }
}

/// The turns of one upload, let go when the server has answered, or a while after the upload was given up.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) at_paths: Vec<Turn>,
    pub(crate) of_content: Option<Turn>,
    /// Of the last attempt, if there was one.
    pub(crate) gauge: Option<Arc<Gauge>>,
    pub(crate) answered: bool,
    /// An attempt before the last had handed over everything, and nobody knows what became of it.
    unknown: bool,
}

impl Held {
    pub(crate) fn new() -> Self {
        Self { at_paths: Vec::new(), of_content: None, gauge: None, answered: false, unknown: false }
    }

    /// Another attempt begins. The turn of the content stays with it where the last one may still be stored.
    pub(crate) fn attempt(&mut self, gauge: Arc<Gauge>) {
        match self.all_sent() && !self.answered {
            true => self.unknown = true,
            false => self.of_content = None,
        }
        (self.gauge, self.answered) = (Some(gauge), false);
    }

    /// All is stored, whatever became of earlier attempts: who has the same content has nothing to race for. At the path
    /// an earlier attempt may still replace what comes next.
    pub(crate) fn done(&mut self) {
        self.of_content.take().into_iter().for_each(Turn::done);
    }

    /// The last attempt handed over everything.
    pub(crate) fn all_sent(&self) -> bool {
        self.gauge.as_ref().is_some_and(|gauge| gauge.has_ended())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.unknown || self.all_sent() && !self.answered {
            self.at_paths.drain(..).chain(self.of_content.take()).for_each(Turn::linger);
        }
    }
}

/// For so long a server may still be storing what nobody waits for.
pub(crate) const LINGERING: Duration = Duration::from_secs(3);

/// A body that stands still is cut by the server after 5 s: then rather a race than that.
const PATIENCE: Duration = LINGERING;

impl Turns {
    /// Waits for the turn, however long it takes.
    pub(crate) async fn wait(&self, key: String) -> Turn {
        let slot = self.slot(key);
        match self.at_once(&slot) {
            Some(turn) => turn,
            None => Box::pin(self.wait_for(slot)).await,
        }
    }

    /// The turn, if nobody has it.
    pub(crate) fn take(&self, key: String) -> Option<Turn> {
        self.at_once(&self.slot(key))
    }

    /// The turn, where nobody else has it or has had it lately: as a rule.
    fn at_once(&self, slot: &Arc<tokio::sync::Mutex<Slot>>) -> Option<Turn> {
        let slot = slot.clone().try_lock_owned().ok()?;
        let is_new = !slot.done && slot.free_from.is_none();
        is_new.then(|| Turn { slot: Some(slot), turns: self.clone() })
    }

    async fn wait_for(&self, slot: Arc<tokio::sync::Mutex<Slot>>) -> Turn {
        let mut slot = slot.lock_owned().await;
        if slot.done {
            return self.none();
        }
        if let Some(free_from) = slot.free_from {
            sleep_until(free_from).await;
            slot.free_from = None;
        }
        Turn { slot: Some(slot), turns: self.clone() }
    }

    /// Waits for the turn, but not so long that the server would lose its patience.
    pub(crate) async fn wait_briefly(&self, key: String) -> Turn {
        let slot = self.slot(key);
        match self.at_once(&slot) {
            Some(turn) => turn,
            None => Box::pin(timeout(PATIENCE, self.wait_for(slot))).await.unwrap_or_else(|_| self.none()),
        }
    }

    /// One that nobody waits for.
    fn none(&self) -> Turn {
        Turn { slot: None, turns: self.clone() }
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, key: String) -> Arc<tokio::sync::Mutex<Slot>> {
        let mut slots = self.slots();
        while slots.lingering.front().is_some_and(|(until, _)| *until <= Instant::now()) {
            slots.lingering.pop_front();
        }
        let slots = &mut slots.by_key;
        if let Some(slot) = slots.get(&key).and_then(Weak::upgrade) {
            return slot;
        }
        // Only when the map would grow, so that the cost of tidying is spread over as many calls.
        if slots.len() == slots.capacity() {
            slots.retain(|_, slot| slot.strong_count() > 0);
        }
        let slot = Arc::default();
        slots.insert(key, Arc::downgrade(&slot));
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn one_key_one_turn() {
        let turns = Turns::default();
        let first = turns.wait("a".into()).await;
        assert!(turns.wait("a".into()).now_or_never().is_none());
        assert!(turns.wait("b".into()).now_or_never().is_some());
        drop(first);
        assert!(turns.wait("a".into()).now_or_never().is_some());
    }

    #[tokio::test]
    async fn after_the_first_is_done_the_others_go_together() {
        let turns = Turns::default();
        let first = turns.wait("a".into()).await;
        let (mut second, mut third) = (Box::pin(turns.wait("a".into())), Box::pin(turns.wait("a".into())));
        assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
        first.done();
        let _second = second.await;
        let _third = third.await;
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends() {
        let turns = Turns::default();
        let _first = turns.wait("a".into()).await;
        let started = Instant::now();
        turns.wait_briefly("a".into()).await;
        assert_eq!(started.elapsed(), PATIENCE);
        assert!(PATIENCE < Duration::from_secs(5), "that is when the server loses its own");
    }

    #[tokio::test]
    async fn keys_do_not_pile_up() {
        let turns = Turns::default();
        for n in 0..10_000 {
            drop(turns.wait(n.to_string()).await);
        }
        assert!(turns.slots().by_key.capacity() < 100);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_given_up_before_an_answer_is_waited_for() {
        let turns = Turns::default();
        for (sent, answered, waits) in [(true, false, true), (true, true, false), (false, false, false)] {
            let mut held = Held::new();
            held.answered = answered;
            held.at_paths.push(turns.wait("path".into()).await);
            held.of_content = Some(turns.wait("content".into()).await);
            if sent {
                held.gauge.insert(Arc::new(Gauge::new())).end_at_once();
            }
            drop(held);
            let started = Instant::now();
            for key in ["path", "content"] {
                // A wait that is given up does not use it up.
                assert_eq!(turns.wait(key.into()).now_or_never().is_none(), waits, "{key}");
            }
            drop(turns.wait("path".into()).await);
            assert_eq!(started.elapsed(), if waits { LINGERING } else { Duration::ZERO });
            for key in ["path", "content"] {
                assert!(turns.wait(key.into()).now_or_never().is_some(), "{key}");
            }
        }
        assert!(turns.slots().lingering.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_to_a_later_attempt_says_nothing_of_an_earlier_one() {
        let turns = Turns::default();
        for stored in [false, true] {
            let mut held = Held::new();
            held.at_paths.push(turns.wait("path".into()).await);
            let lost = Arc::new(Gauge::new());
            held.attempt(lost.clone());
            held.of_content = Some(turns.wait("content".into()).await);
            lost.end_at_once();
            held.attempt(Arc::new(Gauge::new()));
            assert!(turns.wait("content".into()).now_or_never().is_none(), "the first may still be stored");
            held.answered = true;
            if stored {
                held.done();
            }
            drop(held);
            for (key, waits) in [("path", true), ("content", !stored)] {
                assert_eq!(turns.wait(key.into()).now_or_never().is_none(), waits, "{key}");
            }
            drop(turns.wait("path".into()).await);
            drop(turns.wait("content".into()).await);
        }
    }
}

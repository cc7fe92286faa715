//! Uploads that must not be under way together take turns.
//!
//! The server answers 500 to one of two uploads that are the first with the same bytes, or the first to the same path,
//! and in the second case never takes those bytes again; of two appends at once it loses one (wire description section
//! 13). So uploads of one client to one path go one after another. For equal contents it is enough that their **ends** do:
//! a server can't know that contents are equal before it has read them whole, so the bytes that complete a body wait until
//! the one before has been stored. Once the bytes are there, the others need not wait for each other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

/// The turns of a client's uploads, by key.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<String, Weak<tokio::sync::Mutex<Done>>>>);

/// What the last one left for the others: no need to take turns any more.
type Done = bool;

/// A turn: others with the same key wait until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn(Option<OwnedMutexGuard<Done>>);

impl Turn {
    /// Whoever waits may go, all at once: what they would have raced for is there.
    pub(crate) fn done(self) {
        if let Some(mut turn) = self.0 {
            *turn = true;
        }
    }
}

/// A body that stands still is cut by the server after 5 s: then rather a race than that.
const PATIENCE: Duration = Duration::from_secs(3);

impl Turns {
    /// Waits for the turn, however long it takes.
    pub(crate) async fn wait(&self, key: String) -> Turn {
        let turn = self.slot(key).lock_owned().await;
        if *turn { Turn(None) } else { Turn(Some(turn)) }
    }

    /// Waits for the turn, but not so long that the server would lose its patience.
    pub(crate) async fn wait_briefly(&self, key: String) -> Turn {
        timeout(PATIENCE, self.wait(key)).await.unwrap_or(Turn(None))
    }

    fn slot(&self, key: String) -> Arc<tokio::sync::Mutex<Done>> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        turns.wait_briefly("a".into()).await;
    }

    #[tokio::test]
    async fn keys_do_not_pile_up() {
        let turns = Turns::default();
        for n in 0..10_000 {
            drop(turns.wait(n.to_string()).await);
        }
        assert!(turns.0.lock().unwrap().capacity() < 100);
    }
}

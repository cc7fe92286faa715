//! What all connections of a server share.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::clock::Clock;
use crate::content::Vault;
use crate::defects::Defects;
use crate::fault::Script;
use crate::http::cors::Origins;
use crate::hub::{Hub, HubTimes};
use crate::seen::SeenLog;
use crate::state::State;

/// How a server is set up.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) admin_key: String,
    /// Signs dashboard tokens; the admin key if there is none.
    pub(crate) jwt_secret: Option<String>,
    pub(crate) max_upload_size: u64,
    pub(crate) slow_body_grace: Duration,
    pub(crate) commit_time: Duration,
    /// How often expired buckets are deleted, if ever.
    pub(crate) cleanup_interval: Option<Duration>,
    pub(crate) defects: Defects,
    pub(crate) origins: Origins,
    pub(crate) hub_times: HubTimes,
}

/// Everything but the sockets.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) vault: Arc<Vault>,
    pub(crate) seen: SeenLog,
    pub(crate) script: Arc<Script>,
    pub(crate) hub: Hub,
    pub(crate) connections: AtomicU64,
    pub(crate) started: Mutex<DateTime<Utc>>,
    /// Uploads under way.
    uploads: AtomicUsize,
    state: Mutex<State>,
}

/// An upload under way.
pub(crate) struct Uploading(Arc<Shared>);

impl Drop for Uploading {
    fn drop(&mut self) {
        self.0.uploads.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A read of a file whose answer is held back.
pub(crate) struct Reading(Arc<Shared>, (String, String));

impl Drop for Reading {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if let Some(count) = state.being_read.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                state.being_read.remove(&self.1);
            }
        }
    }
}

/// Does something with what is known when it is dropped.
pub(crate) struct AtTheEnd<'a, F: FnMut(&mut State)>(&'a Shared, F);

impl<F: FnMut(&mut State)> Drop for AtTheEnd<'_, F> {
    fn drop(&mut self) {
        (self.1)(&mut self.0.state());
    }
}

impl Shared {
    pub(crate) fn at_the_end<F: FnMut(&mut State)>(&self, work: F) -> AtTheEnd<'_, F> {
        AtTheEnd(self, work)
    }

    /// The row of a file was read, and the answer is held back.
    pub(crate) fn read(self: &Arc<Self>, bucket_id: &str, path: &str) -> Reading {
        let key = (bucket_id.to_owned(), path.to_owned());
        *self.state().being_read.entry(key.clone()).or_default() += 1;
        Reading(Arc::clone(self), key)
    }

    pub(crate) fn new(config: Config, clock: Clock, vault: Arc<Vault>) -> Arc<Self> {
        let started = clock.now();
        let state = State::new(config.defects);
        let script = Arc::<Script>::default();
        let hub = Hub::new(config.hub_times, Arc::clone(&script));
        Arc::new(Self {
            config,
            clock,
            vault,
            seen: SeenLog::default(),
            script,
            hub,
            connections: AtomicU64::new(0),
            started: Mutex::new(started),
            uploads: AtomicUsize::new(0),
            state: Mutex::new(state),
        })
    }

    /// The state. Held for look-ups and commits only, never while bytes move.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn uploading(self: &Arc<Self>) -> Uploading {
        self.uploads.fetch_add(1, Ordering::Relaxed);
        Uploading(Arc::clone(self))
    }

    /// The time between the last byte of an upload and its being stored, in which another can overtake it. Alone there is
    /// none to overtake it, so it does not wait.
    pub(crate) async fn commit_time(&self) {
        if self.defects().upload_races && self.uploads.load(Ordering::Relaxed) > 1 {
            tokio::time::sleep(self.config.commit_time).await;
        }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Really deletes expired buckets.
    pub(crate) fn clean_up(&self) {
        let now = self.now();
        self.state().remove_expired(now);
    }

    pub(crate) fn defects(&self) -> Defects {
        self.config.defects
    }
}

//! One of a client's connections to the hub, as its subscriptions see it: what they share with the task that keeps it up
//! (`connection`).

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Notify, watch};

use super::connection;
use super::interest::{Filter, Interest};
use super::queue::Queue;
use super::registry::{Registry, Wakers};
use super::settings::EventSettings;
use super::state::{ConnectionState, StateWatch};
use crate::error::{Error, ErrorKind, Result};
use crate::http::Transport;

/// A connection, made when it is needed.
pub(crate) struct Line {
    pub(super) transport: Transport,
    pub(super) settings: EventSettings,
    /// Whether the client's credential goes into the URL.
    pub(super) admin: bool,
    registry: Mutex<Registry>,
    /// The subscriptions have changed.
    pub(super) changed: Notify,
    /// Set while the registry is not locked: that wakes others.
    state: watch::Sender<ConnectionState>,
    /// How many tasks have been started for it.
    tasks: AtomicU64,
    /// All subscriptions of a connection were in force once: there is a hub.
    established: AtomicBool,
}

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
            tasks: AtomicU64::new(0),
            established: AtomicBool::new(false),
        })
    }

    pub(super) fn settings(&self) -> &EventSettings {
        &self.settings
    }

    pub(super) fn state(&self) -> StateWatch {
        StateWatch::new(self.state.subscribe())
    }

    pub(super) fn establish(&self) {
        self.established.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_established(&self) -> bool {
        self.established.load(Ordering::Relaxed)
    }

    pub(super) fn enter(&self, state: ConnectionState) {
        self.state.send_replace(state);
    }

    /// Adds a subscription, and makes the connection if there is none.
    ///
    /// # Errors
    /// `Interrupted` where there is no runtime to look after it.
    pub(super) fn subscribe(self: &Arc<Self>, interest: &Interest, filter: Filter, queue: Arc<Queue>) -> Result<u64> {
        let runtime = Handle::try_current()
            .map_err(|cause| interrupted("no Tokio runtime looks after the event connection").caused_by(cause))?;
        let (id, task) = {
            let mut registry = self.registry();
            let id = registry.add(interest, filter, queue, runtime.clone());
            let start = !std::mem::replace(&mut registry.running, true);
            (id, start.then(|| Running::new(self)))
        };
        if let Some(running) = task {
            Start::new(running).on(&runtime);
        }
        self.changed.notify_one();
        Ok(id)
    }

    pub(super) fn unsubscribe(&self, interest: &Interest, id: u64) {
        self.registry().remove(interest, id);
        self.changed.notify_one();
    }

    pub(super) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn interrupted(why: &'static str) -> Error {
    Error::new(ErrorKind::Interrupted, why)
}

/// That a task looks after a connection. It may be dropped with its runtime at any time.
pub(super) struct Running {
    pub(super) line: Arc<Line>,
    number: u64,
    done: bool,
}

impl Running {
    fn new(line: &Arc<Line>) -> Self {
        let number = line.tasks.fetch_add(1, Ordering::SeqCst) + 1;
        Self { line: line.clone(), number, done: false }
    }

    /// Ends the task, unless there is a subscription again.
    pub(super) fn retire(&mut self) -> bool {
        let retired = self.line.registry().retire();
        retired.map(|state| self.end(state)).is_some()
    }

    /// Ends the task and all subscriptions.
    pub(super) fn refuse(&mut self, error: &Error) {
        wake(|wakers| {
            let state = self.line.registry().refuse(error, wakers);
            self.end(state);
        });
    }

    /// Ends the task, and the subscriptions that there are.
    fn fail(&mut self, error: &Error) {
        if !self.retire() {
            self.refuse(error);
        }
    }

    /// The last state, unless another task has begun meanwhile: then its states count.
    fn end(&mut self, state: ConnectionState) {
        self.done = true;
        self.line.state.send_if_modified(|now| {
            let is_last = self.line.tasks.load(Ordering::SeqCst) == self.number;
            if is_last {
                *now = state;
            }
            is_last
        });
    }
}

/// The runtime of one subscriber takes nothing from the others: the connection is made again on one of theirs.
impl Drop for Running {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let error = interrupted("the runtime that looked after the event connection has ended");
        // As long as there is no other task, whose states count.
        self.line.enter(ConnectionState::Connecting { failures: 0 });
        let next = Start::new(Self::new(&self.line));
        wake(|wakers| {
            // Until all is told, the next task finds it locked, and so does a newcomer until all is decided.
            let mut registry = self.line.registry();
            if next.on_one_of(&registry.runtimes()) {
                return registry.disconnected(&error.to_string(), wakers);
            }
            let state = registry.retire().unwrap_or_else(|| registry.refuse(&error, wakers));
            drop(registry);
            if let Some(mut last) = next.take() {
                last.end(state);
            }
        });
    }
}

/// A task before its first turn: its runtime may have ended before, and may end until then. Whoever has it last drops it.
struct Start(Arc<Mutex<Option<Running>>>);

impl Start {
    fn new(running: Running) -> Self {
        Self(Arc::new(Mutex::new(Some(running))))
    }

    fn slot(&self) -> MutexGuard<'_, Option<Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Running> {
        self.slot().take()
    }

    /// Begins it on the first of these that runs by itself; or else, as nobody knows in which of the others something is waited
    /// for, on the one that has its turn first.
    fn on_one_of(&self, runtimes: &[Handle]) -> bool {
        let mut begins = false;
        for runtime in runtimes {
            begins |= self.on(runtime);
            if begins && runtime.runtime_flavor() != RuntimeFlavor::CurrentThread {
                break;
            }
        }
        begins
    }

    /// Begins it on a runtime, unless that has ended.
    fn on(&self, runtime: &Handle) -> bool {
        let theirs = Self(self.0.clone());
        let task = runtime.spawn(async move {
            if let Some(mut running) = theirs.take() {
                let work = AssertUnwindSafe(connection::keep_up(&mut running));
                // Such as a token provider, or a runtime without timers: begun anew at once, it would do the same.
                if work.catch_unwind().await.is_err() {
                    running.fail(&interrupted("the task that looked after the event connection has panicked"));
                }
            }
        });
        !task.is_finished() || self.slot().is_none()
    }
}

/// Wakes readers after the registry is unlocked.
pub(super) fn wake(work: impl FnOnce(&mut Wakers)) {
    let mut wakers = Wakers::new();
    work(&mut wakers);
    wakers.into_iter().for_each(std::task::Waker::wake);
}

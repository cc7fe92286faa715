//! The SignalR hub `/hub/files`: who is connected, who is subscribed to what, and what they are sent.
//!
//! JSON protocol over WebSockets only: of long polling and server-sent events no more is there than their mention in
//! the answer to `negotiate`.

mod call;
mod control;
pub(crate) mod event;
mod group;
mod member;
pub(crate) mod negotiate;
mod outbox;
mod protocol;
pub(crate) mod session;
mod switches;
pub(crate) mod upgrade;
mod writer;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::fault::{Action, Firing, Script, Subject};
use event::Event;
use member::Member;
use negotiate::Ids;
use outbox::Item;

pub use control::{HubConnection, SeenRecord};
pub use group::Group;
use switches::Switches;
pub use switches::{Framing, HubTimes};

/// The hub of a server, as a test sees it: what it knows, and what can go wrong with it.
///
/// Clones are the same hub.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    times: HubTimes,
    script: Arc<Script>,
    registry: Mutex<Registry>,
    switches: watch::Sender<Switches>,
    /// Told of every change of who is connected, what they subscribed to, what they said, and what they are sent.
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Registry {
    members: BTreeMap<u64, Arc<Member>>,
    groups: HashMap<Group, BTreeSet<u64>>,
    ids: Ids,
    last_member: u64,
    published: u64,
    overtaken: Vec<Overtaken>,
    seen: Vec<SeenRecord>,
}

/// An event that later ones overtake.
struct Overtaken {
    event: Event,
    /// Goes out once so many have been published.
    after: u64,
}

impl Registry {
    /// Queues an event for all that are subscribed, and names them.
    fn deliver(&self, event: &Event, reached: &mut Vec<Arc<Member>>) {
        let subscribed = event.groups.iter().filter_map(|group| self.groups.get(group)).flatten();
        for member in subscribed.filter_map(|number| self.members.get(number)) {
            member.outbox.push(Item::Record(event.record.clone()));
            if !reached.iter().any(|known| Arc::ptr_eq(known, member)) {
                reached.push(Arc::clone(member));
            }
        }
    }
}

impl Hub {
    pub(crate) fn new(times: HubTimes, script: Arc<Script>) -> Self {
        Self {
            inner: Arc::new(Inner {
                times,
                script,
                registry: Mutex::default(),
                switches: watch::Sender::new(Switches::default()),
                changed: watch::Sender::new(()),
            }),
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.inner.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.inner.changed.send_replace(());
    }

    /// Sends an event to all that are subscribed. It is on its way before this waits for the first time; what is waited
    /// for is room in the queues of slow readers, as on the real server.
    pub(crate) async fn publish(&self, event: Event) {
        match self.inner.script.strike(Subject::Event, event.name, &event.text()) {
            None => self.send(&[event]).await,
            Some(firing) => self.meddle(event, firing).await,
        }
    }

    async fn meddle(&self, event: Event, firing: Firing) {
        firing.fire();
        match *firing.action() {
            Action::DuplicateEvent(copies) => self.send(&vec![event; copies + 1]).await,
            Action::DelayEvent(delay) => {
                let hub = self.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    hub.send(&[event]).await;
                });
            }
            Action::HoldEvent => {
                let hub = self.clone();
                tokio::spawn(async move {
                    firing.released().await;
                    hub.send(&[event]).await;
                });
            }
            Action::OvertakeEvent(by) => {
                let mut registry = self.registry();
                let after = registry.published + by;
                registry.overtaken.push(Overtaken { event, after });
            }
            // Lost.
            _ => {}
        }
    }

    async fn send(&self, events: &[Event]) {
        let mut reached = Vec::new();
        {
            let mut registry = self.registry();
            for event in events {
                registry.deliver(event, &mut reached);
            }
            registry.published += 1;
            let published = registry.published;
            let due = registry.overtaken.extract_if(.., |late| late.after <= published);
            let due: Vec<Overtaken> = due.collect();
            for late in &due {
                registry.deliver(&late.event, &mut reached);
            }
        }
        self.changed();
        for member in reached {
            member.outbox.room().await;
        }
    }
}

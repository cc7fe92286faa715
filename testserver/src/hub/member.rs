//! One connection of the hub, from the handshake's WebSocket to its end.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::watch;

use super::outbox::{Item, Outbox};
use super::{Group, Hub};
use crate::http::link::Cut;

/// A record that ends a connection with an error, whatever the reason.
pub(super) const CLOSED_WITH_AN_ERROR: &[u8] =
    b"{\"type\":7,\"error\":\"Connection closed with an error.\",\"allowReconnect\":true}\x1e";

/// A connection.
pub(super) struct Member {
    pub(super) number: u64,
    /// What the query of its WebSocket request had as `access_token`.
    pub(super) token: Option<String>,
    pub(super) handshaken: AtomicBool,
    pub(super) outbox: Outbox,
    cut: watch::Sender<Option<Cut>>,
}

impl Member {
    pub(super) fn push(&self, record: impl Into<bytes::Bytes>) {
        self.outbox.push(Item::Record(record.into()));
    }

    /// Ends the connection as the real server ends it on any error.
    pub(super) fn close_with_an_error(&self) {
        self.push(CLOSED_WITH_AN_ERROR);
        self.outbox.push(Item::Close);
    }

    pub(super) fn cut_now(&self, cut: Cut) {
        self.cut.send_replace(Some(cut));
    }

    /// Resolves when the connection is to be cut.
    pub(super) async fn cut(&self) -> Cut {
        match self.cut.subscribe().wait_for(Option::is_some).await.map(|cut| *cut) {
            Ok(Some(cut)) => cut,
            // The sender lives in this very member, so waiting cannot fail.
            _ => std::future::pending().await,
        }
    }
}

/// A member as long as it is one: leaves every group, and lets its negotiated id go, when dropped.
pub(super) struct Membership {
    hub: Hub,
    pub(super) member: Arc<Member>,
    id: Option<String>,
}

impl Membership {
    pub(super) fn new(hub: &Hub, token: Option<String>, id: Option<String>) -> Self {
        let member = {
            let mut registry = hub.registry();
            registry.last_member += 1;
            let number = registry.last_member;
            let member = Arc::new(Member {
                number,
                token,
                handshaken: AtomicBool::new(false),
                outbox: Outbox::default(),
                cut: watch::Sender::new(None),
            });
            let switches = *hub.inner.switches.borrow();
            member.outbox.stall(switches.stalled);
            member.outbox.mute(switches.mute);
            registry.members.insert(number, Arc::clone(&member));
            member
        };
        hub.changed();
        Self { hub: hub.clone(), member, id }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let number = self.member.number;
        {
            let mut registry = self.hub.registry();
            registry.members.remove(&number);
            registry.groups.retain(|_, members| {
                members.remove(&number);
                !members.is_empty()
            });
            if let Some(id) = &self.id {
                registry.ids.end(id);
            }
        }
        self.member.outbox.end();
        self.hub.changed();
    }
}

impl Hub {
    pub(super) fn join(&self, number: u64, group: Group) {
        self.registry().groups.entry(group).or_default().insert(number);
        self.changed();
    }

    pub(super) fn leave(&self, number: u64, group: &Group) {
        let mut registry = self.registry();
        if let Some(members) = registry.groups.get_mut(group) {
            members.remove(&number);
            if members.is_empty() {
                registry.groups.remove(group);
            }
        }
        drop(registry);
        self.changed();
    }
}

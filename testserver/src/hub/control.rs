//! The test's end of the hub: what it can see, and what it can break.

use bytes::Bytes;

use super::member::Member;
use super::outbox::Item;
use super::{Framing, Group, Hub};
use crate::http::link::Cut;

/// A connection, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubConnection {
    /// Counted from 1, in the order of their coming.
    pub number: u64,
    /// Whether the handshake is done.
    pub handshaken: bool,
    /// What it is subscribed to, in order.
    pub groups: Vec<Group>,
}

/// A record that a client has sent, whole and without its separator: handshakes, invocations, pings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenRecord {
    /// The number of its connection.
    pub connection: u64,
    /// The text.
    pub record: String,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Hub").field("connections", &self.connections()).finish_non_exhaustive()
    }
}

impl Hub {
    /// Who is connected, in the order of their coming.
    #[must_use]
    pub fn connections(&self) -> Vec<HubConnection> {
        let registry = self.registry();
        let mut groups: std::collections::HashMap<u64, Vec<Group>> = std::collections::HashMap::new();
        for (group, members) in &registry.groups {
            for number in members {
                groups.entry(*number).or_default().push(group.clone());
            }
        }
        let connection = |member: &std::sync::Arc<Member>| {
            let mut groups = groups.remove(&member.number).unwrap_or_default();
            groups.sort();
            let handshaken = member.handshaken.load(std::sync::atomic::Ordering::SeqCst);
            HubConnection { number: member.number, handshaken, groups }
        };
        registry.members.values().map(connection).collect()
    }

    /// How many connections are subscribed to this.
    #[must_use]
    pub fn subscribers(&self, group: &Group) -> usize {
        self.registry().groups.get(group).map_or(0, std::collections::BTreeSet::len)
    }

    /// Everything that clients have sent, in the order in which it was heard.
    #[must_use]
    pub fn seen(&self) -> Vec<SeenRecord> {
        self.registry().seen.clone()
    }

    /// Forgets what clients have sent.
    pub fn clear_seen(&self) {
        self.registry().seen.clear();
    }

    pub(super) fn saw(&self, record: SeenRecord) {
        self.registry().seen.push(record);
        self.changed();
    }

    /// How many records and messages wait to be written to the connection of this number.
    #[must_use]
    pub fn waiting(&self, connection: u64) -> usize {
        self.registry().members.get(&connection).map_or(0, |member| member.outbox.waiting())
    }

    /// Waits until something holds, looking again whenever a client comes, goes, or says something, and when an event is on its
    /// way.
    pub async fn until(&self, mut holds: impl FnMut(&Self) -> bool) {
        let mut changes = self.inner.changed.subscribe();
        while !holds(self) {
            // The sender lives as long as `self`, so waiting cannot fail.
            let _ = changes.changed().await;
        }
    }

    fn each_member(&self, act: impl Fn(&Member)) {
        self.registry().members.values().for_each(|member| act(member));
    }

    /// Resets every connection (TCP RST), as the real server does when it is told to end.
    pub fn reset_connections(&self) {
        self.each_member(|member| member.cut_now(Cut::Reset));
    }

    /// Ends every connection without a close frame (TCP FIN), as a server that is killed.
    pub fn end_connections(&self) {
        self.each_member(|member| member.cut_now(Cut::Close));
    }

    /// Sends every connection a close message and then a close frame.
    pub fn say_goodbye(&self, error: Option<&str>, allow_reconnect: bool) {
        let mut members = vec!["\"type\":7".to_owned()];
        members.extend(error.map(|error| format!("\"error\":{}", serde_json::Value::from(error))));
        members.extend(allow_reconnect.then(|| "\"allowReconnect\":true".to_owned()));
        let record = Bytes::from(format!("{{{}}}\x1e", members.join(",")));
        self.each_member(|member| {
            member.push(record.clone());
            member.outbox.push(Item::Close);
        });
    }

    /// What a restart of the server does to the hub: every connection is reset, ids and subscriptions are forgotten.
    /// Requests to the rest of the API go on.
    pub fn restart(&self) {
        self.registry().ids.forget();
        self.reset_connections();
    }

    /// Forgets who is subscribed to what, and tells nobody.
    pub fn forget_groups(&self) {
        self.registry().groups.clear();
        self.changed();
    }

    /// Writes nothing any more, as if no client read: uploads into their groups wait, at once, and after
    /// [`HubTimes::slow_reader`](super::HubTimes) the connections are reset. `false` lets them go on.
    pub fn stall(&self, stalled: bool) {
        self.inner.switches.send_modify(|switches| switches.stalled = stalled);
        self.each_member(|member| member.outbox.stall(stalled));
    }

    /// Loses everything that would be sent, pings, answers and events, while connections stay open: what a peer that has
    /// died without a word looks like. Until it is told `false`.
    pub fn mute(&self, mute: bool) {
        self.inner.switches.send_modify(|switches| switches.mute = mute);
        self.each_member(|member| member.outbox.mute(mute));
    }

    /// Whether to send pings; it does, unless told otherwise.
    pub fn send_pings(&self, pings: bool) {
        self.inner.switches.send_modify(|switches| switches.pings = pings);
    }

    /// How records are put into messages from now on.
    pub fn framing(&self, framing: Framing) {
        self.inner.switches.send_modify(|switches| switches.framing = framing);
    }

    /// Splits messages into frames of at most so many bytes, on connections that are opened from now on.
    pub fn frame_size(&self, bytes: Option<usize>) {
        self.inner.switches.send_modify(|switches| switches.frame_size = bytes.map(|bytes| bytes.max(1)));
    }

    /// Sends a text message to everyone who has shaken hands, subscribed or not; what is in it is up to the caller, who
    /// sees to it that it is UTF-8, and to separators. Returns once there is room for more, so that a flood goes at the
    /// pace of its slowest reader.
    pub async fn send_text(&self, message: impl Into<Bytes>) {
        self.send_item(Item::Text(message.into())).await;
    }

    /// The same with a binary message.
    pub async fn send_binary(&self, message: impl Into<Bytes>) {
        self.send_item(Item::Binary(message.into())).await;
    }

    async fn send_item(&self, item: Item) {
        let everyone: Vec<_> = {
            let registry = self.registry();
            let handshaken =
                |member: &&std::sync::Arc<Member>| member.handshaken.load(std::sync::atomic::Ordering::SeqCst);
            registry.members.values().filter(handshaken).cloned().collect()
        };
        for member in &everyone {
            member.outbox.push(item.clone());
        }
        for member in &everyone {
            member.outbox.room().await;
        }
    }
}

//! Who wants to hear what, and which groups of the hub that takes. Pure bookkeeping: it neither waits nor sends.
//!
//! The server sends an event once for each group that a connection is in and that it belongs to: bucket, file, all. So
//! only the widest group that is needed is joined (bucket ⊃ file), and what is not wanted is left out here. When that
//! changes, the new group is joined before the old one is left, and for a while there are copies, which the server sends
//! right after each other (events description, section 8).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::task::Waker;

use chrono::{DateTime, Utc};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::event::Event;
use super::interest::{Filter, Interest};
use super::parcel::Parcel;
use super::queue::Queue;
use super::state::ConnectionState;
use crate::error::Error;

#[derive(Debug)]
struct Subscriber {
    id: u64,
    filter: Filter,
    queue: Arc<Queue>,
    /// Where it was asked for.
    runtime: Handle,
    /// It was told that the connection was lost, and not yet that it is back.
    told_of_loss: bool,
}

/// Where a group of the hub stands with this connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Joined {
    #[default]
    No,
    /// By the invocation of this number, the last of several.
    Asked(u64),
    Yes,
}

#[derive(Debug, Default)]
struct Group {
    joined: Joined,
    members: Vec<Subscriber>,
}

impl Group {
    fn is_unneeded(&self) -> bool {
        self.members.is_empty() && self.joined == Joined::No
    }
}

#[derive(Debug, Default)]
struct BucketGroups {
    whole: Group,
    files: HashMap<Arc<str>, Group>,
}

impl BucketGroups {
    fn groups(&self) -> impl Iterator<Item = &Group> {
        std::iter::once(&self.whole).chain(self.files.values())
    }
}

/// All subscriptions of one connection.
#[derive(Debug, Default)]
pub(super) struct Registry {
    /// Whether a task looks after the connection.
    pub(super) running: bool,
    /// The number of subscriptions.
    count: usize,
    /// Why there is none any more, where the hub has refused the last.
    refusal: Option<Error>,
    all: Group,
    /// In order, as there are few: with one bucket, its name is compared and not hashed for each event.
    buckets: BTreeMap<Arc<str>, BucketGroups>,
    /// What has to be looked at by the next [`Registry::plan`]: whole buckets, and whether that of all.
    changed: HashSet<Arc<str>>,
    all_changed: bool,
    /// Joins that the hub has not answered, in the order of asking.
    asked: BTreeMap<u64, Interest>,
    /// Those that it left unanswered for too long, and that were asked for again. It may answer them yet.
    replaced: BTreeMap<u64, Interest>,
    /// Leaves that the hub has not answered: until it has, it may still send what belongs to the group.
    leaving: BTreeMap<u64, Interest>,
    /// Since when events may be missing.
    gap: Option<DateTime<Utc>>,
    last_id: u64,
}

/// Readers to be woken, once everything of a burst has been handed out.
pub(super) type Wakers = Vec<Waker>;

impl Registry {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// No task looks after it any more, unless there is a subscription: the state that this ends in.
    pub(super) fn retire(&mut self) -> Option<ConnectionState> {
        if !self.is_empty() {
            return None;
        }
        self.close();
        self.running = false;
        Some(self.refusal.take().map_or(ConnectionState::Closed, |error| ConnectionState::refused(&error)))
    }

    /// No task looks after it any more, and all subscriptions end: the state that this ends in.
    pub(super) fn refuse(&mut self, error: &Error, wakers: &mut Wakers) -> ConnectionState {
        self.running = false;
        self.fail(error, wakers);
        ConnectionState::refused(error)
    }

    /// The number of the last invocation or subscription.
    pub(super) fn last_id(&self) -> u64 {
        self.last_id
    }

    /// Whether all joins up to this number have been answered, however many have been asked for since.
    pub(super) fn is_settled(&self, up_to: u64) -> bool {
        self.oldest_asked().is_none_or(|id| id > up_to)
    }

    /// The join that has waited for its answer longest.
    pub(super) fn oldest_asked(&self) -> Option<u64> {
        self.asked.first_key_value().map(|(id, _)| *id)
    }

    /// Adds a subscription, asked for on this runtime, and hands back what it is to be removed by.
    pub(super) fn add(&mut self, interest: &Interest, filter: Filter, queue: Arc<Queue>, runtime: Handle) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        let covered = match interest {
            Interest::All => self.all.joined == Joined::Yes,
            Interest::Bucket(bucket) => self.buckets.get(bucket).is_some_and(|b| b.whole.joined == Joined::Yes),
            Interest::File(bucket, path) => self.buckets.get(bucket).is_some_and(|b| {
                b.whole.joined == Joined::Yes || b.files.get(path).is_some_and(|f| f.joined == Joined::Yes)
            }),
        };
        if covered {
            // Nobody waits for it yet.
            let _ = queue.confirm();
        }
        self.group(interest).members.push(Subscriber { id, filter, queue, runtime, told_of_loss: false });
        self.count += 1;
        self.refusal = None;
        self.mark(interest);
        id
    }

    /// Removes a subscription, unless it has ended by itself.
    pub(super) fn remove(&mut self, interest: &Interest, id: u64) {
        let group = match interest {
            Interest::All => Some(&mut self.all),
            Interest::Bucket(bucket) => self.buckets.get_mut(bucket).map(|groups| &mut groups.whole),
            Interest::File(bucket, path) => self.buckets.get_mut(bucket).and_then(|groups| groups.files.get_mut(path)),
        };
        if let Some(group) = group
            && let Some(at) = group.members.iter().position(|member| member.id == id)
        {
            group.members.remove(at);
            self.count -= 1;
            self.mark(interest);
            self.prune(interest);
        }
    }

    /// Notes that the groups of it have to be looked at. A file is planned for with its bucket.
    fn mark(&mut self, interest: &Interest) {
        match interest {
            Interest::All => self.all_changed = true,
            Interest::Bucket(bucket) | Interest::File(bucket, _) => drop(self.changed.insert(bucket.clone())),
        }
    }

    /// Forgets what nobody needs and the hub does not know of: while there is no connection, nothing is planned.
    fn prune(&mut self, interest: &Interest) {
        let (Interest::Bucket(bucket) | Interest::File(bucket, _)) = interest else { return };
        let Some(groups) = self.buckets.get_mut(bucket) else { return };
        if let Interest::File(_, path) = interest
            && groups.files.get(path).is_some_and(Group::is_unneeded)
        {
            groups.files.remove(path);
        }
        if groups.files.is_empty() && groups.whole.is_unneeded() {
            self.changed.remove(bucket);
            self.buckets.remove(bucket);
        }
    }

    fn group(&mut self, interest: &Interest) -> &mut Group {
        match interest {
            Interest::All => &mut self.all,
            Interest::Bucket(bucket) => &mut self.buckets.entry(bucket.clone()).or_default().whole,
            Interest::File(bucket, path) => {
                self.buckets.entry(bucket.clone()).or_default().files.entry(path.clone()).or_default()
            }
        }
    }

    /// Appends the invocations that make the hub's groups what the subscriptions need, and notes what they will change.
    pub(super) fn plan(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.all_changed) {
            match (self.all.joined, self.all.members.is_empty()) {
                (Joined::No, false) => self.ask(Interest::All, out),
                (Joined::Yes | Joined::Asked(_), true) => self.leave(&Interest::All, out),
                _ => {}
            }
        }
        for bucket in std::mem::take(&mut self.changed) {
            self.plan_bucket(&bucket, out);
        }
    }

    fn plan_bucket(&mut self, bucket: &Arc<str>, out: &mut Vec<u8>) {
        let Some(groups) = self.buckets.get_mut(bucket) else { return };
        let whole_is_wanted = !groups.whole.members.is_empty();
        let (mut join, mut leave) = (Vec::new(), Vec::new());
        let mut waits_for_files = false;
        for (path, group) in &groups.files {
            let wanted = !group.members.is_empty();
            match group.joined {
                Joined::No if wanted && !whole_is_wanted => {
                    join.push(Interest::File(bucket.clone(), path.clone()));
                    waits_for_files = true;
                }
                Joined::Asked(_) if wanted && !whole_is_wanted => waits_for_files = true,
                // Left only when nobody listens any more, or the bucket's group is there to take over.
                Joined::Asked(_) | Joined::Yes if !wanted || groups.whole.joined == Joined::Yes && whole_is_wanted => {
                    leave.push(Interest::File(bucket.clone(), path.clone()));
                }
                _ => {}
            }
        }
        match groups.whole.joined {
            Joined::No if whole_is_wanted => join.push(Interest::Bucket(bucket.clone())),
            Joined::Asked(_) | Joined::Yes if !whole_is_wanted && !waits_for_files => {
                leave.push(Interest::Bucket(bucket.clone()));
            }
            _ => {}
        }
        for interest in join {
            self.ask(interest, out);
        }
        for interest in &leave {
            self.leave(interest, out);
        }
        let Some(groups) = self.buckets.get_mut(bucket) else { return };
        groups.files.retain(|_, group| !group.is_unneeded());
        if groups.files.is_empty() && groups.whole.is_unneeded() {
            self.buckets.remove(bucket);
        }
    }

    fn ask(&mut self, interest: Interest, out: &mut Vec<u8>) {
        self.last_id += 1;
        let id = self.last_id;
        interest.write_join(out, id);
        self.group(&interest).joined = Joined::Asked(id);
        self.asked.insert(id, interest);
    }

    /// The hub carries out one invocation after another, so a group is as good as left once that is written.
    fn leave(&mut self, interest: &Interest, out: &mut Vec<u8>) {
        self.last_id += 1;
        let id = self.last_id;
        interest.write_leave(out, id);
        if let Joined::Asked(asked) = std::mem::take(&mut self.group(interest).joined) {
            self.asked.remove(&asked);
        }
        self.replaced.retain(|_, asked| asked != interest);
        self.leaving.insert(id, interest.clone());
    }

    /// Whether the hub may send an event twice: it belongs to two groups that this connection is in.
    pub(super) fn may_be_doubled(&self, event: &Event) -> bool {
        let (Some(bucket), Some(path)) = (event.bucket_id(), event.path()) else { return false };
        let groups = self.buckets.get(bucket);
        let whole = groups.map(|groups| &groups.whole);
        let file = groups.and_then(|groups| groups.files.get(path));
        let bucket: Arc<str> = bucket.into();
        let places = [
            (Some(&self.all), Interest::All),
            (whole, Interest::Bucket(bucket.clone())),
            (file, Interest::File(bucket, path.into())),
        ];
        let is_in = |(group, interest): &(Option<&Group>, Interest)| {
            group.is_some_and(|group| group.joined != Joined::No) || self.leaving.values().any(|left| left == interest)
        };
        places.iter().filter(|place| is_in(place)).count() > 1
    }

    /// The hub has answered an invocation. A refusal ends the subscriptions that need the group.
    pub(super) fn completed(&mut self, id: u64, refusal: Option<&Error>, wakers: &mut Wakers) {
        // It answers one after another.
        while self.leaving.first_key_value().is_some_and(|(left, _)| *left <= id) {
            self.leaving.pop_first();
        }
        let Some(interest) = self.asked.remove(&id).or_else(|| self.replaced.remove(&id)) else { return };
        let Joined::Asked(last) = self.group(&interest).joined else { return };
        // What one invocation has done, the others need not do: their answers change nothing.
        self.asked.remove(&last);
        self.replaced.retain(|_, asked| *asked != interest);
        self.mark(&interest);
        let group = self.group(&interest);
        let Some(error) = refusal else {
            group.joined = Joined::Yes;
            wakers.extend(group.members.iter().filter_map(|member| member.queue.confirm()));
            if let Interest::Bucket(bucket) = &interest
                && let Some(groups) = self.buckets.get(bucket)
            {
                let files = groups.files.values().flat_map(|group| &group.members);
                wakers.extend(files.filter_map(|member| member.queue.confirm()));
            }
            return;
        };
        group.joined = Joined::No;
        let refused = std::mem::take(&mut group.members);
        self.count -= refused.len();
        if self.count == 0 && !refused.is_empty() {
            self.refusal = Some(error.clone());
        }
        wakers.extend(refused.into_iter().filter_map(|member| member.queue.fail(error.clone())));
    }

    /// The hub has left a join unanswered for too long. It is asked for once more, on the same connection.
    pub(super) fn ask_again(&mut self, id: u64, out: &mut Vec<u8>) {
        let Some(interest) = self.asked.remove(&id) else { return };
        self.replaced.insert(id, interest.clone());
        self.ask(interest, out);
    }

    /// Whether the connection serves anybody.
    pub(super) fn is_of_use(&self) -> bool {
        let mut groups = self.buckets.values().flat_map(BucketGroups::groups);
        self.all.joined == Joined::Yes || groups.any(|group| group.joined == Joined::Yes)
    }

    /// Whether a subscription that the group is asked for was in force before: on an earlier connection, or by a wider
    /// group of this one. A bucket's is asked for its files as well, unless they have groups of their own.
    pub(super) fn was_in_force(&mut self, id: u64) -> bool {
        let asked = self.asked.get(&id).or_else(|| self.replaced.get(&id));
        let Some(interest) = asked.cloned() else { return false };
        let was = |group: &Group| group.members.iter().any(|member| member.told_of_loss || member.queue.is_in_force());
        let files = match &interest {
            Interest::Bucket(bucket) => self.buckets.get(bucket).map(|groups| groups.files.values()),
            _ => None,
        };
        let unserved = files.into_iter().flatten().any(|group| group.joined != Joined::Yes && was(group));
        unserved || was(self.group(&interest))
    }

    /// Hands an event to those who want it.
    pub(super) fn deliver(&mut self, parcel: Parcel, wakers: &mut Wakers) {
        let parcel = Arc::new(parcel);
        let event = &parcel.event;
        let mut ended = false;
        let mut give = |group: &Group| {
            for member in &group.members {
                if member.filter.passes(event) {
                    let (waker, open) = member.queue.push(parcel.clone());
                    wakers.extend(waker);
                    ended |= !open;
                }
            }
        };
        give(&self.all);
        match event.bucket_id() {
            Some(id) => {
                if let Some(groups) = self.buckets.get(id) {
                    give(&groups.whole);
                    if let Some(group) = event.path().and_then(|path| groups.files.get(path)) {
                        give(group);
                    }
                }
            }
            // Whomever it is about has missed it otherwise.
            None if event.is_unreadable() => {
                self.buckets.values().flat_map(BucketGroups::groups).for_each(give);
            }
            None => {}
        }
        if ended {
            self.bury();
        }
    }

    /// Forgets subscriptions that have ended by their own policy.
    fn bury(&mut self) {
        let (mut changed, mut buried) = (Vec::new(), 0);
        let mut look = |interest: Interest, group: &mut Group| {
            let before = group.members.len();
            group.members.retain(|member| !member.queue.has_ended());
            if group.members.len() < before {
                buried += before - group.members.len();
                changed.push(interest);
            }
        };
        look(Interest::All, &mut self.all);
        for (bucket, groups) in &mut self.buckets {
            look(Interest::Bucket(bucket.clone()), &mut groups.whole);
            for (path, group) in &mut groups.files {
                look(Interest::File(bucket.clone(), path.clone()), group);
            }
        }
        changed.iter().for_each(|interest| self.mark(interest));
        self.count -= buried;
    }

    fn members(&mut self) -> impl Iterator<Item = &mut Subscriber> {
        let buckets = self.buckets.values_mut();
        let groups = buckets.flat_map(|groups| std::iter::once(&mut groups.whole).chain(groups.files.values_mut()));
        std::iter::once(&mut self.all).chain(groups).flat_map(|group| &mut group.members)
    }

    /// Where the subscriptions were asked for, each once: first the runtimes that run by themselves, and then those of one
    /// thread, which do as long as something is waited for in them.
    pub(super) fn runtimes(&mut self) -> Vec<Handle> {
        let mut known = HashSet::new();
        let each = self.members().map(|member| &member.runtime);
        let mut runtimes: Vec<Handle> = each.filter(|runtime| known.insert(runtime.id())).cloned().collect();
        runtimes.sort_by_key(|runtime| runtime.runtime_flavor() == RuntimeFlavor::CurrentThread);
        runtimes
    }

    /// The connection is gone, and all groups with it. Those who were in force are told.
    pub(super) fn disconnected(&mut self, reason: &str, wakers: &mut Wakers) {
        self.asked.clear();
        self.replaced.clear();
        self.leaving.clear();
        for groups in self.buckets.values_mut() {
            groups.whole.joined = Joined::No;
            for group in groups.files.values_mut() {
                group.joined = Joined::No;
            }
        }
        self.all.joined = Joined::No;
        self.changed = self.buckets.keys().cloned().collect();
        self.all_changed = true;
        let event = Arc::new(Parcel::now(Event::Disconnected { reason: reason.to_owned() }));
        for member in self.members() {
            if !member.told_of_loss && member.queue.is_in_force() {
                member.told_of_loss = true;
                wakers.extend(member.queue.push(event.clone()).0);
            }
        }
    }

    /// Nothing was heard after `since`, until everything is in force again.
    pub(super) fn missing(&mut self, since: DateTime<Utc>) {
        self.gap.get_or_insert(since);
    }

    /// Everything is in force again, at `now`: before what is missing, if the clock was set back meanwhile.
    pub(super) fn reconnected(&mut self, now: DateTime<Utc>, wakers: &mut Wakers) {
        let Some(since) = self.gap.take() else { return };
        let missed_since = since.min(now);
        let event = Arc::new(Parcel::now(Event::Reconnected { missed_since }));
        for member in self.members() {
            if std::mem::take(&mut member.told_of_loss) {
                wakers.extend(member.queue.push(event.clone()).0);
            }
        }
    }

    /// Nobody listens any more, and the connection will be closed: who comes now needs a new one.
    pub(super) fn close(&mut self) {
        let (running, last_id) = (self.running, self.last_id);
        *self = Self { running, last_id, refusal: self.refusal.take(), ..Self::default() };
    }

    /// Ends all subscriptions.
    fn fail(&mut self, error: &Error, wakers: &mut Wakers) {
        for member in self.members() {
            wakers.extend(member.queue.fail(error.clone()));
        }
        self.close();
    }
}

#[cfg(test)]
mod tests;

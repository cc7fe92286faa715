//! The rows as they are believed to be, and what listings, events and look-ups make of them. Pure: it neither waits nor
//! sends.
//!
//! An event of a deletion has no time in it, and events of changes that were made at about the same time may come in any
//! order (events description, section 8). So where a deletion and a storing of one key come close to each other, the key
//! is in doubt, and is to be looked up. That takes both events: where one of them may have been lost, for the other came
//! soon after a gap, it is in doubt as well.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use super::source::Row;
use crate::events::event::{LATE, was_set_back};

/// A change of the rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Change<R> {
    Set(R),
    Removed(String),
}

/// What an event last said of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Stored,
    Gone,
}

impl Said {
    fn of(is_there: bool) -> Self {
        if is_there { Self::Stored } else { Self::Gone }
    }
}

/// What was last learnt of a key.
#[derive(Debug, Clone, Copy)]
struct Learnt {
    said: Said,
    at: Instant,
    /// When an event last said otherwise, if nothing has settled that.
    otherwise: Option<Instant>,
}

impl Learnt {
    fn of(is_there: bool, at: Instant) -> Self {
        Self { said: Said::of(is_there), at, otherwise: None }
    }
}

/// What was learnt of a key while a listing was under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    /// `true` where the event that says otherwise may have been lost.
    Said(Said, bool),
    LookedUp,
}

/// How far apart two events have to come to be sure of their order.
const CLOSE: Duration = LATE;

#[derive(Debug)]
pub(super) struct View<R> {
    rows: BTreeMap<String, R>,
    /// What has come of the listing under way.
    listing: Option<Listing<R>>,
    /// Since when no event is lost.
    whole_since: Option<Instant>,
    /// What was last learnt of keys that events were about lately.
    recent: HashMap<String, Learnt>,
    forget_at: usize,
    doubts: HashSet<String>,
}

#[derive(Debug)]
struct Listing<R> {
    came: HashMap<String, R>,
    /// Of keys that events or look-ups were about since it began.
    meanwhile: HashMap<String, Meanwhile>,
}

impl<R: Row> View<R> {
    pub(super) fn new() -> Self {
        Self {
            rows: BTreeMap::new(),
            listing: None,
            whole_since: None,
            recent: HashMap::new(),
            forget_at: 256,
            doubts: HashSet::new(),
        }
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &R> {
        self.rows.values()
    }

    /// Keys that have to be looked up; each is given once.
    pub(super) fn take_doubts(&mut self) -> impl Iterator<Item = String> + use<R> {
        std::mem::take(&mut self.doubts).into_iter()
    }

    pub(super) fn doubt(&mut self, key: String) {
        self.doubts.insert(key);
    }

    /// Events before `at` may be missing. A listing has to follow.
    pub(super) fn resume(&mut self, at: Instant) {
        self.whole_since = Some(at);
    }

    /// An event that came at `at` says that it was stored. By its time it may be older than what is known; not by much,
    /// unless the server's clock was set back.
    pub(super) fn stored(&mut self, row: R, at: Instant) -> Option<Change<R>> {
        self.say(row.key(), Said::Stored, at);
        if self.rows.get(row.key()).is_some_and(|known| was_set_back(known.stamp(), row.stamp())) {
            self.doubts.insert(row.key().to_owned());
        }
        self.set_newer(row)
    }

    /// An event that came at `at` says that it is gone.
    pub(super) fn gone(&mut self, key: String, at: Instant) -> Option<Change<R>> {
        self.say(&key, Said::Gone, at);
        self.remove(key)
    }

    fn say(&mut self, key: &str, said: Said, at: Instant) {
        let after_a_gap = self.whole_since.is_some_and(|whole| at - whole < CLOSE);
        if let Some(listing) = &mut self.listing {
            listing.meanwhile.insert(key.to_owned(), Meanwhile::Said(said, after_a_gap));
        }
        let is_other = self.rows.contains_key(key) != (said == Said::Stored);
        let before = self.recent.get(key);
        let otherwise = before.and_then(|before| if before.said == said { before.otherwise } else { Some(before.at) });
        self.recent.insert(key.to_owned(), Learnt { said, at, otherwise });
        if otherwise.is_some_and(|earlier| at - earlier < CLOSE) || after_a_gap && is_other {
            self.doubts.insert(key.to_owned());
        }
        // By the time of events: those that wait to be read are older than what is learnt otherwise.
        if self.recent.len() >= self.forget_at {
            self.recent.retain(|_, learnt| at - learnt.at < CLOSE);
            self.forget_at = (2 * self.recent.len()).max(256);
        }
    }

    fn set_newer(&mut self, row: R) -> Option<Change<R>> {
        match self.rows.get(row.key()) {
            Some(known) if known.stamp() > row.stamp() => None,
            // Different in a way that has no time: what was looked up or listed may be newer than what an event told.
            Some(known) if known.stamp() == row.stamp() && *known != row => {
                self.doubts.insert(row.key().to_owned());
                None
            }
            _ => self.set(row),
        }
    }

    /// Sets it to what the server says that it is.
    pub(super) fn set(&mut self, row: R) -> Option<Change<R>> {
        if self.rows.get(row.key()) == Some(&row) {
            return None;
        }
        self.rows.insert(row.key().to_owned(), row.clone());
        Some(Change::Set(row))
    }

    fn remove(&mut self, key: String) -> Option<Change<R>> {
        self.rows.remove(&key).map(|_| Change::Removed(key))
    }

    /// The server was asked, and no event has told more since. Further late events may still say otherwise.
    pub(super) fn looked_up(&mut self, key: String, row: Option<R>, at: Instant) -> Option<Change<R>> {
        self.recent.insert(key.clone(), Learnt::of(row.is_some(), at));
        if let Some(listing) = &mut self.listing {
            listing.meanwhile.insert(key.clone(), Meanwhile::LookedUp);
        }
        match row {
            None => self.remove(key),
            Some(row) => self.set(row),
        }
    }

    pub(super) fn begin_listing(&mut self) {
        self.listing = Some(Listing { came: HashMap::new(), meanwhile: HashMap::new() });
    }

    /// A listing that broke off says nothing.
    pub(super) fn drop_listing(&mut self) {
        self.listing = None;
    }

    pub(super) fn listed(&mut self, rows: Vec<R>) {
        if let Some(listing) = &mut self.listing {
            listing.came.extend(rows.into_iter().map(|row| (row.key().to_owned(), row)));
        }
    }

    /// The listing is complete: what it does not have is gone, and what it has is so, except where more was learnt
    /// meanwhile. Of an event's state and the listing's the newer counts; a look-up wins unless the listing's is newer for
    /// certain; a deletion is in doubt, for nobody knows which was first, and so is what an event has stored, if that of
    /// its deletion may have been lost. Further late events may still say otherwise.
    pub(super) fn end_listing(&mut self, at: Instant) -> Vec<Change<R>> {
        let Some(Listing { mut came, meanwhile }) = self.listing.take() else { return Vec::new() };
        for (key, learnt) in &mut self.recent {
            if !meanwhile.contains_key(key) {
                *learnt = Learnt::of(came.contains_key(key), at);
            }
        }
        let known: Vec<String> = self.rows.keys().cloned().collect();
        let mut changes = Vec::new();
        for key in known {
            changes.extend(match (came.remove(&key), meanwhile.get(&key)) {
                (None, None) => self.remove(key),
                (None, Some(Meanwhile::Said(_, true))) => {
                    self.doubts.insert(key);
                    None
                }
                (None, Some(_)) => None,
                (Some(row), None) => self.set(row),
                (Some(row), Some(Meanwhile::Said(..))) => self.set_newer(row),
                (Some(row), Some(Meanwhile::LookedUp)) => {
                    let newer = self.rows.get(&key).is_none_or(|known| known.stamp() < row.stamp());
                    newer.then(|| self.set(row)).flatten()
                }
            });
        }
        let mut new: Vec<_> = came.into_iter().collect();
        new.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        for (key, row) in new {
            match meanwhile.get(&key) {
                Some(Meanwhile::Said(Said::Gone, _)) => drop(self.doubts.insert(key)),
                Some(Meanwhile::LookedUp) => {}
                _ => changes.extend(self.set(row)),
            }
        }
        changes
    }

    /// Everything is gone.
    pub(super) fn clear(&mut self) -> Vec<Change<R>> {
        std::mem::take(&mut self.rows).into_keys().map(Change::Removed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::FileInfo;

    fn file(path: &str, second: u32) -> FileInfo {
        let json = serde_json::json!({"path": path, "name": path, "size": second, "mime_type": "x",
            "created_at": "2026-11-21T09:34:42Z", "updated_at": format!("2026-11-21T09:34:{second:02}Z")});
        serde_json::from_value(json).unwrap()
    }

    fn list(view: &mut View<FileInfo>, rows: Vec<FileInfo>) -> Vec<Change<FileInfo>> {
        view.begin_listing();
        view.listed(rows);
        view.end_listing(Instant::now())
    }

    fn doubts(view: &mut View<FileInfo>) -> Vec<String> {
        view.take_doubts().collect()
    }

    #[test]
    fn a_listing_gives_the_difference() {
        let mut view = View::new();
        assert_eq!(
            list(&mut view, vec![file("a", 1), file("b", 1)]),
            [Change::Set(file("a", 1)), Change::Set(file("b", 1))]
        );
        let changes = list(&mut view, vec![file("b", 2), file("c", 1), file("d", 1)]);
        let expected = [
            Change::Removed("a".into()),
            Change::Set(file("b", 2)),
            Change::Set(file("c", 1)),
            Change::Set(file("d", 1)),
        ];
        assert_eq!(changes, expected);
        assert_eq!(list(&mut view, vec![file("b", 2), file("c", 1), file("d", 1)]), []);
    }

    /// A look-up and a listing say it as well as an event: of two that are late, the second is doubted too.
    #[test]
    fn late_events_are_doubted_whoever_said_otherwise() {
        let (mut view, now) = (View::new(), Instant::now());
        list(&mut view, vec![file("a", 1), file("b", 1)]);
        view.gone("a".into(), now);
        view.stored(file("a", 2), now);
        assert_eq!(doubts(&mut view), ["a"]);
        assert_eq!(view.looked_up("a".into(), None, now), Some(Change::Removed("a".into())));
        view.stored(file("a", 3), now);
        assert_eq!(doubts(&mut view), ["a"]);
        assert_eq!(view.looked_up("a".into(), Some(file("a", 4)), now), Some(Change::Set(file("a", 4))));
        view.gone("a".into(), now);
        assert_eq!(doubts(&mut view), ["a"]);
        // Its deletion was lost with a connection.
        view.resume(now);
        list(&mut view, vec![]);
        view.stored(file("b", 2), now);
        assert_eq!(doubts(&mut view), ["b"]);
    }

    #[test]
    fn the_newer_of_two_states_counts() {
        let (mut view, now) = (View::new(), Instant::now());
        assert_eq!(view.stored(file("a", 5), now), Some(Change::Set(file("a", 5))));
        assert_eq!(view.stored(file("a", 4), now), None);
        assert_eq!(view.stored(file("a", 5), now), None);
        view.begin_listing();
        view.stored(file("a", 7), now);
        view.stored(file("b", 1), now);
        view.listed(vec![file("a", 6), file("b", 3)]);
        assert_eq!(view.end_listing(Instant::now()), [Change::Set(file("b", 3))]);
        assert_eq!(doubts(&mut view), [""; 0]);
    }

    /// No event is so late: the server's clock was set back.
    #[test]
    fn what_is_much_older_by_its_time_is_in_doubt() {
        let (mut view, now) = (View::new(), Instant::now());
        list(&mut view, vec![file("a", 30)]);
        assert_eq!(view.stored(file("a", 28), now), None);
        assert_eq!(doubts(&mut view), [""; 0]);
        assert_eq!(view.stored(file("a", 27), now), None);
        assert_eq!(doubts(&mut view), ["a"]);
        // A listing may have been under way for long.
        view.begin_listing();
        view.stored(file("a", 31), now);
        view.listed(vec![file("a", 5)]);
        assert_eq!(view.end_listing(now), []);
        assert_eq!(doubts(&mut view), [""; 0]);
    }

    #[test]
    fn what_events_said_during_a_listing_stands_or_is_in_doubt() {
        let (mut view, now) = (View::new(), Instant::now());
        list(&mut view, vec![file("gone", 1), file("stays", 1)]);
        view.begin_listing();
        assert_eq!(view.gone("gone".into(), now), Some(Change::Removed("gone".into())));
        assert_eq!(view.stored(file("new", 2), now), Some(Change::Set(file("new", 2))));
        view.listed(vec![file("gone", 1), file("stays", 1)]);
        assert_eq!(view.end_listing(Instant::now()), []);
        assert_eq!(doubts(&mut view), ["gone"]);
        assert_eq!(view.looked_up("gone".into(), None, now), None);
        assert_eq!(view.looked_up("gone".into(), Some(file("gone", 3)), now), Some(Change::Set(file("gone", 3))));
        // What was looked up meanwhile is no older than the listing, unless it says so.
        view.begin_listing();
        view.listed(vec![file("gone", 2), file("new", 5), file("stays", 1)]);
        assert_eq!(view.looked_up("gone".into(), None, now), Some(Change::Removed("gone".into())));
        let other = FileInfo { size: 9, ..file("stays", 1) };
        assert_eq!(view.looked_up("stays".into(), Some(other.clone()), now), Some(Change::Set(other)));
        assert_eq!(view.looked_up("new".into(), Some(file("new", 4)), now), Some(Change::Set(file("new", 4))));
        assert_eq!(view.looked_up("more".into(), Some(file("more", 1)), now), Some(Change::Set(file("more", 1))));
        assert_eq!(view.end_listing(Instant::now()), [Change::Set(file("new", 5))]);
        assert_eq!(doubts(&mut view), [""; 0]);
        // A listing that broke off says nothing.
        view.begin_listing();
        view.listed(vec![]);
        view.drop_listing();
        assert_eq!(view.rows().count(), 3);
    }

    /// Its deletion may have been lost, or what was stored after it.
    #[test]
    fn what_comes_soon_after_a_gap_is_in_doubt() {
        let (mut view, now) = (View::new(), Instant::now());
        list(&mut view, vec![file("a", 1)]);
        for (gap, expected) in [(now + CLOSE / 2, true), (now, false)] {
            let at = now + CLOSE;
            view.resume(gap);
            list(&mut view, vec![file("a", 1)]);
            let doubted = |view: &mut View<FileInfo>, key: &str| {
                let doubts = doubts(view);
                view.recent.clear();
                if expected { doubts == [key] } else { doubts.is_empty() }
            };
            view.gone("a".into(), at);
            assert!(doubted(&mut view, "a"));
            view.stored(file("b", 1), at);
            assert!(doubted(&mut view, "b"));
            // It says nothing new, and the listing has not seen it.
            view.begin_listing();
            view.stored(file("b", 2), at);
            assert_eq!(doubts(&mut view), [""; 0]);
            assert_eq!(view.end_listing(at), []);
            assert!(doubted(&mut view, "b"));
        }
    }

    /// What a listing settled is not undone by an event that is late.
    #[test]
    fn a_listing_says_it_too() {
        let (mut view, now) = (View::new(), Instant::now());
        view.stored(file("a", 1), now);
        view.gone("a".into(), now);
        assert_eq!(doubts(&mut view), ["a"]);
        // In place of a look-up.
        list(&mut view, vec![file("a", 2)]);
        view.gone("a".into(), now);
        assert_eq!(doubts(&mut view), ["a"]);
    }

    /// An event that comes twice is doubted twice: the first doubt may have been left to a listing.
    #[test]
    fn an_event_is_doubted_as_often_as_it_comes() {
        let (mut view, now) = (View::new(), Instant::now());
        view.gone("a".into(), now);
        view.stored(file("a", 1), now);
        assert_eq!(doubts(&mut view), ["a"]);
        view.begin_listing();
        view.stored(file("a", 1), now);
        assert_eq!(view.end_listing(now), []);
        assert_eq!(doubts(&mut view), ["a"]);
        assert_eq!(view.looked_up("a".into(), Some(file("a", 1)), now), None);
        view.stored(file("a", 1), now);
        assert_eq!(doubts(&mut view), [""; 0]);
    }

    /// As with a bucket, whose creation is told after what was stored in it.
    #[test]
    fn an_event_does_not_bring_back_what_a_row_was_at_the_same_time() {
        let (mut view, now) = (View::new(), Instant::now());
        list(&mut view, vec![FileInfo { size: 2, ..file("a", 1) }]);
        assert_eq!(view.stored(file("a", 1), now), None);
        assert_eq!(doubts(&mut view), ["a"]);
    }

    /// They are older than what is learnt meanwhile.
    #[test]
    fn nothing_is_forgotten_that_unread_events_may_contradict() {
        let (mut view, now) = (View::new(), Instant::now());
        view.gone("a".into(), now);
        for n in 0..1_000 {
            view.looked_up(n.to_string(), None, now + CLOSE * 2);
        }
        view.stored(file("a", 1), now);
        assert_eq!(doubts(&mut view), ["a"]);
    }

    #[test]
    fn a_deletion_close_to_a_storing_is_in_doubt() {
        let (mut view, now) = (View::new(), Instant::now());
        view.stored(file("a", 1), now);
        view.gone("a".into(), now + CLOSE);
        assert_eq!(doubts(&mut view), [""; 0]);
        view.stored(file("a", 2), now + CLOSE + CLOSE / 2);
        assert_eq!(doubts(&mut view), ["a"]);
        for n in 0..10_000 {
            view.stored(file(&n.to_string(), 1), now + CLOSE * n);
        }
        assert!(view.recent.len() <= 256, "{}", view.recent.len());
    }
}

//! Uploads of one client, under way at once, that only their answers tell apart: the service names a file by what it was
//! sent with, and equal ones are equal.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

/// What a client's uploads are sent with, as long as they are under way.
#[derive(Debug, Clone, Default)]
pub(in crate::file_storage) struct Alike(Arc<Mutex<All>>);

#[derive(Debug, Default)]
struct All {
    under_way: Vec<Weak<Entry>>,
    /// The files of those that ended not long ago: one that begins now could take them for its own.
    given: VecDeque<Given>,
}

#[derive(Debug)]
struct Given {
    at: Instant,
    kind: Arc<Kind>,
    id: String,
}

/// For so long before it began an upload could take another's file for its own, by clocks of whole seconds; and more.
const KEPT: Duration = Duration::from_secs(10);

/// What equal uploads have in common.
#[derive(Debug, PartialEq, Eq)]
struct Kind {
    name: String,
    media_type: String,
    public: bool,
}

#[derive(Debug)]
struct Entry {
    kind: Arc<Kind>,
    /// Files that others like it have been told are theirs, since not long before this one began.
    taken: Mutex<Vec<String>>,
}

/// One upload that is under way.
pub(super) struct UnderWay {
    entry: Arc<Entry>,
    all: Alike,
}

impl Alike {
    pub(super) fn begin(&self, name: &str, media_type: &str, public: bool) -> UnderWay {
        let kind = Arc::new(Kind { name: name.to_owned(), media_type: media_type.to_owned(), public });
        let all = &mut *locked(&self.0);
        all.forget();
        let taken = all.given.iter().filter(|given| given.kind == kind).map(|given| given.id.clone()).collect();
        let entry = Arc::new(Entry { kind, taken: Mutex::new(taken) });
        all.under_way.push(Arc::downgrade(&entry));
        UnderWay { entry, all: self.clone() }
    }
}

impl All {
    /// Forgets uploads that have ended, and files that nobody who begins now could take for its own.
    fn forget(&mut self) {
        self.under_way.retain(|entry| entry.strong_count() > 0);
        let now = Instant::now();
        while self.given.front().is_some_and(|given| given.at + KEPT < now) {
            self.given.pop_front();
        }
    }

    /// Those that are sent with the same, without this one.
    fn like(&self, this: &Arc<Entry>) -> impl Iterator<Item = Arc<Entry>> {
        let like = |it: &Arc<Entry>| !Arc::ptr_eq(it, this) && it.kind == this.kind;
        self.under_way.iter().filter_map(Weak::upgrade).filter(like)
    }
}

impl UnderWay {
    /// This file is that of this upload, and of no other.
    pub(super) fn takes(&self, id: &str) {
        let all = &mut *locked(&self.all.0);
        all.forget();
        all.like(&self.entry).for_each(|other| locked(&other.taken).push(id.to_owned()));
        all.given.push_back(Given { at: Instant::now(), kind: self.entry.kind.clone(), id: id.to_owned() });
    }

    /// Whether an upload has this file already, be it one that ended before this one began.
    pub(super) fn is_taken(&self, id: &str) -> bool {
        locked(&self.entry.taken).iter().any(|taken| taken == id)
    }

    /// Whether a file without an owner may be that of another upload, which has no answer yet.
    pub(super) fn has_rivals(&self) -> bool {
        locked(&self.all.0).like(&self.entry).next().is_some()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn equal_uploads_know_of_each_other() {
        let all = Alike::default();
        let (one, two) = (all.begin("x", "a/b", false), all.begin("x", "a/b", false));
        let unlike = [all.begin("y", "a/b", false), all.begin("x", "a/c", false), all.begin("x", "a/b", true)];
        assert!(one.has_rivals() && two.has_rivals() && unlike.iter().all(|other| !other.has_rivals()));
        one.takes("1");
        assert!(two.is_taken("1") && !two.is_taken("2"));
        drop(one);
        assert!(!two.has_rivals() && two.is_taken("1"));
        drop(unlike);
        let last = all.begin("x", "a/b", false);
        assert!(last.is_taken("1"), "that of one which ended before");
        tokio::time::advance(KEPT + Duration::from_secs(1)).await;
        last.takes("2");
        assert!(two.is_taken("1") && two.is_taken("2") && last.is_taken("1"), "however long they take");
        drop((two, last));
        tokio::time::advance(KEPT + Duration::from_secs(1)).await;
        let _other = all.begin("x", "a/b", false);
        let all = locked(&all.0);
        assert_eq!((all.under_way.len(), all.given.len()), (1, 0), "those that ended are forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_takes_long_keeps_nothing_of_others_alive() {
        let all = Alike::default();
        let long = all.begin("long", "a/b", false);
        for n in 0..1000 {
            all.begin("x", "a/b", false).takes(&n.to_string());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(locked(&all.0).given.len() < 20 && locked(&all.0).under_way.len() < 20);
        assert!(locked(&long.entry.taken).is_empty());
        let next = all.begin("x", "a/b", false);
        assert!(next.is_taken("999") && next.is_taken("995") && !next.is_taken("5"));
    }
}

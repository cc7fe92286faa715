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
    /// The files of those that ended not long before the oldest that is under way began.
    given: VecDeque<(Instant, String)>,
}

/// For so long before it began an upload could take another's file for its own, by clocks of whole seconds; and more.
const KEPT: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Entry {
    name: String,
    media_type: String,
    public: bool,
    begun: Instant,
    /// Files that others have been told are theirs, since this one began.
    taken: Mutex<Vec<String>>,
}

/// One upload that is under way.
pub(super) struct UnderWay {
    entry: Arc<Entry>,
    all: Alike,
}

impl Alike {
    pub(super) fn begin(&self, name: &str, media_type: &str, public: bool) -> UnderWay {
        let (name, media_type) = (name.to_owned(), media_type.to_owned());
        let entry = Arc::new(Entry { name, media_type, public, begun: Instant::now(), taken: Mutex::default() });
        let all = &mut *locked(&self.0);
        all.under_way.retain(|entry| entry.strong_count() > 0);
        all.under_way.push(Arc::downgrade(&entry));
        all.forget();
        UnderWay { entry, all: self.clone() }
    }
}

impl All {
    /// Forgets files that nobody who is under way could take for its own.
    fn forget(&mut self) {
        let oldest = self.under_way.iter().find_map(Weak::upgrade).map_or_else(Instant::now, |oldest| oldest.begun);
        while self.given.front().is_some_and(|(at, _)| *at + KEPT < oldest) {
            self.given.pop_front();
        }
    }
}

impl UnderWay {
    /// This file is that of this upload, and of no other.
    pub(super) fn takes(&self, id: &str) {
        self.others().for_each(|other| locked(&other.taken).push(id.to_owned()));
        locked(&self.all.0).given.push_back((Instant::now(), id.to_owned()));
    }

    /// Whether an upload has this file already, be it one that ended before this one began.
    pub(super) fn is_taken(&self, id: &str) -> bool {
        locked(&self.entry.taken).iter().any(|taken| taken == id)
            || locked(&self.all.0).given.iter().any(|(_, given)| given == id)
    }

    /// Whether a file without an owner may be that of another upload, which has no answer yet.
    pub(super) fn has_rivals(&self) -> bool {
        self.others().next().is_some()
    }

    fn others(&self) -> impl Iterator<Item = Arc<Entry>> {
        let this = &self.entry;
        let like = |it: &Arc<Entry>| {
            !Arc::ptr_eq(it, this)
                && (&it.name, &it.media_type, it.public) == (&this.name, &this.media_type, this.public)
        };
        let others: Vec<_> = locked(&self.all.0).under_way.iter().filter_map(Weak::upgrade).filter(like).collect();
        others.into_iter()
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
}

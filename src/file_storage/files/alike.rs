//! Uploads of one client, under way at once, that only their answers tell apart: the service names a file by what it was
//! sent with, and equal ones are equal.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// What a client's uploads are sent with, as long as they are under way.
#[derive(Debug, Clone, Default)]
pub(in crate::file_storage) struct Alike(Arc<Mutex<Vec<Weak<Entry>>>>);

#[derive(Debug)]
struct Entry {
    name: String,
    media_type: String,
    public: bool,
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
        let entry = Arc::new(Entry { name, media_type, public, taken: Mutex::default() });
        let mut entries = locked(&self.0);
        entries.retain(|entry| entry.strong_count() > 0);
        entries.push(Arc::downgrade(&entry));
        UnderWay { entry, all: self.clone() }
    }
}

impl UnderWay {
    /// This file is that of this upload, and of no other.
    pub(super) fn takes(&self, id: &str) {
        self.others().for_each(|other| locked(&other.taken).push(id.to_owned()));
    }

    /// Whether another upload has this file.
    pub(super) fn is_taken(&self, id: &str) -> bool {
        locked(&self.entry.taken).iter().any(|taken| taken == id)
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
        let others: Vec<_> = locked(&self.all.0).iter().filter_map(Weak::upgrade).filter(like).collect();
        others.into_iter()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_uploads_know_of_each_other() {
        let all = Alike::default();
        let (one, two) = (all.begin("x", "a/b", false), all.begin("x", "a/b", false));
        let unlike = [all.begin("y", "a/b", false), all.begin("x", "a/c", false), all.begin("x", "a/b", true)];
        assert!(one.has_rivals() && two.has_rivals() && unlike.iter().all(|other| !other.has_rivals()));
        one.takes("1");
        assert!(two.is_taken("1") && !two.is_taken("2") && !one.is_taken("1"));
        assert!(unlike.iter().all(|other| !other.is_taken("1")));
        drop(one);
        assert!(!two.has_rivals() && two.is_taken("1"));
        drop((two, unlike));
        let _last = all.begin("x", "a/b", false);
        assert_eq!(locked(&all.0).len(), 1, "those that ended are forgotten");
    }
}

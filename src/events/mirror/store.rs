//! The files of a mirror, and what changed when.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use chrono::Utc;
use serde::Serialize;

use crate::error::Error;
use crate::models::FileInfo;

/// What has become different in a mirror. Serialised as an object with these members.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Changes {
    /// The revision that this leads to: what to ask with next.
    pub revision: u64,
    /// Whether `changed` is everything there is, and what is not in it is gone.
    pub reset: bool,
    /// Files that are new or different, as they are now; those that changed last come last.
    pub changed: Vec<Arc<FileInfo>>,
    /// Paths of files that are gone.
    pub removed: Vec<String>,
    /// How many files there are now.
    pub total_files: usize,
    /// Bytes of all files now; no more than `u64::MAX`.
    pub total_size: u64,
    /// Whether the last listing failed, so that something may be missing: [`Mirror::listing_error`](super::Mirror::listing_error)
    /// has the reason, which may name the server. When it turns false, what the listing left in doubt is still looked up.
    pub stale: bool,
}

impl Changes {
    /// Whether no file is different.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }
}

/// How many removals are remembered.
const REMOVALS: usize = 4096;

#[derive(Debug)]
pub(super) struct Store {
    files: BTreeMap<String, Entry>,
    by_revision: BTreeMap<u64, Arc<FileInfo>>,
    removed: VecDeque<(u64, String)>,
    /// From here on, every change is known.
    floor: u64,
    revision: u64,
    /// Sizes are the server's word: their sum may be more than a `u64` holds.
    total_size: u128,
    listing_error: Option<String>,
    /// When there was last one, or none any more.
    turned: u64,
    error: Option<Error>,
}

#[derive(Debug)]
struct Entry {
    revision: u64,
    file: Arc<FileInfo>,
}

impl Store {
    pub(super) fn new() -> Self {
        let start = Utc::now().timestamp_micros().unsigned_abs();
        Self {
            files: BTreeMap::new(),
            by_revision: BTreeMap::new(),
            removed: VecDeque::new(),
            floor: start,
            revision: start,
            total_size: 0,
            listing_error: None,
            turned: start,
            error: None,
        }
    }

    pub(super) fn set(&mut self, file: FileInfo) {
        self.revision += 1;
        let (revision, file) = (self.revision, Arc::new(file));
        self.total_size += u128::from(file.size);
        self.by_revision.insert(revision, file.clone());
        if let Some(old) = self.files.insert(file.path.clone(), Entry { revision, file }) {
            self.total_size -= u128::from(old.file.size);
            self.by_revision.remove(&old.revision);
        }
    }

    pub(super) fn remove(&mut self, path: &str) {
        let Some((path, old)) = self.files.remove_entry(path) else { return };
        self.revision += 1;
        self.total_size -= u128::from(old.file.size);
        self.by_revision.remove(&old.revision);
        self.removed.push_back((self.revision, path));
        if self.removed.len() > REMOVALS
            && let Some((forgotten, _)) = self.removed.pop_front()
        {
            self.floor = forgotten;
        }
    }

    pub(super) fn set_listing_error(&mut self, reason: Option<String>) {
        if reason.is_some() != self.listing_error.is_some() {
            self.revision += 1;
            self.turned = self.revision;
        }
        self.listing_error = reason;
    }

    pub(super) fn listing_error(&self) -> Option<&str> {
        self.listing_error.as_deref()
    }

    /// Whether listings have begun to fail, or to succeed again.
    pub(super) fn has_turned_since(&self, revision: u64) -> bool {
        self.turned > revision
    }

    pub(super) fn end(&mut self, error: Error) {
        self.revision += 1;
        self.error = Some(error);
    }

    pub(super) fn error(&self) -> Option<Error> {
        self.error.clone()
    }

    pub(super) fn get(&self, path: &str) -> Option<Arc<FileInfo>> {
        self.files.get(path).map(|entry| entry.file.clone())
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &Arc<FileInfo>> {
        self.files.values().map(|entry| &entry.file)
    }

    pub(super) fn files_under(&self, prefix: &str) -> impl Iterator<Item = &Arc<FileInfo>> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let range = self.files.range::<str, _>(from).take_while(move |(path, _)| path.starts_with(prefix));
        range.map(|(_, entry)| &entry.file)
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn total_size(&self) -> u64 {
        u64::try_from(self.total_size).unwrap_or(u64::MAX)
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn changes_since(&self, revision: u64) -> Changes {
        let reset = revision < self.floor || revision > self.revision;
        let since = if reset { 0 } else { revision };
        let changed = self.by_revision.range((Bound::Excluded(since), Bound::Unbounded));
        let removed = self.removed.iter().rev().take_while(|(at, _)| !reset && *at > since);
        // What came back is among the changed.
        let mut removed: Vec<String> =
            removed.map(|(_, path)| path).filter(|path| !self.files.contains_key(*path)).cloned().collect();
        removed.sort_unstable();
        removed.dedup();
        Changes {
            revision: self.revision,
            reset,
            changed: changed.map(|(_, file)| file.clone()).collect(),
            removed,
            total_files: self.len(),
            total_size: self.total_size(),
            stale: self.listing_error.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(path: &str, size: u64) -> FileInfo {
        let json = serde_json::json!({"path": path, "name": path, "size": size, "mime_type": "x",
            "created_at": "2026-11-21T09:34:42Z", "updated_at": "2026-11-21T09:34:42Z"});
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_revision_that_is_not_known_gives_everything() {
        let mut store = Store::new();
        let start = store.revision();
        store.set(file("a", 1));
        assert!(store.changes_since(0).reset && store.changes_since(store.revision() + 1).reset);
        assert!(!store.changes_since(start).reset);
        for n in 0..=REMOVALS {
            store.set(file(&n.to_string(), 1));
            store.remove(&n.to_string());
        }
        assert!(store.changes_since(start).reset);
        assert!(!store.changes_since(store.floor).reset);
        assert_eq!(store.removed.len(), REMOVALS);
        // A later mirror, as after a restart of the program, does not know the revisions of this one.
        assert!(Store { floor: store.revision() + 1, ..Store::new() }.changes_since(store.revision()).reset);
    }

    #[test]
    fn sizes_that_no_disk_holds_are_summed_up() {
        let mut store = Store::new();
        store.set(file("a", u64::MAX));
        store.set(file("b", u64::MAX));
        assert_eq!(store.total_size(), u64::MAX);
        store.set(file("a", 1));
        store.remove("b");
        assert_eq!(store.total_size(), 1);
    }

    #[test]
    fn prefixes_are_exact() {
        let mut store = Store::new();
        for path in ["a", "a/1", "a/2", "a0", "b"] {
            store.set(file(path, 1));
        }
        let under: Vec<_> = store.files_under("a/").map(|file| file.path.as_str()).collect();
        assert_eq!(under, ["a/1", "a/2"]);
    }

    proptest! {
        /// Whoever applies the changes, however seldom it asks, has what the mirror has.
        #[test]
        fn changes_lead_from_any_revision_to_now(steps in proptest::collection::vec((0u8..8, 0u64..5, any::<bool>()), 0..200)) {
            let mut store = Store::new();
            let mut copy: BTreeMap<String, u64> = BTreeMap::new();
            let mut at = 0;
            for (path, size, ask) in steps {
                match size {
                    0 => store.remove(&path.to_string()),
                    size => store.set(file(&path.to_string(), size)),
                }
                if !ask {
                    continue;
                }
                let changes = store.changes_since(at);
                if changes.reset {
                    copy.clear();
                }
                copy.extend(changes.changed.iter().map(|file| (file.path.clone(), file.size)));
                for path in &changes.removed {
                    copy.remove(path);
                }
                at = changes.revision;
                let have: BTreeMap<String, u64> = store.files().map(|file| (file.path.clone(), file.size)).collect();
                prop_assert_eq!(&copy, &have);
                prop_assert_eq!(changes.total_size, have.values().sum::<u64>());
                prop_assert!(store.changes_since(at).is_empty());
            }
        }
    }
}

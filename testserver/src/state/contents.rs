//! Contents by their hash: shared by all files that have them, known for ever.

use std::collections::HashMap;
use std::sync::Arc;

use crate::content::{Blob, Hash};

/// All contents the server has ever been given.
#[derive(Default)]
pub(crate) struct Contents {
    known: HashMap<Hash, Content>,
}

struct Content {
    /// The row at which it became known.
    row: u64,
    /// The bytes; gone when no file has them any more, or when a test took them away.
    blob: Option<Arc<Blob>>,
    users: u64,
    /// Refused for good: a content file without a database row, after a race.
    poisoned: bool,
}

impl Contents {
    /// The row at which these bytes became known.
    pub(crate) fn known_since(&self, hash: &Hash) -> Option<u64> {
        self.known.get(hash).filter(|content| !content.poisoned).map(|content| content.row)
    }

    pub(crate) fn is_poisoned(&self, hash: &Hash) -> bool {
        self.known.get(hash).is_some_and(|content| content.poisoned)
    }

    pub(crate) fn poison(&mut self, row: u64, hash: Hash) {
        self.known.insert(hash, Content { row, blob: None, users: 0, poisoned: true });
    }

    /// One more file has these bytes. Lost bytes of other files do not come back by it: they are "deduplicated".
    pub(crate) fn hold(&mut self, row: u64, hash: Hash, blob: Blob) {
        let content = self.known.entry(hash).or_insert(Content { row, blob: None, users: 0, poisoned: false });
        if content.users == 0 {
            content.blob = Some(Arc::new(blob));
        }
        content.users += 1;
    }

    /// One file less has these bytes; without any, their room is given back and only the hash stays known.
    pub(crate) fn release(&mut self, hash: &Hash) {
        if let Some(content) = self.known.get_mut(hash) {
            content.users = content.users.saturating_sub(1);
            if content.users == 0 {
                content.blob = None;
            }
        }
    }

    pub(crate) fn blob(&self, hash: &Hash) -> Option<Arc<Blob>> {
        self.known.get(hash)?.blob.clone()
    }

    /// Puts other bytes, or none, where those of this hash should be.
    pub(crate) fn tamper(&mut self, hash: &Hash, blob: Option<Blob>) {
        if let Some(content) = self.known.get_mut(hash) {
            content.blob = blob.map(Arc::new);
        }
    }
}

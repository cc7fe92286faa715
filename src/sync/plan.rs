//! What a sync is going to do, as data.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::local::Selection;

/// Which side is made like the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Direction {
    /// The bucket is made like the local folder.
    Up,
    /// The local folder is made like the bucket.
    Down,
}

/// What a sync is going to do. It can be looked at, written down, shortened, and carried out later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SyncPlan {
    /// Which side is made like the other.
    pub direction: Direction,
    /// The folder of the bucket; empty, or with a slash at the end.
    pub prefix: String,
    /// In the order of their paths.
    pub actions: Vec<SyncAction>,
    /// Files that are the same on both sides.
    pub unchanged: u64,
}

/// One thing that a sync does, or leaves. Paths are those below both folders, with `/` between segments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
#[non_exhaustive]
pub enum SyncAction {
    /// The file is copied to the other side.
    #[non_exhaustive]
    Copy {
        /// The path below both folders.
        path: String,
        /// Bytes.
        size: u64,
        /// Another content is there, and replaced. An empty local folder is no content, and makes way without a word.
        replaces: bool,
    },
    /// The file is on the other side only, and is deleted there.
    #[non_exhaustive]
    Delete {
        /// The path below both folders.
        path: String,
    },
    /// The file is on the other side only, and stays, since deleting was not asked for.
    #[non_exhaustive]
    Keep {
        /// The path below both folders.
        path: String,
    },
    /// What is to be done can't be told, so nothing is.
    #[non_exhaustive]
    Report {
        /// The path below both folders.
        path: String,
        /// Why: a name that the other side can't hold or tell from another, a link, something that can't be read.
        reason: String,
    },
}

impl SyncAction {
    /// The path below both folders.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Copy { path, .. } | Self::Delete { path } | Self::Keep { path } | Self::Report { path, .. } => path,
        }
    }
}

impl SyncPlan {
    /// Both sides are equal, and nothing had to be reported.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// Bytes to copy.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let size = |action: &SyncAction| if let SyncAction::Copy { size, .. } = action { *size } else { 0 };
        self.actions.iter().map(size).fold(0, u64::saturating_add)
    }

    /// Refuses a plan that was made for something else, that deletes where that is not allowed, or that touches what is not
    /// meant.
    pub(super) fn check(
        &self,
        direction: Direction,
        prefix: &str,
        delete_extra: bool,
        selection: &Selection,
    ) -> Result<()> {
        let bad = |why: &str| Err(Error::invalid_input("plan", why));
        if self.direction != direction || self.prefix != prefix {
            return bad("it was made for another direction or another folder of the bucket");
        }
        if !delete_extra && self.actions.iter().any(|action| matches!(action, SyncAction::Delete { .. })) {
            return bad("it deletes files, and delete_extra(true) was not said");
        }
        let touches = |action: &&SyncAction| matches!(action, SyncAction::Copy { .. } | SyncAction::Delete { .. });
        let mut touched = self.actions.iter().filter(touches).map(SyncAction::path);
        if let Some(path) = touched.find(|path| !selection.means(path)) {
            return bad(&format!("it has {path:?}, which this sync leaves out: by a filter, or as its file of hashes"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_action() -> impl Strategy<Value = SyncAction> {
        ("\\PC{0,20}", "\\PC{0,20}", any::<u64>(), any::<bool>(), 0..4).prop_map(
            |(path, reason, size, replaces, which)| match which {
                0 => SyncAction::Copy { path, size, replaces },
                1 => SyncAction::Delete { path },
                2 => SyncAction::Keep { path },
                _ => SyncAction::Report { path, reason },
            },
        )
    }

    proptest! {
        /// It is written down to be carried out later.
        #[test]
        fn a_plan_is_read_as_it_was_written(
            direction in prop_oneof![Just(Direction::Up), Just(Direction::Down)],
            prefix in "\\PC{0,20}",
            actions in prop::collection::vec(any_action(), 0..6),
            unchanged in any::<u64>(),
        ) {
            let plan = SyncPlan { direction, prefix, actions, unchanged };
            let text = serde_json::to_string(&plan).unwrap();
            prop_assert_eq!(&serde_json::from_str::<SyncPlan>(&text).unwrap(), &plan);
            let value = serde_json::to_value(&plan).unwrap();
            prop_assert_eq!(serde_json::from_value::<SyncPlan>(value).unwrap(), plan);
        }
    }
}

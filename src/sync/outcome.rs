//! What became of a sync.

use serde::Serialize;

use super::plan::{SyncAction, SyncPlan};
use crate::error::{Error, ErrorKind, Result};
use crate::files::Batch;

/// What became of a sync: what was copied, deleted, left and reported.
#[derive(Debug, Clone)]
#[must_use = "files may have failed or been reported: look at it, or use into_result()"]
#[non_exhaustive]
pub struct SyncOutcome<T> {
    /// The files to copy, and what became of each.
    pub copied: Batch<T>,
    /// The files to delete on the other side, and what became of each. They come last, and not after a failure.
    pub deleted: Batch<()>,
    /// Files that were the same on both sides.
    pub unchanged: u64,
    /// Files on the other side only that were left, by their path below both folders.
    pub kept: Vec<String>,
    /// What could not be decided.
    pub reported: Vec<Reported>,
}

/// A file that a sync left as it is, since what is to be done could not be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Reported {
    /// The path below both folders.
    pub path: String,
    /// Why: a name that the other side can't hold or tell from another, a link, something that can't be read.
    pub reason: String,
}

/// How many files a sync has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SyncTotals {
    /// Files that were copied.
    pub copied: usize,
    /// Files that were deleted on the other side.
    pub deleted: usize,
}

impl<T> SyncOutcome<T> {
    pub(super) fn new(plan: SyncPlan, copied: Batch<T>, deleted: Batch<()>) -> Self {
        let (mut kept, mut reported) = (Vec::new(), Vec::new());
        for action in plan.actions {
            match action {
                SyncAction::Keep { path } => kept.push(path),
                SyncAction::Report { path, reason } => reported.push(Reported { path, reason }),
                SyncAction::Copy { .. } | SyncAction::Delete { .. } => {}
            }
        }
        Self { copied, deleted, unchanged: plan.unchanged, kept, reported }
    }

    /// How many files were copied and deleted, if all was done and nothing had to be reported.
    ///
    /// # Errors
    /// That of the first file that failed, `Conflict` for the first that was reported, or `Cancelled` where the sync was
    /// ended by a signal or by `cancel()`.
    pub fn into_result(self) -> Result<SyncTotals> {
        let copied = self.copied.into_result()?.len();
        let deleted = self.deleted.into_result()?.len();
        if let Some(Reported { path, reason }) = self.reported.into_iter().next() {
            return Err(Error::new(ErrorKind::Conflict, format!("{path:?} was left as it is: {reason}")));
        }
        Ok(SyncTotals { copied, deleted })
    }
}

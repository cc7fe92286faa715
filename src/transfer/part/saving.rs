//! How a target is written.

use std::fs::File;

use super::Replaces;
use crate::error::Result;
use crate::transfer::PathCheck;

/// How a target is written.
#[derive(Clone)]
pub(crate) struct Saving {
    pub(crate) replaces: Replaces,
    /// A part is kept for a later download, and one that was kept is gone on with.
    pub(crate) resume: bool,
    /// The target gets the time of the remote's last change.
    pub(crate) keep_modified: bool,
    /// A content that is replaced meanwhile is fetched from its beginning.
    pub(crate) restart_if_changed: bool,
    /// How many ranges are fetched at once.
    pub(crate) parallel: usize,
    pub(crate) most: Most,
    /// Looks at all that has come, so many bytes, before it becomes the target.
    pub(crate) accept: Option<fn(&File, u64) -> Result<()>>,
    /// Makes the folder of the target, or refuses it: asked each time before something is looked for or made in it.
    pub(crate) folder: Option<PathCheck>,
}

/// How many bytes may come.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Most {
    Any,
    /// The caller said so.
    Asked(u64),
    /// A listing said so, some time ago.
    Listed(u64),
}

impl Default for Saving {
    fn default() -> Self {
        Self {
            replaces: Replaces::File,
            resume: true,
            keep_modified: false,
            restart_if_changed: false,
            parallel: 1,
            most: Most::Any,
            accept: None,
            folder: None,
        }
    }
}

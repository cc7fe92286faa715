//! Listings by directory.

use serde::{Deserialize, Serialize};

use super::{Extra, FileInfo};
use crate::paging::at_least_none;

/// One page of a tree listing: what lies directly under a prefix (wire description, section 7).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TreePage {
    /// The prefix that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The delimiter that was asked for.
    pub delimiter: String,
    /// The directories. Pages repeat them, and their counts are partial unless there is one page only.
    pub directories: Vec<DirectoryInfo>,
    /// The files, by path.
    pub files: Vec<FileInfo>,
    /// Number of files *from this page on*, not in all.
    pub total_files: u64,
    /// Number of directories of this page.
    pub total_directories: u64,
    /// What to ask the next page with; `None` on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Members that this version of the crate does not know.
    #[serde(flatten, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

/// A directory of a tree listing (wire description, section 7).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DirectoryInfo {
    /// The whole path with the delimiter at its end, such as `docs/sub/`.
    pub path: String,
    /// Number of files under it; partial where the listing has several pages.
    pub file_count: u64,
    /// Bytes of the files under it; partial likewise.
    pub total_size: u64,
    /// Members that this version of the crate does not know.
    #[serde(flatten, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

/// What lies directly in one directory, as `ls` gives it (wire description, section 7).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DirectoryListing {
    /// The files of this window.
    pub files: Vec<FileInfo>,
    /// All folders: bare names, without slashes. They are not paged.
    pub folders: Vec<String>,
    /// Number of files in the directory, whatever the window.
    pub total_files: u64,
    /// Number of folders.
    pub total_folders: u64,
    /// The most files that this window could have had.
    #[serde(deserialize_with = "at_least_none")]
    pub limit: u64,
    /// How many files come before this window.
    #[serde(deserialize_with = "at_least_none")]
    pub offset: u64,
    /// Members that this version of the crate does not know.
    #[serde(flatten, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

impl DirectoryListing {
    /// Files come after this window: the next one begins at `offset + limit`. The last one may be empty, where the
    /// server counts files of a directory that differs in case alone.
    #[must_use]
    pub fn has_more(&self) -> bool {
        // By the window, not by its files: those of another case are left out.
        self.limit > 0 && self.offset.saturating_add(self.limit) < self.total_files
    }
}

//! Buckets.

use std::ops::Deref;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Extra, FileInfo, time};

/// A bucket as listings, `create` and `update` give it (wire description, section 6).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BucketInfo {
    /// 10 characters of `[A-Za-z0-9]`.
    pub id: String,
    /// Any text; neither unique nor trimmed.
    pub name: String,
    /// The name of the API key that created it, or `admin`.
    pub owner: String,
    /// Any text; empty and absent are different.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// When it was created.
    #[serde(with = "time", alias = "createdAt")]
    pub created_at: DateTime<Utc>,
    /// When the bucket and its files expire; `None` means never.
    #[serde(with = "time::option", default, alias = "expiresAt", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// The last upload or download; `None` = not used yet.
    #[serde(with = "time::option", default, alias = "lastUsedAt", skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<DateTime<Utc>>,
    /// Number of files.
    #[serde(alias = "fileCount")]
    pub file_count: u64,
    /// Bytes of all files, equal contents counted each time.
    #[serde(alias = "totalSize")]
    pub total_size: u64,
    /// Members that this version of the crate does not know.
    #[serde(flatten, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

/// A bucket as `get` gives it: [`BucketInfo`] and what its files have in common (wire description, section 6).
///
/// It derefs to its [`BucketInfo`], so `details.name` and `details.bucket.name` are the same.
/// The server caches this answer for up to 10 minutes, so `last_used_at` may be old.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BucketDetails {
    /// The bucket itself.
    #[serde(flatten)]
    pub bucket: BucketInfo,
    /// Number of distinct contents.
    pub unique_content_count: u64,
    /// Bytes of the distinct contents.
    pub unique_content_size: u64,
    /// The first 100 files by path, where the server sent them; listing the files is the dependable way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<FileInfo>>,
    /// Whether there are more than `files` shows; absent without `files`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_more_files: Option<bool>,
}

impl Deref for BucketDetails {
    type Target = BucketInfo;

    fn deref(&self) -> &BucketInfo {
        &self.bucket
    }
}

//! API keys.

use std::ops::Deref;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{BucketInfo, Extra, Secret, time};

/// A key that was just created: the only time the key itself is shown (wire description, section 5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NewKey {
    /// The key, `cf4_<8 hex>_<32 hex>`; redacted in `Debug`.
    pub key: Secret,
    /// `cf4_<8 hex>`: what names the key from now on.
    pub prefix: String,
    /// The name, which is also the owner of what the key creates. Keys of one name share their buckets.
    pub name: String,
    /// When it was created.
    #[serde(with = "time")]
    pub created_at: DateTime<Utc>,
    /// Members that this version of the crate does not know.
    #[serde(flatten, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

/// A key as listings give it (wire description, section 5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeyInfo {
    /// `cf4_<8 hex>`.
    pub prefix: String,
    /// The name, which is also the owner of what the key creates.
    pub name: String,
    /// When it was created.
    #[serde(with = "time")]
    pub created_at: DateTime<Utc>,
    /// When the server last looked the key up, at most every 30 s; `None` = never.
    #[serde(with = "time::option", default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<DateTime<Utc>>,
    /// Number of buckets.
    pub bucket_count: u64,
    /// Number of files in them.
    pub file_count: u64,
    /// Bytes of those files.
    pub total_size: u64,
    /// Members that this version of the crate does not know.
    #[serde(flatten, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

/// A key and its buckets (wire description, section 5).
///
/// It derefs to its [`KeyInfo`], so `usage.name` and `usage.key.name` are the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeyUsage {
    /// The key itself.
    #[serde(flatten)]
    pub key: KeyInfo,
    /// Always 0: the server does not count downloads.
    pub total_downloads: u64,
    /// All buckets, expired ones included.
    pub buckets: Vec<BucketInfo>,
}

impl Deref for KeyUsage {
    type Target = KeyInfo;

    fn deref(&self) -> &KeyInfo {
        &self.key
    }
}

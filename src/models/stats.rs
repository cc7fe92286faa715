//! Statistics of the whole server.

use serde::{Deserialize, Serialize};

use super::Extra;

/// Statistics of the whole server (wire description, section 5). The server caches them for up to 5 minutes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stats {
    /// Number of buckets that have not expired.
    pub total_buckets: u64,
    /// Number of files, those of expired buckets included.
    pub total_files: u64,
    /// Bytes of those files.
    pub total_size: u64,
    /// Number of API keys.
    pub total_keys: u64,
    /// Always 0: the server does not count downloads.
    pub total_downloads: u64,
    /// Who stores how much.
    pub storage_by_owner: Vec<OwnerStats>,
    /// Members that this version of the crate does not know.
    #[serde(flatten, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

/// What one owner stores (wire description, section 5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OwnerStats {
    /// The name of the API key, or `admin`.
    pub owner: String,
    /// Number of buckets.
    pub bucket_count: u64,
    /// Number of files.
    pub file_count: u64,
    /// Bytes of those files.
    pub total_size: u64,
    /// Members that this version of the crate does not know.
    #[serde(flatten, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

//! Files.

use std::ops::Deref;

use chrono::{DateTime, Utc};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::{Extra, time};

/// A file of a bucket (wire description, section 7).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FileInfo {
    /// The whole path inside the bucket, separated by `/`; letter case and Unicode form matter.
    pub path: String,
    /// The last segment of the path.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// The content type, which the server takes from the extension alone.
    #[serde(alias = "mimeType")]
    pub mime_type: String,
    /// 6 characters of `[A-Za-z0-9]`. It stays here even after the short URL was deleted.
    #[serde(alias = "shortCode", skip_serializing_if = "Option::is_none")]
    pub short_code: Option<String>,
    /// `/s/<short_code>`: a path on the server, not a whole URL.
    #[serde(alias = "shortUrl", skip_serializing_if = "Option::is_none")]
    pub short_url: Option<String>,
    /// SHA-256 of the content, 64 lower-case hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// When this path was first stored; overwriting keeps it.
    #[serde(with = "time", alias = "createdAt")]
    pub created_at: DateTime<Utc>,
    /// When the content last changed, or was uploaded again.
    #[serde(with = "time", alias = "updatedAt")]
    pub updated_at: DateTime<Utc>,
    /// Members that this version of the crate does not know.
    #[serde(flatten, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

/// What one upload stored (wire description, section 8).
///
/// It derefs to its [`FileInfo`], so `done.path` and `done.file.path` are the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct UploadedFile {
    /// The file itself.
    #[serde(flatten)]
    pub file: FileInfo,
    /// Whether the server had these bytes already, in any bucket. It does not mean that nothing changed.
    pub deduplicated: bool,
}

/// As a file that has one member more: a derived `flatten` would read each member of the file twice.
impl<'de> Deserialize<'de> for UploadedFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const DEDUPLICATED: &str = "deduplicated";
        let mut file = FileInfo::deserialize(deserializer)?;
        let deduplicated = file.extra.take(DEDUPLICATED).ok_or_else(|| D::Error::missing_field(DEDUPLICATED))?;
        let deduplicated = bool::deserialize(deduplicated).map_err(D::Error::custom)?;
        Ok(Self { file, deduplicated })
    }
}

impl Deref for UploadedFile {
    type Target = FileInfo;

    fn deref(&self) -> &FileInfo {
        &self.file
    }
}

/// The body of both upload routes, one entry a file in the order sent (wire description, section 8).
#[derive(Debug, Deserialize)]
pub(crate) struct UploadResponse {
    pub(crate) uploaded: Vec<UploadedFile>,
}

/// The server's own check of a file's bytes (wire description, section 10).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Verification {
    /// The path of the file.
    pub path: String,
    /// The SHA-256 taken at upload, 64 lower-case hexadecimal digits.
    pub stored_hash: String,
    /// The SHA-256 of the bytes as they are now; empty where the bytes are gone.
    pub computed_hash: String,
    /// Whether the two are equal.
    pub valid: bool,
    /// Members that this version of the crate does not know.
    #[serde(flatten, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

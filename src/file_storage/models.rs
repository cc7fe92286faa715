//! What the service answers, as plain types.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Client;
use crate::models::{Extra, Secret, open_words, time, words};

/// A stored file (wire description, section 3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StoredFile {
    /// A UUID, lower case with dashes.
    pub id: String,
    /// Where the back end keeps it: opaque, and no URL.
    pub key: String,
    /// As it was sent, path and all: clean it before you write to disk under it.
    pub filename: String,
    /// As it was sent; the service never looks at the content.
    pub content_type: String,
    /// Bytes.
    pub size_bytes: u64,
    /// `filesystem`, `s3`, or another back end's name.
    pub backend: String,
    /// SHA-256 of the content, 64 lower-case hexadecimal digits; `None` for files of an upload session until a background
    /// job has filled it in, and for ever where no such job runs.
    pub checksum_sha256: Option<String>,
    /// The id of a user, or `svc:` and the id of a service key.
    pub uploaded_by: Option<String>,
    /// When it was stored.
    #[serde(with = "time::option", default)]
    pub created_at: Option<DateTime<Utc>>,
    /// Whether anybody may read it, without a credential.
    #[serde(default)]
    pub public: bool,
    /// The path of a public file on the server, without a host.
    #[serde(default)]
    pub public_url: Option<String>,
    /// Members that this version of the crate does not know.
    #[serde(flatten, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

impl StoredFile {
    /// The absolute URL of a public file; `None` for others.
    #[must_use]
    pub fn public_link(&self, client: &Client) -> Option<url::Url> {
        client.transport().url(self.public_url.as_deref()?).ok()
    }
}

/// What a bulk deletion has deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BulkDeleted {
    /// How many files.
    pub deleted: u64,
    /// Which ones, in no particular order.
    pub ids: Vec<String>,
    /// Members that this version of the crate does not know; of several answers those of the last.
    #[serde(flatten, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

/// An upload in parts (wire description, section 7).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UploadSession {
    /// A UUID. Keep it to go on after a restart.
    pub id: String,
    /// The name that the file will have.
    pub filename: String,
    /// The media type that the file will have.
    pub content_type: String,
    /// Bytes in all.
    pub total_size: u64,
    /// Bytes of each part but the last.
    pub part_size: u64,
    /// Parts are numbered from 1 to this.
    pub total_parts: u32,
    /// How far it is.
    pub status: SessionStatus,
    /// Whether the file will be public.
    #[serde(default)]
    pub public: bool,
    /// Until when it takes parts; 24 h by default.
    #[serde(with = "time")]
    pub expires_at: DateTime<Utc>,
    /// The parts that have arrived; empty once it is closed. One that was sent too short is here too.
    #[serde(default)]
    pub parts: Vec<UploadedPart>,
    /// The file, in the answer that completes the session and nowhere else.
    #[serde(default)]
    pub file: Option<StoredFile>,
    /// Members that this version of the crate does not know.
    #[serde(flatten, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

impl UploadSession {
    /// Whether there are as many parts as the size needs: offsets are reckoned from these.
    pub(super) fn is_consistent(&self) -> bool {
        self.part_size > 0 && u64::from(self.total_parts) == self.total_size.div_ceil(self.part_size)
    }

    /// How many bytes a part has to have.
    pub(super) fn size_of(&self, no: u32) -> u64 {
        let start = u64::from(no.saturating_sub(1)).saturating_mul(self.part_size);
        self.total_size.saturating_sub(start).min(self.part_size)
    }
}

open_words! {
    /// How far an upload session is. Words that this crate does not know are kept in [`Other`](Self::Other).
    SessionStatus {
        /// It takes parts.
        Active = "active",
        /// The file is there.
        Completed = "completed",
        /// It was given up, or has expired.
        Aborted = "aborted",
    }
}

/// A part that has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UploadedPart {
    /// From 1.
    pub no: u32,
    /// MD5 of its bytes in hex; an S3 bucket puts quotes around it, and may use another hash where it encrypts.
    pub etag: String,
    /// Bytes.
    pub size: u64,
}

impl UploadedPart {
    /// The tag without the quotes of a bucket.
    #[must_use]
    pub fn tag(&self) -> &str {
        self.etag.trim_matches('"')
    }
}

/// Where parts of a session are to be sent. It serialises, URLs included, to be handed to a web page; its `Debug` hides them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PartUrls {
    /// By number. Presigned ones are secrets: whoever has one can write that part.
    pub urls: std::collections::BTreeMap<u32, Secret>,
    /// They lead straight to the bucket, and take no credential; else they are paths on this server.
    pub direct: bool,
    /// Members that this version of the crate does not know; of several answers those of the last.
    #[serde(flatten, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

/// The tokens of a session, as [`Client::session_tokens`] gives them. Keep them to go on in another run of the program,
/// and keep them secret. Only the newest refresh token is good: using an older one ends the session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionTokens {
    /// Good for every call until `expires_at`.
    pub access_token: Secret,
    /// Good for one renewal.
    pub refresh_token: Secret,
    /// When the access token expires, by this machine's clock.
    #[serde(with = "time")]
    pub expires_at: DateTime<Utc>,
}

impl SessionTokens {
    /// Tokens from elsewhere, such as a login of your own.
    pub fn new(access_token: impl Into<Secret>, refresh_token: impl Into<Secret>, expires_at: DateTime<Utc>) -> Self {
        Self { access_token: access_token.into(), refresh_token: refresh_token.into(), expires_at }
    }
}

/// A URL that gives the content to whoever has it, until it expires. It serialises with it; its `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DownloadUrl {
    /// The URL. Its `Debug` hides it.
    pub url: Secret,
    /// When it expires, where the URL says so.
    #[serde(with = "time::option", default)]
    pub expires_at: Option<DateTime<Utc>>,
}

impl std::fmt::Debug for DownloadUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DownloadUrl").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

words! {
    /// What files are sorted by (wire description, section 4). Unless told otherwise names go from `A`, the newest and the
    /// largest come first, as in the listings of CarbonFiles; the service's own order is ascending for all. Equal ones follow by
    /// id.
    FileSort, "sort" {
        /// When it was stored; the service's default.
        CreatedAt = "created_at" => Desc,
        /// The name, in lower case.
        Name = "name" => Asc,
        /// Bytes.
        Size = "size" => Desc,
    }
}

/// A page as the service sends it.
#[derive(Debug, Deserialize)]
pub(super) struct FilePage {
    pub(super) items: Vec<StoredFile>,
    pub(super) total: u64,
    pub(super) page: u64,
    pub(super) per_page: u64,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn keeps<T: Serialize + serde::de::DeserializeOwned>(answer: &Value) {
        let model: T = serde_json::from_value(answer.clone()).unwrap();
        assert_eq!(serde_json::to_value(model).unwrap(), *answer);
    }

    #[test]
    fn members_of_a_later_service_are_kept() {
        keeps::<BulkDeleted>(&json!({"deleted": 1, "ids": ["a"], "freed_bytes": 5}));
        keeps::<PartUrls>(&json!({"urls": {"1": "/x", "12": "/y"}, "direct": false, "expires_in": 3600}));
        for status in ["active", "completed", "aborted", "completing", "Active"] {
            keeps::<UploadSession>(&json!({
                "id": "x", "filename": "x", "content_type": "text/plain", "total_size": 7, "part_size": 7, "total_parts": 1,
                "status": status, "public": false, "expires_at": "2026-11-21T00:00:00Z", "parts": [], "file": null,
            }));
        }
    }
}

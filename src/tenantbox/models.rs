//! What the API answers.

use serde::{Deserialize, Serialize};

use super::size::round;
use crate::models::{Extra, Secret};

/// Where a file can be uploaded to, by whoever has this: `PUT` the bytes to `presigned_url`, with this `content_type` and a
/// `Content-Length`, and with no credential.
///
/// It serialises, URL included, to be handed to a web page; its `Debug` hides the URL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UploadUrl {
    /// The URL to send the bytes to.
    pub presigned_url: Secret,
    /// The `Content-Type` that they must be sent with: it is signed.
    #[serde(default)]
    pub content_type: String,
    /// The file's permanent name. Keep it.
    pub file_path: String,
    /// Whose file it will be.
    #[serde(default)]
    pub tenant_id: String,
    /// The tenant came into being with this call.
    #[serde(default)]
    pub is_new_tenant: bool,
    /// For how many seconds the URL is good.
    #[serde(default = "one_hour")]
    pub expires_in: u64,
    /// What else the service said.
    #[serde(flatten)]
    pub extra: Extra,
}

fn one_hour() -> u64 {
    3600
}

/// A file that was uploaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Uploaded {
    /// The file's permanent name. Keep it: the service has no listing.
    pub file_path: String,
    /// How many bytes it has.
    pub size: u64,
    /// The type that it is served with.
    pub content_type: String,
    /// Whose file it is.
    pub tenant_id: String,
    /// The tenant came into being with this upload.
    pub is_new_tenant: bool,
    /// Other paths that may hold a copy, left by attempts whose answer was lost. Nearly always empty; copies count towards the
    /// quota, so delete them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maybe_also_at: Vec<String>,
}

/// Where a file can be downloaded from, by whoever has this: `GET`, with no credential. `Range` works.
///
/// Its `Debug` hides the URL; it serialises with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DownloadUrl {
    /// The URL. Browsers save what it gives under the file's name (`Content-Disposition: attachment`).
    pub download_url: Secret,
    /// The name that the file was uploaded under.
    #[serde(default)]
    pub filename: String,
    /// Its type.
    #[serde(default)]
    pub content_type: String,
    /// How many bytes it has.
    #[serde(default)]
    pub size_bytes: u64,
    /// For how many seconds the URL is good.
    #[serde(default = "one_hour")]
    pub expires_in: u64,
    /// What else the service said.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What a tenant uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TenantUsage {
    /// Your id of the tenant.
    pub tenant_id: String,
    /// The address given with an upload.
    #[serde(default)]
    pub email: Option<String>,
    /// Bytes used.
    pub storage_used_bytes: u64,
    /// Bytes allowed; `None` is no limit.
    #[serde(default)]
    pub storage_limit_bytes: Option<u64>,
    /// How many files there are.
    pub total_files: u64,
    /// What else the service said.
    #[serde(flatten)]
    pub extra: Extra,
}

impl TenantUsage {
    /// Megabytes (1024 · 1024 bytes) used, to three decimals.
    #[must_use]
    pub fn storage_used_mb(&self) -> f64 {
        megabytes(self.storage_used_bytes)
    }

    /// Megabytes (1024 · 1024 bytes) allowed, to three decimals; `None` is no limit.
    #[must_use]
    pub fn storage_limit_mb(&self) -> Option<f64> {
        self.storage_limit_bytes.map(megabytes)
    }

    /// How much of the limit is used, in per cent to two decimals; more than 100 where the limit was lowered later.
    /// `None` without a limit, and for a limit of 0.
    #[must_use]
    pub fn usage_percentage(&self) -> Option<f64> {
        let limit = self.storage_limit_bytes.filter(|limit| *limit > 0)?;
        Some(round(self.storage_used_bytes as f64 / limit as f64 * 100.0, 2))
    }

    /// The tenant has no limit.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.storage_limit_bytes.is_none()
    }
}

fn megabytes(bytes: u64) -> f64 {
    round(bytes as f64 / (1024.0 * 1024.0), 3)
}

/// A tenant's limit after a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StorageLimit {
    /// Your id of the tenant.
    pub tenant_id: String,
    /// Bytes allowed; `None` is no limit.
    #[serde(default)]
    pub storage_limit_bytes: Option<u64>,
    /// What the service said about it.
    #[serde(default)]
    pub detail: Option<String>,
    /// What else the service said.
    #[serde(flatten)]
    pub extra: Extra,
}

impl StorageLimit {
    /// The tenant has no limit.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.storage_limit_bytes.is_none()
    }
}

/// A file was deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Deleted {
    /// What the service said about it.
    #[serde(default = "deleted")]
    pub detail: String,
    /// What else the service said.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What the official client puts where the service says nothing.
fn deleted() -> String {
    "File deleted successfully.".to_owned()
}

impl Default for Deleted {
    fn default() -> Self {
        Self { detail: deleted(), extra: Extra::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computed_values_are_the_official_clients() {
        let usage = |used: u64, limit: Option<u64>| -> TenantUsage {
            serde_json::from_value(serde_json::json!({
                "tenant_id": "u", "email": null, "storage_used_bytes": used, "storage_limit_bytes": limit, "total_files": 3,
            }))
            .unwrap()
        };
        let some = usage(1_234_567, Some(5_242_880));
        assert_eq!((some.storage_used_mb(), some.storage_limit_mb()), (1.177, Some(5.0)));
        assert_eq!((some.usage_percentage(), some.is_unlimited()), (Some(23.55), false));
        assert_eq!((usage(1, None).usage_percentage(), usage(1, None).is_unlimited()), (None, true));
        assert_eq!(usage(1, Some(0)).usage_percentage(), None);
        assert_eq!(usage(3, Some(2)).usage_percentage(), Some(150.0));
    }

    #[test]
    fn urls_are_serialised_and_not_shown() {
        let url: UploadUrl = serde_json::from_str(
            r#"{"presigned_url":"https://s/k?X-Amz-Signature=abc","file_path":"p/k","tenant_id":"u","is_new_tenant":true}"#,
        )
        .unwrap();
        assert_eq!((url.expires_in, url.is_new_tenant), (3600, true));
        assert!(!format!("{url:?}").contains("abc"));
        assert!(serde_json::to_string(&url).unwrap().contains("X-Amz-Signature=abc"));
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        assert_eq!(serde_json::from_str::<Deleted>("{}").unwrap(), Deleted::default());
        let limit: StorageLimit = serde_json::from_str(r#"{"tenant_id":"u","storage_limit_bytes":null}"#).unwrap();
        assert!(limit.is_unlimited() && limit.detail.is_none());
    }
}

//! Upload tokens.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Extra, Secret, time};

/// An upload token that was just created: the only time it is shown (wire description, section 9).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NewUploadToken {
    /// The token, `cfu_<48 hex>`; redacted in `Debug`.
    pub token: Secret,
    /// The bucket it uploads to.
    pub bucket_id: String,
    /// When it stops working.
    #[serde(with = "time")]
    pub expires_at: DateTime<Utc>,
    /// How many files it may store; `None` = any number. The server takes 0 and negative numbers too, and makes
    /// a token of no use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_uploads: Option<i64>,
    /// How many it has stored.
    pub uploads_used: u64,
    /// Members that this version of the crate does not know.
    #[serde(flatten, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

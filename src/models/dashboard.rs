//! Dashboard tokens.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Extra, Secret, time};

/// A dashboard token that was just created: the only time it is shown (wire description, section 5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NewDashboardToken {
    /// The token; treat it as opaque. Redacted in `Debug`.
    pub token: Secret,
    /// When it stops working, at most 24 hours after its creation.
    #[serde(with = "time")]
    pub expires_at: DateTime<Utc>,
    /// Members that this version of the crate does not know.
    #[serde(flatten, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

/// What the dashboard token in use is good for (wire description, section 5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DashboardUser {
    /// `admin`.
    pub scope: String,
    /// When the token stops working, in whole seconds.
    #[serde(with = "time")]
    pub expires_at: DateTime<Utc>,
    /// Members that this version of the crate does not know.
    #[serde(flatten, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

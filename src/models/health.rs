//! What `GET /healthz` answers.

use serde::{Deserialize, Serialize};

use super::{Extra, open_words};

/// How the server is (wire description, section 5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Health {
    /// The verdict.
    pub status: HealthStatus,
    /// Seconds since the server started.
    pub uptime_seconds: u64,
    /// State of the database: `ok` or `error`.
    pub db: String,
    /// Members that this version of the crate does not know.
    #[serde(flatten, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

open_words! {
    /// The server's verdict on itself. Words that this crate does not know are kept in [`Other`](Self::Other).
    HealthStatus {
        /// `healthy`, status 200.
        Healthy = "healthy",
        /// `unhealthy`, status 503: the database does not answer.
        Unhealthy = "unhealthy",
    }
}

//! What `GET /healthz` answers.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Extra;

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

/// The server's verdict on itself. Words that this crate does not know are kept in [`Other`](Self::Other).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum HealthStatus {
    /// `healthy`, status 200.
    Healthy,
    /// `unhealthy`, status 503: the database does not answer.
    Unhealthy,
    /// A word of a later server.
    Other(String),
}

impl HealthStatus {
    /// The word as the server spells it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for HealthStatus {
    fn from(word: String) -> Self {
        match word.as_str() {
            "healthy" => Self::Healthy,
            "unhealthy" => Self::Unhealthy,
            _ => Self::Other(word),
        }
    }
}

impl From<HealthStatus> for String {
    fn from(status: HealthStatus) -> Self {
        match status {
            HealthStatus::Other(word) => word,
            known => known.as_str().to_owned(),
        }
    }
}

impl fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

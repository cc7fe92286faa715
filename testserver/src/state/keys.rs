//! API keys.

use chrono::{DateTime, Utc};

/// An API key.
#[derive(Clone, Debug)]
pub(crate) struct ApiKey {
    pub(crate) key: String,
    pub(crate) prefix: String,
    pub(crate) name: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) last_used_at: Option<DateTime<Utc>>,
}

/// All keys that were not revoked, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    keys: Vec<ApiKey>,
}

impl Keys {
    pub(crate) fn create(&mut self, name: String, now: DateTime<Utc>) -> ApiKey {
        let prefix = crate::ids::key_prefix();
        let key = ApiKey { key: crate::ids::key(&prefix), prefix, name, created_at: now, last_used_at: None };
        self.keys.push(key.clone());
        key
    }

    pub(crate) fn all(&self) -> &[ApiKey] {
        &self.keys
    }

    pub(crate) fn by_prefix(&self, prefix: &str) -> Option<&ApiKey> {
        self.keys.iter().find(|key| key.prefix == prefix)
    }

    /// Looks a whole key up, which is what moves its `last_used_at`.
    pub(crate) fn look_up(&mut self, key: &str, now: DateTime<Utc>) -> Option<&ApiKey> {
        let found = self.keys.iter_mut().find(|known| known.key == key)?;
        found.last_used_at = Some(now);
        Some(found)
    }

    /// Takes a key out; whether there was one.
    pub(crate) fn revoke(&mut self, prefix: &str) -> Option<ApiKey> {
        let at = self.keys.iter().position(|key| key.prefix == prefix)?;
        Some(self.keys.remove(at))
    }
}

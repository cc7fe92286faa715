//! API keys (admin).

mod create;
mod list;
mod revoke;
mod usage;

pub use create::CreateKey;
pub use list::{ListAllKeys, ListKeys};
pub use revoke::RevokeKey;
pub use usage::GetKeyUsage;

use crate::client::Client;
use crate::error::Result;
use crate::file_path::{check_id, encode_segment};
use crate::lent::{Lent, lend};

/// All API keys of a server (admin): create, list, and `client.keys()["cf4_1234abcd"]`.
#[derive(Debug, Clone)]
pub struct Keys {
    client: Client,
    lent: Lent<Key>,
}

impl Keys {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, lent: Lent::default() }
    }

    /// The client that this handle was made by.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The key of a prefix, by value.
    #[must_use]
    pub fn key(&self, prefix: impl AsRef<str>) -> Key {
        Key { client: self.client.clone(), prefix: prefix.as_ref().to_owned() }
    }
}

lend!(Keys, key -> Key);

/// One API key, by its public prefix: `cf4_` and 8 hex digits.
#[derive(Debug, Clone)]
pub struct Key {
    client: Client,
    prefix: String,
}

impl Key {
    /// The prefix.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The client that this handle was made by.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn route(&self, rest: &str) -> Result<String> {
        check_id("prefix", &self.prefix)?;
        Ok(format!("/api/keys/{}{rest}", encode_segment(&self.prefix)))
    }
}

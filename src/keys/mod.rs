//! API keys (admin).

mod create;
mod list;
mod revoke;
mod usage;

pub use create::CreateKey;
pub use list::{ListAllKeys, ListKeys};
pub use revoke::RevokeKey;
pub use usage::GetKeyUsage;

use std::fmt;

use crate::client::Client;
use crate::error::{Error, Result};
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
#[derive(Clone)]
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
        if is_whole_key(&self.prefix) {
            // The server knows none by it, and it would be in URLs, and so in logs. It is not repeated.
            return Err(Error::invalid_input(
                "prefix",
                "it is a whole key; its prefix is `cf4_` and the 8 digits behind",
            ));
        }
        check_id("prefix", &self.prefix)?;
        Ok(format!("/api/keys/{}{rest}", encode_segment(&self.prefix)))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if is_whole_key(&self.prefix) { "[redacted]" } else { &self.prefix };
        f.debug_struct("Key").field("client", &self.client).field("prefix", &prefix).finish()
    }
}

/// A key is `cf4_<8 hex>_<32 hex>` (wire description section 1), in whatever case it is given.
fn is_whole_key(prefix: &str) -> bool {
    let start = prefix.get(..4).filter(|start| start.eq_ignore_ascii_case("cf4_"));
    start.is_some() && prefix[4..].contains('_')
}

//! `GET /api/keys/{prefix}/usage`

use super::Key;
use crate::error::Result;
use crate::http::{CallOptions, Request, awaitable};
use crate::models::KeyUsage;

impl Key {
    /// What the owner of this key stores, bucket by bucket, expired ones included.
    pub fn usage(&self) -> GetKeyUsage {
        GetKeyUsage { key: self.clone(), options: CallOptions::default() }
    }
}

/// Asks for the usage of an API key. Made by [`Key::usage`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct GetKeyUsage {
    key: Key,
    options: CallOptions,
}

impl GetKeyUsage {
    async fn run(self) -> Result<KeyUsage> {
        let request = Request::get(self.key.route("/usage")?).unpaged().needs_credential().options(self.options);
        self.key.client.transport.send(request).await?.json()
    }
}

awaitable!(GetKeyUsage => KeyUsage);

//! `DELETE /api/keys/{prefix}`

use http::Method;

use super::Key;
use crate::error::Result;
use crate::http::{CallOptions, Replay, Request, awaitable};

impl Key {
    /// Revokes the key. Its buckets stay. A key used within the last 30 s goes on working for up to 30 s (wire
    /// description section 3).
    pub fn revoke(&self) -> RevokeKey {
        RevokeKey { key: self.clone(), options: CallOptions::default() }
    }
}

/// Revokes an API key. Made by [`Key::revoke`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct RevokeKey {
    key: Key,
    options: CallOptions,
}

impl RevokeKey {
    async fn run(self) -> Result<()> {
        let request = Request::new(Method::DELETE, self.key.route("")?)
            .needs_credential()
            .replay(Replay::Deletion)
            .options(self.options);
        self.key.client.transport.send(request).await.map(drop)
    }
}

awaitable!(RevokeKey => ());

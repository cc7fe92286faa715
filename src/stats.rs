//! `GET /api/stats`: totals over all buckets.

use crate::client::Client;
use crate::error::Result;
use crate::http::{CallOptions, Request, awaitable};
use crate::models::Stats;

/// Asks for totals over all buckets (admin). Made by [`Client::stats`].
///
/// The server may answer from a cache that is up to 5 min old and does not notice new or revoked keys;
/// `total_downloads` is always 0 (wire description section 5).
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct GetStats {
    client: Client,
    options: CallOptions,
}

impl GetStats {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, options: CallOptions::default() }
    }

    async fn run(self) -> Result<Stats> {
        let request = Request::get("/api/stats").unpaged().needs_credential().options(self.options);
        self.client.transport.send(request).await?.json()
    }
}

awaitable!(GetStats => Stats);

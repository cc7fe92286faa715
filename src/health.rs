//! `GET /healthz`: the state of the server.

use crate::client::Client;
use crate::error::Result;
use crate::http::{CallOptions, Request, awaitable};
use crate::models::Health;

/// Asks for the state of the server. Made by [`Client::health`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct GetHealth {
    client: Client,
    options: CallOptions,
}

impl GetHealth {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, options: CallOptions::default() }
    }

    async fn run(self) -> Result<Health> {
        let request = Request::get("/healthz").options(self.options);
        self.client.transport.send(request).await?.json()
    }
}

awaitable!(GetHealth => Health);

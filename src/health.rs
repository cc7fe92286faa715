//! `GET /healthz`: the state of the server.

use http::StatusCode;

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
        let request = Request::get("/healthz").answers_with(is_verdict).options(self.options);
        self.client.transport.send(request).await?.json()
    }
}

awaitable!(GetHealth => Health);

/// A server that is not well says so with a 503. Any other body of one is a proxy's, or a server's that is busy.
fn is_verdict(status: StatusCode, body: &[u8]) -> bool {
    status == StatusCode::SERVICE_UNAVAILABLE && serde_json::from_slice::<Health>(body).is_ok()
}

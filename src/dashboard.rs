//! Dashboard tokens: short-lived credentials with the admin's rights.

use http::Method;
use serde::Serialize;

use crate::client::Client;
use crate::error::Result;
use crate::expiry::{Expiry, ExpiryOf};
use crate::http::{CallOptions, Request, awaitable};
use crate::models::{DashboardUser, NewDashboardToken};

/// Dashboard tokens. Made by [`Client::dashboard`].
#[derive(Debug, Clone)]
pub struct Dashboard {
    client: Client,
}

impl Dashboard {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// The client that this handle was made by.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Creates a dashboard token (admin). It lasts an hour unless [`expires`](CreateDashboardToken::expires) says
    /// otherwise, at most 24 h, and can't be revoked.
    pub fn create_token(&self) -> CreateDashboardToken {
        CreateDashboardToken { client: self.client.clone(), expires: None, options: CallOptions::default() }
    }

    /// Says what the client's own dashboard token is. Any other credential gets `Unauthenticated`, the admin key too.
    pub fn me(&self) -> GetDashboardUser {
        GetDashboardUser { client: self.client.clone(), options: CallOptions::default() }
    }
}

/// Creates a dashboard token. Made by [`Dashboard::create_token`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct CreateDashboardToken {
    client: Client,
    expires: Option<Expiry>,
    options: CallOptions,
}

#[derive(Serialize)]
struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<String>,
}

impl CreateDashboardToken {
    /// When it expires. That it is at most 24 h ahead is the server's to judge.
    pub fn expires(mut self, expiry: impl Into<Expiry>) -> Self {
        self.expires = Some(expiry.into());
        self
    }

    async fn run(self) -> Result<NewDashboardToken> {
        let expires_in = self.expires.map(|e| e.to_wire(ExpiryOf::DashboardToken)).transpose()?;
        let request = Request::new(Method::POST, "/api/tokens/dashboard")
            .json(&Body { expires_in })?
            .needs_credential()
            .options(self.options);
        self.client.transport.send(request).await?.json()
    }
}

awaitable!(CreateDashboardToken => NewDashboardToken);

/// Asks what the client's dashboard token is. Made by [`Dashboard::me`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct GetDashboardUser {
    client: Client,
    options: CallOptions,
}

impl GetDashboardUser {
    async fn run(self) -> Result<DashboardUser> {
        let request = Request::get("/api/tokens/dashboard/me").options(self.options);
        self.client.transport.send(request).await?.json()
    }
}

awaitable!(GetDashboardUser => DashboardUser);

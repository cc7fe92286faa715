//! What a credential is good for.

use std::pin::pin;

use chrono::{DateTime, Utc};
use http::{StatusCode, header};
use serde::Serialize;

use crate::auth::Token;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::http::{CallOptions, Request, awaitable, within};
use crate::models::DashboardUser;

/// What the server makes of a client's credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Access {
    /// There is no credential, in a header neither: the client reads what is public.
    Anonymous,
    /// An upload token. Whether it is good shows only when it is used: the server has no call that asks.
    UploadToken,
    /// A valid API key: its owner's buckets.
    ApiKey,
    /// A valid dashboard token: everything, until it expires.
    #[non_exhaustive]
    Dashboard {
        /// When it expires.
        expires_at: DateTime<Utc>,
    },
    /// The admin key, or a dashboard token that a header carries: everything.
    Admin,
    /// The server knows no such credential, or it has expired or been revoked. Calls are treated as anonymous.
    Rejected,
}

impl Access {
    /// Calls that need the admin are allowed.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        matches!(self, Self::Admin | Self::Dashboard { .. })
    }
}

/// Asks what the client's credential is good for. Made by [`Client::check`].
///
/// It makes at most three small calls. A key revoked within the last 30 s may still count as good, as it does for every
/// other call (wire description section 3).
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct Check {
    client: Client,
    options: CallOptions,
}

impl Check {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, options: CallOptions::default() }
    }

    async fn run(mut self) -> Result<Access> {
        let deadline = self.client.transport.start(&mut self.options);
        within(deadline, pin!(self.ask())).await
    }

    async fn ask(&self) -> Result<Access> {
        let config = self.client.transport.config();
        let token = config.credentials.token().await?;
        let mut headers = [Some(&config.headers), self.options.headers()].into_iter().flatten();
        if token.is_none() && !headers.any(|headers| headers.contains_key(header::AUTHORIZATION)) {
            return Ok(Access::Anonymous);
        }
        if token.as_ref().is_some_and(Token::is_upload_token) {
            return Ok(Access::UploadToken);
        }
        if token.as_ref().is_some_and(looks_like_jwt) {
            let me = Request::get("/api/tokens/dashboard/me").options(self.options.clone());
            match self.client.transport.send(me).await {
                Ok(answer) => {
                    let user: DashboardUser = answer.json()?;
                    return Ok(Access::Dashboard { expires_at: user.expires_at });
                }
                Err(error) if refused(&error) => {}
                Err(error) => return Err(error),
            }
        }
        if self.is_allowed("/api/keys").await? {
            return Ok(Access::Admin);
        }
        Ok(if self.is_allowed("/api/buckets").await? { Access::ApiKey } else { Access::Rejected })
    }

    async fn is_allowed(&self, path: &str) -> Result<bool> {
        let request = Request::get(path).query("limit", "1").options(self.options.clone());
        match self.client.transport.send(request).await {
            Ok(answer) => answer.json::<serde::de::IgnoredAny>().map(|_| true),
            Err(error) if refused(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

awaitable!(Check => Access);

fn looks_like_jwt(token: &Token) -> bool {
    token.expose().split('.').count() == 3
}

fn refused(error: &Error) -> bool {
    matches!(error.status(), Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN))
}

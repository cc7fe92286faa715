//! `POST /api/buckets`

use http::Method;
use serde::Serialize;

use super::Buckets;
use crate::error::Result;
use crate::expiry::{Expiry, ExpiryOf};
use crate::http::{CallOptions, Request, awaitable};
use crate::models::BucketInfo;

impl Buckets {
    /// Creates a bucket (API key or admin). It expires after 7 days unless [`expires`](CreateBucket::expires) says
    /// otherwise. Names need not be unique; a blank one is refused by the server.
    pub fn create(&self, name: impl Into<String>) -> CreateBucket {
        CreateBucket {
            buckets: self.clone(),
            name: name.into(),
            description: None,
            expires: None,
            options: CallOptions::default(),
        }
    }
}

/// Creates a bucket. Made by [`Buckets::create`].
///
/// It is never sent twice where the first may have arrived: that could leave two buckets.
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct CreateBucket {
    buckets: Buckets,
    name: String,
    description: Option<String>,
    expires: Option<Expiry>,
    options: CallOptions,
}

#[derive(Serialize)]
struct Body {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<String>,
}

impl CreateBucket {
    /// A text for people.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// When it expires: `"30d"`, a `Duration`, a time, or [`Expiry::never`].
    pub fn expires(mut self, expiry: impl Into<Expiry>) -> Self {
        self.expires = Some(expiry.into());
        self
    }

    async fn run(self) -> Result<BucketInfo> {
        let expires_in = self.expires.map(|e| e.to_wire(ExpiryOf::Bucket)).transpose()?;
        let request = Request::new(Method::POST, "/api/buckets")
            .json(&Body { name: self.name, description: self.description, expires_in })?
            .needs_credential()
            .options(self.options);
        self.buckets.client.transport.send(request).await?.json()
    }
}

awaitable!(CreateBucket => BucketInfo);

//! `PATCH /api/buckets/{id}`

use http::Method;
use serde::Serialize;

use super::Bucket;
use crate::error::{Error, Result};
use crate::expiry::{Expiry, ExpiryOf};
use crate::http::{CallOptions, Replay, Request, awaitable};
use crate::models::BucketInfo;

impl Bucket {
    /// Changes name, description or expiry (owner or admin). What is not set stays as it is; setting nothing is refused.
    ///
    /// A new expiry revives an expired bucket with all its files, as long as the server has not cleaned it up.
    pub fn update(&self) -> UpdateBucket {
        UpdateBucket {
            bucket: self.clone(),
            name: None,
            description: None,
            expires: None,
            options: CallOptions::default(),
        }
    }
}

/// Changes a bucket. Made by [`Bucket::update`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct UpdateBucket {
    bucket: Bucket,
    name: Option<String>,
    description: Option<String>,
    expires: Option<Expiry>,
    options: CallOptions,
}

#[derive(Serialize)]
struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<String>,
}

impl UpdateBucket {
    /// A new name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// A new description; `""` empties it (the server has no way to remove it).
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// A new expiry: `"30d"`, a `Duration`, a time, or [`Expiry::never`].
    pub fn expires(mut self, expiry: impl Into<Expiry>) -> Self {
        self.expires = Some(expiry.into());
        self
    }

    async fn run(self) -> Result<BucketInfo> {
        if self.name.is_none() && self.description.is_none() && self.expires.is_none() {
            return Err(Error::invalid_input("update", "set at least one of name, description and expires"));
        }
        // A relative expiry counts from when the server reads it: the second of two tries would move it a little.
        let moves = self.expires.as_ref().is_some_and(Expiry::counts_from_now);
        let replay = if moves { Replay::Never } else { Replay::Safe };
        let expires_in = self.expires.map(|e| e.to_wire(ExpiryOf::Bucket)).transpose()?;
        let request = Request::new(Method::PATCH, self.bucket.route("")?)
            .json(&Body { name: self.name, description: self.description, expires_in })?
            .needs_credential()
            .replay(replay)
            .options(self.options);
        self.bucket.client.transport.send(request).await?.json()
    }
}

awaitable!(UpdateBucket => BucketInfo);

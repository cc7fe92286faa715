//! Upload tokens: credentials that only upload, into one bucket.

use http::Method;
use serde::Serialize;

use crate::buckets::Bucket;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::expiry::{Expiry, ExpiryOf};
use crate::http::{CallOptions, Request, awaitable};
use crate::models::NewUploadToken;

/// The upload tokens of a bucket. Made by [`Bucket::upload_tokens`].
///
/// They can't be listed, read or revoked, other than by deleting the bucket (wire description section 9).
#[derive(Debug, Clone)]
pub struct UploadTokens {
    bucket: Bucket,
}

impl UploadTokens {
    pub(crate) fn new(bucket: Bucket) -> Self {
        Self { bucket }
    }

    /// The client that this handle was made by.
    #[must_use]
    pub fn client(&self) -> &Client {
        self.bucket.client()
    }

    /// The bucket that they are for.
    #[must_use]
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// Creates a token (owner or admin). It lasts a day and has no limit of uses unless told otherwise.
    ///
    /// A use is one stored file; the server counts at the end of a request and checks at its start, so a request with
    /// several files, or several at once, can go over the limit.
    pub fn create(&self) -> CreateUploadToken {
        CreateUploadToken {
            bucket: self.bucket.clone(),
            expires: None,
            max_uploads: None,
            options: CallOptions::default(),
        }
    }
}

/// Creates an upload token. Made by [`UploadTokens::create`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct CreateUploadToken {
    bucket: Bucket,
    expires: Option<Expiry>,
    max_uploads: Option<u32>,
    options: CallOptions,
}

#[derive(Serialize)]
struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_uploads: Option<u32>,
}

impl CreateUploadToken {
    /// When it expires. `never` is refused here: the server would silently make it a day.
    pub fn expires(mut self, expiry: impl Into<Expiry>) -> Self {
        self.expires = Some(expiry.into());
        self
    }

    /// How many files it may store. 0 is refused here: the server would make a token that is good for nothing.
    pub fn max_uploads(mut self, uploads: u32) -> Self {
        self.max_uploads = Some(uploads);
        self
    }

    async fn run(self) -> Result<NewUploadToken> {
        if !self.max_uploads.is_none_or(|uploads| (1..=i32::MAX as u32).contains(&uploads)) {
            return Err(Error::invalid_input("max_uploads", format!("it is not between 1 and {}", i32::MAX)));
        }
        let expires_in = self.expires.map(|e| e.to_wire(ExpiryOf::UploadToken)).transpose()?;
        let request = Request::new(Method::POST, self.bucket.route("/tokens")?)
            .json(&Body { expires_in, max_uploads: self.max_uploads })?
            .needs_credential()
            .options(self.options);
        self.bucket.client().transport.send(request).await?.json()
    }
}

awaitable!(CreateUploadToken => NewUploadToken);

//! `DELETE /api/buckets/{id}`

use http::Method;

use super::Bucket;
use crate::error::Result;
use crate::http::{CallOptions, Replay, Request, awaitable};

impl Bucket {
    /// Deletes the bucket with everything in it (owner or admin).
    pub fn delete(&self) -> DeleteBucket {
        DeleteBucket { bucket: self.clone(), options: CallOptions::default() }
    }
}

/// Deletes a bucket. Made by [`Bucket::delete`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct DeleteBucket {
    bucket: Bucket,
    options: CallOptions,
}

impl DeleteBucket {
    async fn run(self) -> Result<()> {
        let request = Request::new(Method::DELETE, self.bucket.route("")?)
            .needs_credential()
            .replay(Replay::Deletion)
            .options(self.options);
        self.bucket.client.transport.send(request).await.map(drop)
    }
}

awaitable!(DeleteBucket => ());

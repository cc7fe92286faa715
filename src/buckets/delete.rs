//! `DELETE /api/buckets/{id}`

use http::Method;

use super::Bucket;
use crate::error::Result;
use crate::http::{CallOptions, Replay, Request, RetryPolicy, awaitable};
use crate::refusal::{NO_BUCKET, says};

impl Bucket {
    /// Deletes the bucket with everything in it (owner or admin).
    ///
    /// Where a first try may have deleted it and the next one finds nothing, it counts as deleted.
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
    async fn run(mut self) -> Result<()> {
        let transport = &self.bucket.client.transport;
        transport.start(&mut self.options);
        let request = Request::new(Method::DELETE, self.bucket.route("")?)
            .needs_credential()
            .replay(Replay::Deletion)
            .options(self.options.clone());
        let Err(error) = transport.send(request).await else { return Ok(()) };
        if !error.is_denied() || !error.may_have_been_done() {
            return Err(error);
        }
        // For up to ten minutes the server remembers a bucket that is gone, and denies it to whoever deletes it again. What it
        // lists is as it is.
        self.options.set_retry(RetryPolicy::never());
        match self.bucket.files().list().limit(1).options(self.options).await {
            Err(look) if says(&look, NO_BUCKET) => Ok(()),
            _ => Err(error),
        }
    }
}

awaitable!(DeleteBucket => ());

//! `GET /api/buckets/{id}`

use chrono::{DateTime, Utc};

use super::Bucket;
use crate::error::{Error, Result};
use crate::http::{CallOptions, Request, awaitable};
use crate::models::BucketDetails;

/// How many files `with_files` brings along, as the server's own `include=files` does.
const FILES: u64 = 100;

impl Bucket {
    /// What the bucket is (public). `NotFound` where there is none, or it has expired.
    ///
    /// The server may answer from a cache that is up to 10 min old (wire description section 6); counts are dropped from
    /// it by each change of the bucket or its files.
    pub fn get(&self) -> GetBucket {
        GetBucket { bucket: self.clone(), with_files: false, options: CallOptions::default() }
    }

    /// As [`Bucket::get`], where a bucket that is not there is `None`. A 404 that is not the server's own says nothing of the
    /// bucket, and is an error.
    pub fn get_opt(&self) -> GetBucketOpt {
        GetBucketOpt { get: self.get(), options: CallOptions::default() }
    }

    /// What the bucket is without its files, and the server's time at which it says so.
    pub(crate) async fn details(&self, options: CallOptions) -> Result<(BucketDetails, Option<DateTime<Utc>>)> {
        let request = Request::get(self.route("")?).rows(FILES).options(options);
        let answer = self.client.transport.send(request).await?;
        let date = answer.date();
        let mut details: BucketDetails = answer.json()?;
        // The server's cache may have kept somebody else's `include=files`.
        (details.files, details.has_more_files) = (None, None);
        Ok((details, date))
    }
}

/// Asks what a bucket is. Made by [`Bucket::get`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct GetBucket {
    bucket: Bucket,
    with_files: bool,
    options: CallOptions,
}

impl GetBucket {
    /// Brings along the first 100 files by path.
    ///
    /// They are read by a second call: the server's own `include=files` depends on who asked before (surprise 8 of the
    /// wire description).
    pub fn with_files(mut self) -> Self {
        self.with_files = true;
        self
    }

    async fn run(mut self) -> Result<BucketDetails> {
        self.bucket.client.transport.start(&mut self.options);
        let (mut details, _) = self.bucket.details(self.options.clone()).await?;
        if self.with_files {
            let mut list = self.bucket.files().list().limit(FILES);
            list = list.sort(crate::models::FileSort::Path).order(crate::models::Order::Asc).options(self.options);
            let page = list.await?;
            details.has_more_files = Some(page.has_more());
            details.files = Some(page.items);
        }
        Ok(details)
    }
}

awaitable!(GetBucket => BucketDetails);

/// Asks what a bucket is, if it is there. Made by [`Bucket::get_opt`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct GetBucketOpt {
    get: GetBucket,
    options: CallOptions,
}

impl GetBucketOpt {
    /// Brings along the first 100 files by path.
    pub fn with_files(mut self) -> Self {
        self.get = self.get.with_files();
        self
    }

    async fn run(mut self) -> Result<Option<BucketDetails>> {
        self.get.options = self.options;
        self.get.run().await.map(Some).or_else(Error::or_none)
    }
}

awaitable!(GetBucketOpt => Option<BucketDetails>);

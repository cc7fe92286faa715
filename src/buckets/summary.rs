//! `GET /api/buckets/{id}/summary`

use super::Bucket;
use crate::error::{ErrorKind, Result};
use crate::http::{CallOptions, Request, awaitable};

impl Bucket {
    /// A text for people or language models: name, owner, dates, and every file with its size (public).
    pub fn summary(&self) -> GetSummary {
        GetSummary { bucket: self.clone(), options: CallOptions::default() }
    }
}

/// Asks for the summary of a bucket. Made by [`Bucket::summary`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct GetSummary {
    bucket: Bucket,
    options: CallOptions,
}

impl GetSummary {
    async fn run(self) -> Result<String> {
        let request = Request::get(self.bucket.route("/summary")?).unpaged().options(self.options);
        let answer = self.bucket.client.transport.send(request).await?;
        // The server says no charset; it writes UTF-8 (wire description section 6).
        match str::from_utf8(answer.whole()) {
            Ok(text) => Ok(text.to_owned()),
            Err(cause) => Err(answer.error(ErrorKind::Decode, "the summary is not UTF-8").caused_by(cause)),
        }
    }
}

awaitable!(GetSummary => String);

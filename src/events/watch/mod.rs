//! Following a bucket's files, or all buckets: a listing, then what changes, and the right state again after every gap.

mod drive;
mod source;
mod view;

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::FusedStream;
use futures::{Stream, StreamExt};
use serde::{Deserialize, Serialize};

pub(super) use drive::Pace;
use drive::Steps;
pub(super) use source::found;
use source::{AllBuckets, FilesOf};

use crate::buckets::Bucket;
use crate::client::Client;
use crate::error::Result;
use crate::models::{BucketInfo, FileInfo};

/// What a watch tells: of the files of a bucket ([`WatchFiles`]), or of the buckets of a server ([`WatchBuckets`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
#[non_exhaustive]
pub enum WatchEvent<T> {
    /// The events can't be followed yet, and it is tried again; nothing is listed before they are. Only before `Init`: of a
    /// connection that was lost later, [`Events::state`](super::Events::state) tells, and of that of [`Client::watch`]
    /// [`Events::state_of_all`](super::Events::state_of_all).
    #[non_exhaustive]
    Waiting {
        /// Why there is no connection, in words.
        reason: String,
    },
    /// The first listing begins.
    Init,
    /// A file, or a bucket, of the first listing.
    Listed(T),
    /// The first listing is complete. What follows are changes.
    InitDone,
    /// It is new or has changed, a bucket be it only in what is stored in it; as it is now.
    Changed(T),
    /// There is no file of this path any more, or no bucket of this id.
    Removed(String),
    /// A listing failed, for a reason that may pass, and is tried again. Events are still followed; what has none is
    /// seen by the listing that succeeds.
    #[non_exhaustive]
    ListingFailed {
        /// Why, in words.
        reason: String,
    },
    /// A listing has succeeded after one that failed. What it found to be different was told before this; but for what it
    /// left in doubt, which is looked up first.
    ListingSucceeded,
}

impl Bucket {
    /// Follows the files of this bucket (public): a listing, then every change, and after a gap in the events the
    /// difference that it made.
    ///
    /// ```no_run
    /// use carbonfiles::events::WatchEvent;
    /// use futures::TryStreamExt;
    ///
    /// # async fn f(bucket: carbonfiles::Bucket) -> carbonfiles::Result<()> {
    /// let mut watch = bucket.watch();
    /// while let Some(event) = watch.try_next().await? {
    ///     match event {
    ///         WatchEvent::Listed(file) | WatchEvent::Changed(file) => println!("{} {}", file.path, file.size),
    ///         WatchEvent::Removed(path) => println!("{path} is gone"),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// It subscribes before it lists (by the listing that writes can't disturb), takes the newer of two states by
    /// `updated_at`, asks where the order of two events is in doubt, and lists again after a reconnect, a lag, and every
    /// minute, for what has no event: `PATCH`, append, expiry. When the bucket is gone, its files are removed, and the
    /// stream ends with `NotFound`.
    ///
    /// A listing that fails is told and tried again ([`WatchEvent::ListingFailed`], [`WatchEvent::ListingSucceeded`]), and so
    /// is a connection that can't be made at first ([`WatchEvent::Waiting`]). Once the first one is complete, only
    /// the server's own word that there is no such bucket, given twice, or a refusal of the hub ends the stream: an
    /// error page on the way, or a 403, does not.
    pub fn watch(&self) -> WatchFiles {
        WatchFiles { bucket: self.clone(), prefix: None, pace: Pace::default(), steps: None }
    }
}

impl Client {
    /// Follows all buckets (admin key or dashboard token): as [`Bucket::watch`], for the rows of
    /// [`Buckets::list_all`](crate::Buckets::list_all). What is stored in a bucket changes its row too, at most some
    /// three times a second, and every 2 s or less often where more than 64 buckets are busy; what the server remembers of a
    /// bucket may be from before, until the next listing. A bucket that expires goes when its time has come.
    pub fn watch(&self) -> WatchBuckets {
        WatchBuckets { client: self.clone(), pace: Pace::default(), steps: None }
    }
}

/// The files of a bucket and what becomes of them, as a stream. Made by [`Bucket::watch`].
///
/// Nothing is sent before it is polled.
#[must_use = "a stream does nothing unless it is polled"]
pub struct WatchFiles {
    bucket: Bucket,
    prefix: Option<String>,
    pace: Pace,
    steps: Option<Steps<FileInfo>>,
}

impl WatchFiles {
    /// Only files whose path begins with exactly this text.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// How often everything is listed again without cause, some 10 % more or less; each minute by default.
    pub fn relist_every(mut self, time: Duration) -> Self {
        self.pace.relist = time;
        self
    }
}

impl Stream for WatchFiles {
    type Item = Result<WatchEvent<FileInfo>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let (bucket, prefix, pace) = (self.bucket.clone(), self.prefix.clone(), self.pace);
        let steps = self.steps.get_or_insert_with(|| drive::steps(FilesOf { bucket, prefix }, pace));
        steps.poll_next_unpin(cx)
    }
}

impl FusedStream for WatchFiles {
    fn is_terminated(&self) -> bool {
        self.steps.as_ref().is_some_and(FusedStream::is_terminated)
    }
}

impl fmt::Debug for WatchFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchFiles").field("bucket", &self.bucket).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// All buckets and what becomes of them, as a stream. Made by [`Client::watch`].
#[must_use = "a stream does nothing unless it is polled"]
pub struct WatchBuckets {
    client: Client,
    pace: Pace,
    steps: Option<Steps<BucketInfo>>,
}

impl WatchBuckets {
    /// How often everything is listed again without cause, some 10 % more or less; each minute by default.
    pub fn relist_every(mut self, time: Duration) -> Self {
        self.pace.relist = time;
        self
    }
}

impl Stream for WatchBuckets {
    type Item = Result<WatchEvent<BucketInfo>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let (client, pace) = (self.client.clone(), self.pace);
        let steps = self.steps.get_or_insert_with(|| drive::steps(AllBuckets { client }, pace));
        steps.poll_next_unpin(cx)
    }
}

impl FusedStream for WatchBuckets {
    fn is_terminated(&self) -> bool {
        self.steps.as_ref().is_some_and(FusedStream::is_terminated)
    }
}

impl fmt::Debug for WatchBuckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchBuckets").finish_non_exhaustive()
    }
}

//! What happened, as a value.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::protocol::is_known;
use crate::models::{BucketInfo, FileInfo, time};

/// Something that happened to a bucket or file, or to the connection that tells of it (events description, section 8).
///
/// Serialised as `{"type": "file_created", "data": {…}}`, with the members of `data` in `snake_case`.
///
/// The server sends **nothing** for `PATCH` and append, for expiry, and for changes of short URLs, keys and tokens;
/// deleting a bucket is one `BucketDeleted` without any `FileDeleted`. For a view that follows those too, see
/// [`Bucket::watch`](crate::Bucket::watch).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A path was stored for the first time.
    #[non_exhaustive]
    FileCreated {
        /// The bucket it is in.
        bucket_id: String,
        /// The file.
        file: FileInfo,
    },
    /// An existing path was uploaded again, possibly with the same bytes.
    #[non_exhaustive]
    FileUpdated {
        /// The bucket it is in.
        bucket_id: String,
        /// The file as it is now.
        file: FileInfo,
    },
    /// A file was deleted.
    #[non_exhaustive]
    FileDeleted {
        /// The bucket it was in.
        bucket_id: String,
        /// Its path.
        path: String,
    },
    /// A bucket was created. Comes with [`Events::all`](super::Events::all) only.
    #[non_exhaustive]
    BucketCreated {
        /// The bucket.
        bucket: BucketInfo,
    },
    /// A bucket was changed by `PATCH`.
    #[non_exhaustive]
    BucketUpdated {
        /// The bucket.
        bucket_id: String,
        /// What the request set. An expiry of `never` looks like nothing set: get the bucket to know.
        changes: BucketChanges,
    },
    /// A bucket and all files in it were deleted.
    #[non_exhaustive]
    BucketDeleted {
        /// The bucket.
        bucket_id: String,
    },
    /// The connection was lost. Until [`Event::Reconnected`], what is told is not complete: some subscriptions may be back
    /// before others.
    #[non_exhaustive]
    Disconnected {
        /// Why, in words.
        reason: String,
    },
    /// The connection is back and everything is subscribed to again. The server keeps no history: list what matters.
    #[non_exhaustive]
    Reconnected {
        /// When the server was last heard of, or a little before, by this machine's clock: events after this may be missing.
        /// Don't filter a listing by it: the server's clock may differ, and deletions leave no trace.
        #[serde(with = "time")]
        missed_since: DateTime<Utc>,
    },
    /// The reader was too slow for its buffer, and so many items were dropped before the next one. The last word on the
    /// connection among them is not: it comes next.
    Lagged(u64),
    /// An event that this version of the crate does not know, or a known one of another shape. A known one that does not say
    /// which bucket it is about is told to every stream.
    #[non_exhaustive]
    Unknown {
        /// Its name on the wire.
        target: String,
        /// Its arguments as they came.
        arguments: Value,
    },
}

/// What a `PATCH` of a bucket set (events description, section 8). `None` = not set; `""` is a value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BucketChanges {
    /// The new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The new description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The new expiry; `None` also for a change to `never`.
    #[serde(with = "time::option", default, alias = "expiresAt", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// The kinds of [`Event`] that a subscription can be narrowed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// [`Event::FileCreated`].
    FileCreated,
    /// [`Event::FileUpdated`].
    FileUpdated,
    /// [`Event::FileDeleted`].
    FileDeleted,
    /// [`Event::BucketCreated`].
    BucketCreated,
    /// [`Event::BucketUpdated`].
    BucketUpdated,
    /// [`Event::BucketDeleted`].
    BucketDeleted,
    /// [`Event::Unknown`].
    Unknown,
}

/// No event is told later than this after the change that it tells of: it is taken for granted.
pub(super) const LATE: Duration = Duration::from_secs(2);

/// Whether the server's clock was set back between two states that were told in this order: no event is so late.
pub(super) fn was_set_back(earlier: DateTime<Utc>, later: DateTime<Utc>) -> bool {
    (earlier - later).to_std().is_ok_and(|back| back > LATE)
}

/// An event, and when it came.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub(super) at: Instant,
    pub(super) event: Event,
}

impl Event {
    /// The kind; `None` for what is about the connection or the stream itself, which no filter holds back.
    #[must_use]
    pub fn kind(&self) -> Option<EventKind> {
        Some(match self {
            Self::FileCreated { .. } => EventKind::FileCreated,
            Self::FileUpdated { .. } => EventKind::FileUpdated,
            Self::FileDeleted { .. } => EventKind::FileDeleted,
            Self::BucketCreated { .. } => EventKind::BucketCreated,
            Self::BucketUpdated { .. } => EventKind::BucketUpdated,
            Self::BucketDeleted { .. } => EventKind::BucketDeleted,
            Self::Unknown { .. } => EventKind::Unknown,
            Self::Disconnected { .. } | Self::Reconnected { .. } | Self::Lagged(_) => return None,
        })
    }

    /// The bucket that it is about, if any.
    #[must_use]
    pub fn bucket_id(&self) -> Option<&str> {
        match self {
            Self::FileCreated { bucket_id, .. }
            | Self::FileUpdated { bucket_id, .. }
            | Self::FileDeleted { bucket_id, .. }
            | Self::BucketUpdated { bucket_id, .. }
            | Self::BucketDeleted { bucket_id } => Some(bucket_id),
            Self::BucketCreated { bucket } => Some(&bucket.id),
            // Known ones begin with the id of the bucket, but for that of its creation.
            Self::Unknown { arguments, .. } => arguments.get(0).and_then(Value::as_str),
            Self::Disconnected { .. } | Self::Reconnected { .. } | Self::Lagged(_) => None,
        }
    }

    /// The path of the file that it is about, if any.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::FileCreated { file, .. } | Self::FileUpdated { file, .. } => Some(&file.path),
            Self::FileDeleted { path, .. } => Some(path),
            // Where it is in known ones that hold a file.
            Self::Unknown { arguments, .. } => arguments.get(1)?.get("path")?.as_str(),
            _ => None,
        }
    }

    /// Whether events may be missing before this one, so that what was built from them has to be listed anew.
    #[must_use]
    pub fn is_gap(&self) -> bool {
        matches!(self, Self::Reconnected { .. } | Self::Lagged(_))
    }

    /// Whether it tells of something that is followed, in a shape that is not known.
    pub(super) fn is_unreadable(&self) -> bool {
        matches!(self, Self::Unknown { target, .. } if is_known(target))
    }
}

//! What can be watched: where its rows are listed, where one is looked up, and what an event means to them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt;
use futures::future::{BoxFuture, ready};
use futures::stream::BoxStream;

use crate::buckets::Bucket;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::events::event::{Arrival, Event};
use crate::events::settings::EventSettings;
use crate::events::state::{ConnectionState, StateWatch};
use crate::events::subscribe::Subscribe;
use crate::http::CallOptions;
use crate::models::{BucketInfo, FileInfo};
use crate::paging::Page;
use crate::refusal::{NO_BUCKET, NO_FILE, says};

/// One thing of those that are watched.
pub(super) trait Row: Clone + PartialEq + Send + Sync + 'static {
    fn key(&self) -> &str;
    /// What tells the newer of two states; the same for all where nothing does.
    fn stamp(&self) -> DateTime<Utc>;
    /// When it goes by itself.
    fn expires_at(&self) -> Option<DateTime<Utc>>;
}

impl Row for FileInfo {
    fn key(&self) -> &str {
        &self.path
    }

    fn stamp(&self) -> DateTime<Utc> {
        self.updated_at
    }

    fn expires_at(&self) -> Option<DateTime<Utc>> {
        None
    }
}

impl Row for BucketInfo {
    fn key(&self) -> &str {
        &self.id
    }

    fn stamp(&self) -> DateTime<Utc> {
        self.created_at
    }

    fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.expires_at
    }
}

/// What an event means to the rows.
pub(super) enum Told<R> {
    Nothing,
    Stored(R),
    Gone(String),
    /// Something is different about it; what, has to be asked.
    Different(String),
    /// Changes may have been missed.
    Gap,
    /// Something is different, and it is not known what.
    Unreadable,
    /// There will never be a row again.
    AllGone,
}

/// Events, and when they came.
pub(super) type Arrivals = BoxStream<'static, Result<Arrival>>;

/// A subscription that is not in force yet.
pub(super) type Subscribing = BoxFuture<'static, Result<Arrivals>>;

/// Why there is no connection, each time that it could not be made.
pub(super) type Reasons = BoxStream<'static, String>;

fn arrivals(events: Subscribe) -> Subscribing {
    Box::pin(async move { Ok(events.await?.arrivals().boxed()) })
}

fn reasons(states: StateWatch) -> Reasons {
    let reason = |state| match state {
        ConnectionState::Waiting { reason, .. } => Some(reason),
        _ => None,
    };
    states.filter_map(move |state| ready(reason(state))).boxed()
}

pub(super) trait Source: Clone + Send + Sync + 'static {
    type Row: Row;

    fn settings(&self) -> &EventSettings;
    fn subscribe(&self) -> Subscribing;
    fn waits(&self) -> Reasons;
    fn list(&self) -> BoxStream<'static, Result<Page<Self::Row>>>;
    fn look(&self, key: String) -> BoxFuture<'static, Result<Option<Self::Row>>>;
    fn told(&self, event: Event) -> Told<Self::Row>;
    /// Whether a failed listing says that there is nothing to list any more.
    fn is_gone(&self, error: &Error) -> bool;
}

/// Nothing, where the server says in these words that there is none.
pub(in crate::events) fn found<R>(asked: Result<R>, none: &str) -> Result<Option<R>> {
    match asked {
        Err(error) if says(&error, none) => Ok(None),
        asked => asked.map(Some),
    }
}

/// The files of a bucket.
#[derive(Clone)]
pub(super) struct FilesOf {
    pub(super) bucket: Bucket,
    pub(super) prefix: Option<String>,
}

impl Source for FilesOf {
    type Row = FileInfo;

    fn settings(&self) -> &EventSettings {
        self.bucket.client().lines.settings()
    }

    fn subscribe(&self) -> Subscribing {
        // None is left out for a later one: that a storing and a deletion came close to each other has to be seen.
        let events = self.bucket.events();
        arrivals(match &self.prefix {
            Some(prefix) => events.prefix(prefix),
            None => events,
        })
    }

    fn waits(&self) -> Reasons {
        reasons(self.bucket.client().events().state())
    }

    fn list(&self) -> BoxStream<'static, Result<Page<FileInfo>>> {
        let listing = self.bucket.files().list_all().stable();
        match &self.prefix {
            Some(prefix) => listing.prefix(prefix).boxed(),
            None => listing.boxed(),
        }
    }

    fn look(&self, path: String) -> BoxFuture<'static, Result<Option<FileInfo>>> {
        let file = self.bucket.file(path);
        // Not by `get`: the server tells of a deletion before it forgets what it remembers of the file.
        Box::pin(async move { found(file.listed(CallOptions::default()).await, NO_FILE) })
    }

    fn told(&self, event: Event) -> Told<FileInfo> {
        match event {
            Event::FileCreated { file, .. } | Event::FileUpdated { file, .. } => Told::Stored(file),
            Event::FileDeleted { path, .. } => Told::Gone(path),
            Event::BucketDeleted { .. } => Told::AllGone,
            other => of_the_stream(&other),
        }
    }

    fn is_gone(&self, error: &Error) -> bool {
        says(error, NO_BUCKET)
    }
}

/// What an event means that is about none of the rows.
pub(super) fn of_the_stream<R>(event: &Event) -> Told<R> {
    if event.is_gap() {
        Told::Gap
    } else if event.is_unreadable() {
        Told::Unreadable
    } else {
        Told::Nothing
    }
}

/// All buckets of a server.
#[derive(Clone)]
pub(super) struct AllBuckets {
    pub(super) client: Client,
}

/// What is stored in a bucket may change often: its row is asked for once in such a time.
const SETTLE: Duration = Duration::from_millis(300);

impl Source for AllBuckets {
    type Row = BucketInfo;

    fn settings(&self) -> &EventSettings {
        self.client.lines.settings()
    }

    fn subscribe(&self) -> Subscribing {
        arrivals(self.client.events().all())
    }

    fn waits(&self) -> Reasons {
        reasons(self.client.events().state_of_all())
    }

    fn list(&self) -> BoxStream<'static, Result<Page<BucketInfo>>> {
        self.client.buckets().list_all().boxed()
    }

    fn look(&self, id: String) -> BoxFuture<'static, Result<Option<BucketInfo>>> {
        let bucket = self.client.bucket(id);
        Box::pin(async move {
            tokio::time::sleep(SETTLE).await;
            let asked = found(bucket.details(CallOptions::default()).await, NO_BUCKET)?;
            // The server may remember one that has expired, by its own clock.
            Ok(asked.and_then(|(details, date)| {
                let now = date.unwrap_or_else(Utc::now);
                Some(details.bucket).filter(|bucket| bucket.expires_at.is_none_or(|at| at > now))
            }))
        })
    }

    fn told(&self, event: Event) -> Told<BucketInfo> {
        match event {
            Event::BucketCreated { bucket } => Told::Stored(bucket),
            Event::BucketDeleted { bucket_id } => Told::Gone(bucket_id),
            Event::FileCreated { bucket_id, .. }
            | Event::FileUpdated { bucket_id, .. }
            | Event::FileDeleted { bucket_id, .. }
            | Event::BucketUpdated { bucket_id, .. } => Told::Different(bucket_id),
            other => of_the_stream(&other),
        }
    }

    fn is_gone(&self, _: &Error) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// Anybody on the way may say 404.
    #[test]
    fn only_the_servers_own_words_say_that_there_is_nothing() {
        let said = |words: &str| Err::<FileInfo, _>(Error::new(ErrorKind::NotFound, words));
        assert!(found(said("File not found"), NO_FILE).unwrap().is_none());
        assert!(found(said("Not Found: <html>"), NO_FILE).is_err());
        assert!(found(said("Bucket not found"), NO_FILE).is_err(), "the next listing finds that out");
        let denied = Err::<FileInfo, _>(Error::new(ErrorKind::PermissionDenied, "File not found"));
        assert!(found(denied, NO_FILE).is_err());
    }
}

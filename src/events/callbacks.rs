//! Callbacks, for those who would rather be called than read a stream.

use std::fmt;
use std::time::{Duration, Instant};

use futures::StreamExt;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use super::Events;
use super::event::{BucketChanges, Event, EventKind};
use super::subscribe::Subscribe;
use crate::buckets::Bucket;
use crate::call::Call;
use crate::error::{Error, ErrorKind};
use crate::files::File;
use crate::models::{BucketInfo, FileInfo};

/// Keeps a callback registered. Dropping it ends the subscription, and the callback with it: whatever waits, no call follows
/// but one that is just beginning.
#[must_use = "a callback is called until its guard is dropped; use detach() to keep it for good"]
pub struct EventGuard {
    /// Aborting the task is not enough: it would call for all that waits before it is ended.
    stop: DropGuard,
    task: AbortOnDropHandle<Option<Error>>,
}

/// When calls have taken so long, others have a turn.
const TURN: Duration = Duration::from_millis(1);

impl EventGuard {
    /// Keeps the callback for good: until the server refuses the subscription, or the runtime ends.
    pub fn detach(self) {
        self.stop.disarm();
        drop(self.task.detach());
    }

    /// Waits until the callback will not be called any more, because the server refused the subscription for good or the
    /// callback panicked, and says why.
    pub async fn ended(self) -> Error {
        let stopped = || Error::new(ErrorKind::Interrupted, "the callback is not called any more");
        match self.task.await {
            Ok(error) => error.unwrap_or_else(stopped),
            Err(cause) if cause.is_panic() => {
                Error::new(ErrorKind::Interrupted, "the callback panicked").caused_by(cause)
            }
            Err(cause) => stopped().caused_by(cause),
        }
    }
}

impl fmt::Debug for EventGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventGuard").finish()
    }
}

/// One task calls one callback, event by event in order; a slow one delays nobody else.
fn call(
    subscribe: Subscribe,
    kind: EventKind,
    mut back: impl FnMut(Event) + Send + 'static,
) -> Call<'static, EventGuard> {
    Call::new(async move {
        let mut events = subscribe.kinds([kind]).await?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let calling = async move {
            let mut turn = Instant::now();
            while let Some(item) = events.next().await {
                match item {
                    _ if stopped.is_cancelled() => return None,
                    Ok(event) => back(event),
                    Err(error) => return Some(error),
                }
                if turn.elapsed() >= TURN {
                    tokio::task::yield_now().await;
                    turn = Instant::now();
                }
            }
            None
        };
        Ok(EventGuard { stop: stop.drop_guard(), task: AbortOnDropHandle::new(tokio::spawn(calling)) })
    })
}

/// Methods that register a callback, each for one kind of event: what is passed on, and as what.
macro_rules! callbacks {
    ($subscribe:ident: $($(#[$doc:meta])* $name:ident, $kind:ident $event:tt => ($($argument:ident: $type:ty),+);)+) => {
        $(
            $(#[$doc])*
            ///
            /// Awaited, it gives a guard once the subscription is in force. Events that a lost connection or a callback
            /// that is too slow cost are not told here: where that matters, read the stream.
            pub fn $name(&self, mut callback: impl FnMut($($type),+) + Send + 'static) -> Call<'static, EventGuard> {
                call(self.$subscribe(), EventKind::$kind, move |event| {
                    // What is about the connection comes too.
                    if let Event::$kind $event = event {
                        callback($($argument),+);
                    }
                })
            }
        )+
    };
}

/// Callbacks: see [`EventGuard`].
impl Bucket {
    callbacks! { events:
        /// Calls back with the file when a path was stored for the first time.
        on_file_created, FileCreated { file, .. } => (file: FileInfo);
        /// Calls back with the file when a path that was there was stored again.
        on_file_updated, FileUpdated { file, .. } => (file: FileInfo);
        /// Calls back with the path when a file was deleted.
        on_file_deleted, FileDeleted { path, .. } => (path: String);
        /// Calls back with what was set when the bucket was changed by `PATCH`.
        on_bucket_updated, BucketUpdated { changes, .. } => (changes: BucketChanges);
        /// Calls back with the id when the bucket was deleted.
        on_bucket_deleted, BucketDeleted { bucket_id } => (bucket_id: String);
    }
}

/// Callbacks: see [`EventGuard`].
impl File {
    callbacks! { events:
        /// Calls back with the file when it was stored for the first time.
        on_file_created, FileCreated { file, .. } => (file: FileInfo);
        /// Calls back with the file when it was stored again.
        on_file_updated, FileUpdated { file, .. } => (file: FileInfo);
        /// Calls back with the path when the file was deleted.
        on_file_deleted, FileDeleted { path, .. } => (path: String);
    }
}

/// Callbacks for all buckets, with the id of the bucket (admin key or dashboard token).
impl Events {
    callbacks! { all:
        /// Calls back with bucket and file when a path was stored for the first time.
        on_file_created, FileCreated { bucket_id, file } => (bucket_id: String, file: FileInfo);
        /// Calls back with bucket and file when a path that was there was stored again.
        on_file_updated, FileUpdated { bucket_id, file } => (bucket_id: String, file: FileInfo);
        /// Calls back with bucket and path when a file was deleted.
        on_file_deleted, FileDeleted { bucket_id, path } => (bucket_id: String, path: String);
        /// Calls back with a bucket that was created.
        on_bucket_created, BucketCreated { bucket } => (bucket: BucketInfo);
        /// Calls back with the id of a bucket that was changed by `PATCH`, and what was set.
        on_bucket_updated, BucketUpdated { bucket_id, changes } => (bucket_id: String, changes: BucketChanges);
        /// Calls back with the id of a bucket that was deleted.
        on_bucket_deleted, BucketDeleted { bucket_id } => (bucket_id: String);
    }
}

//! Following files, by asking again and again.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_stream::try_stream;
use futures::Stream;
use futures::stream::{self, BoxStream, Fuse, FusedStream, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::Files;
use crate::error::{Error, ErrorKind, Result};
use crate::file_storage::models::{FileSort, StoredFile};
use crate::http::{CallOptions, call_options};
use crate::models::Order;
use crate::paging::Page;

/// Between two looks, where the caller did not say.
const PAUSE: Duration = Duration::from_secs(10);
/// After so many looks at the newest files, all are listed again: a change of `public` moves nothing.
const RELIST: u32 = 20;
/// Files that have vanished from a listing are asked for one by one, so many at once.
const ASKED_AT_ONCE: usize = 8;

impl Files {
    /// What is there, and then what is uploaded, published and deleted: one's own or, with `file_storage.manage`,
    /// everybody's.
    ///
    /// The service has events of its own, but they never leave its process: so this asks, every 10 s by default. Most looks
    /// cost one request; where something has changed, all files are listed. What is uploaded and deleted between two looks
    /// is not seen. What was last known of each file is kept in memory, about 1 KiB each.
    ///
    /// ```no_run
    /// use carbonfiles::file_storage::files::StoredEvent;
    /// use futures::TryStreamExt;
    /// # async fn f(files: carbonfiles::file_storage::Files) -> carbonfiles::Result<()> {
    /// let mut watch = files.watch().relist_every(std::time::Duration::from_secs(5));
    /// while let Some(event) = watch.try_next().await? {
    ///     match event {
    ///         StoredEvent::Uploaded(file) => println!("+ {}", file.filename),
    ///         StoredEvent::Removed(file) => println!("- {}", file.filename),
    ///         other => println!("{other:?}"),
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn watch(&self) -> WatchStored {
        WatchStored { files: self.clone(), pause: PAUSE, options: CallOptions::default(), running: None }
    }
}

/// What a [`WatchStored`] tells, in the words of a bucket's watch (`events::WatchEvent`) where it means the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
#[non_exhaustive]
pub enum StoredEvent {
    /// The first listing begins.
    Init,
    /// A file of the first listing, the oldest first.
    Listed(StoredFile),
    /// The first listing is complete. What follows are changes.
    InitDone,
    /// It is new.
    Uploaded(StoredFile),
    /// It was published or taken back, or its hash has become known.
    Changed(StoredFile),
    /// It is gone. This is what was last known of it.
    Removed(StoredFile),
    /// The service could not be asked; it is tried again, and nothing is lost.
    #[non_exhaustive]
    ListingFailed {
        /// Why, in one line.
        reason: String,
    },
    /// The service was asked again after it could not be. What is different was told before this.
    ListingSucceeded,
}

/// The files and what becomes of them, as a stream. Made by [`Files::watch`].
///
/// Before [`StoredEvent::InitDone`], an error that waiting does not cure ends it; after that only `Unauthenticated` does, such
/// as for a token that was revoked: a 403, a 404 or a page of something on the way is waited out, and told.
///
/// What can be set for calls, such as `timeout` and `retry`, is for each request.
#[must_use = "a stream does nothing unless it is polled"]
pub struct WatchStored {
    files: Files,
    pause: Duration,
    options: CallOptions,
    running: Option<Fuse<BoxStream<'static, Result<StoredEvent>>>>,
}

call_options!([] WatchStored);

impl WatchStored {
    /// How long to wait between two looks. Default 10 s; 0 is refused, by the first item.
    pub fn relist_every(mut self, time: Duration) -> Self {
        self.pause = time;
        self
    }
}

impl Stream for WatchStored {
    type Item = Result<StoredEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.running.is_none() {
            let running = watch(self.files.clone(), self.pause, self.options.clone());
            // Fused: what waits for the next event after the end gets none.
            self.running = Some(running.boxed().fuse());
        }
        match &mut self.running {
            Some(running) => running.poll_next_unpin(cx),
            None => Poll::Ready(None),
        }
    }
}

impl FusedStream for WatchStored {
    fn is_terminated(&self) -> bool {
        self.running.as_ref().is_some_and(FusedStream::is_terminated)
    }
}

impl fmt::Debug for WatchStored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchStored").field("relist_every", &self.pause).finish_non_exhaustive()
    }
}

fn watch(files: Files, pause: Duration, options: CallOptions) -> impl Stream<Item = Result<StoredEvent>> + Send {
    try_stream! {
        if pause.is_zero() {
            Err(Error::invalid_input("relist_every", "it would ask without a pause"))?;
        }
        let mut known = Known::default();
        let (mut begun, mut failed) = (false, false);
        yield StoredEvent::Init;
        loop {
            match known.look(&files, &options).await {
                Ok(events) => {
                    for event in events {
                        yield match event {
                            StoredEvent::Uploaded(file) if !begun => StoredEvent::Listed(file),
                            event => event,
                        };
                    }
                    if std::mem::take(&mut failed) {
                        yield StoredEvent::ListingSucceeded;
                    }
                    if !std::mem::replace(&mut begun, true) {
                        yield StoredEvent::InitDone;
                    }
                }
                // What it has asked before, it may: another answer is of something on the way, or for a while.
                Err(error) if error.is_retryable() || begun && error.kind() != ErrorKind::Unauthenticated => {
                    failed = true;
                    let rest = error.retry_after().unwrap_or_default();
                    yield StoredEvent::ListingFailed { reason: error.to_string() };
                    sleep(rest.min(Duration::from_secs(3600))).await;
                }
                Err(error) => Err(error)?,
            }
            sleep(pause).await;
        }
    }
}

/// What the last look has seen.
#[derive(Default)]
struct Known {
    files: HashMap<String, StoredFile>,
    newest: Option<String>,
    /// Looks at the newest files until all are listed.
    left: u32,
}

impl Known {
    /// Looks, and tells what is different.
    async fn look(&mut self, files: &Files, options: &CallOptions) -> Result<Vec<StoredEvent>> {
        let newest = newest(files, options).await?;
        let same = newest.total == self.files.len() as u64
            && newest.items.first().map(|file| &file.id) == self.newest.as_ref();
        if same && self.left > 0 {
            self.left -= 1;
            return Ok(newest.items.into_iter().filter_map(|file| self.changed(file)).collect());
        }
        // The oldest first, so that what comes meanwhile shifts nothing.
        let all = files.list_all().sort(FileSort::CreatedAt).order(Order::Asc).options(options.clone());
        let all: Vec<_> = all.items().try_collect().await?;
        let events = self.differences(files, all, options).await?;
        self.newest = newest.items.into_iter().next().map(|file| file.id);
        self.left = RELIST;
        Ok(events)
    }

    /// Notes a file as it is now.
    fn changed(&mut self, file: StoredFile) -> Option<StoredEvent> {
        match self.files.get(&file.id) {
            Some(before) if *before == file => None,
            before => {
                let event = if before.is_some() { StoredEvent::Changed } else { StoredEvent::Uploaded };
                self.files.insert(file.id.clone(), file.clone());
                Some(event(file))
            }
        }
    }

    async fn differences(
        &mut self,
        files: &Files,
        all: Vec<StoredFile>,
        options: &CallOptions,
    ) -> Result<Vec<StoredEvent>> {
        let there: std::collections::HashSet<_> = all.iter().map(|file| file.id.clone()).collect();
        // A listing by pages can miss a file that is there: so each is asked for before it counts as gone.
        let missing: Vec<_> = self.files.keys().filter(|id| !there.contains(*id)).cloned().collect();
        let asked: Vec<(String, Option<StoredFile>)> = stream::iter(missing)
            .map(|id| {
                let asking = files.file(&id).get_opt().options(options.clone());
                async move { Ok::<_, Error>((id, asking.await?)) }
            })
            .buffer_unordered(ASKED_AT_ONCE)
            .try_collect()
            .await?;
        let mut events: Vec<_> = all.into_iter().filter_map(|file| self.changed(file)).collect();
        for (id, found) in asked {
            match found {
                Some(file) => events.extend(self.changed(file)),
                None => events.extend(self.files.remove(&id).map(StoredEvent::Removed)),
            }
        }
        Ok(events)
    }
}

async fn newest(files: &Files, options: &CallOptions) -> Result<Page<StoredFile>> {
    files.list().sort(FileSort::CreatedAt).per_page(super::list::MOST_ROWS).options(options.clone()).await
}

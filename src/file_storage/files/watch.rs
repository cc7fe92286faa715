//! News of files, by asking again and again.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_stream::try_stream;
use futures::Stream;
use futures::stream::{self, BoxStream, Fuse, FusedStream, StreamExt, TryStreamExt};
use serde::Serialize;
use tokio::time::sleep;

use super::Files;
use crate::error::{Error, Result};
use crate::file_storage::models::{FileSort, StoredFile};
use crate::models::Order;
use crate::paging::Page;

/// How often is asked, where the caller did not say.
const INTERVAL: Duration = Duration::from_secs(10);
/// After so many looks at the newest files, all are listed again: a change of `public` moves nothing.
const RELIST: u32 = 20;
/// Files that have vanished from a listing are asked for one by one, so many at once.
const ASKED_AT_ONCE: usize = 8;

impl Files {
    /// What is uploaded, published and deleted from now on, one's own or, with `file_storage.manage`, everybody's.
    ///
    /// The service has events of its own, but they never leave its process: so this asks, every 10 s by default. Most looks
    /// cost one request; where something has changed, all files are listed. What is uploaded and deleted between two looks
    /// is not seen. What was last known of each file is kept in memory, about 1 KiB each.
    ///
    /// ```no_run
    /// use carbonfiles::file_storage::files::FileEvent;
    /// use futures::TryStreamExt;
    /// # async fn f(files: carbonfiles::file_storage::Files) -> carbonfiles::Result<()> {
    /// let mut news = files.watch().interval(std::time::Duration::from_secs(5));
    /// while let Some(event) = news.try_next().await? {
    ///     match event {
    ///         FileEvent::Uploaded(file) => println!("+ {}", file.filename),
    ///         FileEvent::Deleted(file) => println!("- {}", file.filename),
    ///         other => println!("{other:?}"),
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn watch(&self) -> WatchFiles {
        WatchFiles { files: self.clone(), interval: INTERVAL, existing: false, running: None }
    }
}

/// What has happened to a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum FileEvent {
    /// It was there when the watch began; only where that was asked for.
    Existing(StoredFile),
    /// The watch has begun: what was there has been told of, and changes follow.
    #[non_exhaustive]
    Ready {
        /// How many files there are.
        files: u64,
    },
    /// It is new.
    Uploaded(StoredFile),
    /// It was published or taken back, or its hash has become known.
    Changed(StoredFile),
    /// It is gone. This is what was last known of it.
    Deleted(StoredFile),
    /// The service could not be asked; the watch goes on, and nothing is lost.
    #[non_exhaustive]
    Unreachable {
        /// Why, in one line.
        reason: String,
    },
}

/// A stream of news. Made by [`Files::watch`]. It ends after an error that waiting does not cure, such as a token that was
/// revoked.
#[must_use = "a stream does nothing unless it is polled"]
pub struct WatchFiles {
    files: Files,
    interval: Duration,
    existing: bool,
    running: Option<Fuse<BoxStream<'static, Result<FileEvent>>>>,
}

impl WatchFiles {
    /// How long to wait between two looks. Default 10 s; 0 is refused, by the first item.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Begins with the files that are there.
    pub fn with_existing(mut self) -> Self {
        self.existing = true;
        self
    }
}

impl Stream for WatchFiles {
    type Item = Result<FileEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.running.is_none() {
            let running = watch(self.files.clone(), self.interval, self.existing);
            // Fused: what waits for the next event after the end gets none.
            self.running = Some(running.boxed().fuse());
        }
        match &mut self.running {
            Some(running) => running.poll_next_unpin(cx),
            None => Poll::Ready(None),
        }
    }
}

impl FusedStream for WatchFiles {
    fn is_terminated(&self) -> bool {
        self.running.as_ref().is_some_and(FusedStream::is_terminated)
    }
}

impl fmt::Debug for WatchFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchFiles").field("interval", &self.interval).finish_non_exhaustive()
    }
}

fn watch(files: Files, interval: Duration, existing: bool) -> impl Stream<Item = Result<FileEvent>> + Send {
    try_stream! {
        if interval.is_zero() {
            Err(Error::invalid_input("interval", "it would ask without a pause"))?;
        }
        let mut known = Known::default();
        let mut begun = false;
        loop {
            match known.look(&files).await {
                Ok(events) if begun => {
                    for event in events {
                        yield event;
                    }
                }
                Ok(_) => {
                    begun = true;
                    if existing {
                        for file in known.files.values() {
                            yield FileEvent::Existing(file.clone());
                        }
                    }
                    yield FileEvent::Ready { files: known.files.len() as u64 };
                }
                Err(error) if error.is_retryable() => {
                    let pause = error.retry_after().unwrap_or_default();
                    yield FileEvent::Unreachable { reason: error.to_string() };
                    sleep(pause.min(Duration::from_secs(3600))).await;
                }
                Err(error) => Err(error)?,
            }
            sleep(interval).await;
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
    async fn look(&mut self, files: &Files) -> Result<Vec<FileEvent>> {
        let newest = newest(files).await?;
        let same = newest.total == self.files.len() as u64
            && newest.items.first().map(|file| &file.id) == self.newest.as_ref();
        if same && self.left > 0 {
            self.left -= 1;
            return Ok(newest.items.into_iter().filter_map(|file| self.changed(file)).collect());
        }
        // The oldest first, so that what comes meanwhile shifts nothing.
        let all: Vec<_> = files.list_all().sort(FileSort::CreatedAt).order(Order::Asc).items().try_collect().await?;
        let events = self.differences(files, all).await?;
        self.newest = newest.items.into_iter().next().map(|file| file.id);
        self.left = RELIST;
        Ok(events)
    }

    /// Notes a file as it is now.
    fn changed(&mut self, file: StoredFile) -> Option<FileEvent> {
        match self.files.get(&file.id) {
            Some(before) if *before == file => None,
            before => {
                let event = if before.is_some() { FileEvent::Changed } else { FileEvent::Uploaded };
                self.files.insert(file.id.clone(), file.clone());
                Some(event(file))
            }
        }
    }

    async fn differences(&mut self, files: &Files, all: Vec<StoredFile>) -> Result<Vec<FileEvent>> {
        let there: std::collections::HashSet<_> = all.iter().map(|file| file.id.clone()).collect();
        // A listing by pages can miss a file that is there: so each is asked for before it counts as gone.
        let missing: Vec<_> = self.files.keys().filter(|id| !there.contains(*id)).cloned().collect();
        let asked: Vec<(String, Option<StoredFile>)> = stream::iter(missing)
            .map(|id| {
                let file = files.file(&id);
                async move { Ok::<_, Error>((id, file.get_opt().await?)) }
            })
            .buffer_unordered(ASKED_AT_ONCE)
            .try_collect()
            .await?;
        let mut events: Vec<_> = all.into_iter().filter_map(|file| self.changed(file)).collect();
        for (id, found) in asked {
            match found {
                Some(file) => events.extend(self.changed(file)),
                None => events.extend(self.files.remove(&id).map(FileEvent::Deleted)),
            }
        }
        Ok(events)
    }
}

async fn newest(files: &Files) -> Result<Page<StoredFile>> {
    files.list().sort(FileSort::CreatedAt).per_page(super::list::MOST_ROWS).await
}

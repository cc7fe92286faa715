//! Waiting for a file to be as wanted.

use std::time::Duration;

use futures::StreamExt;
use tokio::time::{Instant, sleep_until, timeout};

use super::event::Event;
use super::watch::found;
use crate::buckets::Bucket;
use crate::call::Call;
use crate::error::{Error, ErrorKind, Fate, Result, TimeoutPhase};
use crate::files::File;
use crate::http::CallOptions;
use crate::models::FileInfo;
use crate::refusal::{NO_BUCKET, NO_FILE, says};

/// How often the file is asked for without an event, for what has none: `PATCH`, append, expiry.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// How soon after a word that there is no bucket: given twice, it counts, as in a watch. And how soon, at most, after an event
/// that can't be read.
const ASK_AT_ONCE: Duration = Duration::from_millis(100);

impl File {
    /// Waits until the file is as `wanted`, which is given what it is, `None` where there is none; gives what it was then
    /// (public).
    ///
    /// It subscribes before it looks, so nothing is missed in between. A lost connection is waited out, and so is a 404 of
    /// something on the way: that there is no file, or no bucket, counts only in the server's own words. Without its bucket
    /// there is no file; where that is not what is `wanted`, it ends with `NotFound`.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// # async fn f(file: carbonfiles::File) -> carbonfiles::Result<()> {
    /// let big = file.wait_until(|file| file.is_some_and(|file| file.size > 1000), Duration::from_secs(60)).await?;
    /// println!("{}", big.map_or(0, |file| file.size));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Timeout` when `limit` has passed; otherwise as [`File::events`] and [`File::get`].
    pub fn wait_until(
        &self,
        wanted: impl FnMut(Option<&FileInfo>) -> bool + Send + 'static,
        limit: Duration,
    ) -> Call<'static, Option<FileInfo>> {
        let waiting = wait(self.clone(), wanted);
        Call::new(async move {
            let late = || {
                let message = "the file was not as wanted within the time limit";
                Error::new(ErrorKind::Timeout(TimeoutPhase::Total), message).with_fate(Fate::Unknown)
            };
            timeout(limit, waiting).await.unwrap_or_else(|_| Err(late()))
        })
    }
}

impl Bucket {
    /// Waits until there is a file of this path, and gives it; at once where it is there (public).
    ///
    /// There is no limit: use `tokio::time::timeout`, or [`File::wait_until`].
    ///
    /// # Errors
    /// As [`File::events`] and [`File::get`]; `NotFound` where there is no such bucket, or no more.
    pub fn wait_for(&self, path: impl AsRef<str>) -> Call<'static, FileInfo> {
        let waiting = wait(self.file(path), |file| file.is_some());
        Call::new(async move {
            let gone = || Error::new(ErrorKind::NotFound, NO_FILE);
            waiting.await.and_then(|file| file.ok_or_else(gone))
        })
    }
}

/// What the file is. The server may remember one from before a change, or one that is gone, but never that there was none:
/// what it says is there is asked of what it lists. Not the other way round, for a listing looks through all rows behind a
/// file that is not there, which here is asked for every few seconds.
async fn look(file: &File) -> Result<Option<FileInfo>> {
    match found(file.get().await, NO_FILE)? {
        None => Ok(None),
        Some(_) => found(file.listed(CallOptions::default()).await, NO_FILE),
    }
}

async fn wait(file: File, mut wanted: impl FnMut(Option<&FileInfo>) -> bool + Send) -> Result<Option<FileInfo>> {
    let mut events = file.events().await?;
    // Whatever comes meanwhile, it is asked for then.
    let (mut ask_at, mut no_bucket) = (Instant::now(), false);
    loop {
        if Instant::now() >= ask_at {
            let was_said = std::mem::take(&mut no_bucket);
            match look(&file).await {
                Ok(now) if wanted(now.as_ref()) => return Ok(now),
                Ok(_) => {}
                Err(error) if says(&error, NO_BUCKET) => {
                    if wanted(None) {
                        return Ok(None);
                    }
                    if was_said {
                        return Err(error);
                    }
                    no_bucket = true;
                }
                // It will be asked again. Who says 404 in other words than the server's is something on the way.
                Err(error) if error.is_retryable() || error.is_not_found() => {}
                Err(error) => return Err(error),
            }
            ask_at = Instant::now() + if no_bucket { ASK_AT_ONCE } else { ASK_AGAIN };
        }
        let event = tokio::select! {
            event = events.next() => event,
            () = sleep_until(ask_at) => continue,
        };
        let ended = || Error::new(ErrorKind::Interrupted, "the stream of events has ended");
        match event.ok_or_else(ended)?? {
            Event::FileCreated { file, .. } | Event::FileUpdated { file, .. } if wanted(Some(&file)) => {
                return Ok(Some(file));
            }
            Event::FileDeleted { .. } if wanted(None) => return Ok(None),
            event if event.is_gap() => ask_at = Instant::now(),
            event if event.is_unreadable() => ask_at = ask_at.min(Instant::now() + ASK_AT_ONCE),
            _ => {}
        }
    }
}

//! A bucket's files in memory, kept right by a watch.

mod store;

use std::fmt;
use std::future::IntoFuture;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use futures::stream::{self, BoxStream, Fuse, FusedStream};
use futures::{Stream, StreamExt};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::{oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

pub use store::Changes;
use store::Store;

use super::subscribe::not_in_time;
use super::watch::{WatchEvent, WatchFiles};
use crate::buckets::Bucket;
use crate::call::Call;
use crate::error::{Error, ErrorKind, Result};
use crate::models::FileInfo;

impl Bucket {
    /// Keeps the files of this bucket in memory (public), as [`Bucket::watch`] tells of them.
    ///
    /// Awaited, it gives a [`Mirror`] that holds the first listing.
    ///
    /// ```no_run
    /// # async fn f(bucket: carbonfiles::Bucket) -> carbonfiles::Result<()> {
    /// let mirror = bucket.mirror().await?;
    /// println!("{} files, {} bytes", mirror.len(), mirror.total_size());
    /// if let Some(file) = mirror.get("docs/hello.txt") {
    ///     println!("changed at {}", file.updated_at);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What the first listing and the subscription end with, `NotFound` among them. What may pass is waited out; see
    /// [`StartMirror::timeout`].
    pub fn mirror(&self) -> StartMirror {
        StartMirror { watch: self.watch(), timeout: None }
    }
}

/// Asks for a mirror. Made by [`Bucket::mirror`].
#[derive(Debug)]
#[must_use = "nothing is sent until it is awaited"]
pub struct StartMirror {
    watch: WatchFiles,
    timeout: Option<Duration>,
}

impl StartMirror {
    /// Only files whose path begins with exactly this text.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.watch = self.watch.prefix(prefix);
        self
    }

    /// How often everything is listed again without cause; see [`WatchFiles::relist_every`].
    pub fn relist_every(mut self, time: Duration) -> Self {
        self.watch = self.watch.relist_every(time);
        self
    }

    /// Limits the wait until the first listing is complete: then it ends with `Timeout` and the reason that there is no
    /// connection or no listing. There is no such limit by default: it is tried for as long as it is awaited.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Starts it: the same as `.await` on the builder, as a future with a name, for `tokio::spawn` and the like.
    pub fn send(self) -> Call<'static, Mirror> {
        self.into_future()
    }

    async fn run(self) -> Result<Mirror> {
        let shared = Arc::new(Shared { store: RwLock::new(Store::new()), revision: watch::Sender::new(0) });
        let (ready, is_ready) = oneshot::channel();
        let task = AbortOnDropHandle::new(tokio::spawn(follow(self.watch, shared.clone(), ready)));
        let stopped = |_| Error::new(ErrorKind::Interrupted, "the runtime stopped the mirror");
        let is_ready = async { is_ready.await.map_err(stopped)? };
        let too_late = || not_in_time("the mirror was not ready", shared.read().listing_error());
        match self.timeout {
            None => is_ready.await?,
            Some(limit) => tokio::time::timeout(limit, is_ready).await.unwrap_or_else(|_| Err(too_late()))?,
        }
        Ok(Mirror(Arc::new(Inner { shared, _task: task })))
    }
}

impl IntoFuture for StartMirror {
    type Output = Result<Mirror>;
    type IntoFuture = Call<'static, Mirror>;

    fn into_future(self) -> Self::IntoFuture {
        Call::new(self.run())
    }
}

/// So many changes are taken under one lock.
const AT_ONCE: usize = 4096;

/// The task behind a mirror.
async fn follow(watch: WatchFiles, shared: Arc<Shared>, ready: oneshot::Sender<Result<()>>) {
    let _told = EndTold(shared.clone());
    let mut ready = Some(ready);
    let mut chunks = watch.ready_chunks(AT_ONCE);
    while let Some(chunk) = chunks.next().await {
        let mut done = false;
        let revision = {
            let mut store = shared.store.write().unwrap_or_else(PoisonError::into_inner);
            for event in chunk {
                match event {
                    Ok(WatchEvent::Listed(file) | WatchEvent::Changed(file)) => store.set(file),
                    Ok(WatchEvent::Removed(path)) => store.remove(&path),
                    Ok(WatchEvent::InitDone) => done = true,
                    Ok(WatchEvent::Waiting { reason } | WatchEvent::ListingFailed { reason }) => {
                        store.set_listing_error(Some(reason));
                    }
                    Ok(WatchEvent::Init | WatchEvent::ListingSucceeded) => store.set_listing_error(None),
                    Err(error) => store.end(error),
                }
            }
            store.revision()
        };
        shared.revision.send_replace(revision);
        let error = shared.read().error();
        if (done || error.is_some())
            && let Some(ready) = ready.take()
        {
            let _ = ready.send(error.map_or(Ok(()), Err));
        }
    }
}

/// That readers hear of the task's end, whatever ends it. It may be dropped with its runtime at any time.
struct EndTold(Arc<Shared>);

impl Drop for EndTold {
    fn drop(&mut self) {
        let revision = {
            let mut store = self.0.store.write().unwrap_or_else(PoisonError::into_inner);
            if store.error().is_none() {
                store.end(Error::new(ErrorKind::Interrupted, "the runtime that kept the mirror has ended"));
            }
            store.revision()
        };
        self.0.revision.send_replace(revision);
    }
}

/// The files of a bucket, in memory. Clones share them; with the last one the mirror ends.
///
/// Each look at it sees the state after some whole number of changes. Reading takes a lock for as long as it copies, and
/// blocks nobody but the writer.
#[derive(Clone)]
pub struct Mirror(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

struct Shared {
    store: RwLock<Store>,
    /// Goes up with every change, and once more at the end. Set, be it to the same, after whatever the watch has told.
    revision: watch::Sender<u64>,
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, Store> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mirror {
    fn read(&self) -> RwLockReadGuard<'_, Store> {
        self.0.shared.read()
    }

    /// The file of a path, if it is there.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Arc<FileInfo>> {
        self.read().get(path)
    }

    /// All files, by path.
    #[must_use]
    pub fn files(&self) -> Vec<Arc<FileInfo>> {
        self.read().files().cloned().collect()
    }

    /// The files whose path begins with exactly this text, by path.
    #[must_use]
    pub fn files_under(&self, prefix: &str) -> Vec<Arc<FileInfo>> {
        self.read().files_under(prefix).cloned().collect()
    }

    /// How many files there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there is no file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all files.
    #[must_use]
    pub fn total_size(&self) -> u64 {
        self.read().total_size()
    }

    /// The number of the last change, of the files or of [`Changes::stale`]. It goes up with each, begins at the time of
    /// the mirror's start in microseconds, so that it is not met again by a later mirror, and is exact as a JavaScript
    /// number.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.read().revision()
    }

    /// What has become different since a revision: of a file that changed several times the last state. Where the mirror
    /// does not know that revision, or no longer, it is everything, and [`Changes::reset`] says so; 0 is never known.
    #[must_use]
    pub fn changes_since(&self, revision: u64) -> Changes {
        self.read().changes_since(revision)
    }

    /// What changes from now on, [`Changes::stale`] included; as [`Mirror::follow`].
    pub fn changes(&self) -> MirrorChanges {
        self.follow(self.revision())
    }

    /// What has become different since a revision, and then what changes: for a browser that comes with its
    /// `Last-Event-ID`, or with 0.
    ///
    /// A reader that is slow gets more changes at a time; it holds up nobody and costs no memory. The stream keeps the
    /// mirror alive.
    pub fn follow(&self, revision: u64) -> MirrorChanges {
        let state =
            Following { mirror: self.clone(), at: revision, now: self.0.shared.revision.subscribe(), ended: false };
        MirrorChanges(stream::unfold(state, Following::next).boxed().fuse())
    }

    /// Why the last listing failed, if it did: until one succeeds, what has no event (`PATCH`, append, expiry) is not seen here,
    /// nor what was lost with a connection. Events are followed all the same, if [`Events::state`](super::Events::state)
    /// says that there is a connection.
    #[must_use]
    pub fn listing_error(&self) -> Option<String> {
        self.read().listing_error().map(str::to_owned)
    }

    /// Why the mirror is not kept any more, if so: the bucket is gone, the server refused, or the runtime that it was
    /// started in has ended (`Interrupted`).
    #[must_use]
    pub fn error(&self) -> Option<Error> {
        self.read().error()
    }
}

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirror").field("files", &self.len()).field("revision", &self.revision()).finish_non_exhaustive()
    }
}

struct Following {
    mirror: Mirror,
    at: u64,
    now: watch::Receiver<u64>,
    ended: bool,
}

impl Following {
    async fn next(mut self) -> Option<(Result<Changes>, Self)> {
        if self.ended {
            return None;
        }
        loop {
            self.now.mark_unchanged();
            let (changes, turned, error) = {
                let store = self.mirror.read();
                (store.changes_since(self.at), store.has_turned_since(self.at), store.error())
            };
            if changes.reset || turned || changes.revision > self.at && !changes.is_empty() {
                self.at = changes.revision;
                return Some((Ok(changes), self));
            }
            if let Some(error) = error {
                self.ended = true;
                return Some((Err(error), self));
            }
            // The sender lives as long as the mirror.
            self.now.changed().await.ok()?;
        }
    }
}

/// The changes of a mirror, as a stream. An `Err` is the last item. Made by [`Mirror::changes`] and [`Mirror::follow`].
#[must_use = "a stream does nothing unless it is polled"]
pub struct MirrorChanges(Fuse<BoxStream<'static, Result<Changes>>>);

impl Stream for MirrorChanges {
    type Item = Result<Changes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

impl FusedStream for MirrorChanges {
    fn is_terminated(&self) -> bool {
        self.0.is_terminated()
    }
}

impl fmt::Debug for MirrorChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MirrorChanges").finish_non_exhaustive()
    }
}

//! A transfer that runs by itself.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::future::FutureExt;
use futures::stream::{Fuse, FusedStream, Stream, StreamExt};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::task::AbortOnDropHandle;

use super::progress::Progress;
use crate::call::Call;
use crate::error::{Error, ErrorKind, Result};
use crate::http::here;

/// A transfer under way in a task of its own: a future of its result. Made by the `start` method of uploads and of
/// downloads to a file.
///
/// Dropping it cancels the transfer, as [`Transfer::cancel`] does.
///
/// ```no_run
/// # async fn f(files: carbonfiles::Files) -> carbonfiles::Result<()> {
/// use futures::StreamExt;
///
/// let transfer = files.upload("film.mkv").start();
/// let mut progress = transfer.progress();
/// while let Some(now) = progress.next().await {
///     println!("{} bytes at {:?} B/s, {:?} left", now.sent, now.rate, now.eta());
/// }
/// println!("{}", transfer.await?.path);
/// # Ok(()) }
/// ```
#[must_use = "dropping a transfer cancels it"]
pub struct Transfer<T> {
    task: AbortOnDropHandle<Result<T>>,
    progress: ProgressWatch,
}

impl<T: Send + 'static> Transfer<T> {
    pub(crate) fn spawn(progress: ProgressWatch, call: Call<'static, T>) -> Self {
        let task: JoinHandle<_> = tokio::spawn(here(call));
        Self { task: AbortOnDropHandle::new(task), progress }
    }
}

impl<T> Transfer<T> {
    /// How far it is, from now on. Every watch sees all phases to the end; one that is slow misses reports between.
    #[must_use]
    pub fn progress(&self) -> ProgressWatch {
        self.progress.clone()
    }

    /// Stops it: the future then gives `Cancelled`, unless it was done already. What is left behind is what dropping the
    /// call leaves: nothing visible of an upload; of a download to a file the target as it was, and what can be resumed.
    pub fn cancel(&self) {
        self.task.abort();
    }

    /// What stops it from elsewhere, while the transfer itself is awaited.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller(self.task.abort_handle())
    }

    /// Whether it has ended, well or not.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }
}

impl<T> Future for Transfer<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(self.task.poll_unpin(cx)) {
            Ok(outcome) => outcome,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(ended) => Err(Error::new(ErrorKind::Cancelled, "the transfer was cancelled").caused_by(ended)),
            },
        })
    }
}

impl<T> fmt::Debug for Transfer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transfer").field("progress", &self.progress.current()).finish_non_exhaustive()
    }
}

/// Stops a [`Transfer`] from elsewhere. Dropping it does nothing.
#[derive(Debug, Clone)]
pub struct Canceller(AbortHandle);

impl Canceller {
    /// As [`Transfer::cancel`].
    pub fn cancel(&self) {
        self.0.abort();
    }
}

/// The progress of a [`Transfer`]: what it is now, and a stream of what it becomes, which ends when the transfer has.
///
/// Only the newest is kept: who is slow misses what was between, never the last. A transfer that failed or was cancelled
/// ends without [`Phase::Done`](crate::Phase::Done); why, its future tells.
pub struct ProgressWatch {
    receiver: watch::Receiver<Progress>,
    changes: Fuse<Pin<Box<dyn Stream<Item = Progress> + Send + Sync>>>,
}

impl ProgressWatch {
    pub(crate) fn new(receiver: watch::Receiver<Progress>) -> Self {
        let mut seen = receiver.clone();
        // So that the first item is what there is, not what comes next.
        seen.mark_changed();
        let changes = futures::stream::unfold(seen, |mut seen| async move {
            seen.changed().await.ok()?;
            let now = *seen.borrow_and_update();
            Some((now, seen))
        });
        let changes: Pin<Box<dyn Stream<Item = Progress> + Send + Sync>> = Box::pin(changes);
        Self { receiver, changes: changes.fuse() }
    }

    /// How far it is now, or was when it ended.
    #[must_use]
    pub fn current(&self) -> Progress {
        *self.receiver.borrow()
    }
}

impl Clone for ProgressWatch {
    fn clone(&self) -> Self {
        Self::new(self.receiver.clone())
    }
}

impl Stream for ProgressWatch {
    type Item = Progress;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Progress>> {
        self.changes.poll_next_unpin(cx)
    }
}

impl FusedStream for ProgressWatch {
    fn is_terminated(&self) -> bool {
        self.changes.is_terminated()
    }
}

impl fmt::Debug for ProgressWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProgressWatch").field(&self.current()).finish()
    }
}

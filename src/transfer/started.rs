//! A transfer that runs by itself.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::future::FutureExt;
use futures::stream::{Fuse, FusedStream, Stream, StreamExt};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::progress::Progress;
use crate::blocking::unless_panicked;
use crate::call::Call;
use crate::error::{Error, ErrorKind, Fate, Result};
use crate::http::here;

/// A transfer under way in a task of its own: a future of its result. Made by the `start` method of uploads, of downloads
/// to a file, and of batches and syncs, which report a [`BatchProgress`](crate::files::BatchProgress).
///
/// Dropping it gives up all of it. What is left behind is what dropping the call leaves: nothing visible of an upload; of a
/// download to a file the target as it was, and what can be resumed.
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
pub struct Transfer<T, P = Progress> {
    task: AbortOnDropHandle<Result<T>>,
    progress: ProgressWatch<P>,
    canceller: Canceller,
}

impl<T: Send + 'static, P> Transfer<T, P> {
    /// One that is aborted when it is cancelled.
    pub(crate) fn spawn(progress: ProgressWatch<P>, call: Call<'static, T>) -> Self {
        let task = run(call);
        Self { canceller: Canceller(Cancel::Abort(task.abort_handle())), task, progress }
    }

    /// One that ends by itself when it is cancelled: `call` heeds the token.
    pub(crate) fn spawn_heeding(token: CancellationToken, progress: ProgressWatch<P>, call: Call<'static, T>) -> Self {
        Self { canceller: Canceller(Cancel::Ask(token)), task: run(call), progress }
    }
}

fn run<T: Send + 'static>(call: Call<'static, T>) -> AbortOnDropHandle<Result<T>> {
    AbortOnDropHandle::new(tokio::spawn(here(call)))
}

impl<T, P> Transfer<T, P> {
    /// Stops it; what is under way is given up, as when it is dropped.
    ///
    /// The future of a single transfer then gives `Cancelled`, unless it was done already. That of a batch or a sync gives
    /// its outcome, which says of each file what was done; while folders and listings are still looked through there is
    /// none, so it gives `Cancelled` too. After the end it does nothing.
    pub fn cancel(&self) {
        self.canceller.cancel();
    }

    /// What stops it from elsewhere, while the transfer itself is awaited.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Whether it has ended, well or not.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }
}

impl<T, P: Clone + Send + Sync + 'static> Transfer<T, P> {
    /// How far it is, from now on. Only the newest report is kept: a watch begins with what there is, misses what came
    /// between two looks, and never the last.
    #[must_use]
    pub fn progress(&self) -> ProgressWatch<P> {
        self.progress.clone()
    }
}

impl<T, P> Future for Transfer<T, P> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(self.task.poll_unpin(cx)) {
            Ok(outcome) => outcome,
            Err(ended) => Err(Error::new(ErrorKind::Cancelled, "the transfer was cancelled")
                .with_fate(Fate::Unknown)
                .caused_by(unless_panicked(ended))),
        })
    }
}

impl<T, P: Clone + fmt::Debug> fmt::Debug for Transfer<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transfer").field("progress", &self.progress.current()).finish_non_exhaustive()
    }
}

/// Stops a [`Transfer`] from elsewhere. Dropping it does nothing.
#[derive(Debug, Clone)]
pub struct Canceller(Cancel);

#[derive(Debug, Clone)]
enum Cancel {
    Abort(AbortHandle),
    /// A token keeps the word, also for a task that has not been polled yet.
    Ask(CancellationToken),
}

impl Canceller {
    /// As [`Transfer::cancel`].
    pub fn cancel(&self) {
        match &self.0 {
            Cancel::Abort(task) => task.abort(),
            Cancel::Ask(token) => token.cancel(),
        }
    }
}

/// The progress of a [`Transfer`]: what it is now, and a stream of what it becomes, which ends when the transfer has.
///
/// Only the newest is kept: who is slow misses what was between, never the last. A transfer that failed or was cancelled
/// ends without [`Phase::Done`](crate::Phase::Done); why, its future tells. That of a batch or a sync ends with a report that
/// is [`finished`](crate::files::BatchProgress::finished) where there is an outcome.
pub struct ProgressWatch<P = Progress> {
    receiver: watch::Receiver<P>,
    changes: Fuse<Pin<Box<dyn Stream<Item = P> + Send + Sync>>>,
}

impl<P: Clone + Send + Sync + 'static> ProgressWatch<P> {
    pub(crate) fn new(receiver: watch::Receiver<P>) -> Self {
        let mut seen = receiver.clone();
        // So that the first item is what there is, not what comes next.
        seen.mark_changed();
        let changes = futures::stream::unfold(seen, |mut seen| async move {
            seen.changed().await.ok()?;
            let now = seen.borrow_and_update().clone();
            Some((now, seen))
        });
        let changes: Pin<Box<dyn Stream<Item = P> + Send + Sync>> = Box::pin(changes);
        Self { receiver, changes: changes.fuse() }
    }
}

impl<P: Clone> ProgressWatch<P> {
    /// How far it is now, or was when it ended.
    #[must_use]
    pub fn current(&self) -> P {
        self.receiver.borrow().clone()
    }
}

impl<P: Clone + Send + Sync + 'static> Clone for ProgressWatch<P> {
    fn clone(&self) -> Self {
        Self::new(self.receiver.clone())
    }
}

impl<P> Stream for ProgressWatch<P> {
    type Item = P;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<P>> {
        self.changes.poll_next_unpin(cx)
    }
}

impl<P> FusedStream for ProgressWatch<P> {
    fn is_terminated(&self) -> bool {
        self.changes.is_terminated()
    }
}

impl<P: Clone + fmt::Debug> fmt::Debug for ProgressWatch<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProgressWatch").field(&self.current()).finish()
    }
}

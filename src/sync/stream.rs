//! Carries a plan out: first the copies, then the deletions, each file told as soon as it is done.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use async_stream::try_stream;
use futures::stream::{BoxStream, Fuse, FusedStream, Stream, StreamExt};

use super::look::Memory;
use super::outcome::SyncOutcome;
use super::plan::SyncPlan;
use crate::call::Call;
use crate::error::Result;
use crate::files::{Batch, BatchFile, BatchStream, FileOutcome, Job, NotNow, Settings, Skipped, Totals, run};

/// One file of a sync, and what became of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SyncFile<T> {
    /// A file to copy.
    Copied(BatchFile<T>),
    /// A file to delete on the other side. They come last, and are skipped after a failure.
    Deleted(BatchFile<()>),
}

/// The files of a sync as they end. Made by [`SyncUp::stream`](super::SyncUp::stream) and
/// [`SyncDown::stream`](super::SyncDown::stream); see [`BatchStream`] for what holds between two of them. Dropping it gives up
/// what is under way.
///
/// An `Err` is of the sync as a whole, when all has been copied: the hashes could not be written to their file. Nothing is
/// deleted then. After a failed file, or a stop, an error of writing the hashes is not told: the failure is. What became of a
/// file is in its [`outcome`](BatchFile::outcome).
#[must_use = "a stream does nothing unless it is polled"]
pub struct SyncStream<'a, T> {
    plan: SyncPlan,
    files: Fuse<BoxStream<'a, Result<SyncFile<T>>>>,
    stopped: Arc<Stopped>,
}

#[derive(Default)]
struct Stopped {
    copying: AtomicBool,
    deleting: AtomicBool,
}

/// The hash of the local file at this path of the bucket, by what was copied, where it is known.
pub(super) type HashOf<T> = Box<dyn for<'t> Fn(&str, &'t T) -> Option<&'t str> + Send>;

/// What the sync after this one need not read again.
pub(super) type Learning<T> = (Memory, HashOf<T>);

impl<'a, T: Send + 'a> SyncStream<'a, T> {
    /// Takes the extra files of the other side, which are deleted unless anything fails before.
    pub(super) fn new<J, W>(
        plan: SyncPlan,
        mut copying: BatchStream<'a, T>,
        mut learning: Option<Learning<T>>,
        extras: Vec<Job<J>>,
        rest: Settings<'a>,
        mut delete: impl FnMut(J) -> W + Send + 'a,
    ) -> Self
    where
        J: Send + 'a,
        W: Future<Output = Result<()>> + Send + 'a,
    {
        let stopped = Arc::<Stopped>::default();
        let (stops, skip) = (stopped.clone(), plan.prefix.len());
        let files = try_stream! {
            let mut failed = false;
            while let Some(file) = copying.next().await {
                match (&file.outcome, &mut learning) {
                    (FileOutcome::Done(done), Some((memory, sha256))) => {
                        if let Some(sha256) = sha256(&file.path, done) {
                            memory.learn(&file.path[skip..], file.local.as_deref(), sha256).await;
                        }
                    }
                    (FileOutcome::Failed(_), _) => failed = true,
                    _ => {}
                }
                yield SyncFile::Copied(file);
            }
            if let Some((memory, _)) = &mut learning {
                match failed || copying.stopped() {
                    // Why it ended, and what was done, is not to be hidden by that.
                    true => memory.save_what_is_known().await,
                    false => memory.save().await?,
                }
            }
            stops.copying.store(copying.stopped(), Ordering::Relaxed);
            let extras = extras.into_iter().map(move |job| match failed || copying.stopped() {
                true => Job { work: Err(NotNow::Skipped(Skipped::NotStarted)), ..job },
                false => job,
            });
            let mut deleting = run(extras, Totals::listed(), rest, move |job, _| Call::new(delete(job)));
            while let Some(file) = deleting.next().await {
                yield SyncFile::Deleted(file);
            }
            stops.deleting.store(deleting.stopped(), Ordering::Relaxed);
        };
        let files: BoxStream<'a, Result<SyncFile<T>>> = files.boxed();
        Self { plan, files: files.fuse(), stopped }
    }

    pub(super) async fn outcome(mut self) -> Result<SyncOutcome<T>> {
        let (mut copied, mut deleted) = (Vec::new(), Vec::new());
        while let Some(file) = self.files.next().await {
            match file? {
                SyncFile::Copied(file) => copied.push(file),
                SyncFile::Deleted(file) => deleted.push(file),
            }
        }
        let copied = Batch::new(copied, self.stopped.copying.load(Ordering::Relaxed));
        let deleted = Batch::new(deleted, self.stopped.deleting.load(Ordering::Relaxed));
        Ok(SyncOutcome::new(self.plan, copied, deleted))
    }
}

impl<T> SyncStream<'_, T> {
    /// What is carried out: also what is the same on both sides, what is left, and what is reported.
    #[must_use]
    pub fn plan(&self) -> &SyncPlan {
        &self.plan
    }
}

impl<T> Stream for SyncStream<'_, T> {
    type Item = Result<SyncFile<T>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.files.poll_next_unpin(cx)
    }
}

impl<T> FusedStream for SyncStream<'_, T> {
    fn is_terminated(&self) -> bool {
        self.files.is_terminated()
    }
}

impl<T> fmt::Debug for SyncStream<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncStream").field("plan", &self.plan).finish_non_exhaustive()
    }
}

//! Works off many files: a bounded number at a time, each started late, in the task that awaits.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, OptionFuture, Shared};
use futures::stream::{self, BoxStream, Fuse, FusedStream, FuturesUnordered, Stream, StreamExt};
use tokio_util::sync::CancellationToken;

use super::batch::{Batch, BatchFile, FileOutcome, Skipped};
use super::progress::{BatchProgress, Listeners, Tally, Track};
use crate::call::Call;
use crate::error::{Error, ErrorKind, Result};
use crate::http::CallOptions;
use crate::transfer::ProgressWatch;

/// What happens when one of many files fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnFailure {
    /// No more are started, and those under way are given up.
    #[default]
    Stop,
    /// The others go on.
    GoOn,
}

/// How many files are under way at once, unless told otherwise.
pub(crate) const CONCURRENCY: usize = 8;

/// What every builder of a batch can be told.
pub(crate) struct Settings<'a> {
    pub(crate) concurrency: usize,
    pub(crate) on_failure: OnFailure,
    pub(crate) cancel: Option<Shared<BoxFuture<'a, ()>>>,
    pub(crate) listeners: Listeners<'a>,
    pub(crate) interval: Duration,
    /// For each request of it: of the listing, the transfers and the deletions.
    pub(crate) options: CallOptions,
}

impl Default for Settings<'_> {
    fn default() -> Self {
        Self {
            concurrency: CONCURRENCY,
            on_failure: OnFailure::default(),
            cancel: None,
            listeners: Listeners::default(),
            interval: Duration::from_millis(100),
            options: CallOptions::default(),
        }
    }
}

/// A signal that ends a batch, and the one after it.
pub(crate) fn signal<'a>(signal: impl Future<Output: Send> + Send + 'a) -> Shared<BoxFuture<'a, ()>> {
    async move { drop(signal.await) }.boxed().shared()
}

impl<'a> Settings<'a> {
    /// The same for a batch that comes after, whose progress is nobody's concern.
    pub(crate) fn without_progress(&self) -> Settings<'a> {
        let Self { concurrency, on_failure, cancel, .. } = self;
        Settings { concurrency: *concurrency, on_failure: *on_failure, cancel: cancel.clone(), ..Settings::default() }
    }

    /// Does what comes before the first file, unless the signal ends that.
    pub(crate) fn unless_cancelled<L, F>(&self, look: F) -> impl Future<Output = Result<L>> + use<'a, L, F>
    where
        F: Future<Output = Result<L>>,
    {
        let cancel = self.cancel.clone();
        async move {
            let Some(cancel) = cancel else { return look.await };
            tokio::select! {
                biased;
                () = cancel => Err(Error::new(ErrorKind::Cancelled, "cancelled before the first file")),
                found = look => found,
            }
        }
    }

    /// Prepares for a task of its own: whoever has the watch sees how far it is, and whoever has the token can end it, as
    /// the user's own signal still does.
    pub(crate) fn watched(&mut self) -> (CancellationToken, ProgressWatch<BatchProgress>) {
        let token = CancellationToken::new();
        let (asked, own) = (token.clone().cancelled_owned(), self.cancel.take());
        self.cancel = Some(signal(async move {
            let Some(own) = own else { return asked.await };
            tokio::select! {
                () = own => {}
                () = asked => {}
            }
        }));
        (token, self.listeners.watch())
    }

    /// The batch begins: refuses what can't be, and makes the limit of all run. Gives the options of each request.
    pub(crate) fn start(&mut self) -> Result<CallOptions> {
        if self.concurrency == 0 {
            return Err(Error::invalid_input("concurrency", "at least one file has to be under way"));
        }
        self.options.check()?;
        self.options.start(None);
        Ok(self.options.for_each())
    }
}

/// The setters of a builder whose [`Settings`] are in a field; with `@common`, of one whose files have no bytes to move.
macro_rules! many_setters {
    (@common $builder:ident, $($field:ident).+) => {
        $crate::http::call_options!(['a] $builder<'a>, $($field).+.options);

        impl<'a> $builder<'a> {
            /// What happens when a file fails: [`OnFailure::Stop`](crate::files::OnFailure::Stop) by default.
            pub fn on_failure(mut self, policy: $crate::files::OnFailure) -> Self {
                self.$($field).+.on_failure = policy;
                self
            }

            /// Ends it when this future does, whatever its output: `ctrl_c()`, a receiver, a token's `cancelled()`. What is
            /// under way is given up then, and the outcome says of each file what was done. While folders and listings are
            /// still looked through there is no outcome: then it is an error of the kind
            /// [`Cancelled`](crate::ErrorKind::Cancelled).
            pub fn cancel_when(mut self, signal: impl ::std::future::Future<Output: Send> + Send + 'a) -> Self {
                self.$($field).+.cancel = Some($crate::files::signal(signal));
                self
            }

            /// Sets a callback for the progress of all. It is called at the start, at most ten times a second, and at the
            /// end. It runs in the task that awaits the call, so it may borrow, and should be quick.
            pub fn progress(mut self, report: impl FnMut($crate::files::BatchProgress) + Send + 'a) -> Self {
                self.$($field).+.listeners.on_batch = Some(Box::new(report));
                self
            }

            /// The least time between two reports of the whole, and of each file; 100 ms by default.
            pub fn progress_interval(mut self, interval: ::std::time::Duration) -> Self {
                self.$($field).+.interval = interval;
                self
            }
        }
    };
    ($builder:ident, $($field:ident).+) => {
        $crate::files::many_setters!(@common $builder, $($field).+);

        impl<'a> $builder<'a> {
            /// How many files are under way at once; 8 by default. A file is opened only when its turn comes. Each holds
            /// [`UPLOAD_BUFFERS`](crate::UPLOAD_BUFFERS) or [`DOWNLOAD_BUFFERS`](crate::DOWNLOAD_BUFFERS) at most, and no more
            /// than its own length.
            pub fn concurrency(mut self, files: usize) -> Self {
                self.$($field).+.concurrency = files;
                self
            }

            /// Sets a callback for the progress of each file, with its path in the bucket.
            pub fn file_progress(mut self, report: impl FnMut(&str, $crate::Progress) + Send + 'a) -> Self {
                self.$($field).+.listeners.on_file = Some(Box::new(report));
                self
            }
        }
    };
}

pub(crate) use many_setters;

/// `.start()` for a builder whose [`Settings`] are in a field, with what is to be said of it beside the common:
/// `many_starts!(/// … UploadDir => Batch<UploadedFile>, settings)`.
macro_rules! many_starts {
    ($(#[$docs:meta])* $builder:ident => $output:ty, $($field:ident).+) => {
        impl $builder<'static> {
            /// Starts it in a task of its own: a future of the outcome, with a watch of the progress and `cancel()`.
            ///
            /// `cancel()` ends it as [`cancel_when`](Self::cancel_when) does, and may be used beside that: the future gives
            /// the outcome, which says of each file what was done, or `Cancelled` while folders and listings are still
            /// looked through. Dropping it ends it too, without an outcome. It needs a tokio runtime, and sources, callbacks
            /// and signals that borrow nothing. Callbacks are called in its task.
            ///
            $(#[$docs])*
            pub fn start(mut self) -> $crate::Transfer<$output, $crate::files::BatchProgress> {
                let (token, progress) = self.$($field).+.watched();
                $crate::Transfer::spawn_heeding(token, progress, self.send())
            }
        }
    };
}

pub(crate) use many_starts;

/// One file to work off.
pub(crate) struct Job<J> {
    pub(crate) path: String,
    pub(crate) local: Option<PathBuf>,
    pub(crate) size: Option<u64>,
    /// What to do, or why not.
    pub(crate) work: Result<J, NotNow>,
}

/// Why there is nothing to do for a file.
pub(crate) enum NotNow {
    Skipped(Skipped),
    Failed(Error),
}

/// What is known of all jobs before the first.
#[derive(Clone, Copy)]
pub(crate) struct Totals {
    /// They are a list: those which never begin can be told, and the bytes of all are known.
    listed: bool,
    files: Option<u64>,
    bytes: Option<u128>,
}

impl Totals {
    /// Of a list; what there is nothing to do for has no bytes.
    pub(crate) fn of<J>(jobs: &[Job<J>]) -> Self {
        let files = jobs.iter().filter(|job| !matches!(job.work, Err(NotNow::Skipped(_)))).count() as u64;
        let mut bytes = jobs.iter().filter(|job| job.work.is_ok());
        let bytes = bytes.try_fold(0u128, |all, job| Some(all + u128::from(job.size?)));
        Self { listed: true, files: Some(files), bytes }
    }

    /// Of a list whose files have no bytes.
    pub(crate) fn listed() -> Self {
        Self { listed: true, files: None, bytes: None }
    }

    /// Of an iterator that is taken from step by step.
    pub(crate) fn files(files: Option<usize>) -> Self {
        Self { listed: false, files: files.map(|files| files as u64), bytes: None }
    }
}

/// Starts working jobs off. Nothing happens before the stream is polled.
pub(crate) fn run<'a, J, T>(
    jobs: impl Iterator<Item = Job<J>> + Send + 'a,
    totals: Totals,
    settings: Settings<'a>,
    work: impl FnMut(J, Option<Track<'a>>) -> Call<'a, T> + Send + 'a,
) -> BatchStream<'a, T>
where
    J: Send + 'a,
    T: Send + 'a,
{
    let tally = Tally::new(settings.listeners, settings.interval);
    let stopped = Arc::new(AtomicBool::new(false));
    tally.expect(totals.files, totals.bytes);
    let run = Run {
        jobs,
        work,
        listed: totals.listed,
        tally,
        concurrency: settings.concurrency,
        on_failure: settings.on_failure,
        cancel: settings.cancel,
        under_way: FuturesUnordered::new(),
        given_up: Vec::new(),
        started: 0,
        phase: RunPhase::Going,
        stopped: stopped.clone(),
    };
    BatchStream {
        files: stream::unfold(run, |mut run| async move { run.next().await.map(|file| (file, run)) }).boxed().fuse(),
        stopped,
    }
}

struct Run<'a, I, F, T> {
    jobs: I,
    work: F,
    /// The jobs are a list, so that those which never begin can be told.
    listed: bool,
    tally: Tally<'a>,
    concurrency: usize,
    on_failure: OnFailure,
    cancel: Option<Shared<BoxFuture<'a, ()>>>,
    under_way: FuturesUnordered<UnderWay<'a, T>>,
    /// Those that were under way when it was stopped, the last one first.
    given_up: Vec<BatchFile<T>>,
    started: usize,
    phase: RunPhase,
    stopped: Arc<AtomicBool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RunPhase {
    Going,
    /// Nothing more begins.
    Drained,
    Stopped,
    Over,
}

/// One file that is worked on.
struct UnderWay<'a, T> {
    file: BatchName,
    work: Call<'a, T>,
}

/// Which file of a batch it is.
#[derive(Default)]
struct BatchName {
    index: usize,
    path: String,
    local: Option<PathBuf>,
}

impl<T> Future for UnderWay<'_, T> {
    type Output = (BatchName, Result<T>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let done = ready!(self.work.poll_unpin(cx));
        Poll::Ready((std::mem::take(&mut self.file), done))
    }
}

impl BatchName {
    fn with<T>(self, outcome: FileOutcome<T>) -> BatchFile<T> {
        let Self { index, path, local } = self;
        BatchFile { path, local, outcome, index }
    }
}

impl<'a, J, T, I, F> Run<'a, I, F, T>
where
    J: 'a,
    T: 'a,
    I: Iterator<Item = Job<J>>,
    F: FnMut(J, Option<Track<'a>>) -> Call<'a, T>,
{
    async fn next(&mut self) -> Option<BatchFile<T>> {
        loop {
            match self.phase {
                RunPhase::Over => return None,
                RunPhase::Stopped => return self.given_up(),
                RunPhase::Going if self.under_way.len() < self.concurrency => {
                    if let Some(file) = self.start() {
                        return Some(file);
                    }
                    continue;
                }
                RunPhase::Drained if self.under_way.is_empty() => {
                    self.phase = RunPhase::Over;
                    self.tally.finish();
                    return None;
                }
                RunPhase::Going | RunPhase::Drained => {}
            }
            tokio::select! {
                biased;
                Some(()) = OptionFuture::from(self.cancel.as_mut()) => self.stop(),
                ended = self.under_way.next() => if let Some((file, result)) = ended {
                    self.tally.ended(result.is_ok());
                    return Some(self.ended(file, result));
                },
                () = self.tally.catch_up() => {}
            }
        }
    }

    /// Starts the next job, or tells why there is nothing to do for it.
    fn start(&mut self) -> Option<BatchFile<T>> {
        let Some(job) = self.jobs.next() else {
            self.phase = RunPhase::Drained;
            self.tally.all_begun((!self.listed).then_some(self.started as u64));
            return None;
        };
        let size = job.size;
        let (file, work) = self.named(job);
        match work {
            Ok(work) => {
                let track = self.tally.is_used().then(|| self.tally.begin(&file.path, size));
                let work = (self.work)(work, track);
                self.under_way.push(UnderWay { file, work });
                None
            }
            Err(NotNow::Failed(error)) => {
                self.tally.ended(false);
                Some(self.ended(file, Err(error)))
            }
            Err(NotNow::Skipped(why)) => Some(file.with(FileOutcome::Skipped(why))),
        }
    }

    fn named(&mut self, job: Job<J>) -> (BatchName, Result<J, NotNow>) {
        let index = self.started;
        self.started += 1;
        (BatchName { index, path: job.path, local: job.local }, job.work)
    }

    fn ended(&mut self, file: BatchName, result: Result<T>) -> BatchFile<T> {
        file.with(match result {
            Ok(done) => FileOutcome::Done(done),
            Err(error) => {
                if self.on_failure == OnFailure::Stop {
                    self.stop();
                }
                FileOutcome::Failed(error)
            }
        })
    }

    fn stop(&mut self) {
        let given_up = std::mem::take(&mut self.under_way).into_iter();
        self.given_up = given_up.map(|one| one.file.with(FileOutcome::Skipped(Skipped::Cancelled))).collect();
        self.given_up.sort_by_key(|file| std::cmp::Reverse(file.index));
        self.stopped.store(true, Ordering::Relaxed);
        self.phase = RunPhase::Stopped;
    }

    /// After a stop: those that were under way, and then those of a list that never began.
    fn given_up(&mut self) -> Option<BatchFile<T>> {
        if let Some(file) = self.given_up.pop() {
            return Some(file);
        }
        if self.listed
            && let Some(job) = self.jobs.next()
        {
            let (file, work) = self.named(job);
            return Some(file.with(match work {
                Ok(_) => FileOutcome::Skipped(Skipped::NotStarted),
                Err(NotNow::Skipped(why)) => FileOutcome::Skipped(why),
                Err(NotNow::Failed(error)) => {
                    self.tally.ended(false);
                    FileOutcome::Failed(error)
                }
            }));
        }
        self.phase = RunPhase::Over;
        self.tally.finish();
        None
    }
}

/// Files as they end, in the order in which they do. Dropping it gives up what is under way; what is done stays done.
///
/// Bytes move only while it is polled. Whoever does something long between two files holds up those under way, and a server
/// may cut them (CarbonFiles cuts a body that rests for some seconds). Under
/// [`max_transfers`](crate::ClientBuilder::max_transfers) or
/// [`max_buffered_bytes`](crate::ClientBuilder::max_buffered_bytes) those under way also keep their room: to wait, between
/// two files, for another transfer of the same client can then be to wait for ever. Do such work in a task of its own.
#[must_use = "a stream does nothing unless it is polled"]
pub struct BatchStream<'a, T> {
    files: Fuse<BoxStream<'a, BatchFile<T>>>,
    stopped: Arc<AtomicBool>,
}

impl<'a, T> BatchStream<'a, T> {
    pub(crate) async fn collect_batch(mut self) -> Batch<T> {
        let mut files = Vec::new();
        while let Some(file) = self.next().await {
            files.push(file);
        }
        Batch::new(files, self.stopped())
    }

    /// It was ended by a failure, by a signal or by `cancel()`.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

impl<T> Stream for BatchStream<'_, T> {
    type Item = BatchFile<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.files.poll_next_unpin(cx)
    }
}

impl<T> FusedStream for BatchStream<'_, T> {
    fn is_terminated(&self) -> bool {
        self.files.is_terminated()
    }
}

impl<T> fmt::Debug for BatchStream<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchStream").finish_non_exhaustive()
    }
}

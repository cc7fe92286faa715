//! A content by several ranges at once, each pinned to the same ETag: as a stream in order, or into a file.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt, ready, try_join};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use http::{StatusCode, header};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::download::{Body, DownloadPlan, ENDED_EARLY, header_value};
use super::hashing::{Hasher, hash_file};
use super::info::ContentInfo;
use super::part::{Lock, write_all_at};
use super::progress::{Phase, Reporter};
use super::to_file::PartFile;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Request, Response, Transport};

/// The ranges of a content that are still to come; the first of them is coming already.
pub(super) struct Ranges {
    transport: Transport,
    request: Request,
    deadline: Option<Instant>,
    first: Body<'static>,
    etag: String,
    /// Of the whole content.
    pub(super) info: ContentInfo,
    pub(super) at: u64,
    end: u64,
    size: u64,
}

/// One range.
struct Range {
    start: u64,
    end: u64,
    body: BoxFuture<'static, Result<Body<'static>>>,
}

impl Ranges {
    /// How much a range brings where it waits in memory for those before it,
    pub(super) const IN_MEMORY: u64 = 2 << 20;
    /// and where it is written to its place at once: as much of each range may have to come again after a crash.
    pub(super) const TO_FILE: u64 = 4 << 20;

    /// Asks for the first range, from where an earlier download of that ETag ended. `None` where the server has no ranges,
    /// or does not say what would hold them together, or has another content by now: then it is asked for as a whole.
    pub(super) async fn begin(
        transport: Transport,
        request: Request,
        from: Option<(&str, u64)>,
        size: u64,
    ) -> Result<Option<Self>> {
        let mut first = request.clone();
        let at = from.map_or(0, |(_, at)| at);
        if let Some((etag, _)) = from {
            first = first.set_header(header::IF_RANGE, header_value("etag", etag)?);
        }
        let first = match one(&transport, first, at, at.saturating_add(size)).await {
            Ok(Some(first)) => first,
            Ok(None) => return Ok(None),
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::RangeNotSatisfiable) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let mut info = first.info().clone();
        let (Some(etag), Some(end)) = (info.strong_etag().map(str::to_owned), info.total) else { return Ok(None) };
        if from.is_some_and(|(old, _)| old != etag) {
            return Ok(None);
        }
        // What caps its parts would leave gaps.
        if info.length != Some(size.min(end - at)) {
            return Ok(None);
        }
        (info.start, info.length) = (0, Some(end));
        let deadline = first.deadline();
        Ok(Some(Self { transport, request, deadline, first, etag, info, at, end, size }))
    }

    /// The head of the answer, as that of the whole content.
    pub(super) fn head(&self) -> Response {
        let mut head = self.first.head();
        head.status = StatusCode::OK;
        head.headers.remove(header::CONTENT_RANGE);
        head.headers.insert(header::CONTENT_LENGTH, self.end.into());
        head
    }

    fn each(self) -> impl Iterator<Item = Range> + Send {
        let Self { transport, request, deadline, first, etag, at, end, size, .. } = self;
        let first_end = at.saturating_add(size).min(end);
        let rest = (first_end..end).step_by(size as usize).map(move |start| {
            let end = start.saturating_add(size).min(end);
            let body = pinned(transport.clone(), request.clone(), deadline, etag.clone(), start, end).boxed();
            Range { start, end, body }
        });
        std::iter::once(Range { start: at, end: first_end, body: ready(Ok(first)).boxed() }).chain(rest)
    }

    /// All of it in order; so many ranges come at once and wait in memory for those before them.
    pub(super) fn into_stream(self, at_once: usize) -> BoxStream<'static, Result<Bytes>> {
        let whole = |range: Range| async move {
            let mut body = range.body.await?;
            let mut chunks = Vec::new();
            while let Some(chunk) = body.next().await? {
                chunks.push(Ok(chunk));
            }
            Ok(stream::iter(chunks))
        };
        stream::iter(self.each()).map(whole).buffered(at_once).try_flatten().boxed()
    }
}

/// One range of whatever content there is; `None` for a 304.
async fn one(transport: &Transport, request: Request, start: u64, end: u64) -> Result<Option<Body<'static>>> {
    let range = Some(format!("bytes={start}-{}", end - 1));
    let plan = DownloadPlan {
        transport: transport.clone(),
        request,
        range,
        verify: false,
        sha256: None,
        reporter: Reporter::default(),
    };
    Ok(plan.start().await?.map(super::Download::into_body))
}

/// One range of the content with this ETag.
async fn pinned(
    transport: Transport,
    request: Request,
    deadline: Option<Instant>,
    etag: String,
    start: u64,
    end: u64,
) -> Result<Body<'static>> {
    let mut request = request.set_header(header::IF_MATCH, header_value("etag", &etag)?);
    request.headers.remove(header::IF_NONE_MATCH);
    request.options = request.options.until(deadline);
    let changed = "the content was replaced while it was being read";
    match one(&transport, request, start, end).await {
        Ok(Some(body)) if body.info().etag.as_ref() == Some(&etag) && body.info().length == Some(end - start) => {
            Ok(body)
        }
        Ok(_) => Err(Error::new(ErrorKind::ContentChanged, changed)),
        Err(error) => Err(match error.kind() {
            ErrorKind::PreconditionFailed
            | ErrorKind::RangeNotSatisfiable
            | ErrorKind::NotFound
            | ErrorKind::Unsupported => error.with_kind(ErrorKind::ContentChanged),
            _ => error,
        }),
    }
}

/// Writes every range to its place, so many at once, and hashes what is there in order, behind them. Gives the SHA-256 that
/// the whole was compared with. When it is done nothing is written any more, whatever came of it.
pub(super) async fn save_ranges(
    plan: &mut DownloadPlan<'_>,
    ranges: Ranges,
    part: &mut PartFile,
    at_once: usize,
) -> Result<Option<String>> {
    let jobs = TaskTracker::new();
    let saved = write_ranges(plan, ranges, part, at_once, &jobs).await;
    jobs.close();
    jobs.wait().await;
    saved
}

async fn write_ranges(
    plan: &mut DownloadPlan<'_>,
    ranges: Ranges,
    part: &mut PartFile,
    at_once: usize,
    jobs: &TaskTracker,
) -> Result<Option<String>> {
    let opened = part.part_mut().await?;
    let (file, lock) = (opened.file.clone(), opened.lock());
    let (at, end) = (ranges.at, ranges.end);
    let expected = plan.sha256.as_deref().or(ranges.info.sha256()).filter(|_| plan.verify).map(str::to_owned);
    let compare = expected.is_some();
    let moved = Arc::new(Moved { count: AtomicU64::new(at), changed: Notify::new() });
    let (reached, behind) = watch::channel(at);
    plan.reporter.total = Some(end);
    plan.reporter.report(at, Phase::Sending);

    let mut writes = stream::iter(ranges.each())
        .map(|range| write(range, file.clone(), lock.clone(), moved.clone(), jobs.clone()))
        .buffered(at_once);
    let written = async {
        while let Some(end) = writes.try_next().await? {
            part.step(move |part| part.reached(end)).await?;
            reached.send_replace(end);
        }
        Ok(())
    };
    let hashed = async {
        match compare {
            true => follow(&file, behind, end).await.map(Some),
            false => Ok(None),
        }
    };
    let mut both = std::pin::pin!(try_join(written, hashed));
    let found = loop {
        tokio::select! {
            biased;
            done = &mut both => break done?.1,
            () = plan.reporter.beside(moved.changed.notified()) => {
                let count = moved.count.load(Ordering::Relaxed);
                let phase = if count == end { Phase::Hashing } else { Phase::Sending };
                plan.reporter.report(count, phase);
            }
        }
    };
    match (&expected, found) {
        (Some(expected), Some(found)) if *expected != found => {
            let message = format!("the bytes have the SHA-256 {found}, the server's is {expected}");
            Err(Error::new(ErrorKind::IntegrityMismatch, message))
        }
        _ => Ok(expected),
    }
}

/// How much of all ranges has come.
struct Moved {
    count: AtomicU64,
    changed: Notify,
}

/// Writes a range to its place; gives its end. The next chunk arrives while the last is written.
async fn write(
    range: Range,
    file: Arc<File>,
    lock: Option<Arc<Lock>>,
    moved: Arc<Moved>,
    jobs: TaskTracker,
) -> Result<u64> {
    let mut body = range.body.await?;
    let (mut position, mut job) = (range.start, None);
    loop {
        let chunk = body.next().await?;
        if let Some(job) = job.take() {
            finished(job).await?;
        }
        let Some(chunk) = chunk else {
            let whole = position == range.end;
            return if whole { Ok(position) } else { Err(Error::new(ErrorKind::Interrupted, ENDED_EARLY)) };
        };
        let length = chunk.len() as u64;
        let (file, lock) = (file.clone(), lock.clone());
        job = Some(jobs.spawn_blocking(move || {
            let written = write_all_at(&file, &chunk, position);
            drop(lock);
            written
        }));
        position += length;
        moved.count.fetch_add(length, Ordering::Relaxed);
        moved.changed.notify_one();
    }
}

async fn finished(job: tokio::task::JoinHandle<std::io::Result<()>>) -> Result<()> {
    match job.await {
        Ok(written) => written.map_err(|e| Error::io(format!("the target could not be written: {}", e.kind()), e)),
        Err(cause) => Err(Error::new(ErrorKind::Io, "the runtime stopped writing a file").caused_by(cause)),
    }
}

/// Hashes a file up to where it has been written without gaps, until it is whole.
async fn follow(file: &Arc<File>, mut reached: watch::Receiver<u64>, end: u64) -> Result<String> {
    let (mut hasher, mut at) = (Hasher::new(), 0);
    while at < end {
        let until = *reached.borrow_and_update();
        if at < until {
            at = hash_file(&mut hasher, file, at, until).await?;
        } else if reached.changed().await.is_err() {
            // The writing has failed, and says why.
            std::future::pending::<()>().await;
        }
    }
    hasher.finish().await
}

impl<'a> DownloadPlan<'a> {
    /// As [`DownloadPlan::start`], by so many ranges at once where the server has them. A plan with a range of its own
    /// comes as one stream.
    pub(crate) async fn start_parallel(self, at_once: usize) -> Result<Option<super::Download<'a>>> {
        if at_once < 2 || self.range.is_some() {
            return self.start().await;
        }
        match Ranges::begin(self.transport.clone(), self.request.clone(), None, Ranges::IN_MEMORY).await? {
            Some(ranges) => Ok(Some(self.ranged(ranges, at_once))),
            None => self.start().await,
        }
    }
}

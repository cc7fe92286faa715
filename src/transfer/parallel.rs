//! A content by several ranges at once, each pinned to the same ETag: as a stream in order, or into a file.

use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt, ready, try_join};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use http::{StatusCode, header};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::asked::Wanted;
use super::beside::{Beside, Work};
use super::body::{Body, ENDED_EARLY};
use super::gathering::Gathering;
use super::hashing::Hasher;
use super::info::{ContentInfo, was_hashed_since};
use super::part::{Lock, Part};
use super::part_file::PartFile;
use super::plan::{DownloadPlan, changed_if_gone, header_value};
use super::positioned::write_all_at;
use super::progress::{Phase, Reporter};
use super::to_file::{gone_bad, no_range};
use super::{CHUNK, DOWNLOAD_BUFFERS};
use crate::error::{Error, ErrorKind, Result, reason};
use crate::http::{Request, Response, Room, Transport, Way};

/// The ranges of a content that are still to come; the first of them is coming already.
pub(super) struct Ranges {
    asking: Asking,
    deadline: Option<Instant>,
    first: Box<Body<'static>>,
    etag: String,
    /// Of all that is wanted.
    pub(super) info: ContentInfo,
    pub(super) at: u64,
    end: u64,
    /// Not the whole content is wanted, but a part of it.
    is_part: bool,
}

/// How each of the ranges is asked for.
#[derive(Clone)]
pub(super) struct Asking {
    pub(super) transport: Transport,
    pub(super) request: Request,
    /// Of how many bytes a range is.
    pub(super) size: u64,
    /// Room for all of them was taken beforehand; else each takes its own.
    pub(super) has_room: bool,
}

/// One range.
struct Range {
    start: u64,
    end: u64,
    body: BoxFuture<'static, Result<Box<Body<'static>>>>,
}

impl Ranges {
    /// How much a range brings where it waits in memory for those before it,
    pub(super) const IN_MEMORY: u64 = 2 << 20;
    /// and where it is written to its place at once: as much of each range may have to come again after a crash.
    pub(super) const TO_FILE: u64 = 4 << 20;

    /// Asks for the first range, within `room`; from where an earlier download of that ETag ended, if one did. `None` where
    /// the server has no ranges, or does not say what would hold them together, or has another content by now.
    pub(super) async fn begin(
        asking: Asking,
        from: Option<(&str, u64)>,
        wanted: Option<Wanted>,
        room: Room,
    ) -> Result<Option<Self>> {
        let mut first = asking.request.clone();
        let at = match (from, wanted) {
            (Some((_, at)), _) => at,
            (None, Some(Wanted::From(first) | Wanted::Within(first, _))) => first,
            (None, Some(Wanted::Last(_)) | None) => 0,
        };
        if let Some((etag, _)) = from {
            first = first.set_header(header::IF_RANGE, header_value("etag", etag)?);
        }
        let until = |total| wanted.map_or(total, |wanted| wanted.end(total));
        let first_end = until(at.saturating_add(asking.size));
        let first = match asking.plan(first, at, first_end).start_within(room).await {
            Ok(Some(first)) => first,
            Ok(None) => return Ok(None),
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::RangeNotSatisfiable) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let mut info = first.info().clone();
        let (Some(etag), Some(total)) = (info.strong_etag().map(str::to_owned), info.total) else { return Ok(None) };
        let end = until(total);
        if from.is_some_and(|(old, _)| old != etag) {
            return Ok(None);
        }
        let is_part = wanted.is_some();
        let start = if is_part { at } else { 0 };
        (info.start, info.length) = (start, Some(end - start));
        let deadline = first.deadline();
        Ok(Some(Self { asking, deadline, first, etag, info, at, end, is_part }))
    }

    /// How many ranges there are.
    pub(super) fn count(&self) -> u64 {
        (self.end - self.at).div_ceil(self.asking.size)
    }

    /// The head of the answer, as that of all that is wanted.
    pub(super) fn head(&self) -> Response {
        let mut head = self.first.head();
        let (start, total) = (self.info.start, self.info.total.unwrap_or(self.end));
        head.describe_part(start, self.end, total);
        if !self.is_part {
            head.status = StatusCode::OK;
            head.headers.remove(header::CONTENT_RANGE);
        }
        head
    }

    fn each(self) -> impl Iterator<Item = Range> + Send {
        let Self { asking, deadline, first, etag, at, end, .. } = self;
        let size = asking.size;
        let first_end = at.saturating_add(size).min(end);
        let rest = (first_end..end).step_by(size as usize).map(move |start| {
            let end = start.saturating_add(size).min(end);
            let body = asking.clone().pinned(deadline, etag.clone(), start, end).boxed();
            Range { start, end, body }
        });
        std::iter::once(Range { start: at, end: first_end, body: ready(Ok(first)).boxed() }).chain(rest)
    }

    /// All of it in order; so many ranges come at once and wait in memory for those before them.
    pub(super) fn into_stream(self, at_once: usize) -> BoxStream<'static, Result<Bytes>> {
        let whole = |range: Range| async move {
            let mut body = range.body.await?;
            // What waits takes up what it says, however small the pieces are in which it comes.
            body.in_chunks();
            let mut chunks = Vec::new();
            while let Some(chunk) = body.next().await? {
                chunks.push(Ok(chunk));
            }
            Ok(stream::iter(chunks))
        };
        stream::iter(self.each()).map(whole).buffered(at_once).try_flatten().boxed()
    }
}

impl Asking {
    /// For one range of whatever content there is.
    fn plan(&self, request: Request, start: u64, end: u64) -> Box<DownloadPlan<'static>> {
        Box::new(DownloadPlan {
            transport: self.transport.clone(),
            request,
            range: Some(Wanted::Within(start, end - 1)),
            verify: false,
            sha256: None,
            anew: None,
            reporter: Reporter::default(),
        })
    }

    /// One range of the content with this ETag.
    async fn pinned(self, deadline: Option<Instant>, etag: String, start: u64, end: u64) -> Result<Box<Body<'static>>> {
        let mut request = self.request.clone().set_header(header::IF_MATCH, header_value("etag", &etag)?);
        request.was_there = true;
        request.headers.remove(header::IF_NONE_MATCH);
        request.options.end_by(deadline);
        let changed = "the content was replaced while it was being read";
        let is_same = |info: &ContentInfo| {
            let now = info.etag.as_deref().unwrap_or_default();
            (now == etag || was_hashed_since(&etag, now, info.total)) && info.length == Some(end - start)
        };
        let mut plan = self.plan(request, start, end);
        let room = if self.has_room { Room::default() } else { plan.room(1, DOWNLOAD_BUFFERS).await? };
        match plan.start_within(room).await {
            Ok(Some(body)) if is_same(body.info()) => Ok(body),
            Ok(_) => Err(Error::new(ErrorKind::ContentChanged, changed)),
            Err(error) if error.kind() == ErrorKind::Unsupported => Err(error.with_kind(ErrorKind::ContentChanged)),
            Err(error) => Err(changed_if_gone(error)),
        }
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
    let (at, end, deadline) = (ranges.at, ranges.end, ranges.deadline);
    let opened = part.part_mut().await?;
    let (file, lock, jobs) = (opened.file.clone(), opened.lock(), jobs.clone());
    let places = Arc::new(Places {
        file,
        lock,
        jobs,
        moved: AtomicU64::new(at),
        changed: Notify::new(),
        idle: Mutex::default(),
    });
    let expected = plan.sha256.as_deref().or(ranges.info.sha256()).filter(|_| plan.verify).map(str::to_owned);
    let compare = expected.is_some();
    let (reached, behind) = watch::channel(at);
    plan.reporter.total = Some(end);
    plan.reporter.report(at, Phase::Sending);

    let mut writes = stream::iter(ranges.each()).map(|range| places.clone().write(range)).buffered(at_once);
    let written = async {
        while let Some(end) = writes.try_next().await? {
            part.step(move |part| part.reached(end)).await?;
            reached.send_replace(end);
        }
        Ok(())
    };
    let hashed = async {
        match compare {
            true => follow(&places.file, behind, at, end).await.map(Some),
            false => Ok(None),
        }
    };
    let mut both = std::pin::pin!(try_join(written, hashed));
    let found = loop {
        tokio::select! {
            biased;
            done = &mut both => break done?.1,
            () = plan.reporter.beside(places.changed.notified()) => {
                let count = places.moved.load(Ordering::Relaxed);
                let phase = if count == end { Phase::Hashing } else { Phase::Sending };
                plan.reporter.report(count, phase);
            }
        }
    };
    if let Some((expected, found)) = expected.as_ref().zip(found.as_ref()) {
        plan.compare(found, expected, deadline).await?;
    }
    Ok(found)
}

/// Where the ranges are written to, and how much of all of them has come.
struct Places {
    file: Arc<File>,
    lock: Option<Arc<Lock>>,
    jobs: TaskTracker,
    moved: AtomicU64,
    changed: Notify,
    /// Buffers of ranges that are done, for those that follow.
    idle: Mutex<Vec<Gathering>>,
}

impl Places {
    /// Writes a range to its place; gives its end. The next chunks arrive while the last are written.
    async fn write(self: Arc<Self>, range: Range) -> Result<u64> {
        let mut body = range.body.await?;
        let mut position = range.start;
        let (file, lock, token) = (self.file.clone(), self.lock.clone(), self.jobs.token());
        let writing = Beside::new(Box::new(Writing { file, position, _lock: lock, _token: token }));
        let mut chunks = self.idle().pop().unwrap_or_default();
        while let Some(mut piece) = body.next().await? {
            let length = piece.len() as u64;
            position += length;
            self.moved.fetch_add(length, Ordering::Relaxed);
            self.changed.notify_one();
            while !piece.is_empty() {
                if let Some(chunk) = chunks.fill(&mut piece, Some(range.end.saturating_sub(position))) {
                    writing.push(chunk).await?;
                }
            }
        }
        if let Some(rest) = chunks.rest() {
            writing.push(rest).await?;
        }
        writing.finish().await?;
        self.idle().push(chunks);
        if position == range.end { Ok(position) } else { Err(Error::new(ErrorKind::Interrupted, ENDED_EARLY)) }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Gathering>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the next chunk of a range is written to.
struct Writing {
    file: Arc<File>,
    position: u64,
    _lock: Option<Arc<Lock>>,
    /// It is under way as long as this exists.
    _token: TaskTrackerToken,
}

impl Work for Writing {
    const STOPPED: &'static str = Part::STOPPED;
    /// There are several of them.
    const BEHIND: usize = 2 * CHUNK;

    fn take(&mut self, chunk: &[u8]) -> Result<()> {
        let written = write_all_at(&self.file, chunk, self.position);
        self.position += chunk.len() as u64;
        written.map_err(|e| Error::io(format!("the target could not be written: {}", reason(&e)), e))
    }
}

/// Hashes a file up to where it has been written without gaps, until it is whole. What is before `from` an earlier download
/// has written.
pub(super) async fn follow(file: &Arc<File>, mut reached: watch::Receiver<u64>, from: u64, end: u64) -> Result<String> {
    let (mut hasher, mut at) = (Hasher::new(), 0);
    while at < end {
        let until = *reached.borrow_and_update();
        if at < until {
            let found = at < from;
            let next = hasher.file(file, at, until).await;
            (hasher, at) = next.map_err(|error| if found { gone_bad(error) } else { error })?;
        } else if reached.changed().await.is_err() {
            // The writing has failed, and says why.
            std::future::pending::<()>().await;
        }
    }
    hasher.finish().await
}

impl<'a> DownloadPlan<'a> {
    /// As [`DownloadPlan::start`], by so many ranges at once where the server has them, or as many as the client's limits
    /// ever leave room for. All of that is taken at the start, and held until the last byte has been read.
    pub(crate) async fn start_parallel(self: Box<Self>, at_once: usize) -> Result<Option<super::Download<'a>>> {
        if at_once == 0 {
            return Err(no_range());
        }
        if at_once > 1 && matches!(self.range, Some(Wanted::Last(_))) {
            let why = "where the last bytes begin is not known beforehand, so they can't be fetched by several ranges";
            return Err(Error::invalid_input("parallel", why).with_hint("Ask for a range from a first byte on"));
        }
        let limits = &self.transport.config().limits;
        let fit = (limits.most_bytes(Way::Down) / Ranges::IN_MEMORY).saturating_sub(1);
        let fit = limits.most_transfers(Way::Down).min(usize::try_from(fit).unwrap_or(usize::MAX));
        let at_once = at_once.min(fit);
        match at_once {
            0 | 1 => self.start().await,
            // The plain way is small without it.
            _ => Box::pin(self.start_ranges(at_once)).await,
        }
    }

    async fn start_ranges(mut self: Box<Self>, at_once: usize) -> Result<Option<super::Download<'a>>> {
        // One that is read from, and those behind it.
        let window = |at_once: usize| (at_once as u64).saturating_add(1).saturating_mul(Ranges::IN_MEMORY);
        self.begin_limit();
        let mut room = self.room(at_once, window(at_once)).await?;
        let (transport, request) = (self.transport.clone(), self.request.clone());
        let asking = Asking { transport, request, size: Ranges::IN_MEMORY, has_room: true };
        match Ranges::begin(asking, None, self.range, Room::default()).await? {
            Some(ranges) => {
                let at_once = at_once.min(usize::try_from(ranges.count()).unwrap_or(usize::MAX));
                room.keep(at_once, window(at_once));
                Ok(Some(self.ranged(ranges, at_once, room)))
            }
            None => {
                room.keep(1, DOWNLOAD_BUFFERS);
                Ok(self.start_within(room).await?.map(super::Download::of))
            }
        }
    }
}

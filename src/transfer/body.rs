//! The body of a download while it is read: continued after a cut, checked at its end.

use std::pin::pin;

use bytes::Bytes;
use futures::stream::{BoxStream, TryStreamExt};
use http::{StatusCode, header};
use tokio::time::{Instant, sleep};

use super::asked::Wanted;
use super::gathering::Gathering;
use super::hashing::Hasher;
use super::info::{ContentInfo, Extent, was_hashed_since};
use super::plan::{DownloadPlan, changed_if_gone, header_value};
use super::progress::{Phase, Reporter};
use crate::error::{Error, ErrorKind, Result, TimeoutPhase};
use crate::http::{Receive, Response, RetryPolicy, Room, resuming, within};

pub(super) const ENDED_EARLY: &str = "the answer ended before its last byte";

/// So much between two cuts is headway; a server that gives less is not asked for ever.
const HEADWAY: u64 = 64 << 10;

/// The body of a download, wherever its bytes come from by now.
pub(crate) struct Body<'a> {
    plan: Box<DownloadPlan<'a>>,
    info: ContentInfo,
    response: Response,
    /// Where it comes by several ranges at once, in order.
    window: Option<BoxStream<'static, Result<Bytes>>>,
    start: u64,
    /// The next byte, counted from the start of the whole content.
    position: u64,
    /// One behind the last byte to come, where that is known.
    end: Option<u64>,
    /// One behind the last byte of this answer: before `end` where something on the way caps the parts that it lets through.
    answer_end: Option<u64>,
    hasher: Option<Hasher>,
    policy: RetryPolicy,
    /// Cuts since the download last got on.
    failures: u32,
    /// Where it last got on from.
    mark: u64,
    /// Where this answer begins.
    asked_at: u64,
    /// When the whole call has to be over.
    deadline: Option<Instant>,
    stage: Stage,
    done_later: bool,
    gathering: Option<Box<Gathered>>,
    /// Counts among the client's transfers.
    _room: Room,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Coming,
    /// All bytes have come, and are still to be compared.
    Whole,
    Over,
}

/// What comes while pieces are put together.
#[derive(Default)]
struct Gathered {
    chunks: Gathering,
    /// The piece that is taken from.
    piece: Bytes,
    /// Why no more come, told when what there is has been handed on.
    failed: Option<Error>,
}

impl<'a> Body<'a> {
    /// The body of this answer, from a position on.
    pub(super) fn new(
        mut plan: Box<DownloadPlan<'a>>,
        response: Response,
        info: ContentInfo,
        position: u64,
        hasher: Option<Hasher>,
        room: Room,
    ) -> Box<Self> {
        plan.reporter.total = info.length;
        plan.reporter.report(position - info.start, Phase::Sending);
        let retry = plan.request.options.retry();
        Box::new(Self {
            start: info.start,
            position,
            end: info.length.map(|length| info.start.saturating_add(length)),
            answer_end: Extent::of(response.status, &response.headers).end(),
            policy: retry.unwrap_or(&plan.transport.config().retry).clone(),
            plan,
            deadline: response.limits.deadline,
            response,
            window: None,
            hasher,
            failures: 0,
            mark: position,
            asked_at: position,
            info,
            stage: Stage::Coming,
            done_later: false,
            gathering: None,
            _room: room,
        })
    }

    /// Takes the bytes from here instead of from the answer.
    pub(super) fn comes_from(&mut self, window: BoxStream<'static, Result<Bytes>>) {
        self.window = Some(window);
    }

    /// Compares the whole with a SHA-256 that is known from elsewhere. Called before anything is read.
    #[cfg(feature = "file-storage")]
    pub(super) fn compare_with(&mut self, sha256: &str) {
        self.info = self.info.clone().known_as(Some(&sha256.to_owned()));
        self.hasher = Some(Hasher::new());
    }

    /// The body ends there, even where the answer ends before: what is on the way may cap the parts that it lets through.
    /// Without a name for the content it can't be gone on with.
    pub(super) fn go_on_until(&mut self, end: u64) {
        let (Some(here), Some(total), true) = (self.end, self.info.total, self.info.strong_etag().is_some()) else {
            return;
        };
        if here < end {
            let length = end - self.start;
            (self.end, self.info.length, self.plan.reporter.total) = (Some(end), Some(length), Some(length));
            self.response.describe_part(self.start, end, total);
        }
    }

    /// From now on it comes in whole chunks: for those that write it to where large pieces are better.
    pub(crate) fn in_chunks(&mut self) {
        self.gathering = Some(Box::default());
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        let next = match self.gathering {
            None => self.piece().await?,
            Some(_) => self.chunk().await?,
        };
        match &next {
            Some(chunk) => {
                if let Some(hasher) = &mut self.hasher {
                    hasher.update(chunk).await;
                }
            }
            None if self.stage == Stage::Whole => self.finish().await?,
            None => {}
        }
        Ok(next)
    }

    /// The next whole chunk, or what there is before the end or an error.
    async fn chunk(&mut self) -> Result<Option<Bytes>> {
        loop {
            let to_come = self.end.map(|end| end.saturating_sub(self.position));
            let Some(gathered) = &mut self.gathering else { return self.piece().await };
            if let Some(error) = gathered.failed.take() {
                return Err(error);
            }
            if !gathered.piece.is_empty() {
                match gathered.chunks.fill(&mut gathered.piece, to_come) {
                    Some(chunk) => return Ok(Some(chunk)),
                    // Its memory goes back before the next piece is asked for.
                    None => gathered.piece = Bytes::new(),
                }
            }
            let next = self.piece().await;
            let Some(gathered) = &mut self.gathering else { return next };
            match next {
                Ok(Some(piece)) => gathered.piece = piece,
                ended => match gathered.chunks.rest() {
                    None => return ended,
                    Some(rest) => {
                        gathered.failed = ended.err();
                        return Ok(Some(rest));
                    }
                },
            }
        }
    }

    /// The next piece, as it comes.
    async fn piece(&mut self) -> Result<Option<Bytes>> {
        match self.window {
            // What is seldom needed lies elsewhere: this is a part of whatever reads a body.
            Some(_) => Box::pin(self.window_piece()).await,
            None => self.answer_piece().await,
        }
    }

    /// The next piece that the ranges have brought: each of them goes on by itself after a cut.
    async fn window_piece(&mut self) -> Result<Option<Bytes>> {
        let Some(window) = self.window.as_mut().filter(|_| self.stage == Stage::Coming) else { return Ok(None) };
        match self.plan.reporter.beside(within(self.deadline, window.try_next())).await {
            Ok(Some(piece)) => return self.took(piece).map(Some),
            Ok(None) if self.end.is_none_or(|end| end == self.position) => self.stage = Stage::Whole,
            Ok(None) => self.give_up(Error::new(ErrorKind::Interrupted, ENDED_EARLY))?,
            Err(error) => self.give_up(error)?,
        }
        Ok(None)
    }

    /// The next piece from the transport; after a cut, of another answer.
    async fn answer_piece(&mut self) -> Result<Option<Bytes>> {
        while self.stage == Stage::Coming {
            // Pinned here: it would be copied on its way into another future.
            let next = {
                let next = pin!(self.response.chunk());
                self.plan.reporter.beside(next).await
            };
            match next {
                Ok(Some(piece)) => return self.took(piece).map(Some),
                Ok(None) if self.end.is_none_or(|end| end == self.position) => self.stage = Stage::Whole,
                Ok(None) if self.answer_end == Some(self.position) && self.position - self.asked_at >= HEADWAY => {
                    Box::pin(self.ask_for_rest(Error::new(ErrorKind::Interrupted, ENDED_EARLY))).await?;
                }
                // Boxed as above.
                Ok(None) => Box::pin(self.resume(Error::new(ErrorKind::Interrupted, ENDED_EARLY))).await?,
                Err(error) => Box::pin(self.resume(error)).await?,
            }
        }
        Ok(None)
    }

    /// Gives back what it reports to, for another try.
    pub(crate) fn into_reporter(self) -> Reporter<'a> {
        self.plan.reporter
    }

    /// The SHA-256 that was checked, once the end has been reached.
    pub(crate) fn verified_sha256(&self) -> Option<&str> {
        (self.stage == Stage::Over && self.hasher.is_none())
            .then(|| self.info.sha256())
            .flatten()
            .filter(|_| self.plan.verify)
    }

    pub(crate) fn received(&self) -> u64 {
        self.position - self.start
    }

    fn took(&mut self, piece: Bytes) -> Result<Bytes> {
        let before = self.position;
        self.position = before.saturating_add(piece.len() as u64);
        if self.position - self.mark >= HEADWAY {
            (self.mark, self.failures) = (self.position, 0);
        }
        let end = if self.window.is_some() { self.end } else { self.answer_end };
        if end.is_some_and(|end| piece.len() as u64 > end.saturating_sub(before)) {
            self.stage = Stage::Over;
            return Err(self.broken(ErrorKind::IntegrityMismatch, "more bytes came than the server had announced"));
        }
        let received = self.received();
        self.plan.reporter.report(received, Phase::Sending);
        Ok(piece)
    }

    async fn finish(&mut self) -> Result<()> {
        self.stage = Stage::Over;
        if let Some(hasher) = self.hasher.take()
            && let Some(expected) = self.info.sha256()
        {
            let found = hasher.finish().await?;
            match self.plan.compare(&found, expected, self.deadline).await {
                Ok(()) => self.info = self.info.clone().known_as(Some(&found)),
                Err(error) => return Err(self.broken(error.kind(), error.message())),
            }
        }
        if !self.done_later {
            self.done();
        }
        Ok(())
    }

    /// Reports that all is done.
    pub(super) fn done(&mut self) {
        let received = self.received();
        self.plan.reporter.done(received);
    }

    /// The end of the bytes is not the end of what is done with them: who asked says when that is.
    pub(crate) fn done_later(&mut self) {
        self.done_later = true;
    }

    pub(super) fn info(&self) -> &ContentInfo {
        &self.info
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The head of the answer alone.
    pub(super) fn head(&self) -> Response {
        self.response.head()
    }

    /// Asks for the rest after a cut, or gives the error back where that can't be.
    async fn resume(&mut self, error: Error) -> Result<()> {
        let passing = matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Timeout(TimeoutPhase::Receive));
        let named = self.info.strong_etag().is_some();
        if !(passing && named && self.end.is_some_and(|end| self.position < end)) {
            return self.give_up(error);
        }
        self.failures += 1;
        let pause = match self.failures {
            // Most are the only one.
            1 => self.policy.pause(1, None, self.deadline),
            failures => self.plan.transport.pause(&self.policy, failures, None, self.deadline),
        };
        let Some(delay) = pause else { return self.give_up(error) };
        let received = self.received();
        self.plan.reporter.report(received, Phase::Retrying { after: delay });
        self.plan.reporter.attempt += 1;
        resuming(self.position, delay, &error);
        sleep(delay).await;
        self.ask_for_rest(error).await
    }

    /// Asks for what is still to come of the same content, after this cut.
    async fn ask_for_rest(&mut self, cut: Error) -> Result<()> {
        let (Some(etag), Some(end)) = (self.info.strong_etag().map(str::to_owned), self.end) else {
            return self.give_up(cut);
        };
        let mut rest = self.ask_within(&etag, end).await?;
        let now = rest.etag.clone().unwrap_or_default();
        let was_hashed = was_hashed_since(&etag, &now, rest.total);
        if was_hashed && self.response.status == StatusCode::OK {
            rest = self.ask_within(&now, end).await?;
        }
        let named = rest.etag.as_ref() == Some(if was_hashed { &now } else { &etag });
        let same = self.response.status == StatusCode::PARTIAL_CONTENT
            && rest.start == self.position
            && self.answer_end.is_some_and(|here| here <= end)
            && named;
        if same {
            return Ok(());
        }
        // The same content once more, from a route that has no ranges.
        if self.response.status == StatusCode::OK && named {
            return self.give_up(cut);
        }
        self.stage = Stage::Over;
        Err(self.broken(ErrorKind::ContentChanged, "the content was replaced while it was being read"))
    }

    /// Asks for what is still to come before `end`, of the content with this ETag.
    async fn ask_within(&mut self, etag: &str, end: u64) -> Result<ContentInfo> {
        let range = Wanted::Within(self.position, end - 1).to_string();
        let mut request = self
            .plan
            .request
            .clone()
            .receive(Receive::Head)
            .also_expect(&[])
            .set_header(header::RANGE, header_value("range", &range)?)
            .set_header(header::IF_RANGE, header_value("etag", etag)?);
        request.was_there = true;
        request.headers.remove(header::IF_NONE_MATCH);
        // The limit is for the whole of the download, not for each part of it.
        request.options.end_by(self.deadline);
        self.response = match self.plan.transport.send(request).await {
            Ok(response) => response,
            Err(error) => {
                self.stage = Stage::Over;
                return Err(changed_if_gone(error));
            }
        };
        (self.asked_at, self.answer_end) =
            (self.position, Extent::of(self.response.status, &self.response.headers).end());
        Ok(ContentInfo::of(self.response.status, &self.response.headers))
    }

    fn give_up(&mut self, error: Error) -> Result<()> {
        self.stage = Stage::Over;
        Err(error)
    }

    fn broken(&self, kind: ErrorKind, message: &str) -> Error {
        self.response.error(kind, message)
    }
}

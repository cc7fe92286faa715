//! Downloads: the head at once, the body as bytes, stream, reader or file; continued after a cut, checked at the end.

use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use futures::{Stream, poll};
use http::{HeaderValue, StatusCode, header};
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::io::StreamReader;

use super::DOWNLOAD_BUFFERS;
use super::hashing::Hasher;
use super::info::{ContentInfo, ContentRange, hash_in};
use super::parallel::Ranges;
use super::progress::{Phase, Reporter};
use crate::error::{Error, ErrorKind, Result, TimeoutPhase};
use crate::http::{Receive, Request, Response, RetryPolicy, Room, Transport, Way, later, resuming};

/// How to ask for a content: once at first, and again for the rest of it after a cut.
pub(crate) struct DownloadPlan<'a> {
    pub(crate) transport: Transport,
    /// Without the range.
    pub(crate) request: Request,
    /// `Range`, as the caller wants it.
    pub(crate) range: Option<String>,
    /// Compare the whole content with the hash in its ETag.
    pub(crate) verify: bool,
    /// The hash, where it is known beforehand: then the ETag need not be one.
    pub(crate) sha256: Option<String>,
    pub(crate) reporter: Reporter<'a>,
}

impl<'a> DownloadPlan<'a> {
    /// Asks for the content. `None` for a 304.
    pub(crate) async fn start(mut self) -> Result<Option<Download<'a>>> {
        let range = self.range.clone();
        let (response, room) = self.ask(range.as_deref(), None).await?;
        if response.status == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        if let Some(problem) = misfit(range.as_deref(), &response) {
            return Err(problem);
        }
        Ok(Some(Download::of(self.receive(response, room))))
    }

    /// Asks for the rest of a content, and for all of it where the server has another one by now, or no ranges.
    pub(super) async fn begin(&mut self, from: Option<Resumed>) -> Result<Body<'a>> {
        if let Some(from) = from {
            let range = format!("bytes={}-", from.at);
            match self.ask(Some(&range), Some(&from.etag)).await {
                Ok((response, room)) => {
                    let part = ContentInfo::of(response.status, &response.headers);
                    let rest = response.status == StatusCode::PARTIAL_CONTENT
                        && part.etag.as_ref() == Some(&from.etag)
                        && (part.start, part.total) == (from.at, Some(from.length))
                        && part.length == Some(from.length - from.at);
                    if rest {
                        return Ok(self.lend().receive_rest(response, room, from));
                    }
                    if response.status == StatusCode::OK {
                        return Ok(self.lend().receive(response, room));
                    }
                }
                Err(error) if error.kind() == ErrorKind::RangeNotSatisfiable => {}
                Err(error) => return Err(error),
            }
        }
        let (response, room) = self.ask(None, None).await?;
        match misfit(None, &response) {
            Some(problem) => Err(problem),
            None => Ok(self.lend().receive(response, room)),
        }
    }

    /// For a body, which gives the reporter back at its end.
    fn lend(&mut self) -> Self {
        let (transport, request, range) = (self.transport.clone(), self.request.clone(), self.range.clone());
        let (sha256, reporter) = (self.sha256.clone(), std::mem::take(&mut self.reporter));
        Self { transport, request, range, verify: self.verify, sha256, reporter }
    }

    async fn ask(&mut self, range: Option<&str>, if_range: Option<&str>) -> Result<(Response, Room)> {
        let mut request = self.request.clone().receive(Receive::Head).also_expect(&[StatusCode::NOT_MODIFIED]);
        if let Some(range) = range {
            request = request.set_header(header::RANGE, header_value("range", range)?);
        }
        if let Some(etag) = if_range {
            request = request.set_header(header::IF_RANGE, header_value("etag", etag)?);
        }
        let room = self.room(&request).await?;
        Ok((self.transport.send(request).await?, room))
    }

    fn info_of(&self, response: &Response) -> ContentInfo {
        let redirecting = response.api_etag.as_ref().and_then(|tag| hash_in(tag.to_str().ok()?)).map(str::to_owned);
        let known = self.sha256.clone().or(redirecting);
        ContentInfo::of(response.status, &response.headers).known_as(known.as_ref())
    }

    fn receive(self, response: Response, room: Room) -> Body<'a> {
        let info = self.info_of(&response);
        let whole = info.start == 0 && info.length == info.total;
        let hasher = (self.verify && whole && info.sha256().is_some()).then(Hasher::new);
        let start = info.start;
        self.body(response, info, start, hasher, Some(room))
    }

    fn receive_rest(self, response: Response, room: Room, from: Resumed) -> Body<'a> {
        let mut info = self.info_of(&response);
        (info.start, info.length) = (0, info.total);
        let hasher = from.hasher.filter(|_| info.sha256().is_some());
        self.body(response, info, from.at, hasher, Some(room))
    }

    /// By several ranges at once.
    pub(super) fn ranged(self, ranges: Ranges, at_once: usize) -> Download<'a> {
        let (head, info) = (ranges.head(), ranges.info.clone().known_as(self.sha256.as_ref()));
        let hasher = (self.verify && info.sha256().is_some()).then(Hasher::new);
        let mut body = self.body(head, info, 0, hasher, None);
        body.window = Some(ranges.into_stream(at_once));
        Download::of(body)
    }

    fn body(
        mut self,
        response: Response,
        info: ContentInfo,
        position: u64,
        hasher: Option<Hasher>,
        room: Option<Room>,
    ) -> Body<'a> {
        self.reporter.total = info.length;
        self.reporter.report(position - info.start, Phase::Sending);
        let retry = &self.request.options.retry;
        Body {
            start: info.start,
            position,
            end: info.length.map(|length| info.start.saturating_add(length)),
            policy: retry.clone().unwrap_or_else(|| self.transport.config().retry.clone()),
            plan: self,
            deadline: response.limits.deadline,
            response,
            window: None,
            hasher,
            failures: 0,
            mark: position,
            info,
            ended: false,
            done_later: false,
            _room: room,
        }
    }

    /// What an earlier download has to be of, so that this one can go on with it: the URL, without its parameters.
    pub(super) fn source(&self) -> Result<String> {
        self.transport.url(&self.request.path).map(Into::into)
    }
}

/// The beginning of a content, which is here already.
pub(super) struct Resumed {
    pub(super) etag: String,
    pub(super) length: u64,
    /// So many bytes are here, and some are to come.
    pub(super) at: u64,
    /// Has seen these bytes.
    pub(super) hasher: Option<Hasher>,
}

impl DownloadPlan<'_> {
    /// Waits until the client's limits leave room for it, within the call's own limit.
    async fn room(&mut self, request: &Request) -> Result<Room> {
        let transport = self.transport.clone();
        let mut room = pin!(transport.room(Way::Down, DOWNLOAD_BUFFERS));
        if let Poll::Ready(room) = poll!(room.as_mut()) {
            return Ok(room);
        }
        self.reporter.report(0, Phase::Queued);
        match transport.deadline(&request.options) {
            None => Ok(room.await),
            Some(deadline) => timeout_at(deadline, room).await.map_err(|_| {
                let message = "the client's other downloads left no room within the call's limit";
                Error::new(ErrorKind::Timeout(TimeoutPhase::Total), message)
            }),
        }
    }
}

/// What is wrong with the part that came, if it is not what was asked for.
fn misfit(range: Option<&str>, response: &Response) -> Option<Error> {
    let partial = response.status == StatusCode::PARTIAL_CONTENT;
    let (kind, problem) = match (range, partial, ContentRange::of(&response.headers)) {
        (None, false, _) if response.status == StatusCode::OK => return None,
        (None, false, _) => (ErrorKind::Decode, "the server sent another answer than the whole content"),
        (None, true, _) => (ErrorKind::Decode, "the server sent a part where the whole was asked for"),
        (Some(_), false, _) => {
            (ErrorKind::Unsupported, "the server sent the whole content where a range was asked for")
        }
        (Some(_), true, None) => (ErrorKind::Decode, "the partial answer does not say which part it is"),
        (Some(asked), true, Some(came)) => {
            let announced = response.headers.get(header::CONTENT_LENGTH).and_then(|l| l.to_str().ok()?.parse().ok());
            if came.answers(asked) && announced.is_none_or(|length: u64| length == came.end - came.start) {
                return None;
            }
            (ErrorKind::Decode, "the server sent another part than was asked for")
        }
    };
    Some(response.error(kind, problem))
}

pub(crate) fn header_value(argument: &'static str, text: &str) -> Result<HeaderValue> {
    HeaderValue::try_from(text).map_err(|_| Error::invalid_input(argument, "it can't be sent in a header"))
}

/// A download whose head is here and whose body is still to be read.
///
/// After a cut it goes on where it was, with `Range` and `If-Range`, as long as the server has the same content; else
/// the error is `ContentChanged`. Where the ETag is a SHA-256, as CarbonFiles', the whole is compared with it: the last
/// thing that comes is then `IntegrityMismatch` instead of the end. Dropping it ends the transfer.
pub struct Download<'a> {
    info: ContentInfo,
    body: Body<'a>,
}

impl<'a> Download<'a> {
    /// Type, length, ETag and the like.
    #[must_use]
    pub fn info(&self) -> &ContentInfo {
        &self.info
    }

    /// All of it in memory, if it has at most `limit` bytes.
    ///
    /// # Errors
    /// `PayloadTooLarge` for a longer one, before it is read where its length is known.
    pub async fn bytes(mut self, limit: usize) -> Result<Bytes> {
        let too_long = || {
            Error::new(ErrorKind::PayloadTooLarge, format!("the content is longer than the limit of {limit} bytes"))
                .with_hint("Raise the limit, or read it as a stream or into a file")
        };
        if self.info.length.is_some_and(|length| length > limit as u64) {
            return Err(too_long());
        }
        let mut whole = Vec::new();
        while let Some(chunk) = self.body.next().await? {
            if whole.len() + chunk.len() > limit {
                return Err(too_long());
            }
            if whole.is_empty() {
                // All at once, so that nothing is copied while it grows; a length that is a lie may be beyond memory.
                let length = usize::try_from(self.info.length.unwrap_or(0)).unwrap_or(usize::MAX);
                whole.try_reserve_exact(length).map_err(|cause| {
                    Error::new(ErrorKind::PayloadTooLarge, "there is no memory for the content").caused_by(cause)
                })?;
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.into())
    }

    /// The body as a stream of chunks.
    pub fn stream(self) -> DownloadStream<'a> {
        let Self { info, body } = self;
        let chunks = futures::stream::unfold(body, |mut body| async move {
            body.next().await.transpose().map(|chunk| (chunk, body))
        });
        DownloadStream { info, chunks: chunks.fuse().boxed() }
    }

    /// The body as an `AsyncRead` (and `AsyncBufRead`). This crate's error is inside the `io::Error`.
    pub fn reader(self) -> DownloadReader<'a> {
        let chunks: BoxStream<'a, io::Result<Bytes>> =
            self.stream().map(|chunk| chunk.map_err(io::Error::other)).boxed();
        DownloadReader(StreamReader::new(chunks))
    }

    /// The answer as one of your own service: its status (200, or 206 for a range), the headers that describe the content,
    /// and the body as a stream. Nothing else of the server's answer is passed on.
    pub fn into_http_response(self) -> http::Response<DownloadStream<'a>> {
        const PASSED_ON: [header::HeaderName; 8] = [
            header::CONTENT_TYPE,
            header::CONTENT_LENGTH,
            header::CONTENT_RANGE,
            header::CONTENT_DISPOSITION,
            header::ETAG,
            header::LAST_MODIFIED,
            header::ACCEPT_RANGES,
            header::CACHE_CONTROL,
        ];
        let (status, headers) = (self.body.response.status, self.body.response.headers.clone());
        let mut response = http::Response::new(self.stream());
        *response.status_mut() = status;
        for name in PASSED_ON {
            if let Some(value) = headers.get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response
    }

    fn of(body: Body<'a>) -> Self {
        Self { info: body.info.clone(), body }
    }

    /// Whether the whole content is on its way, and there is nothing to compare it with.
    #[cfg(feature = "file-storage")]
    pub(crate) fn lacks_hash(&self) -> bool {
        self.info.sha256().is_none() && self.info.start == 0 && self.info.length == self.info.total
    }

    /// Compares the content with a SHA-256 that is known from elsewhere than its ETag. Called before anything is read.
    #[cfg(feature = "file-storage")]
    pub(crate) fn compare_with(mut self, sha256: &String) -> Self {
        self.body.info = self.body.info.known_as(Some(sha256));
        self.body.hasher = Some(Hasher::new());
        Self::of(self.body)
    }

    pub(crate) fn into_body(self) -> Body<'a> {
        self.body
    }
}

impl fmt::Debug for Download<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download").field("info", &self.info).finish_non_exhaustive()
    }
}

/// A download's body as a stream of chunks. It ends after an error.
#[must_use = "a stream does nothing unless it is polled"]
pub struct DownloadStream<'a> {
    info: ContentInfo,
    chunks: BoxStream<'a, Result<Bytes>>,
}

impl DownloadStream<'_> {
    /// Type, length, ETag and the like.
    #[must_use]
    pub fn info(&self) -> &ContentInfo {
        &self.info
    }
}

impl Stream for DownloadStream<'_> {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.chunks.poll_next_unpin(cx)
    }
}

impl fmt::Debug for DownloadStream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadStream").field("info", &self.info).finish_non_exhaustive()
    }
}

/// A download's body as a reader.
pub struct DownloadReader<'a>(StreamReader<BoxStream<'a, io::Result<Bytes>>, Bytes>);

impl AsyncRead for DownloadReader<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncBufRead for DownloadReader<'_> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Pin::new(&mut self.get_mut().0).poll_fill_buf(cx)
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        Pin::new(&mut self.0).consume(amount);
    }
}

impl fmt::Debug for DownloadReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadReader").finish_non_exhaustive()
    }
}

pub(super) const ENDED_EARLY: &str = "the answer ended before its last byte";

/// So much between two cuts is headway; a server that gives less is not asked for ever.
const HEADWAY: u64 = 64 << 10;

/// The body of a download, wherever its bytes come from by now.
pub(crate) struct Body<'a> {
    plan: DownloadPlan<'a>,
    info: ContentInfo,
    response: Response,
    /// Where it comes by several ranges at once, in order.
    window: Option<BoxStream<'static, Result<Bytes>>>,
    start: u64,
    /// The next byte, counted from the start of the whole content.
    position: u64,
    /// One behind the last byte to come, where that is known.
    end: Option<u64>,
    hasher: Option<Hasher>,
    policy: RetryPolicy,
    /// Cuts since the download last got on.
    failures: u32,
    /// Where it last got on from.
    mark: u64,
    /// When the whole call has to be over.
    deadline: Option<Instant>,
    ended: bool,
    done_later: bool,
    /// Counts among the client's transfers.
    _room: Option<Room>,
}

impl<'a> Body<'a> {
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        while !self.ended {
            if let Some(window) = &mut self.window {
                let next = match self.deadline {
                    None => self.plan.reporter.beside(window.next()).await,
                    Some(deadline) => timeout_at(deadline, window.next()).await.unwrap_or_else(|_| {
                        let kind = ErrorKind::Timeout(TimeoutPhase::Total);
                        Some(Err(Error::new(kind, "the call took longer than its limit")))
                    }),
                };
                match next {
                    Some(Ok(chunk)) => return self.took(chunk).await.map(Some),
                    Some(Err(error)) => self.give_up(error)?,
                    None if self.end.is_none_or(|end| end == self.position) => {
                        return self.finish().await.map(|()| None);
                    }
                    None => self.give_up(Error::new(ErrorKind::Interrupted, ENDED_EARLY))?,
                }
                continue;
            }
            match self.plan.reporter.beside(self.response.chunk()).await {
                Ok(Some(chunk)) => return self.took(chunk).await.map(Some),
                Ok(None) if self.end.is_none_or(|end| end == self.position) => {
                    return self.finish().await.map(|()| None);
                }
                Ok(None) => {
                    self.resume(Error::new(ErrorKind::Interrupted, ENDED_EARLY)).await?;
                }
                Err(error) => self.resume(error).await?,
            }
        }
        Ok(None)
    }

    /// Gives back what it reports to, for another try.
    pub(super) fn into_reporter(self) -> Reporter<'a> {
        self.plan.reporter
    }

    /// The SHA-256 that was checked, once the end has been reached.
    pub(crate) fn verified_sha256(&self) -> Option<&str> {
        (self.ended && self.hasher.is_none()).then(|| self.info.sha256()).flatten().filter(|_| self.plan.verify)
    }

    pub(crate) fn received(&self) -> u64 {
        self.position - self.start
    }

    async fn took(&mut self, chunk: Bytes) -> Result<Bytes> {
        self.position += chunk.len() as u64;
        if self.position - self.mark >= HEADWAY {
            (self.mark, self.failures) = (self.position, 0);
        }
        if self.end.is_some_and(|end| self.position > end) {
            self.ended = true;
            return Err(self.broken(ErrorKind::IntegrityMismatch, "more bytes came than the server had announced"));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&chunk).await;
        }
        let received = self.received();
        self.plan.reporter.report(received, Phase::Sending);
        Ok(chunk)
    }

    async fn finish(&mut self) -> Result<()> {
        self.ended = true;
        if let (Some(hasher), Some(expected)) = (self.hasher.take(), self.info.sha256()) {
            let found = hasher.finish().await?;
            if found != expected {
                let message = format!("the bytes have the SHA-256 {found}, the server's is {expected}");
                return Err(self.broken(ErrorKind::IntegrityMismatch, &message));
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
    pub(super) fn done_later(&mut self) {
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
        let (Some(etag), Some(end), true) = (self.info.strong_etag(), self.end, passing) else {
            return self.give_up(error);
        };
        self.failures += 1;
        if self.failures >= self.policy.max_attempts || end == self.position {
            return self.give_up(error);
        }
        let (etag, range) = (header_value("etag", etag)?, format!("bytes={}-{}", self.position, end - 1));
        let Some(delay) = self.policy.delay(self.failures, None) else { return self.give_up(error) };
        let over = self.deadline.is_some_and(|deadline| later(Instant::now(), delay) >= deadline);
        if over || (self.failures > 1 && !self.plan.transport.take_from_budget()) {
            return self.give_up(error);
        }
        let received = self.received();
        self.plan.reporter.report(received, Phase::Retrying { after: delay });
        self.plan.reporter.attempt += 1;
        resuming(self.position, delay, &error);
        sleep(delay).await;

        let mut request = self
            .plan
            .request
            .clone()
            .receive(Receive::Head)
            .set_header(header::RANGE, header_value("range", &range)?)
            .set_header(header::IF_RANGE, etag);
        request.headers.remove(header::IF_NONE_MATCH);
        // The limit is for the whole of the download, not for each part of it.
        request.options = request.options.until(self.deadline);
        self.response = match self.plan.transport.send(request).await {
            Ok(response) => response,
            Err(error) => {
                self.ended = true;
                let gone = matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::RangeNotSatisfiable | ErrorKind::PreconditionFailed
                );
                return Err(if gone { error.with_kind(ErrorKind::ContentChanged) } else { error });
            }
        };
        let rest = ContentInfo::of(self.response.status, &self.response.headers);
        let same = self.response.status == StatusCode::PARTIAL_CONTENT
            && rest.start == self.position
            && rest.length == Some(end - self.position)
            && rest.etag == self.info.etag;
        if same {
            return Ok(());
        }
        self.ended = true;
        Err(self.broken(ErrorKind::ContentChanged, "the content was replaced while it was being read"))
    }

    fn give_up(&mut self, error: Error) -> Result<()> {
        self.ended = true;
        Err(error)
    }

    fn broken(&self, kind: ErrorKind, message: &str) -> Error {
        self.response.error(kind, message)
    }
}

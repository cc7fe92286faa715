//! How a content is asked for, and what of an answer is taken for it.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures::future::BoxFuture;
use futures::poll;
use http::{HeaderValue, StatusCode, header};
use tokio::time::{Instant, timeout_at};

use super::DOWNLOAD_BUFFERS;
use super::asked::{ASK_BY_CONDITION, UNASKED, Wanted};
use super::body::Body;
use super::download::Download;
use super::hashing::Hasher;
use super::info::{ContentInfo, ContentRange, hash_in};
use super::parallel::Ranges;
use super::progress::Reporter;
use crate::error::{Error, ErrorKind, Result, TimeoutPhase};
use crate::http::{CallOptions, Receive, Request, Response, Room, Transport, Way};

/// How to ask for a content: once at first, and again for the rest of it after a cut. It is passed on in a box: it is large, and
/// lies in each future on its way.
pub(crate) struct DownloadPlan<'a> {
    pub(crate) transport: Transport,
    /// Without the range.
    pub(crate) request: Request,
    /// What of it the caller wants; `None` for all.
    pub(crate) range: Option<Wanted>,
    /// Compare the whole content with the hash in its ETag.
    pub(crate) verify: bool,
    /// The hash, where it is known beforehand: then the ETag need not be one.
    pub(crate) sha256: Option<String>,
    /// Asked where the bytes are not what the ETag says.
    pub(crate) anew: Option<Arc<dyn AskAnew>>,
    pub(crate) reporter: Reporter<'a>,
}

/// Tells the SHA-256 of a content from where nothing is remembered: an ETag may be that of the content before.
pub(crate) trait AskAnew: Send + Sync {
    fn sha256(&self, options: CallOptions) -> BoxFuture<'static, Result<Option<String>>>;
}

impl<'a> DownloadPlan<'a> {
    /// Asks for the content. `None` for a 304.
    pub(crate) async fn start(mut self: Box<Self>) -> Result<Option<Download<'a>>> {
        self.begin_limit();
        let room = self.room(1, DOWNLOAD_BUFFERS).await?;
        Ok(self.start_within(room).await?.map(Download::of))
    }

    /// The same, in a room that is there already.
    pub(super) async fn start_within(mut self: Box<Self>, room: Room) -> Result<Option<Box<Body<'a>>>> {
        let response = self.ask(self.range, None).await?;
        if !self.is_content(self.range, &response)? {
            return Ok(None);
        }
        let range = self.range;
        let mut body = self.receive(response, room);
        if let Some((wanted, total)) = range.zip(body.info().total) {
            body.go_on_until(wanted.end(total));
        }
        Ok(Some(body))
    }

    /// Asks for the rest of a content, and for all of it where the server has another one by now, or no ranges. `None` for a
    /// 304.
    pub(super) async fn begin(&mut self, from: Option<Resumed>) -> Result<Option<Box<Body<'a>>>> {
        let room = self.room(1, DOWNLOAD_BUFFERS).await?;
        if let Some(from) = from {
            match self.ask(Some(Wanted::From(from.at)), Some(&from.etag)).await {
                Ok(response) => {
                    let part = ContentInfo::of(response.status, &response.headers);
                    // Perhaps not all of the rest: the body asks again for what is still missing.
                    let rest = response.status == StatusCode::PARTIAL_CONTENT
                        && part.etag.as_ref() == Some(&from.etag)
                        && (part.start, part.total) == (from.at, Some(from.length));
                    if rest {
                        return Ok(Some(self.lend().receive_rest(response, room, from)));
                    }
                    if response.status == StatusCode::OK {
                        return Ok(Some(self.lend().receive(response, room)));
                    }
                }
                Err(error) if error.kind() == ErrorKind::RangeNotSatisfiable => {}
                Err(error) => return Err(error),
            }
        }
        let response = self.ask(None, None).await?;
        let is_content = self.is_content(None, &response)?;
        Ok(is_content.then(|| self.lend().receive(response, room)))
    }

    /// Whether the content comes, or a 304 to a condition of ours: one that a header set by hand brings about is an error, as is
    /// any other answer.
    fn is_content(&self, range: Option<Wanted>, response: &Response) -> Result<bool> {
        if response.status == StatusCode::NOT_MODIFIED && self.request.headers.contains_key(header::IF_NONE_MATCH) {
            return Ok(false);
        }
        misfit(range, response).map_or(Ok(true), Err)
    }

    /// For a body, which gives the reporter back at its end.
    fn lend(&mut self) -> Box<Self> {
        let (transport, request) = (self.transport.clone(), self.request.clone());
        let (sha256, anew, reporter) = (self.sha256.clone(), self.anew.clone(), std::mem::take(&mut self.reporter));
        Box::new(Self { transport, request, range: self.range, verify: self.verify, sha256, anew, reporter })
    }

    async fn ask(&mut self, range: Option<Wanted>, if_range: Option<&str>) -> Result<Response> {
        (self.request.receive, self.request.also_expected) = (Receive::Head, &[StatusCode::NOT_MODIFIED]);
        let mut of_part = None;
        for (name, argument, value) in [
            (header::RANGE, "range", range.map(|range| range.to_string())),
            (header::IF_RANGE, "etag", if_range.map(str::to_owned)),
        ] {
            if let Some(value) = value {
                let request = of_part.take().unwrap_or_else(|| self.request.clone());
                of_part = Some(request.set_header(name, header_value(argument, &value)?));
            }
        }
        self.transport.send_kept(of_part.as_ref().unwrap_or(&self.request)).await
    }

    fn info_of(&self, response: &Response) -> ContentInfo {
        let redirecting = response.api_etag.as_ref().and_then(|tag| hash_in(tag.to_str().ok()?)).map(str::to_owned);
        let known = self.sha256.clone().or(redirecting);
        ContentInfo::of(response.status, &response.headers).known_as(known.as_ref())
    }

    fn receive(self: Box<Self>, response: Response, room: Room) -> Box<Body<'a>> {
        let info = self.info_of(&response);
        let (start, hasher) = (info.start, self.hasher(&info));
        Body::new(self, response, info, start, hasher, room)
    }

    fn receive_rest(self: Box<Self>, response: Response, room: Room, from: Resumed) -> Box<Body<'a>> {
        let mut info = self.info_of(&response);
        (info.start, info.length) = (0, info.total);
        let hasher = from.hasher.filter(|_| info.sha256().is_some());
        Body::new(self, response, info, from.at, hasher, room)
    }

    /// By several ranges at once.
    pub(super) fn ranged(self: Box<Self>, ranges: Ranges, at_once: usize, room: Room) -> Download<'a> {
        let (head, info) = (ranges.head(), ranges.info.clone().known_as(self.sha256.as_ref()));
        let (start, hasher) = (info.start, self.hasher(&info));
        let mut body = Body::new(self, head, info, start, hasher, room);
        body.comes_from(ranges.into_stream(at_once));
        Download::of(body)
    }

    /// What the bytes are checked by, where all of them come and there is a hash to compare with.
    fn hasher(&self, info: &ContentInfo) -> Option<Hasher> {
        let whole = info.start == 0 && info.length == info.total;
        (self.verify && whole && info.sha256().is_some()).then(Hasher::new)
    }

    /// Whether a content is what it is compared with. Where that is an ETag which says otherwise, the server is asked anew.
    pub(super) async fn compare(&mut self, found: &str, expected: &str, deadline: Option<Instant>) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        if let Some(anew) = self.anew.as_ref().filter(|_| self.sha256.is_none()) {
            let mut options = self.request.options.clone();
            options.end_by(deadline);
            if anew.sha256(options).await.is_ok_and(|sha256| sha256.as_deref() == Some(found)) {
                return Ok(());
            }
        }
        let message = format!("the bytes have the SHA-256 {found}, not {expected}");
        Err(Error::new(ErrorKind::IntegrityMismatch, message))
    }

    /// What an earlier download has to be of, so that this one can go on with it.
    pub(super) fn origin(&self) -> Result<Origin> {
        let url = self.transport.url(&self.request.path)?.into();
        // A storage's is its own affair, whatever it looks like.
        Ok(Origin { url, tags_are_hashes: self.request.elsewhere.is_none() })
    }
}

/// Where a content is from.
pub(super) struct Origin {
    /// Without its parameters.
    pub(super) url: String,
    /// An ETag that looks like a SHA-256 is one.
    pub(super) tags_are_hashes: bool,
}

impl Origin {
    /// The tag of what has come: not one that the server remembers of a content before.
    pub(super) fn tag(&self, info: &ContentInfo, verified: Option<&str>) -> Option<String> {
        let said = info.etag.as_deref().and_then(hash_in).filter(|_| self.tags_are_hashes);
        match (said, verified) {
            (Some(said), Some(found)) if said != found => Some(format!("\"{found}\"")),
            _ => info.etag.clone(),
        }
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
    /// The limit of the call, or of the client, runs from here on: for the room, each request, and what comes.
    pub(super) fn begin_limit(&mut self) {
        self.transport.start(&mut self.request.options);
    }

    /// Waits until the client's limits leave room for it, within the call's own limit.
    pub(super) async fn room(&mut self, transfers: usize, bytes: u64) -> Result<Room> {
        let transport = self.transport.clone();
        let mut room = pin!(transport.room(Way::Down, transfers, bytes));
        if let Poll::Ready(room) = poll!(room.as_mut()) {
            return Ok(room);
        }
        self.reporter.queued();
        match transport.deadline(&self.request.options) {
            None => Ok(room.await),
            Some(deadline) => timeout_at(deadline, room).await.map_err(|_| {
                let message = "the client's other downloads left no room within the call's limit";
                Error::new(ErrorKind::Timeout(TimeoutPhase::Total), message)
            }),
        }
    }
}

/// What is wrong with the part that came, if it is not what was asked for.
fn misfit(range: Option<Wanted>, response: &Response) -> Option<Error> {
    if response.status == StatusCode::NOT_MODIFIED {
        return Some(response.error(ErrorKind::Decode, UNASKED).with_hint(ASK_BY_CONDITION));
    }
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

/// The error of a request for more of a content that has begun to come: that it is another one by now, or gone, if it was the
/// service that said so. A 404 of something on the way says nothing of it.
pub(super) fn changed_if_gone(error: Error) -> Error {
    let is_other = matches!(error.kind(), ErrorKind::RangeNotSatisfiable | ErrorKind::PreconditionFailed);
    if is_other || error.tells_of_absence() { error.with_kind(ErrorKind::ContentChanged) } else { error }
}

pub(crate) fn header_value(argument: &'static str, text: &str) -> Result<HeaderValue> {
    HeaderValue::try_from(text).map_err(|_| Error::invalid_input(argument, "it can't be sent in a header"))
}

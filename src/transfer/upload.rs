//! The body of an upload: sources framed into one stream of known length where theirs is known, hashed on the way, its
//! end held back until everything that can be checked has been.

use std::ops::Range;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;

use super::UPLOAD_BUFFERS;
use super::hashing::Hasher;
use super::progress::{Phase, Reporter};
use super::reading::Reading;
use super::source::Source;
#[cfg(feature = "tenantbox")]
use super::spool::spool;
use super::turns::{Held, Turn, Turns};
use crate::error::{Error, ErrorKind, Result};
use crate::http::body::{BodySender, Feed, Gauge, Outgoing, RequestBody, channel, whole};

/// One source of an upload, and the framing before it.
pub(crate) struct Part<'a> {
    pub(crate) prefix: Bytes,
    pub(crate) source: Source<'a>,
    /// The SHA-256 (lower-case hex) that the source must have.
    pub(crate) expected: Option<String>,
}

/// Refuses what can't be the SHA-256 of any source, before anything is sent.
pub(crate) fn check_expected(sha256: Option<&str>) -> Result<()> {
    match sha256 {
        Some(hex) if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Err(Error::invalid_input("expect_sha256", "a SHA-256 has 64 hexadecimal digits"))
        }
        _ => Ok(()),
    }
}

/// A body of known length up to this is put together, and checked, before the request starts: a folder of small files goes
/// up in half the work. An empty one has to be, since its head alone completes the request.
const SMALL: u64 = 64 << 10;

/// What was sent of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digest {
    pub(crate) size: u64,
    /// `None` where hashing was switched off.
    pub(crate) sha256: Option<String>,
}

/// The body of an upload of one or more parts.
pub(crate) struct UploadBody<'a> {
    parts: Vec<Part<'a>>,
    suffix: Bytes,
    hash: bool,
    reporter: Reporter<'a>,
    sent: Vec<Digest>,
    /// With which other uploads this one must not end; `None` where nothing new is stored.
    turns: Option<Turns>,
    /// Those at paths from the start, that of the content from before the last bytes.
    held: Held,
    /// Attempts of calls before this one.
    earlier: u32,
    /// Sources of unknown length go into a temporary file first, up to so many bytes.
    #[cfg(feature = "tenantbox")]
    spool_limit: Option<u64>,
}

impl<'a> UploadBody<'a> {
    pub(crate) fn new(
        parts: Vec<Part<'a>>,
        suffix: Bytes,
        hash: bool,
        reporter: Reporter<'a>,
        turns: Option<Turns>,
    ) -> Self {
        Self {
            parts,
            suffix,
            hash,
            reporter,
            sent: Vec::new(),
            turns,
            held: Held::new(),
            earlier: 0,
            #[cfg(feature = "tenantbox")]
            spool_limit: None,
        }
    }

    /// For services that have to know the length: a source that does not know its own is read into a temporary file
    /// first, if it has at most so many bytes.
    #[cfg(feature = "tenantbox")]
    pub(crate) fn spooled(mut self, limit: u64) -> Self {
        self.spool_limit = Some(limit);
        self
    }

    /// A turn at a path, kept until the answer. Where none comes, it lasts a little longer than the upload.
    pub(crate) fn hold(&mut self, turn: Turn) {
        self.held.at_paths.push(turn);
    }

    /// What the last attempt sent, part by part; all of them once it has succeeded.
    pub(crate) fn sent(&self) -> &[Digest] {
        &self.sent
    }

    /// How long the source had had nothing to give when the last attempt ended.
    pub(crate) fn starved_for(&self) -> Duration {
        self.held.gauge.as_ref().map_or(Duration::ZERO, |gauge| gauge.starved_for())
    }

    /// Reports that it waits for its turn.
    pub(crate) fn queued(&mut self) {
        self.reporter.report(0, Phase::Queued);
    }

    /// Hears that so many attempts have failed, and that another call sends it after this time.
    pub(crate) fn again_after(&mut self, attempts: u32, delay: Duration) {
        self.earlier = attempts;
        self.reporter.report(0, Phase::Retrying { after: delay });
    }

    /// Reports that all is done.
    pub(crate) fn done(&mut self) {
        self.held.done();
        let bytes = self.sent.iter().map(|part| part.size).sum();
        self.reporter.done(bytes);
    }

    /// All parts, and how long they are together. The first is read at once; the others are only found, since each of them
    /// would have to wait in memory for those before it.
    async fn open_parts(&mut self) -> Result<(Vec<Opened<'a>>, Option<u64>)> {
        let mut opened = Vec::with_capacity(self.parts.len());
        let mut content = Some(0u64);
        for part in &mut self.parts {
            let (reading, size) = part.source.open_for(opened.is_empty()).await?;
            #[cfg(feature = "tenantbox")]
            let (reading, size) = match (size, self.spool_limit) {
                (None, Some(limit)) => {
                    part.source = spool(reading, limit, &mut self.reporter).await?;
                    part.source.open_for(opened.is_empty()).await?
                }
                _ => (reading, size),
            };
            content = match content.zip(size) {
                Some((a, b)) => {
                    Some(a.checked_add(b).ok_or_else(|| Error::invalid_input("size", "it is beyond all bounds"))?)
                }
                None => None,
            };
            opened.push(Opened { reading, size, prefix: part.prefix.clone(), expected: part.expected.clone() });
        }
        Ok((opened, content))
    }

    async fn open_attempt(&mut self, attempt: u32) -> Result<Outgoing<'_>> {
        let gauge = Arc::new(Gauge::new());
        self.held.attempt(gauge.clone());
        let last = self.sent.drain(..).next();
        let kept = last.filter(|_| self.held.of_content.is_some()).and_then(|part| part.sha256);
        let (opened, content) = self.open_parts().await?;
        let framing = self.parts.iter().map(|part| part.prefix.len()).sum::<usize>() + self.suffix.len();
        let length = content.map(|content| content.saturating_add(framing as u64));
        self.reporter.total = content;
        self.reporter.attempt = self.earlier + attempt;
        self.reporter.report(0, Phase::Sending);

        let mut feeding = Feeding {
            parts: self.parts.len(),
            suffix: self.suffix.clone(),
            hash: self.hash,
            sent: &mut self.sent,
            turns: self.turns.as_ref(),
            turn: &mut self.held.of_content,
            kept,
            marks: self.reporter.is_used().then(Marks::default),
        };
        if let Some(length) = length.filter(|length| *length <= SMALL) {
            let mut data = Joined::of(length as usize);
            feeding.run(opened, &mut Sink::Memory(&mut data)).await?;
            let data = data.into_bytes();
            if data.is_empty() {
                // The head completes it.
                gauge.end_at_once();
                return Ok(Outgoing { body: Bytes::new().into(), length: Some(0), feed: None });
            }
            let body = whole(data, gauge.clone());
            let run = feeding.marks.map(|marks| {
                let (reporter, watched) = (&mut self.reporter, gauge.clone());
                Box::pin(async move {
                    report_rest(reporter, &watched, &marks).await;
                    Ok(())
                }) as BoxFuture<'_, _>
            });
            return Ok(Outgoing { body, length: Some(length), feed: Some(Feed { gauge, run }) });
        }
        let (sender, body) = channel(length, gauge.clone());
        let reporter = &mut self.reporter;
        let watched = gauge.clone();
        let run: BoxFuture<'_, _> = Box::pin(async move {
            let Some(marks) = feeding.marks.clone() else {
                return feeding.run(opened, &mut Sink::Request(sender)).await;
            };
            {
                let mut sink = Sink::Request(sender);
                let mut fed = pin!(feeding.run(opened, &mut sink));
                loop {
                    tokio::select! {
                        biased;
                        done = &mut fed => break done?,
                        () = reporter.beside(watched.changed.notified()) => reporter.report(marks.content(watched.taken()), Phase::Sending),
                    }
                }
            }
            report_rest(reporter, &watched, &marks).await;
            Ok(())
        });
        Ok(Outgoing { body, length, feed: Some(Feed { gauge, run: Some(run) }) })
    }
}

/// Reports what the transport takes of a body that is complete on this side.
async fn report_rest(reporter: &mut Reporter<'_>, gauge: &Gauge, marks: &Marks) {
    while !gauge.has_ended() {
        reporter.report(marks.content(gauge.taken()), Phase::Sending);
        reporter.beside(gauge.changed.notified()).await;
    }
    reporter.report(marks.content(gauge.taken()), Phase::Waiting);
}

impl RequestBody for UploadBody<'_> {
    fn is_replayable(&self) -> bool {
        self.parts.iter().all(|part| part.source.is_replayable())
    }

    fn was_sent_whole(&self) -> bool {
        self.held.all_sent()
    }

    fn answered(&mut self) {
        self.held.answered = true;
    }

    fn open(&mut self, attempt: u32) -> BoxFuture<'_, Result<Outgoing<'_>>> {
        Box::pin(self.open_attempt(attempt))
    }

    fn is_transfer(&self) -> bool {
        true
    }

    fn buffers(&mut self) -> BoxFuture<'_, u64> {
        Box::pin(async {
            let mut bytes = 0u64;
            for part in &mut self.parts {
                bytes = bytes.saturating_add(part.source.most_buffered().await).min(UPLOAD_BUFFERS);
            }
            bytes
        })
    }

    fn queued(&mut self) {
        self.queued();
    }

    fn retrying(&mut self, after: Duration) {
        self.reporter.report(0, Phase::Retrying { after });
    }
}

struct Opened<'a> {
    reading: Reading<'a>,
    size: Option<u64>,
    prefix: Bytes,
    expected: Option<String>,
}

impl Opened<'_> {
    fn hasher(&self, hash: bool) -> Option<Hasher> {
        (hash || self.expected.is_some()).then(Hasher::new)
    }
}

/// One attempt's way through the parts.
struct Feeding<'s> {
    parts: usize,
    suffix: Bytes,
    hash: bool,
    sent: &'s mut Vec<Digest>,
    turns: Option<&'s Turns>,
    turn: &'s mut Option<Turn>,
    /// The content that an earlier attempt had its turn for, and still has.
    kept: Option<String>,
    /// Where somebody hears how far it is.
    marks: Option<Marks>,
}

impl Feeding<'_> {
    async fn run(&mut self, mut opened: Vec<Opened<'_>>, sink: &mut Sink<'_>) -> Result<()> {
        let mut offset = 0;
        for (at, part) in opened.iter_mut().enumerate() {
            let prefix = std::mem::take(&mut part.prefix);
            offset += prefix.len() as u64;
            if !prefix.is_empty() {
                sink.data(prefix).await;
            }
            self.marks.iter().for_each(|marks| marks.content_starts_at(offset));
            offset += self.part(part, at + 1 == self.parts, sink).await?;
            self.marks.iter().for_each(|marks| marks.content_ends_at(offset));
        }
        if !self.suffix.is_empty() {
            self.take_turn().await;
            sink.data(self.suffix.clone()).await;
        }
        self.take_turn().await;
        sink.end().await;
        Ok(())
    }

    /// Before the bytes that complete the body: not together with another body of the same content.
    ///
    /// Without a hash there is nothing to tell contents by. A body of several parts takes no turn: it would have to hold one
    /// while it waits for the next, and two of them could wait for each other.
    async fn take_turn(&mut self) {
        let ([Digest { sha256: Some(hash), .. }], Some(turns)) = (&self.sent[..], self.turns) else { return };
        if self.turn.is_some() {
            // That of this attempt, or of an earlier one with the same bytes.
            if self.kept.take().is_none_or(|kept| kept == *hash) {
                return;
            }
            self.turn.take().into_iter().for_each(Turn::linger);
        }
        *self.turn = Some(turns.wait_briefly(hash.clone()).await);
    }

    /// Sends one part; gives its size. Where the part's last bytes complete the body, they wait for the checks.
    async fn part(&mut self, part: &mut Opened<'_>, is_last: bool, sink: &mut Sink<'_>) -> Result<u64> {
        let completes = is_last && self.suffix.is_empty();
        let mut hasher = part.hasher(self.hash);
        let (mut count, mut held) = (0u64, None);
        while let Some(chunk) = part.reading.next().await? {
            count += chunk.len() as u64;
            if part.size.is_some_and(|size| count > size) {
                return Err(wrong_size(part.size, "more"));
            }
            if let Some(hasher) = &mut hasher {
                hasher.update(&chunk).await;
            }
            if completes && part.size == Some(count) {
                held = Some(chunk);
            } else {
                sink.data(chunk).await;
            }
        }
        if part.size.is_some_and(|size| count < size) {
            return Err(wrong_size(part.size, "fewer"));
        }
        self.finish_part(part.expected.take(), count, hasher).await?;
        if let Some(held) = held {
            self.take_turn().await;
            sink.data(held).await;
        }
        Ok(count)
    }

    async fn finish_part(&mut self, expected: Option<String>, size: u64, hasher: Option<Hasher>) -> Result<()> {
        let sha256 = match hasher {
            Some(hasher) => Some(hasher.finish().await?),
            None => None,
        };
        if let (Some(expected), Some(found)) = (&expected, &sha256)
            && !expected.eq_ignore_ascii_case(found)
        {
            let message = format!("the source has the SHA-256 {found}, expected was {expected}; nothing was stored");
            return Err(Error::new(ErrorKind::IntegrityMismatch, message));
        }
        self.sent.push(Digest { size, sha256 });
        Ok(())
    }
}

fn wrong_size(size: Option<u64>, than: &str) -> Error {
    Error::invalid_input("size", format!("the source gave {than} than its {} bytes", size.unwrap_or(0)))
}

/// Where the pieces of a body go.
enum Sink<'s> {
    /// To the request, as it takes them.
    Request(BodySender),
    /// Into memory, before there is a request.
    Memory(&'s mut Joined),
}

impl Sink<'_> {
    async fn data(&mut self, data: Bytes) {
        match self {
            Self::Request(sender) => sender.data(data).await,
            Self::Memory(joined) => joined.push(data),
        }
    }

    async fn end(&mut self) {
        if let Self::Request(sender) = self {
            sender.end().await;
        }
    }
}

/// Pieces put together; a single one stays what it is.
struct Joined {
    length: usize,
    first: Bytes,
    all: BytesMut,
}

impl Joined {
    /// Up to so many bytes.
    fn of(length: usize) -> Self {
        Self { length, first: Bytes::new(), all: BytesMut::new() }
    }

    fn push(&mut self, piece: Bytes) {
        if self.first.is_empty() {
            self.first = piece;
            return;
        }
        if self.all.is_empty() {
            self.all.reserve(self.length);
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&piece);
    }

    fn into_bytes(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}

/// Where in the body content is, to tell it from framing.
#[derive(Clone, Default)]
struct Marks(Arc<Mutex<Vec<Range<u64>>>>);

impl Marks {
    fn content_starts_at(&self, offset: u64) {
        self.contents().push(offset..u64::MAX);
    }

    fn content_ends_at(&self, offset: u64) {
        self.contents().last_mut().into_iter().for_each(|content| content.end = offset);
    }

    fn contents(&self) -> MutexGuard<'_, Vec<Range<u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of the first `taken` bytes of the body are content.
    fn content(&self, taken: u64) -> u64 {
        self.contents().iter().map(|content| taken.min(content.end).saturating_sub(content.start)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_piece_is_not_copied() {
        let joined = |pieces: &[&'static [u8]]| {
            let mut joined = Joined::of(8);
            pieces.iter().for_each(|piece| joined.push(Bytes::from_static(piece)));
            joined.into_bytes()
        };
        let piece: &[u8] = b"abc";
        assert_eq!(joined(&[piece]).as_ptr(), piece.as_ptr());
        assert_eq!(joined(&[b"abc", b"de", b"", b"fgh"]), "abcdefgh");
        assert_eq!(joined(&[]), "");
    }

    #[tokio::test]
    async fn parts_that_come_later_are_not_in_memory_yet() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![7; 3 << 20]).unwrap();
        let part = || Part { prefix: Bytes::from_static(b"x"), source: file.path().into(), expected: None };
        let parts = (0..5).map(|_| part()).collect();
        let mut body = UploadBody::new(parts, Bytes::new(), true, Reporter::default(), None);
        let (opened, content) = body.open_parts().await.unwrap();
        assert_eq!(content, Some(15 << 20));
        let ready: Vec<_> = opened.iter().map(|part| part.reading.ready()).collect();
        assert!(ready[0] > 0 && ready[1..].iter().all(|bytes| *bytes == 0), "{ready:?}");
    }

    #[test]
    fn framing_is_not_content() {
        let marks = Marks::default();
        assert_eq!(marks.content(10), 0);
        marks.content_starts_at(10);
        assert_eq!((marks.content(10), marks.content(15)), (0, 5));
        marks.content_ends_at(20);
        marks.content_starts_at(25);
        assert_eq!((marks.content(12), marks.content(22), marks.content(27)), (2, 10, 12));
        marks.content_ends_at(30);
        assert_eq!(marks.content(1000), 15);
    }
}

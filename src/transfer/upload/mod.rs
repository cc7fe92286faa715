//! The body of an upload: sources framed into one stream of known length where theirs is known, hashed on the way, its
//! end held back until everything that can be checked has been.

mod feeding;
mod marks;
mod sink;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use feeding::{Feeding, Opened};
use marks::Marks;
use sink::{Joined, Sink};

use super::UPLOAD_BUFFERS;
use super::progress::{Phase, Reporter};
use super::source::Source;
#[cfg(feature = "tenantbox")]
use super::spool::spool;
use super::turns::{Held, Turn, Turns};
use crate::error::{Error, Result};
use crate::http::body::{Feed, Gauge, Outgoing, RequestBody, channel, whole};

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

    /// The last attempt has handed over bytes, those of a whole file among them.
    pub(crate) fn was_sent_partly(&self) -> bool {
        !self.sent.is_empty() && self.held.gauge.as_ref().is_some_and(|gauge| gauge.taken() > 0)
    }

    /// How long the source had had nothing to give when the last attempt ended.
    pub(crate) fn starved_for(&self) -> Duration {
        self.held.gauge.as_ref().map_or(Duration::ZERO, |gauge| gauge.starved_for())
    }

    /// Reports that it waits for its turn.
    pub(crate) fn queued(&mut self) {
        self.reporter.queued();
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
    /// would have to wait in memory for those before it, and files with a descriptor.
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
            suffix: &self.suffix,
            hash: self.hash,
            sent: &mut self.sent,
            turns: self.turns.as_ref(),
            turn: &mut self.held.of_content,
            kept,
            marks: self.reporter.is_used().then(Marks::default),
        };
        let Some(short) = length.filter(|length| *length <= SMALL) else {
            return Ok(streamed(feeding, opened, &mut self.reporter, length, gauge));
        };
        let mut data = Joined::of(short as usize);
        feeding.run(opened, &mut Sink::Memory(&mut data)).await?;
        Ok(joined(data.into_bytes(), feeding.marks, &mut self.reporter, gauge))
    }
}

/// A body that is there already.
fn joined<'s>(data: Bytes, marks: Option<Marks>, reporter: &'s mut Reporter<'_>, gauge: Arc<Gauge>) -> Outgoing<'s> {
    let length = Some(data.len() as u64);
    if data.is_empty() {
        // The head completes it.
        gauge.end_at_once();
        return Outgoing { body: data.into(), length, feed: None };
    }
    let body = whole(data, gauge.clone());
    let run = marks.map(|marks| {
        let watched = gauge.clone();
        Box::pin(async move {
            report_rest(reporter, &watched, &marks).await;
            Ok(())
        }) as BoxFuture<'_, _>
    });
    Outgoing { body, length, feed: Some(Feed { gauge, run }) }
}

/// A body that is read while it is sent.
fn streamed<'s>(
    mut feeding: Feeding<'s>,
    opened: Vec<Opened<'s>>,
    reporter: &'s mut Reporter<'_>,
    length: Option<u64>,
    gauge: Arc<Gauge>,
) -> Outgoing<'s> {
    let (sender, body) = channel(length, gauge.clone());
    let watched = gauge.clone();
    let run: BoxFuture<'s, _> = Box::pin(async move {
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
    Outgoing { body, length, feed: Some(Feed { gauge, run: Some(run) }) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

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

    #[tokio::test]
    async fn a_file_that_changes_before_its_turn_is_not_sent() {
        let folder = tempfile::tempdir().unwrap();
        let part = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, vec![7; 100]).unwrap();
            Part { prefix: Bytes::new(), source: path.into(), expected: None }
        };
        let mut body = UploadBody::new(vec![part("a"), part("b")], Bytes::new(), true, Reporter::default(), None);
        let (mut opened, _) = body.open_parts().await.unwrap();
        std::fs::write(folder.path().join("b"), vec![8; 101]).unwrap();
        assert_eq!(opened[0].reading.next().await.unwrap().unwrap().len(), 100);
        assert_eq!(opened[1].reading.next().await.unwrap_err().kind(), ErrorKind::ContentChanged);
    }
}

//! All parts of a file, those that have arrived left out, side by side; then the end.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;

use futures::stream::{FuturesUnordered, StreamExt};
use serde::Serialize;
use tokio::sync::mpsc;

use super::ResumableUpload;
use super::how::{How, how_setters};
use super::part::{Sending, is_direct};
use super::session::MOST_PARTS;
use crate::error::{Error, ErrorKind, Fate, Result};
use crate::file_storage::models::{SessionStatus, StoredFile, UploadSession, UploadedPart};
use crate::file_storage::refusal::SESSION_CLOSED;
use crate::http::{CallOptions, awaitable, within};
use crate::transfer::{Hasher, Phase, Reporter, Sections, Source, reports_progress, starts};

impl ResumableUpload {
    /// Sends what has not arrived yet, and completes the upload (`file_storage.upload`). The source is the whole content
    /// again: bytes, a path, or an open file; others with [`spool`](ResumeUpload::spool).
    ///
    /// Parts that have arrived are compared with the source by their MD5, and sent again where they differ. Where the session
    /// has been completed before, its file is the result.
    pub fn resume<'a>(&self, source: impl Into<Source<'a>>) -> ResumeUpload<'a> {
        ResumeUpload {
            upload: self.clone(),
            source: source.into(),
            how: How::default(),
            reporter: Reporter::default(),
            options: CallOptions::default(),
        }
    }
}

/// Sends what is missing of an upload. Made by [`ResumableUpload::resume`].
///
/// Dropping it leaves what has arrived: it can be resumed until the session expires. Its progress counts the parts that had
/// arrived before; where a part is tried again, a new attempt begins without that part's bytes.
///
/// # Errors
/// `NotFound` for a session that was cleaned away, `Conflict` for one that has expired or was given up, or whose status
/// this crate does not know, `InvalidInput` for a source of another size, and those of [`UploadInParts`](super::UploadInParts).
#[must_use = "nothing is sent until it is awaited"]
pub struct ResumeUpload<'a> {
    upload: ResumableUpload,
    source: Source<'a>,
    how: How,
    reporter: Reporter<'a>,
    options: CallOptions,
}

impl ResumeUpload<'_> {
    async fn run(mut self) -> Result<CompletedUpload> {
        self.how.check()?;
        self.upload.route("")?;
        let deadline = self.upload.client.transport().start(&mut self.options);
        let content = within(deadline, pin!(self.how.content(self.source, &mut self.reporter)))
            .await
            .map_err(Error::never_sent)?;
        let session = self.upload.get().options(self.options.clone()).await?;
        send(&self.upload, session, &content, &self.how, self.reporter, self.options).await
    }
}

how_setters!(ResumeUpload);
reports_progress!(['a] ResumeUpload<'a>, reporter);
awaitable!(ResumeUpload<'a> => CompletedUpload);
starts!(ResumeUpload => CompletedUpload, reporter);

impl fmt::Debug for ResumeUpload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumeUpload").field("upload", &self.upload.id()).finish_non_exhaustive()
    }
}

/// An upload in parts that is complete.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CompletedUpload {
    /// The file.
    pub file: StoredFile,
    /// How it was compared with what was sent.
    pub checked: Checked,
    /// How many bytes were sent this time; the rest had arrived before.
    pub sent: u64,
}

/// How what was stored has been compared with what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Checked {
    /// The whole, by its SHA-256.
    Sha256,
    /// Each part, by its MD5: the service has no hash of the whole.
    Parts,
    /// Not at all.
    Nothing,
}

/// Sends what a session lacks, and completes it.
pub(super) async fn send(
    upload: &ResumableUpload,
    session: UploadSession,
    content: &Sections,
    how: &How,
    mut reporter: Reporter<'_>,
    options: CallOptions,
) -> Result<CompletedUpload> {
    if content.size() != session.total_size {
        let message = format!("it has {} bytes, the session is for {}", content.size(), session.total_size);
        return Err(Error::invalid_input("source", message));
    }
    if !session.is_consistent() {
        return Err(Error::new(ErrorKind::Decode, "the upload session's parts do not make up its size"));
    }
    if u64::from(session.total_parts) > MOST_PARTS {
        let message = format!("the upload session has {} parts, more than {MOST_PARTS}", session.total_parts);
        return Err(Error::new(ErrorKind::Decode, message));
    }
    reporter.total = Some(session.total_size);
    let (mut parts, mut sent) = (BTreeMap::new(), 0);
    match &session.status {
        SessionStatus::Active => {
            // Before parts are hashed: a session that has expired is still called active, and says so here.
            let direct = is_direct(upload, 1, &options).await?;
            parts = arrived(&session, content, how, &mut reporter).await?;
            let missing: Vec<u32> = (1..=session.total_parts).filter(|no| !parts.contains_key(no)).collect();
            sent = missing.iter().map(|no| session.size_of(*no)).sum();
            let sending = |no| {
                let (upload, options) = (upload.clone(), options.clone());
                Sending { upload, no, direct, verify: how.verify, options, content }
            };
            let before = session.total_size - sent;
            side_by_side(&session, missing, sending, how.parallel, before, &mut reporter, &mut parts).await?;
        }
        SessionStatus::Completed => {}
        SessionStatus::Aborted => {
            let error = Error::new(ErrorKind::Conflict, "the upload session is closed");
            return Err(error.with_hint(SESSION_CLOSED));
        }
        SessionStatus::Other(status) => {
            let message = format!("the upload session is {status:?}, which is none of active, completed and aborted");
            return Err(Error::new(ErrorKind::Conflict, message).with_hint("Look at the session again later"));
        }
    }
    reporter.report(session.total_size, Phase::Waiting);
    let file = upload.complete(parts.values()).options(options).await?.file.ok_or_else(|| {
        let message = "the service completed the upload, and does not say which file it made";
        Error::new(ErrorKind::Decode, message).with_fate(Fate::Unknown)
    })?;
    let checked = compare(&session, &file, content, how).await.map_err(|error| error.unless_done(true))?;
    reporter.done(session.total_size);
    Ok(CompletedUpload { file, checked, sent })
}

/// The parts that have arrived and need not be sent again.
async fn arrived(
    session: &UploadSession,
    content: &Sections,
    how: &How,
    reporter: &mut Reporter<'_>,
) -> Result<BTreeMap<u32, UploadedPart>> {
    let mut good = BTreeMap::new();
    let mut bytes = 0;
    // One that was refused for its size is listed all the same.
    let whole =
        |part: &UploadedPart| (1..=session.total_parts).contains(&part.no) && part.size == session.size_of(part.no);
    for part in &session.parts {
        // Once each, so that all of them are never more than the whole.
        if !whole(part) || good.contains_key(&part.no) {
            continue;
        }
        if how.verify {
            reporter.report(bytes, Phase::Hashing);
            let section = content.section(u64::from(part.no - 1) * session.part_size, part.size);
            if !super::md5::of(section).await?.eq_ignore_ascii_case(part.tag()) {
                continue;
            }
        }
        bytes += part.size;
        good.insert(part.no, part.clone());
    }
    Ok(good)
}

/// Sends parts, so many at once. The first failure ends it; parts that have arrived by then stay.
async fn side_by_side<'s>(
    session: &UploadSession,
    missing: Vec<u32>,
    sending: impl Fn(u32) -> Sending<'s>,
    parallel: usize,
    before: u64,
    reporter: &mut Reporter<'_>,
    parts: &mut BTreeMap<u32, UploadedPart>,
) -> Result<()> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let watched = reporter.is_used();
    let start = |no: u32| {
        let mut part = Reporter::default();
        if watched {
            let tell = tell.clone();
            part.set_callback(move |progress| {
                let _ = tell.send((no, progress));
            });
        }
        sending(no).run(u64::from(no - 1) * session.part_size, session.size_of(no), part)
    };
    let mut waiting = missing.into_iter();
    let mut under_way: FuturesUnordered<_> = waiting.by_ref().take(parallel).map(start).collect();
    let mut moved = BTreeMap::new();
    loop {
        tokio::select! {
            biased;
            Some((no, progress)) = told.recv(), if watched => {
                moved.insert(no, progress.sent);
                let sent = before + moved.values().sum::<u64>();
                match progress.phase {
                    // The bytes of that part begin anew; the others go on.
                    Phase::Retrying { .. } => {
                        reporter.report(sent, progress.phase);
                        reporter.attempt += 1;
                    }
                    _ => reporter.report(sent, Phase::Sending),
                }
            }
            done = under_way.next() => match done {
                Some(part) => {
                    let part = part?;
                    parts.insert(part.no, part);
                    under_way.extend(waiting.next().map(start));
                }
                None => return Ok(()),
            },
        }
    }
}

/// Compares the whole where the service has its hash; else the parts have been.
async fn compare(session: &UploadSession, file: &StoredFile, content: &Sections, how: &How) -> Result<Checked> {
    if file.size_bytes != session.total_size {
        let message = format!("{} bytes were sent, the service stored {}", session.total_size, file.size_bytes);
        return Err(Error::new(ErrorKind::IntegrityMismatch, message));
    }
    let expected = match (&file.checksum_sha256, how.verify) {
        (_, false) => return Ok(Checked::Nothing),
        // Of a session that was complete before, no part was looked at.
        (None, true) if session.status == SessionStatus::Completed => return Ok(Checked::Nothing),
        (None, true) => return Ok(Checked::Parts),
        (Some(expected), true) => expected,
    };
    let found = match &how.expected {
        // It has been hashed, and was found to have this one.
        Some(found) => found.to_lowercase(),
        None => <Hasher>::of_source(content.section(0, content.size())).await?,
    };
    if found != *expected {
        let message = format!("the bytes sent have the SHA-256 {found}, those stored {expected}");
        return Err(Error::new(ErrorKind::IntegrityMismatch, message));
    }
    Ok(Checked::Sha256)
}

//! A part file as a download drives it: step by step on the runtime's blocking threads.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

use super::PathCheck;
use super::beside::{Beside, Work};
use super::part::{BETWEEN, Dropped, Lock, Part, Record, Replaces, Saving, TRIES, Taken, check_target};
use crate::blocking::{blocking, drop_aside, unless_panicked};
use crate::error::{Error, ErrorKind, Result};

/// What an earlier download of the same content left.
pub(super) struct Found {
    pub(super) etag: String,
    /// That is a SHA-256.
    pub(super) hashed: bool,
    pub(super) length: u64,
    pub(super) at: u64,
    pub(super) file: Arc<File>,
}

/// A part file. Each step is a short job on the runtime's blocking threads, one after another; the next chunks arrive while
/// the last are written. Dropping it stops a commit that has not renamed it yet.
pub(super) struct PartFile {
    target: PathBuf,
    replaces: Replaces,
    folder: Option<PathCheck>,
    /// Others may find it again.
    lasting: bool,
    step: Step,
    /// Written with the second chunk, or when it is made the target: most files have one.
    first: Option<Bytes>,
    dropped: Arc<Dropped>,
}

enum Step {
    None,
    /// To be made with what is first written: most files are there by then, and take one job.
    New(Option<Record>),
    Part(Box<Part>),
    Job(JoinHandle<Result<Box<Part>>>),
    Writing(Beside<Part>),
}

impl Work for Part {
    const STOPPED: &'static str = "the runtime stopped writing a file";

    fn take(&mut self, chunk: &[u8]) -> Result<()> {
        self.append(chunk)
    }
}

impl PartFile {
    /// Refuses a target that can't be written, or must not be, and finds what an earlier download to it left, if anything is
    /// to be left.
    pub(super) async fn find(target: &Path, how: &Saving) -> Result<Self> {
        let mut part = Self {
            target: target.to_owned(),
            replaces: how.replaces,
            folder: how.folder.clone(),
            lasting: how.resume,
            step: Step::None,
            first: None,
            dropped: Arc::default(),
        };
        for _ in 0..TRIES {
            let (target, replaces, dropped) = (part.target.clone(), part.replaces, part.dropped.clone());
            let (folder, lasting) = (part.folder.clone(), part.lasting);
            let found = blocking(move || {
                folder.map_or(Ok(()), |folder| folder(&target))?;
                check_target(&target, replaces)?;
                let found = if lasting { Lock::find(&target).unwrap_or(Some(Taken::Unusable)) } else { None };
                Ok(found.and_then(|taken| match taken {
                    Taken::Ours(lock) => Part::reopen(lock, &target, replaces, dropped).map(|part| Ok(Box::new(part))),
                    taken => Some(Err(taken)),
                }))
            });
            match found.await? {
                None => return Ok(part),
                Some(Ok(found)) => {
                    part.step = Step::Part(found);
                    return Ok(part);
                }
                Some(Err(Taken::Busy)) => sleep(BETWEEN).await,
                Some(Err(_)) => break,
            }
        }
        // Another download is at it: this one writes into a part of its own.
        part.lasting = false;
        Ok(part)
    }

    pub(super) fn resumable(&self, source: &str) -> Option<Found> {
        let Step::Part(part) = &self.step else { return None };
        let record = part.record().filter(|record| record.source == source)?;
        // At least one byte is asked for, so that the server says whether it still has this content.
        let at = part.written.min(record.length.saturating_sub(1));
        let (etag, hashed, length) = (record.etag.clone(), record.hashed, record.length);
        let found = Found { etag, hashed, length, at, file: part.file.clone() };
        (at > 0).then_some(found)
    }

    /// Makes the part ready for what comes from this place on; at 0, for another content.
    pub(super) async fn begin(&mut self, record: Option<Record>, at: u64) -> Result<()> {
        self.first = None;
        if matches!(self.step, Step::None | Step::New(_)) {
            self.step = Step::New(record.filter(|_| self.lasting));
            return Ok(());
        }
        let sparse = record.as_ref().is_some_and(|record| record.sparse);
        let begin = move |part: &mut Part| match at {
            0 => part.restart(record),
            at => part.go_on(at, sparse),
        };
        self.step(begin).await?;
        self.part_mut().await.map(drop)
    }

    /// Writes a chunk behind those before it, beside what the caller does next; waits only while too much is to be written.
    ///
    /// # Errors
    /// That of an earlier chunk.
    pub(super) async fn append(&mut self, chunk: Bytes) -> Result<()> {
        if !matches!(self.step, Step::Writing(_)) {
            let Some(first) = self.first.take() else {
                self.first = Some(chunk);
                return Ok(());
            };
            let part = self.part().await?;
            self.step = Step::Writing(Beside::new(part));
            self.push(first).await?;
        }
        self.push(chunk).await
    }

    async fn push(&self, chunk: Bytes) -> Result<()> {
        match &self.step {
            Step::Writing(part) => part.push(chunk).await,
            _ => Err(stopped()),
        }
    }

    /// Waits for the step before, and starts this one.
    pub(super) async fn step(&mut self, step: impl FnOnce(&mut Part) -> Result<()> + Send + 'static) -> Result<()> {
        let made = match self.step {
            Step::New(_) => None,
            _ => Some(self.part().await?),
        };
        let make = self.making();
        self.step = Step::Job(spawn_blocking(move || {
            let mut part = made.map_or_else(make, Ok)?;
            step(&mut part)?;
            Ok(part)
        }));
        Ok(())
    }

    /// How a new part is made.
    fn making(&mut self) -> impl FnOnce() -> Result<Box<Part>> + Send + use<> {
        let record = match std::mem::replace(&mut self.step, Step::None) {
            Step::New(record) => record,
            _ => None,
        };
        let (target, replaces, dropped) = (self.target.clone(), self.replaces, self.dropped.clone());
        let folder = self.folder.clone();
        move || {
            // Much may have happened to it while the content was waited for.
            folder.map_or(Ok(()), |folder| folder(&target))?;
            Part::create(&target, replaces, record, dropped).map(Box::new)
        }
    }

    pub(super) async fn commit(
        &mut self,
        accept: Option<fn(&File, u64) -> Result<()>>,
        modified: Option<DateTime<Utc>>,
    ) -> Result<()> {
        let first = self.first.take();
        let commit = move |part: &mut Part| {
            first.map_or(Ok(()), |chunk| part.append(&chunk))?;
            part.commit(accept, modified)
        };
        self.step(commit).await?;
        self.part().await.map(drop)
    }

    /// Waits for the last step, and gives the file up, to be kept or removed.
    pub(super) async fn settle(&mut self, condemned: bool) {
        if matches!(self.step, Step::New(_)) {
            return;
        }
        if let Ok(mut part) = self.part().await {
            let first = self.first.take();
            // Removing a large file can take a while.
            let _ = blocking(move || {
                if condemned {
                    part.condemn();
                }
                first.map_or(Ok(()), |chunk| part.append(&chunk))
            })
            .await;
        }
    }

    /// The part, when the step before is done.
    pub(super) async fn part_mut(&mut self) -> Result<&mut Part> {
        self.step = Step::Part(self.part().await?);
        match &mut self.step {
            Step::Part(part) => Ok(part),
            _ => Err(stopped()),
        }
    }

    /// The part itself, when the step before is done.
    async fn part(&mut self) -> Result<Box<Part>> {
        if matches!(self.step, Step::New(_)) {
            self.step = Step::Job(spawn_blocking(self.making()));
        }
        // Kept in place while it runs, for this may be dropped and called again.
        let done = match &mut self.step {
            Step::Job(job) => Some(job.await.unwrap_or_else(|cause| Err(stopped().caused_by(unless_panicked(cause))))),
            Step::Writing(part) => Some(part.finish().await),
            Step::None | Step::New(_) | Step::Part(_) => None,
        };
        match (done, std::mem::replace(&mut self.step, Step::None)) {
            (Some(done), _) => done,
            (None, Step::Part(part)) => Ok(part),
            (None, _) => Err(stopped()),
        }
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Io, Part::STOPPED)
}

impl Drop for PartFile {
    fn drop(&mut self) {
        self.dropped.set();
        let step = std::mem::replace(&mut self.step, Step::None);
        if matches!(step, Step::Part(_) | Step::Job(_)) {
            drop_aside(step);
        }
    }
}

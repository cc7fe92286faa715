//! A part file as a download drives it: step by step on the runtime's blocking threads.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

use super::beside::{Beside, Work};
use super::part::{Lock, Part, Record, Replaces, Saving, Taken};
use crate::blocking::blocking;
use crate::error::{Error, ErrorKind, Result};

/// What an earlier download of the same content left.
pub(super) struct Found {
    pub(super) etag: String,
    pub(super) length: u64,
    pub(super) at: u64,
    pub(super) file: Arc<File>,
}

/// A part file. Each step is a short job on the runtime's blocking threads, one after another; the next chunks arrive while
/// the last are written. Dropping it stops a commit that has not renamed it yet.
pub(super) struct PartFile {
    target: PathBuf,
    replaces: Replaces,
    /// Others may find it again.
    lasting: bool,
    step: Step,
    dropped: Arc<AtomicBool>,
}

enum Step {
    None,
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
    /// How long a lock is waited for: the last write of a download that was just cancelled may still hold it.
    const TRIES: u32 = 30;
    const BETWEEN: Duration = Duration::from_millis(10);

    /// Finds what an earlier download to the same target left, if anything is to be left.
    pub(super) async fn find(target: &Path, how: &Saving) -> Self {
        let dropped = Arc::new(AtomicBool::new(false));
        let target = target.to_owned();
        let mut part = Self { target, replaces: how.replaces, lasting: how.resume, step: Step::None, dropped };
        for _ in 0..Self::TRIES {
            if !part.lasting {
                break;
            }
            let (target, replaces, dropped) = (part.target.clone(), part.replaces, part.dropped.clone());
            let found = blocking(move || {
                Ok(Lock::find(&target).and_then(|taken| match taken {
                    Taken::Ours(lock) => Part::reopen(lock, &target, replaces, dropped).map(|part| Ok(Box::new(part))),
                    taken => Some(Err(taken)),
                }))
            });
            match found.await.ok().flatten() {
                None => return part,
                Some(Ok(found)) => {
                    part.step = Step::Part(found);
                    return part;
                }
                Some(Err(Taken::Busy)) => sleep(Self::BETWEEN).await,
                Some(Err(_)) => part.lasting = false,
            }
        }
        // Another download is at it: this one writes into a part of its own.
        part.lasting = false;
        part
    }

    pub(super) fn resumable(&self, source: &str) -> Option<Found> {
        let Step::Part(part) = &self.step else { return None };
        let record = part.record().filter(|record| record.source == source)?;
        // At least one byte is asked for, so that the server says whether it still has this content.
        let at = part.written.min(record.length.saturating_sub(1));
        let found = Found { etag: record.etag.clone(), length: record.length, at, file: part.file.clone() };
        (at > 0).then_some(found)
    }

    /// Makes the part ready for what comes from this place on; at 0, for another content.
    pub(super) async fn begin(&mut self, record: Option<Record>, at: u64) -> Result<()> {
        let sparse = record.as_ref().is_some_and(|record| record.sparse);
        match self.part().await? {
            Some(mut part) => {
                self.run(move || {
                    match at {
                        0 => part.restart(record)?,
                        at => part.go_on(at, sparse)?,
                    }
                    Ok(part)
                });
            }
            None => {
                let (target, replaces, dropped) = (self.target.clone(), self.replaces, self.dropped.clone());
                let record = record.filter(|_| self.lasting);
                self.run(move || Part::create(&target, replaces, record, dropped).map(Box::new));
            }
        }
        self.part_mut().await.map(drop)
    }

    /// Writes a chunk behind those before it, beside what the caller does next; waits only while too much is to be written.
    ///
    /// # Errors
    /// That of an earlier chunk.
    pub(super) async fn append(&mut self, chunk: Bytes) -> Result<()> {
        if !matches!(self.step, Step::Writing(_)) {
            let Some(part) = self.part().await? else { return Err(stopped()) };
            self.step = Step::Writing(Beside::new(part));
        }
        match &self.step {
            Step::Writing(part) => part.push(chunk).await,
            _ => Err(stopped()),
        }
    }

    /// Waits for the step before, and starts this one.
    pub(super) async fn step(&mut self, step: impl FnOnce(&mut Part) -> Result<()> + Send + 'static) -> Result<()> {
        let Some(mut part) = self.part().await? else { return Err(stopped()) };
        self.run(move || {
            step(&mut part)?;
            Ok(part)
        });
        Ok(())
    }

    pub(super) async fn commit(
        &mut self,
        accept: Option<fn(&File, u64) -> Result<()>>,
        modified: Option<DateTime<Utc>>,
    ) -> Result<()> {
        self.step(move |part| part.commit(accept, modified)).await?;
        self.part().await.map(drop)
    }

    /// Waits for the last step, and gives the file up, to be kept or removed.
    pub(super) async fn settle(&mut self, condemned: bool) {
        if let Ok(Some(mut part)) = self.part().await {
            if condemned {
                part.condemn();
            }
            // Removing a large file can take a while.
            let _ = blocking(move || {
                drop(part);
                Ok(())
            })
            .await;
        }
    }

    fn run(&mut self, job: impl FnOnce() -> Result<Box<Part>> + Send + 'static) {
        self.step = Step::Job(spawn_blocking(job));
    }

    /// The part, when the step before is done.
    pub(super) async fn part_mut(&mut self) -> Result<&mut Part> {
        match self.part().await? {
            Some(part) => self.step = Step::Part(part),
            None => return Err(stopped()),
        }
        match &mut self.step {
            Step::Part(part) => Ok(part),
            _ => Err(stopped()),
        }
    }

    async fn part(&mut self) -> Result<Option<Box<Part>>> {
        // Kept in place while it runs, for this may be dropped and called again.
        let done = match &mut self.step {
            Step::Job(job) => Some(job.await.unwrap_or_else(|cause| Err(stopped().caused_by(cause)))),
            Step::Writing(part) => Some(part.finish().await),
            Step::None | Step::Part(_) => None,
        };
        match (done, std::mem::replace(&mut self.step, Step::None)) {
            (Some(done), _) => done.map(Some),
            (None, Step::Part(part)) => Ok(Some(part)),
            (None, _) => Ok(None),
        }
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Io, Part::STOPPED)
}

impl Drop for PartFile {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Release);
    }
}

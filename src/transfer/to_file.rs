//! A download into a file: written beside the target, synced, and renamed onto it when it is whole.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::{JoinHandle, spawn_blocking};

use super::download::Download;
use crate::error::{Error, ErrorKind, Result};

/// A file that was downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Downloaded {
    /// Where it is.
    pub path: PathBuf,
    /// How many bytes it has.
    pub size: u64,
    /// The SHA-256 that it was checked against; `None` where the server gave none or checking was switched off.
    pub verified_sha256: Option<String>,
    /// The entity tag, with its quotes.
    pub etag: Option<String>,
}

/// Refuses a target that can't be written, before anything is asked for.
pub(crate) fn check_target(target: &Path, overwrite: bool) -> Result<()> {
    let unusable = |why: &str| Err(Error::invalid_input("target", format!("{} {why}", target.display())));
    if target.file_name().is_none() {
        return unusable("is not the name of a file");
    }
    if target.is_dir() {
        return unusable("is a directory");
    }
    if !folder_of(target).is_dir() {
        return unusable("is in a folder that does not exist");
    }
    if !overwrite && target.exists() { Err(exists(target)) } else { Ok(()) }
}

/// Writes a download to `target`. The target is what it was, or complete: never in between.
pub(crate) async fn save(download: Download<'_>, target: &Path, overwrite: bool) -> Result<Downloaded> {
    let mut part = PartFile::create(target.to_owned(), overwrite).await?;
    let etag = download.info().etag.clone();
    let mut body = download.into_body();
    let written = async {
        while let Some(chunk) = body.next().await? {
            part.work(move |open| open.file.write_all(&chunk).map_err(|e| open.failed(e))).await?;
        }
        part.work(Opened::commit).await?;
        part.settled().await
    }
    .await;
    match written {
        Ok(()) => {
            let verified_sha256 = body.verified_sha256().map(str::to_owned);
            Ok(Downloaded { path: target.to_owned(), size: body.received(), verified_sha256, etag })
        }
        Err(error) => {
            // So that nothing is left when the error arrives.
            let _ = part.settled().await;
            Err(error)
        }
    }
}

/// A file beside the target. Each step is a short job on the runtime's blocking threads, one after another; the next
/// chunk arrives while the last is written. Dropping it before the end removes the file, and stops a commit that has not
/// renamed it yet.
struct PartFile {
    step: Option<JoinHandle<Result<Opened>>>,
    dropped: Arc<AtomicBool>,
}

impl PartFile {
    async fn create(target: PathBuf, overwrite: bool) -> Result<Self> {
        let dropped = Arc::new(AtomicBool::new(false));
        let watched = dropped.clone();
        let mut part = Self { step: Some(spawn_blocking(move || Opened::new(target, overwrite, watched))), dropped };
        part.work(|_| Ok(())).await?;
        Ok(part)
    }

    /// Waits for the step before, and starts this one.
    async fn work(&mut self, step: impl FnOnce(&mut Opened) -> Result<()> + Send + 'static) -> Result<()> {
        let mut open = self.wait().await?;
        self.step = Some(spawn_blocking(move || {
            step(&mut open)?;
            Ok(open)
        }));
        Ok(())
    }

    /// Waits for the last step, and gives the file up: what has not been committed is removed.
    async fn settled(&mut self) -> Result<()> {
        self.wait().await.map(drop)
    }

    async fn wait(&mut self) -> Result<Opened> {
        let stopped = || Error::new(ErrorKind::Io, "the runtime stopped writing a file");
        let Some(step) = &mut self.step else { return Err(stopped()) };
        let outcome = step.await;
        self.step = None;
        outcome.unwrap_or_else(|cause| Err(stopped().caused_by(cause)))
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Release);
    }
}

struct Opened {
    file: File,
    part: PathBuf,
    target: PathBuf,
    overwrite: bool,
    keep: bool,
    /// Nobody waits for the file any more.
    dropped: Arc<AtomicBool>,
}

impl Opened {
    fn new(target: PathBuf, overwrite: bool, dropped: Arc<AtomicBool>) -> Result<Self> {
        check_target(&target, overwrite)?;
        let part = target.with_file_name(part_name(target.file_name().unwrap_or_default()));
        let file = OpenOptions::new().write(true).create_new(true).open(&part).map_err(|e| {
            Error::invalid_input("target", format!("{} can't be written beside", target.display())).caused_by(e)
        })?;
        Ok(Self { file, part, target, overwrite, keep: false, dropped })
    }

    fn commit(&mut self) -> Result<()> {
        self.file.sync_all().map_err(|e| self.failed(e))?;
        if self.dropped.load(Ordering::Acquire) {
            return Ok(());
        }
        if self.overwrite {
            std::fs::rename(&self.part, &self.target).map_err(|e| self.failed(e))?;
        } else {
            // Unlike a rename, a link does not replace what has appeared there meanwhile.
            match std::fs::hard_link(&self.part, &self.target) {
                Ok(()) => std::fs::remove_file(&self.part).map_err(|e| self.failed(e))?,
                Err(_) if self.target.exists() => return Err(exists(&self.target)),
                // A file system without links.
                Err(_) => std::fs::rename(&self.part, &self.target).map_err(|e| self.failed(e))?,
            }
        }
        self.keep = true;
        // Makes the rename last through a power cut, where folders can be synced.
        if let Ok(folder) = File::open(folder_of(&self.target)) {
            let _ = folder.sync_all();
        }
        Ok(())
    }

    fn failed(&self, cause: io::Error) -> Error {
        Error::io(format!("{} could not be written: {}", self.target.display(), cause.kind()), cause)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if !self.keep {
            let _ = std::fs::remove_file(&self.part);
        }
    }
}

/// A name beside the target that nobody else uses, and that is not too long for a file system where the target's is not.
fn part_name(name: &OsStr) -> OsString {
    const LONGEST: usize = 200;
    let mut part = OsString::new();
    if name.len() <= LONGEST {
        part.push(name);
        part.push(".");
    }
    part.push(format!("{:016x}.carbonfiles.part", fastrand::u64(..)));
    part
}

fn exists(target: &Path) -> Error {
    Error::new(ErrorKind::Conflict, format!("{} exists, and overwriting was not asked for", target.display()))
}

fn folder_of(target: &Path) -> &Path {
    target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

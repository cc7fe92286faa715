//! A download into a file: written beside the target, synced, and renamed onto it when it is whole.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::download::Download;
use super::hashing::hex;
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

/// Chunks that may wait for the writing thread.
const WAITING: usize = 4;

/// Writes a download to `target`. The target is what it was, or complete: never in between.
pub(crate) async fn save(download: Download<'_>, target: &Path, overwrite: bool) -> Result<Downloaded> {
    let mut part = PartFile::create(target.to_owned(), overwrite).await?;
    let etag = download.info().etag.clone();
    let mut body = download.into_body();
    while let Some(chunk) = body.next().await? {
        part.write(chunk).await?;
    }
    let verified_sha256 = body.verified_sha256().map(str::to_owned);
    part.finish().await?;
    Ok(Downloaded { path: target.to_owned(), size: body.received(), verified_sha256, etag })
}

/// A thread that writes chunks to `<target>.carbonfiles.part`. Unless it is told to finish, it removes the file when its sender is
/// dropped: on an error, or when the download is cancelled.
struct PartFile {
    commands: mpsc::Sender<Command>,
    thread: Option<JoinHandle<Result<()>>>,
}

enum Command {
    Write(Bytes),
    Finish,
}

impl PartFile {
    async fn create(target: PathBuf, overwrite: bool) -> Result<Self> {
        let (commands, inbox) = mpsc::channel(WAITING);
        let (ready, opened) = tokio::sync::oneshot::channel();
        let thread = spawn_blocking(move || match Opened::new(target, overwrite) {
            Ok(part) => {
                let _ = ready.send(Ok(()));
                part.run(inbox)
            }
            Err(error) => {
                let _ = ready.send(Err(error));
                Ok(())
            }
        });
        opened.await.map_err(|e| Error::new(ErrorKind::Io, "the runtime stopped writing a file").caused_by(e))??;
        Ok(Self { commands, thread: Some(thread) })
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        match self.commands.send(Command::Write(chunk)).await {
            Ok(()) => Ok(()),
            Err(_) => self.join().await,
        }
    }

    async fn finish(mut self) -> Result<()> {
        let _ = self.commands.send(Command::Finish).await;
        self.join().await
    }

    async fn join(&mut self) -> Result<()> {
        match self.thread.take() {
            Some(thread) => thread
                .await
                .unwrap_or_else(|e| Err(Error::new(ErrorKind::Io, "the runtime stopped writing a file").caused_by(e))),
            None => Ok(()),
        }
    }
}

struct Opened {
    file: File,
    part: PathBuf,
    target: PathBuf,
    overwrite: bool,
    keep: bool,
}

impl Opened {
    fn new(target: PathBuf, overwrite: bool) -> Result<Self> {
        let unusable = |why: &str| Error::invalid_input("target", format!("{} {why}", target.display()));
        let Some(name) = target.file_name() else { return Err(unusable("is not the name of a file")) };
        if target.is_dir() {
            return Err(unusable("is a directory"));
        }
        if !overwrite && target.exists() {
            return Err(exists(&target));
        }
        let part = target.with_file_name(part_name(name));
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&part)
            .map_err(|e| unusable("can't be written beside").caused_by(e))?;
        match file.try_lock() {
            Ok(()) | Err(TryLockError::Error(_)) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("another download is writing {}", part.display());
                return Err(Error::new(ErrorKind::Conflict, message));
            }
        }
        let opened = Self { file, part, target, overwrite, keep: false };
        opened.file.set_len(0).map_err(|e| opened.failed(e))?;
        Ok(opened)
    }

    fn run(mut self, mut inbox: mpsc::Receiver<Command>) -> Result<()> {
        while let Some(command) = inbox.blocking_recv() {
            match command {
                Command::Write(chunk) => self.file.write_all(&chunk).map_err(|e| self.failed(e))?,
                Command::Finish => return self.commit(),
            }
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        self.file.sync_all().map_err(|e| self.failed(e))?;
        if self.overwrite {
            std::fs::rename(&self.part, &self.target).map_err(|e| self.failed(e))?;
        } else {
            // Unlike a rename, a link does not replace what has appeared there meanwhile.
            match std::fs::hard_link(&self.part, &self.target) {
                Ok(()) => std::fs::remove_file(&self.part).map_err(|e| self.failed(e))?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(exists(&self.target)),
                Err(_) if self.target.exists() => return Err(exists(&self.target)),
                // A file system without links.
                Err(_) => std::fs::rename(&self.part, &self.target).map_err(|e| self.failed(e))?,
            }
        }
        self.keep = true;
        sync_folder(&self.target);
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
    } else {
        let hash = Sha256::digest(name.as_encoded_bytes());
        part.push(hex(&hash));
    }
    part.push(".carbonfiles.part");
    part
}

fn exists(target: &Path) -> Error {
    Error::new(ErrorKind::Conflict, format!("{} exists, and overwriting was not asked for", target.display()))
}

/// Makes the rename last through a power cut, where folders can be synced.
fn sync_folder(target: &Path) {
    let folder = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

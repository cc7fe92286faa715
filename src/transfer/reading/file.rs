//! Open files.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::Reading;
use super::ahead::ReadAhead;
use crate::blocking::blocking;
use crate::error::{Error, ErrorKind, Result, reason};
use crate::transfer::positioned::{read_at, uninterrupted};
use crate::transfer::source::{PathCheck, source_error};
use crate::transfer::unusable::unusable;

/// A regular file that was looked at, to be opened when its turn comes: till then it takes up no descriptor.
pub(crate) struct LaterFile {
    pub(crate) path: PathBuf,
    pub(crate) check: Option<PathCheck>,
    pub(crate) seen: Seen,
}

impl LaterFile {
    /// Opens it, if it is still what it was.
    pub(super) async fn open(&self) -> Result<ReadAhead> {
        let opened = FileReading::open_begun(self.path.clone(), self.check.clone()).await;
        // It could be opened a while ago, when it was an argument.
        let changed =
            |error: Error| if error.is_invalid_input() { error.with_kind(ErrorKind::ContentChanged) } else { error };
        let (file, begun) = opened.map_err(changed)?;
        if file.seen != Some(self.seen) {
            let message = format!("{} changed before its turn came", self.path.display());
            return Err(Error::new(ErrorKind::ContentChanged, message));
        }
        Ok(begun.unwrap_or_else(|| ReadAhead::new(file)))
    }
}

/// An open file, to be read from one place to its end.
#[derive(Debug, Clone)]
pub(crate) struct FileReading {
    file: Arc<File>,
    pub(super) start: u64,
    /// Where a section of it ends; `None` for all there is.
    end: Option<u64>,
    /// What it was when it was opened; `None` for pipes and devices.
    seen: Option<Seen>,
    /// A pipe that no read waits for.
    #[cfg(target_os = "linux")]
    pipe: bool,
}

/// By what a regular file that has changed is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    length: u64,
    modified: Option<SystemTime>,
    /// Device and inode, where there are any: a file that was replaced is another one, whatever its time.
    identity: Option<(u64, u64)>,
}

impl Seen {
    fn of(metadata: &Metadata) -> Self {
        Self { length: metadata.len(), modified: metadata.modified().ok(), identity: identity(metadata) }
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Option<(u64, u64)> {
    None
}

impl FileReading {
    /// Does not wait for the writer of a pipe, where the system can do without.
    pub(crate) async fn open(path: PathBuf, check: Option<PathCheck>) -> Result<Self> {
        blocking(move || Self::open_now(&path, check)).await
    }

    /// The same, with the beginning of a regular file read in the same job: most files have no more.
    pub(crate) async fn open_begun(path: PathBuf, check: Option<PathCheck>) -> Result<(Self, Option<ReadAhead>)> {
        blocking(move || {
            let file = Self::open_now(&path, check)?;
            let begun = file.is_regular().then(|| ReadAhead::begun(file.clone()));
            Ok((file, begun))
        })
        .await
    }

    fn open_now(path: &Path, check: Option<PathCheck>) -> Result<Self> {
        check.map_or(Ok(()), |check| check(path))?;
        let shown = path.display();
        let unopened = |cause| unusable("source", format!("{shown} can't be opened"), cause);
        #[cfg(target_os = "linux")]
        {
            let file = crate::transfer::pipe::open(path).map_err(unopened)?;
            let opened = Self::from_open(file, 0, &shown)?;
            let pipe = opened.seen.is_none() && crate::transfer::pipe::is_pipe(&opened.file);
            if opened.seen.is_some() || pipe {
                return Ok(Self { pipe, ..opened });
            }
            // A device, which would say that there is nothing yet instead of waiting.
        }
        let file = File::open(path).map_err(unopened)?;
        Self::from_open(file, 0, &shown)
    }

    /// From where the file stands.
    pub(crate) async fn from_file(mut file: File) -> Result<Self> {
        blocking(move || {
            let start = io::Seek::stream_position(&mut file).unwrap_or(0);
            Self::from_open(file, start, &"the file")
        })
        .await
    }

    /// From its beginning, wherever it stands.
    pub(crate) async fn from_start(file: File) -> Result<Self> {
        blocking(move || Self::from_open(file, 0, &"the file")).await
    }

    fn from_open(file: File, start: u64, shown: &dyn std::fmt::Display) -> Result<Self> {
        let metadata = file
            .metadata()
            .map_err(|cause| Error::io(format!("{shown} can't be examined: {}", reason(&cause)), cause))?;
        if metadata.is_dir() {
            return Err(Error::invalid_input("source", format!("{shown} is a directory")));
        }
        let seen = metadata.is_file().then(|| Seen::of(&metadata));
        Ok(Self {
            file: Arc::new(file),
            start,
            end: None,
            seen,
            #[cfg(target_os = "linux")]
            pipe: false,
        })
    }

    /// Which state of which regular file it is, as far as its metadata tell.
    pub(crate) fn seen(&self) -> Option<Seen> {
        self.seen
    }

    pub(crate) fn is_regular(&self) -> bool {
        self.seen.is_some()
    }

    pub(crate) fn size(&self) -> Option<u64> {
        self.end().map(|end| end - self.start)
    }

    /// Where the reading ends, counted from the start of the file; `None` where only the reading tells.
    pub(super) fn end(&self) -> Option<u64> {
        self.seen.map(|seen| self.end_of(seen))
    }

    fn end_of(&self, seen: Seen) -> u64 {
        self.end.unwrap_or(seen.length).max(self.start)
    }

    /// So many bytes of it, from there on.
    #[cfg(feature = "file-storage")]
    pub(crate) fn section(&self, start: u64, length: u64) -> Self {
        let start = self.start + start;
        Self { start, end: Some(start + length), ..self.clone() }
    }

    /// Waits for a pipe to have something, or its end. Nothing is read before the first chunk is asked for.
    #[cfg_attr(not(target_os = "linux"), allow(clippy::unused_async))]
    pub(crate) async fn start<'a>(self) -> Result<Reading<'a>> {
        #[cfg(target_os = "linux")]
        if self.pipe {
            let file = Arc::try_unwrap(self.file).or_else(|shared| shared.try_clone()).map_err(source_error)?;
            return Ok(Reading::Pipe(crate::transfer::pipe::PipeReading::wait(file).await.map_err(source_error)?));
        }
        Ok(Reading::File(ReadAhead::new(self)))
    }

    /// A whole chunk of a regular file, so that a request is not sent in crumbs; of a pipe, what there is.
    pub(super) fn read_chunk(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let read = match self.seen {
                Some(_) => read_at(&self.file, &mut buffer[filled..], position + filled as u64),
                None => uninterrupted(|| io::Read::read(&mut &*self.file, &mut buffer[filled..])),
            }?;
            filled += read;
            if read == 0 || self.seen.is_none() {
                break;
            }
        }
        Ok(filled)
    }

    /// Was all that was read one state of the file?
    pub(super) fn check_unchanged(&self, position: u64) -> Result<()> {
        let Some(seen) = self.seen else { return Ok(()) };
        let now = Seen::of(&self.file.metadata().map_err(source_error)?);
        // Some files (of /proc) have more than they say.
        let more = match self.end {
            Some(_) => 0,
            None => read_at(&self.file, &mut [0], position).map_err(source_error)?,
        };
        if now == seen && position == self.end_of(seen) && more == 0 {
            return Ok(());
        }
        Err(Error::new(ErrorKind::ContentChanged, "the source file changed while it was read"))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn why_a_file_can_not_be_opened_is_told() {
        let error = FileReading::open("/nowhere/at all".into(), None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("/nowhere/at all can't be opened: entity not found"), "{error}");
    }
}

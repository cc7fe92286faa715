//! Sources while they are read: one chunk after another.

use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt, future::poll_fn};
use tokio::io::AsyncRead;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::io::poll_read_buf;

use super::CHUNK;
use super::buffers::{Ring, aligned};
use super::source::source_error;
use crate::blocking::blocking;
use crate::error::{BoxError, Error, ErrorKind, Result, reason};

/// A source while it is read.
pub(crate) enum Reading<'a> {
    Bytes(Bytes),
    File(ReadAhead),
    Reader(Box<dyn AsyncRead + Send + Unpin + 'a>),
    Stream(StreamReading<'a>),
    #[cfg(target_os = "linux")]
    Pipe(super::pipe::PipeReading),
}

impl Reading<'_> {
    /// The next chunk, never an empty one; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        match self {
            Self::Bytes(left) if left.is_empty() => Ok(None),
            Self::Bytes(left) => Ok(Some(left.split_to(left.len().min(CHUNK)))),
            Self::File(file) => file.next().await,
            Self::Reader(reader) => {
                let mut buffer = aligned(CHUNK);
                poll_fn(|cx| poll_fill(Pin::new(reader), cx, &mut buffer)).await.map_err(source_error)?;
                Ok(Some(buffer.freeze()).filter(|chunk| !chunk.is_empty()))
            }
            Self::Stream(stream) => stream.next().await,
            #[cfg(target_os = "linux")]
            Self::Pipe(pipe) => {
                let chunk = pipe.next().await.map_err(source_error)?;
                Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
            }
        }
    }
}

/// Fills the buffer with what is there now: a source that pauses must not hold back what it has given already, for the
/// server cuts a body that is slower than 240 B/s.
fn poll_fill(
    mut reader: Pin<&mut (dyn AsyncRead + Send + Unpin)>,
    cx: &mut Context<'_>,
    buffer: &mut BytesMut,
) -> Poll<io::Result<()>> {
    while buffer.len() < CHUNK {
        match poll_read_buf(reader.as_mut(), cx, buffer) {
            Poll::Ready(Ok(0)) => break,
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending if buffer.is_empty() => return Poll::Pending,
            Poll::Pending => break,
        }
    }
    Poll::Ready(Ok(()))
}

/// A stream of chunks of any size: small ones that are there already are put together, large ones split.
pub(crate) struct StreamReading<'a> {
    stream: BoxStream<'a, Result<Bytes, BoxError>>,
    left: Bytes,
    failed: Option<Error>,
    ended: bool,
}

/// Below this, putting chunks together is cheaper than sending them one by one.
const SMALL: usize = 64 << 10;

impl<'a> StreamReading<'a> {
    pub(crate) fn new(stream: BoxStream<'a, Result<Bytes, BoxError>>) -> Self {
        Self { stream, left: Bytes::new(), failed: None, ended: false }
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.left.is_empty() {
            self.left = poll_fn(|cx| self.poll_gather(cx)).await;
        }
        if !self.left.is_empty() {
            return Ok(Some(self.left.split_to(self.left.len().min(2 * CHUNK))));
        }
        match self.failed.take() {
            Some(error) => Err(error),
            None => Ok(None),
        }
    }

    fn poll_gather(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let mut gathered = BytesMut::new();
        while !self.ended {
            match self.stream.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(chunk))) if gathered.is_empty() && chunk.len() >= SMALL => {
                    return Poll::Ready(chunk);
                }
                Poll::Ready(Some(Ok(chunk))) => {
                    if gathered.is_empty() {
                        gathered.reserve(CHUNK);
                    }
                    gathered.extend_from_slice(&chunk);
                    if gathered.len() >= CHUNK {
                        break;
                    }
                }
                Poll::Ready(Some(Err(cause))) => {
                    self.failed = Some(Error::new(ErrorKind::Io, "the source's stream failed").caused_by(cause));
                    self.ended = true;
                }
                Poll::Ready(None) => self.ended = true,
                Poll::Pending if gathered.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(gathered.freeze())
    }
}

/// An open file, to be read from one place to its end.
#[derive(Debug, Clone)]
pub(crate) struct FileReading {
    file: Arc<File>,
    start: u64,
    /// Where a section of it ends; `None` for all there is.
    end: Option<u64>,
    /// What it was when it was opened; `None` for pipes and devices.
    seen: Option<Seen>,
    /// A pipe that no read waits for.
    #[cfg(target_os = "linux")]
    pipe: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
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
    pub(crate) async fn open(path: PathBuf) -> Result<Self> {
        blocking(move || {
            let shown = path.display();
            #[cfg(target_os = "linux")]
            {
                let file = super::pipe::open(&path).map_err(|cause| unopened(&shown, cause))?;
                let opened = Self::from_open(file, 0, &shown)?;
                let pipe = opened.seen.is_none() && super::pipe::is_pipe(&opened.file);
                if opened.seen.is_some() || pipe {
                    return Ok(Self { pipe, ..opened });
                }
                // A device, which would say that there is nothing yet instead of waiting.
            }
            let file = File::open(&path).map_err(|cause| unopened(&shown, cause))?;
            Self::from_open(file, 0, &shown)
        })
        .await
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

    /// The same state of the same file, as far as its metadata tell.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.seen == other.seen
    }

    pub(crate) fn is_regular(&self) -> bool {
        self.seen.is_some()
    }

    pub(crate) fn size(&self) -> Option<u64> {
        self.seen.map(|seen| self.end_of(seen) - self.start)
    }

    /// Where the reading ends, counted from the start of the file.
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
            return Ok(Reading::Pipe(super::pipe::PipeReading::wait(file).await.map_err(source_error)?));
        }
        Ok(Reading::File(ReadAhead::new(self)))
    }

    /// A whole chunk of a regular file, so that a request is not sent in crumbs; of a pipe, what there is.
    fn read_chunk(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let read = match self.seen {
                Some(_) => read_at(&self.file, &mut buffer[filled..], position + filled as u64),
                None => io::Read::read(&mut &*self.file, &mut buffer[filled..]),
            };
            match read {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            if self.seen.is_none() {
                break;
            }
        }
        Ok(filled)
    }

    /// Was all that was read one state of the file?
    fn check_unchanged(&self, position: u64) -> Result<()> {
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

/// The argument's fault where there is no such file, or not for this user; else the system's, such as a lack of descriptors.
fn unopened(shown: &dyn std::fmt::Display, cause: io::Error) -> Error {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound, PermissionDenied};
    let message = format!("{shown} can't be opened: {}", reason(&cause));
    match cause.kind() {
        NotFound | PermissionDenied | NotADirectory | InvalidFilename | InvalidInput => {
            Error::invalid_input("source", message).caused_by(cause)
        }
        _ => Error::io(message, cause),
    }
}

/// A file that is read some chunks ahead, by short jobs on the runtime's blocking threads. Those are bounded: a transfer that
/// held one from beginning to end could wait for ever for another that does the same.
pub(crate) struct ReadAhead {
    ready: VecDeque<Bytes>,
    /// Told when what was read before it is gone.
    failed: Option<Error>,
    step: Step,
}

enum Step {
    Idle(Box<Cursor>),
    Job(JoinHandle<Read>),
    Ended,
}

/// What a job has read.
struct Read {
    /// `None` where no more is to come.
    cursor: Option<Box<Cursor>>,
    chunks: VecDeque<Bytes>,
    failed: Option<Error>,
}

/// So many chunks are read by a job: to start one for each of them costs as much as reading it.
const AT_ONCE: usize = 4;

/// The next job begins when no more than these are left.
const READ_AGAIN: usize = 2;

/// Where the reading of a file stands.
struct Cursor {
    file: FileReading,
    position: u64,
    /// The chunk that was read last is the last one, and all of them are of one state of the file.
    ended: bool,
    ring: Ring,
}

impl ReadAhead {
    fn new(file: FileReading) -> Self {
        let cursor = Cursor { position: file.start, file, ended: false, ring: Ring::default() };
        Self { ready: VecDeque::new(), failed: None, step: Step::Idle(Box::new(cursor)) }
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if self.ready.len() <= READ_AGAIN && matches!(self.step, Step::Idle(_)) {
                self.step = match std::mem::replace(&mut self.step, Step::Ended) {
                    Step::Idle(cursor) => Step::Job(spawn_blocking(move || cursor.read())),
                    step => step,
                };
            }
            if let Some(chunk) = self.ready.pop_front() {
                return Ok(Some(chunk));
            }
            // Kept in place while it runs: `next` may be dropped and called again.
            let Step::Job(job) = &mut self.step else { return self.failed.take().map_or(Ok(None), Err) };
            let read = job.await;
            self.step = Step::Ended;
            let read =
                read.map_err(|e| Error::new(ErrorKind::Io, "the runtime stopped reading a file").caused_by(e))?;
            (self.ready, self.failed) = (read.chunks, read.failed);
            self.step = read.cursor.map_or(Step::Ended, Step::Idle);
        }
    }
}

impl Cursor {
    fn read(mut self: Box<Self>) -> Read {
        // A pipe gives what there is: what comes next may be long in coming.
        let at_once = if self.file.is_regular() { AT_ONCE } else { 1 };
        let mut chunks = VecDeque::with_capacity(at_once);
        while chunks.len() < at_once && !self.ended {
            match self.read_chunk() {
                Ok(Some(chunk)) => chunks.push_back(chunk),
                Ok(None) => self.ended = true,
                Err(error) => return Read { cursor: None, chunks, failed: Some(error) },
            }
        }
        let cursor = (!self.ended).then_some(self);
        Read { cursor, chunks, failed: None }
    }

    fn read_chunk(&mut self) -> Result<Option<Bytes>> {
        let end = self.file.seen.map(|seen| self.file.end_of(seen));
        let want = end.map_or(CHUNK as u64, |end| (end - self.position).min(CHUNK as u64)) as usize;
        if want > 0 {
            let mut buffer = self.ring.take(want);
            let read = self.file.read_chunk(&mut buffer, self.position).map_err(source_error)?;
            if read > 0 {
                buffer.truncate(read);
                self.position += read as u64;
                if end == Some(self.position) {
                    // Here, and not in a job of its own: most files have one chunk.
                    self.file.check_unchanged(self.position)?;
                    self.ended = true;
                }
                return Ok(Some(self.ring.lend(buffer)));
            }
        }
        self.file.check_unchanged(self.position)?;
        Ok(None)
    }
}

#[cfg(unix)]
pub(super) fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, position)
}

#[cfg(windows)]
pub(super) fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;

    async fn collect(mut reading: Reading<'_>) -> Result<(Vec<u8>, Vec<usize>)> {
        let (mut all, mut sizes) = (Vec::new(), Vec::new());
        while let Some(chunk) = reading.next().await? {
            sizes.push(chunk.len());
            all.extend_from_slice(&chunk);
        }
        Ok((all, sizes))
    }

    #[tokio::test]
    async fn files_come_whole_in_chunks() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 40 * CHUNK + 7] {
            let data: Vec<u8> = (0..length).map(|i| (i * 31 % 251) as u8).collect();
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &data).unwrap();
            let reading = FileReading::open(file.path().into()).await.unwrap();
            assert_eq!(reading.size(), Some(length as u64));
            let (all, sizes) = collect(reading.start().await.unwrap()).await.unwrap();
            assert!(all == data);
            assert!(sizes.iter().rev().skip(1).all(|size| *size == CHUNK));
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn why_a_file_can_not_be_opened_is_told() {
        let error = FileReading::open("/nowhere/at all".into()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("/nowhere/at all can't be opened: entity not found"), "{error}");
        // EMFILE: the path is right. It has no name but the system's.
        let error = unopened(&"x", io::Error::from_raw_os_error(24));
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().contains("x can't be opened: Too many open files (os error 24)"), "{error}");
    }

    #[tokio::test]
    async fn a_file_that_changes_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for change in [&|f: &File| f.set_len(20 * CHUNK as u64), &|f: &File| f.set_len(100)]
            as [&dyn Fn(&File) -> io::Result<()>; 2]
        {
            std::fs::write(file.path(), vec![1; 10 * CHUNK]).unwrap();
            let reading = FileReading::open(file.path().into()).await.unwrap();
            let mut reading = reading.start().await.unwrap();
            reading.next().await.unwrap();
            change(&File::options().write(true).open(file.path()).unwrap()).unwrap();
            assert_eq!(collect(reading).await.unwrap_err().kind(), ErrorKind::ContentChanged);
        }
    }

    #[tokio::test]
    async fn small_chunks_are_gathered_and_large_ones_split() {
        let crumbs = stream::iter((0..5000).map(|_| Ok(Bytes::from_static(&[7; 100])))).boxed();
        let (all, sizes) = collect(Reading::Stream(StreamReading::new(crumbs))).await.unwrap();
        assert_eq!((all.len(), sizes.len()), (500_000, 2));
        let large = stream::iter([Ok(Bytes::from(vec![7; 3_000_000]))]).boxed();
        let (all, sizes) = collect(Reading::Stream(StreamReading::new(large))).await.unwrap();
        assert_eq!((all.len(), sizes.len()), (3_000_000, 6));
    }

    #[tokio::test]
    async fn what_came_before_an_error_is_not_the_end() {
        let broken = stream::iter([Ok(Bytes::from_static(b"x")), Err("broken".into())]).boxed();
        let mut reading = Reading::Stream(StreamReading::new(broken));
        assert_eq!(reading.next().await.unwrap().unwrap(), "x");
        assert_eq!(reading.next().await.unwrap_err().kind(), ErrorKind::Io);
    }

    #[tokio::test]
    async fn a_paused_reader_gives_what_it_has() {
        let (mut tx, rx) = tokio::io::duplex(1000);
        tokio::io::AsyncWriteExt::write_all(&mut tx, b"abc").await.unwrap();
        let mut reading = Reading::Reader(Box::new(rx));
        assert_eq!(reading.next().await.unwrap().unwrap(), "abc");
        drop(tx);
        assert!(reading.next().await.unwrap().is_none());
    }
}

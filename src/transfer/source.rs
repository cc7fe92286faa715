//! What can be uploaded.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt};
use tokio::io::AsyncRead;

use super::reading::{FileReading, LaterFile, Reading, Seen, StreamReading};
use crate::error::{BoxError, Error, ErrorKind, Result, reason};

/// What can be uploaded: bytes, a path, an open file, a reader, a stream, or a factory of these.
///
/// | source | size | sent again after a fault |
/// |---|---|---|
/// | bytes, a path, an open regular file | known | yes |
/// | [`Source::factory`] | that of what it makes | yes, made anew |
/// | [`Source::reader`], [`Source::stream`], a pipe or device | unknown unless [`Source::size`] says it | no |
///
/// An upload of known size goes out with `Content-Length`. One that turns out shorter or longer than its size fails,
/// and so does a file that changes while it is read; then nothing becomes visible on the server.
///
/// A `String` goes as `text.into_bytes()`. Bytes that are borrowed have to be `'static`; of others, make them yours
/// (`to_vec()`), or read them by `Source::reader(&bytes[..]).size(n)`, which can't be sent again.
///
/// A path may lead to a pipe: a FIFO, or `/dev/fd/3` as of a shell's `<(…)`. Its writer and the first bytes are waited for
/// before anything is sent. On Linux that takes no thread. On other systems, and for open pipes and devices everywhere, each
/// read that waits holds one of the runtime's blocking threads, also when the call has been dropped, and the runtime can't
/// end before something comes; a [`reader`](Source::reader) that is async itself does not have that.
pub struct Source<'a> {
    kind: Kind<'a>,
    size: Option<u64>,
}

enum Kind<'a> {
    Bytes(Bytes),
    Path(PathSource),
    File(FileSource),
    Reader(Box<dyn AsyncRead + Send + Unpin + 'a>),
    Stream(BoxStream<'a, Result<Bytes, BoxError>>),
    /// What it makes is `'static`, so that a `Source` stays covariant: a longer-lived one can stand in for a shorter-lived.
    Factory(Box<dyn FnMut() -> BoxFuture<'static, Result<Source<'static>, BoxError>> + Send + 'a>),
    Used,
}

struct PathSource {
    path: PathBuf,
    /// What the file was at the first attempt.
    first: Option<Seen>,
    /// Asked before each opening, by the job that opens it.
    check: Option<PathCheck>,
}

/// Refuses a path that must not be opened.
pub(crate) type PathCheck = Arc<dyn Fn(&Path) -> Result<()> + Send + Sync>;

enum FileSource {
    Tokio(Box<tokio::fs::File>),
    Open(FileReading),
}

impl<'a> Source<'a> {
    /// Whatever an `AsyncRead` gives, to its end. A reader that is only lent (`&mut reader`) stays usable.
    pub fn reader(reader: impl AsyncRead + Send + Unpin + 'a) -> Self {
        Kind::Reader(Box::new(reader)).into()
    }

    /// Whatever a stream of byte chunks gives, to its end. An error of the stream fails the upload.
    pub fn stream<S, B, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<B, E>> + Send + 'a,
        B: Into<Bytes>,
        E: Into<BoxError>,
    {
        Kind::Stream(stream.map(|chunk| chunk.map(Into::into).map_err(Into::into)).boxed()).into()
    }

    /// Makes a source for each attempt, so that what can be read only once can be sent again.
    ///
    /// ```
    /// # use carbonfiles::Source;
    /// let source = Source::factory(|| async { Ok::<_, std::io::Error>(Source::reader(&b"ten bytes."[..]).size(10)) });
    /// ```
    pub fn factory<F, Fut, S, E>(mut make: F) -> Self
    where
        F: FnMut() -> Fut + Send + 'a,
        Fut: Future<Output = Result<S, E>> + Send + 'static,
        S: Into<Source<'static>>,
        E: Into<BoxError>,
    {
        Kind::Factory(Box::new(move || {
            let made = make();
            Box::pin(async move { made.await.map(Into::into).map_err(Into::into) })
        }))
        .into()
    }

    /// A path that is looked at just before it is opened.
    pub(crate) fn path_if(path: PathBuf, check: PathCheck) -> Self {
        Kind::Path(PathSource { path, first: None, check: Some(check) }).into()
    }

    /// Says how many bytes a reader or stream will give. Giving fewer or more fails the upload, so it is read to its end.
    #[must_use]
    pub fn size(mut self, bytes: u64) -> Self {
        self.size = Some(bytes);
        self
    }

    /// The last part of a path; `None` for sources without a name.
    #[cfg(any(feature = "tenantbox", feature = "file-storage"))]
    pub(crate) fn file_name(&self) -> Result<Option<String>> {
        let Kind::Path(PathSource { path, .. }) = &self.kind else { return Ok(None) };
        let name = path.file_name().ok_or_else(|| Error::invalid_input("source", "its path does not end in a name"))?;
        match name.to_str() {
            Some(name) => Ok(Some(name.to_owned())),
            None => Err(Error::invalid_input("source", "its name is not UTF-8").with_hint("Give it a name of its own")),
        }
    }

    /// The same, to be read in sections. Refuses what can only be read from beginning to end.
    #[cfg(feature = "file-storage")]
    pub(crate) async fn into_sections(self) -> Result<Sections> {
        let sections = Self::sections_of(self.kind).await?;
        match self.size {
            Some(said) => check_size(said, sections.size()).map(|()| sections),
            None => Ok(sections),
        }
    }

    #[cfg(feature = "file-storage")]
    async fn sections_of(kind: Kind<'a>) -> Result<Sections> {
        let file = match kind {
            Kind::Bytes(bytes) => return Ok(Sections::Bytes(bytes)),
            Kind::Path(PathSource { path, check, .. }) => FileReading::open(path, check).await?,
            Kind::File(FileSource::Tokio(file)) => FileReading::from_file(file.into_std().await).await?,
            Kind::File(FileSource::Open(file)) => file,
            _ => {
                let error =
                    Error::invalid_input("source", "parts are read in any order: it takes bytes, a path or a file");
                return Err(error.with_hint(KEEP_IT));
            }
        };
        match file.is_regular() {
            true => Ok(Sections::File(file)),
            false => Err(Error::invalid_input("source", "it is not a regular file, so it can't be read in parts")
                .with_hint(KEEP_IT)),
        }
    }

    pub(crate) fn is_replayable(&self) -> bool {
        match &self.kind {
            Kind::Bytes(_) | Kind::Factory(_) => true,
            Kind::Path(..) => true,
            Kind::File(FileSource::Tokio(_)) => true,
            Kind::File(FileSource::Open(file)) => file.is_regular(),
            Kind::Reader(_) | Kind::Stream(_) | Kind::Used => false,
        }
    }

    /// How many bytes of it can wait in memory while it is sent, besides those that are there already: no more than it has,
    /// as far as that can be told before it is opened.
    pub(crate) async fn most_buffered(&mut self) -> u64 {
        let regular = |metadata: std::fs::Metadata| metadata.is_file().then_some(metadata.len());
        let found = match &self.kind {
            Kind::Bytes(_) => Some(0),
            Kind::Path(PathSource { path, .. }) => tokio::fs::metadata(path).await.ok().and_then(regular),
            Kind::File(FileSource::Tokio(file)) => file.metadata().await.ok().and_then(regular),
            Kind::File(FileSource::Open(file)) => file.size(),
            Kind::Reader(_) | Kind::Stream(_) | Kind::Factory(_) | Kind::Used => self.size,
        };
        found.unwrap_or(u64::MAX)
    }

    /// Starts reading from the beginning. The size, where known, is that of what will be read.
    pub(crate) async fn open(&mut self) -> Result<(Reading<'a>, Option<u64>)> {
        self.open_for(true).await
    }

    /// The same for one that is read at once, or later: then nothing of it is in memory until that.
    pub(crate) async fn open_for(&mut self, at_once: bool) -> Result<(Reading<'a>, Option<u64>)> {
        let (reading, found) = self.open_kind(at_once).await?;
        if let (Some(said), Some(found)) = (self.size, found) {
            check_size(said, found)?;
        }
        Ok((reading, found.or(self.size)))
    }

    async fn open_kind(&mut self, at_once: bool) -> Result<(Reading<'a>, Option<u64>)> {
        match &mut self.kind {
            Kind::Bytes(bytes) => Ok((Reading::Bytes(bytes.clone()), Some(bytes.len() as u64))),
            Kind::Path(PathSource { path, first, check }) => {
                let (opened, guard) = (path.clone(), check.clone());
                let (file, begun) = match at_once {
                    true => FileReading::open_begun(opened, guard).await?,
                    false => (FileReading::open(opened, guard).await?, None),
                };
                if first.is_some_and(|first| file.seen() != Some(first)) {
                    let message = format!("{} changed between two attempts to send it", path.display());
                    return Err(Error::new(ErrorKind::ContentChanged, message));
                }
                let size = file.size();
                let Some(seen) = file.seen() else {
                    self.kind = Kind::Used;
                    return Ok((Box::pin(file.start()).await?, size));
                };
                *first = Some(seen);
                let later = || Reading::Later(LaterFile { path: path.clone(), check: check.clone(), seen });
                Ok((begun.map_or_else(later, Reading::File), size))
            }
            Kind::File(_) => {
                let Kind::File(source) = std::mem::replace(&mut self.kind, Kind::Used) else { unreachable!() };
                let file = match source {
                    FileSource::Tokio(file) => FileReading::from_file(Box::pin(file.into_std()).await).await?,
                    FileSource::Open(file) => file,
                };
                let size = file.size();
                if file.is_regular() {
                    self.kind = Kind::File(FileSource::Open(file.clone()));
                }
                Ok((Box::pin(file.start()).await?, size))
            }
            Kind::Factory(make) => {
                let mut made = make()
                    .await
                    .map_err(|cause| Error::new(ErrorKind::Io, "the source's factory failed").caused_by(cause))?;
                Box::pin(made.open_for(at_once)).await
            }
            Kind::Reader(_) | Kind::Stream(_) => match std::mem::replace(&mut self.kind, Kind::Used) {
                Kind::Reader(reader) => Ok((Reading::Reader(reader), None)),
                Kind::Stream(stream) => Ok((Reading::Stream(StreamReading::new(stream)), None)),
                _ => unreachable!("matched above"),
            },
            Kind::Used => Err(Error::new(ErrorKind::BodyNotReplayable, "the source can be read only once")),
        }
    }
}

fn check_size(said: u64, found: u64) -> Result<()> {
    if said == found {
        return Ok(());
    }
    Err(Error::invalid_input("size", format!("the source has {found} bytes, not {said}")))
}

/// What to do with a source that can only be read from its beginning to its end.
#[cfg(feature = "file-storage")]
const KEEP_IT: &str = "The whole of an upload can be read into a temporary file first: .spool(limit)";

/// A source that any section of can be read, again and again.
#[cfg(feature = "file-storage")]
#[derive(Clone)]
pub(crate) enum Sections {
    Bytes(Bytes),
    File(FileReading),
}

#[cfg(feature = "file-storage")]
impl Sections {
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(file) => file.size().unwrap_or(0),
        }
    }

    /// So many bytes from there on, which must be there.
    pub(crate) fn section(&self, start: u64, length: u64) -> Source<'static> {
        match self {
            Self::Bytes(bytes) => bytes.slice(start as usize..(start + length) as usize).into(),
            Self::File(file) => Kind::File(FileSource::Open(file.section(start, length))).into(),
        }
    }
}

impl<'a> From<Kind<'a>> for Source<'a> {
    fn from(kind: Kind<'a>) -> Self {
        Self { kind, size: None }
    }
}

impl From<Bytes> for Source<'_> {
    fn from(bytes: Bytes) -> Self {
        Kind::Bytes(bytes).into()
    }
}

impl From<Vec<u8>> for Source<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Kind::Bytes(bytes.into()).into()
    }
}

impl From<&'static [u8]> for Source<'_> {
    fn from(bytes: &'static [u8]) -> Self {
        Kind::Bytes(Bytes::from_static(bytes)).into()
    }
}

impl<const N: usize> From<&'static [u8; N]> for Source<'_> {
    fn from(bytes: &'static [u8; N]) -> Self {
        Kind::Bytes(Bytes::from_static(bytes)).into()
    }
}

impl From<Arc<[u8]>> for Source<'_> {
    fn from(bytes: Arc<[u8]>) -> Self {
        Kind::Bytes(Bytes::from_owner(bytes)).into()
    }
}

impl From<PathBuf> for Source<'_> {
    fn from(path: PathBuf) -> Self {
        Kind::Path(PathSource { path, first: None, check: None }).into()
    }
}

impl From<&Path> for Source<'_> {
    fn from(path: &Path) -> Self {
        path.to_owned().into()
    }
}

impl From<&PathBuf> for Source<'_> {
    fn from(path: &PathBuf) -> Self {
        path.clone().into()
    }
}

/// From its beginning; nothing else knows it.
impl From<FileReading> for Source<'_> {
    fn from(file: FileReading) -> Self {
        Kind::File(FileSource::Open(file)).into()
    }
}

/// From where the file stands to its end.
impl From<tokio::fs::File> for Source<'_> {
    fn from(file: tokio::fs::File) -> Self {
        Kind::File(FileSource::Tokio(Box::new(file))).into()
    }
}

/// From where the file stands to its end.
impl From<std::fs::File> for Source<'_> {
    fn from(file: std::fs::File) -> Self {
        tokio::fs::File::from_std(file).into()
    }
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Bytes(bytes) => write!(f, "Source::Bytes({})", bytes.len()),
            Kind::Path(PathSource { path, .. }) => write!(f, "Source::Path({})", path.display()),
            Kind::File(_) => f.write_str("Source::File"),
            Kind::Reader(_) => f.write_str("Source::Reader"),
            Kind::Stream(_) => f.write_str("Source::Stream"),
            Kind::Factory(_) => f.write_str("Source::Factory"),
            Kind::Used => f.write_str("Source::Used"),
        }
    }
}

/// The error of a source, as this crate's. What a caller's own source says is in the cause alone: it may say anything.
pub(crate) fn source_error(cause: io::Error) -> Error {
    let why = cause.raw_os_error().map_or_else(|| cause.kind().to_string(), |_| reason(&cause));
    Error::io(format!("the source could not be read: {why}"), cause)
}

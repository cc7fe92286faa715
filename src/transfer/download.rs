//! A download as its user has it: the head at once, the body as bytes, stream, reader or answer of another service.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use futures::stream::{BoxStream, Fuse, FusedStream, StreamExt};
use http::header;
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};
use tokio_util::io::StreamReader;

use super::body::Body;
use super::info::ContentInfo;
use super::to_file::too_long;
use crate::error::{Error, ErrorKind, Result};

/// A download whose head is here and whose body is still to be read.
///
/// After a cut it goes on where it was, with `Range` and `If-Range`, as long as the server has the same content; else
/// the error is `ContentChanged`. Where the ETag is a SHA-256, as CarbonFiles', the whole is compared with it: the last
/// thing that comes is then `IntegrityMismatch` instead of the end. Dropping it ends the transfer.
pub struct Download<'a> {
    body: Box<Body<'a>>,
}

impl<'a> Download<'a> {
    /// Type, length, ETag and the like.
    #[must_use]
    pub fn info(&self) -> &ContentInfo {
        self.body.info()
    }

    /// All of it in memory, if it has at most `limit` bytes.
    ///
    /// # Errors
    /// `PayloadTooLarge` for a longer one, before it is read where its length is known.
    pub async fn bytes(mut self, limit: usize) -> Result<Bytes> {
        let length = self.info().length;
        if length.is_some_and(|length| length > limit as u64) {
            return Err(too_long(limit as u64));
        }
        let mut whole = Vec::new();
        while let Some(chunk) = self.body.next().await? {
            if whole.len() + chunk.len() > limit {
                return Err(too_long(limit as u64));
            }
            if whole.is_empty() {
                // All at once, so that nothing is copied while it grows; a length that is a lie may be beyond memory.
                let length = usize::try_from(length.unwrap_or(0)).unwrap_or(usize::MAX);
                whole.try_reserve_exact(length).map_err(|cause| {
                    Error::new(ErrorKind::PayloadTooLarge, "there is no memory for the content").caused_by(cause)
                })?;
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.into())
    }

    /// The body as a stream of chunks.
    pub fn stream(self) -> DownloadStream<'a> {
        let info = self.info().clone();
        let chunks = futures::stream::unfold(self.body, |mut body| async move {
            body.next().await.transpose().map(|chunk| (chunk, body))
        });
        DownloadStream { info, chunks: chunks.boxed().fuse() }
    }

    /// The body as an `AsyncRead` (and `AsyncBufRead`). This crate's error is inside the `io::Error`.
    pub fn reader(self) -> DownloadReader<'a> {
        let info = self.info().clone();
        let chunks: BoxStream<'a, io::Result<Bytes>> =
            self.stream().map(|chunk| chunk.map_err(io::Error::from)).boxed();
        DownloadReader { info, reader: StreamReader::new(chunks) }
    }

    /// The answer as one of your own service: its status (200, or 206 for a range), the headers that describe the content,
    /// and the body as a stream. Nothing else of the server's answer is passed on.
    ///
    /// Type and disposition are those of whoever uploaded it: a browser takes a page among them for one of your origin, its
    /// scripts included. A service for others' files adds `X-Content-Type-Options: nosniff`, and `Content-Disposition:
    /// attachment` or a `Content-Security-Policy: sandbox`, as `examples/service.rs` does.
    pub fn into_http_response(self) -> http::Response<DownloadStream<'a>> {
        const PASSED_ON: [header::HeaderName; 8] = [
            header::CONTENT_TYPE,
            header::CONTENT_LENGTH,
            header::CONTENT_RANGE,
            header::CONTENT_DISPOSITION,
            header::ETAG,
            header::LAST_MODIFIED,
            header::ACCEPT_RANGES,
            header::CACHE_CONTROL,
        ];
        let head = self.body.head();
        let mut response = http::Response::new(self.stream());
        *response.status_mut() = head.status;
        for name in PASSED_ON {
            if let Some(value) = head.headers.get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response
    }

    pub(super) fn of(body: Box<Body<'a>>) -> Self {
        Self { body }
    }

    /// Whether the whole content is on its way, and there is nothing to compare it with.
    #[cfg(feature = "file-storage")]
    pub(crate) fn lacks_hash(&self) -> bool {
        let info = self.info();
        info.sha256().is_none() && info.start == 0 && info.length == info.total
    }

    /// Compares the content with a SHA-256 that is known from elsewhere than its ETag. Called before anything is read.
    #[cfg(feature = "file-storage")]
    pub(crate) fn compare_with(mut self, sha256: &str) -> Self {
        self.body.compare_with(sha256);
        self
    }

    #[cfg(feature = "zip")]
    pub(crate) fn into_body(self) -> Box<Body<'a>> {
        self.body
    }
}

impl fmt::Debug for Download<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download").field("info", self.info()).finish_non_exhaustive()
    }
}

/// A download's body as a stream of chunks. It ends after an error.
#[must_use = "a stream does nothing unless it is polled"]
pub struct DownloadStream<'a> {
    info: ContentInfo,
    chunks: Fuse<BoxStream<'a, Result<Bytes>>>,
}

impl DownloadStream<'_> {
    /// Type, length, ETag and the like.
    #[must_use]
    pub fn info(&self) -> &ContentInfo {
        &self.info
    }
}

impl Stream for DownloadStream<'_> {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.chunks.poll_next_unpin(cx)
    }
}

impl FusedStream for DownloadStream<'_> {
    fn is_terminated(&self) -> bool {
        self.chunks.is_terminated()
    }
}

impl fmt::Debug for DownloadStream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadStream").field("info", &self.info).finish_non_exhaustive()
    }
}

/// A download's body as a reader.
pub struct DownloadReader<'a> {
    info: ContentInfo,
    reader: StreamReader<BoxStream<'a, io::Result<Bytes>>, Bytes>,
}

impl DownloadReader<'_> {
    /// Type, length, ETag and the like.
    #[must_use]
    pub fn info(&self) -> &ContentInfo {
        &self.info
    }
}

impl AsyncRead for DownloadReader<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(cx, buf)
    }
}

impl AsyncBufRead for DownloadReader<'_> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Pin::new(&mut self.get_mut().reader).poll_fill_buf(cx)
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        Pin::new(&mut self.reader).consume(amount);
    }
}

impl fmt::Debug for DownloadReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadReader").field("info", &self.info).finish_non_exhaustive()
    }
}

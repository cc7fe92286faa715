//! An upload that is written to.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

use super::{File, Upload};
use crate::error::Result;
use crate::models::UploadedFile;
use crate::transfer::{Feeder, Source};

impl File {
    /// An `AsyncWrite` that uploads what is written to it under this path, of any length.
    ///
    /// The file appears when [`UploadWriter::finish`] (or `shutdown`) has succeeded; a writer that is dropped before
    /// leaves nothing. It can't be retried. Until then, other uploads, appends and patches of this client to the
    /// same path wait, so two writers for one path in one task would wait for each other. The server cuts an upload that pauses
    /// for more than about 5 s.
    ///
    /// ```no_run
    /// use tokio::io::AsyncWriteExt;
    /// # async fn f(file: carbonfiles::File) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut writer = file.upload_writer();
    /// writer.write_all(b"one line\n").await?;
    /// let done = writer.finish().await?;
    /// # Ok(()) }
    /// ```
    pub fn upload_writer(&self) -> UploadWriter {
        self.upload_writer_with(|upload| upload)
    }

    /// As [`File::upload_writer`], with the upload's settings: token, progress, headers, limits.
    pub fn upload_writer_with(&self, configure: impl FnOnce(Upload<'static>) -> Upload<'static>) -> UploadWriter {
        UploadWriter { feeder: Feeder::new(|written| configure(self.upload(Source::stream(written))).send()) }
    }
}

/// An upload that is written to. Made by [`File::upload_writer`].
///
/// # Errors
/// A write, flush or shutdown fails with an `io::Error` that holds the upload's [`Error`](crate::Error); after a failed one,
/// [`finish`](Self::finish) gives it.
#[must_use = "the file appears when finish() has succeeded"]
pub struct UploadWriter {
    feeder: Feeder<UploadedFile>,
}

impl UploadWriter {
    /// Says that all is written, and waits until the server has stored it.
    ///
    /// # Errors
    /// Those of the upload.
    pub async fn finish(self) -> Result<UploadedFile> {
        self.feeder.finish().await
    }
}

impl AsyncWrite for UploadWriter {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.feeder.poll_write(cx, data)
    }

    /// Hands everything written so far to the upload.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.feeder.poll_flush(cx)
    }

    /// Completes the upload, as [`UploadWriter::finish`] does.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.feeder.poll_end(cx)
    }
}

impl fmt::Debug for UploadWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadWriter").finish_non_exhaustive()
    }
}

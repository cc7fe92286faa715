//! A download to here, through a presigned URL.

use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::time::Duration;

use super::file::File;
use crate::error::{Error, ErrorKind, Result};
use crate::file_path::encode_segment;
use crate::http::{CallOptions, awaitable};
use crate::object_store::{Issued, Presigned, get};
use crate::transfer::{self, DownloadPlan, Reporter, last_bytes, range_header, reports_progress};

impl File {
    /// The content: its head at once, its body as bytes, stream, reader or file. After a cut it goes on where it was, with
    /// a fresh URL where the old one has expired.
    ///
    /// ```no_run
    /// # async fn f(client: carbonfiles::tenantbox::Client) -> carbonfiles::Result<()> {
    /// let bytes = client.file("projects/p/report.pdf").download().await?.bytes(10 << 20).await?; // at most 10 MiB
    /// # Ok(()) }
    /// ```
    pub fn download<'a>(&self) -> Download<'a> {
        Download { file: self.clone(), range: Ok(None), reporter: Reporter::default(), options: CallOptions::default() }
    }
}

/// Asks for a content. Made by [`File::download`].
#[must_use = "nothing is sent until it is awaited"]
pub struct Download<'a> {
    file: File,
    range: Result<Option<String>>,
    pub(super) reporter: Reporter<'a>,
    pub(super) options: CallOptions,
}

impl<'a> Download<'a> {
    /// Only these bytes: `0..100`, `100..`, `..=9`. An end past that of the file is moved to it; a start past it is
    /// `RangeNotSatisfiable`.
    pub fn range(mut self, bytes: impl RangeBounds<u64>) -> Self {
        self.range = range_header(&bytes);
        self
    }

    /// Only the last so many bytes.
    pub fn last(mut self, bytes: u64) -> Self {
        self.range = last_bytes(bytes);
        self
    }

    async fn run(self) -> Result<transfer::Download<'a>> {
        let unasked = || Error::new(ErrorKind::Decode, "the storage said 'not modified' without being asked");
        self.plan()?.start().await?.ok_or_else(unasked)
    }

    pub(super) fn plan(self) -> Result<DownloadPlan<'a>> {
        let name = format!("/api/storage/files/{}", encode_segment(self.file.checked_path()?));
        Ok(DownloadPlan {
            transport: self.file.client.transport.clone(),
            request: get(place(self.file, self.options.clone()), &name).options(self.options),
            range: self.range?,
            verify: true,
            sha256: None,
            reporter: self.reporter,
        })
    }
}

/// Where the file can be read, by now.
fn place(file: File, options: CallOptions) -> Arc<Presigned<()>> {
    Arc::new(Presigned::new(move || {
        let asked = file.download_url().options(options.clone());
        async move {
            let url = asked.await?;
            Issued::new(url.download_url.expose(), Duration::from_secs(url.expires_in), ())
        }
    }))
}

reports_progress!(['a] Download<'a>, reporter);
awaitable!(Download<'a> => transfer::Download<'a>);

impl fmt::Debug for Download<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download").field("file", &self.file).finish_non_exhaustive()
    }
}

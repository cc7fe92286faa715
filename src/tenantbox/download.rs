//! A download to here, through a presigned URL.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use http::header;

use super::file::File;
use crate::error::Result;
use crate::file_path::encode_segment;
use crate::http::{CallOptions, awaitable};
use crate::object_store::{Issued, Presigned, get};
use crate::transfer::{
    self, DownloadPlan, Outcome, Reporter, Wanted, expects, header_value, quoted, reports_progress, takes_ranges,
};

impl File {
    /// The content: its head at once, its body as bytes, stream, reader or file. After a cut it goes on where it was, with
    /// a fresh URL where the old one has expired.
    ///
    /// That all of it came is told by the length that the storage gives. A storage's ETag is no hash that one could compare
    /// with: it may be an MD5, or look like one. [`expect_sha256`](DownloadFile::expect_sha256) compares.
    ///
    /// ```no_run
    /// # async fn f(client: carbonfiles::tenantbox::Client) -> carbonfiles::Result<()> {
    /// let bytes = client.file("projects/p/report.pdf").download().await?.bytes(10 << 20).await?; // at most 10 MiB
    /// # Ok(()) }
    /// ```
    pub fn download<'a>(&self) -> DownloadFile<'a> {
        DownloadFile {
            file: self.clone(),
            range: Ok(None),
            if_none_match: None,
            if_match: None,
            expected: Ok(None),
            reporter: Reporter::default(),
            parallel: 1,
            options: CallOptions::default(),
            outcome: PhantomData,
        }
    }
}

/// Asks for a content. Made by [`File::download`].
///
/// # Errors
/// `NotFound`, `RangeNotSatisfiable`, `PreconditionFailed` for [`if_match`](DownloadFile::if_match), and those of any call.
/// Reading the body gives `ContentChanged` where the content was replaced meanwhile, `IntegrityMismatch` for
/// [`expect_sha256`](DownloadFile::expect_sha256), and `Interrupted` or `Timeout` when it can't be continued after a cut.
#[must_use = "nothing is sent until it is awaited"]
pub struct DownloadFile<'a, O = transfer::Download<'a>> {
    file: File,
    range: Result<Option<Wanted>>,
    pub(super) if_none_match: Option<String>,
    if_match: Option<String>,
    pub(super) expected: Result<Option<String>>,
    pub(super) reporter: Reporter<'a>,
    parallel: usize,
    pub(super) options: CallOptions,
    outcome: PhantomData<fn() -> O>,
}

impl<'a> DownloadFile<'a> {
    /// Only if the content is another one than this ETag's: `None` where it is the same.
    pub fn if_none_match(self, etag: impl AsRef<str>) -> DownloadFile<'a, Option<transfer::Download<'a>>> {
        DownloadFile {
            file: self.file,
            range: self.range,
            if_none_match: Some(quoted(etag.as_ref())),
            if_match: self.if_match,
            expected: self.expected,
            reporter: self.reporter,
            parallel: self.parallel,
            options: self.options,
            outcome: PhantomData,
        }
    }
}

impl<'a, O: Outcome<'a>> DownloadFile<'a, O> {
    /// Only if the content is still that of this ETag: else `PreconditionFailed`.
    pub fn if_match(mut self, etag: impl AsRef<str>) -> Self {
        self.if_match = Some(quoted(etag.as_ref()));
        self
    }

    async fn run(self) -> Result<O> {
        let parallel = self.parallel;
        O::of(self.plan()?.start_parallel(parallel).await?)
    }

    pub(super) fn plan(self) -> Result<Box<DownloadPlan<'a>>> {
        let name = format!("/api/storage/files/{}", encode_segment(self.file.checked_path()?));
        let transport = self.file.client.transport.clone();
        let mut request = get(place(self.file, self.options.clone()), &name).options(self.options);
        if let Some(etag) = &self.if_none_match {
            request = request.set_header(header::IF_NONE_MATCH, header_value("etag", etag)?);
        }
        if let Some(etag) = &self.if_match {
            request = request.set_header(header::IF_MATCH, header_value("etag", etag)?);
        }
        let sha256 = self.expected?;
        Ok(Box::new(DownloadPlan {
            transport,
            request,
            range: self.range?,
            // An ETag is never compared with, whatever it looks like.
            verify: sha256.is_some(),
            sha256,
            anew: None,
            reporter: self.reporter,
        }))
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

takes_ranges!(['a, O: Outcome<'a>] DownloadFile<'a, O>);
expects!(['a, O: Outcome<'a>] DownloadFile<'a, O>, expected);
reports_progress!(['a, O: Outcome<'a>] DownloadFile<'a, O>, reporter);
awaitable!(['a, O: Outcome<'a>] DownloadFile<'a, O>, 'a => O);

impl<O> fmt::Debug for DownloadFile<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadFile").field("file", &self.file).finish_non_exhaustive()
    }
}

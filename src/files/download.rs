//! `GET /api/buckets/{id}/files/{path}/content`

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use http::header;

use super::File;
use crate::error::Result;
use crate::http::{CallOptions, Request, awaitable};
use crate::transfer::{
    AskAnew, Download, DownloadPlan, Outcome, Reporter, Wanted, expects, header_value, quoted, reports_progress,
    takes_ranges,
};

impl File {
    /// The content (public): its head at once, its body as bytes, stream, reader or file.
    ///
    /// ```no_run
    /// # async fn f(file: carbonfiles::File) -> carbonfiles::Result<()> {
    /// let download = file.download().await?;
    /// println!("{:?} {:?}", download.info().content_type, download.info().length);
    /// let bytes = download.bytes(10 << 20).await?; // at most 10 MiB
    /// # Ok(()) }
    /// ```
    pub fn download<'a>(&self) -> DownloadFile<'a> {
        DownloadFile {
            file: self.clone(),
            range: Ok(None),
            if_none_match: None,
            if_match: None,
            reporter: Reporter::default(),
            verify: true,
            expected: Ok(None),
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
/// Reading the body gives `ContentChanged` where the file was replaced or deleted meanwhile, `IntegrityMismatch` where its
/// SHA-256 is another, and `Interrupted` or `Timeout` when it can't be continued after a cut.
#[must_use = "nothing is sent until it is awaited"]
pub struct DownloadFile<'a, O = Download<'a>> {
    pub(super) file: File,
    range: Result<Option<Wanted>>,
    pub(super) if_none_match: Option<String>,
    if_match: Option<String>,
    pub(super) reporter: Reporter<'a>,
    verify: bool,
    pub(super) expected: Result<Option<String>>,
    parallel: usize,
    pub(super) options: CallOptions,
    outcome: PhantomData<fn() -> O>,
}

impl<'a> DownloadFile<'a> {
    /// Only if the content is another one than this ETag's: `None` where it is the same. A SHA-256 in hex does as well,
    /// since that is what the server's ETags are.
    pub fn if_none_match(self, etag: impl AsRef<str>) -> DownloadFile<'a, Option<Download<'a>>> {
        DownloadFile {
            file: self.file,
            range: self.range,
            if_none_match: Some(quoted(etag.as_ref())),
            if_match: self.if_match,
            reporter: self.reporter,
            verify: self.verify,
            expected: self.expected,
            parallel: self.parallel,
            options: self.options,
            outcome: PhantomData,
        }
    }
}

impl<'a, O: Outcome<'a>> DownloadFile<'a, O> {
    /// Only if the content is still that of this ETag (or SHA-256 in hex): else `PreconditionFailed`, before any of it comes.
    pub fn if_match(mut self, etag: impl AsRef<str>) -> Self {
        self.if_match = Some(quoted(etag.as_ref()));
        self
    }

    /// Whether the whole content is compared with its SHA-256 on the way. It is, by default; beyond 1 MiB on the
    /// runtime's blocking threads.
    pub fn verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    // Its plan alone lies in the future, which is copied.
    fn run(self) -> impl Future<Output = Result<O>> + Send {
        let (parallel, plan) = (self.parallel, self.plan());
        async move { O::of(plan?.start_parallel(parallel).await?) }
    }

    pub(super) fn plan(self) -> Result<Box<DownloadPlan<'a>>> {
        let mut request = Request::get(self.file.route("/content")?).options(self.options);
        if let Some(etag) = &self.if_none_match {
            // Never with If-Modified-Since: this server lets that override a tag that does not match (surprise 27).
            request = request.set_header(header::IF_NONE_MATCH, header_value("etag", etag)?);
        }
        if let Some(etag) = &self.if_match {
            request = request.set_header(header::IF_MATCH, header_value("etag", etag)?);
        }
        let sha256 = self.expected?;
        // Of a content that was asked for by its tag, no other is right.
        let pinned = self.if_match.as_deref().is_some_and(|tag| tag != "*");
        Ok(Box::new(DownloadPlan {
            transport: self.file.client().transport.clone(),
            request,
            range: self.range?,
            verify: self.verify || sha256.is_some(),
            sha256,
            anew: (!pinned).then(|| Arc::new(self.file) as Arc<dyn AskAnew>),
            reporter: self.reporter,
        }))
    }
}

/// The server remembers a file's row for five minutes, and may remember it from before an overwrite (see
/// `docs/server-notes.md`); what it lists is as it is.
impl AskAnew for File {
    fn sha256(&self, options: CallOptions) -> BoxFuture<'static, Result<Option<String>>> {
        let file = self.clone();
        async move { Ok(file.listed(options).await?.sha256) }.boxed()
    }
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

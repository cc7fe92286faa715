//! `GET /files/{id}/download`

use std::fmt;

use http::{HeaderValue, Method, header};

use super::File;
use crate::call::Call;
use crate::error::Result;
use crate::file_storage::client::api;
use crate::http::{CallOptions, Request, Transport, awaitable};
use crate::object_store::S3;
use crate::transfer::{Download, DownloadPlan, Outcome, Reporter, Wanted, expects, reports_progress, takes_ranges};

impl File {
    /// The content (`file_storage.download`): its head at once, its body as bytes, stream, reader or file.
    ///
    /// Where the back end is a bucket, the bytes come straight from there, without this client's credential; with
    /// [`parallel`](DownloadFile::parallel), the service is asked for a fresh URL for each range. A whole content is compared
    /// with its SHA-256 where the service has one.
    ///
    /// ```no_run
    /// # async fn f(file: carbonfiles::file_storage::File) -> carbonfiles::Result<()> {
    /// let download = file.download().await?;
    /// println!("{:?} {:?}", download.info().content_type, download.info().length);
    /// let bytes = download.bytes(10 << 20).await?; // at most 10 MiB
    /// # Ok(()) }
    /// ```
    pub fn download<'a>(&self) -> DownloadFile<'a> {
        DownloadFile {
            file: self.clone(),
            range: Ok(None),
            reporter: Reporter::default(),
            verify: true,
            expected: Ok(None),
            parallel: 1,
            options: CallOptions::default(),
        }
    }
}

/// Asks for a content. Made by [`File::download`].
///
/// There are no conditions here: this route of the service ignores `If-None-Match`. [`PublicFile`](super::PublicFile) has
/// one.
///
/// # Errors
/// `NotFound`, `RangeNotSatisfiable`, `Conflict` where the file is on a back end that is not in use, and those of any call.
/// Reading the body gives `ContentChanged` where the file was replaced meanwhile, `IntegrityMismatch` where its SHA-256 is
/// another, and `Interrupted` or `Timeout` when it can't be continued after a cut.
#[must_use = "nothing is sent until it is awaited"]
pub struct DownloadFile<'a> {
    pub(super) file: File,
    range: Result<Option<Wanted>>,
    pub(super) reporter: Reporter<'a>,
    pub(super) verify: bool,
    pub(super) expected: Result<Option<String>>,
    parallel: usize,
    pub(super) options: CallOptions,
}

impl<'a> DownloadFile<'a> {
    /// Whether the whole content is compared with its SHA-256 on the way. It is, by default.
    pub fn verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    pub(super) fn plan(self) -> Result<Box<DownloadPlan<'a>>> {
        let sha256 = self.expected?;
        Ok(Box::new(DownloadPlan {
            transport: self.file.client.transport().clone(),
            request: content(&self.file.route("/download")?).options(self.options),
            range: self.range?,
            verify: self.verify || sha256.is_some(),
            sha256,
            anew: None,
            reporter: self.reporter,
        }))
    }

    /// The hash that the service knows.
    pub(super) fn hash(&self) -> Call<'static, Option<String>> {
        let get = self.file.get().options(self.options.clone());
        Call::new(async move { Ok(get.await?.checksum_sha256) })
    }

    async fn run(mut self) -> Result<Download<'a>> {
        self.file.client.transport().start(&mut self.options);
        let (hash, verify, parallel) = (self.hash(), self.verify, self.parallel);
        let download: Download<'a> = Outcome::of(self.plan()?.start_parallel(parallel).await?)?;
        // The ETag of a bucket is none, so the service is asked; where it gives the bytes itself, one request does.
        match verify && download.lacks_hash() {
            true => Ok(match hash.await? {
                Some(sha256) => download.compare_with(&sha256),
                None => download,
            }),
            false => Ok(download),
        }
    }
}

takes_ranges!(['a] DownloadFile<'a>);
expects!(['a] DownloadFile<'a>, expected);
reports_progress!(['a] DownloadFile<'a>, reporter);
awaitable!(DownloadFile<'a> => Download<'a>);

impl fmt::Debug for DownloadFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadFile").field("file", &self.file).finish_non_exhaustive()
    }
}

/// A request for bytes: as they are, for compressed ones would have no length; and from a bucket, where that has them.
pub(super) fn content(route: &str) -> Request {
    api(Method::GET, route).set_header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity")).follow(&S3)
}

/// The whole of a content that has no hash of its own, such as a thumbnail.
pub(super) async fn derived(transport: &Transport, request: Request) -> Result<Download<'static>> {
    let transport = transport.clone();
    let reporter = Reporter::default();
    let plan = DownloadPlan { transport, request, range: None, verify: false, sha256: None, anew: None, reporter };
    Outcome::of(Box::new(plan).start().await?)
}

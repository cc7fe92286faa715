//! `GET /files/{id}/download`

use std::fmt;
use std::ops::RangeBounds;

use http::{HeaderValue, Method, header};

use super::File;
use crate::call::Call;
use crate::error::{Error, ErrorKind, Result};
use crate::file_storage::client::api;
use crate::http::{CallOptions, Request, Transport, awaitable};
use crate::object_store::S3;
use crate::transfer::{Download, DownloadPlan, Reporter, Wanted, last_bytes, reports_progress, wanted_range};

impl File {
    /// The content (`file_storage.download`): its head at once, its body as bytes, stream, reader or file.
    ///
    /// Where the back end is a bucket, the bytes come straight from there, without this client's credential. A whole
    /// content is compared with its SHA-256 where the service has one.
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
            options: CallOptions::default(),
        }
    }
}

/// Asks for a content. Made by [`File::download`].
///
/// There are no conditions here: this route of the service ignores `If-None-Match`. [`PublicFile`](super::PublicFile) has
/// one.
#[must_use = "nothing is sent until it is awaited"]
pub struct DownloadFile<'a> {
    pub(super) file: File,
    range: Result<Option<Wanted>>,
    pub(super) reporter: Reporter<'a>,
    pub(super) verify: bool,
    pub(super) options: CallOptions,
}

impl<'a> DownloadFile<'a> {
    /// Only these bytes: `0..100`, `100..`, `..=9`. An end past that of the file is moved to it; a start past it, and any
    /// range of an empty file, is `RangeNotSatisfiable`. A part can't be checked against the hash of the whole.
    pub fn range(mut self, bytes: impl RangeBounds<u64>) -> Self {
        self.range = wanted_range(&bytes);
        self
    }

    /// Only the last so many bytes.
    pub fn last(mut self, bytes: u64) -> Self {
        self.range = last_bytes(bytes);
        self
    }

    /// Whether the whole content is compared with its SHA-256 on the way. It is, by default.
    pub fn verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    pub(super) fn plan(self) -> Result<DownloadPlan<'a>> {
        Ok(DownloadPlan {
            transport: self.file.client.transport().clone(),
            request: content(&self.file.route("/download")?).options(self.options),
            range: self.range?,
            verify: self.verify,
            sha256: None,
            reporter: self.reporter,
        })
    }

    /// The hash that the service knows.
    pub(super) fn hash(&self) -> Call<'static, Option<String>> {
        let get = self.file.get().options(self.options.clone());
        Call::new(async move { Ok(get.await?.checksum_sha256) })
    }

    async fn run(mut self) -> Result<Download<'a>> {
        self.file.client.transport().start(&mut self.options);
        let (hash, verify) = (self.hash(), self.verify);
        let download = unconditional(self.plan()?.start().await?)?;
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

/// A download that was asked for without a condition.
pub(super) fn unconditional(download: Option<Download<'_>>) -> Result<Download<'_>> {
    download.ok_or_else(|| Error::new(ErrorKind::Decode, "the server said 'not modified' without being asked"))
}

/// The whole of a content that has no hash of its own, such as a thumbnail.
pub(super) async fn derived(transport: &Transport, request: Request) -> Result<Download<'static>> {
    let transport = transport.clone();
    let plan =
        DownloadPlan { transport, request, range: None, verify: false, sha256: None, reporter: Reporter::default() };
    unconditional(plan.start().await?)
}

//! `GET /public/{id}`: what everybody may read.

use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeBounds;
use std::sync::Arc;

use http::{Method, header};
use url::Url;

use super::download::{content, derived};
use crate::call::Call;
use crate::error::Result;
use crate::file_storage::Client;
use crate::file_storage::client::api;
use crate::file_storage::id::canonical;
use crate::http::{Authorization, CallOptions, call_options};
use crate::transfer::{
    Download, DownloadPlan, Outcome, Reporter, header_value, last_bytes, quoted, range_header, reports_progress,
};

/// A public file, by its id, read without any credential: a private one is `NotFound`, for its owner too. Limited to 600
/// requests a minute and address by default.
#[derive(Debug, Clone)]
pub struct PublicFile {
    client: Client,
    id: Arc<str>,
}

impl PublicFile {
    pub(in crate::file_storage) fn new(client: Client, id: &str) -> Self {
        Self { client, id: id.into() }
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The absolute URL, without a name at its end; [`StoredFile::public_link`](crate::file_storage::models::StoredFile::public_link)
    /// has one.
    ///
    /// # Errors
    /// `InvalidInput` for what can't be an id.
    pub fn url(&self) -> Result<Url> {
        self.client.transport().url(&format!("/api/file-storage{}", self.route("")?))
    }

    /// The content, as [`File::download`](super::File::download) gives it, compared with its SHA-256: that is the ETag of the
    /// service's answer, also where this leads to a bucket.
    pub fn download<'a>(&self) -> DownloadPublic<'a> {
        DownloadPublic {
            file: self.clone(),
            range: Ok(None),
            if_none_match: None,
            reporter: Reporter::default(),
            verify: true,
            options: CallOptions::default(),
            outcome: PhantomData,
        }
    }

    /// A small WebP picture, as [`File::thumbnail`](super::File::thumbnail) gives it, of this width.
    pub fn thumbnail(&self, width: u32) -> Call<'static, Download<'static>> {
        let file = self.clone();
        Call::new(async move {
            let request = api(Method::GET, file.route("/thumbnail")?)
                .query("w", width.to_string())
                .authorization(Authorization::Never);
            derived(file.client.transport(), request).await
        })
    }

    fn route(&self, rest: &str) -> Result<String> {
        Ok(format!("/public/{}{rest}", canonical(&self.id)?))
    }
}

/// Asks for a public content. Made by [`PublicFile::download`].
#[must_use = "nothing is sent until it is awaited"]
pub struct DownloadPublic<'a, O = Download<'a>> {
    file: PublicFile,
    range: Result<Option<String>>,
    if_none_match: Option<String>,
    reporter: Reporter<'a>,
    verify: bool,
    options: CallOptions,
    outcome: PhantomData<fn() -> O>,
}

impl<'a> DownloadPublic<'a> {
    /// Only if the content is another one than this ETag's: `None` where it is the same. A SHA-256 in hex does as well.
    pub fn if_none_match(self, etag: impl AsRef<str>) -> DownloadPublic<'a, Option<Download<'a>>> {
        DownloadPublic {
            file: self.file,
            range: self.range,
            if_none_match: Some(quoted(etag.as_ref())),
            reporter: self.reporter,
            verify: self.verify,
            options: self.options,
            outcome: PhantomData,
        }
    }
}

impl<'a, O: Outcome<'a>> DownloadPublic<'a, O> {
    /// Only these bytes: `0..100`, `100..`, `..=9`.
    pub fn range(mut self, bytes: impl RangeBounds<u64>) -> Self {
        self.range = range_header(&bytes);
        self
    }

    /// Only the last so many bytes.
    pub fn last(mut self, bytes: u64) -> Self {
        self.range = last_bytes(bytes);
        self
    }

    /// Whether the whole content is compared with its SHA-256. It is, by default.
    pub fn verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// Sends it: the same as `.await` on the builder, as a future with a name.
    pub fn send(self) -> Call<'a, O> {
        self.into_future()
    }

    async fn run(self) -> Result<O> {
        let mut request = content(&self.file.route("")?).authorization(Authorization::Never).options(self.options);
        if let Some(etag) = &self.if_none_match {
            request = request.set_header(header::IF_NONE_MATCH, header_value("etag", etag)?);
        }
        let plan = DownloadPlan {
            transport: self.file.client.transport().clone(),
            request,
            range: self.range?,
            verify: self.verify,
            sha256: None,
            reporter: self.reporter,
        };
        O::of(plan.start().await?)
    }
}

call_options!(['a, O: Outcome<'a>] DownloadPublic<'a, O>);
reports_progress!(['a, O: Outcome<'a>] DownloadPublic<'a, O>, reporter);

impl<'a, O: Outcome<'a>> IntoFuture for DownloadPublic<'a, O> {
    type Output = Result<O>;
    type IntoFuture = Call<'a, O>;

    fn into_future(self) -> Self::IntoFuture {
        Call::new(self.run())
    }
}

impl<O> fmt::Debug for DownloadPublic<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadPublic").field("file", &self.file).finish_non_exhaustive()
    }
}

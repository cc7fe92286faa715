//! `GET /public/{id}`: what everybody may read.

use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::header;
use url::Url;

use super::download::content;
use crate::error::Result;
use crate::file_storage::Client;
use crate::file_storage::id::canonical;
use crate::http::{Authorization, CallOptions, awaitable};
use crate::transfer::{
    Download, DownloadPlan, Downloaded, Outcome, Reporter, Saving, Wanted, expects, header_value, quoted,
    reports_progress, save, saves, starts, takes_ranges,
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

    /// The client that this handle was made by.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The absolute URL, without a name at its end;
    /// [`StoredFile::public_link`](crate::file_storage::models::StoredFile::public_link) has one.
    ///
    /// # Errors
    /// `InvalidInput` for what can't be an id.
    pub fn url(&self) -> Result<Url> {
        self.client.transport().url(&format!("/api/file-storage{}", self.route("")?))
    }

    /// The content, as [`File::download`](super::File::download) gives it, compared with its SHA-256 where the service has one:
    /// that is the ETag of its answer, also where this leads to a bucket.
    pub fn download<'a>(&self) -> DownloadPublic<'a> {
        DownloadPublic {
            file: self.clone(),
            range: Ok(None),
            if_none_match: None,
            reporter: Reporter::default(),
            verify: true,
            expected: Ok(None),
            parallel: 1,
            options: CallOptions::default(),
            outcome: PhantomData,
        }
    }

    /// Downloads the content into a file, as [`File::download_to`](super::File::download_to) does. It is compared with its
    /// SHA-256 as by [`download`](Self::download).
    pub fn download_to<'a>(&self, target: impl AsRef<Path>) -> DownloadPublicTo<'a> {
        DownloadPublicTo {
            download: self.download(),
            target: target.as_ref().to_owned(),
            saving: Saving::default(),
            options: CallOptions::default(),
            outcome: PhantomData,
        }
    }

    pub(super) fn route(&self, rest: &str) -> Result<String> {
        Ok(format!("/public/{}{rest}", canonical(&self.id)?))
    }
}

/// Asks for a public content. Made by [`PublicFile::download`].
#[must_use = "nothing is sent until it is awaited"]
pub struct DownloadPublic<'a, O = Download<'a>> {
    file: PublicFile,
    range: Result<Option<Wanted>>,
    if_none_match: Option<String>,
    reporter: Reporter<'a>,
    verify: bool,
    expected: Result<Option<String>>,
    parallel: usize,
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
            expected: self.expected,
            parallel: self.parallel,
            options: self.options,
            outcome: PhantomData,
        }
    }
}

impl<'a, O: Outcome<'a>> DownloadPublic<'a, O> {
    /// Whether the whole content is compared with its SHA-256. It is, by default.
    pub fn verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    async fn run(self) -> Result<O> {
        let parallel = self.parallel;
        O::of(self.plan()?.start_parallel(parallel).await?)
    }

    fn plan(self) -> Result<Box<DownloadPlan<'a>>> {
        let mut request = content(&self.file.route("")?).authorization(Authorization::Never).options(self.options);
        if let Some(etag) = &self.if_none_match {
            request = request.set_header(header::IF_NONE_MATCH, header_value("etag", etag)?);
        }
        let sha256 = self.expected?;
        Ok(Box::new(DownloadPlan {
            transport: self.file.client.transport().clone(),
            request,
            range: self.range?,
            verify: self.verify || sha256.is_some(),
            sha256,
            anew: None,
            reporter: self.reporter,
        }))
    }
}

takes_ranges!(['a, O: Outcome<'a>] DownloadPublic<'a, O>);
expects!(['a, O: Outcome<'a>] DownloadPublic<'a, O>, expected);
reports_progress!(['a, O: Outcome<'a>] DownloadPublic<'a, O>, reporter);
awaitable!(['a, O: Outcome<'a>] DownloadPublic<'a, O>, 'a => O);

impl<O> fmt::Debug for DownloadPublic<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadPublic").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Downloads a public content into a file. Made by [`PublicFile::download_to`].
#[must_use = "nothing is sent until it is awaited"]
pub struct DownloadPublicTo<'a, O = Downloaded> {
    download: DownloadPublic<'a>,
    target: PathBuf,
    saving: Saving,
    options: CallOptions,
    outcome: PhantomData<fn() -> O>,
}

impl<'a> DownloadPublicTo<'a> {
    /// Only if the content is another one than this ETag's (or SHA-256 in hex): `None` where it is the same, and the target stays
    /// as it was.
    pub fn if_none_match(mut self, etag: impl AsRef<str>) -> DownloadPublicTo<'a, Option<Downloaded>> {
        self.download.if_none_match = Some(quoted(etag.as_ref()));
        let Self { download, target, saving, options, .. } = self;
        DownloadPublicTo { download, target, saving, options, outcome: PhantomData }
    }
}

impl<'a, O: Outcome<'a, Downloaded>> DownloadPublicTo<'a, O> {
    /// Whether the content is compared with its SHA-256. It is, by default.
    pub fn verify(mut self, verify: bool) -> Self {
        self.download.verify = verify;
        self
    }

    async fn run(mut self) -> Result<O> {
        self.download.options = self.options;
        O::of(save(self.download.plan()?, &self.target, &self.saving).await?)
    }
}

saves!(['a, O: Outcome<'a, Downloaded>] DownloadPublicTo<'a, O>, saving);
expects!(['a, O: Outcome<'a, Downloaded>] DownloadPublicTo<'a, O>, download.expected);
reports_progress!(['a, O: Outcome<'a, Downloaded>] DownloadPublicTo<'a, O>, download.reporter);
awaitable!(['a, O: Outcome<'a, Downloaded>] DownloadPublicTo<'a, O>, 'a => O);
starts!([O: Outcome<'static, Downloaded>] DownloadPublicTo<'static, O> => O, download.reporter);

impl<O> fmt::Debug for DownloadPublicTo<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadPublicTo").field("target", &self.target).finish_non_exhaustive()
    }
}

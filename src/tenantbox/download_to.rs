//! A content into a file.

use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use super::download::DownloadFile;
use super::file::File;
use crate::error::Result;
use crate::http::{CallOptions, awaitable};
use crate::transfer::{Downloaded, Outcome, Saving, expects, quoted, reports_progress, save, saves, starts};

impl File {
    /// Downloads the content into a file: written beside the target, continued after a cut (with a fresh URL where the old
    /// one has expired), synced, and renamed. Until then an existing target stays as it is. What can't be a target is
    /// refused before anything is sent. A later call goes on with what one before has left, as with
    /// [the other service's](crate::File::download_to).
    ///
    /// The storage gives no SHA-256 to check against: the length is checked, and
    /// [`expect_sha256`](DownloadFileTo::expect_sha256) compares with one of yours. Without it,
    /// [`Downloaded::verified_sha256`] is `None`.
    ///
    /// ```no_run
    /// # async fn f(client: carbonfiles::tenantbox::Client) -> carbonfiles::Result<()> {
    /// let done = client.file("projects/p/report.pdf").download_to("report.pdf").await?;
    /// println!("{} bytes", done.size);
    /// # Ok(()) }
    /// ```
    pub fn download_to<'a>(&self, target: impl AsRef<Path>) -> DownloadFileTo<'a> {
        DownloadFileTo {
            download: self.download(),
            target: target.as_ref().to_owned(),
            saving: Saving::default(),
            options: CallOptions::default(),
            outcome: PhantomData,
        }
    }
}

/// Downloads a content into a file. Made by [`File::download_to`].
#[must_use = "nothing is sent until it is awaited"]
pub struct DownloadFileTo<'a, O = Downloaded> {
    download: DownloadFile<'a>,
    target: PathBuf,
    saving: Saving,
    options: CallOptions,
    outcome: PhantomData<fn() -> O>,
}

impl<'a> DownloadFileTo<'a> {
    /// Only if the content is another one than this ETag's: `None` where it is the same, and the target stays as it was.
    pub fn if_none_match(mut self, etag: impl AsRef<str>) -> DownloadFileTo<'a, Option<Downloaded>> {
        self.download.if_none_match = Some(quoted(etag.as_ref()));
        let Self { download, target, saving, options, .. } = self;
        DownloadFileTo { download, target, saving, options, outcome: PhantomData }
    }
}

impl<'a, O: Outcome<'a, Downloaded>> DownloadFileTo<'a, O> {
    /// Only if the content is still that of this ETag: else `PreconditionFailed`, and the target stays as it was.
    pub fn if_match(mut self, etag: impl AsRef<str>) -> Self {
        self.download = self.download.if_match(etag);
        self
    }

    async fn run(mut self) -> Result<O> {
        self.download.options = self.options;
        O::of(save(self.download.plan()?, &self.target, &self.saving).await?)
    }
}

saves!(['a, O: Outcome<'a, Downloaded>] DownloadFileTo<'a, O>, saving);
expects!(['a, O: Outcome<'a, Downloaded>] DownloadFileTo<'a, O>, download.expected);
reports_progress!(['a, O: Outcome<'a, Downloaded>] DownloadFileTo<'a, O>, download.reporter);
awaitable!(['a, O: Outcome<'a, Downloaded>] DownloadFileTo<'a, O>, 'a => O);
starts!([O: Outcome<'static, Downloaded>] DownloadFileTo<'static, O> => O, download.reporter);

impl<O> fmt::Debug for DownloadFileTo<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadFileTo").field("target", &self.target).finish_non_exhaustive()
    }
}

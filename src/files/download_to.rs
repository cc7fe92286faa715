//! A content into a file.

use std::fmt;
use std::path::{Path, PathBuf};

use super::File;
use super::download::DownloadFile;
use crate::error::Result;
use crate::http::{CallOptions, awaitable};
use crate::transfer::{Downloaded, check_target, reports_progress, save, starts};

impl File {
    /// Downloads the content into a file: written beside the target under a name of its own (`….carbonfiles.part`),
    /// continued after a cut, checked against the server's SHA-256, synced, and renamed. Until then an existing target stays
    /// as it is. A target that can't be written is refused before anything is sent.
    ///
    /// Dropping the call removes the `.part` file, unless it is just being renamed.
    ///
    /// ```no_run
    /// # async fn f(file: carbonfiles::File) -> carbonfiles::Result<()> {
    /// let done = file.download_to("readme.md").await?;
    /// assert!(done.verified_sha256.is_some());
    /// # Ok(()) }
    /// ```
    pub fn download_to<'a>(&self, target: impl AsRef<Path>) -> DownloadFileTo<'a> {
        DownloadFileTo {
            download: self.download(),
            target: target.as_ref().to_owned(),
            overwrite: true,
            options: CallOptions::default(),
        }
    }
}

/// Downloads a content into a file. Made by [`File::download_to`].
#[must_use = "nothing is sent until it is awaited"]
pub struct DownloadFileTo<'a> {
    download: DownloadFile<'a>,
    target: PathBuf,
    overwrite: bool,
    options: CallOptions,
}

impl<'a> DownloadFileTo<'a> {
    /// Whether an existing target is replaced. It is, by default; else it is a `Conflict`.
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Whether the content is compared with its SHA-256. It is, by default.
    pub fn verify(mut self, verify: bool) -> Self {
        self.download = self.download.verify(verify);
        self
    }

    async fn run(mut self) -> Result<Downloaded> {
        self.download.file.checked_path()?;
        check_target(&self.target, self.overwrite)?;
        self.download.options = self.options;
        let download = self.download.await?;
        save(download, &self.target, self.overwrite).await
    }
}

reports_progress!(['a] DownloadFileTo<'a>, download.reporter);
awaitable!(DownloadFileTo<'a> => Downloaded);
starts!(DownloadFileTo => Downloaded, download.reporter);

impl fmt::Debug for DownloadFileTo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadFileTo").field("target", &self.target).finish_non_exhaustive()
    }
}

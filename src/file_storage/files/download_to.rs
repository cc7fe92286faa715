//! A content into a file.

use std::fmt;
use std::path::{Path, PathBuf};

use super::File;
use super::download::DownloadFile;
use crate::error::Result;
use crate::file_storage::id::canonical;
use crate::http::{CallOptions, awaitable};
use crate::transfer::{Downloaded, Saving, check_target, expects, reports_progress, save, saves, starts, unasked};

impl File {
    /// Downloads the content into a file: written beside the target, continued after a cut, compared with its SHA-256 where
    /// the service has one (which is asked for first), synced, and renamed. Until then an existing target stays as it is. What
    /// can't be a target is refused before anything is sent.
    ///
    /// Names of files on the service may hold anything (`../../x`): choose the target yourself.
    pub fn download_to<'a>(&self, target: impl AsRef<Path>) -> DownloadFileTo<'a> {
        DownloadFileTo {
            download: self.download(),
            target: target.as_ref().to_owned(),
            saving: Saving::default(),
            options: CallOptions::default(),
        }
    }
}

/// Downloads a content into a file. Made by [`File::download_to`].
#[must_use = "nothing is sent until it is awaited"]
pub struct DownloadFileTo<'a> {
    download: DownloadFile<'a>,
    target: PathBuf,
    saving: Saving,
    options: CallOptions,
}

impl<'a> DownloadFileTo<'a> {
    /// Whether the content is compared with its SHA-256. It is, by default.
    pub fn verify(mut self, verify: bool) -> Self {
        self.download = self.download.verify(verify);
        self
    }

    async fn run(mut self) -> Result<Downloaded> {
        canonical(self.download.file.id())?;
        check_target(&self.target, &self.saving).await?;
        self.download.file.client.transport().start(&mut self.options);
        self.download.options = self.options;
        let (hash, mut plan) = (self.download.hash(), self.download.plan()?);
        if plan.verify && plan.sha256.is_none() {
            plan.sha256 = hash.await?;
        }
        save(plan, &self.target, &self.saving).await?.ok_or_else(unasked)
    }
}

saves!(['a] DownloadFileTo<'a>, saving);
expects!(['a] DownloadFileTo<'a>, download.expected);
reports_progress!(['a] DownloadFileTo<'a>, download.reporter);
awaitable!(DownloadFileTo<'a> => Downloaded);
starts!(DownloadFileTo => Downloaded, download.reporter);

impl fmt::Debug for DownloadFileTo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadFileTo").field("target", &self.target).finish_non_exhaustive()
    }
}

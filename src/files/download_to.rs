//! A content into a file.

use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use super::File;
use super::download::DownloadFile;
use crate::error::Result;
use crate::http::{CallOptions, awaitable};
use crate::transfer::{
    Downloaded, Most, Outcome, PathCheck, Replaces, Saving, expects, quoted, reports_progress, save, saves, starts,
};

impl File {
    /// Downloads the content into a file: written beside the target, checked against the server's SHA-256, synced, and
    /// renamed. Until then an existing target stays as it is: it is what it was, or the whole content, never in between. What
    /// can't be a target (a folder, a device, a name that is too long) is refused before anything is sent; that its folder must
    /// not be written to is told with the first bytes. A file that is replaced hands its permissions on (Unix); where not
    /// everybody may read it, only this user may read what is written beside it.
    ///
    /// After a cut it goes on where it was. So does a later call to the same target, also of another process, after this one
    /// failed, was cancelled or was killed: the bytes so far are in `<target>.<digits>.carbonfiles.part` (without the target's
    /// name where that is over 104 bytes), and a record beside it (`….json`) says which content they belong to; they are hashed
    /// again ([`Phase::Hashing`](crate::Phase::Hashing)) and the rest is asked for, if the server still has that
    /// content, else it starts over. Parts below 1 MiB are not kept, and those of another user are not touched. What is not
    /// wanted any more is removed by [`discard_partial`](crate::files::discard_partial); with
    /// [`resume(false)`](DownloadFileTo::resume) nothing is left.
    ///
    /// Of two downloads to one target at once, the second writes into a part of its own, and the last to be whole stays. Such
    /// a part (`….<digits>-once.carbonfiles.part`), as also without `resume`, is removed however the call ends, but stays where
    /// the process is killed: nobody goes on with it, and once no download is running it can be deleted. Folders that are
    /// uploaded or synced leave out all parts.
    ///
    /// # Errors
    /// `ContentChanged` where the content is replaced or deleted while it is being read, unless
    /// [`restart_if_changed`](DownloadFileTo::restart_if_changed); `PreconditionFailed` for
    /// [`if_match`](DownloadFileTo::if_match); `IntegrityMismatch`; `Io` for the target. `NotFound` leaves what has come for a
    /// later call: while the content comes, it is a 404 that is not the server's own, and lasted. With each of them the target
    /// is what it was. Only a `Timeout` may leave it complete: where the limit passes after the renaming, while the folder is
    /// synced, for success means that a power cut undoes nothing.
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
    /// Only if the content is another one than this ETag's (or SHA-256 in hex): `None` where it is the same, and the target stays
    /// as it was.
    pub fn if_none_match(mut self, etag: impl AsRef<str>) -> DownloadFileTo<'a, Option<Downloaded>> {
        self.download.if_none_match = Some(quoted(etag.as_ref()));
        let Self { download, target, saving, options, .. } = self;
        DownloadFileTo { download, target, saving, options, outcome: PhantomData }
    }

    /// A listing said that it has so many bytes.
    pub(super) fn listed(mut self, size: u64) -> Self {
        self.saving.most = Most::Listed(size);
        self
    }

    /// A folder in its place makes way if it is empty, where a file would.
    pub(super) fn onto_an_empty_folder(mut self) -> Self {
        if self.saving.replaces == Replaces::File {
            self.saving.replaces = Replaces::FileOrEmptyFolder;
        }
        self
    }

    /// The folder of its target is made, or the target refused, by this.
    pub(super) fn in_folder(mut self, folder: PathCheck) -> Self {
        self.saving.folder = Some(folder);
        self
    }
}

impl<'a, O: Outcome<'a, Downloaded>> DownloadFileTo<'a, O> {
    /// Whether the content is compared with its SHA-256. It is, by default.
    pub fn verify(mut self, verify: bool) -> Self {
        self.download = self.download.verify(verify);
        self
    }

    /// Only if the content is still that of this ETag (or SHA-256 in hex): else `PreconditionFailed`, and the target stays as it
    /// was.
    pub fn if_match(mut self, etag: impl AsRef<str>) -> Self {
        self.download = self.download.if_match(etag);
        self
    }

    async fn run(mut self) -> Result<O> {
        self.download.file.checked_path()?;
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

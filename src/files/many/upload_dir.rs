//! Uploads of a folder.

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::pin;

use super::batch::{Batch, Skipped};
use super::run::{BatchStream, Job, NotNow, Settings, Totals, many_setters, many_starts, run};
use super::upload_many::{EachUpload, uploading};
use crate::error::Result;
use crate::file_path::FilePath;
use crate::files::{Files, Upload};
use crate::http::{awaitable, within};
use crate::local::{
    Odd, Selection, Symlinks, Walked, Why, folder_prefix, local_folder, selection_setters, still_inside, walk,
};
use crate::models::UploadedFile;
use crate::transfer::{PathCheck, Source};

impl Files {
    /// Uploads all files of a folder, recursively, several at once. Their paths in the bucket are those below the folder,
    /// with `/` between segments. Files that are there are overwritten; for only what has changed see
    /// [`sync_up`](Files::sync_up).
    ///
    /// Names that can't be paths of a bucket (not UTF-8, with a backslash), and what can't be read, are reported as failed.
    /// Folders without files leave no trace. Parts that a `download_to` has left are skipped
    /// ([`Skipped::Part`]), and so is what is named like one.
    ///
    /// ```no_run
    /// # async fn f(files: carbonfiles::Files) -> carbonfiles::Result<()> {
    /// let batch = files.upload_dir("site").prefix("v2").exclude("**/*.tmp").hidden(false).await?;
    /// for (path, error) in batch.failed() {
    ///     eprintln!("{path}: {error}");
    /// }
    /// println!("{} files", batch.into_result()?.len());
    /// # Ok(()) }
    /// ```
    pub fn upload_dir<'a>(&self, folder: impl AsRef<Path>) -> UploadDir<'a> {
        UploadDir {
            files: self.clone(),
            folder: local_folder(folder.as_ref()),
            prefix: String::new(),
            selection: Selection::default(),
            each: Box::new(|_, upload| upload),
            settings: Settings::default(),
        }
    }
}

/// Uploads a folder. Made by [`Files::upload_dir`].
///
/// Files of equal content wait for one another with their last bytes, for the server can't take them together. Dropping
/// it gives up what is under way: nothing of that becomes visible.
#[must_use = "nothing is sent until it is awaited"]
pub struct UploadDir<'a> {
    files: Files,
    folder: PathBuf,
    prefix: String,
    selection: Selection,
    each: EachUpload<'a>,
    settings: Settings<'a>,
}

impl<'a> UploadDir<'a> {
    /// The folder of the bucket that they go to, such as `docs/v2`; the top of it by default.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// What is done with symbolic links: [`Symlinks::Skip`] by default.
    pub fn symlinks(mut self, symlinks: Symlinks) -> Self {
        self.selection.symlinks = symlinks;
        self
    }

    /// Changes each upload before it is sent, by its path in the bucket: the SHA-256 that it must have, token, headers, limits,
    /// retries. One that [`named`](Upload::named) would send elsewhere is `InvalidInput`. Progress is that of the whole: use
    /// [`file_progress`](Self::file_progress) for single files.
    pub fn each(mut self, configure: impl FnMut(&str, Upload<'a>) -> Upload<'a> + Send + 'a) -> Self {
        self.each = Box::new(configure);
        self
    }

    /// The outcomes as a stream, each as soon as it is known. The folder is looked through first.
    ///
    /// # Errors
    /// `InvalidInput` for a folder that can't be read, a prefix that can't be one, a bad glob, or a concurrency of 0.
    pub async fn stream(mut self) -> Result<BatchStream<'a, UploadedFile>> {
        let options = self.settings.start()?;
        let prefix = folder_prefix(&self.prefix)?;
        let check = still_inside(self.folder.clone(), self.selection.symlinks);
        let walk = pin!(walk(self.folder, self.selection));
        let found = self.settings.unless_cancelled(within(options.deadline(None), walk)).await?;
        let jobs = jobs(found, &prefix, &check);
        let totals = Totals::of(&jobs);
        Ok(run(jobs.into_iter(), totals, self.settings, uploading(self.files, self.each, options)))
    }

    async fn run(self) -> Result<Batch<UploadedFile>> {
        Ok(self.stream().await?.collect_batch().await)
    }
}

fn jobs(found: Walked, prefix: &str, check: &PathCheck) -> Vec<Job<(FilePath, Source<'static>)>> {
    let odd = found.odd.into_iter().map(|odd| not_now(odd, prefix));
    let files = found.files.into_iter().map(|file| {
        let path = format!("{prefix}{}", file.name);
        Job {
            work: FilePath::try_from(path.as_str())
                .map(|path| (path, Source::path_if(file.path.clone(), check.clone())))
                .map_err(NotNow::Failed),
            path,
            size: Some(file.stamp.size),
            local: Some(file.path),
        }
    });
    let mut jobs: Vec<_> = odd.chain(files).collect();
    // First what fails anyway: if that ends it, nothing has been sent.
    jobs.sort_by_key(|job| job.work.is_ok());
    jobs
}

fn not_now<J>(odd: Odd, prefix: &str) -> Job<J> {
    let why = match odd.why {
        Why::Symlink => NotNow::Skipped(Skipped::Symlink),
        Why::NotAFile => NotNow::Skipped(Skipped::NotAFile),
        Why::Part => NotNow::Skipped(Skipped::Part),
        Why::Failed(error) => NotNow::Failed(error),
    };
    Job { path: format!("{prefix}{}", odd.name), local: Some(odd.path), size: None, work: Err(why) }
}

selection_setters!(['a] UploadDir<'a>, selection);
many_setters!(UploadDir, settings);
awaitable!(@many UploadDir<'a> => Batch<UploadedFile>);
many_starts! {
    /// ```no_run
    /// # async fn f(files: carbonfiles::Files) -> carbonfiles::Result<()> {
    /// let transfer = files.upload_dir("site").start();
    /// let canceller = transfer.canceller(); // for a button, say
    /// tokio::spawn(async move {
    ///     if tokio::signal::ctrl_c().await.is_ok() {
    ///         canceller.cancel();
    ///     }
    /// });
    /// let batch = transfer.await?;
    /// println!("{} files are there, {} are not", batch.done().count(), batch.skipped().count());
    /// # Ok(()) }
    /// ```
    UploadDir => Batch<UploadedFile>, settings
}

impl fmt::Debug for UploadDir<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadDir")
            .field("folder", &self.folder)
            .field("prefix", &self.prefix)
            .field("selection", &self.selection)
            .finish_non_exhaustive()
    }
}

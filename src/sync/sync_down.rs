//! The local folder is made like the bucket.

use std::io;
use std::path::{Path, PathBuf};

use super::look::Scope;
use super::outcome::SyncOutcome;
use super::plan::{Direction, SyncAction, SyncPlan};
use super::settings::{SyncSettings, sync_setters};
use super::stream::SyncStream;
use crate::blocking::blocking;
use crate::error::{Error, Result, reason};
use crate::files::{Download, DownloadFileTo, EachDownload, Files, Job, NotNow, Totals, downloading, many_starts, run};
use crate::http::awaitable;
use crate::local::{check_parents, local_path};
use crate::transfer::Downloaded;

impl Files {
    /// Makes a local folder like one of the bucket: downloads what is new or has another SHA-256, each file as
    /// [`download_to`](crate::File::download_to) does, and nothing else. The folder is made where it is missing. What only the
    /// folder has stays, unless [`delete_extra`](SyncDown::delete_extra) is said. An empty folder in the place of a file makes
    /// way for it; one that is not empty is reported.
    ///
    /// Names that can't be decided on are reported instead: those that no local file can have or that lead outside, local
    /// links, names that differ only in letter case or Unicode form, files that would have to be folders, and those that are
    /// named as our own parts of downloads are. Such parts in the local folder are left alone.
    ///
    /// ```no_run
    /// # async fn f(files: carbonfiles::Files) -> carbonfiles::Result<()> {
    /// let done = files.sync_down("site").prefix("v2").delete_extra(true).await?;
    /// for file in &done.reported {
    ///     eprintln!("{:?}: {}", file.path, file.reason);
    /// }
    /// println!("{} copied", done.into_result()?.copied); // or the first error
    /// # Ok(()) }
    /// ```
    pub fn sync_down<'a>(&self, folder: impl AsRef<Path>) -> SyncDown<'a> {
        SyncDown { settings: SyncSettings::new(self.clone(), folder.as_ref()), each: Box::new(|_, download| download) }
    }
}

/// Makes a folder like a bucket. Made by [`Files::sync_down`].
///
/// Dropping it gives up what is under way: each local file is the old one or the new one.
#[must_use = "nothing is sent until it is awaited"]
pub struct SyncDown<'a> {
    settings: SyncSettings<'a>,
    each: EachDownload<'a>,
}

impl<'a> SyncDown<'a> {
    /// Changes each download before it is sent, by its path in the bucket: the SHA-256 that it must have, headers, limits, retries.
    pub fn each(mut self, configure: impl FnMut(&str, DownloadFileTo<'a>) -> DownloadFileTo<'a> + Send + 'a) -> Self {
        self.each = Box::new(configure);
        self
    }

    /// What it would do. The bucket is listed and local files are read; nothing is changed.
    ///
    /// # Errors
    /// Those of the listing, and `InvalidInput` for a folder that can't be read, a prefix that can't be one, or a bad glob.
    pub async fn plan(self) -> Result<SyncPlan> {
        self.settings.look(Direction::Down).await
    }

    /// The outcomes as a stream, each as soon as it is known. Both sides are looked at first, unless a plan was given.
    ///
    /// ```no_run
    /// # async fn f(files: carbonfiles::Files) -> carbonfiles::Result<()> {
    /// use carbonfiles::sync::SyncFile;
    /// use futures::TryStreamExt;
    ///
    /// let mut sync = files.sync_down("site").delete_extra(true).stream().await?;
    /// println!("{} bytes to come", sync.plan().bytes());
    /// while let Some(file) = sync.try_next().await? {
    ///     match file {
    ///         SyncFile::Copied(file) => println!("{:?}: {:?}", file.path, file.outcome),
    ///         SyncFile::Deleted(file) => println!("{:?} is gone", file.path),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`plan`](Self::plan), and `InvalidInput` for a plan that is for something else or a concurrency of 0.
    pub async fn stream(mut self) -> Result<SyncStream<'a, Downloaded>> {
        let options = self.settings.batch.start()?;
        let (plan, _) = self.settings.take_plan(Direction::Down, &options).await?;
        let SyncSettings { scope: Scope { files, folder, .. }, batch, .. } = self.settings;
        let rest = batch.without_progress();
        let jobs: Vec<_> = plan.actions.iter().filter_map(|action| download(action, &plan.prefix, &folder)).collect();
        let extras = plan.actions.iter().filter_map(|action| deletion(action, &plan.prefix, &folder)).collect();
        let (totals, work) = (Totals::of(&jobs), downloading(files, Some(folder.clone()), true, self.each, options));
        let copying = run(jobs.into_iter(), totals, batch, work);
        let delete = move |path: PathBuf| {
            let root = folder.clone();
            blocking(move || {
                remove(&root, &path).map_err(|cause| {
                    Error::io(format!("{} can't be deleted: {}", path.display(), reason(&cause)), cause)
                })
            })
        };
        Ok(SyncStream::new(plan, copying, None, extras, rest, delete))
    }

    async fn run(self) -> Result<SyncOutcome<Downloaded>> {
        self.stream().await?.outcome().await
    }
}

fn download(action: &SyncAction, prefix: &str, folder: &Path) -> Option<Job<Download>> {
    let SyncAction::Copy { path: name, size, .. } = action else { return None };
    let path = format!("{prefix}{name}");
    let target = local_path(folder, name);
    let local = target.as_ref().ok().cloned();
    let work = target.map(|target| Download { path: path.clone(), target, size: Some(*size) }).map_err(NotNow::Failed);
    Some(Job { path, local, size: Some(*size), work })
}

fn deletion(action: &SyncAction, prefix: &str, folder: &Path) -> Option<Job<PathBuf>> {
    let SyncAction::Delete { path: name } = action else { return None };
    let target = local_path(folder, name);
    let local = target.as_ref().ok().cloned();
    Some(Job { path: format!("{prefix}{name}"), local, size: None, work: target.map_err(NotNow::Failed) })
}

/// Deletes a file, and the folders that it leaves empty.
fn remove(root: &Path, path: &Path) -> io::Result<()> {
    check_parents(root, path)?;
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => std::fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::other("it is no longer a file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let mut folder = path.parent();
    while let Some(empty) = folder.filter(|folder| *folder != root) {
        if std::fs::remove_dir(empty).is_err() {
            break;
        }
        folder = empty.parent();
    }
    Ok(())
}

sync_setters!(SyncDown);
awaitable!(@many SyncDown<'a> => SyncOutcome<Downloaded>);
many_starts! {
    /// The progress is that of the copies; deletions come after its last report.
    ///
    /// ```no_run
    /// # async fn f(files: carbonfiles::Files) -> carbonfiles::Result<()> {
    /// use std::time::Duration;
    ///
    /// // As much as comes in ten minutes; the next sync goes on from there.
    /// let mut transfer = files.sync_down("site").prefix("v2").start();
    /// let ended = match tokio::time::timeout(Duration::from_secs(600), &mut transfer).await {
    ///     Ok(ended) => ended?,
    ///     Err(_) => {
    ///         transfer.cancel();
    ///         transfer.await?
    ///     }
    /// };
    /// println!("{} downloaded", ended.copied.done().count());
    /// # Ok(()) }
    /// ```
    SyncDown => SyncOutcome<Downloaded>, settings.batch
}

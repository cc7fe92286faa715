//! The bucket is made like the local folder.

use std::path::{Path, PathBuf};

use super::outcome::SyncOutcome;
use super::plan::{Direction, SyncAction, SyncPlan};
use super::settings::{Scope, SyncSettings, sync_setters};
use crate::blocking::blocking;
use crate::error::{Error, Result};
use crate::file_path::FilePath;
use crate::files::{Batch, Files, Job, NotNow, Totals, Upload, run, uploading};
use crate::http::awaitable;
use crate::local::local_path;
use crate::models::UploadedFile;
use crate::transfer::Source;

impl Files {
    /// Makes a folder of the bucket like a local one: uploads what is new or has another SHA-256, and nothing else. What
    /// only the bucket has stays, unless [`delete_extra`](SyncUp::delete_extra) is said.
    ///
    /// Names that can't be decided on are reported instead: paths that the bucket can't have, links, what can't be read,
    /// names that differ only in letter case or Unicode form, and files that would have to be folders.
    ///
    /// ```no_run
    /// # async fn f(files: carbonfiles::Files) -> carbonfiles::Result<()> {
    /// let plan = files.sync_up("site").prefix("v2").plan().await?; // changes nothing
    /// println!("{} bytes to upload: {:?}", plan.bytes(), plan.actions);
    ///
    /// let done = files.sync_up("site").prefix("v2").hash_cache(".site-hashes.json").await?;
    /// println!("{} uploaded, {} unchanged", done.copied.done().count(), done.unchanged);
    /// # Ok(()) }
    /// ```
    pub fn sync_up<'a>(&self, folder: impl AsRef<Path>) -> SyncUp<'a> {
        SyncUp { settings: SyncSettings::new(self.clone(), folder.as_ref()), each: Box::new(|upload| upload) }
    }
}

/// Makes a bucket like a folder. Made by [`Files::sync_up`].
///
/// Dropping it gives up what is under way: each file of the bucket is the old one or the new one.
#[must_use = "nothing is sent until it is awaited"]
pub struct SyncUp<'a> {
    settings: SyncSettings<'a>,
    each: Box<dyn FnMut(Upload<'a>) -> Upload<'a> + Send + 'a>,
}

impl<'a> SyncUp<'a> {
    /// Changes each upload before it is sent: token, headers, limits, retries.
    pub fn each(mut self, configure: impl FnMut(Upload<'a>) -> Upload<'a> + Send + 'a) -> Self {
        self.each = Box::new(configure);
        self
    }

    /// What it would do. The bucket is listed and local files are read; nothing is changed.
    ///
    /// # Errors
    /// Those of the listing, and `InvalidInput` for a folder that can't be read, a prefix that can't be one, or a bad glob.
    pub async fn plan(self) -> Result<SyncPlan> {
        Ok(self.settings.look(Direction::Up).await?.plan)
    }

    async fn run(mut self) -> Result<SyncOutcome<UploadedFile>> {
        let (plan, mut looked) = self.settings.take_plan(Direction::Up).await?;
        let SyncSettings { scope: Scope { files, folder, .. }, batch, .. } = self.settings;
        let rest = batch.without_progress();
        let jobs: Vec<_> = plan.actions.iter().filter_map(|action| upload(action, &plan.prefix, &folder)).collect();
        let totals = Totals::of(&jobs);
        // What was found just now has been looked at; a plan from elsewhere may name anything.
        let root = if looked.is_some() { None } else { Some(real(folder.clone()).await?) };
        let mut send = uploading(files.clone(), self.each);
        let work = move |(path, local): (FilePath, PathBuf), track| {
            let upload = send((path, Source::from(local.clone())), track);
            let root = root.clone();
            async move {
                if let Some(root) = root {
                    check_inside(root, local).await?;
                }
                upload.await
            }
        };
        let copied = run(jobs.into_iter(), totals, batch, work).collect_batch().await;
        if let Some(looked) = &mut looked {
            for (path, done) in copied.done() {
                let name = &path[plan.prefix.len()..];
                if let (Some(stamp), Some(sha256)) = (looked.stamps.get(name), &done.sha256) {
                    looked.hashes.learn(name, stamp, sha256);
                }
            }
            looked.hashes.save().await?;
        }
        let extras = plan.actions.iter().filter_map(|action| deletion(action, &plan.prefix));
        let deleted = if copied.stopped || copied.failed().next().is_some() {
            Batch::not_started(extras)
        } else {
            let jobs: Vec<_> = extras.collect();
            let delete = move |path: String, _| {
                let file = files.file(&path);
                async move {
                    match file.delete().await {
                        Err(error) if !error.is_not_found() => Err(error),
                        // Gone already is as good.
                        _ => Ok(()),
                    }
                }
            };
            run(jobs.into_iter(), Totals::listed(), rest, delete).collect_batch().await
        };
        Ok(SyncOutcome::new(plan, copied, deleted))
    }
}

fn upload(action: &SyncAction, prefix: &str, folder: &Path) -> Option<Job<(FilePath, PathBuf)>> {
    let SyncAction::Copy { path: name, size, .. } = action else { return None };
    let path = format!("{prefix}{name}");
    let local = local_path(folder, name);
    let shown = local.as_ref().ok().cloned();
    let work = FilePath::try_from(path.as_str()).and_then(|path| Ok((path, local?)));
    Some(Job { path, local: shown, size: Some(*size), work: work.map_err(NotNow::Failed) })
}

/// Where a folder is, links resolved.
async fn real(folder: PathBuf) -> Result<PathBuf> {
    blocking(move || {
        let unusable =
            |cause| Error::invalid_input("folder", format!("{} can't be read", folder.display())).caused_by(cause);
        folder.canonicalize().map_err(unusable)
    })
    .await
}

/// Refuses a local file that lies, by a link, outside the folder. It is asked just before the file is opened.
async fn check_inside(root: PathBuf, path: PathBuf) -> Result<()> {
    blocking(move || match path.canonicalize() {
        Ok(real) if real.starts_with(&root) => Ok(()),
        _ => Err(Error::invalid_input("plan", format!("{} is not in {}", path.display(), root.display()))),
    })
    .await
}

fn deletion(action: &SyncAction, prefix: &str) -> Option<Job<String>> {
    let SyncAction::Delete { path: name } = action else { return None };
    let path = format!("{prefix}{name}");
    let work = FilePath::try_from(path.as_str()).map(String::from).map_err(NotNow::Failed);
    Some(Job { path, local: None, size: None, work })
}

sync_setters!(SyncUp);
awaitable!(@many SyncUp<'a> => SyncOutcome<UploadedFile>);

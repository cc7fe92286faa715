//! The bucket is made like the local folder.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::look::Scope;
use super::outcome::SyncOutcome;
use super::plan::{Direction, SyncAction, SyncPlan};
use super::settings::{SyncSettings, sync_setters};
use super::stream::{HashOf, SyncStream};
use crate::error::{ErrorKind, Result};
use crate::file_path::FilePath;
use crate::files::{EachUpload, Files, Job, NotNow, Totals, Upload, many_starts, run, uploading};
use crate::http::awaitable;
use crate::local::{local_path, still_inside};
use crate::models::UploadedFile;
use crate::refusal::{NO_FILE, says};
use crate::transfer::Source;

impl Files {
    /// Makes a folder of the bucket like a local one: uploads what is new or has another SHA-256, and nothing else. What
    /// only the bucket has stays, unless [`delete_extra`](SyncUp::delete_extra) is said.
    ///
    /// Names that can't be decided on are reported instead: paths that the bucket can't have, links, what can't be read,
    /// names that differ only in letter case or Unicode form, and files that would have to be folders. Parts that a
    /// [`download_to`](crate::File::download_to) has left in the local folder are left out; what is named like one in the
    /// bucket is reported instead of deleted.
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
        SyncUp { settings: SyncSettings::new(self.clone(), folder.as_ref()), each: Box::new(|_, upload| upload) }
    }
}

/// Makes a bucket like a folder. Made by [`Files::sync_up`].
///
/// Dropping it gives up what is under way: each file of the bucket is the old one or the new one.
#[must_use = "nothing is sent until it is awaited"]
pub struct SyncUp<'a> {
    settings: SyncSettings<'a>,
    each: EachUpload<'a>,
}

impl<'a> SyncUp<'a> {
    /// Changes each upload before it is sent, by its path in the bucket: the SHA-256 that it must have, token, headers, limits,
    /// retries. One that [`named`](Upload::named) would send elsewhere is `InvalidInput`.
    pub fn each(mut self, configure: impl FnMut(&str, Upload<'a>) -> Upload<'a> + Send + 'a) -> Self {
        self.each = Box::new(configure);
        self
    }

    /// What it would do. The bucket is listed and local files are read; nothing is changed.
    ///
    /// # Errors
    /// Those of the listing, and `InvalidInput` for a folder that can't be read, a prefix that can't be one, or a bad glob.
    pub async fn plan(self) -> Result<SyncPlan> {
        self.settings.look(Direction::Up).await
    }

    /// The outcomes as a stream, each as soon as it is known. Both sides are looked at first, unless a plan was given. See
    /// [`SyncDown::stream`](super::SyncDown::stream) for an example.
    ///
    /// # Errors
    /// As [`plan`](Self::plan), and `InvalidInput` for a plan that is for something else or a concurrency of 0.
    pub async fn stream(mut self) -> Result<SyncStream<'a, UploadedFile>> {
        let options = self.settings.batch.start()?;
        let (plan, memory) = self.settings.take_plan(Direction::Up, &options).await?;
        let SyncSettings { scope: Scope { files, folder, selection, .. }, batch, .. } = self.settings;
        let rest = batch.without_progress();
        let jobs: Vec<_> = plan.actions.iter().filter_map(|action| upload(action, &plan.prefix, &folder)).collect();
        let extras = plan.actions.iter().filter_map(|action| deletion(action, &plan.prefix)).collect();
        let totals = Totals::of(&jobs);
        // A plan from elsewhere may name anything, and what was found here may be another thing by now.
        let check = still_inside(folder, selection.symlinks);
        let unhashed = Unhashed::default();
        let mut send = uploading(files.clone(), unhashed.noting(self.each), options.clone());
        let work = move |(path, local), track| send((path, Source::path_if(local, check.clone())), track);
        let copying = run(jobs.into_iter(), totals, batch, work);
        let delete = move |path: String| {
            let (file, options) = (files.file(&path), options.clone());
            async move {
                match file.delete().options(options.clone()).await {
                    // Gone already is as good; but the server also says so of what this credential must not delete, and
                    // anybody on the way of anything. Not looked at by `get`, for the server may remember what is gone.
                    Err(error) if error.is_not_found() => match file.listed_opt(options).await? {
                        None => Ok(()),
                        Some(_) if says(&error, NO_FILE) => {
                            Err(error.with_kind(ErrorKind::PermissionDenied).with_hint(NOT_THE_OWNER))
                        }
                        Some(_) => Err(error),
                    },
                    deleted => deleted,
                }
            }
        };
        let learning = memory.map(|memory| (memory, unhashed.others()));
        Ok(SyncStream::new(plan, copying, learning, extras, rest, delete))
    }

    async fn run(self) -> Result<SyncOutcome<UploadedFile>> {
        self.stream().await?.outcome().await
    }
}

const NOT_THE_OWNER: &str = "The file is there: only the bucket's owner may delete it";

/// The files that nothing was hashed of on the way: what the server says of them was compared with nothing.
#[derive(Default)]
struct Unhashed(Arc<Mutex<HashSet<String>>>);

impl Unhashed {
    /// Notes which uploads are told not to hash.
    fn noting<'a>(&self, mut each: EachUpload<'a>) -> EachUpload<'a> {
        let noted = self.0.clone();
        Box::new(move |path, upload| {
            let upload = each(path, upload);
            if !upload.is_hashed() {
                noted.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
            }
            upload
        })
    }

    /// The hash of a file that was hashed.
    fn others(self) -> HashOf<UploadedFile> {
        Box::new(move |path, uploaded| {
            let is_known = !self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(path);
            uploaded.sha256.as_deref().filter(|_| is_known)
        })
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

fn deletion(action: &SyncAction, prefix: &str) -> Option<Job<String>> {
    let SyncAction::Delete { path: name } = action else { return None };
    Some(crate::files::deletion(format!("{prefix}{name}")))
}

sync_setters!(SyncUp);
awaitable!(@many SyncUp<'a> => SyncOutcome<UploadedFile>);
many_starts! {
    /// The progress is that of the copies; deletions come after its last report.
    ///
    /// ```no_run
    /// # async fn f(files: carbonfiles::Files) -> carbonfiles::Result<()> {
    /// use futures::StreamExt;
    ///
    /// let transfer = files.sync_up("site").prefix("v2").delete_extra(true).start();
    /// let mut watch = transfer.progress();
    /// while let Some(now) = watch.next().await {
    ///     println!("{:.0} %", now.percent().unwrap_or(0.0)); // transfer.cancel() ends it
    /// }
    /// let done = transfer.await?.into_result()?;
    /// # Ok(()) }
    /// ```
    SyncUp => SyncOutcome<UploadedFile>, settings.batch
}

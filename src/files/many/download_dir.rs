//! Downloads into a folder.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt;

use super::batch::{Batch, Skipped};
use super::progress::Track;
use super::run::{BatchStream, Job, NotNow, Settings, Totals, many_setters, many_starts, run};
use crate::blocking::blocking;
use crate::error::{Error, ErrorKind, Result, reason};
use crate::files::{DownloadFileTo, Files};
use crate::http::{CallOptions, awaitable};
use crate::local::{
    Clash, Names, Selection, check_parents, folder_prefix, is_part, local_folder, local_path, selection_setters,
};
use crate::models::FileInfo;
use crate::transfer::{Downloaded, PathCheck};

impl Files {
    /// Downloads the files of the bucket, or of a folder of it, into a local folder, several at once, each as
    /// [`download_to`](crate::File::download_to) does. The folder is made where it is missing; what is there and not in the
    /// bucket stays.
    ///
    /// Nothing is written outside the folder: a name that would lead there, that no local file can have, or that is both a
    /// file and a folder, is reported as failed, and so is one whose way leads through a symbolic link. Names that differ
    /// only in letter case or Unicode form are reported too, unless [`case_sensitive`](DownloadDir::case_sensitive) is set. Files
    /// that are named as our own parts of downloads are skipped ([`Skipped::Part`]). A file
    /// that is longer by now than the listing said is `ContentChanged`, unless [`each`](DownloadDir::each) sets another
    /// [`max_bytes`](DownloadFileTo::max_bytes).
    ///
    /// ```no_run
    /// # async fn f(files: carbonfiles::Files) -> carbonfiles::Result<()> {
    /// let done = files.download_dir("site").prefix("docs/v2").await?.into_result()?;
    /// println!("{} files", done.len());
    /// # Ok(()) }
    /// ```
    pub fn download_dir<'a>(&self, folder: impl AsRef<Path>) -> DownloadDir<'a> {
        DownloadDir {
            files: self.clone(),
            folder: local_folder(folder.as_ref()),
            prefix: String::new(),
            selection: Selection::default(),
            case_sensitive: false,
            each: Box::new(|_, download| download),
            settings: Settings::default(),
        }
    }
}

pub(crate) type EachDownload<'a> = Box<dyn FnMut(&str, DownloadFileTo<'a>) -> DownloadFileTo<'a> + Send + 'a>;

/// Downloads into a folder. Made by [`Files::download_dir`].
///
/// Dropping it gives up what is under way: each target is what it was, or complete.
#[must_use = "nothing is sent until it is awaited"]
pub struct DownloadDir<'a> {
    files: Files,
    folder: PathBuf,
    prefix: String,
    selection: Selection,
    case_sensitive: bool,
    each: EachDownload<'a>,
    settings: Settings<'a>,
}

impl<'a> DownloadDir<'a> {
    /// The folder of the bucket, such as `docs/v2`; all of the bucket by default. Names below the local folder are without it.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Declares the local file system to keep names apart that differ only in letter case or Unicode form, so that such names
    /// are not reported. Those of Windows and macOS do not.
    pub fn case_sensitive(mut self, case_sensitive: bool) -> Self {
        self.case_sensitive = case_sensitive;
        self
    }

    /// Changes each download before it is sent, by its path in the bucket: the SHA-256 that it must have, overwriting, headers,
    /// limits, retries. Progress is that of the whole: use [`file_progress`](Self::file_progress) for single files.
    ///
    /// ```no_run
    /// # async fn f(files: carbonfiles::Files, pinned: std::collections::HashMap<String, String>) -> carbonfiles::Result<()> {
    /// let down = files.download_dir("site").each(|path, download| match pinned.get(path) {
    ///     Some(sha256) => download.expect_sha256(sha256),
    ///     None => download,
    /// });
    /// down.await?.into_result()?;
    /// # Ok(()) }
    /// ```
    pub fn each(mut self, configure: impl FnMut(&str, DownloadFileTo<'a>) -> DownloadFileTo<'a> + Send + 'a) -> Self {
        self.each = Box::new(configure);
        self
    }

    /// The outcomes as a stream, each as soon as it is known. The bucket is listed first.
    ///
    /// # Errors
    /// Those of the listing, and `InvalidInput` for a prefix that can't be one, a bad glob, or a concurrency of 0.
    pub async fn stream(mut self) -> Result<BatchStream<'a, Downloaded>> {
        let options = self.settings.start()?;
        self.selection.check()?;
        let prefix = folder_prefix(&self.prefix)?;
        let listing = self.files.list_all().stable().prefix(&prefix).options(options.clone()).items();
        let meant = |file: &FileInfo| std::future::ready(self.selection.means(&file.path[prefix.len()..]));
        let found: Vec<_> = self.settings.unless_cancelled(listing.try_filter(meant).try_collect()).await?;
        let (folder, case_sensitive) = (self.folder.clone(), self.case_sensitive);
        // Of a hundred thousand files it takes a while.
        let jobs = blocking(move || Ok(jobs(&found, prefix.len(), &folder, case_sensitive))).await?;
        let totals = Totals::of(&jobs);
        let work = downloading(self.files, Some(self.folder), false, self.each, options);
        Ok(run(jobs.into_iter(), totals, self.settings, work))
    }

    async fn run(self) -> Result<Batch<Downloaded>> {
        Ok(self.stream().await?.collect_batch().await)
    }
}

fn jobs(found: &[FileInfo], skip: usize, root: &Path, case_sensitive: bool) -> Vec<Job<Download>> {
    let mut names = Names::new(case_sensitive);
    found.iter().for_each(|file| names.add(&file.path[skip..]));
    let place = |name| {
        let path = local_path(root, name).map_err(NotNow::Failed)?;
        match names.clash(name) {
            Some(clash) => Err(NotNow::Failed(clashes(&clash))),
            None if is_part(name) => Err(NotNow::Skipped(Skipped::Part)),
            None => Ok(path),
        }
    };
    let mut jobs: Vec<_> = found
        .iter()
        .map(|file| {
            let place = place(&file.path[skip..]);
            Job {
                path: file.path.clone(),
                local: place.as_ref().ok().cloned(),
                size: Some(file.size),
                work: place.map(|target| Download { path: file.path.clone(), target, size: Some(file.size) }),
            }
        })
        .collect();
    // First what fails anyway: if that ends it, nothing has been written.
    jobs.sort_by_key(|job| job.work.is_ok());
    jobs
}

fn clashes(clash: &Clash<'_>) -> Error {
    let error = Error::new(ErrorKind::Conflict, clash.to_string());
    match clash {
        Clash::Twin(..) => error.with_hint(
            "Where the file system keeps names apart that differ in case or Unicode form, say so by case_sensitive(true)",
        ),
        Clash::FileAndFolder(_) => error,
    }
}

/// One of many downloads.
pub(crate) struct Download {
    pub(crate) path: String,
    pub(crate) target: PathBuf,
    /// As listed.
    pub(crate) size: Option<u64>,
}

/// How one of many is downloaded: not through links below `root`, if there is one; where an empty folder stands in its place,
/// it can make way.
pub(crate) fn downloading<'a>(
    files: Files,
    root: Option<PathBuf>,
    folders_make_way: bool,
    mut each: EachDownload<'a>,
    options: CallOptions,
) -> impl FnMut(Download, Option<Track<'a>>) -> crate::Call<'a, Downloaded> + Send + 'a {
    let folders = folders(root);
    move |Download { path, target, size }, track| {
        let call = files.file(&path).download_to(&target).options(options.clone()).in_folder(folders.clone());
        let call = match size {
            Some(size) => call.listed(size),
            None => call,
        };
        let call = each(&path, call);
        let call = if folders_make_way { call.onto_an_empty_folder() } else { call };
        let call = match track {
            Some(mut track) => {
                call.progress_interval(track.interval()).progress(move |progress| track.report(progress))
            }
            None => call,
        };
        call.send()
    }
}

/// Makes the folder of a target, below the root as far as it leads through real folders only. For each file anew: since the
/// one before it, the folder may have become a link, or gone.
fn folders(root: Option<PathBuf>) -> PathCheck {
    Arc::new(move |target| {
        let Some(folder) = target.parent() else { return Ok(()) };
        let allowed = root.as_ref().map_or(Ok(()), |root| check_parents(root, target));
        let made = allowed.and_then(|()| if folder.is_dir() { Ok(()) } else { std::fs::create_dir_all(folder) });
        made.map_err(|cause| Error::io(format!("{} can't be written: {}", target.display(), reason(&cause)), cause))
    })
}

selection_setters!(['a] DownloadDir<'a>, selection);
many_setters!(DownloadDir, settings);
awaitable!(@many DownloadDir<'a> => Batch<Downloaded>);
many_starts! {
    /// ```no_run
    /// # async fn f(files: carbonfiles::Files) -> carbonfiles::Result<()> {
    /// use futures::StreamExt;
    ///
    /// let transfer = files.download_dir("site").prefix("docs/v2").start();
    /// let mut watch = transfer.progress();
    /// while let Some(now) = watch.next().await {
    ///     println!("{} of {:?} files, {:?} B/s, {:?} left", now.files, now.files_total, now.rate, now.eta());
    /// }
    /// let done = transfer.await?.into_result()?;
    /// # Ok(()) }
    /// ```
    DownloadDir => Batch<Downloaded>, settings
}

impl fmt::Debug for DownloadDir<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadDir")
            .field("prefix", &self.prefix)
            .field("folder", &self.folder)
            .field("selection", &self.selection)
            .finish_non_exhaustive()
    }
}

//! Downloads of many files, each to a place of its own.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::batch::Batch;
use super::download_dir::{Download, EachDownload, downloading};
use super::run::{BatchStream, Job, NotNow, Settings, Totals, many_setters, many_starts, run};
use crate::blocking::blocking;
use crate::error::{Error, ErrorKind, Result};
use crate::file_path::FilePath;
use crate::files::{DownloadFileTo, Files};
use crate::http::awaitable;
use crate::transfer::Downloaded;

impl Files {
    /// Downloads many files, several at once, each to a path of its own on the local file system, as
    /// [`download_to`](crate::File::download_to) does. Folders are made where they are missing. The targets are yours: for
    /// names from elsewhere, which may lead anywhere, there is [`download_dir`](Files::download_dir).
    ///
    /// Items with one target are `Conflict`, all of them, and nothing is sent for them; whether two targets are one is told
    /// by their paths alone, not by links or letter case.
    ///
    /// ```no_run
    /// # async fn f(files: carbonfiles::Files) -> carbonfiles::Result<()> {
    /// let wanted = [("docs/a.txt", "a.txt"), ("photos/b.jpg", "pictures/b.jpg")];
    /// let done = files.download_many(wanted).await?.into_result()?;
    /// assert_eq!(done.len(), 2);
    /// # Ok(()) }
    /// ```
    pub fn download_many<'a>(&self, items: impl IntoIterator<Item = impl Into<DownloadItem>>) -> DownloadMany<'a> {
        DownloadMany {
            files: self.clone(),
            items: items.into_iter().map(Into::into).collect(),
            each: Box::new(|_, download| download),
            settings: Settings::default(),
        }
    }
}

/// One file of a [`download_many`](Files::download_many).
#[derive(Debug, Clone)]
pub struct DownloadItem {
    path: String,
    target: PathBuf,
}

impl DownloadItem {
    /// A path in the bucket, and where its content goes. A path that can't be one makes this file fail.
    pub fn new(path: impl AsRef<str>, target: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned(), target: target.as_ref().to_owned() }
    }
}

impl<P: AsRef<str>, T: AsRef<Path>> From<(P, T)> for DownloadItem {
    fn from((path, target): (P, T)) -> Self {
        Self::new(path, target)
    }
}

/// Downloads many files. Made by [`Files::download_many`].
///
/// Dropping it gives up what is under way: each target is what it was, or complete.
#[must_use = "nothing is sent until it is awaited"]
pub struct DownloadMany<'a> {
    files: Files,
    items: Vec<DownloadItem>,
    each: EachDownload<'a>,
    settings: Settings<'a>,
}

impl<'a> DownloadMany<'a> {
    /// Changes each download before it is sent, by its path in the bucket: the SHA-256 that it must have, overwriting, headers,
    /// limits, retries. Progress is that of the whole: use [`file_progress`](Self::file_progress) for single files.
    pub fn each(mut self, configure: impl FnMut(&str, DownloadFileTo<'a>) -> DownloadFileTo<'a> + Send + 'a) -> Self {
        self.each = Box::new(configure);
        self
    }

    /// The outcomes as a stream, each as soon as it is known.
    ///
    /// # Errors
    /// `InvalidInput` for a concurrency of 0.
    pub async fn stream(mut self) -> Result<BatchStream<'a, Downloaded>> {
        let options = self.settings.start()?;
        let items = self.items;
        let jobs = blocking(move || Ok(jobs(items))).await?;
        let totals = Totals::of(&jobs);
        let work = downloading(self.files, None, false, self.each, options);
        Ok(run(jobs.into_iter(), totals, self.settings, work))
    }

    async fn run(self) -> Result<Batch<Downloaded>> {
        Ok(self.stream().await?.collect_batch().await)
    }
}

fn jobs(items: Vec<DownloadItem>) -> Vec<Job<Download>> {
    let place = |target: &Path| std::path::absolute(target).unwrap_or_else(|_| target.to_owned());
    let places: Vec<_> = items.iter().map(|item| place(&item.target)).collect();
    let mut claims = HashMap::with_capacity(places.len());
    places.iter().for_each(|place| *claims.entry(place.as_path()).or_insert(0_usize) += 1);
    let job = |(DownloadItem { path, target }, place): (DownloadItem, &PathBuf)| {
        let work = match FilePath::try_from(path.as_str()) {
            Err(error) => Err(NotNow::Failed(error)),
            Ok(_) if claims.get(place.as_path()).is_some_and(|claims| *claims > 1) => {
                let message = format!("{} is the target of several files", target.display());
                Err(NotNow::Failed(Error::new(ErrorKind::Conflict, message)))
            }
            Ok(_) => Ok(Download { path: path.clone(), target: target.clone(), size: None }),
        };
        Job { path, local: Some(target), size: None, work }
    };
    items.into_iter().zip(&places).map(job).collect()
}

many_setters!(DownloadMany, settings);
awaitable!(@many DownloadMany<'a> => Batch<Downloaded>);
many_starts! {
    /// ```no_run
    /// # async fn f(files: carbonfiles::Files) -> carbonfiles::Result<()> {
    /// let transfer = files.download_many([("docs/a.txt", "a.txt"), ("docs/b.txt", "b.txt")]).start();
    /// let watch = transfer.progress();
    /// println!("{} files so far", watch.current().files);
    /// let done = transfer.await?.into_result()?;
    /// # Ok(()) }
    /// ```
    DownloadMany => Batch<Downloaded>, settings
}

impl fmt::Debug for DownloadMany<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadMany").field("files", &self.files).finish_non_exhaustive()
    }
}

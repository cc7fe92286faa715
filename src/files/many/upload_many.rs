//! Uploads of many sources.

use std::fmt;
use std::path::{Path, PathBuf};

use super::batch::Batch;
use super::run::{BatchStream, Job, NotNow, Settings, Totals, many_setters, many_starts, run};
use crate::error::{Error, Result};
use crate::file_path::FilePath;
use crate::files::{Files, Upload};
use crate::http::{CallOptions, awaitable};
use crate::models::UploadedFile;
use crate::transfer::Source;

impl Files {
    /// Uploads many files, several at once. An item is a path in the bucket with a [`Source`], or a local path, which is
    /// then stored under its own name: `["a.jpg", "b.jpg"]`. The iterator is taken from only as places become free, and paths
    /// are opened only then.
    ///
    /// ```no_run
    /// # async fn f(files: carbonfiles::Files) -> carbonfiles::Result<()> {
    /// let notes = (0..1000).map(|n| (format!("notes/{n}.txt"), format!("note {n}").into_bytes()));
    /// let stored = files.upload_many(notes).await?.into_result()?;
    /// assert_eq!(stored.len(), 1000);
    /// # Ok(()) }
    /// ```
    pub fn upload_many<'a, I>(&self, items: I) -> UploadMany<'a>
    where
        I: IntoIterator<Item: Into<UploadItem<'a>> + 'a, IntoIter: Send + 'a>,
    {
        UploadMany {
            files: self.clone(),
            items: Box::new(items.into_iter().map(Into::into)),
            each: Box::new(|_, upload| upload),
            settings: Settings::default(),
        }
    }
}

/// One file of an [`upload_many`](Files::upload_many).
#[derive(Debug)]
pub struct UploadItem<'a> {
    name: String,
    path: Result<FilePath>,
    local: Option<PathBuf>,
    source: Source<'a>,
}

impl<'a> UploadItem<'a> {
    /// What to store under a path in the bucket. A path that can't be one makes this file fail.
    pub fn new(path: impl AsRef<str>, source: impl Into<Source<'a>>) -> Self {
        let name = path.as_ref();
        Self { name: name.to_owned(), path: FilePath::try_from(name), local: None, source: source.into() }
    }
}

impl<'a, P: AsRef<str>, S: Into<Source<'a>>> From<(P, S)> for UploadItem<'a> {
    fn from((path, source): (P, S)) -> Self {
        Self::new(path, source)
    }
}

/// Under the last part of its path.
impl From<PathBuf> for UploadItem<'_> {
    fn from(local: PathBuf) -> Self {
        let path = FilePath::from_local_name(&local);
        let name = path.as_ref().map_or_else(|_| local.display().to_string(), ToString::to_string);
        Self { name, path, source: local.clone().into(), local: Some(local) }
    }
}

/// Under the last part of its path.
impl From<&PathBuf> for UploadItem<'_> {
    fn from(local: &PathBuf) -> Self {
        local.clone().into()
    }
}

/// Under the last part of its path.
impl From<&Path> for UploadItem<'_> {
    fn from(local: &Path) -> Self {
        local.to_owned().into()
    }
}

/// A local path, under its last part.
impl From<&str> for UploadItem<'_> {
    fn from(local: &str) -> Self {
        PathBuf::from(local).into()
    }
}

/// A local path, under its last part.
impl From<String> for UploadItem<'_> {
    fn from(local: String) -> Self {
        PathBuf::from(local).into()
    }
}

/// A local path, under its last part.
impl From<&String> for UploadItem<'_> {
    fn from(local: &String) -> Self {
        local.as_str().into()
    }
}

pub(crate) type EachUpload<'a> = Box<dyn FnMut(&str, Upload<'a>) -> Upload<'a> + Send + 'a>;

/// Uploads many files. Made by [`Files::upload_many`].
///
/// Files of one path, and the ends of files of equal content, go one after another, for the server can't take them
/// together. Dropping it gives up what is under way: nothing of that becomes visible.
#[must_use = "nothing is sent until it is awaited"]
pub struct UploadMany<'a> {
    files: Files,
    items: Box<dyn Iterator<Item = UploadItem<'a>> + Send + 'a>,
    each: EachUpload<'a>,
    settings: Settings<'a>,
}

impl<'a> UploadMany<'a> {
    /// Changes each upload before it is sent, by its path in the bucket: the SHA-256 that it must have, token, headers, limits,
    /// retries. One that [`named`](Upload::named) would send elsewhere is `InvalidInput`. Progress is that of the whole: use
    /// [`file_progress`](Self::file_progress) for single files.
    pub fn each(mut self, configure: impl FnMut(&str, Upload<'a>) -> Upload<'a> + Send + 'a) -> Self {
        self.each = Box::new(configure);
        self
    }

    /// The outcomes as a stream, each as soon as it is known.
    ///
    /// # Errors
    /// `InvalidInput` for a concurrency of 0.
    #[expect(clippy::unused_async, reason = "as that of the others, which have to look first")]
    pub async fn stream(mut self) -> Result<BatchStream<'a, UploadedFile>> {
        let options = self.settings.start()?;
        let totals = match self.items.size_hint() {
            (least, Some(most)) if least == most => Totals::files(Some(most)),
            _ => Totals::files(None),
        };
        let jobs = self.items.map(|item| Job {
            path: item.name,
            local: item.local,
            size: None,
            work: item.path.map(|path| (path, item.source)).map_err(NotNow::Failed),
        });
        Ok(run(jobs, totals, self.settings, uploading(self.files, self.each, options)))
    }

    async fn run(self) -> Result<Batch<UploadedFile>> {
        Ok(self.stream().await?.collect_batch().await)
    }
}

/// How one of many is uploaded.
pub(crate) fn uploading<'a>(
    files: Files,
    mut each: EachUpload<'a>,
    options: CallOptions,
) -> impl FnMut((FilePath, Source<'a>), Option<super::progress::Track<'a>>) -> crate::Call<'a, UploadedFile> + Send + 'a
{
    move |(path, source), track| {
        let upload = Upload::new(files.bucket.clone(), Ok(path.clone()), source).options(options.clone());
        let upload = each(path.as_str(), upload);
        if !upload.goes_to(&path) {
            let why = "one of a batch is stored under the path that the batch gives it";
            return crate::Call::new(std::future::ready(Err(Error::invalid_input("named", why))));
        }
        match track {
            Some(mut track) => {
                upload.progress_interval(track.interval()).progress(move |progress| track.report(progress)).send()
            }
            None => upload.send(),
        }
    }
}

many_setters!(UploadMany, settings);
awaitable!(@many UploadMany<'a> => Batch<UploadedFile>);
many_starts! {
    /// ```no_run
    /// # async fn f(files: carbonfiles::Files) -> carbonfiles::Result<()> {
    /// let notes = (0..1000).map(|n| (format!("notes/{n}.txt"), format!("note {n}").into_bytes()));
    /// let transfer = files.upload_many(notes).start();
    /// let watch = transfer.progress();
    /// println!("{} files so far", watch.current().files);
    /// let stored = transfer.await?.into_result()?;
    /// assert_eq!((stored.len(), watch.current().files), (1000, 1000));
    /// # Ok(()) }
    /// ```
    UploadMany => Batch<UploadedFile>, settings
}

impl fmt::Debug for UploadMany<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadMany").field("files", &self.files).finish_non_exhaustive()
    }
}

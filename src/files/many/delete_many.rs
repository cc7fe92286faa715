//! Deletions of many files.

use std::fmt;

use super::batch::Batch;
use super::run::{BatchStream, Job, NotNow, Settings, Totals, many_setters, many_starts, run};
use crate::error::Result;
use crate::file_path::FilePath;
use crate::files::Files;
use crate::http::awaitable;

impl Files {
    /// Deletes many files, several at once, each as [`delete`](crate::File::delete) does (owner of the bucket, or admin). One
    /// that is not there is `NotFound`; where that is as good, say [`OnFailure::GoOn`](super::OnFailure::GoOn), and pass over
    /// such failures.
    ///
    /// ```no_run
    /// # async fn f(files: carbonfiles::Files) -> carbonfiles::Result<()> {
    /// let gone = files.delete_many(["docs/a.txt", "docs/b.txt"]).await?.into_result()?;
    /// assert_eq!(gone.len(), 2);
    /// # Ok(()) }
    /// ```
    pub fn delete_many<'a>(&self, paths: impl IntoIterator<Item = impl AsRef<str>>) -> DeleteMany<'a> {
        let paths = paths.into_iter().map(|path| path.as_ref().to_owned()).collect();
        DeleteMany { files: self.clone(), paths, settings: Settings::default() }
    }
}

/// Deletes many files. Made by [`Files::delete_many`].
///
/// Dropping it gives up what is under way: what had been sent by then may have been deleted. Its progress counts files; there
/// are no bytes.
#[must_use = "nothing is sent until it is awaited"]
pub struct DeleteMany<'a> {
    files: Files,
    paths: Vec<String>,
    settings: Settings<'a>,
}

impl<'a> DeleteMany<'a> {
    /// How many are deleted at once; 8 by default. 0 is refused.
    pub fn concurrency(mut self, files: usize) -> Self {
        self.settings.concurrency = files;
        self
    }

    /// The outcomes as a stream, each as soon as it is known.
    ///
    /// # Errors
    /// `InvalidInput` for a concurrency of 0.
    #[expect(clippy::unused_async, reason = "as that of the others, which have to look first")]
    pub async fn stream(mut self) -> Result<BatchStream<'a, ()>> {
        let options = self.settings.start()?;
        let jobs: Vec<_> = self.paths.into_iter().map(deletion).collect();
        let (totals, files) = (Totals::of(&jobs), self.files);
        let delete = move |path: String, _| files.file(path).delete().options(options.clone()).send();
        Ok(run(jobs.into_iter(), totals, self.settings, delete))
    }

    async fn run(self) -> Result<Batch<()>> {
        Ok(self.stream().await?.collect_batch().await)
    }
}

/// One of many deletions: by the path of the file.
pub(crate) fn deletion(path: String) -> Job<String> {
    let work = FilePath::try_from(path.as_str()).map(String::from).map_err(NotNow::Failed);
    Job { path, local: None, size: None, work }
}

many_setters!(@common DeleteMany, settings);
awaitable!(@many DeleteMany<'a> => Batch<()>);
many_starts! {
    /// ```no_run
    /// # async fn f(files: carbonfiles::Files) -> carbonfiles::Result<()> {
    /// let deletion = files.delete_many((0..1000).map(|n| format!("notes/{n}.txt"))).start();
    /// let watch = deletion.progress();
    /// println!("{} of {:?} are gone", watch.current().files, watch.current().files_total);
    /// deletion.await?.into_result()?;
    /// # Ok(()) }
    /// ```
    DeleteMany => Batch<()>, settings
}

impl fmt::Debug for DeleteMany<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeleteMany").field("files", &self.files).finish_non_exhaustive()
    }
}

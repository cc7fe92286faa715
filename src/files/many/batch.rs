//! What became of many files.

use std::path::PathBuf;

use serde::Serialize;

use crate::error::{Error, ErrorKind, Fate, Result};

/// What became of many files: those done, those that failed, and those skipped, each with its name.
///
/// Nothing in here is an error by itself; [`into_result`](Batch::into_result) makes one of the first failure.
#[derive(Debug, Clone)]
#[must_use = "files may have failed: look at failed(), or use into_result()"]
#[non_exhaustive]
pub struct Batch<T> {
    /// In the order in which they were given or found; in a folder, those that can't be tried come first. After a stop,
    /// items that had not been taken from the iterator of an `upload_many` are not among them.
    pub files: Vec<BatchFile<T>>,
    /// It was ended by a failure, by a signal or by `cancel()`.
    pub stopped: bool,
}

/// What became of one of many files.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BatchFile<T> {
    /// Its path in the bucket, or the name that can't be one.
    pub path: String,
    /// Its path on the local file system, where it has one.
    pub local: Option<PathBuf>,
    /// What became of it.
    pub outcome: FileOutcome<T>,
    pub(super) index: usize,
}

/// What became of a file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum FileOutcome<T> {
    /// It is there, and checked.
    Done(T),
    /// It could not be done. An upload whose answer was lost, or that arrived differently, may have been stored all the same;
    /// a download's target is as it was, or complete where the limit passed at its very end
    /// ([`download_to`](crate::File::download_to)).
    Failed(Error),
    /// Nothing was tried, or it was given up.
    Skipped(Skipped),
}

/// Why a file was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Skipped {
    /// It is a symbolic link.
    Symlink,
    /// It is a pipe, a socket or a device.
    NotAFile,
    /// It is named as only what a [`download_to`](crate::File::download_to) leaves to be gone on with is: a part
    /// (`….carbonfiles.part`), or the record beside one.
    Part,
    /// It had not begun when the batch ended.
    NotStarted,
    /// It was under way when the batch ended, and was given up. An upload that had been sent whole by then may have been
    /// stored, and a download that had come whole may have become its target; else everything is as it was before, but for
    /// what a later download can go on with.
    Cancelled,
}

impl<T> Batch<T> {
    pub(crate) fn new(mut files: Vec<BatchFile<T>>, stopped: bool) -> Self {
        files.sort_unstable_by_key(|file| file.index);
        Self { files, stopped }
    }

    /// The files that are done.
    pub fn done(&self) -> impl Iterator<Item = (&str, &T)> {
        self.files.iter().filter_map(|file| match &file.outcome {
            FileOutcome::Done(done) => Some((file.path.as_str(), done)),
            _ => None,
        })
    }

    /// The files that failed, and why.
    pub fn failed(&self) -> impl Iterator<Item = (&str, &Error)> {
        self.files.iter().filter_map(|file| match &file.outcome {
            FileOutcome::Failed(error) => Some((file.path.as_str(), error)),
            _ => None,
        })
    }

    /// The files that were skipped, and why.
    pub fn skipped(&self) -> impl Iterator<Item = (&str, Skipped)> {
        self.files.iter().filter_map(|file| match file.outcome {
            FileOutcome::Skipped(why) => Some((file.path.as_str(), why)),
            _ => None,
        })
    }

    /// What was done, in order, if nothing failed and nothing was given up. Links, parts of downloads and the like that were
    /// left out are no failure.
    ///
    /// # Errors
    /// That of the first file that failed; `Cancelled` where the batch ended for a signal or `cancel()`.
    pub fn into_result(self) -> Result<Vec<T>> {
        let all = self.files.len();
        let mut done = Vec::with_capacity(all);
        for file in self.files {
            match file.outcome {
                FileOutcome::Done(value) => done.push(value),
                FileOutcome::Failed(error) => return Err(error),
                FileOutcome::Skipped(_) => {}
            }
        }
        if self.stopped {
            let message = format!("cancelled when {} files were done", done.len());
            return Err(Error::new(ErrorKind::Cancelled, message).with_fate(Fate::Unknown));
        }
        Ok(done)
    }
}

//! Files: content with a path, inside a bucket.

mod change;
mod delete;
mod directory;
mod download;
mod download_to;
mod get;
mod head;
mod links;
mod list;
mod listed;
mod log_writer;
mod many;
mod multipart;
mod stable;
mod tree;
mod upload;
mod upload_writer;
mod verify;

use std::sync::Arc;

pub use crate::transfer::Outcome;
pub use change::{Append, AppendAt, Patch};
pub use delete::DeleteFile;
pub use directory::ListDirectory;
pub use download::DownloadFile;
pub use download_to::DownloadFileTo;
pub use get::{GetFile, GetFileOpt};
pub use head::HeadFile;
pub use list::{ListAllFiles, ListFiles};
pub use log_writer::{LogWriter, OpenLog};
pub use many::{
    Batch, BatchFile, BatchProgress, BatchStream, DeleteMany, DownloadDir, DownloadItem, DownloadMany, FileOutcome,
    OnFailure, Skipped, UploadDir, UploadItem, UploadMany,
};
pub(crate) use many::{
    Download, EachDownload, EachUpload, Job, NotNow, Settings, Totals, deletion, downloading, many_setters,
    many_starts, run, signal, uploading,
};
pub use multipart::UploadMultipart;
pub use stable::ListStable;
pub use tree::{ListTree, ListTreeEntries, TreeEntry};
pub use upload::Upload;
pub(crate) use upload::check_length;
pub use upload_writer::UploadWriter;
pub use verify::VerifyFile;

pub use crate::transfer::discard_partial;

use crate::buckets::Bucket;
use crate::client::Client;
use crate::error::Result;
use crate::file_path::{FilePath, push_path};
use crate::lent::{Lent, lend};

/// The files of a bucket: upload, list, and `files["docs/a.txt"]`.
#[derive(Debug, Clone)]
pub struct Files {
    bucket: Bucket,
    lent: Lent<File>,
}

impl Files {
    pub(crate) fn new(bucket: Bucket) -> Self {
        Self { bucket, lent: Lent::default() }
    }

    /// The file of a path, by value.
    #[must_use]
    pub fn file(&self, path: impl AsRef<str>) -> File {
        File::new(self.bucket.clone(), path.as_ref())
    }

    /// The bucket that they are in.
    #[must_use]
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// The client that this handle was made by.
    #[must_use]
    pub fn client(&self) -> &Client {
        self.bucket.client()
    }
}

lend!(Files, file -> File);

/// One file of a bucket, by its path. Making a handle sends nothing; a path that can't be one comes out of the first call
/// as `InvalidInput`.
#[derive(Debug, Clone)]
pub struct File {
    bucket: Bucket,
    path: Arc<str>,
}

impl File {
    pub(crate) fn new(bucket: Bucket, path: &str) -> Self {
        Self { bucket, path: path.into() }
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The bucket that it is in.
    #[must_use]
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// The client that this handle was made by.
    #[must_use]
    pub fn client(&self) -> &Client {
        self.bucket.client()
    }

    pub(crate) fn checked_path(&self) -> Result<FilePath> {
        FilePath::try_from(&*self.path)
    }

    fn route(&self, rest: &str) -> Result<String> {
        let mut route = self.bucket.route("/files/")?;
        push_path(&mut route, &self.path)?;
        route.push_str(rest);
        Ok(route)
    }
}

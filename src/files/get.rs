//! `GET /api/buckets/{id}/files/{path}`

use super::File;
use crate::error::{Error, Result};
use crate::http::{CallOptions, Request, awaitable};
use crate::models::FileInfo;

impl File {
    /// What the file is: size, type, hash, times (public). `NotFound` where there is none, and for directories.
    ///
    /// The server remembers what it has read: where a read meets a change or a deletion, it may say for five minutes what the
    /// file was, and for some seconds where a slow reader of live events holds up a deletion. Its listings are up to date.
    pub fn get(&self) -> GetFile {
        GetFile { file: self.clone(), options: CallOptions::default() }
    }

    /// As [`File::get`], where a file that is not there is `None`. A 404 that is not the server's own says nothing of the
    /// file, and is an error.
    pub fn get_opt(&self) -> GetFileOpt {
        GetFileOpt { file: self.clone(), options: CallOptions::default() }
    }
}

/// Asks what a file is. Made by [`File::get`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct GetFile {
    file: File,
    options: CallOptions,
}

impl GetFile {
    async fn run(mut self) -> Result<FileInfo> {
        let path = self.file.checked_path()?;
        self.file.client().transport.start(&mut self.options);
        // The URL of a file named `…/content` or `…/verify` is taken for an operation on its folder (surprise 21).
        if path.shadows_operation() && path.parent().is_some() {
            return self.file.listed(self.options).await;
        }
        let request = Request::get(self.file.route("")?).options(self.options);
        self.file.client().transport.send(request).await?.json()
    }
}

awaitable!(GetFile => FileInfo);

/// Asks what a file is, if it is there. Made by [`File::get_opt`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct GetFileOpt {
    file: File,
    options: CallOptions,
}

impl GetFileOpt {
    async fn run(self) -> Result<Option<FileInfo>> {
        GetFile { file: self.file, options: self.options }.run().await.map(Some).or_else(Error::or_none)
    }
}

awaitable!(GetFileOpt => Option<FileInfo>);

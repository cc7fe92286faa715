//! `GET /files/{id}`

use http::Method;

use super::File;
use crate::error::{Error, Result};
use crate::file_storage::client::api;
use crate::file_storage::models::StoredFile;
use crate::http::{CallOptions, awaitable};

impl File {
    /// What the file is: name, size, type, hash (`file_storage.download`). `NotFound` for unknown, deleted and others' files.
    pub fn get(&self) -> GetFile {
        GetFile { file: self.clone(), options: CallOptions::default() }
    }

    /// As [`File::get`], where a file that is not there is `None`. A 404 that is not the service's own says nothing of the
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
    async fn run(self) -> Result<StoredFile> {
        let request = api(Method::GET, self.file.route("")?).options(self.options);
        self.file.client.transport().send(request).await?.json()
    }
}

awaitable!(GetFile => StoredFile);

/// Asks what a file is, if it is there. Made by [`File::get_opt`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct GetFileOpt {
    file: File,
    options: CallOptions,
}

impl GetFileOpt {
    async fn run(self) -> Result<Option<StoredFile>> {
        self.file.get().options(self.options).run().await.map(Some).or_else(Error::or_none)
    }
}

awaitable!(GetFileOpt => Option<StoredFile>);

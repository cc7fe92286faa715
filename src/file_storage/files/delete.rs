//! `DELETE /files/{id}`

use http::Method;

use super::File;
use crate::error::Result;
use crate::file_storage::client::api;
use crate::http::{CallOptions, Replay, awaitable};

impl File {
    /// Deletes the file (`file_storage.delete`). A second time it is `NotFound`.
    ///
    /// Where a first try may have deleted it, and the service says to the next one that there is no such file, it counts as
    /// deleted.
    pub fn delete(&self) -> DeleteFile {
        DeleteFile { file: self.clone(), options: CallOptions::default() }
    }
}

/// Deletes a file. Made by [`File::delete`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct DeleteFile {
    file: File,
    options: CallOptions,
}

impl DeleteFile {
    async fn run(self) -> Result<()> {
        let request = api(Method::DELETE, self.file.route("")?).replay(Replay::Deletion).options(self.options);
        self.file.client.transport().send(request).await.map(drop)
    }
}

awaitable!(DeleteFile => ());

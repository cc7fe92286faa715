//! `DELETE /api/storage/files/`

use http::Method;
use serde::Serialize;

use super::file::File;
use super::models::Deleted;
use crate::error::Result;
use crate::http::{CallOptions, Replay, Request, awaitable};

impl File {
    /// Deletes the file for good; the tenant's usage goes down. A file that is not there is `NotFound`.
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

#[derive(Serialize)]
struct Body<'a> {
    file_path: &'a str,
}

impl DeleteFile {
    async fn run(self) -> Result<Deleted> {
        let request = Request::new(Method::DELETE, "/api/storage/files/")
            .json(&Body { file_path: self.file.checked_path()? })?
            .replay(Replay::Deletion)
            .options(self.options);
        let answer = self.file.client.transport.send(request).await?;
        // There is no body where an attempt before, whose answer was lost, has done it.
        if answer.whole().is_empty() { Ok(Deleted::default()) } else { answer.json() }
    }
}

awaitable!(DeleteFile => Deleted);

//! `DELETE /api/buckets/{id}/files/{path}`

use http::Method;

use super::File;
use crate::error::Result;
use crate::http::{CallOptions, Replay, Request, awaitable};

impl File {
    /// Deletes the file (owner of the bucket, or admin; for others it is `NotFound`). Its short URL dies, but may go on
    /// redirecting for up to 10 min. Directories can't be deleted: they are only parts of paths.
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
        let request = Request::new(Method::DELETE, self.file.route("")?)
            .needs_credential()
            .replay(Replay::Deletion)
            .options(self.options);
        self.file.client().transport.send(request).await.map(drop)
    }
}

awaitable!(DeleteFile => ());

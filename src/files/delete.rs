//! `DELETE /api/buckets/{id}/files/{path}`

use http::Method;

use super::File;
use crate::error::Result;
use crate::http::{CallOptions, Replay, Request, RetryPolicy, awaitable};

impl File {
    /// Deletes the file (owner of the bucket, or admin; for others it is `NotFound`). Its short URL dies, but may go on
    /// redirecting for up to 10 min. Directories can't be deleted: they are only parts of paths.
    ///
    /// Where a first try may have deleted it and the next one finds nothing, it counts as deleted, unless it is seen to be
    /// there still.
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
    async fn run(mut self) -> Result<()> {
        let transport = &self.file.client().transport;
        transport.start(&mut self.options);
        let request = Request::new(Method::DELETE, self.file.route("")?)
            .needs_credential()
            .replay(Replay::Deletion)
            .options(self.options.clone());
        let Some(not_found) = transport.send(request).await?.presumed.take() else { return Ok(()) };
        // The server says so of somebody else's file as well (wire description section 3), which anybody may look at; not by
        // `get`, for it may remember one that is gone.
        self.options.set_retry(RetryPolicy::never());
        if self.file.listed(self.options).await.is_ok() { Err(not_found) } else { Ok(()) }
    }
}

awaitable!(DeleteFile => ());

//! `GET /files/{id}/thumbnail`

use http::Method;

use super::File;
use super::download::derived;
use crate::error::Result;
use crate::file_storage::client::api;
use crate::http::{CallOptions, awaitable};
use crate::transfer::Download;

impl File {
    /// A small WebP picture of a JPEG, PNG, WebP or GIF (`file_storage.download`). `NotFound` for every other type, also
    /// where the bytes are a picture but the stored type does not say so.
    pub fn thumbnail(&self) -> GetThumbnail {
        GetThumbnail { file: self.clone(), width: None, options: CallOptions::default() }
    }
}

/// Asks for a thumbnail. Made by [`File::thumbnail`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct GetThumbnail {
    file: File,
    width: Option<u32>,
    options: CallOptions,
}

impl GetThumbnail {
    /// How wide it should be: the service takes the next of 64, 128, 256, 512 and 1024, and enlarges nothing. Default 256.
    pub fn width(mut self, pixels: u32) -> Self {
        self.width = Some(pixels);
        self
    }

    async fn run(self) -> Result<Download<'static>> {
        let request = api(Method::GET, self.file.route("/thumbnail")?).query_opt("w", self.width).options(self.options);
        derived(self.file.client.transport(), request).await
    }
}

awaitable!(GetThumbnail => Download<'static>);

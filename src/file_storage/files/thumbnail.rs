//! `GET /files/{id}/thumbnail`, and the same of a public file.

use http::Method;

use super::download::derived;
use super::{File, PublicFile};
use crate::error::Result;
use crate::file_storage::Client;
use crate::file_storage::client::api;
use crate::http::{Authorization, CallOptions, awaitable};
use crate::transfer::Download;

impl File {
    /// A small WebP picture of a JPEG, PNG, WebP or GIF (`file_storage.download`). `NotFound` for every other type, also
    /// where the bytes are a picture but the stored type does not say so.
    pub fn thumbnail(&self) -> GetThumbnail {
        GetThumbnail::new(self.client(), self.route("/thumbnail"), Authorization::Optional)
    }
}

impl PublicFile {
    /// A small WebP picture, as [`File::thumbnail`] gives it.
    pub fn thumbnail(&self) -> GetThumbnail {
        GetThumbnail::new(self.client(), self.route("/thumbnail"), Authorization::Never)
    }
}

/// Asks for a thumbnail. Made by [`File::thumbnail`] and [`PublicFile::thumbnail`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct GetThumbnail {
    client: Client,
    route: Result<String>,
    authorization: Authorization,
    width: Option<u32>,
    options: CallOptions,
}

impl GetThumbnail {
    fn new(client: &Client, route: Result<String>, authorization: Authorization) -> Self {
        Self { client: client.clone(), route, authorization, width: None, options: CallOptions::default() }
    }

    /// How wide it should be: the service takes the next of 64, 128, 256, 512 and 1024, and enlarges nothing. Default 256.
    pub fn width(mut self, pixels: u32) -> Self {
        self.width = Some(pixels);
        self
    }

    async fn run(self) -> Result<Download<'static>> {
        let request = api(Method::GET, self.route?)
            .query_opt("w", self.width)
            .authorization(self.authorization)
            .options(self.options);
        derived(self.client.transport(), request).await
    }
}

awaitable!(GetThumbnail => Download<'static>);

//! `PATCH /files/{id}`

use http::Method;
use serde_json::json;

use super::File;
use crate::error::Result;
use crate::file_storage::client::api;
use crate::file_storage::models::StoredFile;
use crate::http::{CallOptions, Replay, awaitable};

impl File {
    /// Lets everybody read the file, or stops it (`file_storage.upload`). Nothing else of a file can be changed.
    pub fn set_public(&self, public: bool) -> SetPublic {
        SetPublic { file: self.clone(), public, options: CallOptions::default() }
    }
}

/// Publishes a file, or takes it back. Made by [`File::set_public`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct SetPublic {
    file: File,
    public: bool,
    options: CallOptions,
}

impl SetPublic {
    async fn run(self) -> Result<StoredFile> {
        let request = api(Method::PATCH, self.file.route("")?)
            .json(&json!({ "public": self.public }))?
            .replay(Replay::Safe)
            .options(self.options);
        self.file.client.transport().send(request).await?.json()
    }
}

awaitable!(SetPublic => StoredFile);

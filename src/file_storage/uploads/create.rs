//! `POST /uploads`

use http::Method;
use serde_json::json;

use super::Uploads;
use crate::error::{Error, Result};
use crate::file_storage::Client;
use crate::file_storage::client::api;
use crate::file_storage::filename::{Filename, check_media_type};
use crate::file_storage::models::UploadSession;
use crate::http::{CallOptions, awaitable};

impl Uploads {
    /// Opens a session for a file of this name and so many bytes, at least one (`file_storage.upload`). The service takes
    /// up to 10 GiB by default. It is never sent twice: where its answer is lost, a session may be left to expire.
    pub fn create(&self, filename: impl AsRef<str>, total_size: u64) -> CreateSession {
        CreateSession {
            client: self.client.clone(),
            filename: Filename::new(filename.as_ref()),
            total_size,
            content_type: None,
            public: false,
            options: CallOptions::default(),
        }
    }
}

/// Opens an upload session. Made by [`Uploads::create`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct CreateSession {
    pub(super) client: Client,
    pub(super) filename: Result<Filename>,
    pub(super) total_size: u64,
    pub(super) content_type: Option<String>,
    pub(super) public: bool,
    pub(super) options: CallOptions,
}

impl CreateSession {
    /// The media type. By default that which the extension of the name stands for, else `application/octet-stream`.
    pub fn content_type(mut self, media_type: impl Into<String>) -> Self {
        self.content_type = Some(media_type.into());
        self
    }

    /// Whether everybody may read the file. Default no.
    pub fn public(mut self, public: bool) -> Self {
        self.public = public;
        self
    }

    /// The name and the media type, where they can be carried.
    pub(super) fn named(&self) -> Result<(&Filename, String)> {
        let name = self.filename.as_ref().map_err(Clone::clone)?;
        let media_type = self.content_type.clone().unwrap_or_else(|| name.media_type());
        check_media_type(&media_type)?;
        Ok((name, media_type))
    }

    pub(super) async fn run(self) -> Result<UploadSession> {
        let (name, media_type) = self.named()?;
        if self.total_size == 0 {
            return Err(Error::invalid_input("total_size", "an upload in parts has at least one byte"));
        }
        let request = api(Method::POST, "/uploads")
            .json(&json!({
                "filename": name.as_str(),
                "total_size": self.total_size,
                "content_type": media_type,
                "public": self.public,
            }))?
            .options(self.options);
        self.client.transport().send(request).await?.json()
    }
}

awaitable!(CreateSession => UploadSession);

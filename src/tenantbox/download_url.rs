//! `POST /api/storage/download/`: a URL to download from.

use std::time::Duration;

use http::Method;
use serde::Serialize;

use super::file::File;
use super::models::DownloadUrl;
use crate::error::{Error, Result};
use crate::http::{CallOptions, Replay, Request, awaitable};

impl File {
    /// A URL that anybody can download the file from until it expires: to redirect a browser to, for one.
    ///
    /// # Errors
    /// `NotFound`; with the code [`NOT_IN_STORAGE`](super::NOT_IN_STORAGE) where the bytes never arrived.
    ///
    /// ```no_run
    /// # async fn f(client: carbonfiles::tenantbox::Client) -> carbonfiles::Result<()> {
    /// let link = client.file("projects/p/report.pdf").download_url().expires_in(std::time::Duration::from_secs(300)).await?;
    /// println!("{} has {} bytes", link.filename, link.size_bytes);
    /// # Ok(()) }
    /// ```
    pub fn download_url(&self) -> CreateDownloadUrl {
        CreateDownloadUrl { file: self.clone(), expires_in: None, options: CallOptions::default() }
    }
}

/// Asks for a URL to download from. Made by [`File::download_url`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct CreateDownloadUrl {
    file: File,
    expires_in: Option<Duration>,
    options: CallOptions,
}

#[derive(Serialize)]
struct Body<'a> {
    file_path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
}

impl CreateDownloadUrl {
    /// For how long the URL is good: from one second to 24 hours, one hour by default. Fractions of a second are cut off.
    pub fn expires_in(mut self, validity: Duration) -> Self {
        self.expires_in = Some(validity);
        self
    }

    async fn run(self) -> Result<DownloadUrl> {
        let expires_in = self.expires_in.map(|validity| validity.as_secs());
        if expires_in.is_some_and(|seconds| !(1..=86_400).contains(&seconds)) {
            return Err(Error::invalid_input("expires_in", "it is from one second to 24 hours"));
        }
        let body = Body { file_path: self.file.checked_path()?, expires_in };
        let request = Request::new(Method::POST, "/api/storage/download/")
            .json(&body)?
            .replay(Replay::Safe)
            .options(self.options);
        self.file.client.transport.send(request).await?.json()
    }
}

awaitable!(CreateDownloadUrl => DownloadUrl);

//! What can be asked of a session: its state, places for parts, its end.

use http::Method;
use serde_json::json;

use super::ResumableUpload;
use crate::error::Result;
use crate::file_storage::client::api;
use crate::file_storage::models::{PartUrls, UploadSession, UploadedPart};
use crate::http::{CallOptions, Replay, awaitable};

/// The most parts of an upload: S3 takes no more of one object, and the service makes its parts larger instead.
pub(super) const MOST_PARTS: u64 = 10_000;

impl ResumableUpload {
    /// How far it is, and which parts have arrived.
    pub fn get(&self) -> GetSession {
        GetSession { upload: self.clone(), options: CallOptions::default() }
    }

    /// Where to send these parts, 1 to 100 of them: for a web front end that sends them itself.
    pub fn part_urls(&self, parts: impl IntoIterator<Item = u32>) -> GetPartUrls {
        GetPartUrls { upload: self.clone(), parts: parts.into_iter().collect(), options: CallOptions::default() }
    }

    /// Makes a file of the parts that have arrived. Given their tags, the service compares them; a part that is missing or
    /// differs is a `Conflict`. Doing it again gives the same file.
    pub fn complete<'p>(&self, parts: impl IntoIterator<Item = &'p UploadedPart>) -> CompleteUpload {
        let parts = parts.into_iter().map(|part| (part.no, part.tag().to_owned())).collect();
        CompleteUpload { upload: self.clone(), parts, options: CallOptions::default() }
    }

    /// Gives the upload up: what has arrived is thrown away. The file of a completed one stays.
    pub fn abort(&self) -> AbortUpload {
        AbortUpload { upload: self.clone(), options: CallOptions::default() }
    }
}

/// Asks how far an upload is. Made by [`ResumableUpload::get`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct GetSession {
    upload: ResumableUpload,
    options: CallOptions,
}

impl GetSession {
    async fn run(self) -> Result<UploadSession> {
        let request = api(Method::GET, self.upload.route("")?).rows(MOST_PARTS).options(self.options);
        self.upload.client.transport().send(request).await?.json()
    }
}

awaitable!(GetSession => UploadSession);

/// Asks where to send parts. Made by [`ResumableUpload::part_urls`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct GetPartUrls {
    upload: ResumableUpload,
    parts: Vec<u32>,
    options: CallOptions,
}

impl GetPartUrls {
    async fn run(self) -> Result<PartUrls> {
        let request = api(Method::POST, self.upload.route("/part-urls")?)
            .rows(100)
            .json(&json!({ "parts": self.parts }))?
            .replay(Replay::Safe)
            .options(self.options);
        self.upload.client.transport().send(request).await?.json()
    }
}

awaitable!(GetPartUrls => PartUrls);

/// Makes a file of parts. Made by [`ResumableUpload::complete`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct CompleteUpload {
    upload: ResumableUpload,
    parts: Vec<(u32, String)>,
    options: CallOptions,
}

impl CompleteUpload {
    async fn run(self) -> Result<UploadSession> {
        let parts: Vec<_> = self.parts.iter().map(|(no, etag)| json!({ "n": no, "etag": etag })).collect();
        let request = api(Method::POST, self.upload.route("/complete")?)
            .rows(MOST_PARTS)
            .json(&json!({ "parts": parts }))?
            .replay(Replay::Safe)
            .slow()
            .options(self.options);
        self.upload.client.transport().send(request).await?.json()
    }
}

awaitable!(CompleteUpload => UploadSession);

/// Gives an upload up. Made by [`ResumableUpload::abort`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct AbortUpload {
    upload: ResumableUpload,
    options: CallOptions,
}

impl AbortUpload {
    async fn run(self) -> Result<()> {
        let request = api(Method::DELETE, self.upload.route("")?).replay(Replay::Safe).options(self.options);
        self.upload.client.transport().send(request).await.map(drop)
    }
}

awaitable!(AbortUpload => ());

//! What can be asked of a session: its state, places for parts, its end.

use std::collections::BTreeMap;

use http::Method;
use serde_json::json;

use super::ResumableUpload;
use crate::error::Result;
use crate::file_storage::client::api;
use crate::file_storage::models::{PartUrls, UploadSession, UploadedPart};
use crate::http::{CallOptions, Replay, awaitable};
use crate::models::Extra;

/// The most places that the service gives at once.
const AT_ONCE: usize = 100;

/// The most parts of an upload: S3 takes no more of one object, and the service makes its parts larger instead.
pub(super) const MOST_PARTS: u64 = 10_000;

impl ResumableUpload {
    /// How far it is, and which parts have arrived.
    pub fn get(&self) -> GetSession {
        GetSession { upload: self.clone(), options: CallOptions::default() }
    }

    /// Where to send these parts, from 1 on: for a web front end that sends them itself. The service is asked for 100 at a
    /// time; for none, nothing is sent.
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
    async fn run(mut self) -> Result<PartUrls> {
        let (route, transport) = (self.upload.route("/part-urls")?, self.upload.client.transport());
        // Of all requests together.
        transport.start(&mut self.options);
        let mut places = PartUrls { urls: BTreeMap::new(), direct: false, extra: Extra::default() };
        for parts in self.parts.chunks(AT_ONCE) {
            let request = api(Method::POST, &route)
                .rows(parts.len() as u64)
                .json(&json!({ "parts": parts }))?
                .replay(Replay::Safe)
                .options(self.options.clone());
            let answer: PartUrls = transport.send(request).await?.json()?;
            places.direct |= answer.direct;
            places.urls.extend(answer.urls);
            places.extra = answer.extra;
        }
        Ok(places)
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

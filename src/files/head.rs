//! `HEAD /api/buckets/{id}/files/{path}/content`

use http::Method;

use super::File;
use crate::error::Result;
use crate::http::{CallOptions, Request, awaitable};
use crate::transfer::ContentInfo;

impl File {
    /// Size, type, ETag and time of the content, without the content (public). They may be those from before a change or a
    /// deletion, as [`File::get`] says.
    pub fn head(&self) -> HeadFile {
        HeadFile { file: self.clone(), options: CallOptions::default() }
    }
}

/// Asks for the headers of a content. Made by [`File::head`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct HeadFile {
    file: File,
    options: CallOptions,
}

impl HeadFile {
    async fn run(self) -> Result<ContentInfo> {
        let request = Request::new(Method::HEAD, self.file.route("/content")?).options(self.options);
        let answer = self.file.client().transport.send(request).await?;
        Ok(ContentInfo::of(answer.status, &answer.headers))
    }
}

awaitable!(HeadFile => ContentInfo);

//! `PUT /uploads/{id}/parts/{n}`, or the same to a presigned URL of a bucket.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, header};
use url::Url;

use super::ResumableUpload;
use super::md5::{Tag, hashed};
use crate::error::{Error, ErrorKind, Result};
use crate::file_storage::client::api;
use crate::file_storage::models::UploadedPart;
use crate::http::{CallOptions, Replay, Request, Transport, awaitable};
use crate::object_store::{self, Issued, Presigned};
use crate::transfer::{Part, Reporter, Sections, Source, UploadBody, reports_progress, starts};

impl ResumableUpload {
    /// Sends one part, from 1: bytes, a path or an open file, of exactly the session's part size unless it is the last.
    /// [`ResumableUpload::resume`] does it all; this is for contents that are not in one file. Sent again, a part replaces
    /// the one before.
    pub fn upload_part<'a>(&self, no: u32, source: impl Into<Source<'a>>) -> UploadPart<'a> {
        UploadPart {
            upload: self.clone(),
            no,
            source: source.into(),
            verify: true,
            reporter: Reporter::default(),
            options: CallOptions::default(),
        }
    }
}

/// Sends one part. Made by [`ResumableUpload::upload_part`]. What arrived is compared by its MD5; a difference is
/// `IntegrityMismatch`.
#[must_use = "nothing is sent until it is awaited"]
pub struct UploadPart<'a> {
    upload: ResumableUpload,
    no: u32,
    source: Source<'a>,
    verify: bool,
    reporter: Reporter<'a>,
    options: CallOptions,
}

impl UploadPart<'_> {
    /// Whether what arrived is compared with what was sent, by its MD5. It is, by default; a bucket that encrypts with keys
    /// of its own (SSE-KMS) gives other tags, so it can't be there.
    pub fn verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    async fn run(mut self) -> Result<UploadedPart> {
        self.upload.client.transport().start(&mut self.options);
        let content = self.source.into_sections().await?;
        let direct = is_direct(&self.upload, self.no, &self.options).await?;
        let sending = Sending {
            upload: self.upload,
            no: self.no,
            direct,
            verify: self.verify,
            options: self.options,
            content: &content,
        };
        sending.run(0, content.size(), self.reporter).await
    }
}

reports_progress!(['a] UploadPart<'a>, reporter);
awaitable!(UploadPart<'a> => UploadedPart);
starts!(UploadPart => UploadedPart, reporter);

impl fmt::Debug for UploadPart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadPart").field("upload", &self.upload.id()).field("no", &self.no).finish_non_exhaustive()
    }
}

/// Whether parts go straight to a bucket. The service's own route takes none then (it answers 500).
pub(super) async fn is_direct(upload: &ResumableUpload, part: u32, options: &CallOptions) -> Result<bool> {
    Ok(upload.part_urls([part]).options(options.clone()).await?.direct)
}

/// One part on its way.
pub(super) struct Sending<'s> {
    pub(super) upload: ResumableUpload,
    pub(super) no: u32,
    pub(super) direct: bool,
    pub(super) verify: bool,
    pub(super) options: CallOptions,
    pub(super) content: &'s Sections,
}

impl Sending<'_> {
    /// Sends so many bytes from there on.
    pub(super) async fn run(self, start: u64, size: u64, reporter: Reporter<'_>) -> Result<UploadedPart> {
        let tag = Tag::default();
        let content = self.content.clone();
        let source = match self.verify {
            true => hashed(size, move || content.section(start, size), tag.clone()),
            false => content.section(start, size),
        };
        let part = Part { prefix: Bytes::new(), source, expected: None };
        let mut body = UploadBody::new(vec![part], Bytes::new(), false, reporter, None);
        let (request, transport) = self.request()?;
        let answer = transport.send_body(&request, &mut body).await.map_err(of_source)?;
        let arrived = if self.direct {
            let etag = answer.headers.get(header::ETAG).and_then(|etag| etag.to_str().ok()).unwrap_or_default();
            UploadedPart { no: self.no, etag: etag.to_owned(), size }
        } else {
            answer.json()?
        };
        if let Some(sent) = tag.take() {
            check(&arrived, size, &sent).map_err(|error| error.unless_done(true))?;
        }
        body.done();
        Ok(arrived)
    }

    fn request(&self) -> Result<(Request, Transport)> {
        let transport = self.upload.client.transport().clone();
        let route = self.upload.route(&format!("/parts/{}", self.no))?;
        let request = if self.direct {
            object_store::put(Arc::new(self.place()))
        } else {
            api(Method::PUT, route)
                .content_type(HeaderValue::from_static("application/octet-stream"))
                .replay(Replay::Safe)
                .slow()
                .refused_early()
        };
        Ok((request.options(self.options.clone()), transport))
    }

    /// Where the bucket takes this part; asked for when it is needed, and again when it has expired.
    fn place(&self) -> Presigned<()> {
        let (upload, no, options) = (self.upload.clone(), self.no, self.options.clone());
        Presigned::new(move || {
            let (upload, options) = (upload.clone(), options.clone());
            async move {
                let urls = upload.part_urls([no]).options(options).await?.urls;
                let Some(url) = urls.get(&no) else {
                    return Err(Error::new(ErrorKind::Decode, "the service named no place for the part"));
                };
                Issued::new(url.expose(), lifetime(url.expose()), ())
            }
        })
    }
}

/// A source that changed says so itself: by way of a stream, that would be the cause of an `Io` alone.
fn of_source(error: Error) -> Error {
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<Error>());
    match cause {
        Some(changed) if changed.kind() == ErrorKind::ContentChanged => changed.clone(),
        _ => error,
    }
}

/// How long a presigned URL is good; where it does not say, it is used once.
fn lifetime(url: &str) -> Duration {
    let seconds = Url::parse(url).ok().and_then(|url| {
        let (_, value) = url.query_pairs().find(|(name, _)| name.eq_ignore_ascii_case("X-Amz-Expires"))?;
        value.parse::<u32>().ok()
    });
    Duration::from_secs(u64::from(seconds.unwrap_or(0)))
}

/// Is what arrived what was sent?
fn check(arrived: &UploadedPart, size: u64, sent: &str) -> Result<()> {
    if arrived.size != size {
        let message = format!("part {}: {size} bytes were sent, {} arrived", arrived.no, arrived.size);
        return Err(Error::new(ErrorKind::IntegrityMismatch, message));
    }
    if !arrived.tag().eq_ignore_ascii_case(sent) {
        let message = format!("part {}: what was sent has the MD5 {sent}, what arrived {}", arrived.no, arrived.tag());
        return Err(Error::new(ErrorKind::IntegrityMismatch, message).with_hint(
            "A bucket that encrypts with keys of its own (SSE-KMS) has other tags: use .verify(false) there",
        ));
    }
    Ok(())
}

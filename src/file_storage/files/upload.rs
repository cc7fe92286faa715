//! `POST /upload`

use std::fmt;
use std::pin::pin;

use http::{Method, StatusCode};

use super::Files;
use super::sought::{Sought, Stored};
use crate::error::{Error, ErrorKind, Fate, Result};
use crate::file_storage::Client;
use crate::file_storage::client::api;
use crate::file_storage::filename::{Filename, check_media_type};
use crate::file_storage::models::StoredFile;
use crate::http::{Boundary, CallOptions, READ_ONCE, Replay, Request, RequestBody, awaitable, within};
use crate::transfer::{
    Digest, Part, Reporter, Resending, Source, UploadBody, check_expected, reports_progress, spooled, starts,
};

impl Files {
    /// Uploads a file in one request (`file_storage.upload`). Its name is the last part of a path, and yours to say for other
    /// sources. Every upload makes a new file.
    ///
    /// The service takes 100 MiB by default ([`Error::max_bytes`] tells; without an [`Error::code`] it is the limit of the whole
    /// request, 1 MiB more than a file may have); for more, see [`Client::uploads`]. A reader or a stream is sent as it comes,
    /// and once; with [`spool`](Upload::spool) it can be sent again.
    ///
    /// ```no_run
    /// # use std::path::Path;
    /// # async fn f(files: carbonfiles::file_storage::Files) -> carbonfiles::Result<()> {
    /// let photo = files.upload(Path::new("photo.jpg")).await?;
    /// let note = files.upload("hello".as_bytes()).filename("hello.txt").public(true).await?;
    /// println!("{} {:?}", photo.id, note.public_url);
    /// # Ok(()) }
    /// ```
    pub fn upload<'a>(&self, source: impl Into<Source<'a>>) -> Upload<'a> {
        let source = source.into();
        Upload {
            client: self.client.clone(),
            filename: Filename::of(&source),
            source,
            content_type: None,
            public: None,
            reporter: Reporter::default(),
            verify: true,
            expected: None,
            spool: None,
            options: CallOptions::default(),
        }
    }
}

/// Uploads a file. Made by [`Files::upload`].
///
/// Content is hashed on the way and compared with what the service stored; a difference is `IntegrityMismatch`. Dropping
/// the call before it is done aborts the upload: the service stores nothing that has not come whole.
///
/// An attempt that broke before the whole body was sent is repeated. After one whose answer was lost, or is a gateway's
/// (500, 502, 503, 504), the file is looked for among the newest of that name: the same name, type, size, SHA-256 and
/// publicity, stored since the call began by the service's own clock, the only such one, and not that of another upload of
/// this client. The service does not tell which request made a file: an equal one that another program stored in these
/// seconds with the same account counts as this one's, and with `file_storage.manage` anybody's does. Where it is not
/// there, a 503 is repeated; else the error says that it may still appear. The call's time limit holds for all of this.
/// Without a hash ([`verify(false)`](Self::verify), and no [`expect_sha256`](Self::expect_sha256)) the file can't be told
/// from others: then nothing is looked for or repeated, and the error says that it may be stored.
///
/// # Errors
/// `PayloadTooLarge`, with [`Error::max_bytes`] where the service says it;
/// `QuotaExceeded`; `PermissionDenied`; `InvalidInput` for a media type that the
/// service does not take; `IntegrityMismatch`; `ContentChanged` for a file that changes while it is read; and those of any call.
#[must_use = "nothing is sent until it is awaited"]
pub struct Upload<'a> {
    client: Client,
    filename: Result<Filename>,
    source: Source<'a>,
    content_type: Option<String>,
    public: Option<bool>,
    reporter: Reporter<'a>,
    verify: bool,
    expected: Option<String>,
    spool: Option<u64>,
    options: CallOptions,
}

impl<'a> Upload<'a> {
    /// The name: 1 to 255 characters, without control characters. It arrives as it is, slashes and all.
    pub fn filename(mut self, name: impl AsRef<str>) -> Self {
        self.filename = Filename::new(name.as_ref());
        self
    }

    /// The media type. By default that which the extension of the name stands for, else `application/octet-stream`.
    pub fn content_type(mut self, media_type: impl Into<String>) -> Self {
        self.content_type = Some(media_type.into());
        self
    }

    /// Whether everybody may read it. Default no.
    pub fn public(mut self, public: bool) -> Self {
        self.public = Some(public);
        self
    }

    /// Whether the content is hashed on the way and compared with what the service stored. It is, by default. Without its
    /// hash an upload whose answer was lost can't be found again, and is not repeated.
    pub fn verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// The SHA-256 (64 hex digits) that the source must have. It is checked before the upload is complete: with another
    /// one, nothing is stored.
    pub fn expect_sha256(mut self, sha256: impl Into<String>) -> Self {
        self.expected = Some(sha256.into());
        self
    }

    /// Reads the source to its end, into a temporary file of at most so many bytes, before anything is sent: the upload
    /// then has a known length, and can be sent again whatever the source is. A longer source is `PayloadTooLarge`, and
    /// nothing is sent. The file has no name and goes with the call; it is in the system's folder for temporary files.
    pub fn spool(mut self, limit: u64) -> Self {
        self.spool = Some(limit);
        self
    }

    async fn run(mut self) -> Result<StoredFile> {
        let name = self.filename?;
        let media_type = self.content_type.unwrap_or_else(|| name.media_type());
        check_media_type(&media_type)?;
        check_expected(self.expected.as_deref())?;
        if let Some(limit) = self.spool {
            let deadline = self.client.transport().start(&mut self.options);
            self.source = within(deadline, pin!(spooled(self.source, limit, &mut self.reporter)))
                .await
                .map_err(Error::never_sent)?;
        }
        let boundary = Boundary::new();
        let request = api(Method::POST, "/upload")
            .content_type(boundary.content_type()?)
            .replay(Replay::UnlessSentWhole)
            .slow()
            .refused_early();
        let prefix = before_file(&boundary, &name, &media_type, self.public);
        let part = Part { prefix: prefix.into(), source: self.source, expected: self.expected };
        let mut body = UploadBody::new(vec![part], boundary.end(), self.verify, self.reporter, None);

        let public = self.public.unwrap_or(false);
        let sought = Sought::new(self.client, name.as_str(), &media_type, public, self.options);
        let stored = send(request, &mut body, &sought).await?;
        if let Some(sent) = body.sent().first() {
            check(&stored, sent)?;
        }
        body.done();
        Ok(stored)
    }
}

reports_progress!(['a] Upload<'a>, reporter);
awaitable!(Upload<'a> => StoredFile);
starts!(Upload => StoredFile, reporter);

impl fmt::Debug for Upload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("filename", &self.filename).field("source", &self.source).finish_non_exhaustive()
    }
}

/// What comes before the content: small fields first, so that the file's part is the last.
fn before_file(boundary: &Boundary, name: &Filename, media_type: &str, public: Option<bool>) -> Vec<u8> {
    let mut prefix = Vec::new();
    if let Some(public) = public {
        prefix.extend_from_slice(&boundary.before(&"Content-Disposition: form-data; name=\"public\"", true));
        prefix.extend_from_slice(if public { b"true" } else { b"false" });
    }
    let headers = format!(
        "Content-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\nContent-Type: {media_type}",
        name.escaped()
    );
    prefix.extend_from_slice(&boundary.before(&headers, public.is_none()));
    prefix
}

/// Sends it; where all of it went out and the answer leaves open what became of it, looks for the file first.
async fn send(request: Request, body: &mut UploadBody<'_>, sought: &Sought<'_>) -> Result<StoredFile> {
    let request = request.options(sought.options());
    let mut sending = Resending::new(sought.client().transport(), &request);
    loop {
        let error = match sending.send(body).await {
            Ok(answer) => {
                let stored = answer.json()?;
                sought.is(&stored);
                return Ok(stored);
            }
            Err(error) => error,
        };
        if !body.was_sent_whole() || !may_be_stored(&error) {
            return Err(error);
        }
        match sought.look(body.sent()).await {
            Stored::Yes(file) => return Ok(*file),
            Stored::Unknown(why) => return Err(error.with_hint(why)),
            // With another answer than this one, the service may still be storing it.
            Stored::No if error.status() != Some(StatusCode::SERVICE_UNAVAILABLE) => {
                return Err(error
                    .with_hint("All was sent, and it is not stored yet: look for the file before you send it again"));
            }
            Stored::No if !body.is_replayable() => return Err(error.with_hint(READ_ONCE)),
            Stored::No => {}
        }
        Box::pin(sending.retry(error, body)).await?;
    }
}

/// Whether the service, or a gateway before it, leaves open what became of a body that it has whole.
fn may_be_stored(error: &Error) -> bool {
    error.fate() == Fate::Unknown || matches!(error.status().map(|status| status.as_u16()), Some(500 | 502 | 503 | 504))
}

/// Is what the service stored what was sent?
fn check(stored: &StoredFile, sent: &Digest) -> Result<()> {
    if stored.size_bytes != sent.size {
        let message = format!("{} bytes were sent, the service stored {}", sent.size, stored.size_bytes);
        return Err(Error::new(ErrorKind::IntegrityMismatch, message).with_fate(Fate::Unknown));
    }
    match (&stored.checksum_sha256, &sent.sha256) {
        (Some(theirs), Some(ours)) if theirs != ours => Err(Error::new(
            ErrorKind::IntegrityMismatch,
            format!("the bytes sent have the SHA-256 {ours}, those stored {theirs}"),
        )
        .with_fate(Fate::Unknown)),
        _ => Ok(()),
    }
}

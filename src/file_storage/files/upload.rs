//! `POST /upload`

use std::fmt;

use http::{Method, header};
use tokio::time::Instant;

use super::Files;
use super::list::{ListFiles, Query};
use crate::error::{Error, ErrorKind, Fate, Result};
use crate::file_storage::Client;
use crate::file_storage::client::api;
use crate::file_storage::filename::{Filename, check_media_type};
use crate::file_storage::models::StoredFile;
use crate::http::{Boundary, CallOptions, Replay, RequestBody, awaitable};
use crate::transfer::{Digest, Part, Reporter, Source, UploadBody, reports_progress, starts};

impl Files {
    /// Uploads a file in one request (`file_storage.upload`). Its name is the last part of a path, and yours to say for other
    /// sources. Every upload makes a new file.
    ///
    /// The service takes 100 MiB by default ([`Error::max_bytes`] tells); for more, see [`Client::uploads`].
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
            options: CallOptions::default(),
        }
    }
}

/// Uploads a file. Made by [`Files::upload`].
///
/// Content is hashed on the way and compared with what the service stored; a difference is `IntegrityMismatch`. Dropping
/// the call before it is done aborts the upload: the service stores nothing that has not come whole.
///
/// An attempt that broke before the whole body was sent is repeated. One whose answer was lost is looked for among the
/// newest files of that name; where it is not there yet, the error says that it may still appear.
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

    /// Whether the content is hashed on the way and compared with what the service stored. It is, by default.
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

    async fn run(self) -> Result<StoredFile> {
        let name = self.filename?;
        let media_type = self.content_type.unwrap_or_else(|| name.media_type());
        check_media_type(&media_type)?;
        if self.expected.as_ref().is_some_and(|hex| hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit())) {
            return Err(Error::invalid_input("expect_sha256", "a SHA-256 has 64 hexadecimal digits"));
        }
        let boundary = Boundary::new();
        let request = api(Method::POST, "/upload")
            .set_header(header::CONTENT_TYPE, boundary.content_type()?)
            .replay(Replay::UnlessSentWhole)
            .slow()
            .refused_early()
            .options(self.options.clone());
        let prefix = before_file(&boundary, &name, &media_type, self.public);
        let part = Part { prefix: prefix.into(), source: self.source, expected: self.expected };
        let mut body = UploadBody::new(vec![part], boundary.end(), self.verify, self.reporter, None);

        let start = Instant::now();
        let stored = match self.client.transport().send_body(&request, &mut body).await {
            Ok(answer) => answer.json()?,
            Err(error) if error.fate() == Fate::Unknown && body.was_sent_whole() => {
                match find(&self.client, &name, body.sent(), start, self.options).await {
                    Some(stored) => stored,
                    None => {
                        let hint = "All was sent, and no answer came: look for the file before you send it again";
                        return Err(error.with_hint(hint));
                    }
                }
            }
            Err(error) => return Err(error),
        };
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

/// The file that an attempt without an answer has stored, if it shows: the same name, size and hash, made since `start` by
/// the service's own clock.
async fn find(
    client: &Client,
    name: &Filename,
    sent: &[Digest],
    start: Instant,
    options: CallOptions,
) -> Option<StoredFile> {
    let digest = sent.first()?;
    let sha256 = digest.sha256.as_ref()?;
    let took = chrono::TimeDelta::from_std(start.elapsed()).ok()?;
    let (page, now) = ListFiles::of(client.clone(), Query::named(name.as_str()), options).with_date().await.ok()?;
    // The header's clock has whole seconds.
    let since = now? - took - chrono::TimeDelta::seconds(2);
    page.into_iter().find(|file| {
        file.filename == name.as_str()
            && file.size_bytes == digest.size
            && file.checksum_sha256.as_ref() == Some(sha256)
            && file.created_at.is_some_and(|at| at >= since)
    })
}

/// Is what the service stored what was sent?
fn check(stored: &StoredFile, sent: &Digest) -> Result<()> {
    if stored.size_bytes != sent.size {
        let message = format!("{} bytes were sent, the service stored {}", sent.size, stored.size_bytes);
        return Err(Error::new(ErrorKind::IntegrityMismatch, message));
    }
    match (&stored.checksum_sha256, &sent.sha256) {
        (Some(theirs), Some(ours)) if theirs != ours => Err(Error::new(
            ErrorKind::IntegrityMismatch,
            format!("the bytes sent have the SHA-256 {ours}, those stored {theirs}"),
        )),
        _ => Ok(()),
    }
}

//! `POST /api/buckets/{id}/upload`: several files in one request, and names that no other route takes.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::pin::pin;

use bytes::Bytes;
use http::Method;

use super::Files;
use super::upload::{authorize, check, check_length, explain_pause, path_turn, send};
use crate::auth::Token;
use crate::buckets::Bucket;
use crate::error::{Error, ErrorKind, Fate, Result};
use crate::file_path::{FilePath, encode_filename_star};
use crate::http::{Boundary, CallOptions, Request, awaitable, within};
use crate::models::UploadedFile;
use crate::transfer::{Part, Reporter, Source, UploadBody, expected, reports_progress, starts};

impl Files {
    /// Uploads several files in one request: add them with [`file`](UploadMultipart::file).
    ///
    /// The request is not atomic: when it fails half way, the files before that point are stored (surprise 14). For
    /// large files, upload one by one: then each can be sent again by itself. After a 500, which uploads of equal contents
    /// can cause (wire description section 13), it is sent once more, unless all files turn out to be there.
    ///
    /// All paths are looked at before anything is sent, and opened one after another; a file that has changed by then is
    /// `ContentChanged`.
    ///
    /// ```no_run
    /// # async fn f(files: carbonfiles::Files) -> carbonfiles::Result<()> {
    /// let done = files
    ///     .upload_multipart()
    ///     .file("a.txt", "one".as_bytes())
    ///     .file("docs/b.txt", std::path::Path::new("b.txt"))
    ///     .await?;
    /// assert_eq!(done.len(), 2);
    /// # Ok(()) }
    /// ```
    pub fn upload_multipart<'a>(&self) -> UploadMultipart<'a> {
        UploadMultipart {
            bucket: self.bucket.clone(),
            files: Vec::new(),
            problem: None,
            token: None,
            reporter: Reporter::default(),
            verify: true,
            options: CallOptions::default(),
        }
    }
}

/// Uploads several files in one request. Made by [`Files::upload_multipart`].
///
/// If the call is dropped, or fails half way, the file being sent is not stored, and later ones are untouched. The files before
/// it stay stored, as may all of them once the last byte is out.
///
/// # Errors
/// Those of [`Upload`](super::Upload), for any of the files.
#[must_use = "nothing is sent until it is awaited"]
pub struct UploadMultipart<'a> {
    bucket: Bucket,
    files: Vec<File<'a>>,
    problem: Option<Error>,
    token: Option<Token>,
    reporter: Reporter<'a>,
    verify: bool,
    options: CallOptions,
}

/// One of the files.
struct File<'a> {
    path: FilePath,
    source: Source<'a>,
    expected: Option<String>,
}

impl<'a> UploadMultipart<'a> {
    /// Adds a file. A path that can't be one, or comes twice, comes out of `.await` as `InvalidInput`.
    pub fn file(self, path: impl AsRef<str>, source: impl Into<Source<'a>>) -> Self {
        self.add(path.as_ref(), source.into(), Ok(None))
    }

    /// Adds a file that must have this SHA-256 (64 hex digits). With another one it is `IntegrityMismatch`, and the request
    /// ends before that file is complete: it is not stored, but those before it may be.
    pub fn file_with_sha256(
        self,
        path: impl AsRef<str>,
        source: impl Into<Source<'a>>,
        sha256: impl Into<String>,
    ) -> Self {
        self.add(path.as_ref(), source.into(), expected(sha256.into()))
    }

    fn add(mut self, path: &str, source: Source<'a>, expected: Result<Option<String>>) -> Self {
        match FilePath::try_from(path).and_then(|path| Ok(File { path, source, expected: expected? })) {
            Ok(file) => self.files.push(file),
            Err(problem) => drop(self.problem.get_or_insert(problem)),
        }
        self
    }

    /// Uses an upload token of the bucket, and no other credential. Each file is one use.
    pub fn upload_token(mut self, token: impl Into<Token>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Whether contents are hashed on the way and compared with what the server stored. They are, by default.
    pub fn verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    async fn run(mut self) -> Result<Vec<UploadedFile>> {
        let deadline = self.bucket.client().transport.start(&mut self.options);
        within(deadline, pin!(self.upload())).await
    }

    async fn upload(self) -> Result<Vec<UploadedFile>> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        if self.files.is_empty() {
            return Err(Error::invalid_input("files", "add at least one"));
        }
        let mut seen = HashSet::new();
        if let Some(twice) = self.files.iter().find(|file| !seen.insert(&file.path)) {
            return Err(Error::invalid_input("files", format!("{} comes twice", twice.path)));
        }
        self.files.iter().try_for_each(|file| check_length(&self.bucket, &file.path))?;
        let mut reporter = self.reporter;
        let framing = Framing::new();
        let request = framing.request(&self.bucket)?.rows(self.files.len() as u64);
        // In one order for all, so that no two wait for each other.
        let mut turns = Vec::with_capacity(self.files.len());
        for path in self.files.iter().map(|file| &file.path).collect::<BTreeSet<_>>() {
            turns.push(path_turn(&self.bucket, path, &self.options, || reporter.queued()).await?);
        }
        let paths: Vec<_> = self.files.iter().map(|file| file.path.clone()).collect();
        let mut parts = Vec::with_capacity(self.files.len());
        for (at, File { path, source, expected }) in self.files.into_iter().enumerate() {
            parts.push(Part { prefix: framing.prefix(&path, at == 0), source, expected });
        }
        let mut body = UploadBody::new(parts, framing.suffix(), self.verify, reporter, None);
        turns.into_iter().for_each(|turn| body.hold(turn));
        let request = authorize(request, &self.bucket, self.token).await?.options(self.options);
        let sent = send(&self.bucket, &paths, &request, &mut body).await;
        // Those before the one that failed are stored.
        let uploaded = sent.map_err(|error| explain_pause(error, &body).unless_done(body.was_sent_partly()))?;
        if uploaded.len() != body.sent().len() {
            let message = format!("{} files were sent, the server stored {}", body.sent().len(), uploaded.len());
            return Err(Error::new(ErrorKind::Decode, message).with_fate(Fate::Unknown));
        }
        for (stored, sent) in uploaded.iter().zip(body.sent()) {
            check(stored, sent)?;
        }
        body.done();
        Ok(uploaded)
    }
}

reports_progress!(['a] UploadMultipart<'a>, reporter);
awaitable!(UploadMultipart<'a> => Vec<UploadedFile>);
starts!(UploadMultipart => Vec<UploadedFile>, reporter);

impl fmt::Debug for UploadMultipart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<_> = self.files.iter().map(|file| file.path.as_str()).collect();
        f.debug_struct("UploadMultipart").field("paths", &paths).finish_non_exhaustive()
    }
}

/// The framing of an upload as this server wants it.
///
/// The name goes as `filename*` alone: beside it the server would prefer a plain `filename`, in which it takes a
/// backslash-escaped quote for a directory (wire description section 8). It is percent-encoded, so nothing in it can end
/// the header.
pub(super) struct Framing(Boundary);

impl Framing {
    pub(super) fn new() -> Self {
        Self(Boundary::new())
    }

    pub(super) fn request(&self, bucket: &Bucket) -> Result<Request> {
        let request = Request::new(Method::POST, bucket.route("/upload")?);
        Ok(request.content_type(self.0.content_type()?))
    }

    pub(super) fn prefix(&self, path: &FilePath, first: bool) -> Bytes {
        let name = encode_filename_star(path.as_str());
        let headers = format_args!(
            "Content-Disposition: form-data; name=\"file\"; filename*=UTF-8''{name}\r\n\
             Content-Type: application/octet-stream"
        );
        self.0.before(&headers, first)
    }

    pub(super) fn suffix(&self) -> Bytes {
        self.0.end()
    }
}

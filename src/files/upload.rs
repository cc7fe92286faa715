//! `PUT /api/buckets/{id}/upload/stream`, or a multipart request where the name needs one.

use std::fmt;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::poll;
use http::{HeaderValue, Method, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::multipart::Framing;
use super::{File, Files};
use crate::auth::Token;
use crate::buckets::Bucket;
use crate::error::{Error, ErrorKind, Fate, Result, TimeoutPhase};
use crate::file_path::FilePath;
use crate::http::{
    Authorization, CallOptions, REQUEST_LINE, Replay, Request, RequestBody, RetryPolicy, awaitable, call_options,
    later, within,
};
use crate::models::{UploadResponse, UploadedFile};
use crate::transfer::{
    Digest, LINGERING, Part, Reporter, Resending, Source, Turn, UploadBody, check_expected, reports_progress, spooled,
    starts,
};

impl Files {
    /// Uploads a file from disk. Its name in the bucket is the last part of its path, unless
    /// [`named`](Upload::named) says otherwise. A file of that name is overwritten.
    ///
    /// ```no_run
    /// # async fn f(files: carbonfiles::Files) -> carbonfiles::Result<()> {
    /// let done = files.upload("photo.jpg").progress(|p| println!("{} of {:?}", p.sent, p.total)).await?;
    /// println!("{} {}", done.path, done.deduplicated);
    /// # Ok(()) }
    /// ```
    pub fn upload<'a>(&self, path: impl AsRef<Path>) -> Upload<'a> {
        let path = path.as_ref();
        Upload::new(self.bucket.clone(), FilePath::from_local_name(path), path.into())
    }
}

impl File {
    /// Uploads a source under this path. A file that is there is overwritten: its short URL and creation time stay.
    ///
    /// ```no_run
    /// # async fn f(files: carbonfiles::Files) -> carbonfiles::Result<()> {
    /// files["docs/hello.txt"].upload("hello".as_bytes()).await?;
    /// # Ok(()) }
    /// ```
    pub fn upload<'a>(&self, source: impl Into<Source<'a>>) -> Upload<'a> {
        Upload::new(self.bucket.clone(), self.checked_path(), source.into())
    }
}

/// Uploads one file. Made by [`Files::upload`] and [`File::upload`].
///
/// The server takes the content type from the name's extension; there is no way to choose it. Content is hashed on the way
/// and compared with what the server stored; a difference is `IntegrityMismatch`.
///
/// Dropping the call before its last byte is sent aborts the upload: nothing becomes visible, and a file that was there
/// stays. Between the last byte and the answer the server may store it all the same; so for 3 s after that, further uploads
/// of this client (and its clones) to that path, or of equal bytes, wait: together this server would answer one of them
/// with 500 (wire description section 13).
///
/// # Errors
/// `InvalidInput` for a path or a token that can't be one, or a path that is too long for a request to name the file, before
/// anything is sent. Of the source: `Io`, `ContentChanged` where
/// a file changed while it was read, `IntegrityMismatch` where it is not what was expected; nothing is stored then. Of the
/// server: `PayloadTooLarge`, `QuotaExceeded`, `NotFound` (the bucket), `PermissionDenied`, `Unauthenticated`. `Conflict` where
/// another upload of this client to the same path is still under way after 10 min, and `Timeout` where it is after the call's
/// limit. A source that can be read only once is not sent again: the error is that of its one attempt. After `Interrupted`,
/// `Timeout` and `Server` the file may have been stored.
///
/// Where the answer was lost and the file is found on the server, its `deduplicated` is `false`: nobody knows. Where all was
/// sent, the answer was lost, and it was sent again, the next upload or change of this client to that path waits up to 3 s: what
/// was sent first may be stored as late as that.
#[must_use = "nothing is sent until it is awaited"]
pub struct Upload<'a> {
    bucket: Bucket,
    path: Result<FilePath>,
    source: Source<'a>,
    token: Option<Token>,
    reporter: Reporter<'a>,
    verify: bool,
    expected: Option<String>,
    spool: Option<u64>,
    turn: Option<Turn>,
    options: CallOptions,
}

impl<'a> Upload<'a> {
    pub(super) fn new(bucket: Bucket, path: Result<FilePath>, source: Source<'a>) -> Self {
        Self {
            bucket,
            path,
            source,
            token: None,
            reporter: Reporter::default(),
            verify: true,
            expected: None,
            spool: None,
            turn: None,
            options: CallOptions::default(),
        }
    }

    /// Stores it under this path instead.
    pub fn named(mut self, path: impl AsRef<str>) -> Self {
        self.path = FilePath::try_from(path.as_ref());
        self
    }

    /// Whether that is where it is stored.
    pub(super) fn goes_to(&self, path: &FilePath) -> bool {
        self.path.as_ref().is_ok_and(|own| own == path)
    }

    /// Has its turn at the path already.
    pub(super) fn in_turn(mut self, turn: Turn) -> Self {
        self.turn = Some(turn);
        self
    }

    /// Uses an upload token of the bucket, and no other credential: beside a valid one the server would not count it.
    pub fn upload_token(mut self, token: impl Into<Token>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Whether the content is hashed on the way and compared with what the server stored. It is, by default; beyond
    /// 1 MiB a thread does it. The hash also keeps uploads of equal contents by one client from racing each other, which
    /// this server answers with 500 (wire description section 13).
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

    /// Reads the source to its end, into a temporary file of at most so many bytes, before anything is sent: for sources
    /// that pause, since the server cuts a body that brings less than 240 bytes a second for 5 s. The upload then has a known
    /// length, and can be sent again whatever the source is. A longer source is `PayloadTooLarge`, and nothing is sent. The
    /// file has no name and goes with the call; it is in the system's folder for temporary files.
    pub fn spool(mut self, limit: u64) -> Self {
        self.spool = Some(limit);
        self
    }

    fn run(self) -> impl Future<Output = Result<UploadedFile>> + Send + use<'a> {
        // In a box: it lies in each of the futures around its work, which are copied.
        let mut call = Box::new(self);
        async move {
            let deadline = call.bucket.client().transport.start(&mut call.options);
            within(deadline, pin!(call.upload())).await
        }
    }

    /// Whether the content is hashed on the way, and what was sent so compared with what is stored.
    pub(crate) fn is_hashed(&self) -> bool {
        self.verify || self.expected.is_some()
    }

    async fn upload(mut self: Box<Self>) -> Result<UploadedFile> {
        let path = self.path?;
        check_expected(self.expected.as_deref())?;
        let (request, prefix, suffix) = route(&self.bucket, &path)?;
        if let Some(limit) = self.spool {
            let spooled = Box::pin(spooled(self.source, limit, &mut self.reporter));
            self.source = within(self.options.deadline(None), spooled).await.map_err(Error::never_sent)?;
        }
        let part = Part { prefix, source: self.source, expected: self.expected };
        let mut body =
            UploadBody::new(vec![part], suffix, self.verify, self.reporter, Some(self.bucket.client().turns.clone()));
        let turn = match self.turn {
            Some(turn) => turn,
            None => path_turn(&self.bucket, &path, &self.options, || body.queued()).await?,
        };
        body.hold(turn);
        let authorized = pin!(authorize(request, &self.bucket, self.token));
        let request = within(self.options.deadline(None), authorized).await.map_err(Error::never_sent)?;
        let request = request.options(self.options);
        let answer = send(&self.bucket, std::slice::from_ref(&path), &request, &mut body).await;
        let answer = first(answer.map_err(|e| explain_pause(e, &body))?)?;
        let digest = body.sent().first();
        if let Some(digest) = digest {
            check(&answer, digest)?;
        }
        body.done();
        Ok(answer)
    }
}

reports_progress!(['a] Upload<'a>, reporter);
awaitable!(@many Upload<'a> => UploadedFile);
call_options!(['a] Upload<'a>);
starts!(Upload => UploadedFile, reporter);

impl fmt::Debug for Upload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("path", &self.path).field("source", &self.source).finish_non_exhaustive()
    }
}

/// The request for a name, and the framing around the content.
///
/// A stream upload of a name with a non-ASCII or control character is stored **and** answered with 500 (surprise 5), and
/// a request line over 8 KiB is refused: such names go by multipart.
fn route(bucket: &Bucket, path: &FilePath) -> Result<(Request, Bytes, Bytes)> {
    check_length(bucket, path)?;
    const LONGEST_QUERY: usize = 6 << 10;
    if path.is_ascii_printable() {
        let request = Request::new(Method::PUT, bucket.route("/upload/stream")?).query("filename", path.as_str());
        if request.query.len() <= LONGEST_QUERY {
            let request = request.content_type(HeaderValue::from_static("application/octet-stream"));
            return Ok((request, Bytes::new(), Bytes::new()));
        }
    }
    let framing = Framing::new();
    Ok((framing.request(bucket)?, framing.prefix(path, true), framing.suffix()))
}

/// Refuses a path whose file could be stored, but never be read or deleted: in the body of a request it may have any length.
pub(crate) fn check_length(bucket: &Bucket, path: &FilePath) -> Result<()> {
    // A byte takes three at most, so that nearly no path needs a closer look.
    if path.as_str().len() <= REQUEST_LINE / 8 {
        return Ok(());
    }
    let content = Request::get(bucket.file(path.as_str()).route("/content")?);
    if bucket.client().transport.fits(&content) {
        return Ok(());
    }
    let why =
        format!("{:?} is too long to be read again: a request line has at most {REQUEST_LINE} bytes", path.as_str());
    Err(Error::invalid_input("path", why))
}

/// Uploads and changes of one file go one after another: waits for those before, as long as a call may last.
pub(super) async fn path_turn(
    bucket: &Bucket,
    path: &FilePath,
    options: &CallOptions,
    queued: impl FnMut(),
) -> Result<Turn> {
    turn(bucket, path, format!("{}/{path}", bucket.id()), options, queued).await
}

/// A turn that has to do with a file.
pub(super) async fn turn(
    bucket: &Bucket,
    path: &FilePath,
    key: String,
    options: &CallOptions,
    mut queued: impl FnMut(),
) -> Result<Turn> {
    let client = bucket.client();
    let deadline = client.transport.deadline(options);
    let mut turn = pin!(client.turns.wait(key));
    if let Poll::Ready(turn) = poll!(turn.as_mut()) {
        return Ok(turn);
    }
    queued();
    // What was given up keeps its turn for a while: that alone is no reason to fail.
    let patience = client.transport.config().timeouts.slow_response.max(2 * LINGERING);
    let until = deadline.unwrap_or_else(|| later(Instant::now(), patience));
    timeout_at(until, turn).await.map_err(|_| {
        // The call's own limit passes with the call.
        let kind = deadline.map_or(ErrorKind::Conflict, |_| ErrorKind::Timeout(TimeoutPhase::Total));
        Error::new(kind, format!("another upload of this client to {path} is, or was just now, under way"))
    })
}

/// An upload with an upload token costs a use, so it is not simply sent again.
pub(super) async fn authorize(request: Request, bucket: &Bucket, token: Option<Token>) -> Result<Request> {
    let counted = match &token {
        Some(_) => true,
        None => bucket.client().transport.config().credentials.token().await?.is_some_and(|t| t.is_upload_token()),
    };
    let request = request.authorization(token.map_or(Authorization::Upload, Authorization::UploadToken));
    Ok(request.slow().lasting_500().refused_early().replay(if counted { Replay::Never } else { Replay::Safe }))
}

/// Sends an upload, and looks at the server where sending it again is not plainly right: after a 500, which may have
/// stored the files or may pass when they are alone, and after an attempt of unknown fate that would cost another use.
pub(super) async fn send(
    bucket: &Bucket,
    paths: &[FilePath],
    request: &Request,
    body: &mut UploadBody<'_>,
) -> Result<Vec<UploadedFile>> {
    let mut sending = Resending::new(&bucket.client().transport, request);
    loop {
        let error = match sending.send(body).await {
            Ok(answer) => return Ok(answer.json::<UploadResponse>()?.uploaded),
            Err(error) => error,
        };
        let failed_inside = error.status() == Some(StatusCode::INTERNAL_SERVER_ERROR);
        let unknown = error.fate() == Fate::Unknown && request.replay == Replay::Never;
        if !(failed_inside || unknown && error.kind() == ErrorKind::Interrupted) {
            return Err(error);
        }
        if body.was_sent_whole() {
            // It has its own attempts.
            let mut look = request.options.clone();
            look.end_by(sending.deadline());
            look.set_retry(RetryPolicy::never());
            match Box::pin(stored(bucket, paths, body.sent(), &look)).await {
                Stored::Yes(files) => return Ok(files),
                // It may have cost its uses, and would then be refused.
                Stored::Unknown if request.replay == Replay::Never => return Err(error),
                Stored::Unknown | Stored::No => {}
            }
        }
        if sending.is_again() {
            return Err(error);
        }
        Box::pin(sending.retry(error, body)).await?;
    }
}

/// A body that stood still because its source did is cut by the server, with 408 or without a word.
pub(super) fn explain_pause(error: Error, body: &UploadBody<'_>) -> Error {
    // A source is always late by a little.
    let paused = match error.kind() {
        ErrorKind::Timeout(TimeoutPhase::Send) => body.starved_for() > Duration::ZERO,
        ErrorKind::Interrupted => body.starved_for() > Duration::from_secs(1),
        _ => false,
    };
    if !paused {
        return error;
    }
    error.with_hint(
        "The source had paused: the server cuts a body that brings less than 240 bytes a second for 5 s. \
         Read it ahead with Upload::spool, or write to File::log_writer",
    )
}

/// Whether the server has what was sent.
enum Stored {
    Yes(Vec<UploadedFile>),
    No,
    /// It did not tell, has only some of the files, or nothing was hashed that contents of one size could be told apart by.
    Unknown,
}

async fn stored(bucket: &Bucket, paths: &[FilePath], sent: &[Digest], options: &CallOptions) -> Stored {
    let mut files = Vec::with_capacity(paths.len());
    for (path, sent) in paths.iter().zip(sent) {
        // Not by `get`, which may remember a content before.
        match bucket.file(path.as_str()).listed_opt(options.clone()).await {
            Ok(Some(file)) if file.size == sent.size && (file.sha256.is_none() || sent.sha256.is_none()) => {
                return Stored::Unknown;
            }
            Ok(Some(file)) if file.size == sent.size && file.sha256 == sent.sha256 => {
                files.push(UploadedFile { file, deduplicated: false });
            }
            Err(_) => return Stored::Unknown,
            _ if paths.len() == 1 => return Stored::No,
            _ => return Stored::Unknown,
        }
    }
    Stored::Yes(files)
}

fn first(uploaded: Vec<UploadedFile>) -> Result<UploadedFile> {
    uploaded
        .into_iter()
        .next()
        .ok_or_else(|| Error::new(ErrorKind::Decode, "the server says that it stored no file").with_fate(Fate::Unknown))
}

/// Is what the server stored what was sent?
pub(super) fn check(stored: &UploadedFile, sent: &Digest) -> Result<()> {
    if stored.size != sent.size {
        let message = format!("{} bytes were sent, the server stored {}", sent.size, stored.size);
        return Err(Error::new(ErrorKind::IntegrityMismatch, message).with_fate(Fate::Unknown));
    }
    match (&stored.sha256, &sent.sha256) {
        (Some(theirs), Some(ours)) if theirs != ours => Err(Error::new(
            ErrorKind::IntegrityMismatch,
            format!("the bytes sent have the SHA-256 {ours}, those stored {theirs}"),
        )
        .with_fate(Fate::Unknown)),
        _ => Ok(()),
    }
}

//! An upload from here: a URL from the API, and a `PUT` straight to the storage.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::files::Files;
use super::models::{UploadUrl, Uploaded};
use super::size::GB;
use super::tenants::Tenant;
use super::upload_url::Announcement;
use crate::error::{Error, Result};
use crate::http::body::{Outgoing, RequestBody};
use crate::http::{CallOptions, awaitable, within};
use crate::object_store::{Issued, Presigned, put};
use crate::transfer::{
    Part, Reporter, Source, UploadBody, check_expected, header_value, reports_progress, spooled, starts,
};

impl Files {
    /// Uploads a source, straight to the storage. Its name is that of a path's last part, else `upload`, unless
    /// [`filename`](Upload::filename) says otherwise.
    ///
    /// A source of unknown length is read into a temporary file first, for a storage takes no bytes before it knows how
    /// many. Where the presigned URL expires on the way, a fresh one is asked for: it comes with a `file_path` of its own,
    /// and the one that is returned is that of the bytes.
    ///
    /// ```no_run
    /// # async fn f(client: carbonfiles::tenantbox::Client) -> carbonfiles::Result<()> {
    /// let files = client.tenant("user_123").files();
    /// let done = files.upload(std::path::Path::new("/tmp/report.pdf")).progress(|p| println!("{:.0} %", p.percent().unwrap_or(0.0))).await?;
    /// let note = files.upload("hello".as_bytes()).filename("hello.txt").content_type("text/plain").await?;
    /// println!("{} {}", done.file_path, note.size);
    /// # Ok(()) }
    /// ```
    pub fn upload<'a>(&self, source: impl Into<Source<'a>>) -> Upload<'a> {
        Upload {
            tenant: self.tenant.clone(),
            source: source.into(),
            filename: None,
            content_type: None,
            email: None,
            expected: None,
            spool: None,
            spool_limit: GB(1),
            reporter: Reporter::default(),
            options: CallOptions::default(),
        }
    }
}

/// Uploads one file. Made by [`Files::upload`].
///
/// Dropping the call before the last byte is out aborts the upload: nothing is stored, and the service keeps the announcement,
/// without a file. After that, it may be stored all the same.
///
/// # Errors
/// Where all was sent and no answer came, the file may be stored: the [hint](Error::hint) names the paths to look at. Of an
/// upload that succeeds at another path afterwards, [`Uploaded::maybe_also_at`] does.
///
/// `QuotaExceeded`, when it is announced; `PayloadTooLarge` beyond [`spool_limit`](Upload::spool_limit) or that of
/// [`spool`](Upload::spool); `PermissionDenied` where
/// the storage refuses, with its word in [`Error::code`]; `BodyNotReplayable` where the storage sends the upload on to
/// another place (307, 308) and the source can be read only once; `ContentChanged` where it has changed between two attempts;
/// and those of any call.
#[must_use = "nothing is sent until it is awaited"]
pub struct Upload<'a> {
    tenant: Tenant,
    source: Source<'a>,
    filename: Option<String>,
    content_type: Option<String>,
    email: Option<String>,
    expected: Option<String>,
    spool: Option<u64>,
    spool_limit: u64,
    reporter: Reporter<'a>,
    options: CallOptions,
}

impl<'a> Upload<'a> {
    /// The file's name, which its downloads are saved under.
    pub fn filename(mut self, filename: impl Into<String>) -> Self {
        self.filename = Some(filename.into());
        self
    }

    /// The file's type. By default it is guessed from the name's extension, else `application/octet-stream`.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// The tenant's e-mail address, for the service's dashboard.
    pub fn email(mut self, email: impl Into<String>) -> Self {
        self.email = Some(email.into());
        self
    }

    /// The SHA-256 (64 hex digits) that the source must have. It is checked before the upload is complete: with another
    /// one, nothing is stored.
    pub fn expect_sha256(mut self, sha256: impl Into<String>) -> Self {
        self.expected = Some(sha256.into());
        self
    }

    /// Reads the source to its end, into a temporary file of at most so many bytes, before anything is sent: the upload can
    /// then be sent again whatever the source is. A longer source is `PayloadTooLarge`, and nothing is sent. The file has no
    /// name and goes with the call; it is in the system's folder for temporary files.
    pub fn spool(mut self, limit: u64) -> Self {
        self.spool = Some(limit);
        self
    }

    /// The most bytes that a source of unknown length may have, since they are kept in a temporary file. Default 1 GiB;
    /// beyond, the upload is `PayloadTooLarge`, and nothing is sent. [`Source::size`] makes a length known. With
    /// [`spool`](Self::spool) its limit counts instead.
    pub fn spool_limit(mut self, bytes: u64) -> Self {
        self.spool_limit = bytes;
        self
    }

    async fn run(mut self) -> Result<Uploaded> {
        let name = match self.filename {
            Some(name) => name,
            None => self.source.file_name()?.unwrap_or_else(|| "upload".to_owned()),
        };
        let announcement = Announcement::new(&self.tenant, name, self.content_type, self.email)?;
        check_expected(self.expected.as_deref())?;
        let content_type = header_value("content_type", &announcement.content_type)?;
        if let Some(limit) = self.spool {
            let deadline = self.tenant.client.transport.start(&mut self.options);
            let spooled = Box::pin(spooled(self.source, limit, &mut self.reporter));
            self.source = within(deadline, spooled).await.map_err(Error::never_sent)?;
        }
        let place = Arc::new(Place::new(self.tenant.clone(), announcement, self.options.clone()));
        let request = put(place.url.clone()).content_type(content_type).options(self.options);
        let part = Part { prefix: Bytes::new(), source: self.source, expected: self.expected };
        let body = UploadBody::new(vec![part], Bytes::new(), false, self.reporter, None).spooled(self.spool_limit);
        let mut doubted = Doubted { body, place: &place, attempt: 0, answered: false, paths: Vec::new() };
        if let Err(error) = self.tenant.client.transport.send_body(&request, &mut doubted).await {
            return Err(doubted.explain(error).await);
        }
        let Doubted { mut body, paths, .. } = doubted;
        let size = body.sent().iter().map(|part| part.size).sum();
        body.done();
        place.uploaded(size, paths).await
    }
}

reports_progress!(['a] Upload<'a>, reporter);
awaitable!(Upload<'a> => Uploaded);
starts!(Upload => Uploaded, reporter);

impl fmt::Debug for Upload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("tenant", &self.tenant.id())
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// The place that the service has given an upload, by now.
struct Place {
    url: Arc<Presigned<UploadUrl>>,
    /// Only the first announcement of a new tenant says so.
    new_tenant: Arc<AtomicBool>,
}

impl Place {
    fn new(tenant: Tenant, announcement: Announcement, options: CallOptions) -> Self {
        let new_tenant = Arc::new(AtomicBool::new(false));
        let noted = new_tenant.clone();
        let url = Presigned::new(move || {
            let (tenant, announcement, options) = (tenant.clone(), announcement.clone(), options.clone());
            let noted = noted.clone();
            async move {
                let url = announcement.send(&tenant, options).await?;
                noted.fetch_or(url.is_new_tenant, Ordering::Relaxed);
                Issued::new(url.presigned_url.expose(), Duration::from_secs(url.expires_in), url.clone())
            }
        });
        Self { url: Arc::new(url), new_tenant }
    }

    /// What became of it, where earlier attempts may have been stored at these paths.
    async fn uploaded(&self, size: u64, mut doubted: Vec<String>) -> Result<Uploaded> {
        let url = self.url.last().await.ok_or_else(|| Error::invalid_input("upload", "it was never announced"))?;
        // What was sent to the same place again has replaced itself.
        doubted.retain(|path| *path != url.file_path);
        Ok(Uploaded {
            file_path: url.file_path,
            size,
            content_type: url.content_type,
            tenant_id: url.tenant_id,
            is_new_tenant: self.new_tenant.load(Ordering::Relaxed),
            maybe_also_at: doubted,
        })
    }
}

/// A body that notes where it may be stored, although nobody said so.
struct Doubted<'a, 'p> {
    body: UploadBody<'a>,
    place: &'p Place,
    attempt: u32,
    answered: bool,
    /// Of attempts that were sent whole and had no answer.
    paths: Vec<String>,
}

impl Doubted<'_, '_> {
    /// Called when an attempt is over.
    async fn note(&mut self) {
        if self.answered || !self.body.was_sent_whole() {
            return;
        }
        // The place of that attempt: the next one has not been asked for yet.
        if let Some(url) = self.place.url.last().await
            && !self.paths.contains(&url.file_path)
        {
            self.paths.push(url.file_path);
        }
    }

    async fn explain(mut self, error: Error) -> Error {
        self.note().await;
        if self.paths.is_empty() {
            return error;
        }
        // Quoted as Rust does: the service may call it what it likes.
        let paths: Vec<_> = self.paths.iter().map(|path| format!("{path:?}")).collect();
        let doubt = format!("It may have been stored as {}: delete it if so", paths.join(" or "));
        let hint = error.hint().map_or_else(|| doubt.clone(), |hint| format!("{hint}. {doubt}"));
        error.with_hint(hint)
    }
}

impl RequestBody for Doubted<'_, '_> {
    fn is_replayable(&self) -> bool {
        self.body.is_replayable()
    }

    fn open(&mut self, attempt: u32) -> BoxFuture<'_, Result<Outgoing<'_>>> {
        Box::pin(async move {
            // Within one attempt it is sent on to another region: that is an answer.
            if std::mem::replace(&mut self.attempt, attempt) != attempt {
                self.note().await;
            }
            self.answered = false;
            self.body.open(attempt).await
        })
    }

    fn is_transfer(&self) -> bool {
        self.body.is_transfer()
    }

    fn buffers(&mut self) -> BoxFuture<'_, u64> {
        self.body.buffers()
    }

    fn queued(&mut self) {
        RequestBody::queued(&mut self.body);
    }

    fn was_sent_whole(&self) -> bool {
        self.body.was_sent_whole()
    }

    fn answered(&mut self) {
        self.answered = true;
        self.body.answered();
    }

    fn retrying(&mut self, after: Duration) {
        self.body.retrying(after);
    }
}

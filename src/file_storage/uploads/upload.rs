//! An upload in parts, from beginning to end.

use std::fmt;
use std::pin::pin;

use super::create::CreateSession;
use super::how::{How, how_setters};
use super::resume::{CompletedUpload, send};
use super::{ResumableUpload, Uploads};
use crate::error::{Error, Result};
use crate::file_storage::filename::Filename;
use crate::file_storage::models::UploadSession;
use crate::http::{CallOptions, awaitable, within};
use crate::transfer::{Reporter, Source, reports_progress, starts};

impl Uploads {
    /// Uploads a large file in parts (`file_storage.upload`): opens a session, sends its parts side by side, and completes
    /// it. The source is bytes, a path, or an open file, for parts are read in any order; others are refused unless they are
    /// read into a temporary file first, with [`spool`](UploadInParts::spool).
    pub fn upload<'a>(&self, source: impl Into<Source<'a>>) -> UploadInParts<'a> {
        let source = source.into();
        let create = CreateSession { filename: Filename::of(&source), ..self.create("-", 0) };
        UploadInParts {
            create,
            source,
            how: How::default(),
            opened: None,
            reporter: Reporter::default(),
            options: CallOptions::default(),
        }
    }
}

type Opened<'a> = Box<dyn FnOnce(&UploadSession) + Send + 'a>;

/// Uploads a large file in parts. Made by [`Uploads::upload`].
///
/// When it fails or is dropped, what has arrived stays until the session expires: go on with
/// [`ResumableUpload::resume`], or throw it away with [`ResumableUpload::abort`].
///
/// # Errors
/// `InvalidInput` for an empty source, or one that can't be read in parts; `PayloadTooLarge`, also beyond
/// [`spool`](UploadInParts::spool), and `QuotaExceeded`; `IntegrityMismatch` where a part arrived differently, or the source is
/// not what was expected; `Conflict` where the session is closed meanwhile; `Decode` for a
/// session whose parts do not make up its size, or are more than 10,000; and those of any call.
#[must_use = "nothing is sent until it is awaited"]
pub struct UploadInParts<'a> {
    create: CreateSession,
    source: Source<'a>,
    how: How,
    opened: Option<Opened<'a>>,
    reporter: Reporter<'a>,
    options: CallOptions,
}

impl<'a> UploadInParts<'a> {
    /// The name: 1 to 255 characters, without control characters.
    pub fn filename(mut self, name: impl AsRef<str>) -> Self {
        self.create.filename = Filename::new(name.as_ref());
        self
    }

    /// The media type. By default that which the extension of the name stands for, else `application/octet-stream`.
    pub fn content_type(mut self, media_type: impl Into<String>) -> Self {
        self.create = self.create.content_type(media_type);
        self
    }

    /// Whether everybody may read the file. Default no.
    pub fn public(mut self, public: bool) -> Self {
        self.create.public = public;
        self
    }

    /// Hears of the session when it is open, to keep its id.
    pub fn on_opened(mut self, opened: impl FnOnce(&UploadSession) + Send + 'a) -> Self {
        self.opened = Some(Box::new(opened));
        self
    }

    async fn run(mut self) -> Result<CompletedUpload> {
        self.how.check()?;
        self.create.named()?;
        let client = self.create.client.clone();
        let deadline = client.transport().start(&mut self.options);
        let content = within(deadline, pin!(self.how.content(self.source, &mut self.reporter)))
            .await
            .map_err(Error::never_sent)?;
        let create = CreateSession { total_size: content.size(), options: self.options.clone(), ..self.create };
        let session = create.run().await?;
        if let Some(opened) = self.opened {
            opened(&session);
        }
        let upload = ResumableUpload::new(client, &session.id);
        let sent = send(&upload, session, &content, &self.how, self.reporter, self.options).await;
        sent.map_err(|error| match error.hint() {
            Some(_) => error,
            None => error.with_hint(format!("What has arrived is kept: go on with the upload session {}", upload.id())),
        })
    }
}

how_setters!(UploadInParts);
reports_progress!(['a] UploadInParts<'a>, reporter);
awaitable!(UploadInParts<'a> => CompletedUpload);
starts!(UploadInParts => CompletedUpload, reporter);

impl fmt::Debug for UploadInParts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadInParts").field("source", &self.source).finish_non_exhaustive()
    }
}

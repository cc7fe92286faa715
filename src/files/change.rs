//! `PATCH /api/buckets/{id}/files/{path}/content`: bytes written into an existing file.

use std::fmt;
use std::pin::pin;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};

use super::File;
use super::upload::{explain_pause, path_turn};
use crate::auth::Token;
use crate::error::{Error, ErrorKind, Fate, Result};
use crate::http::body::RequestBody;
use crate::http::{Authorization, CallOptions, Receive, Replay, Request, Response, Transport, awaitable, within};
use crate::models::FileInfo;
use crate::transfer::{
    ContentInfo, Part, Reporter, Resending, Source, UploadBody, header_value, reports_progress, starts,
};

const X_APPEND: HeaderName = HeaderName::from_static("x-append");

impl File {
    /// Appends bytes to the file. `NotFound` where there is no file yet: upload it first.
    ///
    /// It is never sent twice where the first may have arrived: that could append twice. The server loses one of two
    /// appends that run at once, whoever makes them (wire description section 13), and rewrites the whole file for each.
    pub fn append<'a>(&self, source: impl Into<Source<'a>>) -> Append<'a> {
        Append { change: Change::new(self, source.into(), Place::End), options: CallOptions::default() }
    }

    /// Appends bytes if the file is exactly `offset` bytes long; otherwise `Conflict`, or `RangeNotSatisfiable` where it is
    /// shorter.
    ///
    /// Unlike [`File::append`] it is safe to repeat: by this crate after a fault, and by the caller with the same offset and
    /// the same bytes, in another process too. Where the file is longer already, and the bytes behind `offset` are the
    /// first of these, an earlier try has arrived, and it is completed; that needs a source which can be read twice.
    ///
    /// The server knows no condition for a change: the length is asked for before, and what it is compared with after. Of two
    /// clients that append at the same time one gets a `Conflict`, but bytes of the other may be lost. Appends of one client to
    /// one file go one after another.
    pub fn append_at<'a>(&self, offset: u64, source: impl Into<Source<'a>>) -> AppendAt<'a> {
        AppendAt {
            change: Change::new(self, source.into(), Place::EndAt { offset, tried: true }),
            options: CallOptions::default(),
        }
    }

    /// Writes bytes over the file from an offset on. Going past the end lengthens the file, an offset past the end is
    /// `RangeNotSatisfiable`; nothing shortens a file.
    ///
    /// An offset makes it safe to send twice, so it is retried.
    pub fn patch<'a>(&self, offset: u64, source: impl Into<Source<'a>>) -> Patch<'a> {
        Patch { change: Change::new(self, source.into(), Place::Offset(offset)), options: CallOptions::default() }
    }
}

/// Appends bytes to a file. Made by [`File::append`].
///
/// # Errors
/// `NotFound` where there is no file, `PermissionDenied`, `Io` of the source, `Conflict` where another change of this client to
/// the file takes too long. After `Interrupted`, `Timeout` and `Server` it may
/// have been done.
#[must_use = "nothing is sent until it is awaited"]
pub struct Append<'a> {
    change: Change<'a>,
    options: CallOptions,
}

/// Appends bytes to a file that has the length it should have. Made by [`File::append_at`].
///
/// # Errors
/// `NotFound` where there is no file, `PermissionDenied`, `Io` of the source, `Conflict` where another change of this client to
/// the file takes too long or the file has another length, `RangeNotSatisfiable` where it is shorter than the offset. After
/// `Interrupted`, `Timeout` and `Server` it may have been done.
#[must_use = "nothing is sent until it is awaited"]
pub struct AppendAt<'a> {
    change: Change<'a>,
    options: CallOptions,
}

/// Writes bytes over a file. Made by [`File::patch`].
///
/// # Errors
/// `NotFound` where there is no file, `PermissionDenied`, `Io` of the source, `Conflict` where another change of this client to
/// the file takes too long, `RangeNotSatisfiable` for an offset past the end. After `Interrupted`, `Timeout` and `Server` it may
/// have been done.
#[must_use = "nothing is sent until it is awaited"]
pub struct Patch<'a> {
    change: Change<'a>,
    options: CallOptions,
}

struct Change<'a> {
    file: File,
    source: Source<'a>,
    place: Place,
    token: Option<Token>,
    reporter: Reporter<'a>,
}

#[derive(Clone, Copy)]
enum Place {
    End,
    /// `tried`: its owner may have tried it before, so that bytes of it may be there.
    EndAt {
        offset: u64,
        tried: bool,
    },
    Offset(u64),
}

impl<'a> Change<'a> {
    fn new(file: &File, source: Source<'a>, place: Place) -> Self {
        Self { file: file.clone(), source, place, token: None, reporter: Reporter::default() }
    }

    async fn run(self, mut options: CallOptions) -> Result<FileInfo> {
        let deadline = self.file.client().transport.start(&mut options);
        within(deadline, pin!(self.change(options))).await
    }

    async fn change(mut self, options: CallOptions) -> Result<FileInfo> {
        let path = self.file.checked_path()?;
        let request = Request::new(Method::PATCH, self.file.route("/content")?).slow().options(options.clone());
        let request = match self.place {
            Place::End => request.set_header(X_APPEND, HeaderValue::from_static("true")),
            // Only the start counts for the server; the length of the body decides (wire description section 10).
            Place::Offset(offset) | Place::EndAt { offset, .. } => {
                let range = HeaderValue::try_from(format!("bytes {offset}-")).unwrap_or(HeaderValue::from_static(""));
                request.set_header(header::CONTENT_RANGE, range).replay(Replay::Safe)
            }
        };
        let queued = || self.reporter.queued();
        let turn = path_turn(&self.file.bucket, &path, &options, queued).await?;
        if let Place::EndAt { offset, tried } = self.place {
            ends_at(&self.file, offset, Some(&mut self.source).filter(|_| tried), &options).await?;
        }
        let request = request.authorization(self.token.map_or(Authorization::Upload, Authorization::UploadToken));
        let part = Part { prefix: Bytes::new(), source: self.source, expected: None };
        let mut body = UploadBody::new(vec![part], Bytes::new(), false, self.reporter, None);
        body.hold(turn);
        let transport = &self.file.client().transport;
        let mut sending = Resending::new(transport, &request);
        let mut answer = sending.send(&mut body).await;
        // The file does end there. What the server compares with is what it remembers, which may be the file from before.
        if let Place::EndAt { .. } = self.place
            && body.is_replayable()
            && let Err(error) = answer.as_ref()
            && error.kind() == ErrorKind::RangeNotSatisfiable
            && Box::pin(forget(&request, transport)).await.is_ok()
            && let Err(error) = answer
        {
            sending.afresh(error, &mut body);
            answer = sending.send(&mut body).await;
        }
        let mut info: FileInfo = answer.map_err(|e| explain_pause(e, &body))?.json()?;
        let sent = body.sent().iter().map(|part| part.size).sum::<u64>();
        if let Place::EndAt { offset, .. } = self.place {
            let end = offset.saturating_add(sent);
            // The answer is what the server remembers, which may be the file from before; what it lists is as it is.
            if info.size != end
                && let Ok(listed) = Box::pin(self.file.listed(options)).await
            {
                info = listed;
            }
            if info.size != end {
                let message = format!(
                    "{sent} bytes were written at {offset}, and the file has {}: others write to it",
                    info.size
                );
                return Err(Error::new(ErrorKind::Conflict, message).with_fate(Fate::Unknown));
            }
        }
        body.done();
        Ok(info)
    }
}

/// Makes the server forget what it remembers of a file: a change of no bytes at its beginning, which leaves them as they are.
async fn forget(change: &Request, transport: &Transport) -> Result<()> {
    let nothing = change.clone().set_header(header::CONTENT_RANGE, HeaderValue::from_static("bytes 0-"));
    transport.send(nothing).await.map(drop)
}

/// Does the file end at this offset, or, where there may have been an earlier try, with bytes of the source behind it?
async fn ends_at(file: &File, offset: u64, tried: Option<&mut Source<'_>>, options: &CallOptions) -> Result<()> {
    let length = known_length(&file.head().options(options.clone()).await?)?;
    if length == offset {
        return Ok(());
    }
    let message = format!("the file ends at {length}, not at {offset}");
    if length < offset {
        return Err(Error::new(ErrorKind::RangeNotSatisfiable, message));
    }
    let conflict = || Err(Error::new(ErrorKind::Conflict, message.clone()));
    let Some(source) = tried.filter(|source| source.is_replayable()) else { return conflict() };
    let (mut there, (mut ours, _)) = (behind(file, offset, length, options).await?, source.open().await?);
    let (mut left, mut right) = (Bytes::new(), Bytes::new());
    loop {
        if left.is_empty() {
            match there.chunk().await? {
                Some(chunk) => left = chunk,
                None => return Ok(()),
            }
        }
        if right.is_empty() {
            match ours.next().await? {
                Some(chunk) => right = chunk,
                None => return conflict(),
            }
        }
        let common = left.len().min(right.len());
        if left.split_to(common) != right.split_to(common) {
            return conflict();
        }
    }
}

/// The bytes from `offset` to the end. They take up no room of a download: whoever has that may be waiting for the turn at
/// this path, which is held meanwhile.
async fn behind(file: &File, offset: u64, end: u64, options: &CallOptions) -> Result<Response> {
    let range = header_value("range", &format!("bytes={offset}-{}", end - 1))?;
    let request = Request::get(file.route("/content")?).set_header(header::RANGE, range).receive(Receive::Head);
    let answer = file.client().transport.send(request.options(options.clone())).await?;
    let part = ContentInfo::of(answer.status, &answer.headers);
    if (part.start, part.length, part.total) != (offset, Some(end - offset), Some(end)) {
        let message = format!("the server sent another part of the file than bytes {offset} to {end}");
        return Err(answer.error(ErrorKind::ContentChanged, message));
    }
    Ok(answer)
}

/// How long the file is: an unknown length is never taken for none, for then the first bytes would be written over.
pub(super) fn known_length(info: &ContentInfo) -> Result<u64> {
    info.length.ok_or_else(|| {
        Error::new(ErrorKind::Decode, "the server does not say how long the file is")
            .with_hint("Something between this client and the server takes Content-Length out of answers to HEAD")
    })
}

impl AppendAt<'_> {
    /// It is known whether there was an earlier try.
    pub(super) fn tried(mut self, before: bool) -> Self {
        if let Place::EndAt { tried, .. } = &mut self.change.place {
            *tried = before;
        }
        self
    }
}

macro_rules! change {
    ($builder:ident) => {
        impl<'a> $builder<'a> {
            /// Uses an upload token of the bucket, and no other credential. Patches and appends are not counted.
            pub fn upload_token(mut self, token: impl Into<Token>) -> Self {
                self.change.token = Some(token.into());
                self
            }

            async fn run(self) -> Result<FileInfo> {
                self.change.run(self.options).await
            }
        }

        reports_progress!(['a] $builder<'a>, change.reporter);
        awaitable!($builder<'a> => FileInfo);
        starts!($builder => FileInfo, change.reporter);

        impl fmt::Debug for $builder<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($builder)).field("file", &self.change.file).finish_non_exhaustive()
            }
        }
    };
}

change!(Append);
change!(AppendAt);
change!(Patch);

//! `PATCH /api/buckets/{id}/files/{path}/content`: bytes written into an existing file.

use std::fmt;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};

use super::File;
use super::upload::path_turn;
use crate::auth::Token;
use crate::error::Result;
use crate::http::{Authorization, CallOptions, Replay, Request, awaitable};
use crate::models::FileInfo;
use crate::transfer::{Part, Reporter, Source, UploadBody, reports_progress, starts};

const X_APPEND: HeaderName = HeaderName::from_static("x-append");

impl File {
    /// Writes bytes behind the end of the file. `NotFound` where there is no file yet: upload it first.
    ///
    /// It is never sent twice where the first may have arrived: that could append twice. The server loses one of two
    /// appends that run at once, whoever makes them (wire description section 13), and rewrites the whole file for each.
    pub fn append<'a>(&self, source: impl Into<Source<'a>>) -> Append<'a> {
        Append { change: Change::new(self, source.into(), Place::End), options: CallOptions::default() }
    }

    /// Writes bytes over the file from an offset on. Going past the end lengthens the file, an offset past the end is
    /// `RangeNotSatisfiable`; nothing shortens a file.
    ///
    /// An offset makes it safe to send twice, so it is retried.
    pub fn patch<'a>(&self, offset: u64, source: impl Into<Source<'a>>) -> Patch<'a> {
        Patch { change: Change::new(self, source.into(), Place::Offset(offset)), options: CallOptions::default() }
    }
}

/// Writes bytes behind the end of a file. Made by [`File::append`].
#[must_use = "nothing is sent until it is awaited"]
pub struct Append<'a> {
    change: Change<'a>,
    options: CallOptions,
}

/// Writes bytes over a file. Made by [`File::patch`].
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
    Offset(u64),
}

impl<'a> Change<'a> {
    fn new(file: &File, source: Source<'a>, place: Place) -> Self {
        Self { file: file.clone(), source, place, token: None, reporter: Reporter::default() }
    }

    async fn run(self, options: CallOptions) -> Result<FileInfo> {
        let request = Request::new(Method::PATCH, self.file.route("/content")?).slow().options(options.clone());
        let request = match self.place {
            Place::End => request.set_header(X_APPEND, HeaderValue::from_static("true")),
            // Only the start counts for the server; the length of the body decides (wire description section 10).
            Place::Offset(offset) => {
                let range = HeaderValue::try_from(format!("bytes {offset}-")).unwrap_or(HeaderValue::from_static(""));
                request.set_header(header::CONTENT_RANGE, range).replay(Replay::Safe)
            }
        };
        let request = request.authorization(self.token.map_or(Authorization::Upload, Authorization::UploadToken));
        let part = Part { prefix: Bytes::new(), source: self.source, expected: None };
        let mut body = UploadBody::new(vec![part], Bytes::new(), false, self.reporter, None);
        let _turn = path_turn(&self.file.bucket, &self.file.checked_path()?, &options, || body.queued()).await?;
        let info = self.file.client().transport.send_body(&request, &mut body).await?.json()?;
        body.done();
        Ok(info)
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
change!(Patch);

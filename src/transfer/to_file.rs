//! A download into a file: written beside the target, synced, and renamed onto it when it is whole.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::DOWNLOAD_BUFFERS;
use super::hashing::Hasher;
use super::info::{ContentInfo, hash_in};
use super::parallel::{Asking, Ranges, save_ranges};
use super::part::{Most, Record, Saving, WORTH_KEEPING};
use super::part_file::{Found, PartFile};
use super::plan::{DownloadPlan, Origin, Resumed};
use super::progress::{Phase, Reporter};
use crate::error::{Error, ErrorKind, Result};

/// A file that was downloaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Downloaded {
    /// Where it is.
    pub path: PathBuf,
    /// How many bytes it has.
    pub size: u64,
    /// How many of them an earlier download had left, so that they did not have to come again.
    pub resumed: u64,
    /// The SHA-256 that it was checked against; `None` where the server gave none or checking was switched off.
    pub verified_sha256: Option<String>,
    /// The entity tag, with its quotes.
    pub etag: Option<String>,
}

/// How often a download begins again because the content was replaced under it, where that is asked for.
const RESTARTS: u32 = 5;

/// Refuses a target that can't be written, or must not be, and a way to write it that is none, as [`save`] does.
#[cfg(feature = "file-storage")]
pub(crate) async fn check_target(target: &Path, how: &Saving) -> Result<()> {
    how.check()?;
    let (target, replaces) = (target.to_owned(), how.replaces);
    crate::blocking::blocking(move || super::part::check_target(&target, replaces)).await
}

/// Downloads to `target`, which is what it was, or complete: never in between. `None` for a 304, which leaves what there is.
pub(crate) async fn save(mut plan: Box<DownloadPlan<'_>>, target: &Path, how: &Saving) -> Result<Option<Downloaded>> {
    how.check()?;
    plan.begin_limit();
    let mut part = PartFile::find(target, how).await?;
    let origin = plan.origin()?;
    let mut from = part.resumable(&origin.url);
    let mut restarts = 0;
    // What is left of another run was perhaps never on the disk, so it is always compared.
    plan.verify |= from.as_ref().is_some_and(|found| found.hashed);
    loop {
        let resumed = from.is_some();
        let error = match attempt(&mut plan, from.take(), &origin, &mut part, target, how).await {
            Ok(Some(done)) => return Ok(Some(done)),
            Ok(None) => {
                // What an attempt before this one has found to be wrong is not kept.
                part.settle(restarts > 0).await;
                plan.reporter.done(0);
                return Ok(None);
            }
            Err(error) => error,
        };
        restarts += 1;
        let again = match error.kind() {
            ErrorKind::ContentChanged => how.restart_if_changed && restarts <= RESTARTS,
            // Perhaps the bytes of the earlier download were the wrong ones.
            ErrorKind::IntegrityMismatch => resumed,
            _ => false,
        };
        if !again {
            let wrong = matches!(error.kind(), ErrorKind::ContentChanged | ErrorKind::IntegrityMismatch);
            // So that nothing changes any more when the error has arrived.
            part.settle(wrong).await;
            return Err(how.explain(error));
        }
        plan.reporter.attempt += 1;
        plan.reporter.report(0, Phase::Retrying { after: Duration::ZERO });
    }
}

async fn attempt(
    plan: &mut DownloadPlan<'_>,
    from: Option<Found>,
    origin: &Origin,
    part: &mut PartFile,
    target: &Path,
    how: &Saving,
) -> Result<Option<Downloaded>> {
    if how.parallel > 1 {
        // Not a part of what most downloads are.
        let ranges = Box::pin(begin_ranges(plan, from.as_ref())).await?;
        if let Some(ranges) = ranges {
            return Box::pin(by_ranges(plan, ranges, origin, part, target, how)).await.map(Some);
        }
    }
    by_stream(plan, from, origin, part, target, how).await
}

/// `None` where the server has no ranges.
async fn begin_ranges(plan: &mut DownloadPlan<'_>, from: Option<&Found>) -> Result<Option<Ranges>> {
    let from = from.map(|found| (found.etag.as_str(), found.at));
    let (transport, request) = (plan.transport.clone(), plan.request.clone());
    let asking = Asking { transport, request, size: Ranges::TO_FILE, has_room: false };
    let room = plan.room(1, DOWNLOAD_BUFFERS).await?;
    match (Ranges::begin(asking.clone(), from, None, room).await?, from) {
        // The server has another content by now, or no ranges.
        (None, Some(_)) => {
            let room = plan.room(1, DOWNLOAD_BUFFERS).await?;
            Ranges::begin(asking, None, None, room).await
        }
        (ranges, _) => Ok(ranges),
    }
}

async fn by_ranges(
    plan: &mut DownloadPlan<'_>,
    ranges: Ranges,
    origin: &Origin,
    part: &mut PartFile,
    target: &Path,
    how: &Saving,
) -> Result<Downloaded> {
    let info = ranges.info.clone();
    how.check_length(info.length)?;
    part.begin(how.record(origin, &info, true), ranges.at).await?;
    let resumed = ranges.at;
    let verified_sha256 = save_ranges(plan, ranges, part, how.parallel).await?;
    let size = info.length.unwrap_or(0);
    part.commit(how.accept, how.modified(&info)).await?;
    plan.reporter.done(size);
    let etag = origin.tag(&info, verified_sha256.as_deref());
    Ok(Downloaded { path: target.into(), size, resumed, verified_sha256, etag })
}

async fn by_stream(
    plan: &mut DownloadPlan<'_>,
    from: Option<Found>,
    origin: &Origin,
    part: &mut PartFile,
    target: &Path,
    how: &Saving,
) -> Result<Option<Downloaded>> {
    let from = match from {
        None => None,
        Some(found) => {
            let hasher = match plan.verify {
                false => None,
                true => Some(hashed(&found, &mut plan.reporter).await?),
            };
            Some(Resumed { etag: found.etag, length: found.length, at: found.at, hasher })
        }
    };
    let Some(mut body) = plan.begin(from).await? else { return Ok(None) };
    body.done_later();
    body.in_chunks();
    let (info, resumed) = (body.info().clone(), body.received());
    let written = async {
        how.check_length(info.length)?;
        part.begin(how.record(origin, &info, false), resumed).await?;
        while let Some(chunk) = body.next().await? {
            // Where nobody says how long it is, or says it wrongly.
            how.check_length(Some(body.received()))?;
            part.append(chunk).await?;
        }
        part.commit(how.accept, how.modified(&info)).await?;
        body.done();
        let verified_sha256 = body.verified_sha256().map(str::to_owned);
        let etag = origin.tag(&info, verified_sha256.as_deref());
        Ok(Some(Downloaded { path: target.into(), size: body.received(), resumed, verified_sha256, etag }))
    }
    .await;
    plan.reporter = body.into_reporter();
    written
}

/// Has seen what an earlier download left.
async fn hashed(found: &Found, reporter: &mut Reporter<'_>) -> Result<Hasher> {
    let mut hasher = Hasher::new();
    reporter.total = Some(found.length);
    let mut hashed = 0;
    while hashed < found.at {
        reporter.report(hashed, Phase::Hashing);
        (hasher, hashed) = hasher.file(&found.file, hashed, found.at).await.map_err(gone_bad)?;
    }
    reporter.report(hashed, Phase::Hashing);
    Ok(hasher)
}

/// What an earlier download left can't be read any more, which is as if the bytes were other ones: [`save`] starts over,
/// where each later download would fail as this one did.
pub(super) fn gone_bad(error: Error) -> Error {
    error.with_kind(ErrorKind::IntegrityMismatch)
}

/// `parallel(0)`.
pub(super) fn no_range() -> Error {
    Error::invalid_input("parallel", "at least one range has to be under way")
}

impl Saving {
    fn check(&self) -> Result<()> {
        if self.parallel == 0 { Err(no_range()) } else { Ok(()) }
    }

    /// What to note of a content, so that its part can be found and gone on with; `None` where it can't be. By ranges it is
    /// written with gaps.
    fn record(&self, origin: &Origin, info: &ContentInfo, by_ranges: bool) -> Option<Record> {
        let (etag, length) = (info.strong_etag()?, info.length?);
        let hashed = origin.tags_are_hashes && hash_in(etag).is_some();
        let worth = self.resume && length >= WORTH_KEEPING;
        let record = worth.then(|| Record::new(&origin.url, etag, length, hashed, by_ranges));
        record.filter(Record::can_be_noted)
    }

    /// Refuses a content that has more bytes than may come.
    fn check_length(&self, length: Option<u64>) -> Result<()> {
        match (self.most, length) {
            (Most::Asked(most) | Most::Listed(most), Some(length)) if length > most => Err(too_long(most)),
            _ => Ok(()),
        }
    }

    /// What is longer than a listing said is another content than was listed. To begin again would not make it shorter.
    fn explain(&self, error: Error) -> Error {
        match self.most {
            Most::Listed(size) if error.kind() == ErrorKind::PayloadTooLarge && error.status().is_none() => {
                let message = format!("the content has more than the {size} bytes that the listing said");
                Error::new(ErrorKind::ContentChanged, message).with_hint(
                    "It was replaced meanwhile: do it again, or say by each and max_bytes how long it may be",
                )
            }
            _ => error,
        }
    }

    fn modified(&self, info: &ContentInfo) -> Option<DateTime<Utc>> {
        info.last_modified.filter(|_| self.keep_modified)
    }
}

/// A content that is longer than the caller takes.
pub(super) fn too_long(most: u64) -> Error {
    Error::new(ErrorKind::PayloadTooLarge, format!("the content is longer than the limit of {most} bytes"))
        .with_hint("Raise the limit, or read it as a stream")
}

/// The setters of a builder with a field `saving: Saving`: `saves!(['a] DownloadFileTo<'a>, saving)`; with `@once`, of what
/// comes in one piece and can't be resumed.
macro_rules! saves {
    (@once [$($generics:tt)*] $builder:ty, $field:ident) => {
        impl<$($generics)*> $builder {
            /// Whether an existing target is replaced, by a file of the same permissions (Unix). It is, by default; else it is
            /// a `Conflict`.
            pub fn overwrite(mut self, overwrite: bool) -> Self {
                use $crate::transfer::Replaces::{File, Nothing};
                self.$field.replaces = if overwrite { File } else { Nothing };
                self
            }

            /// The most bytes that may come; any number by default. More are `PayloadTooLarge`: before anything is written
            /// where the server says the length, else when they have come. The target stays as it was.
            pub fn max_bytes(mut self, bytes: u64) -> Self {
                self.$field.most = $crate::transfer::Most::Asked(bytes);
                self
            }
        }
    };
    ([$($generics:tt)*] $builder:ty, $field:ident) => {
        $crate::transfer::saves!(@once [$($generics)*] $builder, $field);

        impl<$($generics)*> $builder {
            /// Whether it resumes what an earlier call has left, and leaves what a later one can resume. It does, by default.
            ///
            /// A crash may have damaged the part. So a resumed download is always checked against the ETag's SHA-256, where
            /// that is one; else only bytes that were synced are gone on with, and
            /// [`expect_sha256`](Self::expect_sha256) compares.
            pub fn resume(mut self, resume: bool) -> Self {
                self.$field.resume = resume;
                self
            }

            /// Starts over when the content is replaced while it is being read, instead of failing with `ContentChanged`: up to
            /// five times.
            pub fn restart_if_changed(mut self, restart: bool) -> Self {
                self.$field.restart_if_changed = restart;
                self
            }

            /// Gives the target the time of the content's last change (`Last-Modified`, to the second) instead of now.
            pub fn keep_modified(mut self, keep: bool) -> Self {
                self.$field.keep_modified = keep;
                self
            }

            /// Fetches so many ranges at once, over as many connections, each written to its place as it comes, and hashed in
            /// order behind them: for links where one connection does not fill the line. Every range is of the same ETag; a
            /// server without ranges sends it as one stream. Each counts as one of the client's
            /// [transfers](crate::ClientBuilder::max_transfers). Default 1; 0 is refused.
            pub fn parallel(mut self, ranges: usize) -> Self {
                self.$field.parallel = ranges;
                self
            }
        }
    };
}

pub(crate) use saves;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::parallel::follow;
    use super::*;

    #[tokio::test]
    async fn a_part_that_can_not_be_read_is_a_wrong_one() {
        let part = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(part.path(), [7; 1000]).unwrap();
        // A disk that has gone bad fails to read, too.
        let file = Arc::new(std::fs::OpenOptions::new().write(true).open(part.path()).unwrap());
        let found = Found { etag: "\"x\"".into(), hashed: true, length: 2000, at: 1000, file: file.clone() };
        let error = hashed(&found, &mut Reporter::default()).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::IntegrityMismatch, "{error:?}");
        for (from, kind) in [(1000, ErrorKind::IntegrityMismatch), (0, ErrorKind::Io)] {
            // What this download has written itself is another matter: to start over would not help.
            let (_reached, behind) = tokio::sync::watch::channel(1000);
            let error = follow(&file, behind, from, 2000).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error:?}");
        }
    }
}

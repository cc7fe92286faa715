//! `GET /api/buckets/{id}/zip`

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use http::{Method, StatusCode};

use super::Bucket;
use super::zip_directory::Directory;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{CallOptions, Request, awaitable};
use crate::transfer::{
    ContentInfo, Download, DownloadPlan, Downloaded, Reporter, Saving, reports_progress, save, saves, starts, unasked,
};

impl Bucket {
    /// All files of the bucket as a ZIP archive, made by the server on the way (public).
    ///
    /// Its length is not known beforehand, and it can't be resumed: a cut is an error, unless something between here and the
    /// server makes it look like the end. [`download_to`](DownloadZip::download_to) notices that too. The server can't make one
    /// for a bucket whose **name** has a non-ASCII or control character (surprise 7); the error says so.
    pub fn zip<'a>(&self) -> DownloadZip<'a> {
        DownloadZip { bucket: self.clone(), reporter: Reporter::default(), options: CallOptions::default() }
    }

    /// The headers of the archive alone.
    pub fn head_zip(&self) -> HeadZip {
        HeadZip { bucket: self.clone(), options: CallOptions::default() }
    }
}

/// Asks for a bucket's archive. Made by [`Bucket::zip`].
#[must_use = "nothing is sent until it is awaited"]
pub struct DownloadZip<'a> {
    bucket: Bucket,
    pub(super) reporter: Reporter<'a>,
    pub(super) options: CallOptions,
}

impl<'a> DownloadZip<'a> {
    /// Downloads it into a file, as [`File::download_to`](crate::File::download_to) does: the target is what it was, or
    /// complete. It comes in one piece, and what is cut begins anew.
    ///
    /// Since nothing says beforehand how long it will be, its end is looked at: an archive without the directory that ends
    /// every archive was cut on the way, and is `Interrupted`. The contents are not looked at: there is no hash of the whole to
    /// compare with, and each has its CRC-32, which whoever unpacks it compares.
    ///
    /// ```no_run
    /// # async fn f(bucket: carbonfiles::Bucket) -> carbonfiles::Result<()> {
    /// let done = bucket.zip().download_to("all.zip").overwrite(false).await?;
    /// println!("{} bytes", done.size);
    /// # Ok(()) }
    /// ```
    pub fn download_to(self, target: impl AsRef<Path>) -> DownloadZipTo<'a> {
        let (options, saving) = (self.options.clone(), Saving { accept: Some(whole), ..Saving::default() });
        DownloadZipTo { download: self, target: target.as_ref().to_owned(), saving, options }
    }

    fn plan(self) -> Result<Box<DownloadPlan<'a>>> {
        Ok(Box::new(DownloadPlan {
            transport: self.bucket.client.transport.clone(),
            request: request(Method::GET, &self.bucket, self.options)?,
            range: None,
            verify: false,
            sha256: None,
            anew: None,
            reporter: self.reporter,
        }))
    }

    async fn run(self) -> Result<Download<'a>> {
        let download = self.plan()?.start().await.map_err(explain)?;
        download.ok_or_else(unasked)
    }
}

reports_progress!(['a] DownloadZip<'a>, reporter);
awaitable!(DownloadZip<'a> => Download<'a>);

impl fmt::Debug for DownloadZip<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadZip").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

/// Downloads a bucket's archive into a file. Made by [`DownloadZip::download_to`].
#[must_use = "nothing is sent until it is awaited"]
pub struct DownloadZipTo<'a> {
    download: DownloadZip<'a>,
    target: PathBuf,
    saving: Saving,
    options: CallOptions,
}

impl DownloadZipTo<'_> {
    async fn run(mut self) -> Result<Downloaded> {
        self.download.options = self.options;
        save(self.download.plan()?, &self.target, &self.saving).await.map_err(explain)?.ok_or_else(unasked)
    }
}

saves!(@once ['a] DownloadZipTo<'a>, saving);
reports_progress!(['a] DownloadZipTo<'a>, download.reporter);
awaitable!(DownloadZipTo<'a> => Downloaded);
starts!(DownloadZipTo => Downloaded, download.reporter);

impl fmt::Debug for DownloadZipTo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadZipTo")
            .field("bucket", &self.download.bucket)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// Asks for the headers of a bucket's archive. Made by [`Bucket::head_zip`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct HeadZip {
    bucket: Bucket,
    options: CallOptions,
}

impl HeadZip {
    async fn run(self) -> Result<ContentInfo> {
        let request = request(Method::HEAD, &self.bucket, self.options)?;
        let answer = self.bucket.client.transport.send(request).await.map_err(explain)?;
        Ok(ContentInfo::of(answer.status, &answer.headers))
    }
}

awaitable!(HeadZip => ContentInfo);

fn request(method: Method, bucket: &Bucket, options: CallOptions) -> Result<Request> {
    Ok(Request::new(method, bucket.route("/zip")?).slow().lasting_500().options(options))
}

/// Refuses an archive that is not there to its end.
fn whole(archive: &File, length: u64) -> Result<()> {
    let exact = Directory::find(archive, length).and_then(|found| found.map_or(Ok(false), |it| it.is_exact(archive)));
    match exact {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::new(ErrorKind::Interrupted, "the archive has no end: it was cut on the way")),
        Err(cause) => Err(Error::io("the archive could not be read again", cause)),
    }
}

fn explain(error: Error) -> Error {
    if error.status() == Some(StatusCode::INTERNAL_SERVER_ERROR) && error.hint().is_none() {
        return error
            .with_hint("The server can't archive a bucket whose name has a non-ASCII character: rename it first");
    }
    error
}

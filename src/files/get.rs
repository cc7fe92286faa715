//! `GET /api/buckets/{id}/files/{path}`

use super::File;
use crate::buckets::none_where_not_found;
use crate::error::{Error, ErrorKind, Result};
use crate::file_path::FilePath;
use crate::http::{CallOptions, Request, awaitable};
use crate::models::{DirectoryListing, FileInfo};
use crate::paging::check_offset;

impl File {
    /// What the file is: size, type, hash, times (public). `NotFound` where there is none, and for directories.
    pub fn get(&self) -> GetFile {
        GetFile { file: self.clone(), options: CallOptions::default() }
    }

    /// As [`File::get`], where a file that is not there is `None`.
    pub fn get_opt(&self) -> GetFileOpt {
        GetFileOpt { file: self.clone(), options: CallOptions::default() }
    }
}

/// Asks what a file is. Made by [`File::get`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct GetFile {
    file: File,
    options: CallOptions,
}

impl GetFile {
    async fn run(mut self) -> Result<FileInfo> {
        let path = self.file.checked_path()?;
        self.file.client().transport.start(&mut self.options);
        match path.parent() {
            Some(parent) if path.shadows_operation() => self.find_in_listing(&path, &parent).await,
            _ => {
                let request = Request::get(self.file.route("")?).options(self.options);
                self.file.client().transport.send(request).await?.json()
            }
        }
    }

    /// The URL of a file named `…/content` or `…/verify` is taken for an operation on its folder (surprise 21), so it is
    /// looked up in the listing of that folder.
    async fn find_in_listing(&self, path: &FilePath, parent: &FilePath) -> Result<FileInfo> {
        const ROWS: u64 = 1000;
        let mut offset = 0_u64;
        loop {
            let request = Request::get(self.file.bucket.route("/ls")?)
                .unpaged()
                .query("path", parent.as_str())
                .query("limit", ROWS.to_string())
                .query("offset", offset.to_string())
                .options(self.options.clone());
            let listing: DirectoryListing = self.file.client().transport.send(request).await?.json()?;
            check_offset(offset, listing.offset)?;
            let came = listing.files.len() as u64;
            // `ls` matches more than it was asked for: other cases, and wildcards.
            if let Some(found) = listing.files.into_iter().find(|file| file.path == path.as_str()) {
                return Ok(found);
            }
            offset = offset.saturating_add(came);
            if came == 0 || offset >= listing.total_files {
                return Err(Error::new(ErrorKind::NotFound, "File not found"));
            }
        }
    }
}

awaitable!(GetFile => FileInfo);

/// Asks what a file is, if it is there. Made by [`File::get_opt`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct GetFileOpt {
    file: File,
    options: CallOptions,
}

impl GetFileOpt {
    async fn run(self) -> Result<Option<FileInfo>> {
        GetFile { file: self.file, options: self.options }.run().await.map(Some).or_else(none_where_not_found)
    }
}

awaitable!(GetFileOpt => Option<FileInfo>);

//! `GET /api/buckets/{id}/ls`

use std::cmp::Ordering;
use std::collections::BTreeSet;

use futures::TryStreamExt;

use super::Files;
use super::stable::{ListStable, literal};
use crate::error::Result;
use crate::http::{CallOptions, Request, awaitable};
use crate::models::{DirectoryListing, FileInfo, FileSort, Order};
use crate::paging::{Window, listing_setters};

impl Files {
    /// What lies directly in one directory: files, and the bare names of its folders (public). `""` is the root.
    /// 200 files by default, by name, and [`has_more`](DirectoryListing::has_more) tells of others; folders always come whole. A
    /// directory that is not there is empty.
    pub fn directory(&self, path: impl AsRef<str>) -> ListDirectory {
        ListDirectory {
            files: self.clone(),
            path: path.as_ref().trim_matches('/').to_owned(),
            window: Window::default(),
            sort: None,
            options: CallOptions::default(),
        }
    }
}

/// What lies in one directory. Made by [`Files::directory`].
///
/// The server ignores ASCII case here: files of another case are filtered out, but folders come as bare names, also those
/// of a directory that differs in case alone. A path with `_` or `%`, which it takes for wildcards, or with a character beyond
/// U+FFFF, behind which it cuts names at the wrong place, is answered from the stable listing.
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct ListDirectory {
    files: Files,
    path: String,
    window: Window,
    sort: Option<FileSort>,
    options: CallOptions,
}

listing_setters!(ListDirectory, FileSort);

impl ListDirectory {
    async fn run(mut self) -> Result<DirectoryListing> {
        let window = self.window.checked()?;
        self.files.client().transport.start(&mut self.options);
        if literal(&self.path) != self.path || self.path.chars().any(|c| c.len_utf16() > 1) {
            return self.gather_stable(window).await;
        }
        let request = Request::get(self.files.bucket.route("/ls")?)
            .query_opt("path", Some(&self.path).filter(|path| !path.is_empty()))
            .options(self.options);
        let request = window.apply(request, self.sort.map(|sort| (sort.as_str(), sort.natural_order()))).unpaged();
        let mut listing: DirectoryListing = self.files.client().transport.send(request).await?.json()?;
        listing.files.retain(|file| folder_of(&file.path) == self.path);
        Ok(listing)
    }

    async fn gather_stable(self, window: Window) -> Result<DirectoryListing> {
        let prefix = format!("{}/", self.path);
        let all = ListStable::new(self.files.clone(), None, self.options).prefix(&prefix);
        let (mut files, mut folders) = (Vec::new(), BTreeSet::new());
        let mut rows = all.items();
        while let Some(file) = rows.try_next().await? {
            match file.path[prefix.len()..].split_once('/') {
                Some((folder, _)) => drop(folders.insert(folder.to_owned())),
                None => files.push(file),
            }
        }
        let sort = self.sort.unwrap_or(FileSort::Name);
        let order = window.order.unwrap_or(sort.natural_order());
        files.sort_by(|a, b| match order {
            Order::Asc => compare(sort, a, b),
            Order::Desc => compare(sort, b, a),
        });
        let total = files.len() as u64;
        let limit = window.limit.unwrap_or(200);
        let files = files.into_iter().skip(window.offset as usize).take(limit as usize).collect();
        Ok(DirectoryListing {
            files,
            total_files: total,
            total_folders: folders.len() as u64,
            folders: folders.into_iter().collect(),
            limit,
            offset: window.offset,
            extra: Default::default(),
        })
    }
}

awaitable!(ListDirectory => DirectoryListing);

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn compare(sort: FileSort, a: &FileInfo, b: &FileInfo) -> Ordering {
    match sort {
        FileSort::Size => a.size.cmp(&b.size),
        FileSort::MimeType => a.mime_type.cmp(&b.mime_type),
        FileSort::CreatedAt => a.created_at.cmp(&b.created_at),
        FileSort::UpdatedAt => a.updated_at.cmp(&b.updated_at),
        FileSort::Name | FileSort::Path => a.path.cmp(&b.path),
    }
}

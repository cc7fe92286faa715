//! `GET /api/buckets/{id}/files?delimiter=…`: files and directories under a prefix.

use std::collections::{BTreeMap, HashSet};

use async_stream::try_stream;
use futures::StreamExt;
use futures::stream::{BoxStream, Fuse, FusedStream, TryStreamExt};
use serde::Serialize;

use super::Files;
use super::list::MOST_ROWS;
use super::stable::{ListStable, literal};
use crate::error::{Error, Result};
use crate::http::{CallOptions, Request, awaitable};
use crate::models::{DirectoryInfo, Extra, FileInfo, TreePage};
use crate::paging::{check_headway, no_headway};

impl Files {
    /// What lies directly under a prefix: files, and directories as paths up to the next delimiter (public).
    ///
    /// `.await` gives one page, as the server makes it: pages repeat directories and cut their counts.
    /// [`entries`](ListTree::entries) goes through all pages, and gives every file and directory once.
    pub fn tree(&self) -> ListTree {
        ListTree {
            files: self.clone(),
            prefix: String::new(),
            delimiter: "/".into(),
            limit: None,
            cursor: None,
            options: CallOptions::default(),
        }
    }
}

pub(super) fn tree_request(
    files: &Files,
    prefix: &str,
    delimiter: &str,
    limit: Option<u64>,
    cursor: Option<&str>,
    options: CallOptions,
) -> Result<Request> {
    let request = Request::get(files.bucket.route("/files")?)
        .query("delimiter", delimiter)
        .query_opt("prefix", Some(prefix).filter(|prefix| !prefix.is_empty()))
        .rows(limit.unwrap_or(100))
        .query_opt("limit", limit)
        .query_opt("cursor", cursor)
        .options(options);
    match cursor {
        Some(cursor) if !files.client().transport.fits(&request) => {
            Err(Error::invalid_input("cursor", format!("{cursor:?} is too long to list what comes behind it")))
        }
        _ => Ok(request),
    }
}

/// Files and directories under a prefix. Made by [`Files::tree`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct ListTree {
    files: Files,
    prefix: String,
    delimiter: String,
    limit: Option<u64>,
    cursor: Option<String>,
    options: CallOptions,
}

impl ListTree {
    /// Only what begins with this text, such as `docs/`. With `_` or `%` in it, for which the server finds nothing, the
    /// answer is gathered from the stable listing, and each page reads all of the prefix. Otherwise the server ignores ASCII
    /// case here; files of another case are filtered out, so that a page may be empty and not the last, but directories come
    /// in the case that was asked for, whether or not there are any.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// What ends a directory's name; `/` by default. It is not empty.
    pub fn delimiter(mut self, delimiter: impl Into<String>) -> Self {
        self.delimiter = delimiter.into();
        self
    }

    /// The most files per page; 100 by default for one page, 1,000 at most.
    pub fn limit(mut self, files: u64) -> Self {
        self.limit = Some(files);
        self
    }

    /// Goes on behind the page that gave this cursor.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    /// All files and directories under the prefix, to the end of the last page, each once.
    pub fn entries(self) -> ListTreeEntries {
        ListTreeEntries { tree: Some(self), running: None }
    }

    fn checked(&self) -> Result<()> {
        if self.limit == Some(0) {
            return Err(Error::invalid_input("limit", "a page has at least one row"));
        }
        if self.delimiter.is_empty() {
            return Err(Error::invalid_input("delimiter", "it is empty"));
        }
        Ok(())
    }

    async fn run(mut self) -> Result<TreePage> {
        self.checked()?;
        self.files.client().transport.start(&mut self.options);
        if literal(&self.prefix) != self.prefix {
            return self.gather_stable().await;
        }
        let limit = self.limit.map(|limit| limit.min(MOST_ROWS));
        let request =
            tree_request(&self.files, &self.prefix, &self.delimiter, limit, self.cursor.as_deref(), self.options)?;
        // Directories are not paged.
        let request = request.unpaged();
        let mut page: TreePage = self.files.client().transport.send(request).await?.json()?;
        let rows = page.files.iter().map(|file| file.path.as_str());
        check_headway(self.cursor.as_deref(), rows, page.cursor.as_deref())?;
        // Before the filter: a page may hold nothing but files of another case.
        if page.files.is_empty() && page.directories.is_empty() && page.cursor.is_some() {
            return Err(no_headway("a page without entries is said not to be the last"));
        }
        page.files.retain(|file| file.path.starts_with(&self.prefix));
        Ok(page)
    }

    /// A page as the server would make it, had it understood the prefix; its counts are whole.
    async fn gather_stable(self) -> Result<TreePage> {
        const ROWS: u64 = 100;
        let limit = self.limit.unwrap_or(ROWS).min(MOST_ROWS) as usize;
        let (mut files, mut total_files) = (Vec::new(), 0);
        let mut directories = BTreeMap::<String, (u64, u64)>::new();
        let mut rows = self.stable_rows();
        while let Some(file) = rows.try_next().await? {
            if let Some(directory) = self.directory_of(&file.path) {
                let (count, size) = directories.entry(directory).or_default();
                (*count, *size) = (*count + 1, size.saturating_add(file.size));
                continue;
            }
            total_files += 1;
            if files.len() < limit {
                files.push(file);
            }
        }
        let info =
            |(path, (file_count, total_size))| DirectoryInfo { path, file_count, total_size, extra: Extra::default() };
        let directories: Vec<_> = directories.into_iter().map(info).collect();
        Ok(TreePage {
            cursor: files.last().filter(|_| total_files > files.len() as u64).map(|last: &FileInfo| last.path.clone()),
            prefix: Some(self.prefix),
            delimiter: self.delimiter,
            total_directories: directories.len() as u64,
            directories,
            files,
            total_files,
            extra: Extra::default(),
        })
    }

    /// The files behind the cursor, by path, whatever lies between.
    fn stable_rows(&self) -> BoxStream<'static, Result<FileInfo>> {
        // In the largest windows: the limit is for the page that is made of them, which takes all of the prefix.
        let stable = ListStable::new(self.files.clone(), None, self.options.clone()).prefix(self.prefix.clone());
        let cursor = self.cursor.clone();
        let is_behind = move |file: &FileInfo| cursor.as_ref().is_none_or(|cursor| file.path > *cursor);
        stable.items().try_filter(move |file| std::future::ready(is_behind(file))).boxed()
    }

    /// The directory under the prefix that a path lies in, with the delimiter at its end.
    fn directory_of(&self, path: &str) -> Option<String> {
        let below = path.get(self.prefix.len()..)?;
        let end = below.find(&self.delimiter)? + self.delimiter.len();
        Some(format!("{}{}", self.prefix, &below[..end]))
    }

    fn server_entries(self) -> BoxStream<'static, Result<TreeEntry>> {
        Box::pin(try_stream! {
            let mut directories = HashSet::new();
            let mut cursor = self.cursor.clone();
            loop {
                let mut next = self.clone();
                (next.limit, next.cursor) = (Some(self.limit.unwrap_or(MOST_ROWS)), cursor.clone());
                let page = next.run().await?;
                for directory in page.directories {
                    if directories.insert(directory.path.clone()) {
                        yield TreeEntry::Directory(directory.path);
                    }
                }
                for file in page.files {
                    yield TreeEntry::File(file);
                }
                match page.cursor {
                    Some(next) => cursor = Some(next),
                    None => break,
                }
            }
        })
    }

    fn stable_entries(self) -> BoxStream<'static, Result<TreeEntry>> {
        Box::pin(try_stream! {
            let mut directories = HashSet::new();
            let mut files = self.stable_rows();
            while let Some(file) = files.try_next().await? {
                match self.directory_of(&file.path) {
                    Some(directory) => {
                        if directories.insert(directory.clone()) {
                            yield TreeEntry::Directory(directory);
                        }
                    }
                    None => yield TreeEntry::File(file),
                }
            }
        })
    }
}

awaitable!(ListTree => TreePage);

/// A file or a directory of a tree listing.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
#[non_exhaustive]
pub enum TreeEntry {
    /// A directory: its whole path, with the delimiter at its end.
    Directory(String),
    /// A file.
    File(FileInfo),
}

impl TreeEntry {
    /// The path of the file, or of the directory with the delimiter at its end.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Directory(path) => path,
            Self::File(file) => &file.path,
        }
    }
}

/// A tree listing to its end, as a stream of entries. Made by [`ListTree::entries`]. It ends after an error.
#[must_use = "a stream does nothing unless it is polled"]
pub struct ListTreeEntries {
    tree: Option<ListTree>,
    running: Option<Fuse<BoxStream<'static, Result<TreeEntry>>>>,
}

impl futures::Stream for ListTreeEntries {
    type Item = Result<TreeEntry>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        if let Some(tree) = self.tree.take() {
            let entries: BoxStream<'static, _> = match tree.checked() {
                Err(error) => Box::pin(futures::stream::once(std::future::ready(Err(error)))),
                Ok(()) if literal(&tree.prefix) != tree.prefix => tree.stable_entries(),
                Ok(()) => tree.server_entries(),
            };
            self.running = Some(entries.fuse());
        }
        match &mut self.running {
            Some(entries) => entries.poll_next_unpin(cx),
            None => std::task::Poll::Ready(None),
        }
    }
}

impl FusedStream for ListTreeEntries {
    fn is_terminated(&self) -> bool {
        self.running.as_ref().is_some_and(FusedStream::is_terminated)
    }
}

impl std::fmt::Debug for ListTreeEntries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListTreeEntries").finish_non_exhaustive()
    }
}

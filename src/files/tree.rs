//! `GET /api/buckets/{id}/files?delimiter=…`: files and directories under a prefix.

use std::collections::HashSet;

use async_stream::try_stream;
use futures::StreamExt;
use futures::stream::{BoxStream, TryStreamExt};

use super::Files;
use super::list::MOST_ROWS;
use super::stable::{ListStable, literal};
use crate::error::{Error, Result};
use crate::http::{CallOptions, Request, awaitable};
use crate::models::{FileInfo, TreePage};

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
    Ok(Request::get(files.bucket.route("/files")?)
        .query("delimiter", delimiter)
        .query_opt("prefix", Some(prefix).filter(|prefix| !prefix.is_empty()))
        .query_opt("limit", limit)
        .query_opt("cursor", cursor)
        .options(options))
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
    /// Only what begins with this text, such as `docs/`. The server ignores ASCII case here; files of another case are
    /// filtered out, but directories come in the case that was asked for, whether or not there are any.
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
    ///
    /// A prefix with `_` or `%`, for which the server finds nothing, is answered from the stable listing.
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

    async fn run(self) -> Result<TreePage> {
        self.checked()?;
        let limit = self.limit.map(|limit| limit.min(MOST_ROWS));
        let request =
            tree_request(&self.files, &self.prefix, &self.delimiter, limit, self.cursor.as_deref(), self.options)?;
        let mut page: TreePage = self.files.client().transport.send(request).await?.json()?;
        page.files.retain(|file| file.path.starts_with(&self.prefix));
        Ok(page)
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
                    Some(next) if Some(&next) != cursor.as_ref() => cursor = Some(next),
                    _ => break,
                }
            }
        })
    }

    fn stable_entries(self) -> BoxStream<'static, Result<TreeEntry>> {
        Box::pin(try_stream! {
            let mut directories = HashSet::new();
            let stable = ListStable::new(self.files.clone(), self.limit, self.options.clone()).prefix(self.prefix.clone());
            let mut files = stable.items();
            while let Some(file) = files.try_next().await? {
                if self.cursor.as_ref().is_some_and(|cursor| file.path <= *cursor) {
                    continue;
                }
                match file.path[self.prefix.len()..].find(&self.delimiter) {
                    Some(at) => {
                        let directory = file.path[..self.prefix.len() + at + self.delimiter.len()].to_owned();
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
#[derive(Debug, Clone, PartialEq)]
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
    running: Option<BoxStream<'static, Result<TreeEntry>>>,
}

impl futures::Stream for ListTreeEntries {
    type Item = Result<TreeEntry>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        if let Some(tree) = self.tree.take() {
            self.running = Some(match tree.checked() {
                Err(error) => Box::pin(futures::stream::once(std::future::ready(Err(error)))),
                Ok(()) if literal(&tree.prefix) != tree.prefix => tree.stable_entries(),
                Ok(()) => tree.server_entries(),
            });
        }
        match &mut self.running {
            Some(entries) => entries.poll_next_unpin(cx),
            None => std::task::Poll::Ready(None),
        }
    }
}

impl std::fmt::Debug for ListTreeEntries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListTreeEntries").finish_non_exhaustive()
    }
}

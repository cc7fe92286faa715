//! The listing that others' writes can't disturb.

use futures::stream::BoxStream;

use super::Files;
use super::list::MOST_ROWS;
use super::tree::tree_request;
use crate::error::{Error, Result};
use crate::http::{CallOptions, call_options};
use crate::models::{FileInfo, TreePage};
use crate::paging::{self, CursorPage, Lazy, Page, pages};

/// No stored path contains it, so a tree listing with it has no directories: it is all files by path, with a cursor.
pub(super) const NO_DELIMITER: &str = "//";

/// All files of a bucket by path, each exactly once, whatever others write meanwhile. A stream of pages, made by
/// [`ListAllFiles::stable`](super::ListAllFiles::stable).
///
/// A page's `total` is what is known so far: the server counts only some 10,000 rows ahead.
#[must_use = "a stream does nothing unless it is polled"]
pub struct ListStable {
    files: Files,
    prefix: String,
    limit: Option<u64>,
    options: CallOptions,
    state: Lazy<FileInfo>,
}

call_options!([] ListStable);

impl ListStable {
    pub(super) fn new(files: Files, limit: Option<u64>, options: CallOptions) -> Self {
        Self { files, prefix: String::new(), limit, options, state: Lazy::Idle }
    }

    /// Only files whose path begins with exactly this text.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The most rows per request; 1,000 by default and at most.
    pub fn limit(mut self, rows: u64) -> Self {
        self.limit = Some(rows);
        self
    }

    fn start(&self) -> BoxStream<'static, Result<Page<FileInfo>>> {
        if self.limit == Some(0) {
            let error = Error::invalid_input("limit", "a page has at least one row");
            return Box::pin(futures::stream::once(std::future::ready(Err(error))));
        }
        let limit = self.limit.unwrap_or(MOST_ROWS).min(MOST_ROWS);
        let (files, options, prefix) = (self.files.clone(), self.options.clone(), self.prefix.clone());
        paging::by_cursor(limit, move |cursor| {
            let (files, options, prefix) = (files.clone(), options.clone(), prefix.clone());
            async move {
                let request = |cursor: Option<&str>| {
                    tree_request(&files, literal(&prefix), NO_DELIMITER, Some(limit), cursor, options.clone())
                };
                let mut page: TreePage = files.client().transport.send(request(cursor.as_deref())?).await?.json()?;
                let rows = page.files.iter().map(|file| file.path.as_str());
                paging::check_headway(cursor.as_deref(), rows, page.cursor.as_deref())?;
                if page.files.is_empty() && page.cursor.is_some() {
                    return Err(paging::no_headway("a window without rows is said not to be the last"));
                }
                // A window ends where the next one can begin. Where there is no such place, asking for that one says why.
                let begins = |path: &str| request(Some(path)).is_ok();
                if page.cursor.as_deref().is_some_and(|cursor| !begins(cursor))
                    && let Some(last) = page.files.iter().rposition(|file| begins(&file.path))
                {
                    page.files.truncate(last + 1);
                    page.cursor = page.files.last().map(|file| file.path.clone());
                }
                let left = page.total_files;
                page.files.retain(|file| file.path.starts_with(&prefix));
                Ok(CursorPage { items: page.files, left, next: page.cursor })
            }
        })
    }
}

pages!(ListStable => FileInfo);

/// As much of a prefix as the server can match: it escapes `_` and `%` in a way that finds nothing (wire description
/// section 7).
pub(super) fn literal(prefix: &str) -> &str {
    &prefix[..prefix.find(['_', '%']).unwrap_or(prefix.len())]
}

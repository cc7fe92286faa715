//! `GET /api/buckets/{id}/files?delimiter=/`: one level of a tree, page by page.

use hyper::StatusCode;
use serde::Serialize;

use super::like;
use super::listing::LARGEST_PAGE;
use super::page;
use crate::http::exchange::Exchange;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};
use crate::state::bucket::{File, FileView};

#[derive(Serialize)]
struct Tree {
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    delimiter: String,
    directories: Vec<Directory>,
    files: Vec<FileView>,
    total_files: usize,
    total_directories: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

#[derive(Serialize)]
struct Directory {
    path: String,
    file_count: u64,
    total_size: u64,
}

pub(super) fn get(exchange: &Exchange, id: &str, delimiter: String) -> Result<Reply, Refusal> {
    let limit = exchange.query.number("limit")?.unwrap_or(100).clamp(1, LARGEST_PAGE);
    exchange.query.number("offset")?;
    let limit = usize::try_from(limit).unwrap_or(1);
    let prefix = exchange.query.text("prefix").filter(|prefix| !prefix.is_empty());
    let cursor = exchange.query.text("cursor").unwrap_or_default();
    let state = exchange.shared.state();
    let bucket = state.living_bucket(id, exchange.shared.now()).ok_or(Refusal::NotFound("Bucket not found"))?;

    let start = prefix.clone().unwrap_or_default();
    // The escapes are those of another database; here the brackets are literal and the wildcards still wild.
    let pattern = format!("{}%", start.replace('%', "[%]").replace('_', "[_]"));
    let by_like = state.defects.like_matching;
    let matches = |file: &&File| {
        if by_like { start.is_empty() || like::matches(&pattern, &file.path) } else { file.path.starts_with(&start) }
    };
    // So many rows are read for a page, and what lies behind them is not seen: counts of directories come out partial.
    let most_rows = limit * 10 + 100;
    let rows: Vec<&File> = bucket.files_after(&cursor).filter(matches).take(most_rows).collect();

    let mut tree = Tree {
        prefix,
        delimiter,
        directories: Vec::new(),
        files: Vec::new(),
        total_files: 0,
        total_directories: 0,
        cursor: None,
    };
    let units = start.encode_utf16().count();
    for file in &rows {
        tree.add(file, &start, units, limit);
    }
    tree.directories.sort_by(|a, b| page::ordinal(&a.path, &b.path));
    tree.total_directories = tree.directories.len();
    if rows.len() == most_rows || tree.total_files > tree.files.len() {
        let last_file = tree.files.last().map(|file| file.path.clone());
        tree.cursor = last_file.or_else(|| rows.last().map(|file| file.path.clone()));
    }
    Ok(reply::json(StatusCode::OK, &tree))
}

impl Tree {
    /// Directories are named after the prefix as requested, whatever the case of the files' own.
    fn add(&mut self, file: &File, start: &str, units: usize, limit: usize) {
        let rest = like::behind(&file.path, units);
        let Some(at) = rest.find(&self.delimiter) else {
            self.total_files += 1;
            if self.files.len() < limit {
                self.files.push(FileView::read_back(file));
            }
            return;
        };
        let path = format!("{start}{}", &rest[..at + self.delimiter.len()]);
        match self.directories.iter_mut().rev().find(|directory| directory.path == path) {
            Some(directory) => {
                directory.file_count += 1;
                directory.total_size += file.size;
            }
            None => self.directories.push(Directory { path, file_count: 1, total_size: file.size }),
        }
    }
}

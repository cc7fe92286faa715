//! `GET /api/buckets/{id}/ls`: one directory.

use std::collections::BTreeSet;

use hyper::StatusCode;
use serde::Serialize;

use super::like;
use super::listing::sort_files;
use super::page::Cut;
use crate::http::exchange::Exchange;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};
use crate::state::bucket::{File, FileView};

pub(super) fn get(exchange: &Exchange, id: &str) -> Result<Reply, Refusal> {
    #[derive(Serialize)]
    struct Directory<'a> {
        files: Vec<FileView>,
        folders: BTreeSet<&'a str>,
        total_files: usize,
        total_folders: usize,
        limit: i32,
        offset: i32,
    }
    let cut = Cut::asked(exchange, 200)?;
    let path = exchange.query.text("path").unwrap_or_default();
    let path = path.trim_matches('/');
    let state = exchange.shared.state();
    let bucket = state.living_bucket(id, exchange.shared.now()).ok_or(Refusal::NotFound("Bucket not found"))?;

    let start = if path.is_empty() { String::new() } else { format!("{path}/") };
    // Nothing is escaped here: `_` and `%` find more than they should, and what they find is cut at the wrong place.
    let pattern = format!("{start}%");
    let by_like = state.defects.like_matching;
    let units = start.encode_utf16().count();
    let (mut files, mut folders): (Vec<&File>, _) = (Vec::new(), BTreeSet::new());
    // By age, which is how equals come out of the database.
    for file in bucket.files_by_age() {
        let inside = if by_like { like::matches(&pattern, &file.path) } else { file.path.starts_with(&start) };
        if !inside {
            continue;
        }
        // The start was measured in UTF-16 units, and SQLite takes as many characters off.
        let rest = if by_like { like::behind_characters(&file.path, units) } else { &file.path[start.len()..] };
        match rest.split_once('/') {
            Some((folder, _)) => {
                folders.insert(folder);
            }
            None => files.push(file),
        }
    }
    let sort = exchange.query.text("sort").filter(|sort| !sort.is_empty()).unwrap_or_else(|| "name".to_owned());
    // Elsewhere everything but `asc` is descending; here everything but `desc` is ascending.
    let descending = exchange.query.text("order").is_some_and(|order| order.eq_ignore_ascii_case("desc"));
    sort_files(&mut files, &known_or_name(&sort.to_lowercase()), !descending);
    let total_files = files.len();
    let directory = Directory {
        files: cut.of(files, FileView::read_back),
        total_folders: folders.len(),
        folders,
        total_files,
        limit: cut.limit,
        offset: cut.offset,
    };
    Ok(reply::json(StatusCode::OK, &directory))
}

/// Unknown words sort by name here, not by age.
fn known_or_name(sort: &str) -> String {
    let known = ["name", "path", "size", "mime_type", "updated_at", "created_at"];
    if known.contains(&sort) { sort.to_owned() } else { "name".to_owned() }
}

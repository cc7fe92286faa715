//! `GET /api/buckets/{id}/files`: the flat list.

use hyper::StatusCode;

use super::page::{self, Cut, Page};
use crate::http::exchange::Exchange;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};
use crate::state::bucket::{Bucket, File, FileView};

/// The most a page has; asking for more is no error.
pub(super) const LARGEST_PAGE: i32 = 1000;

pub(super) fn get(exchange: &Exchange, id: &str) -> Result<Reply, Refusal> {
    let asked = Cut::asked(exchange, 50)?;
    let cut = Cut { limit: asked.limit.clamp(1, LARGEST_PAGE), offset: asked.offset.max(0) };
    let state = exchange.shared.state();
    let bucket = state.living_bucket(id, exchange.shared.now()).ok_or(Refusal::NotFound("Bucket not found"))?;
    let files = sorted(bucket, &page::sort(exchange), page::ascending(exchange));
    let items = cut.of(files, FileView::read_back);
    let total = usize::try_from(bucket.file_count()).unwrap_or(usize::MAX);
    Ok(reply::json(StatusCode::OK, &Page { items, total, limit: cut.limit, offset: cut.offset }))
}

/// All files in the order asked for. The default order and that of paths are at hand, whatever the number of files.
fn sorted<'a>(bucket: &'a Bucket, sort: &str, ascending: bool) -> Box<dyn Iterator<Item = &'a File> + 'a> {
    let mut files: Vec<&File> = match (sort, ascending) {
        ("path", true) => return Box::new(bucket.files()),
        ("name" | "size" | "mime_type" | "updated_at" | "path", _) => bucket.files_by_age().collect(),
        (_, true) => return Box::new(bucket.files_by_age()),
        (_, false) => return Box::new(bucket.files_by_age().rev()),
    };
    sort_files(&mut files, sort, ascending);
    Box::new(files.into_iter())
}

/// Sorts by one of the words that lists of files know.
pub(super) fn sort_files(files: &mut [&File], sort: &str, ascending: bool) {
    page::sort_by(files, ascending, |a, b| match sort {
        "name" => a.name().cmp(b.name()),
        "path" => a.path.cmp(&b.path),
        "size" => a.size.cmp(&b.size),
        "mime_type" => a.mime_type.cmp(b.mime_type),
        "updated_at" => a.updated_at.cmp(&b.updated_at),
        _ => a.created_at.cmp(&b.created_at).then(a.row.cmp(&b.row)),
    });
}

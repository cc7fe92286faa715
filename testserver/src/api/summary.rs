//! `GET /api/buckets/{id}/summary`

use std::fmt::Write as _;

use hyper::Response;
use hyper::header::CONTENT_TYPE;

use crate::http::exchange::Exchange;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};
use crate::http::reply_body::ReplyBody;
use crate::state::bucket::Bucket;

/// Plain text, without a charset.
pub(super) fn get(exchange: &Exchange, id: &str) -> Result<Reply, Refusal> {
    let state = exchange.shared.state();
    let bucket = state.living_bucket(id, exchange.shared.now()).ok_or(Refusal::NotFound("Bucket not found"))?;
    let mut reply = Response::new(ReplyBody::whole(text(bucket)));
    reply.headers_mut().insert(CONTENT_TYPE, reply::text("text/plain"));
    Ok(reply)
}

fn text(bucket: &Bucket) -> String {
    let expires = bucket.expires_at.map_or_else(|| "never".to_owned(), |at| at.format("%Y-%m-%d").to_string());
    let mut text = format!(
        "Bucket: {}\nOwner: {}\nFiles: {} ({})\nCreated: {}\nExpires: {expires}\n\nFiles:\n",
        bucket.name,
        bucket.owner,
        bucket.file_count(),
        size(bucket.total_size()),
        bucket.created_at.format("%Y-%m-%d"),
    );
    for file in bucket.files() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {} ({})", file.path, size(file.size));
    }
    text
}

/// `1023 B`, `1.5 KB`, `1.1 MB`
fn size(bytes: u64) -> String {
    const UNITS: [&str; 3] = ["KB", "MB", "GB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    // .NET's F1 rounds what lies exactly between away from zero, as `round` does; `{:.1}` would take the even digit. The
    // product is exact: a whole number of bytes, divided by a power of two.
    format!("{:.1} {}", (size * 10.0).round() / 10.0, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_written_as_recorded() {
        let written: Vec<String> = [0, 1023, 1536, 1_153_434].into_iter().map(size).collect();
        assert_eq!(written, ["0 B", "1023 B", "1.5 KB", "1.1 MB"]);
    }

    #[test]
    fn ties_are_rounded_away_from_zero() {
        // 1.25 and 1.75 exactly; the neighbours of the first are none.
        let written: Vec<String> = [1280, 1279, 1792, 1_310_720, 1_342_177_280].into_iter().map(size).collect();
        assert_eq!(written, ["1.3 KB", "1.2 KB", "1.8 KB", "1.3 MB", "1.3 GB"]);
    }
}

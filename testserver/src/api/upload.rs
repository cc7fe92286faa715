//! `POST …/upload` and `PUT …/upload/stream`

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use serde::Serialize;

use super::buckets;
use crate::content::{Blob, BlobWriter, Hash};
use crate::http::disposition::Names;
use crate::http::exchange::Exchange;
use crate::http::multipart::{self, Multipart};
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};
use crate::http::target::escape_segment;
use crate::hub::event::Event;
use crate::shared::Shared;
use crate::state::bucket::FileView;
use crate::state::upload::Stored;

#[derive(Serialize)]
struct Uploaded {
    uploaded: Vec<FileView>,
}

/// The bucket, from the cache like its detail, and then who may write: in this order.
fn admit(exchange: &Exchange, id: &str) -> Result<Option<String>, Refusal> {
    let now = exchange.shared.now();
    let found = buckets::detail(&mut exchange.shared.state(), id, false, now);
    found.ok_or(Refusal::NotFound("Bucket not found"))?;
    exchange.writer(id)
}

/// Takes the whole request body in.
pub(super) async fn take_in(exchange: &mut Exchange) -> Result<(Hash, Blob), Refusal> {
    let mut writer = BlobWriter::new(&exchange.shared.vault);
    while let Some(bytes) = exchange.body.chunk().await? {
        writer.write(&bytes).await.map_err(|_| Refusal::Unhandled)?;
    }
    writer.finish().await.map_err(|_| Refusal::Unhandled)
}

/// `PUT …/upload/stream?filename=`
pub(super) async fn stream(exchange: &mut Exchange, id: &str) -> Result<Reply, Refusal> {
    let token = admit(exchange, id)?;
    let filename = exchange.query.first("filename").filter(|name| !name.is_empty());
    let filename = filename.ok_or_else(|| Refusal::invalid("filename query parameter is required"))?;
    let path = stored_path(filename)?;
    let _uploading = exchange.shared.uploading();
    let mut arrival = exchange.shared.state().arrive(id, path.clone());
    let (hash, blob) = take_in(exchange).await?;
    exchange.shared.state().has_read(&mut arrival);
    exchange.shared.commit_time().await;
    let stored = {
        let mut state = exchange.shared.state();
        let stored = state.commit(&arrival, hash, blob, exchange.shared.now())?;
        if let Some(token) = token {
            state.charge_token(&token, 1);
        }
        stored
    };
    let view = announced(&exchange.shared, id, stored).await;
    let location = location(id, &path, exchange.shared.defects().unsendable_location)?;
    let mut reply = reply::json(StatusCode::CREATED, &Uploaded { uploaded: vec![view] });
    reply.headers_mut().insert(LOCATION, location);
    Ok(reply)
}

/// Tells the hub of a file that was stored.
async fn announced(shared: &Shared, id: &str, stored: Stored) -> FileView {
    shared.hub.publish(Event::stored(id, &stored.view, stored.new)).await;
    stored.view
}

/// The path as it is, not percent-encoded: what no header can carry is a 500, though the file is stored.
fn location(id: &str, path: &str, fails: bool) -> Result<HeaderValue, Refusal> {
    let raw = format!("/api/buckets/{id}/files/{path}");
    if is_sendable(&raw) {
        return HeaderValue::try_from(raw).map_err(|_| Refusal::Unhandled);
    }
    if fails {
        return Err(Refusal::Unhandled);
    }
    let segments: Vec<String> = path.split('/').map(escape_segment).collect();
    HeaderValue::try_from(format!("/api/buckets/{id}/files/{}", segments.join("/"))).map_err(|_| Refusal::Unhandled)
}

/// Whether Kestrel sends a header of this value: printable ASCII and tabs.
pub(super) fn is_sendable(value: &str) -> bool {
    value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'))
}

/// `POST …/upload`. Not atomic: what was stored before a refusal stays.
pub(super) async fn multipart(exchange: &mut Exchange, id: &str) -> Result<Reply, Refusal> {
    let token = admit(exchange, id)?;
    let boundary = multipart::boundary(exchange.header(CONTENT_TYPE).unwrap_or_default())?;
    let shared = std::sync::Arc::clone(&exchange.shared);
    let _uploading = shared.uploading();
    let mut parts = Multipart::new(&mut exchange.body, &boundary);
    let mut uploaded = Vec::new();
    while let Some(disposition) = parts.next_part().await? {
        let Some(names) = disposition.as_deref().and_then(Names::parse) else {
            continue;
        };
        let Some(path) = part_path(names)? else {
            continue;
        };
        let mut arrival = shared.state().arrive(id, stored_path(&path)?);
        let mut writer = BlobWriter::new(&shared.vault);
        while let Some(bytes) = parts.chunk().await? {
            writer.write(&bytes).await.map_err(|_| Refusal::Unhandled)?;
        }
        let (hash, blob) = writer.finish().await.map_err(|_| Refusal::Unhandled)?;
        shared.state().has_read(&mut arrival);
        shared.commit_time().await;
        let stored = shared.state().commit(&arrival, hash, blob, shared.now())?;
        uploaded.push(announced(&shared, id, stored).await);
    }
    if let Some(token) = token.filter(|_| !uploaded.is_empty()) {
        exchange.shared.state().charge_token(&token, uploaded.len());
    }
    let mut reply = reply::json(StatusCode::CREATED, &Uploaded { uploaded });
    if let Ok(location) = HeaderValue::try_from(format!("/api/buckets/{id}/files")) {
        reply.headers_mut().insert(LOCATION, location);
    }
    Ok(reply)
}

/// Field names whose path is the file name.
const GENERIC: [&str; 5] = ["file", "files", "upload", "uploads", "blob"];

/// The path of a part that is a file: its field name, unless that is a generic one. `None` for other parts.
fn part_path(names: Names) -> Result<Option<String>, Refusal> {
    let Some(filename) = names.filename else {
        return Ok(None);
    };
    let generic = names.name.as_deref().is_some_and(|name| GENERIC.iter().any(|word| word.eq_ignore_ascii_case(name)));
    let path = if generic { Some(filename) } else { names.name };
    let path = path.filter(|path| !path.trim().is_empty());
    path.map(Some).ok_or_else(|| Refusal::invalid("File path could not be determined"))
}

/// The path as it is stored: backslashes are slashes, superfluous slashes go, dot and blank segments are refused.
fn stored_path(path: &str) -> Result<String, Refusal> {
    let path = path.replace('\\', "/");
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let refused = |segment: &&str| matches!(*segment, "." | "..") || segment.trim().is_empty();
    if segments.is_empty() || segments.iter().any(refused) {
        return Err(Refusal::invalid("Invalid file path"));
    }
    Ok(segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_recorded() {
        for (given, stored) in [
            ("C:\\tmp\\w.txt", Some("C:/tmp/w.txt")),
            ("//lead//x.txt/", Some("lead/x.txt")),
            (" sp .txt ", Some(" sp .txt ")),
            ("...", Some("...")),
            ("../evil", None),
            ("./a", None),
            ("a/ /b", None),
            (" ", None),
            ("/", None),
        ] {
            assert_eq!(stored_path(given).ok().as_deref(), stored, "{given}");
        }
    }

    #[test]
    fn the_field_name_is_the_path_unless_it_is_generic() {
        let path = |name: Option<&str>, filename: Option<&str>| {
            part_path(Names { name: name.map(str::to_owned), filename: filename.map(str::to_owned) })
        };
        assert_eq!(path(Some("BLOB"), Some("a.txt")), Ok(Some("a.txt".to_owned())));
        assert_eq!(path(Some("file[]"), Some("a.txt")), Ok(Some("file[]".to_owned())));
        assert_eq!(path(Some("cust.txt"), Some("")), Ok(Some("cust.txt".to_owned())));
        assert_eq!(path(Some("note"), None), Ok(None));
        let undetermined = Refusal::invalid("File path could not be determined");
        assert_eq!(path(Some("file"), Some("")), Err(undetermined.clone()));
        assert_eq!(path(None, Some("a.txt")), Err(undetermined));
    }

    #[test]
    fn a_location_is_sent_raw_or_not_at_all() {
        assert_eq!(location("b", "sp ace#?.txt", true).unwrap(), "/api/buckets/b/files/sp ace#?.txt");
        assert_eq!(location("b", "a\nb", true), Err(Refusal::Unhandled));
        assert_eq!(location("b", "ü/ä b", false).unwrap(), "/api/buckets/b/files/%C3%BC/%C3%A4%20b");
    }
}

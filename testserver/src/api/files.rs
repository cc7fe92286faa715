//! Metadata, verification and deletion of a file.

use hyper::StatusCode;
use serde::Serialize;

use crate::content::hex;
use crate::http::exchange::Exchange;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};
use crate::hub::event::Event;
use crate::state::bucket::{File, FileView};

const NO_BUCKET: Refusal = Refusal::NotFound("Bucket not found");
const NO_FILE: Refusal = Refusal::NotFound("File not found");

/// A file of a bucket that has not expired, as the server remembers it.
pub(super) fn remembered(exchange: &Exchange, id: &str, path: &str) -> Result<File, Refusal> {
    let (mut state, now) = (exchange.shared.state(), exchange.shared.now());
    state.living_bucket(id, now).ok_or(NO_BUCKET)?;
    state.remembered_file(id, path, now).ok_or(NO_FILE)
}

/// Notes on an answer what was read for it.
pub(super) fn mark(reply: &mut Reply, id: &str, path: &str) {
    reply.extensions_mut().insert(RowOf(id.to_owned(), path.to_owned()));
}

/// Whose row was read for an answer.
#[derive(Clone, Debug)]
pub(crate) struct RowOf(pub(crate) String, pub(crate) String);

/// A file of a bucket that has not expired.
pub(super) fn find(exchange: &Exchange, id: &str, path: &str) -> Result<File, Refusal> {
    let state = exchange.shared.state();
    let bucket = state.living_bucket(id, exchange.shared.now()).ok_or(NO_BUCKET)?;
    bucket.file(path).cloned().ok_or(NO_FILE)
}

/// `GET …/files/{path}`
pub(super) fn metadata(exchange: &Exchange, id: &str, path: &str) -> Result<Reply, Refusal> {
    let mut reply = reply::json(StatusCode::OK, &FileView::read_back(&remembered(exchange, id, path)?));
    mark(&mut reply, id, path);
    Ok(reply)
}

/// `GET …/files/{path}/verify`: hashes the stored bytes again.
pub(super) async fn verify(exchange: &Exchange, id: &str, path: &str) -> Result<Reply, Refusal> {
    #[derive(Serialize)]
    struct Verified<'a> {
        path: &'a str,
        stored_hash: String,
        computed_hash: String,
        valid: bool,
    }
    let file = find(exchange, id, path)?;
    let blob = exchange.shared.state().contents.blob(&file.hash);
    let stored_hash = hex(&file.hash);
    // Bytes that are missing have an empty hash.
    let computed_hash = match blob {
        Some(blob) => hex(&blob.rehash().await.map_err(|_| Refusal::Unhandled)?),
        None => String::new(),
    };
    let valid = stored_hash == computed_hash;
    Ok(reply::json(StatusCode::OK, &Verified { path: &file.path, stored_hash, computed_hash, valid }))
}

/// `DELETE …/files/{path}`. The path is taken whole; somebody else's file is not found.
pub(super) async fn delete(exchange: &Exchange, id: &str, path: &str) -> Result<Reply, Refusal> {
    let now = exchange.shared.now();
    exchange.shared.state().living_bucket(id, now).ok_or(NO_BUCKET)?;
    let caller = exchange.authenticated()?;
    let file = {
        let mut state = exchange.shared.state();
        let bucket = state.living_bucket(id, now).ok_or(NO_BUCKET)?;
        if !caller.owns(bucket) {
            return Err(NO_FILE);
        }
        state.remove_file(id, path).ok_or(NO_FILE)?
    };
    // Whatever is remembered is forgotten after it was told, also where the client has gone meanwhile.
    let _forget = exchange.shared.at_the_end(|state| {
        state.forget_file(id, &file, now);
        state.caches.forget_details(id);
    });
    exchange.shared.hub.publish(Event::file_deleted(id, path)).await;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

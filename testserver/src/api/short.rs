//! Short URLs: `GET /s/{code}` and `DELETE /api/short/{code}`

use hyper::StatusCode;
use hyper::header::{HeaderValue, LOCATION};

use crate::http::exchange::Exchange;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};
use crate::http::target::escape_segment;
use crate::state::cache::{Cached, DETAIL};

/// `GET /s/{code}`. What was resolved once is remembered, even when the file goes.
pub(super) fn resolve(exchange: &Exchange, code: &str) -> Result<Reply, Refusal> {
    let now = exchange.shared.now();
    let mut state = exchange.shared.state();
    let cached = state.caches.codes.get(code).and_then(|cached| cached.at(now)).cloned();
    let (bucket_id, path) = match cached {
        Some(target) => target,
        None => {
            let target = state.code(code).cloned().ok_or(Refusal::Nothing)?;
            state.living_bucket(&target.0, now).ok_or(Refusal::Nothing)?;
            if state.defects.stale_short_urls {
                state.caches.codes.insert(code.to_owned(), Cached::until(now + DETAIL, target.clone()));
            }
            target
        }
    };
    let segments: Vec<String> = path.split('/').map(escape_segment).collect();
    let location = format!("/api/buckets/{bucket_id}/files/{}/content", segments.join("/"));
    let mut reply = reply::empty(StatusCode::FOUND);
    reply.headers_mut().insert(LOCATION, HeaderValue::try_from(location).map_err(|_| Refusal::Unhandled)?);
    Ok(reply)
}

/// `DELETE /api/short/{code}`. The file goes on showing the dead code.
pub(super) fn delete(exchange: &Exchange, code: &str) -> Result<Reply, Refusal> {
    let caller = exchange.authenticated()?;
    let mut state = exchange.shared.state();
    let (bucket_id, _) = state.code(code).ok_or(Refusal::Nothing)?;
    state.bucket(bucket_id).filter(|bucket| caller.owns(bucket)).ok_or(Refusal::Nothing)?;
    state.remove_code(code);
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

//! `POST /api/buckets/{id}/tokens`

use chrono::TimeDelta;
use hyper::StatusCode;
use hyper::header::{HeaderValue, LOCATION};
use serde::Serialize;

use super::expiry::{self, Expiry};
use crate::http::binding;
use crate::http::exchange::Exchange;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};
use crate::stamp;
use crate::state::tokens::UploadToken;

/// Expired buckets get tokens too; `never` is silently a day.
pub(super) async fn create(exchange: &mut Exchange, id: &str) -> Result<Reply, Refusal> {
    #[derive(Serialize)]
    struct Created<'a> {
        token: String,
        bucket_id: &'a str,
        expires_at: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        max_uploads: Option<i32>,
        uploads_used: i64,
    }
    let members = binding::optional(exchange).await?.unwrap_or_default();
    let (expires_in, max_uploads) = (members.text("expires_in")?, members.number("max_uploads")?);
    let caller = exchange.authenticated()?;
    let now = exchange.shared.now();
    let mut state = exchange.shared.state();
    if !state.bucket(id).is_some_and(|bucket| caller.owns(bucket)) {
        return Err(Refusal::NotFound("Bucket not found or access denied"));
    }
    let (moment, stamp) = match expires_in.map(|text| expiry::parse(&text, now)).transpose()? {
        Some(expiry @ Expiry::At(parsed)) => (parsed.moment, expiry.stamp().unwrap_or_default()),
        None | Some(Expiry::Never) => (now + TimeDelta::days(1), stamp::zoned(now + TimeDelta::days(1))),
    };
    let token = crate::ids::upload_token();
    let stored = UploadToken { bucket_id: id.to_owned(), expires_at: moment, max_uploads, uploads_used: 0 };
    state.tokens.insert(token.clone(), stored);
    state.caches.stats = None;
    let created = Created { token, bucket_id: id, expires_at: stamp, max_uploads, uploads_used: 0 };
    let mut reply = reply::json(StatusCode::CREATED, &created);
    if let Ok(location) = HeaderValue::try_from(format!("/api/buckets/{id}/tokens")) {
        reply.headers_mut().insert(LOCATION, location);
    }
    Ok(reply)
}

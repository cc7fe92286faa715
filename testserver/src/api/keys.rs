//! `/api/keys`

use hyper::header::LOCATION;
use hyper::{StatusCode, header::HeaderValue};
use serde::Serialize;

use super::page::{self, Cut, Page};
use crate::http::binding;
use crate::http::exchange::Exchange;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};
use crate::stamp;
use crate::state::State;
use crate::state::bucket::{Bucket, BucketView};
use crate::state::keys::ApiKey;

/// `POST /api/keys`: the only time the whole key is shown.
pub(super) async fn create(exchange: &mut Exchange) -> Result<Reply, Refusal> {
    #[derive(Serialize)]
    struct Created {
        key: String,
        prefix: String,
        name: String,
        created_at: String,
    }
    let name = binding::required(exchange).await?.required_text("name")?;
    exchange.admin()?;
    let name = name.filter(|name| !name.trim().is_empty()).ok_or_else(|| Refusal::invalid("Name is required"))?;
    let key = exchange.shared.state().keys.create(name, exchange.shared.now());
    let location = format!("/api/keys/{}", key.prefix);
    let created =
        Created { key: key.key, prefix: key.prefix, name: key.name, created_at: stamp::zoned(key.created_at) };
    let mut reply = reply::json(StatusCode::CREATED, &created);
    if let Ok(location) = HeaderValue::try_from(location) {
        reply.headers_mut().insert(LOCATION, location);
    }
    Ok(reply)
}

/// A key and what was made with it.
#[derive(Serialize)]
struct KeyView {
    prefix: String,
    name: String,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<String>,
    bucket_count: u64,
    file_count: u64,
    total_size: u64,
}

impl KeyView {
    fn new(state: &State, key: &ApiKey) -> Self {
        let mut view = Self {
            prefix: key.prefix.clone(),
            name: key.name.clone(),
            created_at: stamp::bare(key.created_at),
            last_used_at: key.last_used_at.map(stamp::bare),
            bucket_count: 0,
            file_count: 0,
            total_size: 0,
        };
        for bucket in made_with(state, key) {
            view.bucket_count += 1;
            view.file_count += bucket.file_count();
            view.total_size += bucket.total_size();
        }
        view
    }
}

/// By the prefix of the key, not by its name; expired buckets too.
fn made_with<'a>(state: &'a State, key: &'a ApiKey) -> impl Iterator<Item = &'a Bucket> {
    state.buckets().filter(|bucket| bucket.owner_prefix.as_ref() == Some(&key.prefix))
}

/// `GET /api/keys`
pub(super) fn list(exchange: &Exchange) -> Result<Reply, Refusal> {
    let cut = Cut::asked(exchange, 50)?;
    exchange.admin()?;
    let state = exchange.shared.state();
    let mut keys: Vec<(&ApiKey, KeyView)> =
        state.keys.all().iter().map(|key| (key, KeyView::new(&state, key))).collect();
    let sort = page::sort(exchange);
    page::sort_by(&mut keys, page::ascending(exchange), |(a, a_view), (b, b_view)| match sort.as_str() {
        "name" => a.name.cmp(&b.name),
        "last_used_at" => a.last_used_at.cmp(&b.last_used_at),
        "total_size" => a_view.total_size.cmp(&b_view.total_size),
        _ => a.created_at.cmp(&b.created_at),
    });
    let total = keys.len();
    // This one is sorted and cut in memory, where a negative limit takes nothing.
    let limit = if sort == "total_size" { cut.limit.max(0) } else { cut.limit };
    let items = Cut { limit, ..cut }.of(keys, |(_, view)| view);
    Ok(reply::json(StatusCode::OK, &Page { items, total, limit: cut.limit, offset: cut.offset }))
}

/// `GET /api/keys/{prefix}/usage`
pub(super) fn usage(exchange: &Exchange, prefix: &str) -> Result<Reply, Refusal> {
    #[derive(Serialize)]
    struct Usage {
        #[serde(flatten)]
        key: KeyView,
        /// Nothing counts downloads.
        total_downloads: u64,
        buckets: Vec<BucketView>,
    }
    exchange.admin()?;
    let state = exchange.shared.state();
    let key = state.keys.by_prefix(prefix).ok_or(Refusal::NotFound("API key not found"))?;
    let buckets = made_with(&state, key).map(BucketView::read_back).collect();
    Ok(reply::json(StatusCode::OK, &Usage { key: KeyView::new(&state, key), total_downloads: 0, buckets }))
}

/// `DELETE /api/keys/{prefix}`
pub(super) fn revoke(exchange: &Exchange, prefix: &str) -> Result<Reply, Refusal> {
    exchange.admin()?;
    let mut state = exchange.shared.state();
    let revoked = state.keys.revoke(prefix).ok_or(Refusal::NotFound("API key not found"))?;
    if !state.defects.revoked_keys_live_on {
        state.caches.keys.remove(&revoked.key);
    }
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

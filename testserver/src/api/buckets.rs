//! `/api/buckets` and `/api/buckets/{id}`

use std::cmp::Ordering;

use chrono::{DateTime, TimeDelta, Utc};
use hyper::StatusCode;
use hyper::header::{HeaderValue, LOCATION};

use super::expiry::{self, Expiry};
use super::page::{self, Cut, Page};
use crate::dotnet_date::Parsed;
use crate::http::binding;
use crate::http::exchange::Exchange;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};
use crate::hub::event::{Changes, Event};
use crate::identity::Caller;
use crate::stamp;
use crate::state::State;
use crate::state::bucket::{Bucket, BucketView, FileView, NewBucket};
use crate::state::cache::BucketDetail;

const NOT_FOUND: Refusal = Refusal::NotFound("Bucket not found");
const DEFAULT_LIFE: TimeDelta = TimeDelta::days(7);
/// The server reads its clock for the expiry first, and for `created_at` up to 12 µs later (exchanges 144, 146, 821).
const BETWEEN_CLOCKS: TimeDelta = TimeDelta::microseconds(1);
/// How many files `include=files` gives.
const INCLUDED_FILES: usize = 100;

/// `POST /api/buckets`
pub(super) async fn create(exchange: &mut Exchange) -> Result<Reply, Refusal> {
    let members = binding::required(exchange).await?;
    let name = members.required_text("name")?;
    let description = members.text("description")?;
    let expires_in = members.text("expires_in")?;
    let caller = exchange.authenticated()?;
    let name = name.filter(|name| !name.trim().is_empty()).ok_or_else(|| Refusal::invalid("Name is required"))?;
    let created_at = exchange.shared.now();
    let before = created_at - BETWEEN_CLOCKS;
    let expiry = match expires_in {
        None => Expiry::At(Parsed { moment: before + DEFAULT_LIFE, has_zone: true }),
        Some(text) => expiry::parse(&text, before)?,
    };
    let owner_prefix = match &caller {
        Caller::Key { prefix, .. } => Some(prefix.clone()),
        Caller::Admin | Caller::Nobody => None,
    };
    let row = exchange.shared.state().next_row();
    let owner = caller.owner().to_owned();
    let expires_at = expiry.moment();
    let bucket = Bucket::new(row, NewBucket { name, owner, owner_prefix, description, created_at, expires_at });
    let view = BucketView {
        created_at: stamp::zoned(created_at),
        expires_at: expiry.stamp(),
        ..BucketView::read_back(&bucket)
    };
    let location = HeaderValue::try_from(format!("/api/buckets/{}", bucket.id));
    exchange.shared.state().insert_bucket(bucket);
    exchange.shared.hub.publish(Event::bucket_created(&view)).await;
    let mut reply = reply::json(StatusCode::CREATED, &view);
    if let Ok(location) = location {
        reply.headers_mut().insert(LOCATION, location);
    }
    Ok(reply)
}

/// `GET /api/buckets`
pub(super) fn list(exchange: &Exchange) -> Result<Reply, Refusal> {
    let cut = Cut::asked(exchange, 50)?;
    let include_expired = exchange.query.truth("include_expired")?.unwrap_or(false);
    let caller = exchange.authenticated()?;
    let include_expired = include_expired && caller == Caller::Admin;
    let now = exchange.shared.now();
    let state = exchange.shared.state();
    let visible = |bucket: &&Bucket| caller.owns(bucket) && (include_expired || !bucket.has_expired(now));
    let mut buckets: Vec<&Bucket> = state.buckets().filter(visible).collect();
    let admin = caller == Caller::Admin;
    if admin && !include_expired {
        // The living ones of all owners are found by the index on their expiry, and so equals come in its order.
        buckets.sort_by_key(|bucket| (bucket.expires_at, bucket.row));
    }
    let compare = comparison(&page::sort(exchange), admin);
    page::sort_by(&mut buckets, page::ascending(exchange), |a, b| compare(a, b));
    let total = buckets.len();
    let items = cut.of(buckets, BucketView::read_back);
    Ok(reply::json(StatusCode::OK, &Page { items, total, limit: cut.limit, offset: cut.offset }))
}

/// What `sort` asks for; anything unknown is the time of creation. Nothing sorts before something.
fn comparison(sort: &str, admin: bool) -> fn(&Bucket, &Bucket) -> Ordering {
    match sort {
        "name" => |a, b| a.name.cmp(&b.name),
        // For the admin an index is read forwards or backwards, so that equals turn round with the order.
        "expires_at" if admin => |a, b| a.expires_at.cmp(&b.expires_at).then(a.row.cmp(&b.row)),
        "expires_at" => |a, b| a.expires_at.cmp(&b.expires_at),
        "last_used_at" => |a, b| a.last_used_at.cmp(&b.last_used_at),
        "total_size" => |a, b| a.total_size().cmp(&b.total_size()),
        _ => |a, b| a.created_at.cmp(&b.created_at).then(a.row.cmp(&b.row)),
    }
}

/// `GET /api/buckets/{id}`
pub(super) fn get(exchange: &Exchange, id: &str) -> Result<Reply, Refusal> {
    let with_files = exchange.query.text("include").is_some_and(|include| include.eq_ignore_ascii_case("files"));
    let mut state = exchange.shared.state();
    let detail = detail(&mut state, id, with_files, exchange.shared.now()).ok_or(NOT_FOUND)?;
    Ok(reply::json(StatusCode::OK, &detail))
}

/// The detail of a bucket, from the cache if it is there: with or without files, alive or expired.
///
/// Uploads look here too, which is why they fill the cache and are taken by an expired bucket it still has.
pub(super) fn detail(state: &mut State, id: &str, with_files: bool, now: DateTime<Utc>) -> Option<BucketDetail> {
    let slot = with_files && !state.defects.include_files_mixup;
    if state.defects.stale_bucket_detail
        && let Some(cached) = state.caches.detail(id, slot, now)
    {
        return Some(cached.clone());
    }
    let bucket = state.living_bucket(id, now)?;
    let (unique_content_count, unique_content_size) = bucket.unique_content();
    let files = with_files.then(|| bucket.files().take(INCLUDED_FILES).map(FileView::read_back).collect());
    let detail = BucketDetail {
        bucket: BucketView::read_back(bucket),
        unique_content_count,
        unique_content_size,
        files,
        has_more_files: with_files.then(|| bucket.file_count() > INCLUDED_FILES as u64),
    };
    if state.defects.stale_bucket_detail {
        state.caches.keep_detail(id, slot, now, detail.clone());
    }
    Some(detail)
}

/// Whether `caller` may change a bucket: 404 for what has expired on others, 403 for what is alive, or was when its detail
/// was cached. The look there fills the cache.
fn changeable<'a>(
    state: &'a mut State,
    id: &str,
    caller: &Caller,
    now: DateTime<Utc>,
) -> Result<&'a mut Bucket, Refusal> {
    if !state.bucket(id).is_some_and(|bucket| caller.owns(bucket)) {
        return Err(if detail(state, id, false, now).is_some() { Refusal::AccessDenied } else { NOT_FOUND });
    }
    state.bucket_mut(id).ok_or(NOT_FOUND)
}

/// `PATCH /api/buckets/{id}`: revives what has expired and was not yet deleted.
pub(super) async fn update(exchange: &mut Exchange, id: &str) -> Result<Reply, Refusal> {
    let members = binding::required(exchange).await?;
    let (name, description) = (members.text("name")?, members.text("description")?);
    let expires_in = members.text("expires_in")?;
    let caller = exchange.authenticated()?;
    if name.is_none() && description.is_none() && expires_in.is_none() {
        return Err(Refusal::invalid("At least one field is required"));
    }
    let now = exchange.shared.now();
    let (view, changes) = {
        let mut state = exchange.shared.state();
        let bucket = changeable(&mut state, id, &caller, now)?;
        let expiry = expires_in.map(|text| expiry::parse(&text, now)).transpose()?;
        let changes = Changes {
            name: name.clone(),
            description: description.clone(),
            expires_at: expiry.and_then(Expiry::stamp),
        };
        if let Some(name) = name {
            bucket.name = name;
        }
        if description.is_some() {
            bucket.description = description;
        }
        if let Some(expiry) = expiry {
            bucket.expires_at = expiry.moment();
        }
        let mut view = BucketView::read_back(bucket);
        if let Some(expiry) = expiry {
            view.expires_at = expiry.stamp();
        }
        state.caches.forget_details(id);
        (view, changes)
    };
    exchange.shared.hub.publish(Event::bucket_updated(id, &changes)).await;
    Ok(reply::json(StatusCode::OK, &view))
}

/// `DELETE /api/buckets/{id}`, with everything in it.
pub(super) async fn delete(exchange: &Exchange, id: &str) -> Result<Reply, Refusal> {
    let caller = exchange.authenticated()?;
    {
        let mut state = exchange.shared.state();
        changeable(&mut state, id, &caller, exchange.shared.now())?;
        state.remove_bucket(id);
    }
    // Whatever is remembered is forgotten after it was told, also where the client has gone meanwhile.
    let _forget = exchange.shared.at_the_end(|state| state.caches.forget_bucket(id));
    exchange.shared.hub.publish(Event::bucket_deleted(id)).await;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

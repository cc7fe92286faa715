//! `GET /api/stats`

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use hyper::StatusCode;
use serde::Serialize;

use crate::http::exchange::Exchange;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};
use crate::state::State;
use crate::state::cache::{Cached, STATS};

/// The statistics of the whole server.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Stats {
    total_buckets: u64,
    total_files: u64,
    total_size: u64,
    total_keys: usize,
    /// Nothing counts downloads.
    total_downloads: u64,
    storage_by_owner: Vec<OwnerStats>,
}

#[derive(Clone, Debug, Default, Serialize)]
struct OwnerStats {
    owner: String,
    bucket_count: u64,
    file_count: u64,
    total_size: u64,
}

/// Cached for five minutes; changes of buckets and files drop it, changes of keys do not.
pub(super) fn get(exchange: &Exchange) -> Result<Reply, Refusal> {
    exchange.admin()?;
    let now = exchange.shared.now();
    let mut state = exchange.shared.state();
    if let Some(stats) = state.caches.stats.as_ref().and_then(|cached| cached.at(now)) {
        return Ok(reply::json(StatusCode::OK, stats));
    }
    let stats = compute(&state, now);
    let reply = reply::json(StatusCode::OK, &stats);
    if state.defects.stale_stats {
        state.caches.stats = Some(Cached::until(now + STATS, stats));
    }
    Ok(reply)
}

fn compute(state: &State, now: DateTime<Utc>) -> Stats {
    let mut owners: BTreeMap<&str, OwnerStats> = BTreeMap::new();
    let (mut total_buckets, mut total_files, mut total_size) = (0, 0, 0);
    for bucket in state.buckets() {
        // The files of expired buckets count, the buckets themselves do not.
        total_files += bucket.file_count();
        total_size += bucket.total_size();
        if bucket.has_expired(now) {
            continue;
        }
        total_buckets += 1;
        let owner = owners.entry(&bucket.owner).or_default();
        owner.bucket_count += 1;
        owner.file_count += bucket.file_count();
        owner.total_size += bucket.total_size();
    }
    let storage_by_owner =
        owners.into_iter().map(|(owner, stats)| OwnerStats { owner: owner.to_owned(), ..stats }).collect::<Vec<_>>();
    Stats {
        total_buckets,
        total_files,
        total_size,
        total_keys: state.keys.all().len(),
        total_downloads: 0,
        storage_by_owner,
    }
}

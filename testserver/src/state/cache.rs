//! The real server's in-memory caches, whose staleness clients can see.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::bucket::{BucketView, File, FileView};
use super::tokens::Verdict;
use crate::api::stats::Stats;
use crate::identity::Caller;

/// How long a valid key is not looked up again.
pub(crate) const KEY: TimeDelta = TimeDelta::seconds(30);
/// How long the verdict on an upload token stands.
pub(crate) const VERDICT: TimeDelta = TimeDelta::minutes(2);
/// How long statistics stand.
pub(crate) const STATS: TimeDelta = TimeDelta::minutes(5);
/// How long a row that was read stands.
pub(crate) const FILE: TimeDelta = TimeDelta::minutes(5);
/// How long the detail of a bucket, or a resolved short code, stands.
pub(crate) const DETAIL: TimeDelta = TimeDelta::minutes(10);

/// Something remembered for a while.
#[derive(Clone, Debug)]
pub(crate) struct Cached<T> {
    until: DateTime<Utc>,
    value: T,
}

impl<T> Cached<T> {
    pub(crate) fn until(until: DateTime<Utc>, value: T) -> Self {
        Self { until, value }
    }

    /// The value, if it still stands.
    pub(crate) fn at(&self, now: DateTime<Utc>) -> Option<&T> {
        (now < self.until).then_some(&self.value)
    }
}

/// A bucket as `GET /api/buckets/{id}` answers it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BucketDetail {
    #[serde(flatten)]
    pub(crate) bucket: BucketView,
    pub(crate) unique_content_count: u64,
    pub(crate) unique_content_size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) files: Option<Vec<FileView>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) has_more_files: Option<bool>,
}

/// All caches; gone after a restart.
#[derive(Default)]
pub(crate) struct Caches {
    pub(crate) keys: HashMap<String, Cached<Caller>>,
    /// By token.
    pub(crate) verdicts: HashMap<String, Cached<Verdict>>,
    pub(crate) codes: HashMap<String, Cached<(String, String)>>,
    pub(crate) stats: Option<Cached<Stats>>,
    /// Rows that were read, perhaps before a change, by bucket and path.
    pub(crate) files: HashMap<(String, String), Cached<File>>,
    /// By bucket and whether files were asked for (always "no" while the defect mixes them up).
    details: HashMap<(String, bool), Cached<BucketDetail>>,
}

impl Caches {
    pub(crate) fn detail(&self, id: &str, with_files: bool, now: DateTime<Utc>) -> Option<&BucketDetail> {
        self.details.get(&(id.to_owned(), with_files))?.at(now)
    }

    pub(crate) fn keep_detail(&mut self, id: &str, with_files: bool, now: DateTime<Utc>, detail: BucketDetail) {
        self.details.insert((id.to_owned(), with_files), Cached::until(now + DETAIL, detail));
    }

    /// The bucket has changed.
    pub(crate) fn forget_details(&mut self, id: &str) {
        for with_files in [false, true] {
            self.details.remove(&(id.to_owned(), with_files));
        }
        self.stats = None;
    }

    /// The bucket is gone.
    pub(crate) fn forget_bucket(&mut self, id: &str) {
        self.forget_details(id);
        self.codes.retain(|_, cached| cached.value.0 != id);
        self.files.retain(|(bucket_id, _), _| bucket_id != id);
        self.verdicts.retain(|_, cached| cached.value.bucket_id != id);
    }
}

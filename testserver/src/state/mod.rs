//! What the server knows: buckets, files, keys, tokens, codes, contents, and the caches in front of them.

pub(crate) mod bucket;
pub(crate) mod cache;
pub(crate) mod contents;
pub(crate) mod keys;
pub(crate) mod tokens;
pub(crate) mod upload;

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use crate::defects::Defects;
use bucket::{Bucket, File};
use cache::{Cached, Caches};
use contents::Contents;
use keys::Keys;
use tokens::UploadToken;

/// Everything, under one lock.
pub(crate) struct State {
    pub(crate) defects: Defects,
    pub(crate) keys: Keys,
    pub(crate) tokens: HashMap<String, UploadToken>,
    pub(crate) contents: Contents,
    pub(crate) caches: Caches,
    buckets: HashMap<String, Bucket>,
    /// Ids in the order of creation.
    rows: BTreeMap<u64, String>,
    /// Where short codes lead: bucket and path.
    codes: HashMap<String, (String, String)>,
    last_row: u64,
    /// Files whose rows were read for answers that are held back, by bucket and path.
    pub(crate) being_read: HashMap<(String, String), usize>,
}

impl State {
    pub(crate) fn new(defects: Defects) -> Self {
        Self {
            defects,
            keys: Keys::default(),
            tokens: HashMap::new(),
            contents: Contents::default(),
            caches: Caches::default(),
            buckets: HashMap::new(),
            rows: BTreeMap::new(),
            codes: HashMap::new(),
            last_row: 0,
            being_read: HashMap::new(),
        }
    }

    /// A number greater than all before; tells what came first.
    pub(crate) fn next_row(&mut self) -> u64 {
        self.last_row += 1;
        self.last_row
    }

    /// All buckets, expired ones too, oldest first.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = &Bucket> {
        self.rows.values().filter_map(|id| self.buckets.get(id))
    }

    /// A bucket, expired or not.
    pub(crate) fn bucket(&self, id: &str) -> Option<&Bucket> {
        self.buckets.get(id)
    }

    pub(crate) fn bucket_mut(&mut self, id: &str) -> Option<&mut Bucket> {
        self.buckets.get_mut(id)
    }

    /// A bucket that has not expired.
    pub(crate) fn living_bucket(&self, id: &str, now: DateTime<Utc>) -> Option<&Bucket> {
        self.buckets.get(id).filter(|bucket| !bucket.has_expired(now))
    }

    pub(crate) fn insert_bucket(&mut self, bucket: Bucket) {
        self.rows.insert(bucket.row, bucket.id.clone());
        self.buckets.insert(bucket.id.clone(), bucket);
        self.caches.stats = None;
    }

    /// Removes a bucket with its files, tokens and codes; the hashes of its bytes stay known, and so do cached answers.
    pub(crate) fn remove_bucket(&mut self, id: &str) {
        let Some(bucket) = self.buckets.remove(id) else {
            return;
        };
        self.rows.remove(&bucket.row);
        for file in bucket.files() {
            self.contents.release(&file.hash);
        }
        self.codes.retain(|_, (bucket_id, _)| bucket_id != id);
        self.tokens.retain(|_, token| token.bucket_id != id);
    }

    /// Removes all buckets that have expired.
    pub(crate) fn remove_expired(&mut self, now: DateTime<Utc>) {
        let expired: Vec<String> =
            self.buckets.values().filter(|bucket| bucket.has_expired(now)).map(|bucket| bucket.id.clone()).collect();
        for id in expired {
            self.remove_bucket(&id);
            self.caches.forget_bucket(&id);
        }
    }

    /// A file as its metadata say: once read, its row is remembered, which may be one from before a change.
    pub(crate) fn remembered_file(&mut self, bucket_id: &str, path: &str, now: DateTime<Utc>) -> Option<File> {
        let key = (bucket_id.to_owned(), path.to_owned());
        if let Some(row) = self.caches.files.get(&key).and_then(|cached| cached.at(now)) {
            return Some(row.clone());
        }
        let row = self.buckets.get(bucket_id)?.file(path)?.clone();
        if self.defects.stale_file_metadata {
            self.caches.files.insert(key, Cached::until(now + cache::FILE, row.clone()));
        }
        Some(row)
    }

    /// A file has changed. Who read its row before and has not answered yet remembers it from now on.
    pub(crate) fn forget_file(&mut self, bucket_id: &str, old: &File, now: DateTime<Utc>) {
        let key = (bucket_id.to_owned(), old.path.clone());
        if self.defects.stale_file_metadata && self.being_read.contains_key(&key) {
            self.caches.files.insert(key, Cached::until(now + cache::FILE, old.clone()));
        } else {
            self.caches.files.remove(&key);
        }
    }

    /// Removes a file, but not what is remembered of it. Its code dies with it, but not in the cache of resolved ones.
    pub(crate) fn remove_file(&mut self, bucket_id: &str, path: &str) -> Option<File> {
        let file = self.buckets.get_mut(bucket_id)?.remove_file(path)?;
        self.contents.release(&file.hash);
        if self.codes.get(&file.short_code).is_some_and(|(bucket, of)| bucket == bucket_id && of == path) {
            self.codes.remove(&file.short_code);
        }
        if !self.defects.stale_short_urls {
            self.caches.codes.remove(&file.short_code);
        }
        Some(file)
    }

    /// Makes a code that leads to a file.
    pub(crate) fn new_code(&mut self, bucket_id: &str, path: &str) -> String {
        loop {
            let code = crate::ids::short_code();
            if !self.codes.contains_key(&code) {
                self.codes.insert(code.clone(), (bucket_id.to_owned(), path.to_owned()));
                return code;
            }
        }
    }

    /// Where a code leads.
    pub(crate) fn code(&self, code: &str) -> Option<&(String, String)> {
        self.codes.get(code)
    }

    pub(crate) fn remove_code(&mut self, code: &str) {
        self.codes.remove(code);
        self.caches.codes.remove(code);
    }
}

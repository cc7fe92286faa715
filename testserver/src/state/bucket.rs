//! Buckets and the files in them.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::content::{Hash, hex};
use crate::stamp;

/// A bucket with its files.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    pub(crate) row: u64,
    pub(crate) id: String,
    pub(crate) name: String,
    /// The name of the key it was made with, or `admin`.
    pub(crate) owner: String,
    /// The key it was made with; usage is counted by it, rights are not.
    pub(crate) owner_prefix: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) last_used_at: Option<DateTime<Utc>>,
    /// By path, in the order of code points.
    by_path: BTreeMap<String, File>,
    /// Paths by age: listings of a hundred thousand files must not sort them for each page.
    by_age: BTreeMap<u64, String>,
    /// How many files have each content: kept up to date, as every upload looks at the bucket's detail.
    users: HashMap<Hash, u64>,
    total_size: u64,
    unique_size: u64,
}

/// A file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) row: u64,
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) mime_type: &'static str,
    /// Stays here even when the code itself was deleted.
    pub(crate) short_code: String,
    pub(crate) hash: Hash,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

impl File {
    /// The last segment of the path.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// What makes a new bucket.
pub(crate) struct NewBucket {
    pub(crate) name: String,
    pub(crate) owner: String,
    pub(crate) owner_prefix: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

impl Bucket {
    pub(crate) fn new(row: u64, new: NewBucket) -> Self {
        Self {
            row,
            id: crate::ids::bucket_id(),
            name: new.name,
            owner: new.owner,
            owner_prefix: new.owner_prefix,
            description: new.description,
            created_at: new.created_at,
            expires_at: new.expires_at,
            last_used_at: None,
            by_path: BTreeMap::new(),
            by_age: BTreeMap::new(),
            users: HashMap::new(),
            total_size: 0,
            unique_size: 0,
        }
    }

    pub(crate) fn has_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    pub(crate) fn file_count(&self) -> u64 {
        self.by_path.len() as u64
    }

    pub(crate) fn total_size(&self) -> u64 {
        self.total_size
    }

    /// Distinct contents: how many, and their bytes.
    pub(crate) fn unique_content(&self) -> (u64, u64) {
        (self.users.len() as u64, self.unique_size)
    }

    /// All files by path.
    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        self.by_path.values()
    }

    /// The files behind `path`, by path.
    pub(crate) fn files_after(&self, path: &str) -> impl Iterator<Item = &File> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.by_path.range::<str, _>((Excluded(path), Unbounded)).map(|(_, file)| file)
    }

    /// All files, oldest first; can be turned round.
    pub(crate) fn files_by_age(&self) -> impl DoubleEndedIterator<Item = &File> {
        self.by_age.values().filter_map(|path| self.by_path.get(path))
    }

    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.by_path.get(path)
    }

    /// Puts a file in, over an older one of the same path.
    pub(crate) fn put_file(&mut self, file: File) {
        self.remove_file(&file.path.clone());
        self.total_size += file.size;
        let users = self.users.entry(file.hash).or_default();
        *users += 1;
        if *users == 1 {
            self.unique_size += file.size;
        }
        self.by_age.insert(file.row, file.path.clone());
        self.by_path.insert(file.path.clone(), file);
    }

    pub(crate) fn remove_file(&mut self, path: &str) -> Option<File> {
        let file = self.by_path.remove(path)?;
        self.by_age.remove(&file.row);
        self.total_size -= file.size;
        if let Some(users) = self.users.get_mut(&file.hash) {
            *users -= 1;
            if *users == 0 {
                self.users.remove(&file.hash);
                self.unique_size -= file.size;
            }
        }
        Some(file)
    }
}

/// A bucket as answers have it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BucketView {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) owner: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    pub(crate) created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_used_at: Option<String>,
    pub(crate) file_count: u64,
    pub(crate) total_size: u64,
}

impl BucketView {
    /// As read back from the database: no time stamp has a `Z`.
    pub(crate) fn read_back(bucket: &Bucket) -> Self {
        Self {
            id: bucket.id.clone(),
            name: bucket.name.clone(),
            owner: bucket.owner.clone(),
            description: bucket.description.clone(),
            created_at: stamp::bare(bucket.created_at),
            expires_at: bucket.expires_at.map(stamp::bare),
            last_used_at: bucket.last_used_at.map(stamp::bare),
            file_count: bucket.file_count(),
            total_size: bucket.total_size(),
        }
    }
}

/// A file as answers have it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FileView {
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) mime_type: &'static str,
    pub(crate) short_code: String,
    pub(crate) short_url: String,
    pub(crate) sha256: String,
    /// Only in answers to uploads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deduplicated: Option<bool>,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

impl FileView {
    /// As read back from the database.
    pub(crate) fn read_back(file: &File) -> Self {
        Self {
            path: file.path.clone(),
            name: file.name().to_owned(),
            size: file.size,
            mime_type: file.mime_type,
            short_code: file.short_code.clone(),
            short_url: format!("/s/{}", file.short_code),
            sha256: hex(&file.hash),
            deduplicated: None,
            created_at: stamp::bare(file.created_at),
            updated_at: stamp::bare(file.updated_at),
        }
    }

    /// As answered to the upload that stored it: what was made now has a `Z`, an older `created_at` has none.
    pub(crate) fn uploaded(file: &File, overwritten: bool, deduplicated: bool) -> Self {
        let created_at = if overwritten { stamp::bare(file.created_at) } else { stamp::zoned(file.created_at) };
        Self {
            deduplicated: Some(deduplicated),
            created_at,
            updated_at: stamp::zoned(file.updated_at),
            ..Self::read_back(file)
        }
    }
}

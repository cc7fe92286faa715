//! The six events, in the words and the order of members of the real server.
//!
//! Unlike the REST API's, their members are in camel case and nulls are written out.

use bytes::Bytes;
use serde::Serialize;

use super::group::Group;
use crate::http::reply::relaxed_json;
use crate::state::bucket::{BucketView, FileView};

/// What ends every record.
pub(crate) const SEPARATOR: u8 = 0x1e;

/// An event on its way to its groups.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) name: &'static str,
    /// In the order in which one connection gets its copies.
    pub(crate) groups: Vec<Group>,
    /// With its separator.
    pub(crate) record: Bytes,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    path: &'a str,
    name: &'a str,
    size: u64,
    mime_type: &'a str,
    short_code: &'a str,
    short_url: &'a str,
    sha256: &'a str,
    created_at: &'a str,
    updated_at: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bucket<'a> {
    id: &'a str,
    name: &'a str,
    owner: &'a str,
    description: Option<&'a str>,
    created_at: &'a str,
    expires_at: Option<&'a str>,
    last_used_at: Option<&'a str>,
    file_count: u64,
    total_size: u64,
}

/// What a PATCH of a bucket asked for; null is both "unchanged" and "never expires".
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Changes {
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) expires_at: Option<String>,
}

impl Event {
    /// A file was uploaded: to a new path, or over an older one.
    pub(crate) fn stored(bucket_id: &str, file: &FileView, new: bool) -> Self {
        let payload = File {
            path: &file.path,
            name: &file.name,
            size: file.size,
            mime_type: file.mime_type,
            short_code: &file.short_code,
            short_url: &file.short_url,
            sha256: &file.sha256,
            created_at: &file.created_at,
            updated_at: &file.updated_at,
        };
        let name = if new { "FileCreated" } else { "FileUpdated" };
        Self::new(name, file_groups(bucket_id, &file.path), &(bucket_id, payload))
    }

    pub(crate) fn file_deleted(bucket_id: &str, path: &str) -> Self {
        Self::new("FileDeleted", file_groups(bucket_id, path), &(bucket_id, path))
    }

    pub(crate) fn bucket_created(bucket: &BucketView) -> Self {
        let payload = Bucket {
            id: &bucket.id,
            name: &bucket.name,
            owner: &bucket.owner,
            description: bucket.description.as_deref(),
            created_at: &bucket.created_at,
            expires_at: bucket.expires_at.as_deref(),
            last_used_at: bucket.last_used_at.as_deref(),
            file_count: bucket.file_count,
            total_size: bucket.total_size,
        };
        Self::new("BucketCreated", vec![Group::All], &(payload,))
    }

    pub(crate) fn bucket_updated(id: &str, changes: &Changes) -> Self {
        Self::new("BucketUpdated", bucket_groups(id), &(id, changes))
    }

    pub(crate) fn bucket_deleted(id: &str) -> Self {
        Self::new("BucketDeleted", bucket_groups(id), &(id,))
    }

    fn new(name: &'static str, groups: Vec<Group>, arguments: &impl Serialize) -> Self {
        #[derive(Serialize)]
        struct Invocation<'a, A> {
            r#type: u8,
            target: &'a str,
            arguments: &'a A,
        }
        let mut record = relaxed_json(&Invocation { r#type: 1, target: name, arguments });
        record.push(SEPARATOR);
        Self { name, groups, record: record.into() }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.record).into_owned()
    }
}

fn bucket_groups(id: &str) -> Vec<Group> {
    vec![Group::Bucket(id.to_owned()), Group::All]
}

fn file_groups(id: &str, path: &str) -> Vec<Group> {
    vec![Group::Bucket(id.to_owned()), Group::File(id.to_owned(), path.to_owned()), Group::All]
}

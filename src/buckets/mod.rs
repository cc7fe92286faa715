//! Buckets: where files live, with an owner and perhaps an expiry.

mod create;
mod delete;
mod get;
mod list;
mod summary;
#[cfg(feature = "zip")]
mod unpack;
mod update;
mod zip;
mod zip_directory;

use std::sync::Arc;

pub use create::CreateBucket;
pub use delete::DeleteBucket;
pub use get::{GetBucket, GetBucketOpt};
pub use list::{ListAllBuckets, ListBuckets};
pub use summary::GetSummary;
#[cfg(feature = "zip")]
pub use unpack::{UnpackZip, Unpacked};
pub use update::UpdateBucket;
pub use zip::{DownloadZip, DownloadZipTo, HeadZip};

use crate::client::Client;
use crate::error::Result;
use crate::file_path::{check_id, push_segment};
use crate::files::{File, Files};
use crate::lent::{Lent, lend};
use crate::upload_tokens::UploadTokens;

/// All buckets of a server: create, list, and `client.buckets()["id"]`.
#[derive(Debug, Clone)]
pub struct Buckets {
    client: Client,
    lent: Lent<Bucket>,
}

impl Buckets {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, lent: Lent::default() }
    }

    /// The client that this handle was made by.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The bucket of an id, by value.
    #[must_use]
    pub fn bucket(&self, id: impl AsRef<str>) -> Bucket {
        Bucket::new(self.client.clone(), id.as_ref())
    }
}

lend!(Buckets, bucket -> Bucket);

/// One bucket, by its id. Making a handle sends nothing; whether the bucket is there shows with the first call.
#[derive(Debug, Clone)]
pub struct Bucket {
    client: Client,
    id: Arc<str>,
}

impl Bucket {
    pub(crate) fn new(client: Client, id: &str) -> Self {
        Self { client, id: id.into() }
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The files in it: upload, list, and `bucket.files()["docs/a.txt"]`.
    #[must_use]
    pub fn files(&self) -> Files {
        Files::new(self.clone())
    }

    /// One file in it: the same as `bucket.files()["docs/a.txt"]`, by value.
    #[must_use]
    pub fn file(&self, path: impl AsRef<str>) -> File {
        File::new(self.clone(), path.as_ref())
    }

    /// Upload tokens, for those who may upload here and nothing else.
    #[must_use]
    pub fn upload_tokens(&self) -> UploadTokens {
        UploadTokens::new(self.clone())
    }

    /// The client that this handle was made by.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The path of something of the bucket in a URL.
    pub(crate) fn route(&self, rest: &str) -> Result<String> {
        check_id("bucket id", &self.id)?;
        let mut route = String::with_capacity(64 + rest.len());
        route.push_str("/api/buckets/");
        push_segment(&mut route, &self.id);
        route.push_str(rest);
        Ok(route)
    }
}

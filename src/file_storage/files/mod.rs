//! Files: content with a name, known by an id.

mod alike;
mod bulk_delete;
mod delete;
mod download;
mod download_to;
mod download_url;
mod get;
mod list;
mod public;
mod set_public;
mod sought;
mod thumbnail;
mod upload;
mod watch;

use std::sync::Arc;

pub(super) use alike::Alike;
pub use bulk_delete::BulkDelete;
pub use delete::DeleteFile;
pub use download::DownloadFile;
pub use download_to::DownloadFileTo;
pub use download_url::GetDownloadUrl;
pub use get::{GetFile, GetFileOpt};
pub use list::{ListAllFiles, ListFiles};
pub use public::{DownloadPublic, DownloadPublicTo, PublicFile};
pub use set_public::SetPublic;
pub use thumbnail::GetThumbnail;
pub use upload::Upload;
pub use watch::{StoredEvent, WatchStored};

use super::Client;
use super::id::canonical;
use crate::error::Result;
use crate::lent::{Lent, lend};

/// The files: upload, list, and `files[id]`.
#[derive(Debug, Clone)]
pub struct Files {
    client: Client,
    lent: Lent<File>,
}

impl Files {
    pub(super) fn new(client: Client) -> Self {
        Self { client, lent: Lent::default() }
    }

    /// The client that this handle was made by.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The file of an id, by value.
    #[must_use]
    pub fn file(&self, id: impl AsRef<str>) -> File {
        File::new(self.client.clone(), id.as_ref())
    }
}

lend!(Files, file -> File);

/// One file, by its id. Making a handle sends nothing; what can't be an id comes out of the first call as `InvalidInput`.
#[derive(Debug, Clone)]
pub struct File {
    client: Client,
    id: Arc<str>,
}

impl File {
    pub(super) fn new(client: Client, id: &str) -> Self {
        Self { client, id: id.into() }
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The client that this handle was made by.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The same file, read as everybody can where it is public.
    #[must_use]
    pub fn public(&self) -> PublicFile {
        PublicFile::new(self.client.clone(), &self.id)
    }

    fn route(&self, rest: &str) -> Result<String> {
        Ok(format!("/files/{}{rest}", canonical(&self.id)?))
    }
}

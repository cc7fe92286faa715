//! Uploads in parts: for files over the limit of a plain upload, over links that break, and across restarts.
//!
//! A session is opened with the size of the file; its parts go in any order and side by side, through the service or, where
//! the back end is a bucket, straight to that; then it is completed. What has arrived stays for 24 h by default.
//!
//! ```no_run
//! # use std::path::Path;
//! # async fn f(client: carbonfiles::file_storage::Client) -> carbonfiles::Result<()> {
//! // At once:
//! let done = client.uploads().upload(Path::new("big.iso")).on_opened(|session| println!("{}", session.id)).await?;
//!
//! // Or so that another run of the program can go on:
//! let session = client.uploads().create("big.iso", 5 << 30).await?;
//! std::fs::write("upload-id", &session.id).ok();
//! let done = client.upload_session(&session.id).resume(Path::new("big.iso")).parallel(4).await?;
//! println!("{} checked by {:?}", done.file.id, done.checked);
//!
//! // What can be read only once waits in a temporary file, of up to 20 GiB here.
//! let backup = carbonfiles::Source::reader(tokio::io::stdin());
//! let done = client.uploads().upload(backup).filename("backup.tar").spool(20 << 30).await?;
//! # Ok(()) }
//! ```

mod create;
mod how;
mod md5;
mod part;
mod resume;
mod session;
mod upload;

use std::sync::Arc;

pub use create::CreateSession;
pub use part::UploadPart;
pub use resume::{Checked, CompletedUpload, ResumeUpload};
pub use session::{AbortUpload, CompleteUpload, GetPartUrls, GetSession};
pub use upload::UploadInParts;

use super::Client;
use super::id::canonical;
use crate::error::Result;

/// Uploads in parts: open a session, or do it all at once. The service has no list of sessions: keep their ids.
#[derive(Debug, Clone)]
pub struct Uploads {
    client: Client,
}

impl Uploads {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// The client that this handle was made by.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// One upload session by its id, to go on with or to give up. Making the handle sends nothing; what can't be an id comes
    /// out of the first call as `InvalidInput`.
    #[must_use]
    pub fn session(&self, id: impl AsRef<str>) -> ResumableUpload {
        ResumableUpload::new(self.client.clone(), id.as_ref())
    }
}

/// One upload session, by its id. Those of others are not found, for admins too.
#[derive(Debug, Clone)]
pub struct ResumableUpload {
    client: Client,
    id: Arc<str>,
}

impl ResumableUpload {
    pub(super) fn new(client: Client, id: &str) -> Self {
        Self { client, id: id.into() }
    }

    /// The client that this handle was made by.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    fn route(&self, rest: &str) -> Result<String> {
        Ok(format!("/uploads/{}{rest}", canonical(&self.id)?))
    }
}

//! One file, by the path that its upload gave.

use std::sync::Arc;

use super::client::Client;
use crate::error::{Error, Result};

/// One file, by its `file_path`. Making a handle sends nothing.
#[derive(Debug, Clone)]
pub struct File {
    pub(super) client: Client,
    path: Arc<str>,
}

impl File {
    pub(super) fn new(client: Client, path: &str) -> Self {
        Self { client, path: path.into() }
    }

    /// The path that the upload gave.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The client that this handle was made by.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn checked_path(&self) -> Result<&str> {
        if self.path.trim().is_empty() {
            return Err(Error::invalid_input("file_path", "it is empty"));
        }
        Ok(&self.path)
    }
}

//! What the API and its storage know.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::content::Blob;

/// Everything but the sockets.
#[derive(Default)]
pub(super) struct State(Mutex<Known>);

#[derive(Default)]
pub(super) struct Known {
    pub(super) tenants: HashMap<String, Tenant>,
    /// By path: what was announced.
    pub(super) files: HashMap<String, File>,
    /// By key, which is the path: what was stored.
    pub(super) objects: HashMap<String, Object>,
}

#[derive(Clone, Default)]
pub(super) struct Tenant {
    pub(super) email: Option<String>,
    pub(super) limit: Option<u64>,
}

#[derive(Clone)]
pub(super) struct File {
    pub(super) tenant: String,
    pub(super) filename: String,
    pub(super) content_type: String,
}

#[derive(Clone)]
pub(super) struct Object {
    pub(super) blob: Blob,
    pub(super) content_type: Option<String>,
    /// With its quotes.
    pub(super) etag: String,
    pub(super) modified: SystemTime,
}

impl State {
    /// Held for look-ups and commits only, never while bytes move.
    pub(super) fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Bytes stored of a tenant, and how many files they make up.
    pub(super) fn usage(&self, tenant: &str) -> (u64, u64) {
        let stored = self.files.iter().filter(|(_, file)| file.tenant == tenant);
        stored
            .filter_map(|(path, _)| self.objects.get(path))
            .fold((0, 0), |(bytes, files), object| (bytes + object.blob.length(), files + 1))
    }
}

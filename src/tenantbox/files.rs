//! A tenant's files, as far as the service has them: places to upload to.

use super::client::Client;
use super::tenants::Tenant;

/// A tenant's files: upload, and URLs to upload to.
#[derive(Debug, Clone)]
pub struct Files {
    pub(super) tenant: Tenant,
}

impl Files {
    pub(super) fn new(tenant: Tenant) -> Self {
        Self { tenant }
    }

    /// The client that this handle was made by.
    #[must_use]
    pub fn client(&self) -> &Client {
        self.tenant.client()
    }

    /// Whose files they are.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }
}

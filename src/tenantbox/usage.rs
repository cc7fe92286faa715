//! `GET /api/storage/tenants/{tenant_id}/usage/`

use super::models::TenantUsage;
use super::tenants::Tenant;
use crate::error::Result;
use crate::http::{CallOptions, Request, awaitable};

impl Tenant {
    /// What the tenant uses, and may use. A tenant that has never had an upload is `NotFound`.
    pub fn usage(&self) -> GetUsage {
        GetUsage { tenant: self.clone(), options: CallOptions::default() }
    }
}

/// Asks what a tenant uses. Made by [`Tenant::usage`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct GetUsage {
    tenant: Tenant,
    options: CallOptions,
}

impl GetUsage {
    async fn run(self) -> Result<TenantUsage> {
        let request = Request::get(self.tenant.route("usage")?).options(self.options);
        self.tenant.client.transport.send(request).await?.json()
    }
}

awaitable!(GetUsage => TenantUsage);

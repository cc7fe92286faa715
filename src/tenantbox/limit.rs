//! `PATCH /api/storage/tenants/{tenant_id}/limit/`

use http::Method;
use serde::Serialize;

use super::models::StorageLimit;
use super::tenants::Tenant;
use crate::error::Result;
use crate::http::{CallOptions, Replay, Request, awaitable};

impl Tenant {
    /// Sets how many bytes the tenant may use. What is there already stays, even beyond it.
    ///
    /// ```no_run
    /// use carbonfiles::tenantbox::GB;
    ///
    /// # async fn f(client: carbonfiles::tenantbox::Client) -> carbonfiles::Result<()> {
    /// client.tenant("user_123").set_limit(GB(1.5)).await?;
    /// # Ok(()) }
    /// ```
    pub fn set_limit(&self, bytes: u64) -> SetLimit {
        SetLimit { tenant: self.clone(), bytes: Some(bytes), options: CallOptions::default() }
    }

    /// Lets the tenant use as much as it likes.
    pub fn remove_limit(&self) -> SetLimit {
        SetLimit { tenant: self.clone(), bytes: None, options: CallOptions::default() }
    }
}

/// Sets or removes a tenant's limit. Made by [`Tenant::set_limit`] and [`Tenant::remove_limit`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct SetLimit {
    tenant: Tenant,
    bytes: Option<u64>,
    options: CallOptions,
}

#[derive(Serialize)]
struct Body {
    /// `null` for none.
    storage_limit_bytes: Option<u64>,
}

impl SetLimit {
    async fn run(self) -> Result<StorageLimit> {
        let request = Request::new(Method::PATCH, self.tenant.route("limit")?)
            .json(&Body { storage_limit_bytes: self.bytes })?
            .replay(Replay::Safe)
            .options(self.options);
        self.tenant.client.transport.send(request).await?.json()
    }
}

awaitable!(SetLimit => StorageLimit);

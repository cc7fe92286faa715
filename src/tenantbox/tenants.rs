//! Tenants: your users, by your own ids of them.

use std::sync::Arc;

use super::client::Client;
use super::files::Files;
use crate::error::Result;
use crate::file_path::{check_id, encode_segment};
use crate::lent::{Lent, lend};

/// A project's tenants: `tenants["user_123"]`.
#[derive(Debug, Clone)]
pub struct Tenants {
    client: Client,
    lent: Lent<Tenant>,
}

impl Tenants {
    pub(super) fn new(client: Client) -> Self {
        Self { client, lent: Lent::default() }
    }

    /// The client that this handle was made by.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The tenant of an id, by value.
    #[must_use]
    pub fn tenant(&self, id: impl AsRef<str>) -> Tenant {
        Tenant::new(self.client.clone(), id.as_ref())
    }
}

lend!(Tenants, tenant -> Tenant);

/// One tenant. Making a handle sends nothing; an id that can't be one comes out of the first call as `InvalidInput`.
#[derive(Debug, Clone)]
pub struct Tenant {
    pub(super) client: Client,
    id: Arc<str>,
}

impl Tenant {
    pub(super) fn new(client: Client, id: &str) -> Self {
        Self { client, id: id.into() }
    }

    /// Your id of the tenant: an e-mail address, a number, any text.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The client that this handle was made by.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The tenant's files: `upload` and `upload_url`. The service has no listing of them.
    #[must_use]
    pub fn files(&self) -> Files {
        Files::new(self.clone())
    }

    pub(super) fn checked_id(&self) -> Result<&str> {
        check_id("tenant id", &self.id)?;
        Ok(&self.id)
    }

    /// `/api/storage/tenants/{tenant_id}/…/`.
    pub(super) fn route(&self, of: &str) -> Result<String> {
        Ok(format!("/api/storage/tenants/{}/{of}/", encode_segment(self.checked_id()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_one_segment() {
        let client = Client::new("k").unwrap();
        let route = |id: &str| client.tenant(id).route("usage");
        assert_eq!(route("a@b.c").unwrap(), "/api/storage/tenants/a%40b.c/usage/");
        assert_eq!(route("a/b ü?").unwrap(), "/api/storage/tenants/a%2Fb%20%C3%BC%3F/usage/");
        for bad in ["", " ", ".", "..", "/", "a\nb"] {
            assert!(route(bad).unwrap_err().is_invalid_input(), "{bad:?}");
        }
        assert_eq!(client.tenants()["user_1"].id(), client.tenant("user_1").id());
    }
}

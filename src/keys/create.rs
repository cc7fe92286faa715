//! `POST /api/keys`

use http::Method;
use serde::Serialize;

use super::Keys;
use crate::error::Result;
use crate::http::{CallOptions, Request, awaitable};
use crate::models::NewKey;

impl Keys {
    /// Creates a key. Its text is in the answer and nowhere else.
    ///
    /// Buckets belong to the **name** of a key: two keys of one name share all buckets, and a key named `admin` owns
    /// what was made with the admin key (wire description section 3).
    pub fn create(&self, name: impl Into<String>) -> CreateKey {
        CreateKey { keys: self.clone(), body: Body { name: name.into() }, options: CallOptions::default() }
    }
}

/// Creates an API key. Made by [`Keys::create`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct CreateKey {
    keys: Keys,
    body: Body,
    options: CallOptions,
}

#[derive(Debug, Clone, Serialize)]
struct Body {
    name: String,
}

impl CreateKey {
    async fn run(self) -> Result<NewKey> {
        let request =
            Request::new(Method::POST, "/api/keys").json(&self.body)?.needs_credential().options(self.options);
        self.keys.client.transport.send(request).await?.json()
    }
}

awaitable!(CreateKey => NewKey);

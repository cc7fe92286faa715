//! The entry point: a client and its builder.

use std::fmt;

use http::Method;

use super::file::File;
use super::refusal::{POOL_IDLE, Tenantbox};
use super::tenants::{Tenant, Tenants};
use super::usage_of::UsageOf;
use crate::auth::{Credentials, Token, token_provider};
use crate::error::{Error, Result};
use crate::http::Transport;
use crate::raw::RawRequest;
use crate::settings::{Settings, client_settings, env_var, not_set};

/// Where the hosted service is.
const HOSTED: &str = "https://api.tenantbox.dev";

/// Where the environment has the key.
const API_KEY: &str = "TENANTBOX_API_KEY";

/// A client of one Tenantbox project. Cloning it is cheap; clones share the connection pool and the retry budget.
///
/// ```no_run
/// # async fn f() -> carbonfiles::Result<()> {
/// let client = carbonfiles::tenantbox::Client::new("tbx_key")?;
/// println!("{} MB", client.tenant("user_123").usage().await?.storage_used_mb());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Client {
    pub(super) transport: Transport,
}

impl Client {
    /// A client of the hosted service (`https://api.tenantbox.dev`) with a project's API key.
    ///
    /// # Errors
    /// `InvalidInput` for a key that is empty or can't be sent.
    pub fn new(api_key: impl Into<Token>) -> Result<Self> {
        Self::builder(api_key).build()
    }

    /// Takes the API key from `TENANTBOX_API_KEY`, and the base URL from `TENANTBOX_BASE_URL` where that is set and
    /// not empty. For other settings besides, see [`ClientBuilder::from_env`].
    ///
    /// # Errors
    /// `InvalidInput` where the key is missing or empty, or either of them is not usable.
    pub fn from_env() -> Result<Self> {
        ClientBuilder::from_env()?.build()
    }

    /// A client with settings of its own.
    pub fn builder(api_key: impl Into<Token>) -> ClientBuilder {
        let credentials = Credentials::Fixed(api_key.into());
        ClientBuilder { url: HOSTED.to_owned(), credentials, settings: Settings::default() }
    }

    /// The project's tenants: `client.tenants()["user_123"]`. The service has no listing of them.
    #[must_use]
    pub fn tenants(&self) -> Tenants {
        Tenants::new(self.clone())
    }

    /// One tenant, by your own id of it: the same as `client.tenants()["user_123"]`, by value. It comes into being with
    /// its first upload.
    #[must_use]
    pub fn tenant(&self, id: impl AsRef<str>) -> Tenant {
        Tenant::new(self.clone(), id.as_ref())
    }

    /// One file, by the `file_path` that its upload gave.
    #[must_use]
    pub fn file(&self, file_path: impl AsRef<str>) -> File {
        File::new(self.clone(), file_path.as_ref())
    }

    /// What several tenants use, as a stream in the order of completion: the service has no call for more than one.
    ///
    /// ```no_run
    /// use futures::StreamExt;
    ///
    /// # async fn f(client: carbonfiles::tenantbox::Client) {
    /// let mut usages = client.usage_of(["user_1", "user_2", "user_3"]).concurrency(2);
    /// while let Some(of) = usages.next().await {
    ///     match of.usage {
    ///         Ok(usage) => println!("{} has {} files", of.tenant_id, usage.total_files),
    ///         Err(error) => eprintln!("{}: {error}", of.tenant_id),
    ///     }
    /// }
    /// # }
    /// ```
    pub fn usage_of<I>(&self, ids: I) -> UsageOf
    where
        I: IntoIterator,
        I::Item: Into<String>,
        I::IntoIter: Send + 'static,
    {
        UsageOf::new(self.clone(), ids.into_iter())
    }

    /// The same client with another project's key: on the same connections, with the same settings, default headers, limits and
    /// retry budget. It is cheap. A key that can't be sent makes each call `InvalidInput`.
    #[must_use]
    pub fn with_token(&self, api_key: impl Into<Token>) -> Self {
        Self { transport: self.transport.with_credentials(Credentials::Fixed(api_key.into())) }
    }

    /// A request of your own below the base URL, with this client's key, limits and retries.
    ///
    /// ```no_run
    /// # async fn f(client: carbonfiles::tenantbox::Client) -> carbonfiles::Result<()> {
    /// let answer = client.request(carbonfiles::Method::GET, "/api/storage/tenants/user_123/usage/").await?;
    /// # Ok(()) }
    /// ```
    pub fn request(&self, method: Method, path: impl AsRef<str>) -> RawRequest {
        RawRequest::new(self.transport.clone(), method, path.as_ref())
    }

    /// The base URL, without a trailing slash.
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.transport.config().base.as_str().trim_end_matches('/')
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("tenantbox::Client").field("url", &self.base_url()).finish_non_exhaustive()
    }
}

/// The settings of a [`Client`] to be. What is wrong with them comes out of [`ClientBuilder::build`].
#[must_use = "a builder does nothing until build() is called"]
pub struct ClientBuilder {
    url: String,
    credentials: Credentials,
    settings: Settings,
}

impl ClientBuilder {
    /// Begins with what the environment says, as [`Client::from_env`] does. Where the key is missing, [`build`](Self::build)
    /// says so, unless there is a [`token_provider`](Self::token_provider).
    ///
    /// # Errors
    /// `InvalidInput` where one of them is not UTF-8.
    pub fn from_env() -> Result<Self> {
        let credentials = env_var(API_KEY)?.map_or(Credentials::Anonymous, |key| Credentials::Fixed(key.into()));
        let builder = ClientBuilder { credentials, ..Client::builder("") };
        Ok(env_var("TENANTBOX_BASE_URL")?.into_iter().fold(builder, Self::base_url))
    }

    /// Another server than the hosted one; a slash at the end is dropped.
    pub fn base_url(mut self, url: impl AsRef<str>) -> Self {
        url.as_ref().clone_into(&mut self.url);
        self
    }

    /// Makes the client. Nothing is sent.
    ///
    /// # Errors
    /// `InvalidInput` that names the setting which can't be used.
    pub fn build(self) -> Result<Client> {
        if self.url.trim().is_empty() {
            return Err(Error::invalid_input("base_url", "it is empty"));
        }
        if matches!(self.credentials, Credentials::Anonymous) {
            return Err(not_set(API_KEY));
        }
        Ok(Client { transport: self.settings.transport(&self.url, self.credentials, &Tenantbox, POOL_IDLE)? })
    }
}

client_settings!(ClientBuilder);
token_provider! {
    /// Asks for the API key before each attempt, in place of the one that the builder began with: for keys that are replaced
    /// while the program runs. Where the service refuses one (`Unauthenticated`), the provider is asked once more, and the
    /// call is made again if it gives another.
    ///
    /// ```no_run
    /// # async fn newest_key() -> Result<String, std::io::Error> { Ok(String::new()) }
    /// # fn f() -> carbonfiles::Result<()> {
    /// let client = carbonfiles::tenantbox::Client::builder("").token_provider(newest_key).build()?;
    /// # Ok(()) }
    /// ```
    ClientBuilder
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("tenantbox::ClientBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_a_url_are_needed() {
        #[cfg(feature = "rustls")]
        assert_eq!(Client::new("k").unwrap().base_url(), HOSTED);
        assert_eq!(Client::builder("k").base_url("http://h:1/x/").build().unwrap().base_url(), "http://h:1/x");
        for (key, url) in [("", HOSTED), ("two words", HOSTED), ("k", ""), ("k", "  "), ("k", "h"), ("k", "ftp://h")] {
            let error = Client::builder(key).base_url(url).build().unwrap_err();
            assert!(error.is_invalid_input(), "{key:?} {url:?}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let builder = Client::builder("topsecret");
        let shown = format!("{builder:?}");
        let client = builder.build().unwrap();
        let shown = format!("{shown} {client:?} {:?} {:?}", client.tenants(), client.tenant("u").files());
        assert!(!shown.contains("topsecret"), "{shown}");
    }
}

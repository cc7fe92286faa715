//! The entry point: a client and its builder.

use http::Method;

use crate::auth::{Credentials, Token, token_provider};
use crate::buckets::{Bucket, Buckets};
use crate::check::Check;
use crate::dashboard::Dashboard;
use crate::error::Result;
use crate::health::GetHealth;
use crate::http::Transport;
use crate::keys::{Key, Keys};
use crate::raw::RawRequest;
use crate::refusal::{CarbonFiles, POOL_IDLE};
use crate::settings::{Settings, client_settings, env_var, needed_env_var};
use crate::short_urls::{ShortUrl, ShortUrls};
use crate::stats::GetStats;
use crate::transfer::Turns;

/// A client of one CarbonFiles server. Cloning it is cheap; clones share the connection pool and the retry budget.
///
/// ```no_run
/// # async fn f() -> carbonfiles::Result<()> {
/// let client = carbonfiles::Client::new("https://files.example.com", "cf4_key")?;
/// println!("{}", client.health().await?.status);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Client {
    pub(crate) transport: Transport,
    /// Which of this client's uploads wait for one another.
    pub(crate) turns: Turns,
    #[cfg(feature = "events")]
    pub(crate) lines: crate::events::Lines,
}

impl Client {
    /// A client with a credential: an API key, the admin key, a dashboard token, or an upload token (`cfu_…`), which
    /// makes it a guest that can upload to one bucket and read what is public.
    ///
    /// # Errors
    /// `InvalidInput` for a URL that is not http(s), or a token that can't be sent.
    pub fn new(url: impl AsRef<str>, token: impl Into<Token>) -> Result<Self> {
        Self::builder(url).token(token).build()
    }

    /// A client without a credential: it reads what is public.
    ///
    /// # Errors
    /// `InvalidInput` for a URL that is not http(s).
    pub fn anonymous(url: impl AsRef<str>) -> Result<Self> {
        Self::builder(url).build()
    }

    /// Takes the server from `CARBONFILES_URL` and the credential from `CARBONFILES_TOKEN`; without that the client is
    /// anonymous. What is empty counts as not set. For other settings besides, see [`ClientBuilder::from_env`].
    ///
    /// # Errors
    /// `InvalidInput` where the URL is missing or either of them is not usable.
    pub fn from_env() -> Result<Self> {
        ClientBuilder::from_env()?.build()
    }

    /// A client with settings of its own.
    pub fn builder(url: impl AsRef<str>) -> ClientBuilder {
        ClientBuilder {
            url: url.as_ref().to_owned(),
            credentials: Credentials::Anonymous,
            settings: Settings::default(),
            #[cfg(feature = "events")]
            events: crate::events::EventSettings::default(),
        }
    }

    /// All buckets: create, list, and `client.buckets()["id"]`.
    #[must_use]
    pub fn buckets(&self) -> Buckets {
        Buckets::new(self.clone())
    }

    /// One bucket by its id: the same as `client.buckets()["id"]`, by value.
    #[must_use]
    pub fn bucket(&self, id: impl AsRef<str>) -> Bucket {
        Bucket::new(self.clone(), id.as_ref())
    }

    /// API keys (admin): create, list, and `client.keys()["cf4_1234abcd"]`.
    #[must_use]
    pub fn keys(&self) -> Keys {
        Keys::new(self.clone())
    }

    /// One API key by its prefix: the same as `client.keys()["cf4_1234abcd"]`, by value.
    #[must_use]
    pub fn key(&self, prefix: impl AsRef<str>) -> Key {
        self.keys().key(prefix)
    }

    /// Dashboard tokens: create one (admin), and ask what the client's own is.
    #[must_use]
    pub fn dashboard(&self) -> Dashboard {
        Dashboard::new(self.clone())
    }

    /// Short URLs: `client.short_urls()["code"]`.
    #[must_use]
    pub fn short_urls(&self) -> ShortUrls {
        ShortUrls::new(self.clone())
    }

    /// One short URL by its code: the same as `client.short_urls()["code"]`, by value.
    #[must_use]
    pub fn short_url(&self, code: impl AsRef<str>) -> ShortUrl {
        self.short_urls().short_url(code)
    }

    /// The state of the server (public). One that says that it is unhealthy has answered: that is no error, and the call is
    /// not tried again.
    pub fn health(&self) -> GetHealth {
        GetHealth::new(self.clone())
    }

    /// Totals over all buckets (admin).
    pub fn stats(&self) -> GetStats {
        GetStats::new(self.clone())
    }

    /// Asks what the client's credential is good for: this server treats a bad one like none, without a word.
    pub fn check(&self) -> Check {
        Check::new(self.clone())
    }

    /// Live events of everything (admin), and the state of the event connections. For those of a bucket or a file see
    /// [`Bucket::events`] and [`File::events`](crate::File::events).
    #[cfg(feature = "events")]
    #[must_use]
    pub fn events(&self) -> crate::events::Events {
        crate::events::Events::new(self.clone())
    }

    /// The same client with another credential: on the same connections, with the same settings, default headers, limits,
    /// retry budget and turns of uploads, so that a service can make the calls of many users. It is cheap. Only the
    /// event connection of [`Events::all`](crate::events::Events::all), which carries the credential, is its own. A token
    /// that can't be sent makes each call `InvalidInput`, and so does one beside a default header `Authorization`.
    ///
    /// ```no_run
    /// # async fn f(client: carbonfiles::Client, token: &str) -> carbonfiles::Result<()> {
    /// let user = client.with_token(token);
    /// println!("{}", user.buckets().list().await?.total);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_token(&self, token: impl Into<Token>) -> Self {
        let transport = self.transport.with_credentials(Credentials::Fixed(token.into()));
        Self {
            #[cfg(feature = "events")]
            lines: self.lines.with_transport(&transport),
            transport,
            turns: self.turns.clone(),
        }
    }

    /// A request of your own below the base URL, with this client's credential, limits and retries: for what a later
    /// server offers and this crate does not know yet.
    ///
    /// ```no_run
    /// # async fn f(client: carbonfiles::Client) -> carbonfiles::Result<()> {
    /// let answer = client.request(carbonfiles::Method::GET, "/api/buckets").query("limit", "1").await?;
    /// println!("{}", String::from_utf8_lossy(answer.body()));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Any status but 2xx is an `Err`, a redirection too, which is not followed, unless
    /// [`any_status`](RawRequest::any_status) was asked for. `Decode` for an answer of more than
    /// [`max_bytes`](RawRequest::max_bytes).
    pub fn request(&self, method: Method, path: impl AsRef<str>) -> RawRequest {
        RawRequest::new(self.transport.clone(), method, path.as_ref())
    }

    /// The base URL, without a trailing slash.
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.transport.config().base.as_str().trim_end_matches('/')
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("url", &self.base_url())
            .field("credentials", &self.transport.config().credentials)
            .finish_non_exhaustive()
    }
}

/// The settings of a [`Client`] to be. What is wrong with them comes out of [`ClientBuilder::build`].
#[must_use = "a builder does nothing until build() is called"]
pub struct ClientBuilder {
    url: String,
    credentials: Credentials,
    settings: Settings,
    #[cfg(feature = "events")]
    events: crate::events::EventSettings,
}

impl ClientBuilder {
    /// Begins with what the environment says, as [`Client::from_env`] does.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn f() -> carbonfiles::Result<()> {
    /// let client = carbonfiles::ClientBuilder::from_env()?.total_timeout(Duration::from_secs(600)).build()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `InvalidInput` where the URL is missing, or one of them is not UTF-8.
    pub fn from_env() -> Result<Self> {
        Ok(Client::builder(needed_env_var("CARBONFILES_URL")?).maybe_token(env_var("CARBONFILES_TOKEN")?))
    }

    /// Sets the credential.
    pub fn token(mut self, token: impl Into<Token>) -> Self {
        self.credentials = Credentials::Fixed(token.into());
        self
    }

    /// Sets the credential where there is one.
    pub fn maybe_token(self, token: Option<impl Into<Token>>) -> Self {
        match token {
            Some(token) => self.token(token),
            None => self,
        }
    }

    /// Sets how the event connections behave: signs of life, waits between attempts, limits.
    #[cfg(feature = "events")]
    pub fn events(mut self, settings: crate::events::EventSettings) -> Self {
        self.events = settings;
        self
    }

    /// Makes the client. Nothing is sent.
    ///
    /// # Errors
    /// `InvalidInput` that names the setting which can't be used.
    pub fn build(self) -> Result<Client> {
        #[cfg(feature = "events")]
        self.events.check()?;
        let transport = self.settings.transport(&self.url, self.credentials, &CarbonFiles, POOL_IDLE)?;
        Ok(Client {
            #[cfg(feature = "events")]
            lines: crate::events::Lines::new(&transport, self.events),
            transport,
            turns: Turns::default(),
        })
    }
}

client_settings!(ClientBuilder);
token_provider! {
    /// Asks for the credential before each attempt: for tokens that expire. Where the server refuses one (`Unauthenticated`, or
    /// "Admin access required", which it says to an expired token as well), the provider is asked once more, and the call is
    /// made again if it gives another.
    ///
    /// ```no_run
    /// # async fn newest_token() -> Result<String, std::io::Error> { Ok(String::new()) }
    /// # fn f() -> carbonfiles::Result<()> {
    /// let client = carbonfiles::Client::builder("https://files.example.com").token_provider(newest_token).build()?;
    /// # Ok(()) }
    /// ```
    ClientBuilder
}

impl std::fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("credentials", &self.credentials)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn base_urls() {
        for (given, base) in [
            ("http://h", "http://h"),
            ("http://h/", "http://h"),
            ("https://h:8443/cf", "https://h:8443/cf"),
            ("https://h/cf/x//", "https://h/cf/x"),
            (" http://[::1]:80/ ", "http://[::1]"),
        ] {
            if cfg!(not(feature = "rustls")) && given.starts_with("https") {
                continue;
            }
            assert_eq!(Client::anonymous(given).unwrap().base_url(), base);
        }
        for bad in ["", "h", "ftp://h", "http://", "http://u:p@h", "http://h?x=1", "http://h#x", "file:///x"] {
            let error = Client::anonymous(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad}");
            assert!(!error.to_string().contains("u:p"));
        }
    }

    #[test]
    fn bad_settings_are_named() {
        let error = Client::builder("http://h").default_header("X Y", "1").build().unwrap_err();
        assert!(error.to_string().contains("X Y"), "{error}");
        assert!(Client::builder("http://h").default_header("X-Y", "a\r\nb: c").build().is_err());
        assert!(Client::builder("http://h").default_header("Content-Length", "1").build().is_err());
        assert!(Client::builder("http://h").user_agent("a\nb").build().is_err());
        assert!(Client::new("http://h", "").is_err());
    }

    #[test]
    fn debug_shows_no_secret() {
        let client =
            Client::builder("http://h").token("cf4_topsecret").default_header("X-Y", "hidden").build().unwrap();
        let shown = format!("{client:?} {:?} {:?}", client.buckets(), client.bucket("x").files());
        assert!(!shown.contains("topsecret") && !shown.contains("hidden"), "{shown}");
    }
}

//! The entry point: a client and its builder.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, header};
use url::Url;

use crate::auth::{Credentials, Token};
use crate::buckets::{Bucket, Buckets};
use crate::check::Check;
use crate::dashboard::Dashboard;
use crate::error::{BoxError, Error, ErrorKind, Result};
use crate::health::GetHealth;
use crate::http::{Config, RetryPolicy, Timeouts, Transport, parse_header};
use crate::keys::{Key, Keys};
use crate::raw::RawRequest;
use crate::refusal::CarbonFiles;
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
    pub(crate) turns: Arc<Turns>,
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

    /// Takes the server from `CARBONFILES_URL` and the credential from `CARBONFILES_TOKEN`; where that is not set, or
    /// empty, the client is anonymous.
    ///
    /// # Errors
    /// `InvalidInput` where the URL is missing or either of them is not usable.
    pub fn from_env() -> Result<Self> {
        let url = std::env::var("CARBONFILES_URL").map_err(|_| {
            Error::invalid_input("CARBONFILES_URL", "the environment variable is not set, or not UTF-8")
        })?;
        let builder = Self::builder(url);
        match std::env::var("CARBONFILES_TOKEN") {
            Ok(token) if token.is_empty() => builder.build(),
            Ok(token) => builder.token(token).build(),
            Err(std::env::VarError::NotPresent) => builder.build(),
            Err(std::env::VarError::NotUnicode(_)) => Err(Error::invalid_input("CARBONFILES_TOKEN", "it is not UTF-8")),
        }
    }

    /// A client with settings of its own.
    pub fn builder(url: impl AsRef<str>) -> ClientBuilder {
        ClientBuilder {
            url: url.as_ref().to_owned(),
            credentials: Credentials::Anonymous,
            timeouts: Timeouts::default(),
            retry: RetryPolicy::default(),
            headers: Ok(HeaderMap::new()),
            user_agent: concat!("carbonfiles-rust/", env!("CARGO_PKG_VERSION")).to_owned(),
            configure: None,
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

    /// The state of the server (public).
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

    /// A request of your own below the base URL, with this client's credential, limits and retries: for what a later
    /// server offers and this crate does not know yet.
    ///
    /// ```no_run
    /// # async fn f(client: carbonfiles::Client) -> carbonfiles::Result<()> {
    /// let answer = client.request(http::Method::GET, "/api/buckets").query("limit", "1").await?;
    /// println!("{}", String::from_utf8_lossy(answer.body()));
    /// # Ok(()) }
    /// ```
    pub fn request(&self, method: Method, path: impl AsRef<str>) -> RawRequest {
        RawRequest::new(self.clone(), method, path.as_ref())
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

type Configure = Box<dyn FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send>;

/// The settings of a [`Client`] to be. What is wrong with them comes out of [`ClientBuilder::build`].
#[must_use = "a builder does nothing until build() is called"]
pub struct ClientBuilder {
    url: String,
    credentials: Credentials,
    timeouts: Timeouts,
    retry: RetryPolicy,
    headers: Result<HeaderMap>,
    user_agent: String,
    configure: Option<Configure>,
}

impl ClientBuilder {
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

    /// Asks for the credential before each attempt: for tokens that expire.
    ///
    /// ```no_run
    /// # async fn newest_token() -> Result<String, std::io::Error> { Ok(String::new()) }
    /// # fn f() -> carbonfiles::Result<()> {
    /// let client = carbonfiles::Client::builder("https://files.example.com").token_provider(newest_token).build()?;
    /// # Ok(()) }
    /// ```
    pub fn token_provider<F, Fut, T, E>(mut self, provide: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Into<Token>,
        E: Into<BoxError>,
    {
        self.credentials = Credentials::provider(provide);
        self
    }

    /// Replaces all time limits.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Limits the making of a connection. Default 10 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.timeouts.connect = limit;
        self
    }

    /// Limits the wait for an answer, from the end of the request, slow calls included.
    /// Default 60 s, and 10 min for calls that make the server work through whole files.
    pub fn response_timeout(mut self, limit: Duration) -> Self {
        self.timeouts.response = limit;
        self.timeouts.slow_response = limit;
        self
    }

    /// Limits how long a body may stand still, either way. Default 60 s.
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.timeouts.idle = limit;
        self
    }

    /// Limits every call as a whole, transfers and retries included. There is no such limit by default.
    pub fn total_timeout(mut self, limit: Duration) -> Self {
        self.timeouts.total = Some(limit);
        self
    }

    /// Replaces the retry policy.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Sends a header with every request. It goes to the server's own origin only, and is never shown.
    pub fn default_header(mut self, name: &str, value: &str) -> Self {
        if let Ok(headers) = &mut self.headers {
            match parse_header(name, value) {
                Ok((name, value)) => drop(headers.insert(name, value)),
                Err(problem) => self.headers = Err(Error::invalid_input("header", problem)),
            }
        }
        self
    }

    /// Replaces the `User-Agent`.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// Changes the HTTP client below: proxies, root certificates, client certificates, resolver, pool.
    ///
    /// The crate sets what it relies on afterwards: no redirects, no referer, no decompression, no retries of reqwest's
    /// own, HTTP/1.1. Don't set reqwest's `timeout` or `read_timeout`: they would end long transfers. A second hook replaces
    /// the first.
    ///
    /// ```no_run
    /// # fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// let proxy = reqwest::Proxy::all("http://proxy.example.com:3128")?;
    /// let client = carbonfiles::Client::builder("https://files.example.com").http(|http| http.proxy(proxy)).build()?;
    /// # Ok(()) }
    /// ```
    pub fn http(
        mut self,
        configure: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send + 'static,
    ) -> Self {
        self.configure = Some(Box::new(configure));
        self
    }

    /// Makes the client. Nothing is sent.
    ///
    /// # Errors
    /// `InvalidInput` that names the setting which can't be used.
    pub fn build(self) -> Result<Client> {
        let base = parse_base(&self.url)?;
        if let Credentials::Fixed(token) = &self.credentials {
            token.check()?;
        }
        let mut headers = self.headers?;
        if !headers.contains_key(header::USER_AGENT) {
            let value = HeaderValue::try_from(self.user_agent)
                .map_err(|_| Error::invalid_input("user_agent", "it can't be sent in a header"))?;
            headers.insert(header::USER_AGENT, value);
        }
        let http = reqwest::Client::builder().pool_idle_timeout(POOL_IDLE).tcp_keepalive(TCP_KEEPALIVE);
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        let http = http.tcp_user_timeout(self.timeouts.idle);
        let http = match self.configure {
            Some(configure) => configure(http),
            None => http,
        };
        let http = http
            .connect_timeout(self.timeouts.connect)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .retry(reqwest::retry::never())
            .http1_only()
            .build()
            .map_err(|e| Error::new(ErrorKind::InvalidInput, "the HTTP client could not be set up").caused_by(e))?;
        let transport = Transport::new(Config {
            http,
            base,
            credentials: self.credentials,
            headers,
            retry: self.retry,
            timeouts: self.timeouts,
            dialect: &CarbonFiles,
        });
        Ok(Client { transport, turns: Arc::default() })
    }
}

/// Idle connections are dropped before the server drops them (131 s, wire description section 2).
const POOL_IDLE: Duration = Duration::from_secs(90);
/// A peer that has gone without a word is noticed although nothing is being sent.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

fn parse_base(url: &str) -> Result<Url> {
    let bad = |why: &str| Err(Error::invalid_input("url", why));
    let Ok(mut base) = Url::parse(url.trim()) else {
        return bad("it is not an absolute URL such as https://files.example.com");
    };
    if !matches!(base.scheme(), "http" | "https") {
        return bad("it is neither http nor https");
    }
    if !base.username().is_empty() || base.password().is_some() {
        return bad("it holds a user name or password; give the credential as a token");
    }
    if base.query().is_some() || base.fragment().is_some() {
        return bad("a base URL has no query and no fragment");
    }
    let path = base.path().trim_end_matches('/').to_owned();
    base.set_path(&path);
    Ok(base)
}

impl std::fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("credentials", &self.credentials)
            .field("timeouts", &self.timeouts)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls() {
        for (given, base) in [
            ("http://h", "http://h"),
            ("http://h/", "http://h"),
            ("https://h:8443/cf", "https://h:8443/cf"),
            ("https://h/cf/x//", "https://h/cf/x"),
            (" http://[::1]:80/ ", "http://[::1]"),
        ] {
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

//! What a client of any of the services can be told, and how it becomes a transport.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use url::Url;

use crate::auth::Credentials;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{
    Config, Dialect, Limits, NAME_ONCE, NAMED_TWICE, RetryPolicy, Timeouts, Transport, check_tls, parse_header,
};

type Configure = Box<dyn FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send>;

/// The settings that every client builder has. What is wrong with them comes out of [`Settings::transport`].
pub(crate) struct Settings {
    pub(crate) timeouts: Timeouts,
    pub(crate) retry: RetryPolicy,
    pub(crate) user_agent: String,
    pub(crate) configure: Option<Configure>,
    pub(crate) max_transfers: Option<usize>,
    pub(crate) max_buffered_bytes: Option<u64>,
    headers: Result<HeaderMap>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeouts: Timeouts::default(),
            retry: RetryPolicy::default(),
            user_agent: concat!("carbonfiles-rust/", env!("CARGO_PKG_VERSION")).to_owned(),
            configure: None,
            max_transfers: None,
            max_buffered_bytes: None,
            headers: Ok(HeaderMap::new()),
        }
    }
}

impl Settings {
    pub(crate) fn default_header(&mut self, name: &str, value: &str) {
        if let Ok(headers) = &mut self.headers {
            match parse_header(name, value) {
                Ok((name, value)) => drop(headers.insert(name, value)),
                Err(problem) => self.headers = Err(Error::invalid_input("default_header", problem)),
            }
        }
    }

    /// Makes the transport of a client. Nothing is sent. `pool_idle` is less than the service lets a connection wait.
    pub(crate) fn transport(
        self,
        url: &str,
        credentials: Credentials,
        dialect: &'static dyn Dialect,
        pool_idle: Duration,
    ) -> Result<Transport> {
        let base = parse_base(url)?;
        if let Credentials::Fixed(token) = &credentials {
            token.check()?;
        }
        let mut headers = self.headers?;
        if headers.contains_key(header::AUTHORIZATION) && !matches!(credentials, Credentials::Anonymous) {
            return Err(Error::invalid_input("default_header", NAMED_TWICE).with_hint(NAME_ONCE));
        }
        let limits = [
            ("max_transfers", self.max_transfers == Some(0)),
            ("max_buffered_bytes", self.max_buffered_bytes == Some(0)),
        ];
        if let Some((setting, _)) = limits.into_iter().find(|(_, is_zero)| *is_zero) {
            return Err(Error::invalid_input(setting, "with 0 nothing could ever be transferred"));
        }
        self.retry.check()?;
        if !headers.contains_key(header::USER_AGENT) {
            let value = HeaderValue::try_from(self.user_agent)
                .map_err(|_| Error::invalid_input("user_agent", "it can't be sent in a header"))?;
            headers.insert(header::USER_AGENT, value);
        }
        let http = reqwest::Client::builder().pool_idle_timeout(pool_idle).tcp_keepalive(TCP_KEEPALIVE);
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        // Not the longest wait for an answer: with it, peers that are gone would be noticed only then.
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
            // With 0 it keeps no copy of a request for a retry that never comes.
            .retry(reqwest::retry::never().max_retries_per_request(0))
            .http1_only()
            .build()
            .map_err(|e| Error::new(ErrorKind::InvalidInput, "the HTTP client could not be set up").caused_by(e))?;
        let limits = Limits::new(self.max_transfers, self.max_buffered_bytes);
        let (retry, timeouts) = (self.retry, self.timeouts);
        Ok(Transport::new(Config { http, base, credentials, headers, retry, timeouts, limits, dialect }))
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("timeouts", &self.timeouts).field("retry", &self.retry).finish_non_exhaustive()
    }
}

/// A peer that has gone without a word is noticed although nothing is being sent.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// An environment variable; `None` where it is not set, or empty.
pub(crate) fn env_var(name: &'static str) -> Result<Option<String>> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(Error::invalid_input(name, "it is not UTF-8")),
    }
}

/// One without which there is no client.
pub(crate) fn needed_env_var(name: &'static str) -> Result<String> {
    env_var(name)?.ok_or_else(|| not_set(name))
}

pub(crate) fn not_set(name: &'static str) -> Error {
    Error::invalid_input(name, "the environment variable is not set, or empty")
}

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
    check_tls(&base)?;
    let path = base.path().trim_end_matches('/').to_owned();
    base.set_path(&path);
    Ok(base)
}

/// The setters of a client builder with a field `settings: Settings`.
macro_rules! client_settings {
    ($builder:ty) => {
        impl $builder {
            /// Replaces all time limits.
            pub fn timeouts(mut self, timeouts: $crate::Timeouts) -> Self {
                self.settings.timeouts = timeouts;
                self
            }

            /// Limits the making of a connection. Default 10 s.
            pub fn connect_timeout(mut self, limit: ::std::time::Duration) -> Self {
                self.settings.timeouts.connect = limit;
                self
            }

            /// Limits the wait for an answer, from the end of the request. Default 60 s. Calls that make the server work
            /// through whole files have [`slow_response_timeout`](Self::slow_response_timeout).
            pub fn response_timeout(mut self, limit: ::std::time::Duration) -> Self {
                self.settings.timeouts.response = limit;
                self
            }

            /// Limits the wait for the answer of a call that makes the server read or write whole files before it answers:
            /// [`Timeouts::slow_response`](crate::Timeouts::slow_response). Default 10 min; they have no less than other
            /// calls, whatever is set here.
            pub fn slow_response_timeout(mut self, limit: ::std::time::Duration) -> Self {
                self.settings.timeouts.slow_response = limit;
                self
            }

            /// Limits how long a body may stand still, either way. Default 60 s.
            pub fn idle_timeout(mut self, limit: ::std::time::Duration) -> Self {
                self.settings.timeouts.idle = limit;
                self
            }

            /// Limits every call as a whole, as `timeout` of a call does: transfers, retries and the wait for a turn included.
            /// There is no such limit by default. Of a batch or a sync it limits each request or transfer, not the whole: that is
            /// what `timeout` of the batch does.
            pub fn total_timeout(mut self, limit: ::std::time::Duration) -> Self {
                self.settings.timeouts.total = Some(limit);
                self
            }

            /// Replaces the retry policy.
            pub fn retry(mut self, policy: $crate::RetryPolicy) -> Self {
                self.settings.retry = policy;
                self
            }

            /// Limits how many uploads, and separately how many downloads, may run at once; 0 is refused. More wait for their
            /// turn, in the order in which they came ([`Phase::Queued`](crate::Phase::Queued)). There is no such limit by
            /// default.
            ///
            /// The two ways are counted apart, so that what is downloaded can be uploaded as it comes. A
            /// [`Download`](crate::Download) counts until it has been read to its end or is dropped, an upload that is
            /// written to until it is finished: a task that holds one and waits for another, with a limit of 1, waits for
            /// itself.
            pub fn max_transfers(mut self, transfers: usize) -> Self {
                self.settings.max_transfers = Some(transfers);
                self
            }

            /// Limits how many bytes all transfers may hold in memory at once, half of it uploads, half of it downloads;
            /// sources that are in memory already don't count. A transfer reserves at its start what it may need at most:
            /// an upload [`UPLOAD_BUFFERS`](crate::UPLOAD_BUFFERS), a download
            /// [`DOWNLOAD_BUFFERS`](crate::DOWNLOAD_BUFFERS), a parallel one more with each part. One that needs more than
            /// there is goes alone. There is no such limit by default.
            pub fn max_buffered_bytes(mut self, bytes: u64) -> Self {
                self.settings.max_buffered_bytes = Some(bytes);
                self
            }

            /// Sends a header with every request. It goes to the server's own origin only, and is never shown.
            /// `Authorization` is refused unless the client has no credential of its own.
            pub fn default_header(mut self, name: &str, value: &str) -> Self {
                self.settings.default_header(name, value);
                self
            }

            /// Replaces the `User-Agent`.
            pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
                self.settings.user_agent = user_agent.into();
                self
            }

            /// Changes the HTTP client below: proxies, root certificates, client certificates, resolver, pool.
            ///
            /// The crate sets what it relies on afterwards: no redirects, no referer, no decompression, no retries of reqwest's
            /// own, HTTP/1.1. Don't set reqwest's `timeout` or `read_timeout`: they would end long transfers. A second hook
            /// replaces the first.
            ///
            /// **Don't set reqwest's `default_headers` either, and never to a credential**: reqwest sends them to every origin,
            /// also to the storage behind a presigned URL, and there is no way to take them out again.
            /// [`default_header`](Self::default_header) sends to the server's own origin only.
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
                self.settings.configure = Some(Box::new(configure));
                self
            }
        }
    };
}

pub(crate) use client_settings;

//! The client of a file_storage service, and its builder.

use std::fmt;
use std::sync::Arc;

use http::{HeaderValue, Method, header};

use super::files::{Alike, File, Files, PublicFile};
use super::models::SessionTokens;
use super::refusal::{FileStorage, POOL_IDLE};
use super::session::{Login, Session};
use super::uploads::{ResumableUpload, Uploads};
use crate::auth::{Credentials, Token, token_provider};
use crate::error::{Error, Result};
use crate::http::{CallOptions, NAME_ONCE, NAMED_TWICE, Request, Transport, awaitable};
use crate::models::Secret;
use crate::raw::RawRequest;
use crate::settings::{Settings, client_settings, env_var, needed_env_var};

/// A client of one file_storage service. Cloning it is cheap; clones share the connection pool, the retry budget and the
/// session.
///
/// ```no_run
/// # async fn f() -> carbonfiles::Result<()> {
/// let client = carbonfiles::file_storage::Client::new("https://app.example.com", "smpat_…")?;
/// println!("{} files", client.files().list().await?.total);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Client {
    transport: Transport,
    session: Option<Arc<Session>>,
    uploads: Alike,
}

impl Client {
    /// A client with a token: a personal access token (`smpat_…`), a service key (`smsk_…`), or an access token.
    ///
    /// # Errors
    /// `InvalidInput` for a URL that is not http(s), or a token that can't be sent.
    pub fn new(url: impl AsRef<str>, token: impl Into<Token>) -> Result<Self> {
        Self::builder(url).token(token).build()
    }

    /// A client without a credential: it reads public files.
    ///
    /// # Errors
    /// `InvalidInput` for a URL that is not http(s).
    pub fn anonymous(url: impl AsRef<str>) -> Result<Self> {
        Self::builder(url).build()
    }

    /// Takes the server from `FILE_STORAGE_URL`, and the credential from `FILE_STORAGE_TOKEN` or, for a session, from
    /// `FILE_STORAGE_EMAIL` and `FILE_STORAGE_PASSWORD`. Without any the client is anonymous. What is empty counts as not set.
    /// For other settings besides, see [`ClientBuilder::from_env`].
    ///
    /// # Errors
    /// `InvalidInput` where the URL is missing, one of them is not usable, or half of a login is missing.
    pub fn from_env() -> Result<Self> {
        ClientBuilder::from_env()?.build()
    }

    /// A client with settings of its own.
    pub fn builder(url: impl AsRef<str>) -> ClientBuilder {
        ClientBuilder {
            url: url.as_ref().to_owned(),
            credentials: Credentials::Anonymous,
            login: Login::default(),
            settings: Settings::default(),
        }
    }

    /// The files: upload, list, and `client.files()[id]`. Without the permission `file_storage.manage` only one's own are
    /// there.
    #[must_use]
    pub fn files(&self) -> Files {
        Files::new(self.clone())
    }

    /// One file by its id: the same as `client.files()[id]`, by value.
    #[must_use]
    pub fn file(&self, id: impl AsRef<str>) -> File {
        File::new(self.clone(), id.as_ref())
    }

    /// A public file by its id, read without any credential.
    #[must_use]
    pub fn public_file(&self, id: impl AsRef<str>) -> PublicFile {
        PublicFile::new(self.clone(), id.as_ref())
    }

    /// Uploads in parts, for large files: they go on after a restart.
    #[must_use]
    pub fn uploads(&self) -> Uploads {
        Uploads::new(self.clone())
    }

    /// One upload session by its id, to go on with or to give up: the same as `client.uploads().session(id)`.
    #[must_use]
    pub fn upload_session(&self, id: impl AsRef<str>) -> ResumableUpload {
        ResumableUpload::new(self.clone(), id.as_ref())
    }

    /// The tokens of the session as they are now; `None` where the client has no session, has not logged in yet, or has
    /// lost its session. While they are being renewed, or after a renewal whose answer was lost, these are the old ones, whose
    /// refresh token may be spent: to keep the new ones, use [`on_session`](ClientBuilder::on_session).
    #[must_use]
    pub fn session_tokens(&self) -> Option<SessionTokens> {
        self.session.as_ref()?.tokens()
    }

    /// Ends the session: the refresh token is of no use any more. The access token stays good until it expires, at most
    /// 15 min by default; this client forgets it. One that knows the password logs in anew at the next call. Without a session
    /// it does nothing. Where it fails because the service was not reached, or is dropped, the session is as it was; a 400
    /// says that there is no such session, which is forgotten too.
    pub fn log_out(&self) -> LogOut {
        LogOut { client: self.clone(), options: CallOptions::default() }
    }

    /// The same client with another token, in place of whatever credential or session it has: on the same connections, with
    /// the same settings, default headers, limits and retry budget. It is cheap. A token that can't be sent makes each call
    /// `InvalidInput`, and so does one beside a default header `Authorization`.
    #[must_use]
    pub fn with_token(&self, token: impl Into<Token>) -> Self {
        let transport = self.transport.with_credentials(Credentials::Fixed(token.into()));
        Self { transport, session: None, uploads: self.uploads.clone() }
    }

    /// A request of your own below the base URL, with this client's credential, limits and retries: for what the host has
    /// beside files (`/api/users/me`, …).
    ///
    /// ```no_run
    /// # async fn f(client: carbonfiles::file_storage::Client) -> carbonfiles::Result<()> {
    /// let answer = client.request(carbonfiles::Method::GET, "/api/users/me").await?;
    /// println!("{}", String::from_utf8_lossy(answer.body()));
    /// # Ok(()) }
    /// ```
    pub fn request(&self, method: Method, path: impl AsRef<str>) -> RawRequest {
        RawRequest::new(self.transport.clone(), method, path.as_ref()).header("accept", "application/json")
    }

    /// The base URL, without a trailing slash.
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.transport.config().base.as_str().trim_end_matches('/')
    }

    pub(super) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The uploads under way.
    pub(super) fn uploads_under_way(&self) -> &Alike {
        &self.uploads
    }
}

/// A request to the API. Without this `Accept`, some refusals are pages of HTML.
pub(super) fn api(method: Method, path: impl AsRef<str>) -> Request {
    Request::new(method, format!("/api/file-storage{}", path.as_ref()))
        .set_header(header::ACCEPT, HeaderValue::from_static("application/json"))
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("url", &self.base_url())
            .field("credentials", &self.transport.config().credentials)
            .finish_non_exhaustive()
    }
}

/// Ends a session. Made by [`Client::log_out`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct LogOut {
    client: Client,
    options: CallOptions,
}

impl LogOut {
    async fn run(self) -> Result<()> {
        match &self.client.session {
            Some(session) => session.end(self.options).await,
            None => Ok(()),
        }
    }
}

awaitable!(LogOut => ());

/// The settings of a [`Client`] to be. What is wrong with them comes out of [`ClientBuilder::build`].
#[must_use = "a builder does nothing until build() is called"]
pub struct ClientBuilder {
    url: String,
    credentials: Credentials,
    login: Login,
    settings: Settings,
}

impl ClientBuilder {
    /// Begins with what the environment says, as [`Client::from_env`] does.
    ///
    /// # Errors
    /// `InvalidInput` where the URL or half of a login is missing, or one of them is not UTF-8.
    pub fn from_env() -> Result<Self> {
        let builder = Client::builder(needed_env_var("FILE_STORAGE_URL")?);
        match (env_var("FILE_STORAGE_TOKEN")?, env_var("FILE_STORAGE_EMAIL")?, env_var("FILE_STORAGE_PASSWORD")?) {
            (Some(token), _, _) => Ok(builder.token(token)),
            (None, Some(email), Some(password)) => Ok(builder.login(email, password)),
            (None, None, None) => Ok(builder),
            (None, Some(_), None) => Err(Error::invalid_input("FILE_STORAGE_PASSWORD", "a login needs it too")),
            (None, None, Some(_)) => Err(Error::invalid_input("FILE_STORAGE_EMAIL", "a login needs it too")),
        }
    }

    /// Sets the token: personal access token, service key, or access token.
    pub fn token(mut self, token: impl Into<Token>) -> Self {
        self.credentials = Credentials::Fixed(token.into());
        self
    }

    /// Sets the token where there is one.
    pub fn maybe_token(self, token: Option<impl Into<Token>>) -> Self {
        match token {
            Some(token) => self.token(token),
            None => self,
        }
    }

    /// Logs in with an email address and a password, at the first call that needs it. The session is renewed before it
    /// expires, once for all calls that are under way; where it can't be renewed, the client logs in anew.
    ///
    /// A password that was refused is not sent again: five of them lock the account for five minutes.
    pub fn login(mut self, email: impl Into<String>, password: impl Into<Secret>) -> Self {
        self.login.password = Some((email.into(), password.into()));
        self
    }

    /// Goes on with a session of before: its tokens from [`Client::session_tokens`].
    pub fn session(mut self, tokens: SessionTokens) -> Self {
        self.login.tokens = Some(tokens);
        self
    }

    /// Hears of each new pair of tokens, to keep it for another run of the program. It should be quick: calls wait for it.
    pub fn on_session(mut self, keep: impl Fn(&SessionTokens) + Send + Sync + 'static) -> Self {
        self.login.keep = Some(Arc::new(keep));
        self
    }

    /// Makes the client. Nothing is sent.
    ///
    /// # Errors
    /// `InvalidInput` that names the setting which can't be used.
    pub fn build(self) -> Result<Client> {
        let transport = self.settings.transport(&self.url, self.credentials, &FileStorage, POOL_IDLE)?;
        if !self.login.is_used() {
            return Ok(Client { transport, session: None, uploads: Alike::default() });
        }
        if !matches!(transport.config().credentials, Credentials::Anonymous) {
            return Err(Error::invalid_input("login", "a client has a token or a session, not both"));
        }
        if transport.config().headers.contains_key(header::AUTHORIZATION) {
            return Err(Error::invalid_input("default_header", NAMED_TWICE).with_hint(NAME_ONCE));
        }
        let session = Arc::new(Session::new(transport.clone(), self.login)?);
        let transport = transport.with_credentials(Credentials::Renewed(session.clone()));
        Ok(Client { transport, session: Some(session), uploads: Alike::default() })
    }
}

client_settings!(ClientBuilder);
token_provider! {
    /// Asks for the token before each attempt. Where the service refuses one (`Unauthenticated`), the provider is asked once
    /// more, and the call is made again if it gives another.
    ClientBuilder
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("credentials", &self.credentials)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

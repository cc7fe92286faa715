//! A login: a pair of tokens, renewed once for all calls that need it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use futures::future::BoxFuture;
use http::{HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::models::SessionTokens;
use crate::auth::{Renew, Token};
use crate::error::{Error, ErrorKind, Fate, Result};
use crate::http::{Authorization, CallOptions, Replay, Request, Response, Transport};
use crate::models::Secret;

type Keep = Arc<dyn Fn(&SessionTokens) + Send + Sync>;

/// How a session begins.
#[derive(Default, Clone)]
pub(super) struct Login {
    pub(super) password: Option<(String, Secret)>,
    pub(super) tokens: Option<SessionTokens>,
    pub(super) keep: Option<Keep>,
}

impl Login {
    pub(super) fn is_used(&self) -> bool {
        self.password.is_some() || self.tokens.is_some()
    }
}

/// A session of a client.
pub(super) struct Session(Arc<Inner>);

struct Inner {
    /// Sends without a credential.
    transport: Transport,
    login: Login,
    state: Mutex<State>,
    /// Held by the one that renews.
    renewing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// The last pair, also while it is being renewed.
    tokens: Option<SessionTokens>,
    /// From when on the access token is renewed before it is used.
    stale: Option<Instant>,
    /// The password was refused: asking again would lock the account.
    refused: Option<String>,
    /// How many renewals have ended,
    ended: u64,
    /// and how the last one failed: that is the outcome for all who waited for it.
    failure: Option<Error>,
}

impl State {
    fn fresh(&self) -> Option<Token> {
        let fresh = self.stale.is_some_and(|stale| Instant::now() < stale);
        self.tokens.as_ref().filter(|_| fresh).map(|tokens| Token::from(&tokens.access_token))
    }
}

#[derive(Deserialize)]
struct Pair {
    access_token: Secret,
    refresh_token: Secret,
    expires_in: u32,
}

impl Session {
    pub(super) fn new(transport: Transport, login: Login) -> Result<Self> {
        if let Some((email, _)) = &login.password
            && email.trim().is_empty()
        {
            return Err(Error::invalid_input("email", "it is empty"));
        }
        let mut state = State::default();
        if let Some(tokens) = &login.tokens {
            Token::from(&tokens.access_token).check()?;
            let left = (tokens.expires_at - Utc::now()).to_std().unwrap_or_default();
            state.stale = Some(Instant::now() + in_time(left));
            state.tokens = Some(tokens.clone());
        }
        let renewing = tokio::sync::Mutex::default();
        Ok(Self(Arc::new(Inner { transport, login, state: Mutex::new(state), renewing })))
    }

    pub(super) fn tokens(&self) -> Option<SessionTokens> {
        self.0.state().tokens.clone()
    }

    pub(super) async fn end(&self, options: CallOptions) -> Result<()> {
        // Not beside a renewal, which would bring the session back.
        let _alone = self.0.renewing.lock().await;
        let Some(SessionTokens { refresh_token, .. }) = self.tokens() else { return Ok(()) };
        let request = users(Method::DELETE, "/token", &json!({ "refresh_token": refresh_token }), &refresh_token)?;
        let ended = self.0.transport.send(request.replay(Replay::Safe).options(options)).await.map(drop);
        // The service says 400 of a session that is none. Else it is kept, so that it can be ended by another call.
        if ended.as_ref().err().is_none_or(|error| error.status() == Some(StatusCode::BAD_REQUEST)) {
            let mut state = self.0.state();
            // That a password was refused is kept as well: it is no better after the end.
            (state.tokens, state.stale) = (None, None);
        }
        ended
    }
}

impl Renew for Session {
    fn token(&self) -> BoxFuture<'_, Result<Token>> {
        Box::pin(async {
            let ended = {
                let state = self.0.state();
                match state.fresh() {
                    Some(token) => return Ok(token),
                    None => state.ended,
                }
            };
            let inner = self.0.clone();
            // In a task of its own: a renewal that was given up half way would lose the session.
            let renewal = tokio::spawn(async move { inner.renew(ended).await });
            renewal.await.unwrap_or_else(|cause| {
                Err(Error::new(ErrorKind::Interrupted, "the runtime stopped renewing the session").caused_by(cause))
            })
        })
    }

    fn refused(&self, token: &Token) -> bool {
        let mut state = self.0.state();
        match &state.tokens {
            // The server ended it before its time; whoever asks next renews it.
            Some(tokens) if Token::from(&tokens.access_token) == *token => state.stale = Some(Instant::now()),
            _ => {}
        }
        state.refused.is_none()
    }
}

impl Inner {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For one who asked when so many renewals had ended.
    async fn renew(&self, ended: u64) -> Result<Token> {
        let _alone = self.renewing.lock().await;
        {
            let state = self.state();
            if let Some(token) = state.fresh() {
                return Ok(token);
            }
            if let Some(failure) = state.failure.as_ref().filter(|_| state.ended != ended) {
                return Err(failure.clone());
            }
        }
        let renewed = self.exchange().await;
        let mut state = self.state();
        state.ended += 1;
        state.failure = renewed.as_ref().err().cloned();
        renewed
    }

    async fn exchange(&self) -> Result<Token> {
        let old = self.state().tokens.clone();
        let lost = match old {
            None => None,
            Some(old) => match self.refresh(&old).await.and_then(|answer| self.keep(answer.json()?)) {
                Ok(token) => return Ok(token),
                Err(error) if was_not_used(&error) => return Err(error),
                // So the service says that the session is over. Any other refusal is of something on the way, or for a while.
                Err(error) if error.status() == Some(StatusCode::UNAUTHORIZED) => {
                    self.state().tokens = None;
                    Some(error)
                }
                // It may have been used, and then a second time ends the session: which nobody has a token of, so it is over
                // anyway. The next call finds out.
                Err(error) if self.login.password.is_none() => return Err(error),
                Err(_) => None,
            },
        };
        match (&self.login.password, lost) {
            (Some((email, password)), _) => self.log_in(email, password).await,
            (None, Some(cause)) => Err(Error::new(ErrorKind::Unauthenticated, "the session could not be renewed")
                .with_hint("Log in again")
                .caused_by(cause)),
            (None, None) => {
                Err(Error::new(ErrorKind::Unauthenticated, "the session has ended").with_hint("Log in again"))
            }
        }
    }

    /// Tried again within a call only where nothing was sent: a refresh token that comes a second time ends the whole session.
    async fn refresh(&self, tokens: &SessionTokens) -> Result<Response> {
        let body = json!({ "refresh_token": tokens.refresh_token });
        let request = users(Method::POST, "/token/refresh", &body, &tokens.refresh_token)?;
        self.transport.send(request.replay(Replay::Never)).await
    }

    async fn log_in(&self, email: &str, password: &Secret) -> Result<Token> {
        if let Some(message) = &self.state().refused {
            return Err(Error::new(ErrorKind::Unauthenticated, message.clone())
                .with_hint("The login was refused before, and was not tried again: that would lock the account"));
        }
        let body = json!({ "email": email, "password": password });
        let request = users(Method::POST, "/token", &body, password)?.replay(Replay::Safe);
        let error = match self.transport.send(request).await {
            Ok(answer) => return self.keep(answer.json()?),
            Err(error) => error,
        };
        Err(match error.status() {
            Some(StatusCode::UNAUTHORIZED) => {
                self.state().refused = Some(error.message().to_owned());
                error.with_kind(ErrorKind::Unauthenticated)
            }
            // The password may be right: so it is of an account that is not verified yet.
            Some(StatusCode::BAD_REQUEST) => error.with_kind(ErrorKind::Unauthenticated),
            _ => error,
        })
    }

    fn keep(&self, pair: Pair) -> Result<Token> {
        let token = Token::from(&pair.access_token);
        token.check().map_err(|_| Error::new(ErrorKind::Decode, "the access token can't be sent in a header"))?;
        let life = Duration::from_secs(u64::from(pair.expires_in));
        let tokens = SessionTokens {
            access_token: pair.access_token,
            refresh_token: pair.refresh_token,
            expires_at: Utc::now() + TimeDelta::seconds(i64::from(pair.expires_in)),
        };
        {
            let mut state = self.state();
            state.stale = Some(Instant::now() + in_time(life));
            state.tokens = Some(tokens.clone());
        }
        // Last: should it panic, the pair is not lost.
        if let Some(keep) = &self.login.keep {
            keep(&tokens);
        }
        Ok(token)
    }
}

/// Renewed a little before it expires, so that a call that starts with it ends with it.
fn in_time(life: Duration) -> Duration {
    const EARLY: Duration = Duration::from_secs(30);
    life - EARLY.min(life / 10)
}

/// The refresh token certainly reached no one who would note its use: it was never sent, or turned away at the door.
fn was_not_used(error: &Error) -> bool {
    let turned_away = matches!(error.status(), Some(StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE));
    turned_away || (error.status().is_none() && error.fate() == Fate::NeverSent)
}

/// A request about credentials: none goes with it, and the one in its body is in no error.
fn users(method: Method, path: &str, body: &serde_json::Value, secret: &Secret) -> Result<Request> {
    Request::new(method, format!("/api/users/auth{path}"))
        .set_header(header::ACCEPT, HeaderValue::from_static("application/json"))
        .authorization(Authorization::Never)
        .conceal(secret)
        .json(body)
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

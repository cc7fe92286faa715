//! Credentials: what is sent with a request, and who it makes the caller.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use futures::future::BoxFuture;
use http::HeaderValue;

use crate::error::{BoxError, Error, ErrorKind, Result};

/// A credential: an admin key, an API key (`cf4_…`), a dashboard token (a JWT) or an upload token (`cfu_…`).
///
/// Its `Debug` never shows it.
#[derive(Clone)]
pub struct Token(Arc<Credential>);

struct Credential {
    text: Box<str>,
    /// Made once: the same goes with each request.
    bearer: OnceLock<HeaderValue>,
}

impl Token {
    /// Takes the text of a credential.
    pub fn new(token: impl Into<String>) -> Self {
        Self(Arc::new(Credential { text: token.into().into(), bearer: OnceLock::new() }))
    }

    /// The text itself. Keep it out of logs.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0.text
    }

    /// Upload tokens go into the query of an upload; every other credential is a bearer token.
    #[must_use]
    pub fn is_upload_token(&self) -> bool {
        self.expose().starts_with("cfu_")
    }

    /// Refuses what could never be sent: nothing, blanks (the server takes exactly one space before the token), and
    /// what is not visible ASCII.
    pub(crate) fn check(&self) -> Result<()> {
        if self.expose().is_empty() {
            return Err(Error::invalid_input("token", "it is empty"));
        }
        if !self.expose().bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::invalid_input("token", "it holds a blank, a control or a non-ASCII character"));
        }
        Ok(())
    }

    pub(crate) fn bearer(&self) -> Result<HeaderValue> {
        if let Some(made) = self.0.bearer.get() {
            return Ok(made.clone());
        }
        self.check()?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.expose()))
            .map_err(|_| Error::invalid_input("token", "it can't be sent in a header"))?;
        value.set_sensitive(true);
        Ok(self.0.bearer.get_or_init(|| value).clone())
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([redacted])")
    }
}

impl From<&str> for Token {
    fn from(token: &str) -> Self {
        Self::new(token)
    }
}

impl From<String> for Token {
    fn from(token: String) -> Self {
        Self::new(token)
    }
}

impl From<&String> for Token {
    fn from(token: &String) -> Self {
        Self::new(token.as_str())
    }
}

impl From<&Token> for Token {
    fn from(token: &Token) -> Self {
        token.clone()
    }
}

impl From<&crate::models::Secret> for Token {
    fn from(secret: &crate::models::Secret) -> Self {
        secret.expose().into()
    }
}

impl From<crate::models::Secret> for Token {
    fn from(secret: crate::models::Secret) -> Self {
        secret.expose().into()
    }
}

type Provide = dyn Fn() -> BoxFuture<'static, Result<Token, BoxError>> + Send + Sync;

/// A credential that renews itself as it expires.
pub(crate) trait Renew: Send + Sync {
    /// The token to send now.
    fn token(&self) -> BoxFuture<'_, Result<Token>>;

    /// Hears that the server refused a token; tells whether another one may be had.
    fn refused(&self, token: &Token) -> bool;
}

/// Where a client's credential comes from.
#[derive(Clone, Default)]
pub(crate) enum Credentials {
    #[default]
    Anonymous,
    Fixed(Token),
    /// Asked before each attempt, so that a renewed token is used by the next retry.
    Provider(Arc<Provide>),
    #[cfg_attr(not(feature = "file-storage"), allow(dead_code, reason = "for a service behind a feature"))]
    Renewed(Arc<dyn Renew>),
}

impl Credentials {
    pub(crate) fn provider<F, Fut, T, E>(provide: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Into<Token>,
        E: Into<BoxError>,
    {
        Self::Provider(Arc::new(move || {
            let token = provide();
            Box::pin(async move { token.await.map(Into::into).map_err(Into::into) })
        }))
    }

    /// The token to send instead of one that was refused, if another can be had.
    pub(crate) async fn instead_of(&self, refused: &Token) -> Result<Option<Token>> {
        match self {
            Self::Renewed(session) if session.refused(refused) => self.token().await,
            Self::Provider(_) => Ok(self.token().await?.filter(|token| token != refused)),
            _ => Ok(None),
        }
    }

    /// Whether the token comes from the user's own provider.
    pub(crate) fn is_provided(&self) -> bool {
        matches!(self, Self::Provider(_))
    }

    pub(crate) async fn token(&self) -> Result<Option<Token>> {
        match self {
            Self::Renewed(session) => session.token().await.map(Some).map_err(|error| {
                let kind = of_credential(error.kind());
                error.with_kind(kind)
            }),
            Self::Anonymous => Ok(None),
            Self::Fixed(token) => Ok(Some(token.clone())),
            Self::Provider(provide) => match provide().await {
                Ok(token) => Ok(Some(token)),
                Err(cause) => {
                    let kind = kind_within(&*cause).map_or(ErrorKind::Unauthenticated, of_credential);
                    Err(Error::new(kind, "the token provider failed").caused_by(cause))
                }
            },
        }
    }
}

/// What a call fails with whose credential met that. A kind that says something of what was asked for would be taken for the
/// answer: "not found" for a file that is not there.
fn of_credential(met: ErrorKind) -> ErrorKind {
    match met {
        ErrorKind::NotFound
        | ErrorKind::PreconditionFailed
        | ErrorKind::RangeNotSatisfiable
        | ErrorKind::Unsupported => ErrorKind::Unauthenticated,
        met => met,
    }
}

/// The kind of the error of this crate that an error is, or comes from.
fn kind_within(cause: &(dyn std::error::Error + 'static)) -> Option<ErrorKind> {
    let mut next = Some(cause);
    while let Some(cause) = next {
        if let Some(error) = cause.downcast_ref::<Error>() {
            return Some(error.kind());
        }
        next = match cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            // It names the source of what is in it, and not that itself.
            Some(inside) => Some(inside),
            None => cause.source(),
        };
    }
    None
}

/// `token_provider` of a client builder with a field `credentials`, with what is to be said of it beside the common.
macro_rules! token_provider {
    ($(#[$docs:meta])* $builder:ty) => {
        impl $builder {
            $(#[$docs])*
            ///
            /// A provider that fails ends the call before it is sent. If the error is, or wraps, an [`Error`](crate::Error) of
            /// this crate, its kind is kept; otherwise it is `Unauthenticated`. Kinds that would seem to describe the requested
            /// thing (`NotFound`, `PreconditionFailed`, `RangeNotSatisfiable`, `Unsupported`) also become `Unauthenticated`.
            /// Where it fails when asked once more, the refusal is the error.
            pub fn token_provider<F, Fut, T, E>(mut self, provide: F) -> Self
            where
                F: Fn() -> Fut + Send + Sync + 'static,
                Fut: ::std::future::Future<Output = ::std::result::Result<T, E>> + Send + 'static,
                T: Into<$crate::auth::Token>,
                E: Into<$crate::error::BoxError>,
            {
                self.credentials = $crate::auth::Credentials::provider(provide);
                self
            }
        }
    };
}

pub(crate) use token_provider;

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Fixed(_) => "Fixed([redacted])",
            Self::Provider(_) => "Provider",
            Self::Renewed(_) => "Session",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_token() {
        let token = Token::new("cf4_secret");
        assert!(!format!("{token:?} {:?}", Credentials::Fixed(token.clone())).contains("secret"));
    }

    #[test]
    fn unsendable_tokens_are_refused() {
        for bad in ["", " ", "a b", "a\nb", "schlüssel"] {
            assert!(Token::new(bad).check().is_err(), "{bad:?}");
        }
        assert!(Token::new("cf4_x").bearer().unwrap().is_sensitive());
    }
}

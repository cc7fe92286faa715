//! Who sends a request.

use chrono::{DateTime, Utc};
use hyper::header::AUTHORIZATION;

use crate::http::exchange::Exchange;
use crate::http::refusal::Refusal;
use crate::jwt;
use crate::shared::Shared;
use crate::state::bucket::Bucket;
use crate::state::cache::{Cached, KEY};

/// Who sends a request. A bad credential makes nobody of its bearer, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Nobody,
    /// The admin key or a dashboard token.
    Admin,
    /// An API key; what it owns goes by its name.
    Key {
        name: String,
        prefix: String,
    },
}

impl Caller {
    /// The owner of what this caller makes.
    pub(crate) fn owner(&self) -> &str {
        match self {
            Self::Key { name, .. } => name,
            Self::Admin | Self::Nobody => "admin",
        }
    }

    pub(crate) fn owns(&self, bucket: &Bucket) -> bool {
        match self {
            Self::Nobody => false,
            Self::Admin => true,
            Self::Key { name, .. } => *name == bucket.owner,
        }
    }
}

impl Exchange {
    /// The bearer token: of several `Authorization` headers the first, exactly one blank after the scheme.
    pub(crate) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header(AUTHORIZATION)?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    }

    pub(crate) fn caller(&self) -> Caller {
        self.bearer().map_or(Caller::Nobody, |token| self.shared.caller(token))
    }

    /// Anybody with credentials.
    pub(crate) fn authenticated(&self) -> Result<Caller, Refusal> {
        match self.caller() {
            Caller::Nobody => Err(Refusal::Unauthenticated),
            caller => Ok(caller),
        }
    }

    /// The admin key or a dashboard token.
    pub(crate) fn admin(&self) -> Result<(), Refusal> {
        if self.caller() == Caller::Admin { Ok(()) } else { Err(Refusal::NotAdmin) }
    }

    /// Who may write into a bucket: any key at all, or one of its upload tokens, which is then returned.
    pub(crate) fn writer(&self, bucket_id: &str) -> Result<Option<String>, Refusal> {
        if self.caller() != Caller::Nobody {
            return Ok(None);
        }
        let token = self.query.first("token").filter(|token| !token.is_empty());
        let token = token.ok_or(Refusal::UnauthenticatedUpload)?;
        if self.shared.state().token_is_good(token, bucket_id, self.shared.now()) {
            Ok(Some(token.to_owned()))
        } else {
            Err(Refusal::UploadToken)
        }
    }
}

impl Shared {
    fn caller(&self, token: &str) -> Caller {
        let now = self.now();
        if token == self.config.admin_key || jwt::verify(token, self.jwt_secret(), now).is_some() {
            return Caller::Admin;
        }
        if token.starts_with("cf4_") { self.key_holder(token, now) } else { Caller::Nobody }
    }

    /// Whether a token is the admin key or a good dashboard token.
    pub(crate) fn is_admin(&self, token: &str) -> bool {
        self.caller(token) == Caller::Admin
    }

    fn key_holder(&self, key: &str, now: DateTime<Utc>) -> Caller {
        let mut state = self.state();
        if let Some(caller) = state.caches.keys.get(key).and_then(|cached| cached.at(now)) {
            return caller.clone();
        }
        let Some(found) = state.keys.look_up(key, now) else {
            return Caller::Nobody;
        };
        let caller = Caller::Key { name: found.name.clone(), prefix: found.prefix.clone() };
        state.caches.keys.insert(key.to_owned(), Cached::until(now + KEY, caller.clone()));
        caller
    }

    /// What dashboard tokens are signed with.
    pub(crate) fn jwt_secret(&self) -> &str {
        self.config.jwt_secret.as_deref().unwrap_or(&self.config.admin_key)
    }
}

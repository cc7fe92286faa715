//! Requests that leave the API's origin, for a URL that the API has named: presigned, as a rule.
//!
//! Nothing of the client's goes with them: no credential, and no header but the request's own and the user agent. The
//! query of such a URL is a secret, so it is in no error, log or span.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode, header};
use url::Url;

use super::refusal::Dialect;
use super::request::{Replay, Request};
use crate::auth::Token;
use crate::error::{Error, ErrorKind, Result};

/// Knows where something lies.
pub(crate) trait Locate: Send + Sync {
    /// The URL to go to. `refused` is one that it gave before, and that was refused because it had expired.
    fn locate<'a>(&'a self, refused: Option<&'a Url>) -> BoxFuture<'a, Result<Url>>;
}

/// A place that is not below the base URL, and how it words its refusals.
#[derive(Clone)]
pub(crate) struct Elsewhere {
    pub(super) place: Arc<dyn Locate>,
    pub(super) dialect: &'static dyn Dialect,
}

impl fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Elsewhere")
    }
}

impl Request {
    /// A request to a URL that is asked for before each attempt. A place may be written to again and again: what was
    /// stored is replaced by the same.
    pub(crate) fn elsewhere(method: Method, place: Arc<dyn Locate>, dialect: &'static dyn Dialect) -> Self {
        let mut request = Self::new(method, "").replay(Replay::Safe);
        request.elsewhere = Some(Elsewhere { place, dialect });
        request
    }

    /// Follows one redirection of a `GET`, wherever it leads, without credentials. Each attempt starts at the API, so
    /// that what it names is fresh.
    pub(crate) fn follow(mut self, dialect: &'static dyn Dialect) -> Self {
        self.redirects = Some(dialect);
        self
    }
}

/// Where one attempt goes.
pub(super) struct Destination {
    pub(super) url: Url,
    /// How answers from there are worded; `None` for the API itself.
    pub(super) foreign: Option<&'static dyn Dialect>,
}

impl Destination {
    pub(super) fn foreign(url: Url, dialect: &'static dyn Dialect) -> Result<Self> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::new(ErrorKind::Decode, "the service named a place that is neither http nor https"));
        }
        Ok(Self { url, foreign: Some(dialect) })
    }

    /// Where an answer of the API sends the request on to, if it does.
    pub(super) fn redirected(
        &self,
        request: &Request,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Option<Result<Self>> {
        let dialect = request.redirects.filter(|_| self.redirects(request, status, headers))?;
        Some(match self.location(headers) {
            Some(url) if self.url.scheme() == "https" && url.scheme() == "http" => {
                Err(Error::new(ErrorKind::Decode, "the service redirects from https to http").with_status(status))
            }
            Some(url) => Self::foreign(url, dialect),
            None => Err(Error::new(ErrorKind::Decode, "the service redirects to no URL").with_status(status)),
        })
    }

    /// Whether an answer is a redirection that is followed. One to a page of the service itself, such as its set-up, is a
    /// refusal: content lies at another origin, or at a signed URL.
    pub(super) fn redirects(&self, request: &Request, status: StatusCode, headers: &HeaderMap) -> bool {
        self.foreign.is_none()
            && request.redirects.is_some()
            && matches!(status.as_u16(), 302 | 303 | 307)
            && self.location(headers).is_none_or(|url| url.origin() != self.url.origin() || is_signed(&url))
    }

    fn location(&self, headers: &HeaderMap) -> Option<Url> {
        self.url.join(headers.get(header::LOCATION)?.to_str().ok()?).ok()
    }

    /// The URL as it may be shown.
    pub(super) fn shown(&self) -> Url {
        let mut shown = self.url.clone();
        if self.foreign.is_some() {
            shown.set_query(None);
            shown.set_fragment(None);
        }
        shown
    }

    /// What an answer must not repeat.
    pub(super) fn secrets(&self) -> Vec<Token> {
        let longer = |value: &str| value.len() >= 16;
        self.url.query_pairs().filter(|(_, value)| longer(value)).map(|(_, value)| Token::new(value)).collect()
    }
}

/// Has the query of a presigned URL (AWS Signature Version 4, or 2).
fn is_signed(url: &Url) -> bool {
    url.query_pairs().any(|(name, _)| name.eq_ignore_ascii_case("X-Amz-Signature") || name == "Signature")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Words;

    impl Dialect for Words {
        fn pool_idle(&self) -> std::time::Duration {
            std::time::Duration::ZERO
        }

        fn decode(&self, _: StatusCode, _: &HeaderMap, _: &[u8]) -> crate::http::Decoded {
            Default::default()
        }
    }

    #[test]
    fn what_is_shown_has_no_query() {
        let url = Url::parse("https://s3.example.com/b/k?X-Amz-Signature=0123456789abcdef&x=1").unwrap();
        let there = Destination::foreign(url.clone(), &Words).unwrap();
        assert_eq!(there.shown().as_str(), "https://s3.example.com/b/k");
        assert_eq!(there.secrets(), [Token::new("0123456789abcdef")]);
        assert_eq!(Destination { url: url.clone(), foreign: None }.shown(), url);
        assert!(Destination::foreign(Url::parse("file:///etc/passwd").unwrap(), &Words).is_err());
    }

    #[test]
    fn only_the_api_redirects_and_only_where_it_is_followed() {
        let api = Destination { url: Url::parse("https://api.example.com/f/1").unwrap(), foreign: None };
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, "//s3.example.com/k?sig=1".parse().unwrap());
        let (plain, followed) = (Request::get("/f/1"), Request::get("/f/1").follow(&Words));
        assert!(api.redirected(&plain, StatusCode::FOUND, &headers).is_none());
        assert!(api.redirected(&followed, StatusCode::OK, &headers).is_none());
        let there = api.redirected(&followed, StatusCode::FOUND, &headers).unwrap().unwrap();
        assert_eq!(there.url.as_str(), "https://s3.example.com/k?sig=1");
        assert!(there.redirected(&followed, StatusCode::FOUND, &headers).is_none());
        assert!(api.redirected(&followed, StatusCode::FOUND, &HeaderMap::new()).unwrap().is_err());
        let mut to = |location: &'static str| {
            headers.insert(header::LOCATION, location.parse().unwrap());
            api.redirected(&followed, StatusCode::FOUND, &headers)
        };
        assert!(to("/setup?next=/f/1").is_none());
        assert!(to("/bucket/k?X-Amz-Signature=1").unwrap().is_ok());
        assert!(to("http://s3.example.com/k?X-Amz-Signature=1").unwrap().is_err());
    }
}

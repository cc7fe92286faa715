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
    pub(super) url: Arc<Url>,
    /// How answers from there are worded; `None` for the API itself.
    pub(super) foreign: Option<&'static dyn Dialect>,
    /// How many redirections have led there.
    hops: u8,
}

/// The API's, and those of a storage among its regions.
const MOST_HOPS: u8 = 3;

impl Destination {
    pub(super) fn api(url: Arc<Url>) -> Self {
        Self { url, foreign: None, hops: 0 }
    }

    /// A place that was named at `from`. From https it is never http: what is sent there could be read on the way.
    pub(super) fn foreign(from: &Url, url: Url, dialect: &'static dyn Dialect) -> Result<Self> {
        let problem = match (from.scheme(), url.scheme()) {
            (_, "https") | ("http", "http") => return Ok(Self { url: url.into(), foreign: Some(dialect), hops: 0 }),
            ("https", "http") => "an https service named an http URL: nothing is sent there in the clear",
            _ => "the service named a place that is neither http nor https",
        };
        Err(Error::new(ErrorKind::Decode, problem))
    }

    /// Where an answer sends the request on to, if it does.
    pub(super) fn redirected(
        &self,
        request: &Request,
        api: &dyn Dialect,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Option<Result<Self>> {
        if !self.redirects(request, api, status, headers) {
            return None;
        }
        let dialect = self.foreign.or(request.redirects)?;
        Some(match self.location(headers) {
            Some(url) => Self::foreign(&self.url, url, dialect)
                .map(|there| Self { hops: self.hops + 1, ..there })
                .map_err(|error| error.with_status(status)),
            None => Err(Error::new(ErrorKind::Decode, "the service redirects to no URL").with_status(status)),
        })
    }

    /// Whether an answer is a redirection that is followed.
    ///
    /// The API's leads to content. A storage's sends the same request, body included, to another of its regions.
    pub(super) fn redirects(
        &self,
        request: &Request,
        api: &dyn Dialect,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> bool {
        let to_content = |url: Url| leads_to_content(api, &self.url, &url);
        match (self.foreign, status.as_u16()) {
            _ if self.hops >= MOST_HOPS => false,
            (Some(_), 307 | 308) => self.location(headers).is_some(),
            (None, 302 | 303 | 307) if request.redirects.is_some() => self.location(headers).is_none_or(to_content),
            _ => false,
        }
    }

    pub(super) fn location(&self, headers: &HeaderMap) -> Option<Url> {
        self.url.join(headers.get(header::LOCATION)?.to_str().ok()?).ok()
    }

    /// The URL as it may be shown.
    pub(super) fn shown(&self) -> Arc<Url> {
        if self.foreign.is_none() {
            return self.url.clone();
        }
        let mut shown = Url::clone(&self.url);
        shown.set_query(None);
        shown.set_fragment(None);
        shown.into()
    }

    /// What an answer must not repeat.
    pub(super) fn secrets(&self) -> Vec<Token> {
        let longer = |value: &str| value.len() >= 16;
        self.url.query_pairs().filter(|(_, value)| longer(value)).map(|(_, value)| Token::new(value)).collect()
    }
}

/// Whether a redirection of the API is to content: at another origin, or at a signed URL. One to a page of the service, such as
/// its set-up, is a refusal, at whatever origin.
pub(crate) fn leads_to_content(api: &dyn Dialect, from: &Url, to: &Url) -> bool {
    is_signed(to) || (to.origin() != from.origin() && !api.leads_to_page(to))
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
        fn decode(&self, _: StatusCode, _: &HeaderMap, _: &[u8]) -> crate::http::Decoded {
            Default::default()
        }

        fn leads_to_page(&self, to: &Url) -> bool {
            to.path() == "/setup"
        }
    }

    #[test]
    fn what_is_shown_has_no_query() {
        let url = Url::parse("https://s3.example.com/b/k?X-Amz-Signature=0123456789abcdef&x=1").unwrap();
        let there = Destination::foreign(&url, url.clone(), &Words).unwrap();
        assert_eq!(there.shown().as_str(), "https://s3.example.com/b/k");
        assert_eq!(there.secrets(), [Token::new("0123456789abcdef")]);
        assert_eq!(*Destination::api(url.clone().into()).shown(), url);
    }

    #[test]
    fn nothing_is_sent_in_the_clear_where_the_service_is_not() {
        let foreign = |from: &str, to: &str| {
            Destination::foreign(&Url::parse(from).unwrap(), Url::parse(to).unwrap(), &Words).map(drop)
        };
        assert!(foreign("https://api.example.com", "https://s3.example.com/k").is_ok());
        assert!(foreign("http://localhost:1", "https://s3.example.com/k").is_ok());
        assert!(foreign("http://localhost:1", "http://localhost:2/k").is_ok());
        for (from, to) in [
            ("https://api.example.com", "http://s3.example.com/k"),
            ("https://api.example.com", "file:///etc/passwd"),
            ("http://localhost:1", "ftp://localhost/k"),
        ] {
            assert_eq!(foreign(from, to).unwrap_err().kind(), ErrorKind::Decode, "{from} {to}");
        }
    }

    #[test]
    fn the_api_redirects_only_where_it_is_followed() {
        let api = Destination::api(Url::parse("https://api.example.com/f/1").unwrap().into());
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, "//s3.example.com/k?sig=1".parse().unwrap());
        let (plain, followed) = (Request::get("/f/1"), Request::get("/f/1").follow(&Words));
        assert!(api.redirected(&plain, &Words, StatusCode::FOUND, &headers).is_none());
        assert!(api.redirected(&followed, &Words, StatusCode::OK, &headers).is_none());
        let there = api.redirected(&followed, &Words, StatusCode::FOUND, &headers).unwrap().unwrap();
        assert_eq!(there.url.as_str(), "https://s3.example.com/k?sig=1");
        assert!(there.redirected(&followed, &Words, StatusCode::FOUND, &headers).is_none());
        assert!(api.redirected(&followed, &Words, StatusCode::FOUND, &HeaderMap::new()).unwrap().is_err());
        let mut to = |location: &'static str| {
            headers.insert(header::LOCATION, location.parse().unwrap());
            api.redirected(&followed, &Words, StatusCode::FOUND, &headers)
        };
        assert!(to("/setup?next=/f/1").is_none());
        assert!(to("https://other.example.com/setup").is_none());
        assert!(to("https://s3.example.com/setup?X-Amz-Signature=1").unwrap().is_ok());
        assert!(to("/bucket/k?X-Amz-Signature=1").unwrap().is_ok());
        assert!(to("http://s3.example.com/k?X-Amz-Signature=1").unwrap().is_err());
    }

    #[test]
    fn a_storage_redirects_among_its_regions_for_a_while() {
        let first = Url::parse("https://s3.example.com/b/k?sig=1").unwrap();
        let mut there = Destination::foreign(&first, first.clone(), &Words).unwrap();
        let (put, mut headers) = (Request::new(Method::PUT, ""), HeaderMap::new());
        assert!(there.redirected(&put, &Words, StatusCode::TEMPORARY_REDIRECT, &headers).is_none());
        headers.insert(header::LOCATION, "https://s3-2.example.com/b/k?sig=1".parse().unwrap());
        assert!(there.redirected(&put, &Words, StatusCode::FOUND, &headers).is_none());
        for _ in 0..MOST_HOPS {
            there = there.redirected(&put, &Words, StatusCode::TEMPORARY_REDIRECT, &headers).unwrap().unwrap();
            assert!(there.foreign.is_some() && there.url.host_str() == Some("s3-2.example.com"));
        }
        assert!(there.redirected(&put, &Words, StatusCode::TEMPORARY_REDIRECT, &headers).is_none());
    }
}

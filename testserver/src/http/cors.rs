//! Cross-origin requests.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use super::reply::{self, Reply};

/// Which origins may read answers (`CorsOrigins`).
#[derive(Clone, Debug, Default)]
pub(crate) enum Origins {
    /// `*`, the default.
    #[default]
    Any,
    Listed(Vec<String>),
}

impl Origins {
    /// `Access-Control-Allow-Origin` for this origin, if it may read.
    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        match self {
            Self::Any => Some(reply::text("*")),
            Self::Listed(listed) => {
                listed.iter().any(|known| known.as_bytes() == origin.as_bytes()).then(|| origin.clone())
            }
        }
    }

    fn mark(&self, headers: &mut HeaderMap, origin: HeaderValue) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        // With one origin the answer is the same for everybody who may read it.
        if let Self::Listed(listed) = self
            && listed.len() > 1
        {
            headers.insert(VARY, reply::text("Origin"));
        }
    }

    /// The answer to a preflight, which comes before routing.
    pub(crate) fn preflight(&self, head: &Parts) -> Option<Reply> {
        let origin = head.headers.get(ORIGIN)?;
        let asked = head.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        if head.method != Method::OPTIONS {
            return None;
        }
        let mut answer = reply::empty(StatusCode::NO_CONTENT);
        if let Some(origin) = self.allowed(origin) {
            let headers = answer.headers_mut();
            let allowed = reply::text("Authorization,Content-Type,Content-Range,X-Append");
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, asked.clone());
            self.mark(headers, origin);
        }
        Some(answer)
    }

    /// Adds what a browser needs to read an answer.
    pub(crate) fn expose(&self, head: &Parts, headers: &mut HeaderMap) {
        let Some(origin) = head.headers.get(ORIGIN).and_then(|origin| self.allowed(origin)) else {
            return;
        };
        let exposed = reply::text("Content-Range,Accept-Ranges,Content-Length,ETag,Last-Modified");
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        self.mark(headers, origin);
    }
}

//! Why a request is refused, and with what answer: the error table of the API in one place.

use hyper::StatusCode;
use hyper::header::CONNECTION;

use super::reply::{self, Reply};

/// A refusal. The variants with a text have a JSON body, the others an empty one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Protected route, no (valid) credentials. Never 401.
    Unauthenticated,
    /// The same where an upload token would do too.
    UnauthenticatedUpload,
    /// An admin route without the admin key or a dashboard token.
    NotAdmin,
    /// Unknown, expired, exhausted or another bucket's upload token.
    UploadToken,
    /// Somebody else's living bucket.
    AccessDenied,
    /// Only `GET /api/tokens/dashboard/me` knows 401.
    Unauthorized(&'static str),
    /// Something with a name is not there.
    NotFound(&'static str),
    /// PATCH of a file that is not there comes with advice.
    NoFileToPatch,
    /// 404 without a body: routes, short codes.
    Nothing,
    /// A handler did not like a value.
    Invalid(String),
    /// The framework could not bind the request: before any authentication, without a body.
    Binding,
    /// A body of a type the route does not read.
    MediaType,
    /// PATCH past the end of the file.
    RangeNotSatisfiable,
    /// The body is over the limit.
    TooLarge,
    /// The body comes too slowly.
    TooSlow,
    /// The HTTP parser gave up.
    Malformed,
    /// An exception nobody caught.
    Unhandled,
    /// The peer has gone; whatever is answered, nobody reads it.
    PeerGone,
}

impl Refusal {
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }

    /// Whether the answer bypasses the middleware that would add CORS headers.
    pub(crate) fn is_below_middleware(&self) -> bool {
        matches!(self, Self::TooLarge | Self::TooSlow | Self::Malformed | Self::Unhandled | Self::PeerGone)
    }

    pub(crate) fn reply(&self) -> Reply {
        use StatusCode as S;
        match self {
            Self::Unauthenticated => {
                reply::error(S::FORBIDDEN, "Authentication required", Some("Use an API key or admin key."))
            }
            Self::UnauthenticatedUpload => reply::error(
                S::FORBIDDEN,
                "Authentication required",
                Some("Use an API key, admin key, or upload token."),
            ),
            Self::NotAdmin => {
                reply::error(S::FORBIDDEN, "Admin access required", Some("Use the admin key or a dashboard token."))
            }
            Self::UploadToken => reply::error(S::FORBIDDEN, "Invalid or expired upload token", None),
            Self::AccessDenied => reply::error(S::FORBIDDEN, "Access denied", None),
            Self::Unauthorized(text) => reply::error(S::UNAUTHORIZED, text, None),
            Self::NotFound(text) => reply::error(S::NOT_FOUND, text, None),
            Self::NoFileToPatch => {
                reply::error(S::NOT_FOUND, "File not found", Some("Use upload endpoints to create files."))
            }
            Self::Nothing => reply::empty(S::NOT_FOUND),
            Self::Invalid(text) => reply::error(S::BAD_REQUEST, text, None),
            Self::Binding => reply::empty(S::BAD_REQUEST),
            Self::MediaType => reply::empty(S::UNSUPPORTED_MEDIA_TYPE),
            Self::RangeNotSatisfiable => reply::error(S::RANGE_NOT_SATISFIABLE, "Range not satisfiable", None),
            Self::TooLarge => closing(S::PAYLOAD_TOO_LARGE),
            Self::TooSlow => closing(S::REQUEST_TIMEOUT),
            Self::Malformed | Self::PeerGone => closing(S::BAD_REQUEST),
            Self::Unhandled => reply::empty(S::INTERNAL_SERVER_ERROR),
        }
    }
}

/// An empty answer after which the server closes the connection.
pub(crate) fn closing(status: StatusCode) -> Reply {
    let mut reply = reply::empty(status);
    reply.headers_mut().insert(CONNECTION, reply::text("close"));
    reply
}

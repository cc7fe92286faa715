//! The framing of a `multipart/form-data` body (RFC 7578). What a part says of itself is up to the service.

use std::fmt::Display;

use bytes::Bytes;
use http::HeaderValue;

use crate::error::{Error, Result};

/// The line between parts.
pub(crate) struct Boundary(String);

impl Boundary {
    pub(crate) fn new() -> Self {
        // 128 random bits: no content holds it by accident, and none can be made to beforehand.
        Self(format!("carbonfiles-{:032x}", fastrand::u128(..)))
    }

    pub(crate) fn content_type(&self) -> Result<HeaderValue> {
        HeaderValue::try_from(format!("multipart/form-data; boundary={}", self.0))
            .map_err(|_| Error::invalid_input("boundary", "it can't be sent in a header"))
    }

    /// What comes before the content of a part. Its headers must have been made safe: without CR, LF or bare quotes.
    pub(crate) fn before(&self, headers: &dyn Display, first: bool) -> Bytes {
        let start = if first { "" } else { "\r\n" };
        format!("{start}--{}\r\n{headers}\r\n\r\n", self.0).into()
    }

    /// What comes after the last part.
    pub(crate) fn end(&self) -> Bytes {
        format!("\r\n--{}--\r\n", self.0).into()
    }
}

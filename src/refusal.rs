//! How CarbonFiles words its refusals: `{"error", "hint"?}`, or nothing (wire description section 2).

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::error::ErrorKind;
use crate::http::{Decoded, Dialect};

pub(crate) struct CarbonFiles;

#[derive(Deserialize)]
struct Refusal {
    error: String,
    /// Not worth losing the error for, whatever it is.
    hint: Option<serde_json::Value>,
}

impl Dialect for CarbonFiles {
    /// The server waits 131 s (wire description section 2).
    fn pool_idle(&self) -> Duration {
        Duration::from_secs(90)
    }

    fn decode(&self, status: StatusCode, _: &HeaderMap, body: &[u8]) -> Decoded {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let Ok(Refusal { error, hint }) = serde_json::from_slice(body) else { return Decoded::default() };
        let hint = hint.and_then(|hint| hint.as_str().map(str::to_owned));
        // The server never answers 401 to a bad credential: it takes the caller for anonymous, and says this.
        let kind = (status == StatusCode::FORBIDDEN && error == "Authentication required")
            .then_some(ErrorKind::Unauthenticated);
        Decoded { kind, message: Some(error), hint, ..Decoded::default() }
    }
}

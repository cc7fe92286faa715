//! How CarbonFiles words its refusals: `{"error", "hint"?}`, or nothing (wire description section 2).

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::error::{Details, Error, ErrorKind};
use crate::http::{Decoded, Dialect};

pub(crate) struct CarbonFiles;

/// How long a connection may wait for its next request: the server closes it after 131 s (wire description section 2).
pub(crate) const POOL_IDLE: Duration = Duration::from_secs(90);

/// How the server says that there is no such bucket (wire description section 2). Anybody on the way says 404.
pub(crate) const NO_BUCKET: &str = "Bucket not found";
/// And no such file.
pub(crate) const NO_FILE: &str = "File not found";
/// And no such key.
const NO_KEY: &str = "API key not found";

/// Whether an error is a 404 in these words.
pub(crate) fn says(error: &Error, words: &str) -> bool {
    error.is_not_found() && error.message() == words
}

/// The same of a file that a listing has shown not to be there.
pub(crate) fn no_file() -> Error {
    Error::new(ErrorKind::NotFound, NO_FILE).with_details(Details { absent: true, ..Details::default() })
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    /// Not worth losing the error for, whatever it is.
    hint: Option<serde_json::Value>,
}

impl Dialect for CarbonFiles {
    fn decode(&self, status: StatusCode, _: &HeaderMap, body: &[u8]) -> Decoded {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let Ok(Refusal { error, hint }) = serde_json::from_slice(body) else { return Decoded::default() };
        let hint = hint.and_then(|hint| hint.as_str().map(str::to_owned));
        // The server never answers 401 to a bad credential: it takes the caller for anonymous, and says this.
        let kind = (status == StatusCode::FORBIDDEN && error == "Authentication required")
            .then_some(ErrorKind::Unauthenticated);
        // A dashboard token that has expired gets no other answer where only the admin may.
        let perhaps_unknown = status == StatusCode::FORBIDDEN && error == "Admin access required";
        let absent = status == StatusCode::NOT_FOUND && matches!(&*error, NO_BUCKET | NO_FILE | NO_KEY);
        let details = Details { perhaps_unknown, absent, ..Details::default() };
        Decoded { kind, message: Some(error), hint, details }
    }

    fn says_gone(&self, path: &str, body: &[u8]) -> bool {
        // Of a short URL it says no more than this (recording 802), and a gateway may say as little.
        let of_short_url = body.is_empty() && path.starts_with("/api/short/");
        of_short_url || self.decode(StatusCode::NOT_FOUND, &HeaderMap::new(), body).details.absent
    }

    fn template(&self, path: &str) -> Option<String> {
        let segments: Vec<_> = path.split('/').skip(1).collect();
        Some(match segments[..] {
            ["healthz"] | ["api", "buckets" | "keys" | "stats"] => path.to_owned(),
            ["api", "tokens", "dashboard"] | ["api", "tokens", "dashboard", "me"] => path.to_owned(),
            ["s", _] => "/s/{code}".to_owned(),
            ["api", "short", _] => "/api/short/{code}".to_owned(),
            ["api", "keys", _] => "/api/keys/{prefix}".to_owned(),
            ["api", "keys", _, "usage"] => "/api/keys/{prefix}/usage".to_owned(),
            ["api", "buckets", _] => "/api/buckets/{id}".to_owned(),
            ["api", "buckets", _, "upload", "stream"] => "/api/buckets/{id}/upload/stream".to_owned(),
            ["api", "buckets", _, "files", _, .., verb @ ("content" | "verify")] => {
                format!("/api/buckets/{{id}}/files/{{path}}/{verb}")
            }
            ["api", "buckets", _, "files", _, ..] => "/api/buckets/{id}/files/{path}".to_owned(),
            ["api", "buckets", _, verb @ ("files" | "ls" | "summary" | "tokens" | "upload" | "zip")] => {
                format!("/api/buckets/{{id}}/{verb}")
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn templates_hold_nothing_of_a_call() {
        for (path, template) in [
            ("/healthz", Some("/healthz")),
            ("/api/buckets", Some("/api/buckets")),
            ("/api/buckets/b1", Some("/api/buckets/{id}")),
            ("/api/buckets/b1/files", Some("/api/buckets/{id}/files")),
            ("/api/buckets/b1/files/content", Some("/api/buckets/{id}/files/{path}")),
            ("/api/buckets/b1/files/a/b.txt", Some("/api/buckets/{id}/files/{path}")),
            ("/api/buckets/b1/files/a/b.txt/content", Some("/api/buckets/{id}/files/{path}/content")),
            ("/api/buckets/b1/upload/stream", Some("/api/buckets/{id}/upload/stream")),
            ("/api/keys/cf4_12345678/usage", Some("/api/keys/{prefix}/usage")),
            ("/s/abcdef", Some("/s/{code}")),
            ("/something/else", None),
            ("", None),
        ] {
            assert_eq!(CarbonFiles.template(path).as_deref(), template, "{path}");
        }
    }

    #[test]
    fn only_a_404_in_the_servers_words_is_an_absence() {
        for (status, body, absent) in [
            (404, r#"{"error":"Bucket not found"}"#, true),
            (404, r#"{"error":"File not found","hint":"Use upload endpoints to create files."}"#, true),
            (404, r#"{"error":"API key not found"}"#, true),
            (410, r#"{"error":"File not found"}"#, false),
            (404, r#"{"error":"Bucket not found or access denied"}"#, false),
            (404, r#"{"error":"Not Found"}"#, false),
            (404, "File not found", false),
            (404, "<html>", false),
            (404, "", false),
        ] {
            let decoded = CarbonFiles.decode(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes());
            assert_eq!(decoded.details.absent, absent, "{status} {body}");
        }
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_left(status in 300..600_u16, body in prop::collection::vec(any::<u8>(), 0..60)) {
            let decoded = CarbonFiles.decode(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), &body);
            let is_json = |body: &[u8]| serde_json::from_slice::<serde_json::Value>(body).is_ok();
            let bare = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&body);
            prop_assert!(decoded.message.is_none() || is_json(bare));
        }

        #[test]
        fn words_are_passed_on_as_they_are(
            status in 300..600_u16,
            mark in prop_oneof![Just(""), Just("\u{feff}")],
            error in prop_oneof![Just("Authentication required".to_owned()), "\\PC{0,40}"],
            hint in prop::option::of("\\PC{0,40}"),
            odd_hint in any::<bool>(),
        ) {
            let given = if odd_hint { serde_json::json!([hint]) } else { serde_json::json!(hint) };
            let body = format!("{mark}{}", serde_json::json!({ "error": error, "hint": given, "more": [1] }));
            let decoded = CarbonFiles.decode(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes());
            prop_assert_eq!(decoded.message.as_ref(), Some(&error));
            prop_assert_eq!(decoded.hint, hint.filter(|_| !odd_hint));
            let anonymous = status == 403 && error == "Authentication required";
            prop_assert_eq!(decoded.kind, anonymous.then_some(ErrorKind::Unauthenticated));
        }
    }
}

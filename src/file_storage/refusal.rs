//! How file_storage words its refusals: five shapes of JSON, sometimes a page of HTML, sometimes nothing (wire description,
//! section 1).

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::error::{Details, ErrorKind, FieldError};
use crate::http::{Decoded, Dialect};

pub(super) struct FileStorage;

/// How long a connection may wait for its next request: uvicorn closes it after 5 s.
pub(super) const POOL_IDLE: Duration = Duration::from_secs(4);

#[derive(Deserialize)]
struct Refusal {
    detail: Detail,
    max_bytes: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Detail {
    Own(Own),
    Validation(Vec<Invalid>),
    Text(String),
}

/// A refusal of the module itself. Its message may be translated: the code is what counts.
#[derive(Deserialize)]
struct Own {
    code: String,
    #[serde(default)]
    message: String,
    max_bytes: Option<u64>,
    #[serde(default)]
    missing: Vec<u32>,
    #[serde(default)]
    mismatched: Vec<u32>,
}

/// What a request was checked against. `input`, which echoes what was sent, is never read.
#[derive(Deserialize)]
struct Invalid {
    #[serde(default, rename = "type")]
    code: String,
    #[serde(default)]
    loc: Vec<Value>,
    #[serde(default)]
    msg: String,
}

impl Dialect for FileStorage {
    fn decode(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Decoded {
        if status.is_redirection() {
            return moved(headers);
        }
        match serde_json::from_slice(body) {
            Ok(Refusal { detail: Detail::Own(own), .. }) => own.decode(),
            Ok(Refusal { detail: Detail::Validation(invalid), .. }) => validation(invalid),
            Ok(Refusal { detail: Detail::Text(text), max_bytes }) => plain(status, text, max_bytes),
            Err(_) if is_html(headers) => Decoded {
                message: Some(format!(
                    "{} (the server answered with a page for browsers)",
                    status.canonical_reason().unwrap_or("unknown status")
                )),
                ..Decoded::default()
            },
            Err(_) => Decoded::default(),
        }
    }

    fn leads_to_page(&self, to: &Url) -> bool {
        is_set_up(to.path()) || to.path().trim_end_matches('/').ends_with("/login")
    }
}

/// What to do about an upload session that takes no parts any more.
pub(super) const SESSION_CLOSED: &str = "The upload session has expired, was given up or completed: begin anew";

impl Own {
    fn decode(self) -> Decoded {
        let kind = match self.code.as_str() {
            "file_storage.not_found" => Some(ErrorKind::NotFound),
            "file_storage.too_large" => Some(ErrorKind::PayloadTooLarge),
            "file_storage.quota_exceeded" => Some(ErrorKind::QuotaExceeded),
            "file_storage.size_mismatch" => Some(ErrorKind::IntegrityMismatch),
            "file_storage.direct_upload_unsupported" => Some(ErrorKind::Unsupported),
            _ => None,
        };
        let hint = match self.code.as_str() {
            "file_storage.parts_mismatch" => {
                Some(format!("missing parts: {:?}, parts that differ: {:?}", self.missing, self.mismatched))
            }
            "file_storage.upload_session_closed" => Some(SESSION_CLOSED.to_owned()),
            "file_storage.backend_unavailable" => {
                Some("The file was stored by a back end that is not the one in use now".to_owned())
            }
            _ => None,
        };
        let absent = kind == Some(ErrorKind::NotFound);
        let details = Details { code: Some(self.code), max_bytes: self.max_bytes, absent, ..Details::default() };
        Decoded { kind, message: Some(self.message), hint, details }
    }
}

/// The service sends browsers that come to a fresh installation to its set-up page; nothing else is a redirection here.
fn moved(headers: &HeaderMap) -> Decoded {
    let to = headers.get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
    if to.split(['?', '#']).next().is_some_and(is_set_up) {
        return Decoded {
            kind: Some(ErrorKind::Server),
            message: Some("the service is not set up yet: it has no account".into()),
            hint: Some("Create the first account on its /setup page".into()),
            ..Decoded::default()
        };
    }
    Decoded { message: Some("the server sent the request elsewhere".into()), ..Decoded::default() }
}

fn is_set_up(path: &str) -> bool {
    path.trim_end_matches('/').ends_with("/setup")
}

fn validation(invalid: Vec<Invalid>) -> Decoded {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fields: Vec<_> = invalid
        .into_iter()
        .map(|fault| FieldError {
            location: fault.loc.iter().map(word).collect(),
            code: fault.code,
            message: fault.msg,
        })
        .collect();
    let lines: Vec<_> = fields.iter().map(|field| format!("{}: {}", field.location.join("."), field.message)).collect();
    Decoded { message: Some(lines.join("; ")), details: Details { fields, ..Details::default() }, ..Decoded::default() }
}

fn plain(status: StatusCode, text: String, max_bytes: Option<u64>) -> Decoded {
    let permission = (status == StatusCode::FORBIDDEN)
        .then(|| text.strip_prefix("Permission required: "))
        .flatten()
        .map(|permission| permission.trim().to_owned());
    let hint = match (&permission, status) {
        (Some(permission), _) => Some(format!("The credential lacks the permission {permission}")),
        // Expired, revoked, malformed, unknown: the service says the same of all.
        (None, StatusCode::UNAUTHORIZED) if text == "Not authenticated" => {
            Some("The token is missing, expired, revoked or mistyped".to_owned())
        }
        (None, StatusCode::BAD_REQUEST) if text == "LOGIN_USER_NOT_VERIFIED" => {
            Some("The password is right: verify the account's email address first".to_owned())
        }
        _ => None,
    };
    Decoded { message: Some(text), hint, details: Details { permission, max_bytes, ..Details::default() }, kind: None }
}

fn is_html(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(status: u16, body: &str) -> Decoded {
        FileStorage.decode(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn the_five_shapes() {
        let own = decode(413, r#"{"detail":{"code":"file_storage.too_large","message":"Too big","max_bytes":1000}}"#);
        assert_eq!(own.kind, Some(ErrorKind::PayloadTooLarge));
        assert_eq!((own.details.max_bytes, own.details.code.as_deref()), (Some(1000), Some("file_storage.too_large")));

        let invalid = decode(
            422,
            r#"{"detail":[{"type":"int_parsing","loc":["body","ids",0],"msg":"no integer","input":"SECRET"}]}"#,
        );
        assert_eq!(invalid.message.as_deref(), Some("body.ids.0: no integer"));
        assert_eq!(invalid.details.fields[0].location, ["body", "ids", "0"]);
        assert!(!format!("{invalid:?}").contains("SECRET"));

        let denied = decode(403, r#"{"detail":"Permission required: file_storage.upload"}"#);
        assert_eq!(denied.details.permission.as_deref(), Some("file_storage.upload"));

        let guard = decode(413, r#"{"detail":"Request body is too large.","max_bytes":1049576}"#);
        assert_eq!((guard.kind, guard.details.max_bytes), (None, Some(1_049_576)));

        let limited = decode(429, r#"{"detail":"Too many requests.","retry_after":56}"#);
        assert_eq!(limited.message.as_deref(), Some("Too many requests."));
    }

    #[test]
    fn parts_that_do_not_match_are_named() {
        let body =
            r#"{"detail":{"code":"file_storage.parts_mismatch","message":"m","missing":[2],"mismatched":[1,3]}}"#;
        assert_eq!(decode(409, body).hint.as_deref(), Some("missing parts: [2], parts that differ: [1, 3]"));
    }

    #[test]
    fn a_service_without_accounts_says_so() {
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, "http://h/setup?next=/".parse().unwrap());
        let decoded = FileStorage.decode(StatusCode::FOUND, &headers, b"");
        assert_eq!(decoded.kind, Some(ErrorKind::Server));
        headers.insert(header::LOCATION, "http://h/files/".parse().unwrap());
        assert_eq!(FileStorage.decode(StatusCode::TEMPORARY_REDIRECT, &headers, b"").kind, None);
    }

    proptest! {
        #[test]
        fn no_body_panics(body in "\\PC{0,80}", status in 300u16..600) {
            let _ = decode(status, &body);
            let _ = decode(status, &format!("{{\"detail\":{body}}}"));
        }
    }
}

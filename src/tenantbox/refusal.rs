//! How the API words its refusals: `{"detail": "text"}`.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::error::{Details, ErrorKind};
use crate::http::{Decoded, Dialect};

/// The [`Error::code`](crate::Error::code) of a file that the API has a record of and whose bytes never came to the
/// storage: its upload was announced, and never made or not completed.
pub const NOT_IN_STORAGE: &str = "not_in_storage";

pub(super) struct Tenantbox;

/// How long a connection may wait for its next request. The storage's are in the same pool, and S3s close theirs early.
pub(super) const POOL_IDLE: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
struct Refusal {
    detail: String,
}

impl Dialect for Tenantbox {
    fn decode(&self, status: StatusCode, _: &HeaderMap, body: &[u8]) -> Decoded {
        let message = serde_json::from_slice(body).ok().map(|Refusal { detail }| detail);
        let kind = match status {
            // The official client takes a 403 for it, the reference says 413.
            StatusCode::FORBIDDEN | StatusCode::PAYLOAD_TOO_LARGE => Some(ErrorKind::QuotaExceeded),
            _ => None,
        };
        let in_storage = |detail: &String| detail.to_ascii_lowercase().contains("not found in storage");
        let missing = status == StatusCode::NOT_FOUND && message.as_ref().is_some_and(in_storage);
        let absent = status == StatusCode::NOT_FOUND && message.is_some();
        Decoded {
            kind,
            message,
            hint: missing.then(|| "The file was announced, but its bytes never arrived: upload it again".to_owned()),
            details: Details { code: missing.then(|| NOT_IN_STORAGE.to_owned()), absent, ..Details::default() },
        }
    }

    fn template(&self, path: &str) -> Option<String> {
        match path.strip_prefix("/api/storage/tenants/").and_then(|rest| rest.split_once('/')) {
            Some((_, of @ ("usage/" | "limit/"))) => Some(format!("/api/storage/tenants/{{tenant_id}}/{of}")),
            Some(_) => None,
            None => matches!(path, "/api/storage/upload/" | "/api/storage/download/" | "/api/storage/files/")
                .then(|| path.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(status: u16, body: &str) -> Decoded {
        Tenantbox.decode(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn quotas_come_with_either_status() {
        for status in [403, 413] {
            for body in [r#"{"detail":"Storage quota exceeded."}"#, "<html>", ""] {
                assert_eq!(decode(status, body).kind, Some(ErrorKind::QuotaExceeded), "{status} {body}");
            }
        }
        assert_eq!(
            decode(400, r#"{"detail":"filename is required"}"#).message.as_deref(),
            Some("filename is required")
        );
        assert_eq!(decode(400, r#"{"detail":["no","text"]}"#).message, None);
    }

    #[test]
    fn what_is_not_in_the_storage_is_told_apart() {
        let decoded = decode(404, r#"{"detail":"File not found in storage"}"#);
        assert!(decoded.details.code.as_deref() == Some(NOT_IN_STORAGE) && decoded.hint.is_some());
        let decoded = decode(404, r#"{"detail":"File not found"}"#);
        assert!(decoded.details.code.is_none() && decoded.hint.is_none());
    }

    #[test]
    #[cfg(feature = "tracing")]
    fn templates_name_no_tenant() {
        let template = |path: &str| Tenantbox.template(path);
        assert_eq!(template("/api/storage/tenants/u%2F1/usage/").unwrap(), "/api/storage/tenants/{tenant_id}/usage/");
        assert_eq!(template("/api/storage/upload/").unwrap(), "/api/storage/upload/");
        assert_eq!(template("/api/storage/tenants/u/else/"), None);
        assert_eq!(template(""), None);
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_left(status in 300..600_u16, body in prop::collection::vec(any::<u8>(), 0..60)) {
            let decoded = Tenantbox.decode(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), &body);
            prop_assert!(decoded.message.is_none() || serde_json::from_slice::<serde_json::Value>(&body).is_ok());
            prop_assert_eq!(decoded.kind, matches!(status, 403 | 413).then_some(ErrorKind::QuotaExceeded));
        }

        #[test]
        fn words_are_passed_on_as_they_are(
            status in prop_oneof![Just(404), 300..600_u16],
            detail in prop_oneof!["File [Nn]ot found in (Storage|storage)", "\\PC{0,40}"],
        ) {
            let decoded = decode(status, &serde_json::json!({ "detail": detail, "more": [1] }).to_string());
            let missing = status == 404 && detail.to_lowercase().contains("not found in storage");
            prop_assert_eq!(decoded.message, Some(detail));
            prop_assert_eq!(decoded.details.code.as_deref(), missing.then_some(NOT_IN_STORAGE));
            prop_assert_eq!(decoded.hint.is_some(), missing);
        }
    }
}

//! Errors that the server answered with.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use url::{Origin, Url};

use super::retry::retry_after;
use super::secrets::Secrets;
use crate::error::{Details, Error, ErrorKind, FieldError, TimeoutPhase};

/// How a service words its refusals.
pub(crate) trait Dialect: Send + Sync {
    /// Reads the body of an error answer. What it leaves out is derived from the status.
    fn decode(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Decoded;

    /// The path with names in place of what differs from call to call (`/api/buckets/{id}`), for the names of spans;
    /// `None` where the path is not the service's.
    #[cfg_attr(not(feature = "tracing"), allow(dead_code, reason = "only spans have names"))]
    fn template(&self, _path: &str) -> Option<String> {
        None
    }

    /// Whether a 404 with this body is the service's own word that what was to be deleted is not there. One of a gateway that
    /// knows no such service says nothing of it.
    fn says_gone(&self, _path: &str, body: &[u8]) -> bool {
        self.decode(StatusCode::NOT_FOUND, &HeaderMap::new(), body).details.absent
    }

    /// Whether a redirection leads to a page for people, such as a set-up, and not to content: then it is a refusal.
    fn leads_to_page(&self, _to: &Url) -> bool {
        false
    }
}

impl std::fmt::Debug for dyn Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dialect")
    }
}

/// What a service said.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    pub(crate) kind: Option<ErrorKind>,
    pub(crate) message: Option<String>,
    pub(crate) hint: Option<String>,
    pub(crate) details: Details,
}

/// The most that is read of an error's body.
pub(crate) const BODY_LIMIT: usize = 64 << 10;
/// How long an error's body may take: its status is what counts.
pub(crate) const BODY_PATIENCE: Duration = Duration::from_secs(5);
/// The most that is shown of a body that is not the service's own.
const EXCERPT: usize = 200;

/// The longest text of a server that is passed on.
const LONGEST: usize = 500;

/// The most field errors that are passed on.
const MOST_FIELDS: usize = 50;

/// The error of an answer. Whatever the server says, the `secrets` that were sent are not repeated. `moved_to` is where a
/// redirection of the API leads.
pub(crate) fn refusal(
    dialect: &dyn Dialect,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    secrets: &Secrets,
    moved_to: Option<&Url>,
) -> Error {
    let decoded = dialect.decode(status, headers, body);
    let words = |text: String| presentable(&text, LONGEST, secrets);
    let message = decoded.message.and_then(words).unwrap_or_else(|| describe(status, body, secrets));
    let error = Error::new(decoded.kind.unwrap_or_else(|| kind_of(status)), message)
        .with_status(status)
        .with_retry_after(retry_after(headers))
        .with_details(presentable_details(decoded.details, secrets));
    match decoded.hint.or_else(|| redirected(status, moved_to?)).and_then(words) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// As a rule the base URL is http where the service wants https.
fn redirected(status: StatusCode, to: &Url) -> Option<String> {
    let origin = Some(to.origin()).filter(Origin::is_tuple).filter(|_| status.is_redirection())?;
    let (origin, path) = (origin.ascii_serialization(), to.path());
    Some(format!("The server redirects to {origin}{path}: does the base URL have to begin so?"))
}

/// A text that a hub of events sent, fit to be passed on.
#[cfg(feature = "events")]
pub(crate) fn words_of_hub(text: &str, secrets: &Secrets) -> String {
    presentable(text, LONGEST, secrets).unwrap_or_else(|| "the hub gave no reason".into())
}

/// A server's text, fit to be passed on: bounded, without control characters or secrets; `None` if nothing is left.
fn presentable(text: &str, longest: usize, secrets: &Secrets) -> Option<String> {
    if text.trim().is_empty() {
        return None;
    }
    let text = secrets.cut(text);
    let clean = |c: char| if c.is_control() && !matches!(c, '\n' | '\t') { char::REPLACEMENT_CHARACTER } else { c };
    let mut line: String = text.chars().map(clean).take(longest + 1).collect();
    if let Some((end, _)) = line.char_indices().nth(longest) {
        line.truncate(end);
        line.push('…');
    }
    Some(line)
}

fn presentable_details(details: Details, secrets: &Secrets) -> Details {
    let words = |text: String| presentable(&text, LONGEST, secrets);
    let field = |field: FieldError| FieldError {
        location: field.location.into_iter().filter_map(words).collect(),
        code: words(field.code).unwrap_or_default(),
        message: words(field.message).unwrap_or_default(),
    };
    Details {
        code: details.code.and_then(words),
        max_bytes: details.max_bytes,
        expired: details.expired,
        perhaps_unknown: details.perhaps_unknown,
        absent: details.absent,
        permission: details.permission.and_then(words),
        fields: details.fields.into_iter().take(MOST_FIELDS).map(field).collect(),
    }
}

fn kind_of(status: StatusCode) -> ErrorKind {
    match status.as_u16() {
        400 | 414 | 415 | 422 | 431 => ErrorKind::InvalidInput,
        401 => ErrorKind::Unauthenticated,
        403 => ErrorKind::PermissionDenied,
        404 | 410 => ErrorKind::NotFound,
        405 | 501 => ErrorKind::Unsupported,
        408 => ErrorKind::Timeout(TimeoutPhase::Send),
        409 => ErrorKind::Conflict,
        412 => ErrorKind::PreconditionFailed,
        413 => ErrorKind::PayloadTooLarge,
        416 => ErrorKind::RangeNotSatisfiable,
        429 => ErrorKind::RateLimited,
        507 => ErrorKind::QuotaExceeded,
        500..=599 => ErrorKind::Server,
        _ => ErrorKind::Decode,
    }
}

/// A message for an answer that has none of its own: the status in words, and the beginning of what came instead.
fn describe(status: StatusCode, body: &[u8], secrets: &Secrets) -> String {
    let reason = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "the body is larger than the server takes",
        StatusCode::REQUEST_TIMEOUT => "the server gave up waiting for the body",
        _ => status.canonical_reason().unwrap_or("unknown status"),
    };
    // A secret that the cut goes through would no longer be recognised: so it is cut once more, behind it.
    let text = String::from_utf8_lossy(&body[..body.len().min(64 * EXCERPT)]);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match presentable(&text, EXCERPT, secrets) {
        Some(excerpt) => format!("{reason}: {excerpt}"),
        None => format!("{reason} (the server gave no reason)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_body_gives_a_bounded_message() {
        let huge = vec![b'x'; 100_000];
        let bodies: [&[u8]; 5] = [b"", b"\xff\xfe\x00", b"<html>\n<h1>Bad Gateway</h1>", &huge, b"   "];
        for status in [400u16, 404, 413, 500, 502, 599, 302] {
            for body in bodies {
                let message = describe(StatusCode::from_u16(status).unwrap(), body, &Secrets::default());
                assert!(!message.is_empty() && message.chars().count() < 300, "{message}");
                assert!(!message.contains(['\0', '\n']));
            }
        }
    }

    #[test]
    fn words_of_a_server_are_bounded_clean_and_free_of_secrets() {
        let url = Url::parse("http://h/?token=cfu_secret").unwrap();
        let secrets = Secrets::of(&[], &url, []);
        let said = |text: &str| presentable(text, 20, &secrets);
        assert_eq!(said("bad cfu_secret!").as_deref(), Some("bad [redacted]!"));
        assert_eq!(said(&"w".repeat(60_000)).unwrap().chars().count(), 21);
        assert_eq!(said("a\x1b[31m\0\nb").as_deref(), Some("a\u{fffd}[31m\u{fffd}\nb"));
        assert_eq!(said(" \n "), None);
        let page = format!("<p>?token=cfu_secret{}", "x".repeat(1000));
        assert!(!describe(StatusCode::BAD_GATEWAY, page.as_bytes(), &secrets).contains("secret"));
    }

    #[test]
    fn statuses_have_kinds() {
        assert_eq!(kind_of(StatusCode::PAYLOAD_TOO_LARGE), ErrorKind::PayloadTooLarge);
        assert_eq!(kind_of(StatusCode::FOUND), ErrorKind::Decode);
        assert_eq!(kind_of(StatusCode::from_u16(599).unwrap()), ErrorKind::Server);
    }
}

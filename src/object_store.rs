//! Objects behind presigned URLs: the half of a service that an S3 or one of its kin answers for.
//!
//! The service's API names a URL, signed for one object, one method and some time. [`Presigned`] asks for it when it is
//! needed, keeps it while it is good, and asks again when it has expired; [`get`] and [`put`] make requests of it, which
//! go through the same transport as all others, without credentials. [`S3`] reads the storage's refusals.

#![cfg_attr(not(feature = "tenantbox"), allow(dead_code, reason = "what each service does not use"))]

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use crate::error::{Details, Error, ErrorKind, Result, TimeoutPhase};
use crate::http::{Decoded, Dialect, Locate, Request};

/// A request for an object. It can be resumed: each part asks `place` for a URL that is still good. `name` is a path
/// below the service's base URL that stands for the object, whatever its URL is by then: by it a later run of the program
/// knows that the part it has is of the same object.
pub(crate) fn get(place: Arc<dyn Locate>, name: &str) -> Request {
    let mut request = Request::elsewhere(Method::GET, place, &S3);
    name.clone_into(&mut request.path);
    request
}

/// A request that stores an object, whole. Its length has to be known, for an S3 takes no chunked bodies.
pub(crate) fn put(place: Arc<dyn Locate>) -> Request {
    Request::elsewhere(Method::PUT, place, &S3).slow().refused_early()
}

/// A URL that a service has signed.
pub(crate) struct Issued<T> {
    pub(crate) url: Url,
    /// From the moment it was asked for.
    pub(crate) valid_for: Duration,
    /// What came with it.
    pub(crate) with: T,
}

impl<T> Issued<T> {
    /// # Errors
    /// `Decode` for what is no URL. It is not shown: it may hold a signature all the same.
    pub(crate) fn new(url: &str, valid_for: Duration, with: T) -> Result<Self> {
        let url =
            Url::parse(url).map_err(|_| Error::new(ErrorKind::Decode, "the service named a place that is no URL"))?;
        Ok(Self { url, valid_for, with })
    }
}

type Ask<T> = dyn Fn() -> BoxFuture<'static, Result<Issued<T>>> + Send + Sync;

/// A presigned URL, asked for when it is needed, and anew when it has expired or soon will. Those who need it at the same
/// time share one.
pub(crate) struct Presigned<T> {
    ask: Box<Ask<T>>,
    /// The last one, and until when it is used.
    last: Mutex<Option<(Issued<T>, Option<Instant>)>>,
}

/// The most that is taken off the time for which a URL is good: a request has to begin before it has passed.
const MARGIN: Duration = Duration::from_secs(30);

impl<T: Clone + Send> Presigned<T> {
    pub(crate) fn new<F>(ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Issued<T>>> + Send + 'static,
    {
        Self { ask: Box::new(move || Box::pin(ask())), last: Mutex::new(None) }
    }

    /// What came with the URL that was given last.
    pub(crate) async fn last(&self) -> Option<T> {
        self.last.lock().await.as_ref().map(|(issued, _)| issued.with.clone())
    }

    async fn url(&self, refused: Option<&Url>) -> Result<Url> {
        // Held while it is asked for, so that it is asked for once.
        let mut last = self.last.lock().await;
        if let Some((issued, until)) = &*last
            && Some(&issued.url) != refused
            && until.is_none_or(|until| Instant::now() < until)
        {
            return Ok(issued.url.clone());
        }
        let asked = Instant::now();
        let issued = (self.ask)().await?;
        let url = issued.url.clone();
        let good = issued.valid_for - (issued.valid_for / 10).min(MARGIN);
        *last = Some((issued, asked.checked_add(good)));
        Ok(url)
    }
}

impl<T: Clone + Send> Locate for Presigned<T> {
    fn locate<'a>(&'a self, refused: Option<&'a Url>) -> BoxFuture<'a, Result<Url>> {
        Box::pin(self.url(refused))
    }
}

/// How an S3 words its refusals: XML with a code and a message
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>).
pub(crate) struct S3;

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    code: Option<String>,
    message: Option<String>,
}

impl Dialect for S3 {
    /// A body that is no such XML is not passed on: whatever answered it may have repeated the URL.
    fn decode(&self, status: StatusCode, _: &HeaderMap, body: &[u8]) -> Decoded {
        let refusal = std::str::from_utf8(body).ok().and_then(|body| quick_xml::de::from_str(body).ok());
        let Refusal { code, message } = refusal.unwrap_or_default();
        let code = code.filter(|code| !code.is_empty());
        let reason = message.filter(|message| code.is_some() && !message.trim().is_empty()).unwrap_or_else(|| {
            let reason = code.as_deref().or(status.canonical_reason()).unwrap_or("it gave no reason");
            format!("the storage refused: {reason}")
        });
        let kind = code.as_deref().and_then(kind_of);
        let expired = has_expired(code.as_deref(), &reason);
        let absent = matches!(code.as_deref(), Some("NoSuchKey" | "NoSuchBucket"));
        let details = Details { code, expired, absent, ..Details::default() };
        Decoded { kind, message: Some(reason), details, ..Decoded::default() }
    }
}

/// AWS and MinIO say `AccessDenied` and "Request has expired", Cloudflare R2 `ExpiredRequest`, others `ExpiredToken`.
fn has_expired(code: Option<&str>, message: &str) -> bool {
    match code {
        Some("ExpiredRequest" | "RequestExpired" | "ExpiredToken") => true,
        Some("AccessDenied") => message.to_ascii_lowercase().contains("expired"),
        _ => false,
    }
}

/// The codes that say more than their status.
fn kind_of(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "AccessDenied"
        | "SignatureDoesNotMatch"
        | "InvalidAccessKeyId"
        | "ExpiredRequest"
        | "RequestExpired"
        | "ExpiredToken" => ErrorKind::PermissionDenied,
        "NoSuchKey" | "NoSuchBucket" | "NoSuchUpload" => ErrorKind::NotFound,
        "EntityTooLarge" => ErrorKind::PayloadTooLarge,
        "QuotaExceeded" | "XMinioStorageFull" => ErrorKind::QuotaExceeded,
        "BadDigest" | "IncompleteBody" | "XAmzContentSHA256Mismatch" => ErrorKind::IntegrityMismatch,
        "MissingContentLength" => ErrorKind::InvalidInput,
        // The body came too slowly, or the connection was an old one; it is a 400, and passes.
        "RequestTimeout" => ErrorKind::Timeout(TimeoutPhase::Send),
        "SlowDown" | "TooManyRequests" => ErrorKind::RateLimited,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use proptest::prelude::*;

    use super::*;

    fn decode(status: u16, body: &str) -> Decoded {
        S3.decode(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn codes_become_kinds() {
        let xml = |code: &str, message: &str| {
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message><StringToSign>secret</StringToSign></Error>"
            )
        };
        let denied = decode(403, &xml("AccessDenied", "Request has expired"));
        assert_eq!(denied.kind, Some(ErrorKind::PermissionDenied));
        assert_eq!(denied.message.as_deref(), Some("Request has expired"));
        assert!(denied.details.expired && denied.details.code.as_deref() == Some("AccessDenied"));
        assert!(!decode(403, &xml("AccessDenied", "Access Denied")).details.expired);
        assert!(decode(400, &xml("ExpiredRequest", "")).details.expired);
        assert!(!decode(403, &xml("SignatureDoesNotMatch", "your date has expired, or so")).details.expired);
        let absent = decode(404, &xml("NoSuchKey", "a &lt;key&gt;"));
        assert!(absent.details.absent && absent.message.as_deref() == Some("a <key>"));
        assert!(decode(404, &xml("NoSuchBucket", "x")).details.absent);
        assert!(!decode(404, &xml("NoSuchUpload", "x")).details.absent && !decode(404, "<html>").details.absent);
        assert_eq!(decode(400, &xml("EntityTooLarge", "x")).kind, Some(ErrorKind::PayloadTooLarge));
        assert_eq!(decode(400, &xml("SomethingNew", "x")).kind, None);
        assert_eq!(decode(503, &xml("SlowDown", "")).message.as_deref(), Some("the storage refused: SlowDown"));
    }

    #[test]
    fn what_is_no_error_of_an_s3_is_not_repeated() {
        for body in
            ["", "<html><body>/b/k?X-Amz-Signature=1</body></html>", "\u{0}", "<Error><Message>?sig</Message></Error>"]
        {
            let decoded = decode(403, body);
            assert_eq!(decoded.message.as_deref(), Some("the storage refused: Forbidden"), "{body}");
            assert!(decoded.kind.is_none() && decoded.details.code.is_none());
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let decoded = S3.decode(StatusCode::FORBIDDEN, &HeaderMap::new(), &body);
            prop_assert!(decoded.message.is_some_and(|message| !message.is_empty()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_url_is_asked_for_once_and_again_when_it_is_no_good_any_more() {
        let asked = Arc::new(AtomicU32::new(0));
        let count = asked.clone();
        let place = Presigned::new(move || {
            let n = count.fetch_add(1, Ordering::SeqCst) + 1;
            async move { Issued::new(&format!("https://s3.example.com/k?n={n}"), Duration::from_secs(100), n) }
        });
        let (first, same) = (place.url(None).await.unwrap(), place.url(None).await.unwrap());
        assert!(first == same && asked.load(Ordering::SeqCst) == 1);
        let second = place.url(Some(&first)).await.unwrap();
        assert_ne!(first, second);
        // Another that was refused with the first one shares the second.
        assert_eq!(place.url(Some(&first)).await.unwrap(), second);
        tokio::time::advance(Duration::from_secs(89)).await;
        assert_eq!(place.url(None).await.unwrap(), second);
        tokio::time::advance(Duration::from_secs(2)).await;
        place.url(None).await.unwrap();
        assert_eq!((asked.load(Ordering::SeqCst), place.last().await), (3, Some(3)));
    }

    #[test]
    fn what_is_no_url_is_not_shown() {
        let error = Issued::new("no?X-Amz-Signature=secret", Duration::ZERO, ()).err().unwrap();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}

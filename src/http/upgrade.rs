//! Making a connection of the client's own into another protocol's (RFC 9110 section 7.8).

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::time::{Instant, timeout};

use super::classify::exchange_error;
use super::refusal::{BODY_LIMIT, BODY_PATIENCE, refusal};
use super::response::read_excerpt;
use super::secrets::{Secrets, redact};
use super::transport::Transport;
use crate::auth::Token;
use crate::error::{Error, ErrorKind, Fate, RequestContext, Result, TimeoutPhase};

/// The bytes of a connection after it has changed its protocol.
pub(crate) type Upgraded = reqwest::Upgraded;

/// One attempt at changing the protocol. It carries the client's headers, but no credential except `token`, which its
/// caller has put into the query.
pub(crate) struct Upgrade<'a> {
    pub(crate) path: &'a str,
    pub(crate) query: &'a [(&'a str, &'a str)],
    pub(crate) protocol: &'static str,
    pub(crate) headers: HeaderMap,
    /// From the start to the head of the answer.
    pub(crate) limit: Duration,
    /// Which of the attempts of its caller this is, for errors.
    pub(crate) attempts: u32,
    pub(crate) token: Option<&'a Token>,
}

impl Transport {
    /// Asks for another protocol over the same proxies, TLS and resolver as every other request, on a connection that
    /// then belongs to the caller.
    pub(crate) async fn upgrade(&self, upgrade: Upgrade<'_>) -> Result<(HeaderMap, Upgraded)> {
        let config = self.config();
        let mut url = self.url(upgrade.path)?;
        if !upgrade.query.is_empty() {
            url.query_pairs_mut().extend_pairs(upgrade.query);
        }
        let start = Instant::now();
        let context = RequestContext {
            method: http::Method::GET,
            url: redact(&url),
            attempts: upgrade.attempts,
            elapsed: Duration::ZERO,
            bytes_sent: 0,
        };
        let mut request = reqwest::Request::new(http::Method::GET, url);
        let headers = request.headers_mut();
        headers.extend(config.headers.clone());
        headers.extend(upgrade.headers);
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static(upgrade.protocol));
        let secrets = Secrets::of(upgrade.token.map_or(&[], std::slice::from_ref), request.url(), [request.headers()]);
        let attempt = async {
            let mut answer = config.http.execute(request).await.map_err(exchange_error)?;
            let status = answer.status();
            if status != StatusCode::SWITCHING_PROTOCOLS {
                let headers = std::mem::take(answer.headers_mut());
                let excerpt = read_excerpt(&mut answer, BODY_LIMIT, BODY_PATIENCE).await;
                let said = refusal(config.dialect, status, &headers, &excerpt, &secrets, None);
                return Err(refused(upgrade.protocol, &headers, &said));
            }
            let headers = answer.headers().clone();
            Ok((headers, answer.upgrade().await.map_err(exchange_error)?))
        };
        let done = timeout(upgrade.limit, attempt).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Timeout(TimeoutPhase::Response), "no answer within the time limit")
                .with_fate(Fate::Unknown))
        });
        done.map_err(|error| error.with_request(RequestContext { elapsed: start.elapsed(), ..context }))
    }
}

/// An answer that is no change of protocols: perhaps the server's, perhaps that of a proxy before it.
fn refused(protocol: &str, headers: &HeaderMap, said: &Error) -> Error {
    let status = said.status().unwrap_or_default();
    let kind = match status.as_u16() {
        // What a server says that was asked without the `Upgrade` header, which belongs to each connection alone.
        400 | 405 | 426 | 501 => ErrorKind::Unsupported,
        407 => ErrorKind::Unauthenticated,
        _ => said.kind(),
    };
    let what = match headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) {
        Some(content_type) if !status.is_client_error() && !status.is_server_error() => {
            format!("the request for a {protocol} was answered with {content_type} instead: {}", said.message())
        }
        _ => format!("the {protocol} was refused: {}", said.message()),
    };
    let hint = format!(
        "Either there is no event hub at this URL, or a proxy before it does not pass a {protocol} on; it has to \
         forward the headers Connection and Upgrade"
    );
    let error = Error::new(kind, what).with_status(status).with_retry_after(said.retry_after());
    if error.is_retryable() { error } else { error.with_hint(hint) }
}

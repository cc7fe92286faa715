//! What one attempt sends: its URL, headers and credential.

use http::{HeaderMap, HeaderValue, header};
use url::Url;

use super::elsewhere::Destination;
use super::request::{Authorization, Request};
use super::tls::check_tls;
use super::transport::Transport;
use crate::auth::Token;
use crate::error::{Error, ErrorKind, Result};

/// Why a caller's own `Authorization` is refused.
pub(crate) const NAMED_TWICE: &str = "authorization is sent with the client's own credential";
pub(crate) const NAME_ONCE: &str =
    "Give the credential as the client's token or token_provider, or set the header on a client without one";

impl Transport {
    /// The credential of one attempt: where the client's is to be sent and one is given, it is that.
    pub(super) async fn credential(
        &self,
        request: &Request,
        to: &Destination,
        given: Option<Token>,
    ) -> Result<Option<Token>> {
        match &request.authorization {
            _ if to.foreign.is_some() => Ok(None),
            Authorization::Never => Ok(None),
            Authorization::UploadToken(token) => Ok(Some(token.clone())),
            _ if given.is_some() => Ok(given),
            _ => self.config().credentials.token().await,
        }
    }

    /// Sends one attempt on its way; gives the answer to wait for.
    pub(super) fn begin(
        &self,
        request: &Request,
        to: &Destination,
        body: reqwest::Body,
        length: Option<u64>,
        token: Option<&Token>,
    ) -> Result<impl Future<Output = reqwest::Result<reqwest::Response>> + use<>> {
        let mut built = self.build(request, to, token)?;
        // Of any other body the transport announces the length itself.
        match length {
            Some(0) if request.method.is_safe() => {}
            Some(0) => drop(built.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"))),
            _ => *built.body_mut() = Some(body),
        }
        Ok(self.config().http.execute(built))
    }

    /// The headers of a request to the API. The call's own come last: a user's content type must not replace the boundary of
    /// a multipart body.
    pub(super) fn headers_of<'a>(&'a self, request: &'a Request) -> impl Iterator<Item = &'a HeaderMap> {
        [Some(&self.config().headers), request.options.headers(), Some(&request.headers)].into_iter().flatten()
    }

    /// The head of one attempt, authorized.
    pub(super) fn build(&self, request: &Request, to: &Destination, token: Option<&Token>) -> Result<reqwest::Request> {
        let config = self.config();
        let mut built = reqwest::Request::new(request.method.clone(), Url::clone(&to.url));
        let headers = built.headers_mut();
        if to.foreign.is_some() {
            check_tls(&to.url)?;
            headers.extend(request.headers.clone());
            headers.extend(request.content_type.clone().map(|value| (header::CONTENT_TYPE, value)));
            headers.extend(config.headers.get(header::USER_AGENT).map(|agent| (header::USER_AGENT, agent.clone())));
            return Ok(built);
        }
        for (name, value) in self.headers_of(request).flatten() {
            headers.insert(name, value.clone());
        }
        if let Some(content_type) = &request.content_type {
            headers.insert(header::CONTENT_TYPE, content_type.clone());
        }
        let Some(token) = token else { return Ok(built) };
        // A token of the call's own goes alone: beside a valid credential the server would not look at it.
        if matches!(request.authorization, Authorization::UploadToken(_)) {
            built.headers_mut().remove(header::AUTHORIZATION);
        }
        if built.headers().contains_key(header::AUTHORIZATION) {
            // Whichever were sent, the call could be made as somebody it is not meant to be.
            return Err(Error::invalid_input("header", NAMED_TWICE).with_hint(NAME_ONCE));
        }
        if !token.is_upload_token() && !matches!(request.authorization, Authorization::UploadToken(_)) {
            built.headers_mut().insert(header::AUTHORIZATION, token.bearer()?);
            return Ok(built);
        }
        match &request.authorization {
            Authorization::Never | Authorization::Optional => {}
            Authorization::Required => {
                return Err(Error::new(
                    ErrorKind::PermissionDenied,
                    "an upload token only lets a client upload, and read what is public",
                )
                .with_hint("Use an API key, the admin key or a dashboard token for this call"));
            }
            Authorization::Upload | Authorization::UploadToken(_) => {
                token.check()?;
                if !token.is_upload_token() {
                    // Any other credential would only end up in logs of URLs.
                    return Err(Error::invalid_input("upload_token", "it is not an upload token (cfu_…)"));
                }
                built.url_mut().query_pairs_mut().append_pair("token", token.expose());
            }
        }
        Ok(built)
    }
}

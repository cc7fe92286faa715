//! Asks a server that broke the connection of an upload what it had to say.
//!
//! A server may refuse an upload before it has read it, and close. The client that is still writing sees a broken pipe,
//! and hyper reports that without reading the answer that is already there. So the head of the request is sent once
//! more, with the same length, and no byte of the body: a server that refuses does so at once, one that would accept
//! waits, and stores nothing when the connection is dropped. The same is asked where the whole body was taken on the way,
//! by a relay that lost the answer.

use std::time::Duration;

use super::body::Withheld;

/// How long a server may take to refuse a head.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The refusal, if there is one. The length is not 0: that would be a whole request, and carried out.
pub(crate) async fn refusal_of_head(
    http: &reqwest::Client,
    mut request: reqwest::Request,
    length: u64,
) -> Option<reqwest::Response> {
    request.headers_mut().insert(http::header::CONTENT_LENGTH, length.into());
    *request.body_mut() = Some(reqwest::Body::wrap(Withheld(length)));
    let answer = tokio::time::timeout(PATIENCE, http.execute(request)).await.ok()?.ok()?;
    (answer.status().is_client_error() || answer.status().is_server_error()).then_some(answer)
}

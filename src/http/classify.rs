//! What a failure of the HTTP client means: was anything sent, and did it break or time out?

use std::io;

use super::body::Abandoned;
use crate::error::{Error, ErrorKind, Fate, TimeoutPhase};

/// Turns a failed exchange into this crate's error, before its context is added.
pub(crate) fn exchange_error(cause: reqwest::Error) -> Error {
    // The URL may carry a token; the context has a clean one.
    let cause = cause.without_url();
    // The system gave the connection up (TCP_USER_TIMEOUT, keep-alive): reqwest calls that a time-out as well.
    let timed_out_below = find::<io::Error>(&cause).is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
    let (kind, message, fate) = if cause.is_timeout() && cause.is_connect() {
        (ErrorKind::Timeout(TimeoutPhase::Connect), "no connection within the time limit", Fate::NeverSent)
    } else if cause.is_connect() {
        (ErrorKind::Connect, "could not connect", Fate::NeverSent)
    } else if cause.is_timeout() && !timed_out_below {
        (ErrorKind::Timeout(TimeoutPhase::Total), "a time limit set on the HTTP client passed", Fate::Unknown)
    } else if was_canceled(&cause) {
        (ErrorKind::Interrupted, "the connection closed before the request was sent", Fate::NeverSent)
    } else if find::<Abandoned>(&cause).is_some() {
        (ErrorKind::Interrupted, "the body was abandoned", Fate::Unknown)
    } else if cause.is_builder() {
        (ErrorKind::InvalidInput, "the request could not be built", Fate::NeverSent)
    } else if find::<hyper::Error>(&cause).is_some_and(hyper::Error::is_parse) {
        (ErrorKind::Decode, "the answer is not HTTP", Fate::Unknown)
    } else {
        (ErrorKind::Interrupted, "the connection broke", Fate::Unknown)
    };
    Error::new(kind, describe(message, &cause)).with_fate(fate).caused_by(cause)
}

/// Whether it was the writing that failed: then an answer may have been there, unread.
pub(crate) fn is_write_failure(cause: &reqwest::Error) -> bool {
    // hyper has no predicate for it, but says it, and has said it so since 0.13.
    let says_so = find::<hyper::Error>(cause).is_some_and(|error| error.to_string().contains("writing"));
    says_so || find::<io::Error>(cause).is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Names the system's own word for it where there is one: "connection refused" is what a user looks for.
fn describe(message: &str, cause: &reqwest::Error) -> String {
    use io::ErrorKind as Kind;
    match find::<io::Error>(cause).map(io::Error::kind) {
        Some(
            kind @ (Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::BrokenPipe
            | Kind::UnexpectedEof
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::TimedOut),
        ) => format!("{message}: {kind}"),
        _ => message.into(),
    }
}

/// Whether it was taken back before it was sent. Behind that lies, as a rule, what happened to the connection instead.
fn was_canceled(error: &(dyn std::error::Error + 'static)) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref::<hyper::Error>()).any(hyper::Error::is_canceled)
}

/// The innermost cause of a type.
fn find<'e, E: std::error::Error + 'static>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e E> {
    causes(error).filter_map(|cause| cause.downcast_ref()).last()
}

fn causes<'e>(
    error: &'e (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use hyper::client::conn::http1;
    use hyper_util::rt::TokioIo;
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// An error of the HTTP client around one of hyper.
    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] hyper::Error);

    #[tokio::test]
    async fn a_request_whose_connection_fails_before_it_is_taken_was_not_sent() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 10);
        let (mut sender, connection) = http1::handshake(TokioIo::new(ours)).await.unwrap();
        theirs.write_all(b"?").await.unwrap();
        let answer = sender.send_request(http::Request::new(reqwest::Body::default()));
        let (answer, _) = tokio::join!(answer, connection);
        let error = Outer(answer.unwrap_err());
        assert!(error.0.source().is_some(), "what happened to the connection: {error:?}");
        assert!(was_canceled(&error), "{error:?}");
        assert!(!find::<hyper::Error>(&error).unwrap().is_canceled(), "the innermost");
    }
}

//! Spans and events of the feature `tracing`. Without it the same names do nothing, so nobody else has to ask.
//!
//! Names are those of OpenTelemetry's conventions for HTTP clients
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>); `otel.*` are those that `tracing-opentelemetry` reads.

#[cfg(not(feature = "tracing"))]
pub(crate) use off::{AttemptSpan, OperationSpan, here, resuming, retrying};
#[cfg(feature = "tracing")]
pub(crate) use on::{AttemptSpan, OperationSpan, here, resuming, retrying};

#[cfg(feature = "tracing")]
mod on {
    use std::future::Future;
    use std::time::Duration;

    use http::StatusCode;
    use tracing::field::Empty;
    use tracing::instrument::Instrumented;
    use tracing::{Instrument, Span};
    use url::Url;

    use crate::error::Error;
    use crate::http::refusal::Dialect;
    use crate::http::request::Request;
    use crate::http::secrets::redact;

    /// All that is done for one request: its attempts, and the waiting between them.
    pub(crate) struct OperationSpan(Span);

    impl OperationSpan {
        pub(crate) fn start(request: &Request, url: &Url, dialect: &dyn Dialect) -> Self {
            // Nothing of this is evaluated where nobody listens.
            Self(tracing::info_span!(
                target: "carbonfiles",
                "request",
                otel.name = name(request, dialect),
                otel.kind = "internal",
                otel.status_code = Empty,
                http.request.method = request.method.as_str(),
                url.template = dialect.template(&request.path),
                server.address = url.host_str(),
                server.port = url.port_or_known_default(),
                error.type = Empty,
            ))
        }

        /// Whatever happens in `work` belongs to it.
        pub(crate) fn cover<F: Future>(&self, work: F) -> Instrumented<F> {
            work.instrument(self.0.clone())
        }

        pub(crate) fn failed(&self, error: &Error) {
            record_failure(&self.0, error);
        }
    }

    /// One exchange with the server, up to the end of the answer's body.
    #[derive(Clone)]
    pub(crate) struct AttemptSpan(Span);

    impl AttemptSpan {
        /// For before the first attempt.
        pub(crate) fn none() -> Self {
            Self(Span::none())
        }

        /// The `number`-th try, from 1.
        pub(crate) fn start(request: &Request, url: &Url, dialect: &dyn Dialect, number: u32) -> Self {
            Self(tracing::info_span!(
                target: "carbonfiles",
                "attempt",
                otel.name = name(request, dialect),
                otel.kind = "client",
                otel.status_code = Empty,
                http.request.method = request.method.as_str(),
                http.request.resend_count = number.checked_sub(1).filter(|again| *again > 0),
                http.response.status_code = Empty,
                url.full = redact(url),
                url.template = dialect.template(&request.path),
                server.address = url.host_str(),
                server.port = url.port_or_known_default(),
                error.type = Empty,
            ))
        }

        pub(crate) fn cover<F: Future>(&self, work: F) -> Instrumented<F> {
            work.instrument(self.0.clone())
        }

        pub(crate) fn answered(&self, status: StatusCode) {
            self.0.record("http.response.status_code", status.as_u16());
        }

        pub(crate) fn failed(&self, error: &Error) {
            if let Some(status) = error.status() {
                self.answered(status);
            }
            self.broke(error);
        }

        /// It failed after it was answered.
        pub(crate) fn broke(&self, error: &Error) {
            record_failure(&self.0, error);
        }
    }

    /// Keeps work that goes to a task of its own within the caller's span.
    pub(crate) fn here<F: Future>(work: F) -> Instrumented<F> {
        work.in_current_span()
    }

    /// Attempt `number` failed, and the next one starts after `delay`.
    pub(crate) fn retrying(number: u32, delay: Duration, error: &Error) {
        tracing::warn!(
            target: "carbonfiles",
            attempt = number,
            delay_ms = delay.as_millis() as u64,
            error.type = error_type(error),
            error = %error,
            "trying again",
        );
    }

    /// A download was cut before byte `position`, and the rest is asked for after `delay`.
    pub(crate) fn resuming(position: u64, delay: Duration, error: &Error) {
        tracing::warn!(
            target: "carbonfiles",
            position,
            delay_ms = delay.as_millis() as u64,
            error.type = error_type(error),
            error = %error,
            "going on with the download",
        );
    }

    /// The method, and the shape of the path where it is known: few different names, whatever files are called.
    fn name(request: &Request, dialect: &dyn Dialect) -> String {
        match dialect.template(&request.path) {
            Some(template) => format!("{} {template}", request.method),
            None => request.method.to_string(),
        }
    }

    fn record_failure(span: &Span, error: &Error) {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", error_type(error));
    }

    /// The status where there was one, else the word of the kind.
    fn error_type(error: &Error) -> String {
        match error.status() {
            Some(status) if !status.is_success() => status.as_str().to_owned(),
            _ => error.kind().as_str().to_owned(),
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod off {
    use std::time::Duration;

    use http::StatusCode;
    use url::Url;

    use crate::error::Error;
    use crate::http::refusal::Dialect;
    use crate::http::request::Request;

    pub(crate) struct OperationSpan;

    impl OperationSpan {
        pub(crate) fn start(_: &Request, _: &Url, _: &dyn Dialect) -> Self {
            Self
        }

        pub(crate) fn cover<F>(&self, work: F) -> F {
            work
        }

        pub(crate) fn failed(&self, _: &Error) {}
    }

    #[derive(Clone)]
    pub(crate) struct AttemptSpan;

    impl AttemptSpan {
        pub(crate) fn none() -> Self {
            Self
        }

        pub(crate) fn start(_: &Request, _: &Url, _: &dyn Dialect, _: u32) -> Self {
            Self
        }

        pub(crate) fn cover<F>(&self, work: F) -> F {
            work
        }

        pub(crate) fn answered(&self, _: StatusCode) {}

        pub(crate) fn failed(&self, _: &Error) {}

        pub(crate) fn broke(&self, _: &Error) {}
    }

    pub(crate) fn here<F>(work: F) -> F {
        work
    }

    pub(crate) fn retrying(_: u32, _: Duration, _: &Error) {}

    pub(crate) fn resuming(_: u64, _: Duration, _: &Error) {}
}

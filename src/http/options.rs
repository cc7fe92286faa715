//! What any call can be told beside its own parameters.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::retry::RetryPolicy;
use crate::error::{Error, Result};

/// Headers, time limits and retries of one call. A bad header is kept as the call's error.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallOptions {
    pub(crate) headers: HeaderMap,
    pub(crate) response_timeout: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) total_timeout: Option<Duration>,
    pub(crate) retry: Option<RetryPolicy>,
    bad_header: Option<String>,
}

impl CallOptions {
    pub(crate) fn header(&mut self, name: &str, value: &str) {
        match parse_header(name, value) {
            Ok((name, value)) => {
                self.headers.insert(name, value);
            }
            Err(problem) => self.bad_header = Some(problem),
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        match &self.bad_header {
            Some(problem) => Err(Error::invalid_input("header", problem)),
            None => Ok(()),
        }
    }
}

/// A header that a user sets: refuses what would break the framing of the request or belongs to the transport.
pub(crate) fn parse_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let name = HeaderName::try_from(name).map_err(|_| format!("{name:?} is not a header name"))?;
    const OURS: [HeaderName; 5] =
        [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION, header::UPGRADE, header::TE];
    if OURS.contains(&name) {
        return Err(format!("{name} is set by the transport"));
    }
    // The value may be a secret: it is not repeated.
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| format!("the value of {name} holds a character that no header can carry"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// Makes a builder awaitable: `IntoFuture`, `.send()`, and the options that every call has.
///
/// The builder has a field `options: CallOptions` and a method `async fn run(self) -> Result<Output>`. With `@many`, which
/// is for what makes many calls, it has no options.
macro_rules! awaitable {
    ($builder:ident => $output:ty) => {
        $crate::http::awaitable!(@impl [] $builder, 'static, $output);
        $crate::http::call_options!([] $builder);
    };
    ($builder:ident<$life:lifetime> => $output:ty) => {
        $crate::http::awaitable!(@impl [$life] $builder, $life, $output);
        $crate::http::call_options!([$life] $builder<$life>);
    };
    (@many $builder:ident<$life:lifetime> => $output:ty) => {
        $crate::http::awaitable!(@impl [$life] $builder, $life, $output);
    };
    (@impl [$($life:lifetime)?] $builder:ident, $bound:lifetime, $output:ty) => {
        impl<$($life)?> ::std::future::IntoFuture for $builder<$($life)?> {
            type Output = $crate::Result<$output>;
            type IntoFuture = $crate::Call<$bound, $output>;

            fn into_future(self) -> Self::IntoFuture {
                $crate::Call::new(self.run())
            }
        }

        impl<$($life)?> $builder<$($life)?> {
            /// Sends it: the same as `.await` on the builder, as a future with a name, for `tokio::spawn` and the like.
            pub fn send(self) -> $crate::Call<$bound, $output> {
                ::std::future::IntoFuture::into_future(self)
            }
        }
    };
}

/// The option setters of [`awaitable!`] alone.
macro_rules! call_options {
    ([$($generics:tt)*] $builder:ty) => {
        impl<$($generics)*> $builder {
            /// Adds a header to this call, or replaces one. What can't be a header comes out of `.await` as `InvalidInput`.
            pub fn header(mut self, name: &str, value: &str) -> Self {
                self.options.header(name, value);
                self
            }

            /// Limits the whole call, retries and transfer included. There is no such limit by default.
            pub fn timeout(mut self, limit: ::std::time::Duration) -> Self {
                self.options.total_timeout = Some(limit);
                self
            }

            /// Limits the wait for the answer after the request was sent, for this call.
            pub fn response_timeout(mut self, limit: ::std::time::Duration) -> Self {
                self.options.response_timeout = Some(limit);
                self
            }

            /// Limits how long a body of this call may stand still, either way.
            pub fn idle_timeout(mut self, limit: ::std::time::Duration) -> Self {
                self.options.idle_timeout = Some(limit);
                self
            }

            /// All of them as those of another call, which this one is a part of.
            #[allow(dead_code, reason = "not every call is a part of another")]
            pub(crate) fn options(mut self, options: $crate::http::CallOptions) -> Self {
                self.options = options;
                self
            }

            /// Replaces the client's retry policy for this call.
            pub fn retry(mut self, policy: $crate::RetryPolicy) -> Self {
                self.options.retry = Some(policy);
                self
            }
        }
    };
}

pub(crate) use {awaitable, call_options};

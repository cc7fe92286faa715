//! What any call can be told beside its own parameters.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::time::{Instant, timeout_at};

use super::retry::RetryPolicy;
use super::watchdog::later;
use crate::error::{Error, ErrorKind, Fate, Result, TimeoutPhase};

/// Headers, time limits and retries of one call. A bad header is kept as the call's error.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallOptions {
    /// Most calls are told nothing, and all are handed on by value.
    told: Option<Box<Told>>,
    /// When all of the call has to be over, what it does by other calls included. Set when it starts.
    deadline: Option<Instant>,
    /// When it started, or the call that it is a part of.
    started: Option<Instant>,
}

#[derive(Debug, Clone, Default)]
struct Told {
    headers: HeaderMap,
    response_timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
    total_timeout: Option<Duration>,
    retry: Option<RetryPolicy>,
    bad_header: Option<String>,
}

impl CallOptions {
    fn tell(&mut self) -> &mut Told {
        self.told.get_or_insert_default()
    }

    pub(crate) fn set_header(&mut self, name: &str, value: &str) {
        match parse_header(name, value) {
            Ok((name, value)) => {
                self.tell().headers.insert(name, value);
            }
            Err(problem) => self.tell().bad_header = Some(problem),
        }
    }

    pub(crate) fn set_response_timeout(&mut self, limit: Duration) {
        self.tell().response_timeout = Some(limit);
    }

    pub(crate) fn set_idle_timeout(&mut self, limit: Duration) {
        self.tell().idle_timeout = Some(limit);
    }

    pub(crate) fn set_total_timeout(&mut self, limit: Duration) {
        self.tell().total_timeout = Some(limit);
    }

    pub(crate) fn set_retry(&mut self, policy: RetryPolicy) {
        self.tell().retry = Some(policy);
    }

    pub(crate) fn headers(&self) -> Option<&HeaderMap> {
        self.told.as_ref().map(|told| &told.headers)
    }

    pub(crate) fn response_timeout(&self) -> Option<Duration> {
        self.told.as_ref()?.response_timeout
    }

    pub(crate) fn idle_timeout(&self) -> Option<Duration> {
        self.told.as_ref()?.idle_timeout
    }

    pub(crate) fn total_timeout(&self) -> Option<Duration> {
        self.told.as_ref()?.total_timeout
    }

    pub(crate) fn retry(&self) -> Option<&RetryPolicy> {
        self.told.as_ref()?.retry.as_ref()
    }

    /// When the call has to be over, if it started now; a part of another call ends with that at the latest.
    pub(crate) fn deadline(&self, client: Option<Duration>) -> Option<Instant> {
        let limit = self.total_timeout().or(client.filter(|_| self.deadline.is_none()));
        let own = limit.map(|limit| later(Instant::now(), limit));
        own.into_iter().chain(self.deadline).min()
    }

    /// The call starts: its limit, or else the client's, runs for whatever it does from here on, and so does its clock.
    pub(crate) fn start(&mut self, client: Option<Duration>) -> Option<Instant> {
        self.started.get_or_insert_with(Instant::now);
        self.deadline = self.deadline(client);
        self.deadline
    }

    /// When the call started, if it has.
    pub(crate) fn started(&self) -> Option<Instant> {
        self.started
    }

    /// For calls that are made one after another, within its time: each has a clock of its own.
    pub(crate) fn for_each(&self) -> Self {
        Self { started: None, ..self.clone() }
    }

    /// For calls that outlast this one.
    pub(crate) fn anew(self) -> Self {
        Self { deadline: None, started: None, ..self }
    }

    pub(crate) fn end_by(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    pub(crate) fn check(&self) -> Result<()> {
        let Some(told) = &self.told else { return Ok(()) };
        if let Some(problem) = &told.bad_header {
            return Err(Error::invalid_input("header", problem));
        }
        told.retry.iter().try_for_each(RetryPolicy::check)
    }
}

/// Does the work of a call within its limit. It is pinned where it is made: a future that is passed on by value lies in
/// each one on its way once more, and each of those is copied when it starts.
pub(crate) async fn within<T>(deadline: Option<Instant>, work: impl Future<Output = Result<T>> + Unpin) -> Result<T> {
    let Some(deadline) = deadline else { return work.await };
    // What runs out inside at the same moment knows more: it is polled first.
    timeout_at(deadline, work).await.unwrap_or_else(|_| Err(over_limit()))
}

/// The limit of a call has passed.
pub(crate) fn over_limit() -> Error {
    Error::new(ErrorKind::Timeout(TimeoutPhase::Total), "the call took longer than its limit").with_fate(Fate::Unknown)
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
/// The builder has a field `options: CallOptions` and a method `async fn run(self) -> Result<Output>`. One whose output is
/// a type parameter names its generics and the lifetime of its future. With `@many`, which is for what makes many calls,
/// or starts its limit by itself, its options, if there are any, are elsewhere.
macro_rules! awaitable {
    ($builder:ident => $output:ty) => {
        $crate::http::awaitable!([] $builder, 'static => $output);
    };
    ($builder:ident<$life:lifetime> => $output:ty) => {
        $crate::http::awaitable!([$life] $builder<$life>, $life => $output);
    };
    ([$($generics:tt)*] $builder:ty, $bound:lifetime => $output:ty) => {
        $crate::http::awaitable!(@impl [$($generics)*] $builder, $bound, $output, |call| async move {
            let deadline = call.options.start(None);
            let work = ::std::pin::pin!(call.run());
            $crate::http::within(deadline, work).await
        });
        $crate::http::call_options!([$($generics)*] $builder);
    };
    (@many $builder:ident<$life:lifetime> => $output:ty) => {
        $crate::http::awaitable!(@impl [$life] $builder<$life>, $life, $output, |call| call.run());
    };
    (@impl [$($generics:tt)*] $builder:ty, $bound:lifetime, $output:ty, |$call:ident| $run:expr) => {
        impl<$($generics)*> ::std::future::IntoFuture for $builder {
            type Output = $crate::Result<$output>;
            type IntoFuture = $crate::Call<$bound, $output>;

            #[allow(unused_mut, reason = "what makes many calls has no limit that starts")]
            fn into_future(self) -> Self::IntoFuture {
                let mut $call = self;
                $crate::Call::new($run)
            }
        }

        impl<$($generics)*> $builder {
            /// Returns the call as a named future, for `tokio::spawn` and the like. The same as awaiting the builder.
            pub fn send(self) -> $crate::Call<$bound, $output> {
                ::std::future::IntoFuture::into_future(self)
            }
        }
    };
}

/// The option setters of [`awaitable!`] alone; the field is `options` unless its path is named.
macro_rules! call_options {
    ([$($generics:tt)*] $builder:ty) => {
        $crate::http::call_options!([$($generics)*] $builder, options);
    };
    ([$($generics:tt)*] $builder:ty, $($field:ident).+) => {
        impl<$($generics)*> $builder {
            /// Adds a header to this call, or replaces one. What can't be a header comes out of `.await` as `InvalidInput`.
            /// So does `Authorization` beside a credential of the client's: `with_token` of the client makes calls for many. Of
            /// a call that goes on to a presigned URL it is sent to the API only, never to the storage.
            pub fn header(mut self, name: &str, value: &str) -> Self {
                self.$($field).+.set_header(name, value);
                self
            }

            /// Limits the whole call, from its first poll: waiting for a turn or a token, look-ups, transfer and retries.
            /// There is no such limit by default. Of a stream of pages it limits each page; of a batch or a sync all of it.
            ///
            /// What the end of a batch's time means is for its [`OnFailure`](crate::files::OnFailure) to say. With `Stop` one
            /// file fails with `Timeout`, the others under way are skipped as `Cancelled`, and the rest as `NotStarted`; those
            /// that had not been taken from the iterator of an `upload_many` are not in the outcome. With `GoOn` each file
            /// that is not done by then fails with `Timeout`.
            pub fn timeout(mut self, limit: ::std::time::Duration) -> Self {
                self.$($field).+.set_total_timeout(limit);
                self
            }

            /// Limits the wait for the answer after the request was sent, for this call: in place of the client's `response`
            /// and `slow_response` alike, whether the server has to work through files or not. Where the request has no
            /// body, the making of its connection is part of that wait.
            pub fn response_timeout(mut self, limit: ::std::time::Duration) -> Self {
                self.$($field).+.set_response_timeout(limit);
                self
            }

            /// Limits how long a body of this call may stand still, either way. What is longer than the client's limit works
            /// for answers alone: see [`Timeouts::idle`](crate::Timeouts::idle).
            pub fn idle_timeout(mut self, limit: ::std::time::Duration) -> Self {
                self.$($field).+.set_idle_timeout(limit);
                self
            }

            /// All of them as those of another call, which this one is a part of.
            #[allow(dead_code, reason = "not every call is a part of another")]
            pub(crate) fn options(mut self, options: $crate::http::CallOptions) -> Self {
                self.$($field).+ = options;
                self
            }

            /// Replaces the client's retry policy for this call.
            pub fn retry(mut self, policy: $crate::RetryPolicy) -> Self {
                self.$($field).+.set_retry(policy);
                self
            }
        }
    };
}

pub(crate) use {awaitable, call_options};

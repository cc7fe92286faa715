//! How a request becomes an answer: one function sends them all, and knows no resource.
//!
//! [`Request`] says what to send and what may be done with it. [`Transport::send`] builds, authorizes, attempts,
//! classifies, perhaps waits and tries again, and hands back a [`Response`] or an error with the request's context.

mod attempt;
pub(crate) mod body;
mod classify;
#[allow(dead_code, reason = "for services behind features")]
mod elsewhere;
mod exchange;
mod limits;
mod multipart;
mod options;
mod probe;
mod refusal;
mod request;
mod response;
mod retry;
mod secrets;
mod timeouts;
mod tls;
mod trace;
mod transport;
#[cfg(feature = "events")]
mod upgrade;
mod watchdog;

pub(crate) use attempt::{NAME_ONCE, NAMED_TWICE};
pub(crate) use body::RequestBody;
#[cfg(any(feature = "tenantbox", feature = "file-storage"))]
pub(crate) use elsewhere::Locate;
#[cfg(feature = "file-storage")]
pub(crate) use elsewhere::leads_to_content;
pub(crate) use limits::{Limits, Room, Way};
pub(crate) use multipart::Boundary;
pub(crate) use options::{CallOptions, awaitable, call_options, parse_header, within};
#[cfg(feature = "events")]
pub(crate) use refusal::words_of_hub;
pub(crate) use refusal::{Decoded, Dialect};
pub(crate) use request::{Authorization, Receive, Replay, Request};
pub(crate) use response::Response;
#[cfg(feature = "file-storage")]
pub(crate) use retry::READ_ONCE;
pub use retry::RetryPolicy;
#[cfg(feature = "events")]
pub(crate) use retry::jittered;
#[cfg(feature = "events")]
pub(crate) use secrets::Secrets;
pub use timeouts::Timeouts;
pub(crate) use tls::check_tls;
pub(crate) use trace::{here, resuming};
pub(crate) use transport::{Config, REQUEST_LINE, Transport};
#[cfg(feature = "events")]
pub(crate) use upgrade::{Upgrade, Upgraded};
pub(crate) use watchdog::later;

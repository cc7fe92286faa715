//! An in-process CarbonFiles server for tests.
//!
//! It answers as the real server does, byte for byte where a client can see it, defects included, and lets a test
//! script faults, move its clock, and see every request it got.
//!
//! ```
//! # async fn test() -> Result<(), Box<dyn std::error::Error>> {
//! use carbonfiles_testserver::{Fault, TestServer};
//!
//! let server = TestServer::start().await?;
//! let busy = server.inject(Fault::status(503).on("GET", "/healthz"));
//! // … point a client at `server.url()` with the key `server.admin_key()` …
//! busy.fired_at_least(1).await;
//! server.clock().advance(std::time::Duration::from_secs(7 * 24 * 3600));
//! server.cleanup();
//! # Ok(())
//! # }
//! ```
//!
//! It is a test kit: it keeps everything in memory (large content in temporary files) and forgets it when dropped.

mod api;
mod clock;
mod content;
mod defects;
mod dotnet_date;
mod fault;
mod http;
mod hub;
mod identity;
mod ids;
mod jwt;
mod mime;
mod running;
mod seen;
mod server;
mod shared;
mod stamp;
mod state;
#[cfg(feature = "tenantbox")]
mod tenantbox;

pub use clock::Clock;
pub use defects::Defects;
pub use fault::{Fault, FaultHandle};
pub use hub::{Framing, Group, Hub, HubConnection, HubTimes, SeenRecord};
pub use running::StartError;
pub use seen::SeenRequest;
pub use server::{Builder, TestServer};
#[cfg(feature = "tenantbox")]
pub use tenantbox::Tenantbox;

/// The code in the README runs too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

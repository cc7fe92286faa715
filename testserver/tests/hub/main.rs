//! The hub of live events, as a client sees it and as a test steers it.

mod client;
mod events;
mod faults;
mod framing;
mod life;

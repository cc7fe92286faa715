//! A local folder and a folder of a bucket, made equal by content: only what differs is sent.

mod compare;
mod hashes;
mod look;
mod outcome;
mod plan;
mod settings;
mod stream;
mod sync_down;
mod sync_up;

pub use outcome::{Reported, SyncOutcome, SyncTotals};
pub use plan::{Direction, SyncAction, SyncPlan};
pub use stream::{SyncFile, SyncStream};
pub use sync_down::SyncDown;
pub use sync_up::SyncUp;

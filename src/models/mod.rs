//! What the server answers, as plain types: no client inside, `Serialize` and `Deserialize` both ways.
//!
//! Every type is `#[non_exhaustive]` and keeps members that it does not know in its `extra` ([`Extra`]), so that a
//! newer server loses nothing on the way through an older crate. Optional members are `None` whether the server leaves
//! them out or sends `null`, and are left out when serialised. Times are [`chrono::DateTime<Utc>`](chrono::DateTime),
//! whatever form the server gave them; they are written in RFC 3339 with `Z`.
//!
//! Names are written in `snake_case`, as in the REST API; buckets and files are read in the `camelCase` of the event hub
//! too.

mod bucket;
mod dashboard;
mod extra;
mod file;
mod health;
mod key;
mod listing;
mod open;
mod secret;
mod sort;
mod stats;
pub(crate) mod time;
mod upload_token;

pub use bucket::{BucketDetails, BucketInfo};
pub use dashboard::{DashboardUser, NewDashboardToken};
pub use extra::Extra;
pub(crate) use file::UploadResponse;
pub use file::{FileInfo, UploadedFile, Verification};
pub use health::{Health, HealthStatus};
pub use key::{KeyInfo, KeyUsage, NewKey};
pub use listing::{DirectoryInfo, DirectoryListing, TreePage};
pub(crate) use open::open_words;
pub use secret::Secret;
pub(crate) use sort::natural_order;
#[cfg(feature = "file-storage")]
pub(crate) use sort::words;
pub use sort::{BucketSort, FileSort, KeySort, Order};
pub use stats::{OwnerStats, Stats};
pub use upload_token::NewUploadToken;

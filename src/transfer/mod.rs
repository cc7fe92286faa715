//! Moving bytes: sources, uploads, downloads, progress and integrity. It knows no resource and no service.

mod asked;
mod beside;
mod body;
mod buffers;
mod download;
mod gathering;
mod hashing;
mod info;
mod parallel;
mod part;
mod part_file;
#[cfg(target_os = "linux")]
mod pipe;
mod plan;
mod positioned;
mod progress;
mod reading;
mod resending;
mod source;
mod spool;
mod started;
mod to_file;
mod turns;
mod unusable;
mod upload;
mod writer;

pub use asked::Outcome;
pub(crate) use asked::{Wanted, expected, expects, last_bytes, quoted, takes_ranges, unasked, wanted_range};
#[cfg(feature = "zip")]
pub(crate) use beside::{Beside, Work};
pub use download::{Download, DownloadReader, DownloadStream};
pub(crate) use hashing::{Hasher, sha256_of};
pub use info::ContentInfo;
pub use part::discard_partial;
pub(crate) use part::{Most, Replaces, Saving, is_empty_folder};
#[cfg(feature = "zip")]
pub(crate) use part::{give_mode, is_special, options_beside};
pub(crate) use part::{is_part_name, once_name};
pub(crate) use plan::{AskAnew, DownloadPlan, header_value};
pub use progress::{Phase, Progress};
pub(crate) use progress::{Reporter, Speed, reports_progress, starts};
pub(crate) use resending::Resending;
pub(crate) use source::PathCheck;
#[cfg(feature = "file-storage")]
pub(crate) use source::Sections;
pub use source::Source;
pub(crate) use spool::spooled;
pub use started::{Canceller, ProgressWatch, Transfer};
pub use to_file::Downloaded;
#[cfg(feature = "file-storage")]
pub(crate) use to_file::check_target;
pub(crate) use to_file::{save, saves};
pub(crate) use turns::{LINGERING, Turn, Turns};
#[cfg(feature = "zip")]
pub(crate) use unusable::unusable;
pub(crate) use upload::{Digest, Part, UploadBody, check_expected};
pub(crate) use writer::Feeder;

/// How many bytes are read, hashed and handed on at a time. Measured: at 4 KiB a 1 GiB upload takes 15 times as long.
pub(crate) const CHUNK: usize = 256 << 10;

/// The bytes that an upload holds at most, however long it is: 4 MiB of chunks read ahead, hashed, and handed to the
/// transport.
pub const UPLOAD_BUFFERS: u64 = 16 * CHUNK as u64;
/// The bytes that a download holds at most, however long it is: 2 MiB of chunks hashed, written, and in the transport.
/// With `parallel` it is as much again for each range, and 2 MiB where they are read in order.
pub const DOWNLOAD_BUFFERS: u64 = 8 * CHUNK as u64;

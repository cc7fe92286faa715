//! Many files at once: a bounded number in flight, each with its own outcome, with one progress for all.

mod batch;
mod download_dir;
mod progress;
mod run;
mod upload_dir;
mod upload_many;

pub use batch::{Batch, BatchFile, FileOutcome, Skipped};
pub use download_dir::DownloadDir;
pub(crate) use download_dir::{Download, downloading};
pub use progress::BatchProgress;
pub use run::{BatchStream, OnFailure};
pub(crate) use run::{Job, NotNow, Settings, Totals, many_setters, many_starts, run, signal};
pub use upload_dir::UploadDir;
pub(crate) use upload_many::{Each, uploading};
pub use upload_many::{UploadItem, UploadMany};

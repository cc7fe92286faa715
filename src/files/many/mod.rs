//! Many files at once: a bounded number in flight, each with its own outcome, with one progress for all.

mod batch;
mod download_dir;
mod progress;
mod run;
mod upload_dir;
mod upload_many;

pub use batch::{Batch, BatchFile, FileOutcome, Skipped};
pub use download_dir::DownloadDir;
pub use progress::BatchProgress;
pub use run::{BatchStream, OnFailure};
pub use upload_dir::UploadDir;
pub use upload_many::{UploadItem, UploadMany};

//! Many files at once: a bounded number in flight, each with its own outcome, with one progress for all.

mod batch;
mod delete_many;
mod download_dir;
mod download_many;
mod progress;
mod run;
mod upload_dir;
mod upload_many;

pub use batch::{Batch, BatchFile, FileOutcome, Skipped};
pub use delete_many::DeleteMany;
pub(crate) use delete_many::deletion;
pub use download_dir::DownloadDir;
pub(crate) use download_dir::{Download, EachDownload, downloading};
pub use download_many::{DownloadItem, DownloadMany};
pub use progress::BatchProgress;
pub use run::{BatchStream, OnFailure};
pub(crate) use run::{Job, NotNow, Settings, Totals, many_setters, many_starts, run, signal};
pub use upload_dir::UploadDir;
pub(crate) use upload_many::{EachUpload, uploading};
pub use upload_many::{UploadItem, UploadMany};

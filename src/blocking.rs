//! Work that would hold up a worker of the runtime.

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::error::{Error, ErrorKind, Result};

/// Runs a job on the runtime's blocking threads.
pub(crate) async fn blocking<T: Send + 'static>(job: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let stopped = |cause| Err(Error::new(ErrorKind::Io, "the runtime stopped meanwhile").caused_by(cause));
    spawn_blocking(job).await.unwrap_or_else(stopped)
}

/// Drops what may have a large file to sync or to remove: on the blocking threads, where there is a runtime.
pub(crate) fn drop_aside<T: Send + 'static>(value: T) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn_blocking(move || drop(value));
    }
}

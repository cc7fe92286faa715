//! Work that would hold up a worker of the runtime.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;
use tokio::task::{JoinError, spawn_blocking};

use crate::error::{Error, ErrorKind, Result};

/// Runs a job on the runtime's blocking threads.
pub(crate) async fn blocking<T: Send + 'static>(job: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let stopped =
        |cause| Err(Error::new(ErrorKind::Io, "the runtime stopped meanwhile").caused_by(unless_panicked(cause)));
    spawn_blocking(job).await.unwrap_or_else(stopped)
}

/// Why a task has no outcome. Its panic goes on in who waits for it, as if there were no task: it may be that of a closure of the
/// user's.
pub(crate) fn unless_panicked(cause: JoinError) -> JoinError {
    match cause.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(cause) => cause,
    }
}

/// The same for a long job, which asks now and then whether anybody still waits for it.
pub(crate) async fn blocking_while_waited_for<T: Send + 'static>(
    job: impl FnOnce(GivenUp) -> Result<T> + Send + 'static,
) -> Result<T> {
    struct OnDrop(GivenUp);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.0.store(true, Ordering::Relaxed);
        }
    }
    let waiting = OnDrop(GivenUp::default());
    let given_up = waiting.0.clone();
    blocking(move || job(given_up)).await
}

/// Tells a job whether what waited for it was dropped.
#[derive(Clone, Default)]
pub(crate) struct GivenUp(Arc<AtomicBool>);

impl GivenUp {
    pub(crate) fn yet(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Drops what may have a large file to sync or to remove: on the blocking threads, where there is a runtime.
pub(crate) fn drop_aside<T: Send + 'static>(value: T) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn_blocking(move || drop(value));
    }
}

//! How the tests in this crate wait.

use std::time::Duration;

/// A guard against tests that hang, never a measure.
const GUARD: Duration = Duration::from_secs(60);

pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, work).await.expect("it ends long before the guard does")
}

/// Looks until it is so, for what has no signal of its own. Between two looks others have a turn.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    within(async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

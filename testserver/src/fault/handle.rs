//! The test's end of a fault, and the server's.

use std::sync::Arc;

use tokio::sync::watch;

use super::Action;

/// Watches over an injected fault.
#[derive(Clone, Debug)]
pub struct FaultHandle {
    fired: watch::Sender<u64>,
    released: watch::Sender<bool>,
}

impl FaultHandle {
    pub(super) fn new() -> Self {
        Self { fired: watch::Sender::new(0), released: watch::Sender::new(false) }
    }

    /// How often the fault has taken effect. A fault that waits for byte 10 has not, before byte 10.
    #[must_use]
    pub fn fired(&self) -> u64 {
        *self.fired.borrow()
    }

    /// Waits until the fault has taken effect `times` times.
    pub async fn fired_at_least(&self, times: u64) {
        // The sender lives in this very handle, so waiting cannot fail.
        let _ = self.fired.subscribe().wait_for(|fired| *fired >= times).await;
    }

    /// Lets everything go on that this fault has stalled or will stall.
    pub fn release(&self) {
        self.released.send_replace(true);
    }
}

/// A fault that has struck a request and may take effect on it.
#[derive(Clone, Debug)]
pub(crate) struct Firing {
    action: Arc<Action>,
    handle: FaultHandle,
}

impl Firing {
    pub(super) fn new(action: Arc<Action>, handle: FaultHandle) -> Self {
        Self { action, handle }
    }

    pub(crate) fn action(&self) -> &Action {
        &self.action
    }

    /// Tells the test that the fault takes effect now.
    pub(crate) fn fire(&self) {
        self.handle.fired.send_modify(|fired| *fired += 1);
    }

    /// Waits for the test to release what is stalled.
    pub(crate) async fn released(&self) {
        let _ = self.handle.released.subscribe().wait_for(|released| *released).await;
    }
}

//! Events between the connection and their readers.

use std::sync::Arc;

use tokio::time::Instant;

use super::event::{Arrival, Event};

/// An event on its way to its readers, which share it until they take it.
#[derive(Debug)]
pub(super) struct Parcel {
    /// When it came.
    pub(super) at: Instant,
    /// Of its record, in bytes.
    pub(super) length: usize,
    pub(super) event: Event,
}

impl Parcel {
    /// What is not the server's word, and takes no room.
    pub(super) fn now(event: Event) -> Self {
        Self { at: Instant::now(), length: 0, event }
    }

    pub(super) fn open(self: Arc<Self>) -> Arrival {
        Arrival { at: self.at, event: self.event() }
    }

    pub(super) fn event(self: Arc<Self>) -> Event {
        match Arc::try_unwrap(self) {
            Ok(parcel) => parcel.event,
            Err(shared) => shared.event.clone(),
        }
    }
}

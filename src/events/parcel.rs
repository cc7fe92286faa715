//! Events between the connection and their readers.

use std::sync::Arc;

use tokio::time::Instant;

use super::event::{Arrival, Event, EventKind};
use super::protocol::FileRecord;

/// An event on its way to its readers, and when it came.
///
/// One about a file is decoded by each reader, in the reader's task: what is dropped or never read costs next to nothing,
/// and the connection's task has its time for the socket.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) at: Instant,
    pub(super) content: Content,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    Event(Event),
    File(FileRecord),
}

impl Parcel {
    pub(super) fn now(event: Event) -> Self {
        Self { at: Instant::now(), content: Content::Event(event) }
    }

    pub(super) fn open(self: Arc<Self>) -> Arrival {
        let (at, event) = match Arc::try_unwrap(self) {
            Ok(Self { at, content: Content::Event(event) }) => (at, event),
            Ok(Self { at, content: Content::File(record) }) => (at, record.open()),
            Err(shared) => (shared.at, shared.content.open()),
        };
        Arrival { at, event }
    }
}

impl Content {
    pub(super) fn open(&self) -> Event {
        match self {
            Self::Event(event) => event.clone(),
            Self::File(record) => record.open(),
        }
    }

    pub(super) fn kind(&self) -> Option<EventKind> {
        match self {
            Self::Event(event) => event.kind(),
            Self::File(record) => Some(record.kind()),
        }
    }

    pub(super) fn bucket_id(&self) -> Option<&str> {
        match self {
            Self::Event(event) => event.bucket_id(),
            Self::File(record) => Some(record.bucket_id()),
        }
    }

    pub(super) fn path(&self) -> Option<&str> {
        match self {
            Self::Event(event) => event.path(),
            Self::File(record) => Some(record.path()),
        }
    }
}

//! What a subscription is about, as the hub is told of it, and what it lets through.

use std::collections::HashSet;
use std::sync::Arc;

use super::event::{Event, EventKind};
use super::protocol::{LONGEST, invocation};
use crate::error::{Error, Result};

/// What a subscription is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Interest {
    All,
    Bucket(Arc<str>),
    File(Arc<str>, Arc<str>),
}

impl Interest {
    /// The interest, if the hub can be told of it: at a longer record it ends the connection, and with it every other
    /// subscription, as often as it is told.
    pub(super) fn sayable(self) -> Result<Self> {
        let mut record = Vec::new();
        // The longest there is of it.
        self.write_leave(&mut record, u64::MAX);
        if record.len() <= LONGEST {
            return Ok(self);
        }
        let argument = match &self {
            Self::File(bucket, path) if path.len() >= bucket.len() => "path",
            _ => "bucket id",
        };
        let length = record.len();
        Err(Error::invalid_input(argument, format!("it makes a record of {length} bytes; the hub takes {LONGEST}")))
    }

    pub(super) fn write_join(&self, out: &mut Vec<u8>, id: u64) {
        match self {
            Self::All => invocation(out, id, "SubscribeToAll", &[]),
            Self::Bucket(bucket) => invocation(out, id, "SubscribeToBucket", &[bucket]),
            Self::File(bucket, path) => invocation(out, id, "SubscribeToFile", &[bucket, path]),
        }
    }

    pub(super) fn write_leave(&self, out: &mut Vec<u8>, id: u64) {
        match self {
            Self::All => invocation(out, id, "UnsubscribeFromAll", &[]),
            Self::Bucket(bucket) => invocation(out, id, "UnsubscribeFromBucket", &[bucket]),
            Self::File(bucket, path) => invocation(out, id, "UnsubscribeFromFile", &[bucket, path]),
        }
    }
}

/// What a subscription lets through.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    pub(super) prefix: Option<Arc<str>>,
    pub(super) kinds: Option<HashSet<EventKind>>,
}

impl Filter {
    pub(super) fn passes(&self, event: &Event) -> bool {
        let kind = match (&self.kinds, event.kind()) {
            (Some(kinds), Some(kind)) => kinds.contains(&kind),
            _ => true,
        };
        let prefix = match (&self.prefix, event.path()) {
            (Some(prefix), Some(path)) => path.starts_with(&**prefix),
            _ => true,
        };
        kind && prefix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_let_through_what_they_say() {
        let created = Event::FileDeleted { bucket_id: "a".into(), path: "docs/a".into() };
        let bucket = Event::BucketDeleted { bucket_id: "a".into() };
        let by = |prefix: Option<&str>, kinds: &[EventKind]| Filter {
            prefix: prefix.map(Into::into),
            kinds: (!kinds.is_empty()).then(|| kinds.iter().copied().collect()),
        };
        assert!(by(None, &[]).passes(&created) && by(Some("docs/"), &[]).passes(&created));
        assert!(!by(Some("Docs/"), &[]).passes(&created) && !by(None, &[EventKind::FileCreated]).passes(&created));
        assert!(by(Some("x"), &[EventKind::BucketDeleted]).passes(&bucket));
        assert!(by(Some("x"), &[EventKind::FileDeleted]).passes(&Event::Lagged(1)));
    }
}

//! Events between the connection and their readers.

use std::mem::size_of;
use std::sync::Arc;

use serde_json::Value;
use tokio::time::Instant;

use super::event::{Arrival, Event};

/// An event on its way to its readers, which share it until they take it.
#[derive(Debug)]
pub(super) struct Parcel {
    /// When it came.
    pub(super) at: Instant,
    /// About what it takes, in bytes: its record, and what is kept of it as JSON.
    pub(super) length: usize,
    pub(super) event: Event,
}

impl Parcel {
    /// What is not the server's word, and takes no room.
    pub(super) fn now(event: Event) -> Self {
        Self { at: Instant::now(), length: 0, event }
    }

    pub(super) fn of_record(at: Instant, record: &[u8], event: Event) -> Self {
        let json = match &event {
            Event::Unknown { arguments, .. } => weight(arguments),
            Event::FileCreated { file, .. } | Event::FileUpdated { file, .. } => weight_of(file.extra.members()),
            Event::BucketCreated { bucket } => weight_of(bucket.extra.members()),
            _ => 0,
        };
        Self { at, length: record.len().saturating_add(json), event }
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

/// What a map's leaf takes, however few members are in it.
const LEAF: usize = 11 * (size_of::<String>() + size_of::<Value>()) + 16;
/// What something on the heap takes besides.
const ALLOCATION: usize = 16;

/// About what a value takes besides itself: up to a hundred times its text, so that a text's length is no bound for it.
fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => ALLOCATION + text.capacity(),
        Value::Array(items) => {
            ALLOCATION + items.capacity() * size_of::<Value>() + items.iter().map(weight).sum::<usize>()
        }
        Value::Object(members) => weight_of(members),
    }
}

fn weight_of<'a>(members: impl IntoIterator<Item = (&'a String, &'a Value), IntoIter: ExactSizeIterator>) -> usize {
    let members = members.into_iter();
    // A leaf that is split is left half full.
    let leaves = members.len().div_ceil(6) * LEAF;
    leaves + members.map(|(name, value)| ALLOCATION + name.capacity() + weight(value)).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::protocol::{Message, parse};

    fn parcel(record: &str) -> Parcel {
        let Ok(Message::Event(event)) = parse(record) else { panic!("{record}") };
        Parcel::of_record(Instant::now(), record.as_bytes(), event)
    }

    /// A hub that means ill fills no more memory than a buffer may take.
    #[test]
    fn what_takes_more_than_its_text_counts_for_more() {
        let unknown = |what: &str| {
            let many = vec![what; 1000].join(",");
            parcel(&format!(r#"{{"type":1,"target":"New","arguments":[[{many}]]}}"#)).length
        };
        assert!(unknown("0") > 32 * 1000);
        assert!(unknown("[]") > 32 * 1000);
        assert!(unknown("[0]") > 64 * 1000);
        assert!(unknown(r#"{"":0}"#) > 600 * 1000);
        let members: Vec<_> = (0..1000).map(|n| format!("\"{n}\":0")).collect();
        let one = format!(r#"{{"type":1,"target":"New","arguments":[{{{}}}]}}"#, members.join(","));
        assert!(parcel(&one).length > 56 * 1000);
        let at = r#""createdAt":"2026-11-21T09:34:42Z","updatedAt":"2026-11-21T09:34:42Z""#;
        let file = format!(r#""path":"a","name":"a","size":1,"mimeType":"x",{at}"#);
        let known = |more: &str| {
            let record = format!(r#"{{"type":1,"target":"FileCreated","arguments":["b",{{{file}{more}}}]}}"#);
            (parcel(&record).length, record.len())
        };
        let (length, record) = known("");
        assert_eq!(length, record, "of what is known, nothing is kept as JSON");
        assert!(known(r#","new":[{},{"":{"":0}}]"#).0 > 1200);
    }
}

//! Events about files that are decoded by who takes them.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use serde_json::Value;

use super::message::{Known, Message, parse_whole};
use crate::events::event::{Event, EventKind};

/// The record of an event about a file. It is known to be JSON, and where the event belongs; the rest is read by
/// [`FileRecord::open`].
#[derive(Debug, Clone, PartialEq)]
pub(in crate::events) struct FileRecord {
    known: Known,
    record: Box<str>,
    bucket_id: Range<usize>,
    path: Range<usize>,
}

impl FileRecord {
    /// `None` where the address is not in the record as it is, but with escapes.
    pub(super) fn new(known: Known, record: &str, address: &Address<'_>) -> Option<Self> {
        let place = |text: &str| {
            let start = text.as_ptr() as usize - record.as_ptr() as usize;
            start..start + text.len()
        };
        let Address(Lent(bucket_id), Place { path: Lent(path) }) = address;
        let (bucket_id, path) = (place((*bucket_id)?), place((*path)?));
        Some(Self { known, record: record.into(), bucket_id, path })
    }

    /// By its name: one whose shape is not known turns out to be [`Event::Unknown`] when it is opened.
    pub(in crate::events) fn kind(&self) -> EventKind {
        self.known.kind()
    }

    pub(in crate::events) fn bucket_id(&self) -> &str {
        &self.record[self.bucket_id.clone()]
    }

    pub(in crate::events) fn path(&self) -> &str {
        &self.record[self.path.clone()]
    }

    pub(in crate::events) fn open(&self) -> Event {
        match parse_whole(&self.record) {
            Ok(Message::Event(event)) => event,
            _ => Event::Unknown { target: self.known.name().to_owned(), arguments: Value::Null },
        }
    }
}

/// The arguments of an event about a file, as far as it takes to know where it belongs.
#[derive(Deserialize)]
pub(super) struct Address<'a>(#[serde(borrow)] Lent<'a>, #[serde(borrow)] Place<'a>);

#[derive(Deserialize)]
struct Place<'a> {
    #[serde(borrow)]
    path: Lent<'a>,
}

/// A string of a record; `None` where it is written with escapes.
struct Lent<'a>(Option<&'a str>);

impl<'de: 'a, 'a> Deserialize<'de> for Lent<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Lent<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Lent<'de>, E> {
                Ok(Lent(Some(text)))
            }

            fn visit_str<E>(self, _: &str) -> Result<Lent<'de>, E> {
                Ok(Lent(None))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

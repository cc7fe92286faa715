//! The one form in which the server writes that a file was stored (events description, section 8), read without a parser:
//! the names, their order and their quotes are fixed, so only the values have to be looked at.
//!
//! It decides on nothing but speed. What differs by a byte, escapes among it, is not read here but by the parser.

use crate::events::event::Event;
use crate::models::{Extra, FileInfo, time};

/// The event, or `None` where the record is not exactly of this form.
pub(super) fn read(record: &str) -> Option<Event> {
    // One pass that the compiler makes wide: after it, a quote is the end of a string.
    if record.bytes().fold(false, |odd, byte| odd | (byte < b' ') | (byte == b'\\')) {
        return None;
    }
    let mut rest = Rest(record);
    rest.skip(r#"{"type":1,"target":"File"#)?;
    let is_new = rest.skip("Created").is_some();
    if !is_new {
        rest.skip("Updated")?;
    }
    let bucket_id = rest.skip(r#"","arguments":["#)?.text()?;
    let path = rest.skip(r#",{"path":"#)?.text()?;
    let name = rest.skip(r#","name":"#)?.text()?;
    let size = rest.skip(r#","size":"#)?.number()?;
    let mime_type = rest.skip(r#","mimeType":"#)?.text()?;
    let short_code = rest.skip(r#","shortCode":"#)?.text_or_null()?;
    let short_url = rest.skip(r#","shortUrl":"#)?.text_or_null()?;
    let sha256 = rest.skip(r#","sha256":"#)?.text_or_null()?;
    let created = rest.skip(r#","createdAt":"#)?.text()?;
    let updated = rest.skip(r#","updatedAt":"#)?.text()?;
    if rest.0 != "}]}" {
        return None;
    }
    let created_at = time::parse(created)?;
    // A new file has the same twice.
    let updated_at = if updated == created { created_at } else { time::parse(updated)? };
    let file = FileInfo {
        path: path.to_owned(),
        name: name.to_owned(),
        size,
        mime_type: mime_type.to_owned(),
        short_code: short_code.map(str::to_owned),
        short_url: short_url.map(str::to_owned),
        sha256: sha256.map(str::to_owned),
        created_at,
        updated_at,
        extra: Extra::default(),
    };
    let bucket_id = bucket_id.to_owned();
    Some(if is_new { Event::FileCreated { bucket_id, file } } else { Event::FileUpdated { bucket_id, file } })
}

/// What is still to be read.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Inlined, so that what is expected is compared by a few wide instructions.
    #[inline(always)]
    fn skip(&mut self, expected: &str) -> Option<&mut Self> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(self)
    }

    /// A string, which has no escapes here.
    #[inline]
    fn text(&mut self) -> Option<&'a str> {
        let inside = self.0.strip_prefix('"')?;
        let end = memchr::memchr(b'"', inside.as_bytes())?;
        self.0 = inside.get(end + 1..)?;
        inside.get(..end)
    }

    fn text_or_null(&mut self) -> Option<Option<&'a str>> {
        match self.skip("null") {
            Some(_) => Some(None),
            None => self.text().map(Some),
        }
    }

    fn number(&mut self) -> Option<u64> {
        let end = self.0.bytes().position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = (self.0.get(..end)?, self.0.get(end..)?);
        // JSON has no leading zeros.
        if digits.len() > 1 && digits.starts_with('0') {
            return None;
        }
        self.0 = rest;
        digits.parse().ok()
    }
}

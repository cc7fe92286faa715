//! Cutting a stream of bytes into records.

/// The byte that ends a record.
pub(in crate::events) const SEPARATOR: u8 = 0x1e;

/// A record, or what has come of it, is longer than is allowed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of the hub is longer than {limit} bytes")]
pub(in crate::events) struct TooLong {
    limit: usize,
}

/// Cuts messages into records and keeps what has no end yet. Whole records are lent from the message, not copied.
#[derive(Debug)]
pub(in crate::events) struct Records {
    unfinished: String,
    limit: usize,
}

impl Records {
    /// Refuses records over `limit` bytes.
    pub(in crate::events) fn new(limit: usize) -> Self {
        Self { unfinished: String::new(), limit }
    }

    /// Hands each record that ends in `text` to `take`, without its separator, until it fails.
    pub(in crate::events) fn feed<E: From<TooLong>>(
        &mut self,
        mut text: &str,
        mut take: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(end) = memchr::memchr(SEPARATOR, text.as_bytes()) {
            let (record, rest) = (&text[..end], &text[end + 1..]);
            text = rest;
            if self.unfinished.is_empty() {
                self.check(record.len())?;
                take(record)?;
            } else {
                self.keep(record)?;
                let whole = std::mem::take(&mut self.unfinished);
                take(&whole)?;
            }
        }
        if text.is_empty() {
            return Ok(());
        }
        self.keep(text).map_err(E::from)
    }

    fn keep(&mut self, part: &str) -> Result<(), TooLong> {
        self.check(self.unfinished.len() + part.len())?;
        self.unfinished.push_str(part);
        Ok(())
    }

    fn check(&self, length: usize) -> Result<(), TooLong> {
        if length > self.limit { Err(TooLong { limit: self.limit }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(limit: usize, messages: &[&str]) -> Result<Vec<String>, TooLong> {
        let mut records = Records::new(limit);
        let mut whole = Vec::new();
        for message in messages {
            records.feed(message, |record| {
                whole.push(record.to_owned());
                Ok::<_, TooLong>(())
            })?;
        }
        Ok(whole)
    }

    #[test]
    fn several_records_a_message_and_several_messages_a_record() {
        assert_eq!(cut(9, &["{}\x1e{\"a\":1}\x1e{", "}", "", "\x1e"]).unwrap(), ["{}", "{\"a\":1}", "{}"]);
        assert_eq!(cut(9, &["\x1e\x1e"]).unwrap(), ["", ""]);
        assert!(cut(9, &["no end"]).unwrap().is_empty());
    }

    #[test]
    fn too_long_a_record_is_refused_before_it_has_ended() {
        assert_eq!(cut(4, &["1234\x1e"]).unwrap().len(), 1);
        assert!(cut(4, &["12345\x1e"]).is_err());
        assert!(cut(4, &["123", "45"]).is_err());
        assert!(cut(4, &["1", "2345\x1e"]).is_err());
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_records_are_the_same(
            records in proptest::collection::vec("[^\x1e]{0,10}", 0..12),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let stream: String = records.iter().map(|record| format!("{record}\x1e")).collect();
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            places.retain(|place| stream.is_char_boundary(*place));
            places.extend([0, stream.len()]);
            places.sort_unstable();
            let messages: Vec<&str> = places.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            prop_assert_eq!(cut(40, &messages).unwrap(), records);
        }
    }
}

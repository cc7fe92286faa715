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
    unfinished: Vec<u8>,
    limit: usize,
}

impl Records {
    /// Refuses records over `limit` bytes.
    pub(in crate::events) fn new(limit: usize) -> Self {
        Self { unfinished: Vec::new(), limit }
    }

    /// Hands each record that ends in `bytes` to `take`, without its separator, until it fails.
    pub(in crate::events) fn feed<E: From<TooLong>>(
        &mut self,
        mut bytes: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(end) = memchr::memchr(SEPARATOR, bytes) {
            let (record, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            if self.unfinished.is_empty() {
                self.check(record.len())?;
                take(record)?;
            } else {
                self.keep(record)?;
                let whole = std::mem::take(&mut self.unfinished);
                take(&whole)?;
            }
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.keep(bytes).map_err(E::from)
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), TooLong> {
        self.check(self.unfinished.len() + part.len())?;
        self.unfinished.extend_from_slice(part);
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

    fn cut(limit: usize, messages: &[&[u8]]) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut records = Records::new(limit);
        let mut whole = Vec::new();
        for message in messages {
            records.feed(message, |record| {
                whole.push(record.to_vec());
                Ok::<_, TooLong>(())
            })?;
        }
        Ok(whole)
    }

    #[test]
    fn several_records_a_message_and_several_messages_a_record() {
        assert_eq!(cut(9, &[b"{}\x1e{\"a\":1}\x1e{", b"}", b"", b"\x1e"]).unwrap(), [&b"{}"[..], b"{\"a\":1}", b"{}"]);
        assert_eq!(cut(9, &[b"\x1e\x1e"]).unwrap(), [b"", b""]);
        assert!(cut(9, &[b"no end"]).unwrap().is_empty());
    }

    #[test]
    fn too_long_a_record_is_refused_before_it_has_ended() {
        assert_eq!(cut(4, &[b"1234\x1e"]).unwrap().len(), 1);
        assert!(cut(4, &[b"12345\x1e"]).is_err());
        assert!(cut(4, &[b"123", b"45"]).is_err());
        assert!(cut(4, &[b"1", b"2345\x1e"]).is_err());
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_records_are_the_same(
            records in proptest::collection::vec(proptest::collection::vec(any::<u8>().prop_filter("separator", |b| *b != SEPARATOR), 0..40), 0..12),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let stream: Vec<u8> = records.iter().flat_map(|record| record.iter().copied().chain([SEPARATOR])).collect();
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            places.extend([0, stream.len()]);
            places.sort_unstable();
            let messages: Vec<&[u8]> = places.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            prop_assert_eq!(cut(40, &messages).unwrap(), records);
        }
    }
}

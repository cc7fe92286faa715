//! One attempt's way through the parts of an upload: hashed, checked, and its end held back until that is done.

use bytes::Bytes;

use super::Digest;
use super::marks::Marks;
use super::sink::Sink;
use crate::error::{Error, ErrorKind, Result};
use crate::transfer::hashing::Hasher;
use crate::transfer::reading::Reading;
use crate::transfer::turns::{Turn, Turns};

/// A part whose source is open.
pub(super) struct Opened<'a> {
    pub(super) reading: Reading<'a>,
    pub(super) size: Option<u64>,
    pub(super) prefix: Bytes,
    pub(super) expected: Option<String>,
}

impl Opened<'_> {
    fn hasher(&self, hash: bool) -> Option<Hasher> {
        (hash || self.expected.is_some()).then(Hasher::new)
    }
}

/// One attempt's way through the parts.
pub(super) struct Feeding<'s> {
    pub(super) suffix: &'s Bytes,
    pub(super) hash: bool,
    pub(super) sent: &'s mut Vec<Digest>,
    pub(super) turns: Option<&'s Turns>,
    pub(super) turn: &'s mut Option<Turn>,
    /// The content that an earlier attempt had its turn for, and still has.
    pub(super) kept: Option<String>,
    /// Where somebody hears how far it is.
    pub(super) marks: Option<Marks>,
}

impl Feeding<'_> {
    pub(super) async fn run(&mut self, opened: Vec<Opened<'_>>, sink: &mut Sink<'_>) -> Result<()> {
        let mut offset = 0;
        // Each is closed when it has been read.
        let mut opened = opened.into_iter();
        while let Some(mut part) = opened.next() {
            let is_last = opened.len() == 0;
            let prefix = std::mem::take(&mut part.prefix);
            offset += prefix.len() as u64;
            if !prefix.is_empty() {
                sink.data(prefix).await;
            }
            self.marks.iter().for_each(|marks| marks.content_starts_at(offset));
            offset += self.part(&mut part, is_last, sink).await?;
            self.marks.iter().for_each(|marks| marks.content_ends_at(offset));
        }
        if !self.suffix.is_empty() {
            self.take_turn().await;
            sink.data(self.suffix.clone()).await;
        }
        self.take_turn().await;
        sink.end().await;
        Ok(())
    }

    /// Before the bytes that complete the body: not together with another body of the same content.
    ///
    /// Without a hash there is nothing to tell contents by. A body of several parts takes no turn: it would have to hold one
    /// while it waits for the next, and two of them could wait for each other.
    async fn take_turn(&mut self) {
        let ([Digest { sha256: Some(hash), .. }], Some(turns)) = (&self.sent[..], self.turns) else { return };
        if self.turn.is_some() {
            // That of this attempt, or of an earlier one with the same bytes.
            if self.kept.take().is_none_or(|kept| kept == *hash) {
                return;
            }
            self.turn.take().into_iter().for_each(Turn::linger);
        }
        *self.turn = Some(turns.wait_briefly(hash.clone()).await);
    }

    /// Sends one part; gives its size. Where the part's last bytes complete the body, they wait for the checks.
    async fn part(&mut self, part: &mut Opened<'_>, is_last: bool, sink: &mut Sink<'_>) -> Result<u64> {
        let completes = is_last && self.suffix.is_empty();
        let mut hasher = part.hasher(self.hash);
        let (mut count, mut held) = (0u64, None);
        loop {
            let Some(chunk) = part.reading.next().await? else { break };
            count += chunk.len() as u64;
            if part.size.is_some_and(|size| count > size) {
                return Err(wrong_size(part.size, "more"));
            }
            if let Some(hasher) = &mut hasher {
                hasher.update(&chunk).await;
            }
            if completes && part.size == Some(count) {
                held = Some(chunk);
            } else {
                sink.data(chunk).await;
            }
        }
        if part.size.is_some_and(|size| count < size) {
            return Err(wrong_size(part.size, "fewer"));
        }
        let sha256 = match hasher {
            Some(hasher) => Some(hasher.finish().await?),
            None => None,
        };
        self.finish_part(part.expected.as_deref(), count, sha256)?;
        if let Some(held) = held {
            self.take_turn().await;
            sink.data(held).await;
        }
        Ok(count)
    }

    fn finish_part(&mut self, expected: Option<&str>, size: u64, sha256: Option<String>) -> Result<()> {
        if let (Some(expected), Some(found)) = (expected, &sha256)
            && !expected.eq_ignore_ascii_case(found)
        {
            let message = format!("the source has the SHA-256 {found}, expected was {expected}; it was not stored");
            return Err(Error::new(ErrorKind::IntegrityMismatch, message));
        }
        self.sent.push(Digest { size, sha256 });
        Ok(())
    }
}

fn wrong_size(size: Option<u64>, than: &str) -> Error {
    Error::invalid_input("size", format!("the source gave {than} than its {} bytes", size.unwrap_or(0)))
}

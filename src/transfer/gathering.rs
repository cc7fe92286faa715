//! Pieces of a body put together to whole chunks.

use bytes::{Buf, Bytes, BytesMut};

use super::CHUNK;
use super::buffers::Ring;

/// Copies pieces, as the transport gives them, into chunks of its own.
///
/// The copy is cheap, for the piece has just come and is in the cache, and what it saves is not: the transport has its one
/// buffer back at once, and need not ask the system for another while that one is hashed and written.
#[derive(Default)]
pub(super) struct Gathering {
    ring: Ring,
    /// The next chunk, of which so many bytes are there.
    chunk: BytesMut,
    filled: usize,
}

impl Gathering {
    /// Takes from the front of a piece what makes the chunk whole, and gives the chunk when it is. So many bytes come behind
    /// the piece, if that is known.
    pub(super) fn fill(&mut self, piece: &mut Bytes, to_come: Option<u64>) -> Option<Bytes> {
        if self.filled == 0 {
            if to_come == Some(0) && piece.len() <= CHUNK {
                return Some(std::mem::take(piece)).filter(|all| !all.is_empty());
            }
            let to_come = to_come.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(CHUNK);
            self.chunk = self.ring.take(to_come.saturating_add(piece.len()).min(CHUNK));
        }
        let here = piece.len().min(self.chunk.len() - self.filled);
        self.chunk[self.filled..self.filled + here].copy_from_slice(&piece[..here]);
        self.filled += here;
        piece.advance(here);
        if self.filled < self.chunk.len() { None } else { self.rest() }
    }

    /// What there is of the next chunk.
    pub(super) fn rest(&mut self) -> Option<Bytes> {
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.truncate(std::mem::take(&mut self.filled));
        (!chunk.is_empty()).then(|| self.ring.lend(chunk))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_byte_comes_once_in_whole_chunks(
            pieces in proptest::collection::vec(0usize..2 * CHUNK, 0..12),
            known in any::<bool>(),
        ) {
            let all: Vec<u8> = (0..pieces.iter().sum()).map(|at: usize| (at / 7 % 251) as u8).collect();
            let (mut gathering, mut chunks, mut at) = (Gathering::default(), Vec::new(), 0);
            for length in pieces {
                let mut piece = Bytes::copy_from_slice(&all[at..at + length]);
                at += length;
                while !piece.is_empty() {
                    chunks.extend(gathering.fill(&mut piece, known.then_some((all.len() - at) as u64)));
                }
            }
            chunks.extend(gathering.rest());
            prop_assert!(chunks.iter().rev().skip(1).all(|chunk| chunk.len() == CHUNK));
            prop_assert!(chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= CHUNK));
            prop_assert!(chunks.concat() == all);
        }
    }
}

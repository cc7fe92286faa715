//! Buffers that files are read into.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

/// Shorter ones come from the middle of the heap, and are copied in no time wherever they lie.
const LARGE: usize = 64 << 10;
const PAGE: usize = 4096;

/// An empty buffer with room for so many bytes, at the beginning of a page where it is large.
///
/// The allocator takes large ones from the system and puts 16 bytes of its own before them. Where the kernel copies a page to
/// such a place, AMD's processors take three times as long for it (`rep movsb` to a little behind the source's offset
/// within its page): 0.85 s a GiB instead of 0.26.
pub(super) fn aligned(length: usize) -> BytesMut {
    if length < LARGE {
        return BytesMut::with_capacity(length);
    }
    let mut buffer = BytesMut::with_capacity(length + PAGE);
    let before = buffer.as_ptr().align_offset(PAGE).min(PAGE);
    buffer.resize(before, 0);
    buffer.advance(before);
    buffer
}

/// The same, full of zeros.
pub(super) fn zeroed(length: usize) -> BytesMut {
    let mut buffer = aligned(length);
    buffer.resize(length, 0);
    buffer
}

/// Buffers that come back when the transport is done with them: neither allocated nor zeroed again for each chunk.
#[derive(Default)]
pub(super) struct Ring(VecDeque<Bytes>);

/// More chunks than can be on their way at once: beyond that, the oldest one is free.
const RING: usize = 16;

impl Ring {
    pub(super) fn take(&mut self, length: usize) -> BytesMut {
        match self.0.pop_front().map(Bytes::try_into_mut) {
            Some(Ok(mut buffer)) if buffer.capacity() >= length => {
                // Shrinking is free; growing zeroes only what is new.
                buffer.resize(length, 0);
                buffer
            }
            Some(Err(busy)) if self.0.len() < RING => {
                self.0.push_front(busy);
                zeroed(length)
            }
            _ => zeroed(length),
        }
    }

    pub(super) fn lend(&mut self, buffer: BytesMut) -> Bytes {
        let chunk = buffer.freeze();
        if self.0.len() < RING {
            self.0.push_back(chunk.clone());
        }
        chunk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_buffers_begin_at_a_page_and_keep_to_it_when_they_come_back() {
        let mut ring = Ring::default();
        let mut places = Vec::new();
        for length in [4 * LARGE, LARGE, 3 * LARGE + 1, 4 * LARGE] {
            let buffer = ring.take(length);
            assert_eq!((buffer.len(), buffer.as_ptr().align_offset(PAGE)), (length, 0));
            let chunk = ring.lend(buffer);
            places.push(chunk.as_ptr());
        }
        assert!(places.iter().all(|place| *place == places[0]), "one buffer is used again and again");
    }

    #[test]
    fn a_chunk_that_is_still_read_is_left_alone() {
        let mut ring = Ring::default();
        let mut buffer = ring.take(LARGE);
        buffer.fill(1);
        let first = ring.lend(buffer);
        let mut buffer = ring.take(LARGE);
        buffer.fill(2);
        let second = ring.lend(buffer);
        assert!(first.iter().all(|byte| *byte == 1) && second.iter().all(|byte| *byte == 2));
        let place = first.as_ptr();
        drop(first);
        assert_eq!(ring.take(LARGE).as_ptr(), place);
    }

    #[test]
    fn small_buffers_are_as_large_as_they_have_to_be() {
        assert!(aligned(100).capacity() < 200);
        assert_eq!(zeroed(100), [0; 100][..]);
    }
}

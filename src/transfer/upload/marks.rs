//! What of an upload's body is content, and what is framing.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where in the body content is, to tell it from framing.
#[derive(Clone, Default)]
pub(super) struct Marks(Arc<Mutex<Vec<Range<u64>>>>);

impl Marks {
    pub(super) fn content_starts_at(&self, offset: u64) {
        self.contents().push(offset..u64::MAX);
    }

    pub(super) fn content_ends_at(&self, offset: u64) {
        self.contents().last_mut().into_iter().for_each(|content| content.end = offset);
    }

    fn contents(&self) -> MutexGuard<'_, Vec<Range<u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of the first `taken` bytes of the body are content.
    pub(super) fn content(&self, taken: u64) -> u64 {
        self.contents().iter().map(|content| taken.min(content.end).saturating_sub(content.start)).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn framing_is_not_content() {
        let marks = Marks::default();
        assert_eq!(marks.content(10), 0);
        marks.content_starts_at(10);
        assert_eq!((marks.content(10), marks.content(15)), (0, 5));
        marks.content_ends_at(20);
        marks.content_starts_at(25);
        assert_eq!((marks.content(12), marks.content(22), marks.content(27)), (2, 10, 12));
        marks.content_ends_at(30);
        assert_eq!(marks.content(1000), 15);
    }

    proptest! {
        #[test]
        fn content_is_counted_as_byte_by_byte(
            pieces in prop::collection::vec((0..20_u64, 0..20_u64), 0..5),
            is_open in any::<bool>(),
        ) {
            let (marks, mut bytes) = (Marks::default(), Vec::new());
            for (at, (framing, content)) in pieces.iter().enumerate() {
                bytes.extend(std::iter::repeat_n(0, *framing as usize));
                marks.content_starts_at(bytes.len() as u64);
                bytes.extend(std::iter::repeat_n(1, *content as usize));
                if !is_open || at + 1 < pieces.len() {
                    marks.content_ends_at(bytes.len() as u64);
                }
            }
            for taken in 0..=bytes.len() {
                prop_assert_eq!(marks.content(taken as u64), bytes[..taken].iter().sum::<u64>());
            }
        }
    }
}

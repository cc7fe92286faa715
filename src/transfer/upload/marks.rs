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
}

//! What a download is asked for: a range, a condition, and what it then gives.

use std::fmt;
use std::ops::{Bound, RangeBounds};

use super::{Download, Downloaded, check_expected};
use crate::error::{Error, ErrorKind, Result};

/// What a download builder gives: a [`Download`] or a [`Downloaded`], or with a condition an `Option` of one.
pub trait Outcome<'a, T = Download<'a>>: Sized + Send + sealed::Sealed + 'a {
    #[doc(hidden)]
    fn of(found: Option<T>) -> Result<Self>;
}

/// A 304 without a condition, or with one of a header.
pub(super) const UNASKED: &str = "the server said 'not modified' without being asked";
pub(super) const ASK_BY_CONDITION: &str = "Where a download has if_none_match, ask by that: it gives None then";

pub(crate) fn unasked() -> Error {
    Error::new(ErrorKind::Decode, UNASKED).with_hint(ASK_BY_CONDITION)
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Download<'_> {}
    impl Sealed for super::Downloaded {}
    impl<T: Sealed> Sealed for Option<T> {}
}

impl<'a, T: sealed::Sealed + Send + 'a> Outcome<'a, T> for T {
    fn of(found: Option<T>) -> Result<Self> {
        found.ok_or_else(unasked)
    }
}

impl<'a, T: sealed::Sealed + Send + 'a> Outcome<'a, T> for Option<T> {
    fn of(found: Option<T>) -> Result<Self> {
        Ok(found)
    }
}

/// An entity tag with its quotes, from one with or without.
pub(crate) fn quoted(etag: &str) -> String {
    if etag.ends_with('"') || etag == "*" { etag.to_owned() } else { format!("\"{etag}\"") }
}

/// Which bytes of a content are wanted; shown as the value of `Range` (RFC 9110 section 14.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// From this one on.
    From(u64),
    /// From the first to the last, both included.
    Within(u64, u64),
    /// So many at the end.
    Last(u64),
}

impl Wanted {
    /// One behind the last wanted byte of a content of this length.
    pub(super) fn end(self, total: u64) -> u64 {
        match self {
            Self::Within(_, last) => last.saturating_add(1).min(total),
            Self::From(_) | Self::Last(_) => total,
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From(first) => write!(f, "bytes={first}-"),
            Self::Within(first, last) => write!(f, "bytes={first}-{last}"),
            Self::Last(count) => write!(f, "bytes=-{count}"),
        }
    }
}

/// The last so many bytes.
pub(crate) fn last_bytes(bytes: u64) -> Result<Option<Wanted>> {
    match bytes {
        0 => Err(Error::invalid_input("range", "it is empty")),
        bytes => Ok(Some(Wanted::Last(bytes))),
    }
}

/// These bytes; `None` for everything: an empty file has no range that can be satisfied, not even `0-`.
pub(crate) fn wanted_range(range: &impl RangeBounds<u64>) -> Result<Option<Wanted>> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let empty = || Err(Error::invalid_input("range", "it is empty"));
    let last = match range.end_bound() {
        Bound::Included(last) => *last,
        Bound::Excluded(0) => return empty(),
        Bound::Excluded(end) => end - 1,
        Bound::Unbounded if start == 0 => return Ok(None),
        Bound::Unbounded => return Ok(Some(Wanted::From(start))),
    };
    if last < start { empty() } else { Ok(Some(Wanted::Within(start, last))) }
}

/// The setters of a builder with the fields `range: Result<Option<Wanted>>` and `parallel: usize`:
/// `takes_ranges!(['a] DownloadFile<'a>)`.
macro_rules! takes_ranges {
    ([$($generics:tt)*] $builder:ty) => {
        impl<$($generics)*> $builder {
            /// Only these bytes: `0..100`, `100..`, `..=9`. An end past that of the file is moved to it; a start past it, and any
            /// range of an empty file, is `RangeNotSatisfiable`. A part can't be checked against the hash of the whole.
            pub fn range(mut self, bytes: impl ::std::ops::RangeBounds<u64>) -> Self {
                self.range = $crate::transfer::wanted_range(&bytes);
                self
            }

            /// Only the last so many bytes.
            pub fn last(mut self, bytes: u64) -> Self {
                self.range = $crate::transfer::last_bytes(bytes);
                self
            }

            /// Fetches so many ranges of it at once, over as many connections: for links where one connection does not fill the
            /// line. They come out in order; those ahead of what is read wait in memory, 2 MiB each, beside the one that is read.
            /// Every range is of the same ETag, else it is `ContentChanged`; a server without ranges sends it as one stream.
            ///
            /// Each counts as one of the client's [transfers](crate::ClientBuilder::max_transfers). Room for all of them is taken
            /// at the start and held to the end; of more than ever fit into that limit and
            /// [`max_buffered_bytes`](crate::ClientBuilder::max_buffered_bytes), as many as fit are fetched at once. With
            /// [`last`](Self::last) it is `InvalidInput`. Default 1; 0 is refused.
            pub fn parallel(mut self, ranges: usize) -> Self {
                self.parallel = ranges;
                self
            }
        }
    };
}

pub(crate) use takes_ranges;

/// `expect_sha256` for a builder with a field `Result<Option<String>>`: `expects!(['a] DownloadFile<'a>, expected)`.
macro_rules! expects {
    ([$($generics:tt)*] $builder:ty, $($field:ident).+) => {
        impl<$($generics)*> $builder {
            /// The SHA-256 (64 hex digits) that the whole content must have, such as one of a manifest. A mismatch is
            /// `IntegrityMismatch`, reported at the end of a stream; a target file is left unchanged. This hash replaces the
            /// server's. Ranges are not checked. Anything but 64 hex digits is `InvalidInput`.
            pub fn expect_sha256(mut self, sha256: impl Into<String>) -> Self {
                self.$($field).+ = $crate::transfer::expected(sha256.into());
                self
            }
        }
    };
}

pub(crate) use expects;

/// The hash that a content must have, as contents are compared with it.
pub(crate) fn expected(mut sha256: String) -> Result<Option<String>> {
    check_expected(Some(&sha256))?;
    sha256.make_ascii_lowercase();
    Ok(Some(sha256))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges() {
        let header = |range: Result<Option<Wanted>>| range.unwrap().map(|wanted| wanted.to_string());
        assert_eq!(header(wanted_range(&(..))), None);
        assert_eq!(header(wanted_range(&(0..))), None);
        assert_eq!(header(wanted_range(&(5..))).unwrap(), "bytes=5-");
        assert_eq!(header(wanted_range(&(5..7))).unwrap(), "bytes=5-6");
        assert_eq!(header(wanted_range(&(..=0))).unwrap(), "bytes=0-0");
        assert_eq!(header(last_bytes(7)).unwrap(), "bytes=-7");
        for (start, end) in [(0, 0), (5, 5), (7, 5)] {
            assert!(wanted_range(&(start..end)).unwrap_err().is_invalid_input());
        }
    }

    #[test]
    fn etags_are_quoted_once() {
        assert_eq!(
            (quoted("ab"), quoted("\"ab\""), quoted("W/\"ab\""), quoted("*")),
            ("\"ab\"".into(), "\"ab\"".into(), "W/\"ab\"".into(), "*".into())
        );
    }

    /// What a server gives for it (RFC 9110 section 14.1.2); `None` for a 416.
    fn given(wanted: Option<Wanted>, content: &[u8]) -> Option<&[u8]> {
        let length = content.len() as u64;
        let (first, end) = match wanted {
            None => return Some(content),
            Some(Wanted::From(first)) => (first, length),
            Some(Wanted::Within(first, last)) => (first, last.saturating_add(1).min(length)),
            Some(Wanted::Last(count)) => (length.saturating_sub(count), length),
        };
        (first < length).then(|| &content[first as usize..end as usize])
    }

    fn any_bound() -> impl Strategy<Value = Bound<u64>> {
        let number = || prop_oneof![4 => 0..14_u64, 1 => Just(u64::MAX)];
        prop_oneof![number().prop_map(Bound::Included), number().prop_map(Bound::Excluded), Just(Bound::Unbounded)]
    }

    proptest! {
        #[test]
        fn a_range_is_what_a_slice_takes(length in 0..10_u8, start in any_bound(), end in any_bound()) {
            let content: Vec<u8> = (0..length).collect();
            let range = (start, end);
            let slice: Vec<u8> = content.iter().copied().filter(|at| range.contains(&u64::from(*at))).collect();
            let never = (0..=14).chain([u64::MAX]).all(|at| !range.contains(&at));
            match wanted_range(&range) {
                Err(error) => prop_assert!(never && error.is_invalid_input()),
                Ok(wanted) => match given(wanted, &content) {
                    Some(given) => prop_assert_eq!(given, &slice[..]),
                    None => prop_assert!(slice.is_empty()),
                },
            }
        }

        #[test]
        fn the_last_bytes_are_the_end_of_a_slice(length in 0..10_u8, count in 1..14_u64) {
            let content: Vec<u8> = (0..length).collect();
            let last = &content[content.len().saturating_sub(count as usize)..];
            prop_assert_eq!(given(last_bytes(count).unwrap(), &content).unwrap_or_default(), last);
        }
    }
}

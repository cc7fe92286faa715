//! What a download is asked for: a range, a condition, and what it then gives.

use std::ops::{Bound, RangeBounds};

use super::Download;
use crate::error::{Error, ErrorKind, Result};

/// What a download builder gives: a [`Download`], or with a condition an `Option` of one.
pub trait Outcome<'a>: Sized + sealed::Sealed + 'a {
    #[doc(hidden)]
    fn of(download: Option<Download<'a>>) -> Result<Self>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Download<'_> {}
    impl Sealed for Option<super::Download<'_>> {}
}

impl<'a> Outcome<'a> for Download<'a> {
    fn of(download: Option<Download<'a>>) -> Result<Self> {
        download.ok_or_else(|| Error::new(ErrorKind::Decode, "the server said 'not modified' without being asked"))
    }
}

impl<'a> Outcome<'a> for Option<Download<'a>> {
    fn of(download: Option<Download<'a>>) -> Result<Self> {
        Ok(download)
    }
}

/// An entity tag with its quotes, from one with or without.
pub(crate) fn quoted(etag: &str) -> String {
    if etag.ends_with('"') || etag == "*" { etag.to_owned() } else { format!("\"{etag}\"") }
}

/// The value of `Range` for the last so many bytes.
pub(crate) fn last_bytes(bytes: u64) -> Result<Option<String>> {
    match bytes {
        0 => Err(Error::invalid_input("range", "it is empty")),
        bytes => Ok(Some(format!("bytes=-{bytes}"))),
    }
}

/// The value of `Range`; `None` for everything: an empty file has no range that can be satisfied, not even `0-`.
pub(crate) fn range_header(range: &impl RangeBounds<u64>) -> Result<Option<String>> {
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
        Bound::Unbounded => return Ok(Some(format!("bytes={start}-"))),
    };
    if last < start { empty() } else { Ok(Some(format!("bytes={start}-{last}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(range_header(&(..)).unwrap(), None);
        assert_eq!(range_header(&(0..)).unwrap(), None);
        assert_eq!(range_header(&(5..)).unwrap().unwrap(), "bytes=5-");
        assert_eq!(range_header(&(5..7)).unwrap().unwrap(), "bytes=5-6");
        assert_eq!(range_header(&(..=0)).unwrap().unwrap(), "bytes=0-0");
        for (start, end) in [(0, 0), (5, 5), (7, 5)] {
            assert!(range_header(&(start..end)).unwrap_err().is_invalid_input());
        }
    }

    #[test]
    fn etags_are_quoted_once() {
        assert_eq!(
            (quoted("ab"), quoted("\"ab\""), quoted("W/\"ab\""), quoted("*")),
            ("\"ab\"".into(), "\"ab\"".into(), "W/\"ab\"".into(), "*".into())
        );
    }
}

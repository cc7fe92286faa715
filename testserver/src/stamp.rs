//! Time stamps as the real server writes them.
//!
//! What was made in this very request carries a `Z`; what was read back from the database carries none.
//! Fractions have up to seven digits, trailing zeros dropped.

use chrono::{DateTime, Timelike, Utc};

/// The form of a moment made in this request: `2026-11-21T09:36:41.621363Z`.
pub(crate) fn zoned(moment: DateTime<Utc>) -> String {
    let mut text = bare(moment);
    text.push('Z');
    text
}

/// The form of a moment read back from the database: the same digits without any offset.
pub(crate) fn bare(moment: DateTime<Utc>) -> String {
    let mut text = moment.format("%Y-%m-%dT%H:%M:%S").to_string();
    let ticks = moment.nanosecond() / 100;
    if ticks > 0 {
        text.push('.');
        text.push_str(format!("{ticks:07}").trim_end_matches('0'));
    }
    text
}

/// Whole seconds with `Z`: only in `GET /api/tokens/dashboard/me`.
pub(crate) fn whole_seconds(moment: DateTime<Utc>) -> String {
    moment.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u32) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_256_518, nanos).unwrap()
    }

    #[test]
    fn trailing_zeros_are_dropped() {
        assert_eq!(bare(at(621_363_000)), "2026-11-21T10:21:58.621363");
        assert_eq!(zoned(at(100)), "2026-11-21T10:21:58.0000001Z");
        assert_eq!(zoned(at(0)), "2026-11-21T10:21:58Z");
    }
}

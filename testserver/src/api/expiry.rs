//! `expires_in`: the many ways to say when something ends.

use chrono::{DateTime, TimeDelta, Utc};

use crate::dotnet_date::{self, Parsed};
use crate::http::query::dotnet_integer;
use crate::http::refusal::Refusal;
use crate::stamp;

/// An expiry that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    Never,
    At(Parsed),
}

impl Expiry {
    pub(super) fn moment(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Never => None,
            Self::At(parsed) => Some(parsed.moment),
        }
    }

    /// As the answer to this very request has it.
    pub(super) fn stamp(self) -> Option<String> {
        match self {
            Self::Never => None,
            Self::At(parsed) if parsed.has_zone => Some(stamp::zoned(parsed.moment)),
            Self::At(parsed) => Some(stamp::bare(parsed.moment)),
        }
    }
}

/// .NET's calendar: the years 1 to 9999.
const FIRST_SECOND: i64 = -62_135_596_800;
const LAST_SECOND: i64 = 253_402_300_799;
const SECONDS_OF_CALENDAR: f64 = 3_652_059.0 * 86_400.0;

/// Reads an `expires_in` value.
pub(super) fn parse(text: &str, now: DateTime<Utc>) -> Result<Expiry, Refusal> {
    if text == "never" {
        return Ok(Expiry::Never);
    }
    let invalid = || Refusal::Invalid(format!("Invalid expiry format: {text}"));
    let at = |moment| Expiry::At(Parsed { moment, has_zone: true });
    if let Some((digits, unit)) = duration(text) {
        // More than 64 bits, or digits of another script: an exception nobody catches.
        let count: i64 = digits.parse().map_err(|_| Refusal::Unhandled)?;
        return if count == 0 { Err(invalid()) } else { after(now, count, unit).map(at) };
    }
    if let Some(seconds) = dotnet_integer::<i64>(text) {
        return epoch(seconds).map(at);
    }
    match dotnet_date::parse(text) {
        Some(parsed) if text.contains('T') => Ok(Expiry::At(parsed)),
        _ => Err(invalid()),
    }
}

/// `^(\d+)([smhdw])$`, where .NET's `\d` is any script's and its `$` allows a line end.
fn duration(text: &str) -> Option<(&str, i64)> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let seconds = match text.chars().next_back()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    (!digits.is_empty() && digits.chars().all(is_decimal_digit)).then_some((digits, seconds))
}

/// The decimal digits of the scripts one is likely to meet; all come in tens.
fn is_decimal_digit(character: char) -> bool {
    const ZEROS: [u32; 16] = [
        0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50, 0xed0, 0xff10,
    ];
    ZEROS.iter().any(|zero| (*zero..zero + 10).contains(&u32::from(character)))
}

fn after(now: DateTime<Utc>, count: i64, unit: i64) -> Result<DateTime<Utc>, Refusal> {
    if count as f64 * unit as f64 > SECONDS_OF_CALENDAR {
        return Err(Refusal::invalid("Value to add was out of range. (Parameter 'value')"));
    }
    let moment = now.checked_add_signed(TimeDelta::seconds(count * unit));
    moment.filter(|moment| moment.timestamp() <= LAST_SECOND).ok_or_else(|| {
        Refusal::invalid("The added or subtracted value results in an un-representable DateTime. (Parameter 'value')")
    })
}

fn epoch(seconds: i64) -> Result<DateTime<Utc>, Refusal> {
    let in_calendar = (FIRST_SECOND..=LAST_SECOND).contains(&seconds);
    in_calendar.then(|| DateTime::from_timestamp(seconds, 0)).flatten().ok_or_else(|| {
        Refusal::Invalid(format!(
            "Valid values are between {FIRST_SECOND} and {LAST_SECOND}, inclusive. (Parameter 'seconds')\nActual value was {seconds}."
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_256_518, 0).unwrap()
    }

    fn stamped(text: &str) -> Option<String> {
        parse(text, now()).ok().map(|expiry| expiry.stamp().unwrap_or_else(|| "never".to_owned()))
    }

    #[test]
    fn every_recorded_form_is_read() {
        for (text, stamp) in [
            ("never", "never"),
            ("30s", "2026-11-21T10:22:28Z"),
            ("2w", "2026-12-05T10:21:58Z"),
            ("1h\n", "2026-11-21T11:21:58Z"),
            ("1795342918", "2026-11-22T10:21:58Z"),
            (" +1795342918 ", "2026-11-22T10:21:58Z"),
            ("-1", "1969-12-31T23:59:59Z"),
            ("0", "1970-01-01T00:00:00Z"),
            ("2030-01-02T03:04:05", "2030-01-02T03:04:05"),
            ("Wed, 02 Jan 2030 00:00:00 GMT", "2030-01-02T00:00:00Z"),
        ] {
            assert_eq!(stamped(text).as_deref(), Some(stamp), "{text:?}");
        }
    }

    #[test]
    fn everything_else_is_refused_in_its_own_way() {
        for text in [
            "Never",
            "0d",
            "1D",
            "1 d",
            "1.5h",
            "1y",
            "1h30m",
            " 1h",
            "",
            "2030-01-02t03:04:05z",
            "99999999999999999999",
        ] {
            assert_eq!(parse(text, now()), Err(Refusal::Invalid(format!("Invalid expiry format: {text}"))), "{text}");
        }
        for text in ["99999999999999999999s", "٣d"] {
            assert_eq!(parse(text, now()), Err(Refusal::Unhandled), "{text}");
        }
        for text in ["999999999d", "99999999999999999w", "3000000d", "1795342918000"] {
            assert!(matches!(parse(text, now()), Err(Refusal::Invalid(_))), "{text}");
        }
    }
}

//! Times as the server writes them: 0 to 7 fraction digits, with `Z`, with an offset, or bare, which is UTC as well
//! (wire description, section 1). Written as RFC 3339 with `Z`.
//!
//! For `#[serde(with = "crate::models::time")]`, and `with = "crate::models::time::option", default` for optional ones.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat, Utc};
use serde::de::{self, Deserializer, Visitor};
use serde::ser::{self, Serializer};

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    deserializer.deserialize_str(TimeVisitor)
}

pub(crate) fn serialize<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    if !is_rfc3339_year(time) {
        return Err(ser::Error::custom("a time outside the years 0 to 9999 has no RFC 3339 form"));
    }
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// The same for a member that may be `null`.
pub(crate) mod option {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Time(#[serde(with = "super")] DateTime<Utc>);

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
        Ok(Option::<Time>::deserialize(deserializer)?.map(|time| time.0))
    }

    pub(crate) fn serialize<S: Serializer>(time: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(Time).serialize(serializer)
    }
}

/// The instant, or `None` where `text` is no time of a kind that the server writes.
pub(crate) fn parse(text: &str) -> Option<DateTime<Utc>> {
    parse_usual(text).or_else(|| parse_any(text))
}

/// The server's own forms, in UTC. All else is for the parser, which takes twice as many instructions.
fn parse_usual(text: &str) -> Option<DateTime<Utc>> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (seconds, fraction) = text.split_at_checked(19)?;
    let [year @ .., b'-', _, _, b'-', _, _, b'T', _, _, b':', _, _, b':', _, _] = seconds.as_bytes() else {
        return None;
    };
    let number = |digits: &[u8]| {
        let digit = |byte: &u8| byte.is_ascii_digit().then(|| u32::from(byte - b'0'));
        digits.iter().try_fold(0, |number, byte| Some(number * 10 + digit(byte)?))
    };
    let pair = |at: usize| number(seconds.as_bytes().get(at..at + 2)?);
    let nanos = match fraction.as_bytes() {
        [] => 0,
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => number(digits)? * 10_u32.pow(9 - digits.len() as u32),
        _ => return None,
    };
    let day = NaiveDate::from_ymd_opt(number(year)?.try_into().ok()?, pair(5)?, pair(8)?)?;
    Some(day.and_hms_nano_opt(pair(11)?, pair(14)?, pair(17)?, nanos)?.and_utc())
}

fn parse_any(text: &str) -> Option<DateTime<Utc>> {
    let text = if has_zone(text) { Cow::Borrowed(text) } else { Cow::Owned(format!("{text}Z")) };
    let time = DateTime::parse_from_rfc3339(&text).ok()?.to_utc();
    // An offset can push the last day of 9999 into a year that could not be written back.
    is_rfc3339_year(&time).then_some(time)
}

fn has_zone(text: &str) -> bool {
    matches!(text.as_bytes(), [.., b'Z' | b'z'] | [.., b'+' | b'-', _, _, b':', _, _])
}

fn is_rfc3339_year(time: &DateTime<Utc>) -> bool {
    (0..=9999).contains(&time.year())
}

struct TimeVisitor;

impl Visitor<'_> for TimeVisitor {
    type Value = DateTime<Utc>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time in ISO 8601, with or without a zone")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_of_the_wire_description() {
        let micros = |text| parse(text).map(|time| time.timestamp_micros());
        let expected = micros("2026-11-21T09:36:41.621363Z");
        assert!(expected.is_some());
        for same in [
            "2026-11-21T09:36:41.621363",
            "2026-11-21T09:36:41.6213630",
            "2026-11-21T09:36:41.6213630001234Z",
            "2026-11-21T11:36:41.621363+02:00",
            "2026-11-21T04:06:41.621363-05:30",
        ] {
            assert_eq!(micros(same), expected, "{same}");
        }
        assert_eq!(parse("2026-11-21T09:36:05"), parse("2026-11-21T09:36:05Z"));
        assert!(parse("0001-01-01T00:00:00").is_some(), "DateTime.MinValue");
        assert!(parse("9999-12-31T23:59:59.9999999Z").is_some(), "DateTime.MaxValue");
    }

    #[test]
    fn what_is_no_time() {
        for text in
            ["", "Z", "2026-11-21", "09:36:41", "2026-02-30T00:00:00Z", "1795342918", "9999-12-31T23:59:59-01:00"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
        let mut far = DateTime::<Utc>::MAX_UTC;
        assert!(serialize(&far, serde_json::value::Serializer).is_err());
        far = parse("9999-12-31T23:59:59Z").unwrap();
        assert!(serialize(&far, serde_json::value::Serializer).is_ok());
    }

    proptest! {
        #[test]
        fn round_trip(secs in -62_167_219_200_i64..=253_402_300_799, nanos in 0_u32..1_000_000_000) {
            let time = DateTime::from_timestamp(secs, nanos).unwrap();
            let text = serialize(&time, serde_json::value::Serializer).unwrap();
            let text = text.as_str().unwrap();
            prop_assert!(text.ends_with('Z'));
            prop_assert_eq!(parse(text), Some(time));
            prop_assert_eq!(parse(text.trim_end_matches('Z')), Some(time));
        }

        #[test]
        fn never_panics(text in "\\PC*") {
            let _ = parse(&text);
        }

        /// What is nearly of the usual form above all: it is read as the parser reads it, or left to it.
        #[test]
        fn the_usual_form_says_what_the_parser_says(
            text in "[0-9]{4}-[01][0-9]-[0-3][0-9][T t][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,10})?[Zz+]?",
            at in any::<prop::sample::Index>(),
            other in proptest::option::of(any::<char>()),
        ) {
            let mut text: Vec<char> = text.chars().collect();
            if let Some(other) = other {
                let at = at.index(text.len());
                text[at] = other;
            }
            let text: String = text.into_iter().collect();
            prop_assert!(parse_usual(&text).is_none_or(|time| Some(time) == parse_any(&text)), "{text}");
        }
    }
}

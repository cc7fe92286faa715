//! When something expires: what callers give, and the form the server takes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Datelike, SecondsFormat, TimeDelta, TimeZone, Timelike, Utc};

use crate::error::{Error, Result};
use crate::models::time;

/// What the server's `DateTime` can hold, in seconds since 1970: the years 1 to 9999.
const FIRST_SECOND: i64 = -62_135_596_800;
const LAST_SECOND: i64 = 253_402_300_799;

const ACCEPTED: &str = "accepted are a duration such as 90s, 15m, 12h, 30d or 2w, a time such as \
                        2030-01-02T03:04:05Z, seconds since 1970, and never";

/// When a bucket or a token expires.
///
/// Made from many things, so that setters take any of them:
///
/// | from | meaning |
/// |---|---|
/// | `"30d"` (`&str`, `String`) | digits and one of `s m h d w`: from now, by the server's clock |
/// | `"2030-01-02T03:04:05Z"` | that time; the zone may be an offset, or missing, which means UTC |
/// | `"1893553445"` | seconds since 1970 |
/// | `"never"`, [`Expiry::never()`] | never; only for buckets |
/// | [`Duration`], [`chrono::Duration`](chrono::TimeDelta) | from now, by the server's clock, rounded up to whole seconds |
/// | [`DateTime`](chrono::DateTime) of any time zone, [`SystemTime`] | that time, to the microsecond |
///
/// Making one cannot fail. What the server would refuse, misread or answer with a 500 (wire description, section 4) is
/// reported by the request, before anything is sent. So is a time that has passed, which the server would take; see
/// [`allow_past`](Self::allow_past).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    when: When,
    allow_past: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum When {
    Never,
    Text(String),
    After(Duration),
    At(DateTime<Utc>),
    /// A `SystemTime` that chrono cannot hold, which is far beyond what the server can.
    Unholdable,
}

/// What expires: the rules differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExpiryOf {
    Bucket,
    UploadToken,
    DashboardToken,
}

impl Expiry {
    /// It stays until it is deleted. Only buckets can.
    #[must_use]
    pub fn never() -> Self {
        When::Never.into()
    }

    /// Takes a time that has passed, which is an error otherwise.
    ///
    /// The server accepts such times: a bucket is then gone at once for all but its owner, a token is of no use.
    #[must_use]
    pub fn allow_past(mut self) -> Self {
        self.allow_past = true;
        self
    }

    /// Another try would mean another time.
    pub(crate) fn counts_from_now(&self) -> bool {
        match &self.when {
            When::After(_) => true,
            When::Text(text) => split_duration(text).is_some(),
            When::Never | When::At(_) | When::Unholdable => false,
        }
    }

    /// The text to send as `expires_in`.
    pub(crate) fn to_wire(&self, of: ExpiryOf) -> Result<String> {
        self.to_wire_at(of, Utc::now())
    }

    fn to_wire_at(&self, of: ExpiryOf, now: DateTime<Utc>) -> Result<String> {
        match &self.when {
            When::Never => never(of),
            When::Text(text) => self.text(text, of, now),
            When::After(duration) => {
                let round_up = u64::from(duration.subsec_nanos() > 0);
                after(duration.as_secs().checked_add(round_up), now)
            }
            When::At(time) => self.at(*time, now),
            When::Unholdable => Err(out_of_range()),
        }
    }

    fn text(&self, text: &str, of: ExpiryOf, now: DateTime<Utc>) -> Result<String> {
        if text == "never" {
            return never(of);
        }
        if let Some((digits, seconds_per_unit)) = split_duration(text) {
            let count = digits.parse::<u64>().ok();
            after(count.and_then(|n| n.checked_mul(seconds_per_unit)), now)?;
            return Ok(text.to_owned());
        }
        if let Some(seconds) = epoch_seconds(text) {
            let time = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
            return match (time, seconds) {
                (Some(time), _) if is_holdable(&time) => {
                    self.refuse_past(time, now)?;
                    Ok(time.timestamp().to_string())
                }
                (_, Some(milliseconds)) if is_holdable_second(milliseconds / 1000) => Err(invalid(format!(
                    "{milliseconds} is too large for seconds since 1970; if it is milliseconds, divide it by 1000"
                ))),
                _ => Err(out_of_range()),
            };
        }
        match iso(text) {
            Some(time) => self.at(time, now),
            None => Err(invalid(format!("{text:?} is no expiry; {ACCEPTED}"))),
        }
    }

    fn at(&self, time: DateTime<Utc>, now: DateTime<Utc>) -> Result<String> {
        if !is_holdable(&time) {
            return Err(out_of_range());
        }
        self.refuse_past(time, now)?;
        // The server keeps 100 ns; finer digits would only make its parser round.
        let micros = DateTime::from_timestamp_micros(time.timestamp_micros()).ok_or_else(out_of_range)?;
        Ok(micros.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }

    fn refuse_past(&self, time: DateTime<Utc>, now: DateTime<Utc>) -> Result<()> {
        if self.allow_past || time > now {
            return Ok(());
        }
        let time = time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        Err(invalid(format!(
            "{time} has passed; a duration needs a unit, such as 30d, and allow_past() takes past times"
        )))
    }
}

fn never(of: ExpiryOf) -> Result<String> {
    match of {
        ExpiryOf::Bucket => Ok("never".to_owned()),
        ExpiryOf::UploadToken => Err(invalid(
            "an upload token cannot last for ever: the server would make it one day; give a duration or a time",
        )),
        ExpiryOf::DashboardToken => {
            Err(invalid("a dashboard token cannot last for ever: the server allows 24 hours at most"))
        }
    }
}

/// So many seconds from now; `None` is more than 64 bits hold.
fn after(seconds: Option<u64>, now: DateTime<Utc>) -> Result<String> {
    let left = LAST_SECOND.saturating_sub(now.timestamp());
    match seconds {
        Some(0) => Err(invalid("a duration of zero is no expiry; the least is one second")),
        Some(seconds) if i64::try_from(seconds).is_ok_and(|seconds| seconds < left) => Ok(format!("{seconds}s")),
        _ => Err(out_of_range()),
    }
}

/// `30d` as its digits and the seconds of its unit.
fn split_duration(text: &str) -> Option<(&str, u64)> {
    let seconds_per_unit = match text.as_bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3_600,
        b'd' => 86_400,
        b'w' => 604_800,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    is_digits(digits).then_some((digits, seconds_per_unit))
}

/// Digits with an optional sign and blanks around, as the server takes them. `Some(None)` is more than 64 bits hold.
fn epoch_seconds(text: &str) -> Option<Option<i64>> {
    let number = text.trim_matches(|c: char| c.is_ascii_whitespace());
    is_digits(number.strip_prefix(['+', '-']).unwrap_or(number)).then(|| number.parse().ok())
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// A date, a capital `T`, and a time with or without seconds and zone.
fn iso(text: &str) -> Option<DateTime<Utc>> {
    let (date, clock) = text.split_once('T')?;
    if !text.is_ascii() || clock.ends_with('z') {
        return None; // the server refuses a lower-case z beside a lower-case t; RFC 3339 parsers take it
    }
    let whole_minute = clock.len() >= 5 && !matches!(clock.as_bytes().get(5), Some(b':'));
    let time = if whole_minute {
        let (minute, zone) = clock.split_at(5);
        time::parse(&format!("{date}T{minute}:00{zone}"))?
    } else {
        time::parse(text)?
    };
    // chrono reads second 60 of a leap second, which .NET does not know.
    (time.nanosecond() < 1_000_000_000).then_some(time)
}

fn is_holdable(time: &DateTime<Utc>) -> bool {
    (1..=9999).contains(&time.year())
}

fn is_holdable_second(seconds: i64) -> bool {
    (FIRST_SECOND..=LAST_SECOND).contains(&seconds)
}

fn out_of_range() -> Error {
    invalid("the server only knows the years 1 to 9999; for something that stays, there is never")
}

fn invalid(message: impl Into<String>) -> Error {
    Error::invalid_input("expires", message.into())
}

impl From<When> for Expiry {
    fn from(when: When) -> Self {
        Self { when, allow_past: false }
    }
}

impl From<&str> for Expiry {
    fn from(text: &str) -> Self {
        When::Text(text.to_owned()).into()
    }
}

impl From<String> for Expiry {
    fn from(text: String) -> Self {
        When::Text(text).into()
    }
}

impl From<&String> for Expiry {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

/// A negative one is a time that has passed.
impl From<TimeDelta> for Expiry {
    fn from(duration: TimeDelta) -> Self {
        match duration.to_std() {
            Ok(duration) => duration.into(),
            Err(_) => Utc::now().checked_add_signed(duration).map_or(When::Unholdable, When::At).into(),
        }
    }
}

impl From<Duration> for Expiry {
    fn from(duration: Duration) -> Self {
        When::After(duration).into()
    }
}

impl<Z: TimeZone> From<DateTime<Z>> for Expiry {
    fn from(time: DateTime<Z>) -> Self {
        When::At(time.to_utc()).into()
    }
}

impl From<SystemTime> for Expiry {
    fn from(time: SystemTime) -> Self {
        // chrono's own conversion panics where the time is out of its range.
        let micros = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).ok(),
            Err(before) => i64::try_from(before.duration().as_micros()).ok().map(|micros| -micros),
        };
        let time = micros.and_then(DateTime::from_timestamp_micros);
        time.map_or(When::Unholdable, When::At).into()
    }
}

#[cfg(test)]
mod tests;

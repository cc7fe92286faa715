//! Dates as .NET's lenient parser reads them, as far as clients are likely to send them.

use chrono::{DateTime, Datelike as _, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};

/// A date as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub(crate) moment: DateTime<Utc>,
    /// Without a zone it is taken as UTC, but echoed without one.
    pub(crate) has_zone: bool,
}

/// A date of HTTP, in any of the forms that ASP.NET takes: RFC 5322, RFC 850 or asctime, UTC unless it says otherwise.
pub(crate) fn http_date(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    dated_and_zoned(text).or_else(|| Some(NaiveDateTime::parse_from_str(text, "%a %b %e %H:%M:%S %Y").ok()?.and_utc()))
}

/// RFC 5322 and RFC 850.
fn dated_and_zoned(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(date) = DateTime::parse_from_rfc2822(text) {
        return Some(date.to_utc());
    }
    let local = text.strip_suffix("GMT").or_else(|| text.strip_suffix("UTC")).unwrap_or(text).trim_end();
    // Years of two digits first: what wants four is content with two.
    let forms = ["%A, %d-%b-%y %T", "%a, %d-%b-%y %T", "%a, %d-%b-%Y %T", "%a, %d %b %Y %T", "%d %b %Y %T"];
    forms.iter().find_map(|form| NaiveDateTime::parse_from_str(local, form).ok()).map(|date| date.and_utc())
}

/// ISO 8601 (time, seconds, fraction and zone optional, `T` or a blank between) or a date of HTTP.
pub(crate) fn parse(text: &str) -> Option<Parsed> {
    let text = text.trim();
    if let Some(moment) = dated_and_zoned(text) {
        return Some(Parsed { moment, has_zone: true });
    }
    let Some((date, time)) = text.split_once(['T', 't', ' ']) else {
        return Some(Parsed { moment: date_of(text)?.and_time(NaiveTime::MIN).and_utc(), has_zone: false });
    };
    let date = date_of(date)?;
    let (time, offset) = zone_of(time)?;
    let local = NaiveDateTime::new(date, time_of(time)?);
    let moment = match offset {
        None => local.and_utc(),
        Some(offset) => local.and_local_timezone(offset).single()?.to_utc(),
    };
    // .NET's calendar ends on either side.
    (1..=9999).contains(&moment.year()).then_some(Parsed { moment, has_zone: offset.is_some() })
}

fn date_of(text: &str) -> Option<NaiveDate> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    NaiveDate::from_ymd_opt(i32::try_from(digits(year)?).ok()?, digits(month)?, digits(day)?)
}

/// Splits the zone off: `Z`, `+02:00`, `+0200`, `+02`, or none at all.
fn zone_of(text: &str) -> Option<(&str, Option<FixedOffset>)> {
    if let Some(time) = text.strip_suffix(['Z', 'z']) {
        return Some((time, FixedOffset::east_opt(0)));
    }
    let Some(at) = text.find(['+', '-']) else {
        return Some((text, None));
    };
    let (time, zone) = text.split_at(at);
    let (sign, zone) = zone.split_at(1);
    let (hours, minutes) = match zone.split_once(':') {
        Some(parts) => parts,
        None if zone.len() == 4 => zone.split_at_checked(2)?,
        None => (zone, "0"),
    };
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    // .NET knows no offset beyond 14 hours.
    if minutes > 59 || hours * 60 + minutes > 14 * 60 {
        return None;
    }
    let east = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    Some((time, FixedOffset::east_opt(if sign == "-" { -east } else { east })))
}

fn time_of(text: &str) -> Option<NaiveTime> {
    let (text, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = text.split(':');
    let (hour, minute) = (digits(parts.next()?)?, digits(parts.next()?)?);
    let second = parts.next().map_or(Some(0), digits)?;
    if parts.next().is_some() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Ticks of 100 ns; what is finer is rounded.
    let ticks: f64 = format!("0.{fraction}0").parse().ok()?;
    let ticks = TimeDelta::nanoseconds((ticks * 1e7).round() as i64 * 100);
    Some(NaiveTime::from_hms_opt(hour, minute, second)?.overflowing_add_signed(ticks).0)
}

fn digits(text: &str) -> Option<u32> {
    let fits = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_recorded() {
        for (text, stamp, has_zone) in [
            ("2030-01-02T03:04:05Z", "2030-01-02T03:04:05Z", true),
            ("2030-01-02T03:04:05.120Z", "2030-01-02T03:04:05.12Z", true),
            ("2030-01-02T03:04:05+02:00", "2030-01-02T01:04:05Z", true),
            ("2030-01-02T03:04:05-0230", "2030-01-02T05:34:05Z", true),
            ("2030-01-02T03:04:05", "2030-01-02T03:04:05Z", false),
            ("2030-01-02T03:04Z", "2030-01-02T03:04:00Z", true),
            ("Tue, 01 Jan 2030 00:00:00 GMT", "2030-01-01T00:00:00Z", true),
            ("Sunday, 06-Nov-94 08:49:37 GMT", "1994-11-06T08:49:37Z", true),
            ("2030-01-02", "2030-01-02T00:00:00Z", false),
        ] {
            let parsed = parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(crate::stamp::zoned(parsed.moment), stamp, "{text}");
            assert_eq!(parsed.has_zone, has_zone, "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        let beyond = ["0000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"];
        for text in beyond {
            assert_eq!(parse(text), None, "{text}");
        }
        for text in ["20300102", "20300102T030405Z", "2030-02-30T00:00:00Z", "1/2/2030T03:04", "zzz", "T", ""] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}

//! Preconditions and ranges of content requests: the handler's own first, then ASP.NET's.

use std::ops::Range;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use hyper::header::{
    AsHeaderName, HeaderMap, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};

use crate::dotnet_date;

/// What the conditional headers of a request come to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// 304 with the validators.
    NotModified,
    /// 412.
    PreconditionFailed,
    /// 200.
    Whole,
    /// 206.
    Part(Range<u64>),
    /// 416.
    Unsatisfiable,
}

/// The handler's own check, which answers with a bare 304: the exact ETag, or a date that is at most a second too old,
/// whatever the other header says.
pub(crate) fn is_not_modified(headers: &HeaderMap, etag: &str, updated_at: DateTime<Utc>) -> bool {
    let since = text(headers, IF_MODIFIED_SINCE).and_then(dotnet_date::parse);
    text(headers, IF_NONE_MATCH) == Some(etag)
        || since.is_some_and(|since| updated_at <= since.moment + TimeDelta::seconds(1))
}

/// A stored file as conditions see it.
pub(crate) struct Validators<'a> {
    /// With its quotes.
    pub(crate) etag: &'a str,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) size: u64,
}

fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

impl Validators<'_> {
    pub(crate) fn judge(&self, headers: &HeaderMap, now: DateTime<Utc>) -> Verdict {
        match self.state(headers, now) {
            State::NotModified => Verdict::NotModified,
            State::PreconditionFailed => Verdict::PreconditionFailed,
            State::Unspecified | State::ShouldProcess => self.range(headers),
        }
    }

    /// `Last-Modified`: whole seconds.
    pub(crate) fn last_modified(&self) -> DateTime<Utc> {
        self.updated_at.duration_trunc(TimeDelta::seconds(1)).unwrap_or(self.updated_at)
    }

    fn state(&self, headers: &HeaderMap, now: DateTime<Utc>) -> State {
        let etags = |name| text(headers, name).and_then(etag_list);
        let mut state = State::Unspecified;
        if let Some(listed) = etags(IF_MATCH) {
            let matches = listed.iter().any(|tag| tag == "*" || tag == self.etag);
            state = state.max(if matches { State::ShouldProcess } else { State::PreconditionFailed });
        }
        if let Some(listed) = etags(IF_NONE_MATCH) {
            let weakly = |tag: &String| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.etag;
            state = state.max(if listed.iter().any(weakly) { State::NotModified } else { State::ShouldProcess });
        }
        let date = |name| text(headers, name).and_then(http_date).filter(|date| *date <= now);
        if let Some(since) = date(IF_MODIFIED_SINCE) {
            let modified = since < self.last_modified();
            state = state.max(if modified { State::ShouldProcess } else { State::NotModified });
        }
        if let Some(since) = date(IF_UNMODIFIED_SINCE) {
            let unmodified = since >= self.last_modified();
            state = state.max(if unmodified { State::ShouldProcess } else { State::PreconditionFailed });
        }
        state
    }

    fn range(&self, headers: &HeaderMap) -> Verdict {
        if headers.get_all(RANGE).iter().count() > 1 {
            return Verdict::Whole;
        }
        let Some(wanted) = text(headers, RANGE).and_then(single_range) else {
            return Verdict::Whole;
        };
        if text(headers, IF_RANGE).is_some_and(|condition| !self.range_is_current(condition)) {
            return Verdict::Whole;
        }
        let range = match wanted {
            (Some(first), _) if first >= self.size => None,
            (Some(first), last) => Some(first..last.map_or(self.size, |last| self.size.min(last.saturating_add(1)))),
            (None, Some(suffix)) if suffix > 0 && self.size > 0 => Some(self.size.saturating_sub(suffix)..self.size),
            (None, _) => None,
        };
        range.map_or(Verdict::Unsatisfiable, Verdict::Part)
    }

    /// `If-Range`: the strong ETag, or a date not before the last change; what cannot be read does not count.
    fn range_is_current(&self, condition: &str) -> bool {
        if let Some(date) = http_date(condition) {
            return self.last_modified() <= date;
        }
        etag_list(condition).is_none_or(|listed| listed.len() != 1 || listed[0] == self.etag)
    }
}

/// ASP.NET's states, in its order: the greatest of all headers decides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Unspecified,
    NotModified,
    ShouldProcess,
    PreconditionFailed,
}

fn http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text.trim()).ok().map(|date| date.to_utc())
}

/// A list of entity tags, quoted and perhaps weak, or `*`; `None` if it is no such list.
fn etag_list(text: &str) -> Option<Vec<String>> {
    let mut rest = text.trim();
    let mut tags = Vec::new();
    while !rest.is_empty() {
        let length = if rest.starts_with('*') {
            1
        } else {
            let opening = if rest.starts_with("W/") { 2 } else { 0 };
            let quoted = rest[opening..].strip_prefix('"')?;
            opening + quoted.find('"')? + 2
        };
        let (tag, after) = rest.split_at(length);
        tags.push(tag.to_owned());
        rest = after.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if rest.is_empty() => rest,
            None => return None,
        };
    }
    (!tags.is_empty()).then_some(tags)
}

/// `unit=first-last`, `unit=first-` or `unit=-suffix`; the unit is not checked and blanks are allowed.
fn single_range(text: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, range) = text.split_once('=')?;
    if unit.trim().is_empty() || range.contains(',') {
        return None;
    }
    let (first, last) = range.split_once('-')?;
    let number = |text: &str| match text.trim() {
        "" => Some(None),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok().map(Some),
        _ => None,
    };
    let range = (number(first)?, number(last)?);
    match range {
        (None, None) => None,
        (Some(first), Some(last)) if first > last => None,
        _ => Some(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    /// `None` for the bare 304.
    fn judged(size: u64, headers: &[(&str, &str)]) -> Option<Verdict> {
        let updated_at = http_date("Sat, 21 Nov 2026 10:22:04 GMT").unwrap() + TimeDelta::milliseconds(600);
        let map: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect();
        let validators = Validators { etag: "\"e\"", updated_at, size };
        let bare = is_not_modified(&map, validators.etag, updated_at);
        (!bare).then(|| validators.judge(&map, updated_at + TimeDelta::seconds(9)))
    }

    #[test]
    fn ranges_are_cut_to_the_file() {
        for (range, verdict) in [
            ("bytes=0-3", Verdict::Part(0..4)),
            ("bytes=8-100", Verdict::Part(8..10)),
            ("bytes=-3", Verdict::Part(7..10)),
            ("bytes=-100", Verdict::Part(0..10)),
            ("items= 0 - 1", Verdict::Part(0..2)),
            ("bytes=10-", Verdict::Unsatisfiable),
            ("bytes=-0", Verdict::Unsatisfiable),
            ("bytes=5-2", Verdict::Whole),
            ("bytes=0-1,3-4", Verdict::Whole),
            ("bytes=abc", Verdict::Whole),
        ] {
            assert_eq!(judged(10, &[("range", range)]), Some(verdict), "{range}");
        }
        assert_eq!(judged(0, &[("range", "bytes=0-")]), Some(Verdict::Unsatisfiable));
    }

    #[test]
    fn the_handlers_own_check_comes_first() {
        assert_eq!(judged(10, &[("if-none-match", "\"e\""), ("range", "bytes=0-1")]), None);
        assert_eq!(judged(10, &[("if-none-match", "*")]), Some(Verdict::NotModified));
        assert_eq!(judged(10, &[("if-none-match", "\"x\", W/\"e\"")]), Some(Verdict::NotModified));
        assert_eq!(judged(10, &[("if-none-match", "e")]), Some(Verdict::Whole));
        let future = ("if-modified-since", "2200-01-01T00:00:00Z");
        assert_eq!(judged(10, &[("if-none-match", "\"x\""), future]), None);
        assert_eq!(judged(10, &[("if-modified-since", "Sat, 21 Nov 2026 10:22:03 GMT")]), Some(Verdict::Whole));
    }

    #[test]
    fn preconditions_fail_only_when_they_can_be_read() {
        for (name, value, verdict) in [
            ("if-match", "\"x\"", Verdict::PreconditionFailed),
            ("if-match", "W/\"e\"", Verdict::PreconditionFailed),
            ("if-match", "\"x\", \"e\"", Verdict::Whole),
            ("if-match", "x", Verdict::Whole),
            ("if-unmodified-since", "Wed, 01 Jan 2020 00:00:00 GMT", Verdict::PreconditionFailed),
            ("if-unmodified-since", "Sat, 21 Nov 2026 10:22:04 GMT", Verdict::Whole),
        ] {
            assert_eq!(judged(10, &[(name, value)]), Some(verdict), "{name}: {value}");
        }
    }

    #[test]
    fn if_range_guards_the_range() {
        for (value, verdict) in [
            ("\"e\"", Verdict::Part(0..4)),
            ("\"x\"", Verdict::Whole),
            ("W/\"e\"", Verdict::Whole),
            ("zzz", Verdict::Part(0..4)),
            ("Sat, 21 Nov 2026 10:22:04 GMT", Verdict::Part(0..4)),
            ("Wed, 01 Jan 2020 00:00:00 GMT", Verdict::Whole),
        ] {
            assert_eq!(judged(10, &[("range", "bytes=0-3"), ("if-range", value)]), Some(verdict), "{value}");
        }
    }
}

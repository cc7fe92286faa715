//! Preconditions and ranges of content requests: the handler's own first, then ASP.NET's.

use std::ops::Range;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use hyper::header::{
    AsHeaderName, HeaderMap, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};

use super::parameters;
use crate::dotnet_date::{self, http_date};

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

/// All headers of a name as one list.
fn all_text(headers: &HeaderMap, name: impl AsHeaderName) -> String {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(",")
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
        let mut state = State::Unspecified;
        let wanted = all_text(headers, IF_MATCH);
        let wanted = tags(&wanted);
        if !wanted.is_empty() {
            let matches = wanted.iter().any(|tag| tag.is_strongly(self.etag));
            state = state.max(if matches { State::ShouldProcess } else { State::PreconditionFailed });
        }
        let known = all_text(headers, IF_NONE_MATCH);
        let known = tags(&known);
        if !known.is_empty() {
            let matches = known.iter().any(|tag| tag.is_weakly(self.etag));
            state = state.max(if matches { State::NotModified } else { State::ShouldProcess });
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
        match Tag::parse(condition) {
            Some((tag @ (Tag::Strong(_) | Tag::Weak(_)), rest)) => {
                !parameters::behind_blanks(rest).is_empty() || tag.is_strongly(self.etag)
            }
            _ => http_date(condition).is_none_or(|date| self.last_modified() <= date),
        }
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

/// An entity tag of a list.
#[derive(Debug, PartialEq, Eq)]
enum Tag<'a> {
    Any,
    /// With its quotes.
    Strong(&'a str),
    Weak(&'a str),
}

impl<'a> Tag<'a> {
    /// The tag at the start, and what is behind it.
    fn parse(text: &'a str) -> Option<(Self, &'a str)> {
        if let Some(rest) = text.strip_prefix('*') {
            return Some((Self::Any, rest));
        }
        let (weak, text) = match text.strip_prefix("W/").or_else(|| text.strip_prefix("w/")) {
            Some(rest) => (true, parameters::behind_blanks(rest)),
            None => (false, text),
        };
        let (tag, rest) = text.split_at(parameters::quoted_length(text)?);
        Some((if weak { Self::Weak(tag) } else { Self::Strong(tag) }, rest))
    }

    fn is_strongly(&self, etag: &str) -> bool {
        match *self {
            Self::Any => true,
            Self::Strong(tag) => tag == etag,
            Self::Weak(_) => false,
        }
    }

    fn is_weakly(&self, etag: &str) -> bool {
        self.is_strongly(etag) || matches!(*self, Self::Weak(tag) if tag == etag)
    }
}

/// The entity tags of a list. What is none is passed over, character by character, until one begins.
fn tags(text: &str) -> Vec<Tag<'_>> {
    let mut tags = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let tag = Tag::parse(rest).map(|(tag, behind)| (tag, parameters::behind_blanks(behind)));
        match tag.filter(|(_, behind)| behind.is_empty() || behind.starts_with(',')) {
            Some((tag, behind)) => {
                tags.push(tag);
                rest = behind;
            }
            None => match rest.chars().next() {
                Some(passed) => rest = &rest[passed.len_utf8()..],
                None => return tags,
            },
        }
    }
}

/// `unit=first-last`, `unit=first-` or `unit=-suffix`; the unit is not checked and blanks are allowed.
fn single_range(text: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, range) = text.split_once('=')?;
    let unit = unit.trim_end_matches([' ', '\t']);
    if parameters::token_length(unit) != Some(unit.len()) || range.contains(',') {
        return None;
    }
    let (first, last) = range.split_once('-')?;
    let number = |text: &str| match text.trim() {
        "" => Some(None),
        // A signed 64-bit number without its sign.
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(Some(digits.parse::<i64>().ok()?.unsigned_abs()))
        }
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
            ("by tes=0-3", Verdict::Whole),
            ("bytes=9223372036854775807-", Verdict::Unsatisfiable),
            ("bytes=9223372036854775808-", Verdict::Whole),
            ("bytes=0-9223372036854775808", Verdict::Whole),
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
            ("if-match", "x, \"e\"", Verdict::Whole),
            ("if-match", "x, \"y\"", Verdict::PreconditionFailed),
            ("if-none-match", "w/\"e\"", Verdict::NotModified),
            ("if-unmodified-since", "Sun Nov  6 08:49:37 1994", Verdict::PreconditionFailed),
            ("if-unmodified-since", "Sunday, 06-Nov-94 08:49:37 GMT", Verdict::PreconditionFailed),
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
            ("*", Verdict::Part(0..4)),
            ("\"x\", \"e\"", Verdict::Part(0..4)),
            ("Sun Nov  6 08:49:37 1994", Verdict::Whole),
            ("Sat, 21 Nov 2026 10:22:04 GMT", Verdict::Part(0..4)),
            ("Wed, 01 Jan 2020 00:00:00 GMT", Verdict::Whole),
        ] {
            assert_eq!(judged(10, &[("range", "bytes=0-3"), ("if-range", value)]), Some(verdict), "{value}");
        }
    }
}

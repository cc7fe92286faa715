//! What the headers of a download say.

use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode, header};
use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::asked::Wanted;

/// What is known of a content before its bytes: from the headers of `GET` or `HEAD`. Serialised with its
/// [`sha256`](Self::sha256), `null` where it is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContentInfo {
    /// The media type, with its parameters.
    pub content_type: Option<String>,
    /// How many bytes this answer brings; `None` where the server doesn't know beforehand (a ZIP).
    pub length: Option<u64>,
    /// How many bytes the whole content has; differs from `length` for a range.
    pub total: Option<u64>,
    /// The first byte of this answer within the whole.
    pub start: u64,
    /// The entity tag, with its quotes.
    pub etag: Option<String>,
    /// When the content last changed, to the second.
    pub last_modified: Option<DateTime<Utc>>,
    /// `Content-Disposition`, as the server wrote it.
    pub content_disposition: Option<String>,
    /// The SHA-256, where it is known from elsewhere than the ETag.
    known: Option<String>,
}

impl ContentInfo {
    pub(crate) fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name)?.to_str().ok();
        let Extent { start, length, total } = Extent::of(status, headers);
        Self {
            content_type: text(header::CONTENT_TYPE).map(str::to_owned),
            length,
            total,
            start,
            etag: text(header::ETAG).map(str::to_owned),
            last_modified: text(header::LAST_MODIFIED)
                .and_then(|date| httpdate::parse_http_date(date).ok())
                .map(DateTime::<Utc>::from),
            content_disposition: headers
                .get(header::CONTENT_DISPOSITION)
                .map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned()),
            known: None,
        }
    }

    /// With a SHA-256 that is known from elsewhere, if any is.
    pub(crate) fn known_as(mut self, sha256: Option<&String>) -> Self {
        if let Some(sha256) = sha256 {
            self.known = Some(sha256.clone());
        }
        self
    }

    /// The SHA-256 of the whole content in lower-case hex: CarbonFiles and file_storage give it as the ETag, a bucket of the
    /// latter does not, so there the metadata has it, or the answer that led to the bucket.
    #[must_use]
    pub fn sha256(&self) -> Option<&str> {
        if self.known.is_some() {
            return self.known.as_deref();
        }
        hash_in(self.etag.as_deref()?)
    }

    /// The ETag, if it stands for exactly these bytes (RFC 9110 section 8.8.1).
    pub(crate) fn strong_etag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|tag| is_strong(tag))
    }
}

impl Serialize for ContentInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { content_type, length, total, start, etag, last_modified, content_disposition, known: _ } = self;
        let mut info = serializer.serialize_struct("ContentInfo", 8)?;
        info.serialize_field("content_type", content_type)?;
        info.serialize_field("length", length)?;
        info.serialize_field("total", total)?;
        info.serialize_field("start", start)?;
        info.serialize_field("etag", etag)?;
        info.serialize_field("last_modified", last_modified)?;
        info.serialize_field("content_disposition", content_disposition)?;
        info.serialize_field("sha256", &self.sha256())?;
        info.end()
    }
}

/// Which bytes of the whole an answer brings.
pub(super) struct Extent {
    start: u64,
    length: Option<u64>,
    total: Option<u64>,
}

impl Extent {
    pub(super) fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if status != StatusCode::PARTIAL_CONTENT {
            return Self { start: 0, length, total: length };
        }
        match ContentRange::of(headers) {
            Some(range) => Self { start: range.start, length: Some(range.end - range.start), total: range.total },
            None => Self { start: 0, length, total: None },
        }
    }

    /// One behind the last byte, where that is known.
    pub(super) fn end(&self) -> Option<u64> {
        self.length.map(|length| self.start.saturating_add(length))
    }
}

fn is_strong(tag: &str) -> bool {
    tag.starts_with('"') && tag.ends_with('"') && tag.len() > 2
}

/// The SHA-256 (lower-case hex) that an ETag is, if it is one: then it tells whether the bytes are right.
pub(super) fn hash_in(tag: &str) -> Option<&str> {
    let text = Some(tag).filter(|tag| is_strong(tag))?.trim_matches('"');
    (text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))).then_some(text)
}

/// Whether a content of so many bytes that had the one ETag may have the other without being another content: file_storage
/// names what was uploaded in parts `"<id>-<size>"` (wire description, section 5) until a job of its own has hashed it. The bytes
/// of an id never change.
pub(super) fn was_hashed_since(before: &str, now: &str, total: Option<u64>) -> bool {
    let is_id = |id: &str| id.len() == 32 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let of_id = before
        .trim_matches('"')
        .split_once('-')
        .is_some_and(|(id, size)| is_id(id) && size.parse().ok().is_some_and(|size: u64| Some(size) == total));
    is_strong(before) && of_id && hash_in(now).is_some()
}

/// `Content-Range: bytes start-last/total` (RFC 9110 section 14.4); `end` is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ContentRange {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) total: Option<u64>,
}

impl ContentRange {
    /// That of an answer.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        Self::parse(headers.get(header::CONTENT_RANGE)?.to_str().ok()?)
    }

    /// Is it what `Range` asked for, as far as the content has it?
    pub(crate) fn answers(&self, asked: Wanted) -> bool {
        match asked {
            Wanted::Within(first, last) => self.start == first && self.end - 1 <= last,
            Wanted::From(first) => self.start == first,
            Wanted::Last(count) => self.total == Some(self.end) && self.end - self.start <= count,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
        let (start, last) = range.split_once('-')?;
        let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
        let (start, end) = (number(start)?, number(last)?.checked_add(1)?);
        let total = match total {
            "*" => None,
            total => Some(number(total)?),
        };
        (start < end && total.is_none_or(|total| end <= total)).then_some(Self { start, end, total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn content_ranges() {
        let parse = ContentRange::parse;
        assert_eq!(parse("bytes 0-0/1"), Some(ContentRange { start: 0, end: 1, total: Some(1) }));
        assert_eq!(parse("bytes 5-9/*"), Some(ContentRange { start: 5, end: 10, total: None }));
        for bad in [
            "",
            "bytes */10",
            "bytes 5-4/10",
            "bytes 0-10/10",
            "bytes 1-+2/9",
            "items 0-1/2",
            "bytes 0-18446744073709551615/*",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_part_is_the_part_that_was_asked_for() {
        let range = |start, end, total| ContentRange { start, end, total: Some(total) };
        let within = Wanted::Within(5, 9);
        assert!(range(5, 10, 20).answers(within) && range(5, 8, 8).answers(within));
        assert!(range(5, 20, 20).answers(Wanted::From(5)) && range(13, 20, 20).answers(Wanted::Last(7)));
        for (other, asked) in
            [(range(4, 10, 20), within), (range(5, 11, 20), within), (range(0, 7, 20), Wanted::Last(7))]
        {
            assert!(!other.answers(asked), "{asked}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(text in "\\PC{0,40}") {
            let _ = ContentRange::parse(&text);
        }

        #[test]
        fn ranges_round_trip(start in 0u64..u64::MAX / 4, length in 1u64..1 << 40, more in 0u64..1 << 40) {
            let end = start + length;
            let total = end + more;
            let text = format!("bytes {start}-{}/{total}", end - 1);
            prop_assert_eq!(ContentRange::parse(&text), Some(ContentRange { start, end, total: Some(total) }));
        }
    }

    #[test]
    fn a_hash_is_told_wherever_it_is_known_from() {
        let headers = HeaderMap::from_iter([
            (header::ETAG, "\"v1\"".parse().unwrap()),
            (header::CONTENT_LENGTH, 5.into()),
            (header::LAST_MODIFIED, "Wed, 21 Oct 2015 07:28:00 GMT".parse().unwrap()),
        ]);
        let info = ContentInfo::of(StatusCode::OK, &headers);
        let json = |sha256: Option<&String>| {
            serde_json::json!({
                "content_type": null, "length": 5, "total": 5, "start": 0, "etag": "\"v1\"",
                "last_modified": "2015-10-21T07:28:00Z", "content_disposition": null, "sha256": sha256,
            })
        };
        assert_eq!(serde_json::to_value(&info).unwrap(), json(None));
        let hash = "a".repeat(64);
        assert_eq!(serde_json::to_value(info.known_as(Some(&hash))).unwrap(), json(Some(&hash)));
        let tagged = HeaderMap::from_iter([(header::ETAG, format!("\"{hash}\"").parse().unwrap())]);
        let json = serde_json::to_value(ContentInfo::of(StatusCode::OK, &tagged)).unwrap();
        assert_eq!(json["sha256"], *hash);
    }

    #[test]
    fn only_the_name_of_a_content_without_a_hash_may_become_one() {
        let (id, hash) = ("0123456789abcdef0123456789abcdef", format!("\"{}\"", "a".repeat(64)));
        let named = format!("\"{id}-70\"");
        assert!(was_hashed_since(&named, &hash, Some(70)));
        for (before, now, total) in [
            (&named, &hash, Some(71)),
            (&named, &hash, None),
            (&named, &format!("\"{id}-71\""), Some(70)),
            (&hash, &format!("\"{}\"", "b".repeat(64)), Some(70)),
            (&format!("W/{named}"), &hash, Some(70)),
            (&format!("\"{id}\""), &hash, Some(70)),
            (&"\"x-70\"".to_owned(), &hash, Some(70)),
        ] {
            assert!(!was_hashed_since(before, now, total), "{before} {now} {total:?}");
        }
    }

    #[test]
    fn only_a_strong_hash_is_a_hash() {
        let info = |etag: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ETAG, etag.parse().unwrap());
            ContentInfo::of(StatusCode::OK, &headers)
        };
        let hash = "a".repeat(64);
        assert_eq!(info(&format!("\"{hash}\"")).sha256(), Some(hash.as_str()));
        assert_eq!(info(&format!("W/\"{hash}\"")).sha256(), None);
        assert_eq!(info("\"v1\"").sha256(), None);
        assert_eq!(info("\"v1\"").strong_etag(), Some("\"v1\""));
    }
}

//! Request targets: percent-decoding and dot segments as Kestrel does them.

use std::borrow::Cow;

use hyper::Method;

/// A target Kestrel refuses with 400 and closes on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadTarget;

/// The path that routing sees: decoded (but `%2F` stays as it is), dot segments resolved.
pub(crate) fn routed_path(raw: &str) -> Result<String, BadTarget> {
    if !raw.is_ascii() {
        return Err(BadTarget);
    }
    let decoded = unescape(raw, Slash::Keep);
    if decoded.contains('\0') {
        return Err(BadTarget);
    }
    Ok(without_dot_segments(&decoded))
}

/// A query name or value: `+` is a space, escapes are decoded where they make UTF-8.
pub(crate) fn query_text(raw: &str) -> String {
    let spaced = if raw.contains('+') { Cow::Owned(raw.replace('+', " ")) } else { Cow::Borrowed(raw) };
    unescape(&spaced, Slash::Decode)
}

/// Methods are matched in any letter case; only Kestrel's own look at `HEAD` is exact, so that another spelling is none.
pub(crate) fn fold_method(method: &mut Method) {
    let upper = method.as_str().to_ascii_uppercase();
    if upper != "HEAD"
        && let Ok(upper) = upper.parse()
    {
        *method = upper;
    }
}

/// Percent-encodes one path segment for a `Location`: everything but unreserved characters.
pub(crate) fn escape_segment(segment: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(segment, SEGMENT).to_string()
}

#[derive(Clone, Copy, PartialEq)]
enum Slash {
    /// `%2F` is not a slash in a path; it stays three characters.
    Keep,
    Decode,
}

/// Decodes escapes that make valid UTF-8 and leaves all others as they were written.
fn unescape(text: &str, slash: Slash) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'%' {
            let plain = text[at..].find('%').map_or(bytes.len(), |next| at + next);
            out.push_str(&text[at..plain]);
            at = plain;
            continue;
        }
        let mut run = Vec::new();
        let mut end = at;
        while let Some(byte) = escaped(bytes, end) {
            run.push(byte);
            end += 3;
        }
        if run.is_empty() {
            out.push('%');
            at += 1;
            continue;
        }
        let mut written = at;
        for chunk in run.utf8_chunks() {
            for character in chunk.valid().chars() {
                let width = 3 * character.len_utf8();
                if character == '/' && slash == Slash::Keep {
                    out.push_str(&text[written..written + width]);
                } else {
                    out.push(character);
                }
                written += width;
            }
            let width = 3 * chunk.invalid().len();
            out.push_str(&text[written..written + width]);
            written += width;
        }
        at = end;
    }
    out
}

fn escaped(bytes: &[u8], at: usize) -> Option<u8> {
    let digits = bytes.get(at..at + 3)?;
    if digits[0] != b'%' {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    Some(digit(digits[1])? * 16 + digit(digits[2])?)
}

/// Resolves `.` and `..`, which may well lead out of `/files/`.
fn without_dot_segments(path: &str) -> String {
    if !path.split('/').any(|segment| segment == "." || segment == "..") {
        return path.to_owned();
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            other => {
                kept.push(other);
                continue;
            }
        }
        if last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_once_and_slashes_stay() {
        for (raw, path) in [
            ("/a%20b", "/a b"),
            ("/docs%2Fa", "/docs%2Fa"),
            ("/docs%252Fa", "/docs%2Fa"),
            ("/caf%c3%a9", "/café"),
            ("/%FF", "/%FF"),
            ("/%FF%41", "/%FFA"),
            ("/%zz%", "/%zz%"),
            ("/a+b", "/a+b"),
            ("/a%5Cb", "/a\\b"),
        ] {
            assert_eq!(routed_path(raw).as_deref(), Ok(path), "{raw}");
        }
        assert_eq!(routed_path("/a%00b"), Err(BadTarget));
        assert_eq!(routed_path("/ü"), Err(BadTarget));
    }

    #[test]
    fn dot_segments_are_resolved_after_decoding() {
        for (raw, path) in [
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/%2e%2e/b", "/b"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/../../a", "/a"),
            ("/a//b", "/a//b"),
            ("/a...", "/a..."),
        ] {
            assert_eq!(routed_path(raw).as_deref(), Ok(path), "{raw}");
        }
    }

    #[test]
    fn queries_decode_plus_and_slash() {
        assert_eq!(query_text("a+b%2Bc%2Fd%FF"), "a b+c/d%FF");
        assert_eq!(query_text("a%00"), "a\0");
    }
}

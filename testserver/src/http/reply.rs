//! Answers, and JSON as the server writes it.

use std::io;

use bytes::Bytes;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, Serializer};

use super::reply_body::ReplyBody;

/// An answer on its way out.
pub(crate) type Reply = Response<ReplyBody>;

/// A header value that is known to be fine.
pub(crate) fn text(value: &'static str) -> HeaderValue {
    HeaderValue::from_static(value)
}

/// An answer without a body. `Content-Length: 0` is said where HTTP allows it.
pub(crate) fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(ReplyBody::empty());
    *reply.status_mut() = status;
    if !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        reply.headers_mut().insert(CONTENT_LENGTH, text("0"));
    }
    reply
}

/// A resource as JSON: chunked, non-ASCII characters raw.
pub(crate) fn json(status: StatusCode, resource: &impl Serialize) -> Reply {
    chunked_json(status, resource, Escaping::Relaxed)
}

/// JSON as resources are written, without an answer around it.
pub(crate) fn relaxed_json(value: &impl Serialize) -> Vec<u8> {
    let mut written = Vec::new();
    // Only maps with keys that are no text fail, and there are none.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut written, Escaping::Relaxed));
    written
}

/// `{"error","hint"?}`, in which everything outside a safe ASCII set is escaped.
pub(crate) fn error(status: StatusCode, error: &str, hint: Option<&str>) -> Reply {
    #[derive(Serialize)]
    struct Error<'a> {
        error: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<&'a str>,
    }
    chunked_json(status, &Error { error, hint }, Escaping::Strict)
}

fn chunked_json(status: StatusCode, resource: &impl Serialize, escaping: Escaping) -> Reply {
    let mut written = Vec::new();
    let writes = resource.serialize(&mut Serializer::with_formatter(&mut written, escaping));
    if writes.is_err() {
        return empty(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let mut reply = Response::new(ReplyBody::chunked(Bytes::from(written)));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, text("application/json; charset=utf-8"));
    reply
}

/// The two encoders of System.Text.Json.
#[derive(Clone, Copy)]
enum Escaping {
    /// `JavaScriptEncoder.UnsafeRelaxedJsonEscaping`.
    Relaxed,
    /// `JavaScriptEncoder.Default`.
    Strict,
}

impl Escaping {
    fn escapes(self, character: char) -> bool {
        match self {
            Self::Strict => !character.is_ascii() || matches!(character, '<' | '>' | '&' | '\'' | '+' | '`' | '\x7f'),
            // Both escape what lies outside the basic plane, blanks other than the space, and private characters.
            Self::Relaxed => {
                character.is_control()
                    || (character.is_whitespace() && character != ' ')
                    || matches!(character, '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}'..)
            }
        }
    }
}

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut plain = 0;
        for (at, character) in fragment.char_indices() {
            if !self.escapes(character) {
                continue;
            }
            writer.write_all(&fragment.as_bytes()[plain..at])?;
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                write!(writer, "\\u{unit:04X}")?;
            }
            plain = at + character.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[plain..])
    }

    fn write_char_escape<W: ?Sized + io::Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        match (self, escape) {
            (Self::Strict, CharEscape::Quote) => writer.write_all(b"\\u0022"),
            (_, CharEscape::AsciiControl(byte)) => write!(writer, "\\u{byte:04X}"),
            (_, escape) => CompactFormatter.write_char_escape(writer, escape),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &str, escaping: Escaping) -> String {
        let mut out = Vec::new();
        value.serialize(&mut Serializer::with_formatter(&mut out, escaping)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn error_texts_are_escaped_as_recorded() {
        assert_eq!(written("sö<n>&+\"", Escaping::Strict), r#""s\u00F6\u003Cn\u003E\u0026\u002B\u0022""#);
        assert_eq!(written("cannot use 'never'", Escaping::Strict), r#""cannot use \u0027never\u0027""#);
    }

    #[test]
    fn resources_are_written_raw() {
        assert_eq!(written("Ünï <b>&'+ 日本", Escaping::Relaxed), "\"Ünï <b>&'+ 日本\"");
        assert_eq!(written("a\"b\\c\n\u{1}", Escaping::Relaxed), "\"a\\\"b\\\\c\\n\\u0001\"");
        assert_eq!(written("😀", Escaping::Relaxed), r#""\uD83D\uDE00""#);
    }
}

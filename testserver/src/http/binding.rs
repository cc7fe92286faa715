//! JSON request bodies, bound as ASP.NET binds them: before any authentication, and refused without a body.

use std::fmt;

use hyper::header::CONTENT_TYPE;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::exchange::Exchange;
use super::parameters::{self, MediaType};
use super::refusal::Refusal;

/// How deep the arrays and objects of a body may stand in each other.
const DEEPEST: usize = 64;

/// The members of a JSON object, in the order sent. Names are case-insensitive and the last of several wins.
#[derive(Debug, Default)]
pub(crate) struct Members(Vec<(String, Value)>);

impl Members {
    /// All members of this name, in the order sent.
    fn named(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The last of several, though all must be of the type, as each is read when its turn comes.
    fn last<T>(&self, name: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Option<T>, Refusal> {
        let mut last = None;
        for value in self.named(name) {
            last = if value.is_null() { None } else { Some(read(value).ok_or(Refusal::Binding)?) };
        }
        Ok(last)
    }

    /// A text; missing and `null` are the same.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Refusal> {
        self.last(name, |value| value.as_str().map(str::to_owned))
    }

    /// A text that must be there, though it may be `null`, which only the handler minds.
    pub(crate) fn required_text(&self, name: &str) -> Result<Option<String>, Refusal> {
        self.named(name).next().ok_or(Refusal::Binding)?;
        self.text(name)
    }

    /// A 32-bit number, or a text of its digits.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i32>, Refusal> {
        self.last(name, |value| match value {
            Value::Number(number) => number.as_i64()?.try_into().ok(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        })
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

/// The object of a route that needs one.
pub(crate) async fn required(exchange: &mut Exchange) -> Result<Members, Refusal> {
    optional(exchange).await?.ok_or(Refusal::Binding)
}

/// The object of a route that does without: `None` for no body and for `null`.
pub(crate) async fn optional(exchange: &mut Exchange) -> Result<Option<Members>, Refusal> {
    if !exchange.body.can_have_bytes() {
        return Ok(None);
    }
    let charset = json_charset(exchange.header(CONTENT_TYPE).unwrap_or_default()).ok_or(Refusal::MediaType)?;
    let charset = Charset::of(charset.as_deref()).ok_or(Refusal::Unhandled)?;
    let body = exchange.body.collect().await?;
    let text = charset.decoded(body).ok_or(Refusal::Binding)?;
    let text = text.trim_start_matches('\u{feff}');
    if depth(text) > DEEPEST {
        return Err(Refusal::Binding);
    }
    serde_json::from_str(text).map_err(|_| Refusal::Binding)
}

/// How many arrays and objects stand in each other, in text that is JSON.
fn depth(text: &str) -> usize {
    let (mut deepest, mut depth) = (0_usize, 0_usize);
    let (mut quoted, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// `Some` if the type is JSON (`application/json`, `*/*+json`); inside, its charset if it has one.
fn json_charset(content_type: &str) -> Option<Option<String>> {
    let parsed = MediaType::parse(content_type)?;
    let is_json =
        parsed.is("application", "json") || parsed.suffix().is_some_and(|suffix| suffix.eq_ignore_ascii_case("json"));
    is_json.then(|| parsed.parameters.get("charset").map(|value| parameters::unquoted(value).to_ascii_lowercase()))
}

/// The character sets that .NET knows without further packages, as far as one is likely to meet them.
#[derive(Clone, Copy)]
enum Charset {
    Utf8,
    Utf16Le,
    Utf16Be,
    Latin1,
}

impl Charset {
    fn of(name: Option<&str>) -> Option<Self> {
        Some(match name {
            None | Some("" | "utf-8") => Self::Utf8,
            Some("utf-16" | "utf-16le" | "unicode" | "ucs-2") => Self::Utf16Le,
            Some("utf-16be" | "unicodefffe") => Self::Utf16Be,
            Some("iso-8859-1" | "latin1" | "us-ascii" | "ascii") => Self::Latin1,
            // `utf8` too: an exception nobody catches.
            Some(_) => return None,
        })
    }

    fn decoded(self, body: Vec<u8>) -> Option<String> {
        let utf16 = |unit: fn([u8; 2]) -> u16| {
            let units: Vec<u16> = body.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
            String::from_utf16(&units).ok()
        };
        match self {
            Self::Utf8 => String::from_utf8(body).ok(),
            Self::Utf16Le => utf16(u16::from_le_bytes),
            Self::Utf16Be => utf16(u16::from_be_bytes),
            Self::Latin1 => Some(body.iter().map(|&byte| char::from(byte)).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(json: &str) -> Members {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn names_ignore_case_and_the_last_wins() {
        let twice = members(r#"{"NAME":"first","name":"last","max_uploads":"3"}"#);
        assert_eq!(twice.text("name"), Ok(Some("last".to_owned())));
        assert_eq!(twice.number("max_uploads"), Ok(Some(3)));
    }

    #[test]
    fn null_is_present_and_a_wrong_type_is_not_bound() {
        assert_eq!(members(r#"{"name":null}"#).required_text("name"), Ok(None));
        assert_eq!(members("{}").required_text("name"), Err(Refusal::Binding));
        assert_eq!(members(r#"{"name":5}"#).text("name"), Err(Refusal::Binding));
        assert_eq!(members(r#"{"name":5,"name":"x"}"#).text("name"), Err(Refusal::Binding));
        assert_eq!(members(r#"{"name":"x","name":null}"#).text("name"), Ok(None));
        for wrong in ["1.5", "3000000000", "\"x\"", "\" 3 \"", "true"] {
            let members = members(&format!(r#"{{"n":{wrong}}}"#));
            assert_eq!(members.number("n"), Err(Refusal::Binding), "{wrong}");
        }
    }

    #[test]
    fn depth_counts_no_brackets_in_texts() {
        assert_eq!(depth(r#"{"a":[[1],[2]],"b":"[[[[\"[["}"#), 3);
        assert_eq!(depth("5"), 0);
    }

    #[test]
    fn json_types_are_told_from_others() {
        assert_eq!(json_charset("application/vnd.x+json; charset=UTF-16"), Some(Some("utf-16".to_owned())));
        assert_eq!(json_charset("Application/JSON"), Some(None));
        assert_eq!(json_charset("text/x+json"), Some(None));
        for other in [
            "",
            "text/json",
            "application/json; charset=utf-8 x",
            "application/jsonx",
            "application/x-www-form-urlencoded",
        ] {
            assert_eq!(json_charset(other), None, "{other}");
        }
    }
}

//! JSON request bodies, bound as ASP.NET binds them: before any authentication, and refused without a body.

use std::fmt;

use hyper::header::CONTENT_TYPE;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::exchange::Exchange;
use super::query::dotnet_integer;
use super::refusal::Refusal;

/// The members of a JSON object, in the order sent. Names are case-insensitive and the last of several wins.
#[derive(Debug, Default)]
pub(crate) struct Members(Vec<(String, Value)>);

impl Members {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().rev().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// A text; missing and `null` are the same.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Refusal> {
        match self.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Refusal::Binding),
        }
    }

    /// A text that must be there, though it may be `null`, which only the handler minds.
    pub(crate) fn required_text(&self, name: &str) -> Result<Option<String>, Refusal> {
        if self.get(name).is_none() {
            return Err(Refusal::Binding);
        }
        self.text(name)
    }

    /// A 32-bit number, or a text of its digits.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i32>, Refusal> {
        match self.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => {
                number.as_i64().and_then(|wide| i32::try_from(wide).ok()).map(Some).ok_or(Refusal::Binding)
            }
            Some(Value::String(text)) => dotnet_integer(text).map(Some).ok_or(Refusal::Binding),
            Some(_) => Err(Refusal::Binding),
        }
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
    let body = exchange.body.collect().await?;
    let text = decoded(body, charset.as_deref()).ok_or(Refusal::Binding)?;
    serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|_| Refusal::Binding)
}

/// `Some` if the type is JSON (`application/json`, `application/*+json`); inside, its charset if it has one.
fn json_charset(content_type: &str) -> Option<Option<String>> {
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next()?.to_ascii_lowercase();
    let subtype = essence.strip_prefix("application/")?;
    if subtype != "json" && !subtype.ends_with("+json") {
        return None;
    }
    let charset = parts.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"').to_ascii_lowercase())
    });
    Some(charset)
}

fn decoded(body: Vec<u8>, charset: Option<&str>) -> Option<String> {
    let utf16 = |unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = body.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16(&units).ok()
    };
    match charset {
        Some("utf-16" | "utf-16le") => utf16(u16::from_le_bytes),
        Some("utf-16be") => utf16(u16::from_be_bytes),
        Some("iso-8859-1" | "latin1") => Some(body.iter().map(|&byte| char::from(byte)).collect()),
        _ => String::from_utf8(body).ok(),
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
        for wrong in ["1.5", "3000000000", "\"x\"", "true"] {
            let members = members(&format!(r#"{{"n":{wrong}}}"#));
            assert_eq!(members.number("n"), Err(Refusal::Binding), "{wrong}");
        }
    }

    #[test]
    fn json_types_are_told_from_others() {
        assert_eq!(json_charset("application/vnd.x+json; charset=UTF-16"), Some(Some("utf-16".to_owned())));
        assert_eq!(json_charset("Application/JSON"), Some(None));
        for other in ["", "text/json", "application/jsonx", "application/x-www-form-urlencoded"] {
            assert_eq!(json_charset(other), None, "{other}");
        }
    }
}

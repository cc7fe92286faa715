//! `type; name=value; name="value"`, the form that several headers have, as ASP.NET reads it.

/// The parameters behind the value proper.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parameters<'a>(Vec<(&'a str, Option<&'a str>)>);

impl<'a> Parameters<'a> {
    /// `None` if anything is left over. A name may go without a value, and a value may be empty.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut list = Vec::new();
        let mut rest = behind_blanks(text);
        if let Some(first) = rest.strip_prefix(';') {
            rest = behind_blanks(first);
            while let Some(length) = token_length(rest) {
                let (name, after) = rest.split_at(length);
                rest = behind_blanks(after);
                let mut value = None;
                if let Some(after) = rest.strip_prefix('=') {
                    let after = behind_blanks(after);
                    let (this, after) = after.split_at(value_length(after));
                    (value, rest) = (Some(this), behind_blanks(after));
                }
                list.push((name, value));
                let Some(next) = rest.strip_prefix(';') else { break };
                rest = behind_blanks(next);
            }
        }
        rest.is_empty().then_some(Self(list))
    }

    /// What the first of this name has for a value, with its quotes.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?.1
    }
}

/// A `Content-Type`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MediaType<'a> {
    kind: &'a str,
    subtype: &'a str,
    pub(crate) parameters: Parameters<'a>,
}

impl<'a> MediaType<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let text = behind_blanks(text);
        let (kind, rest) = text.split_at(token_length(text)?);
        let rest = behind_blanks(behind_blanks(rest).strip_prefix('/')?);
        let (subtype, rest) = rest.split_at(token_length(rest)?);
        Some(Self { kind, subtype, parameters: Parameters::parse(rest)? })
    }

    pub(crate) fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind) && self.subtype.eq_ignore_ascii_case(subtype)
    }

    /// What stands behind the last plus: `json` in `application/problem+json`.
    pub(crate) fn suffix(&self) -> Option<&'a str> {
        self.subtype.rsplit_once('+').map(|(_, suffix)| suffix)
    }
}

/// Takes the quotes off, and leaves escapes alone.
pub(crate) fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(value)
}

pub(crate) fn behind_blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The length of the token at the start; `None` if there is none.
pub(crate) fn token_length(text: &str) -> Option<usize> {
    let length = text.bytes().take_while(|&byte| is_token(byte)).count();
    (length > 0).then_some(length)
}

/// A value is a token or a quoted string, and may be missing.
fn value_length(text: &str) -> usize {
    token_length(text).or_else(|| quoted_length(text)).unwrap_or(0)
}

/// The length of the quoted string at the start, quotes included. A backslash hides the next character from the search, but
/// not the last quote that there can be.
pub(crate) fn quoted_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = bytes.starts_with(b"\"").then_some(1)?;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if at + 2 < bytes.len() => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_taken_apart_whole_or_not_at_all() {
        for (text, a) in [
            ("", None),
            ("; a=1", Some("1")),
            (" ; b = \"x;a=2\" ; a = 1 ;", Some("1")),
            ("; A=1; a=2", Some("1")),
            ("; a; a=1", None),
            ("; a=; b=2", Some("")),
            ("; a=\"1\\\"2\"; b", Some("\"1\\\"2\"")),
            ("; a=\"1\\\"", Some("\"1\\\"")),
        ] {
            assert_eq!(Parameters::parse(text).map(|parameters| parameters.get("a")), Some(a), "{text}");
        }
        for wrong in ["x", "; a=b=c", "; a=b/c", "; a=\"1", ";;a=1", "; a=1, b", "; =1"] {
            assert_eq!(Parameters::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_type_has_a_suffix() {
        let parsed = MediaType::parse("Text / x.y+JSON; charset=utf-8").unwrap();
        assert!(parsed.is("text", "X.y+json"));
        assert_eq!((parsed.suffix(), parsed.parameters.get("charset")), (Some("JSON"), Some("utf-8")));
        for wrong in ["", "json", "a/", "/b", "a/b c", "a/b; c=d e"] {
            assert_eq!(MediaType::parse(wrong), None, "{wrong}");
        }
    }
}

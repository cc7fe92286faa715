//! Query parameters, and their binding to numbers, truth values and texts.

use super::refusal::Refusal;
use super::target::query_text;

/// The parameters of one request. Names are case-insensitive.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    pub(crate) fn parse(raw: Option<&str>) -> Self {
        let pairs = raw.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (query_text(name).to_lowercase(), query_text(value))
        });
        Self { pairs: pairs.collect() }
    }

    /// The first of several; what the handlers that look themselves do (`filename`, `token`).
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All of them joined with commas; what a bound text parameter gets.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let named = self.pairs.iter().filter(|(known, _)| known == name);
        let values: Vec<&str> = named.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(","))
    }

    /// A 32-bit number; anything else, also an empty or repeated one, is refused by the binding.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i32>, Refusal> {
        self.text(name).map(|text| dotnet_integer(&text).ok_or(Refusal::Binding)).transpose()
    }

    /// `true` or `false` in any case; anything else is refused by the binding.
    pub(crate) fn truth(&self, name: &str) -> Result<Option<bool>, Refusal> {
        let truth = |text: String| match text.trim().to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Refusal::Binding),
        };
        self.text(name).map(truth).transpose()
    }
}

/// An integer as .NET's `TryParse` takes it: blanks around it and a sign are fine.
pub(crate) fn dotnet_integer<N: std::str::FromStr>(text: &str) -> Option<N> {
    let blank = |c: char| matches!(c, '\t'..='\r' | ' ');
    // A trailing NUL is a quirk of .NET that nobody needs; everything else Rust's own parser agrees with.
    text.trim_matches(blank).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_bound_as_dotnet_does() {
        for (raw, bound) in [
            ("limit=5", Ok(Some(5))),
            ("LIMIT=%205%20", Ok(Some(5))),
            ("limit=%2B1", Ok(Some(1))),
            ("limit=-1", Ok(Some(-1))),
            ("x=1", Ok(None)),
            ("limit=", Err(())),
            ("limit", Err(())),
            ("limit=1.5", Err(())),
            ("limit=99999999999", Err(())),
            ("limit=1&limit=1", Err(())),
        ] {
            assert_eq!(Query::parse(Some(raw)).number("limit").map_err(|_| ()), bound, "{raw}");
        }
    }

    #[test]
    fn repeated_texts_are_joined_and_the_first_can_be_had() {
        let query = Query::parse(Some("sort=name&Sort=size&filename=a%2Fb"));
        assert_eq!(query.text("sort").as_deref(), Some("name,size"));
        assert_eq!(query.first("sort"), Some("name"));
        assert_eq!(query.first("filename"), Some("a/b"));
    }
}

//! What a request carries that must not be repeated, and how URLs and texts lose it.

use std::ops::Range;

use http::HeaderMap;
use url::{Url, form_urlencoded};

use crate::auth::Token;

const CUT: &str = "[redacted]";
/// A shorter value is no secret, and cutting it out would garble what a server says, or tell by the gap in a known text
/// what it is. A credential or password that short hides the whole text.
const SHORTEST: usize = 8;

/// The credentials of one request, in the forms in which a server or a proxy may repeat them.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    /// In any order, though one may be part of another, or overlap it in a text.
    each: Vec<String>,
    /// Too short to be cut out: a text that holds one of these is not shown at all.
    short: Vec<String>,
}

impl Secrets {
    pub(crate) fn of<'a>(tokens: &[Token], url: &Url, headers: impl IntoIterator<Item = &'a HeaderMap>) -> Self {
        let tokens = tokens.iter().map(Token::expose).filter(|token| !token.is_empty()).map(str::to_owned);
        let (short, mut secrets): (Vec<_>, Vec<_>) = tokens.partition(|token| token.len() < SHORTEST);
        let mut add = |value: &str| {
            if value.len() >= SHORTEST {
                secrets.push(value.to_owned());
            }
        };
        for (_, value) in url.query_pairs().filter(|(name, _)| is_secret(name)) {
            add(&value);
            add(&form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>());
        }
        for value in headers.into_iter().flat_map(HeaderMap::values).filter(|value| value.is_sensitive()) {
            add(&String::from_utf8_lossy(value.as_bytes()));
        }
        Self { each: secrets, short }
    }

    /// And what the JSON of a request's body holds, such as a password.
    pub(crate) fn with_body(mut self, secrets: &[Token]) -> Self {
        for secret in secrets.iter().map(Token::expose).filter(|secret| !secret.is_empty()) {
            let escaped = serde_json::Value::from(secret).to_string();
            // Without the quotes around it; the secret may have some of its own.
            let escaped = escaped[1..escaped.len() - 1].to_owned();
            let forms = if secret.len() < SHORTEST { &mut self.short } else { &mut self.each };
            forms.extend([secret.to_owned(), escaped]);
        }
        self
    }

    /// A text without them. Where they overlap, nothing of either is left.
    pub(crate) fn cut(&self, text: &str) -> String {
        if self.short.iter().any(|secret| text.contains(secret)) {
            return CUT.to_owned();
        }
        let mut found: Vec<_> = self.each.iter().flat_map(|secret| occurrences(text, secret)).collect();
        found.sort_unstable_by_key(|found| found.start);
        let (mut clean, mut kept) = (String::with_capacity(text.len()), 0);
        for Range { start, end } in found {
            if start >= kept {
                clean.push_str(&text[kept..start]);
                clean.push_str(CUT);
            }
            kept = kept.max(end);
        }
        clean.push_str(&text[kept..]);
        clean
    }
}

/// Where a secret stands, also where it overlaps itself.
fn occurrences(text: &str, secret: &str) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + text.get(from..)?.find(secret)?;
        from = start + text[start..].chars().next().map_or(1, char::len_utf8);
        Some(start..start + secret.len())
    })
}

/// The URL for messages: without the values of parameters that are, or may be, secrets.
pub(crate) fn redact(url: &Url) -> String {
    let mut clean = url.clone();
    // A URL with a user part is refused when the client is built; this is the second line.
    let _ = clean.set_username("");
    let _ = clean.set_password(None);
    if url.query_pairs().any(|(name, _)| is_secret(&name)) {
        let kept: Vec<_> = url
            .query_pairs()
            .map(|(name, value)| if is_secret(&name) { (name, "REDACTED".into()) } else { (name, value) })
            .collect();
        clean.query_pairs_mut().clear().extend_pairs(kept);
    }
    clean.into()
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["token", "sig", "credential", "key", "pass", "pwd", "secret", "auth"].iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    #[test]
    fn urls_lose_their_secrets() {
        let url = Url::parse("http://u:p@h/a?filename=x%20y&token=cfu_1&X-Amz-Signature=2&Access_Token=3").unwrap();
        let text = redact(&url);
        assert!(!text.contains("cfu_1") && !text.contains("=2") && !text.contains("=3") && !text.contains("u:p"));
        assert!(text.contains("filename=x+y") && text.contains("token=REDACTED"), "{text}");
        assert_eq!(redact(&Url::parse("http://h/a?filename=x%20y").unwrap()), "http://h/a?filename=x%20y");
        for name in ["pass", "Password", "passphrase", "pwd", "client_secret", "auth", "Authorization"] {
            let text = redact(&Url::parse(&format!("http://h/a?{name}=hidden&page=2")).unwrap());
            assert!(!text.contains("hidden") && text.contains("page=2"), "{text}");
        }
    }

    #[test]
    fn texts_lose_what_the_request_carried() {
        let mut headers = HeaderMap::new();
        for (name, value, sensitive) in
            [("x-key", "from a header", true), ("x-id", "42", true), ("accept", "application/json", false)]
        {
            let mut value = HeaderValue::from_static(value);
            value.set_sensitive(sensitive);
            headers.insert(name, value);
        }
        let url = Url::parse("http://h/?api_key=from+a%2Fquery&page=12345678").unwrap();
        let secrets = Secrets::of(&[Token::new("cfu_1234")], &url, [&headers]);
        let said = "cfu_1234, from a header, from+a%2Fquery, from a/query, 42, application/json, 12345678";
        let cut = "[redacted], [redacted], [redacted], [redacted], 42, application/json, 12345678";
        assert_eq!(secrets.cut(said), cut);
        assert_eq!(Secrets::default().cut(said), said);
    }

    #[test]
    fn what_a_body_held_is_cut_in_its_forms() {
        let url = Url::parse("http://h/").unwrap();
        let secrets = |secret: &str| Secrets::of(&[], &url, []).with_body(&[Token::new(secret)]);
        let said = r#"you said {"password":"pass\"word"}, that is pass"word"#;
        assert_eq!(secrets("pass\"word").cut(said), r#"you said {"password":"[redacted]"}, that is [redacted]"#);
        assert_eq!(secrets("x").cut("no x"), "[redacted]");
        assert_eq!(secrets("x").cut("Bad credentials"), "Bad credentials");
        assert_eq!(secrets("").cut("Bad credentials"), "Bad credentials");
    }

    #[test]
    fn of_two_that_overlap_nothing_is_left() {
        let url = Url::parse("http://h/?token=cfu_12345678").unwrap();
        let secrets = Secrets::of(&[Token::new("cfu_1234"), Token::new("12345678-and-more")], &url, []);
        assert_eq!(secrets.cut("a cfu_12345678"), "a [redacted]");
        assert_eq!(secrets.cut("a cfu_12345678-and-more cfu_1234"), "a [redacted] [redacted]");
        let quoted = Secrets::default().with_body(&[Token::new("a \"word\"")]);
        assert_eq!(quoted.cut(r#"{"password":"a \"word\""}"#), r#"{"password":"[redacted]"}"#);
    }

    proptest! {
        /// Of few letters, so that secrets overlap each other and themselves.
        #[test]
        fn nothing_of_a_secret_is_left(
            tokens in prop::collection::vec("[abü]{8,12}", 1..4),
            value in "[abü]{8,12}",
            body in "[ab\"]{8,12}",
            joined in prop::collection::vec((any::<prop::sample::Index>(), "[abü \"]{0,9}"), 0..6),
        ) {
            let mut headers = HeaderMap::new();
            let mut header = HeaderValue::from_str(&value).unwrap();
            header.set_sensitive(true);
            headers.insert("x-key", header);
            let url = Url::parse("http://h/").unwrap();
            let mut secrets: Vec<_> = tokens.iter().chain([&value, &body]).cloned().collect();
            let sent: Vec<_> = tokens.iter().map(|token| Token::new(token.as_str())).collect();
            let cutter = Secrets::of(&sent, &url, [&headers]).with_body(&[Token::new(body.as_str())]);
            secrets.push(body.replace('"', "\\\""));
            let text: String = joined.iter().map(|(at, other)| format!("{}{other}", secrets[at.index(secrets.len())])).collect();

            // Marks each byte that belongs to one, and puts one gap in place of each run that secrets cover together.
            let mut gaps: Vec<Range<usize>> = Vec::new();
            for start in text.char_indices().map(|(at, _)| at) {
                let Some(end) = secrets.iter().filter(|s| text[start..].starts_with(*s)).map(|s| start + s.len()).max() else {
                    continue;
                };
                match gaps.last_mut() {
                    Some(last) if start < last.end => last.end = last.end.max(end),
                    _ => gaps.push(start..end),
                }
            }
            let mut expected = text.clone();
            gaps.iter().rev().for_each(|gap| expected.replace_range(gap.clone(), CUT));
            let clean = cutter.cut(&text);
            prop_assert_eq!(&clean, &expected);
            prop_assert!(secrets.iter().all(|secret| !clean.contains(secret)));
        }

        #[test]
        fn no_value_of_a_secret_parameter_is_left(
            pairs in prop::collection::vec(("token|Signature|api_key|PWD|page|a b", "\\PC{8,20}"), 0..5),
            user in "[a-z:@]{0,12}",
        ) {
            let mut url = Url::parse("http://h/a").unwrap();
            let _ = url.set_username(&user);
            let _ = url.set_password(Some(&format!("pass{user}")));
            url.query_pairs_mut().extend_pairs(&pairs);
            let clean = Url::parse(&redact(&url)).unwrap();
            prop_assert!(clean.username().is_empty() && clean.password().is_none());
            let left: Vec<_> = clean.query_pairs().into_owned().collect();
            let expected = pairs.iter().map(|(name, value)| match is_secret(name) {
                true => (name.clone(), "REDACTED".to_owned()),
                false => (name.clone(), value.clone()),
            });
            prop_assert_eq!(left, expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_short_credential_leaves_no_gap_that_tells_it() {
        let url = Url::parse("http://h/").unwrap();
        let cut = |token: &str, text: &str| Secrets::of(&[Token::new(token)], &url, []).cut(text);
        assert_eq!(cut("admin", "Use the admin key or a dashboard token."), "[redacted]");
        assert_eq!(cut("admin", "Bucket not found"), "Bucket not found");
        assert_eq!(cut("", "Bucket not found"), "Bucket not found");
        assert_eq!(cut("admin-key", "Bearer admin-key is not known"), "Bearer [redacted] is not known");
    }
}

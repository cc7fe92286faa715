//! What a request carries that must not be repeated, and how URLs and texts lose it.

use std::borrow::Cow;
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
            let value = String::from_utf8_lossy(value.as_bytes());
            add(&value);
            // A server repeats the credential without its scheme, or a cookie without its name.
            for part in value.split(|c: char| c.is_whitespace() || matches!(c, ';' | ',')) {
                add(part);
                add(part.split_once('=').map_or("", |(_, value)| value.trim_matches('"')));
            }
        }
        Self { each: secrets, short }
    }

    /// And what a request's body holds, such as a password.
    pub(crate) fn with_body(mut self, secrets: &[Token]) -> Self {
        for secret in secrets.iter().map(Token::expose).filter(|secret| !secret.is_empty()) {
            let secrets = if secret.len() < SHORTEST { &mut self.short } else { &mut self.each };
            secrets.push(secret.to_owned());
        }
        self
    }

    /// A text without them, as they are or escaped. Where they overlap or touch, nothing of either is left.
    pub(crate) fn cut(&self, text: &str) -> String {
        // A secret may look like an escape itself.
        let forms: Vec<_> = self.each.iter().flat_map(|secret| layers(secret)).map(|layer| layer.text).collect();
        let forms = || forms.iter().filter(|form| form.len() >= SHORTEST);
        let mut found = Vec::new();
        for layer in layers(text) {
            if self.short.iter().any(|secret| layer.text.contains(secret)) {
                return CUT.to_owned();
            }
            let here = forms().flat_map(|secret| occurrences(&layer.text, secret));
            found.extend(here.map(|found| layer.stood(found)));
        }
        found.sort_unstable_by_key(|found| found.start);
        let (mut clean, mut kept) = (String::with_capacity(text.len()), None);
        for Range { start, end } in found {
            if kept.is_none_or(|kept| start > kept) {
                clean.push_str(&text[kept.unwrap_or(0)..start]);
                clean.push_str(CUT);
            }
            kept = kept.max(Some(end));
        }
        clean.push_str(&text[kept.unwrap_or(0)..]);
        clean
    }
}

/// A text without the escapes of JSON, HTML and URLs, and where each of its bytes stood with them.
struct Unescaped<'t> {
    text: Cow<'t, str>,
    /// For each byte, and the end. Empty where nothing has been taken out yet.
    stood: Vec<usize>,
    depth: u8,
}

/// A text in JSON in a page of HTML has been escaped twice.
const DEEPEST: u8 = 3;

/// A text as it is, and without one layer of escapes after another.
fn layers(text: &str) -> impl Iterator<Item = Unescaped<'_>> {
    let whole = Unescaped { text: text.into(), stood: Vec::new(), depth: 0 };
    std::iter::successors(Some(whole), Unescaped::again)
}

impl Unescaped<'_> {
    fn stood(&self, Range { start, end }: Range<usize>) -> Range<usize> {
        let stood = |at: usize| self.stood.get(at).copied().unwrap_or(at);
        stood(start)..stood(end)
    }

    /// Without one more layer of escapes, if there is one.
    fn again(&self) -> Option<Self> {
        if self.depth == DEEPEST || !self.text.contains(['\\', '&', '%']) {
            return None;
        }
        let (mut text, mut stood) = (String::with_capacity(self.text.len()), Vec::with_capacity(self.text.len() + 1));
        let mut at = 0;
        while let Some(first) = self.text[at..].chars().next() {
            let (means, length) = escape(&self.text[at..]).unwrap_or((first, first.len_utf8()));
            text.push(means);
            stood.resize(text.len(), self.stood(at..at).start);
            at += length;
        }
        stood.push(self.stood(at..at).start);
        (text != self.text).then_some(Self { text: text.into(), stood, depth: self.depth + 1 })
    }
}

/// The character that an escape at the beginning of a text means, and how long the escape is.
fn escape(text: &str) -> Option<(char, usize)> {
    const NAMED: [(&str, char); 6] =
        [("&amp;", '&'), ("&quot;", '"'), ("&apos;", '\''), ("&lt;", '<'), ("&gt;", '>'), ("&nbsp;", ' ')];
    let hex = |from: usize, count: usize| {
        let digits = text.get(from..from + count).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, 16).ok()
    };
    match text.as_bytes() {
        [b'\\', b'u', rest @ ..] => match (hex(2, 4)?, hex(8, 4)) {
            // Beyond U+FFFF JSON has two of them.
            (high @ 0xd800..0xdc00, Some(low @ 0xdc00..0xe000)) if rest[4..].starts_with(b"\\u") => {
                Some((char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))?, 12))
            }
            (one, _) => Some((char::from_u32(one)?, 6)),
        },
        [b'\\', escaped @ (b'"' | b'\\' | b'/'), ..] => Some((char::from(*escaped), 2)),
        [b'\\', b'n', ..] => Some(('\n', 2)),
        [b'\\', b'r', ..] => Some(('\r', 2)),
        [b'\\', b't', ..] => Some(('\t', 2)),
        [b'\\', b'b', ..] => Some(('\u{8}', 2)),
        [b'\\', b'f', ..] => Some(('\u{c}', 2)),
        [b'%', bytes @ ..] => {
            let mut utf8 = [0; 4];
            (0..4).find_map(|n| {
                utf8[n] =
                    hex(3 * n + 1, 2).filter(|_| n == 0 || bytes.get(3 * n - 1) == Some(&b'%'))?.try_into().ok()?;
                Some((std::str::from_utf8(&utf8[..=n]).ok()?.chars().next()?, 3 * (n + 1)))
            })
        }
        [b'&', b'#', rest @ ..] => {
            let end = rest.iter().take(8).position(|b| *b == b';')? + 2;
            let number = match text.get(2..end)?.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => text.get(2..end)?.parse().ok()?,
            };
            Some((char::from_u32(number)?, end + 1))
        }
        [b'&', ..] => NAMED.iter().find(|(name, _)| text.starts_with(name)).map(|(name, means)| (*means, name.len())),
        _ => None,
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
    fn the_parts_of_a_header_are_secrets_too() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer cf4_1234"),
            ("cookie", "a=1; session=01234567; theme=dark"),
            ("x-signed", "Digest user=\"somebody\",response=\"fedcba98\""),
        ] {
            let mut value = HeaderValue::from_static(value);
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let secrets = Secrets::of(&[], &Url::parse("http://h/").unwrap(), [&headers]);
        let said = "no cf4_1234, session 01234567 of somebody is dark, not fedcba98 by Bearer or Digest";
        let cut = "no [redacted], session [redacted] of [redacted] is dark, not [redacted] by Bearer or Digest";
        assert_eq!(secrets.cut(said), cut);
    }

    #[test]
    fn what_is_escaped_is_cut() {
        let secrets = Secrets::of(&[Token::new("ab+/\"&cd%41")], &Url::parse("http://h/").unwrap(), []);
        for (said, cut) in [
            (r#"{"m":"no ab+/\"&cd%41!"}"#, r#"{"m":"no [redacted]!"}"#),
            (r#"{"m":"no ab\u002B\/\u0022\u0026cd\u002541!"}"#, r#"{"m":"no [redacted]!"}"#),
            ("<p>ab&#43;&#x2F;&quot;&amp;cd&#37;41</p>", "<p>[redacted]</p>"),
            (r"<p>ab\u002b/\u0022\u0026amp;cd%252541</p>", "<p>[redacted]</p>"),
            ("/login?next=ab%2B%2F%22%26cd%2541&x=1", "/login?next=[redacted]&x=1"),
            (
                r#"{"m":"\u00fc 100 % &amp; \ud83d &#xffffff; &# \u12"}"#,
                r#"{"m":"\u00fc 100 % &amp; \ud83d &#xffffff; &# \u12"}"#,
            ),
        ] {
            assert_eq!(secrets.cut(said), cut);
        }
        let other = Secrets::default().with_body(&[Token::new("pässw😀rd\u{c}\u{8}")]);
        for (said, cut) in [
            (r#"{"p":"p\u00e4ssw\ud83d\ude00rd\f\b"}"#, r#"{"p":"[redacted]"}"#),
            ("?p=p%C3%A4ssw%F0%9F%98%80rd%0C%08&q=%C3x%80", "?p=[redacted]&q=%C3x%80"),
            (r"\ud83dx\ude00 %F0%9F%98 %C3%2", r"\ud83dx\ude00 %F0%9F%98 %C3%2"),
        ] {
            assert_eq!(other.cut(said), cut);
        }
        let short = Secrets::of(&[Token::new("a&b")], &Url::parse("http://h/").unwrap(), []);
        assert_eq!((short.cut("no a&amp;b").as_str(), short.cut("no a&amp;c").as_str()), (CUT, "no a&amp;c"));
    }

    #[test]
    fn what_a_body_held_is_cut_in_its_forms() {
        let url = Url::parse("http://h/").unwrap();
        let secrets = |secret: &str| Secrets::of(&[], &url, []).with_body(&[Token::new(secret)]);
        let said = r#"you said {"password":"pass\"word"}, that is pass"word"#;
        assert_eq!(secrets("pass\"word").cut(said), r#"you said {"password":"[redacted]"}, that is [redacted]"#);
        assert_eq!(secrets("pass\tword").cut(r#"{"password":"pass\tword"}"#), r#"{"password":"[redacted]"}"#);
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
        assert_eq!(secrets.cut("a cfu_1234cfu_1234"), "a [redacted]");
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

            // What each character means and where it stands, escaped or not. Marks what belongs to a secret.
            let mut meant: Vec<(char, usize)> = text.char_indices().map(|(at, c)| (c, at)).collect();
            meant.retain(|(c, _)| *c != '\\');
            let mut marked = vec![false; meant.len()];
            for secret in &secrets {
                let secret: Vec<_> = secret.chars().filter(|c| *c != '\\').collect();
                for start in 0..meant.len() {
                    if meant[start..].iter().map(|(c, _)| *c).take(secret.len()).eq(secret.iter().copied()) {
                        marked[start..start + secret.len()].fill(true);
                    }
                }
            }
            let mut expected = String::new();
            for (n, (c, at)) in meant.iter().enumerate() {
                let escaped = text[..*at].ends_with('\\');
                match (marked[n], n > 0 && marked[n - 1]) {
                    (true, true) => {}
                    (true, false) => expected.push_str(CUT),
                    (false, _) => {
                        expected.push_str(if escaped { "\\" } else { "" });
                        expected.push(*c);
                    }
                }
            }
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

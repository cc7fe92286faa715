//! SQLite's `LIKE`: `%` and `_` are wildcards, ASCII letters match in either case.

/// Whether all of `text` matches `pattern`.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where the last `%` stood, and how far into the text it reaches so far.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == '%' {
            retry = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '_' || pattern[p].eq_ignore_ascii_case(&text[t])) {
            p += 1;
            t += 1;
        } else if let Some((percent, reach)) = retry {
            retry = Some((percent, reach + 1));
            p = percent + 1;
            t = reach + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&rest| rest == '%')
}

/// The text behind the first `units` UTF-16 units, as .NET cuts it; all of it if it is shorter.
pub(super) fn behind(text: &str, units: usize) -> &str {
    let mut left = units;
    for (at, character) in text.char_indices() {
        if left == 0 {
            return &text[at..];
        }
        left = left.saturating_sub(character.len_utf16());
    }
    ""
}

/// The text behind the first `count` characters, as SQLite's `SUBSTR` cuts it; nothing if it is shorter.
pub(super) fn behind_characters(text: &str, count: usize) -> &str {
    text.char_indices().nth(count).map_or("", |(at, _)| &text[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_and_case() {
        for (pattern, text, matched) in [
            ("docs/%", "DOCS/a", true),
            ("docs/%", "docs/", true),
            ("docs/%", "docs", false),
            ("a_b/%", "axb/x", true),
            ("a%b/%", "a---b/x", true),
            ("[_]k/%", "[x]k/y", true),
            ("%/%", "a/b", true),
            ("ü%", "Üx", false),
            ("%a%a", "banana", true),
            ("%a%n", "banana", false),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, text), matched, "{pattern} {text}");
        }
    }

    #[test]
    fn cutting_counts_utf16_units_or_characters() {
        assert_eq!(behind_characters("😀/sub/x", 3), "ub/x");
        assert_eq!(behind_characters("a", 1), "");
        assert_eq!(behind("docs/a", 5), "a");
        assert_eq!(behind("😀/a", 3), "a");
        assert_eq!(behind("a", 3), "");
    }
}

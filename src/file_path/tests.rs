use percent_encoding::percent_decode_str;
use proptest::prelude::*;

use super::*;

fn path(text: &str) -> FilePath {
    text.parse().unwrap()
}

fn encoded(path: &FilePath) -> String {
    let mut url = String::new();
    push_path(&mut url, path.as_str()).unwrap();
    url
}

fn refusal(text: &str) -> String {
    FilePath::try_from(text).unwrap_err().to_string()
}

#[test]
fn each_refusal_names_its_problem() {
    for (text, problem) in [
        ("", "empty"),
        ("/a", "starts with a slash"),
        ("/", "starts with a slash"),
        ("a/", "ends with a slash"),
        ("a//b", "double slash"),
        ("a/ /b", "blank segment"),
        (" ", "blank segment"),
        ("a/\u{3000}\t", "blank segment"),
        (".", "segment \".\""),
        ("a/./b", "segment \".\""),
        ("..", "segment \"..\""),
        ("../x", "segment \"..\""),
        ("a/..", "segment \"..\""),
        ("a\\b", "backslash"),
        ("a\0b", "NUL"),
    ] {
        let message = refusal(text);
        assert!(message.contains(problem), "{text:?}: {message}");
        assert!(message.contains("path"), "names the argument: {message}");
        assert!(path("docs").join(text).is_err(), "{text:?}");
    }
}

#[test]
fn what_the_server_keeps_is_kept() {
    for text in [
        "a",
        "...",
        "a/...",
        "a b",
        " a",
        "a ",
        "100%.txt",
        "a+b#c?.txt",
        "na\u{ef}ve \u{65e5}\u{672c}.txt",
        "x/content",
        "verify",
        "a%2Fb",
        "a\nb",
    ] {
        assert_eq!(path(text).as_str(), text);
        assert_eq!(path(text).to_string(), text);
    }
}

#[test]
fn parts() {
    let deep = path("a/b/c.txt");
    assert_eq!(deep.name(), "c.txt");
    assert_eq!(deep.parent(), Some(path("a/b")));
    assert_eq!(deep.segments().collect::<Vec<_>>(), ["a", "b", "c.txt"]);
    assert_eq!(deep.segments().next_back(), Some("c.txt"));
    let top = path("c.txt");
    assert_eq!(top.name(), "c.txt");
    assert_eq!(top.parent(), None);
    assert_eq!(path("a/b").join("c.txt").unwrap(), deep);
    assert_eq!(path("a").join(path("b/c.txt")).unwrap(), deep);
    assert_eq!(String::from(deep.clone()), "a/b/c.txt");
    assert!(std::collections::BTreeSet::from([deep]).contains("a/b/c.txt"));
}

#[test]
fn encoded_as_the_server_reads_it() {
    assert_eq!(encoded(&path("docs/a.txt")), "docs/a.txt");
    assert_eq!(encoded(&path("a b+c#d?.txt")), "a%20b%2Bc%23d%3F.txt");
    assert_eq!(encoded(&path("100%.txt")), "100%25.txt");
    assert_eq!(encoded(&path("a%2Fb")), "a%252Fb");
    assert_eq!(encoded(&path("\u{fc}.txt")), "%C3%BC.txt");
    assert_eq!(encoded(&path("a-b_c.d~e")), "a-b_c.d~e");
    assert_eq!(encode_segment("tenant/1"), "tenant%2F1");
    assert_eq!(encode_filename_star("q\"uo\r\nte's.txt"), "q%22uo%0D%0Ate%27s.txt");
}

#[test]
fn operations_in_disguise() {
    for text in ["x/content", "x/verify", "a/b/CONTENT", "x/Verify"] {
        assert!(path(text).shadows_operation(), "{text}");
    }
    for text in ["content", "verify", "content/x", "x/content.txt", "x/contents", "x/ls"] {
        assert!(!path(text).shadows_operation(), "{text}");
    }
}

#[test]
fn only_printable_ascii_is_safe_for_the_stream_route() {
    assert!(path("a b/~!.txt").is_ascii_printable());
    for text in ["\u{fc}", "a\tb", "a\nb", "a\u{7f}b", "\u{65e5}/a"] {
        assert!(!path(text).is_ascii_printable(), "{text:?}");
    }
}

#[test]
fn local_names() {
    assert_eq!(FilePath::from_local_name("/tmp/photo.jpg").unwrap(), path("photo.jpg"));
    assert_eq!(FilePath::from_local_name("photo.jpg").unwrap(), path("photo.jpg"));
    assert_eq!(FilePath::from_local_name("dir/").unwrap(), path("dir"));
    for none in ["", "/", "..", "a/.."] {
        assert!(FilePath::from_local_name(none).unwrap_err().to_string().contains("no file name"), "{none:?}");
    }
}

#[cfg(unix)]
#[test]
fn local_names_that_cannot_be_paths() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let latin1 = Path::new(OsStr::from_bytes(b"/tmp/caf\xe9.txt"));
    assert!(FilePath::from_local_name(latin1).unwrap_err().to_string().contains("not UTF-8"));
    assert!(FilePath::from_local_name("/tmp/a\\b").unwrap_err().to_string().contains("backslash"));
}

#[test]
fn ids() {
    for good in ["I3kuFm88eW", "cf4_a22fc4b8", "tenant/1", "...", "\u{fc}"] {
        check_id("id", good).unwrap();
    }
    for bad in ["", " ", "/", "///", ".", "..", "a\0", "a\nb", "\u{7f}", "\u{85}"] {
        let error = check_id("bucket", bad).unwrap_err();
        assert!(error.to_string().contains("bucket"), "{bad:?}: {error}");
    }
}

#[test]
fn serde_keeps_the_rules() {
    let read: FilePath = serde_json::from_str("\"a/b\"").unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), "\"a/b\"");
    assert!(serde_json::from_str::<FilePath>("\"a//b\"").is_err());
}

/// What the server does to the path of an upload (wire description, section 8): `None` = `Invalid file path`.
fn server_normalises(path: &str) -> Option<String> {
    let slashes = path.replace('\\', "/");
    let segments: Vec<_> = slashes.trim_matches('/').split('/').collect();
    let mut kept: Vec<&str> = Vec::new();
    for (i, segment) in segments.iter().enumerate() {
        if segment.is_empty() && i > 0 {
            continue; // a collapsed double slash
        }
        if matches!(*segment, "." | "..") || segment.trim().is_empty() {
            return None;
        }
        kept.push(segment);
    }
    Some(kept.join("/"))
}

proptest! {
    #[test]
    fn exactly_what_the_server_leaves_alone_is_accepted(text in "[a.\\\\/ \u{fc}\u{a0}\0]{0,12}|\\PC{0,20}") {
        let unchanged = server_normalises(&text).as_deref() == Some(text.as_str()) && !text.contains('\0');
        prop_assert_eq!(FilePath::try_from(text.as_str()).is_ok(), unchanged, "{:?}", text);
    }

    #[test]
    fn encoding_round_trips(segments in prop::collection::vec("[^/\\\\\0]{1,12}", 1..5)) {
        let text = segments.join("/");
        let Ok(path) = FilePath::try_from(text.as_str()) else { return Ok(()) };
        let encoded = encoded(&path);
        prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%/".contains(&b)), "{}", encoded);
        prop_assert!(!encoded.contains("%2F"), "{}", encoded);
        prop_assert_eq!(encoded.split('/').count(), segments.len());
        for (encoded, segment) in encoded.split('/').zip(path.segments()) {
            prop_assert_eq!(percent_decode_str(encoded).decode_utf8().unwrap(), segment);
            prop_assert_eq!(encoded, encode_segment(segment));
        }
    }

    #[test]
    fn one_segment_stays_one(id in "\\PC{1,20}|[/%.]{1,5}") {
        let encoded = encode_segment(&id);
        prop_assert!(!encoded.contains('/') && encoded.is_ascii());
        prop_assert_eq!(percent_decode_str(&encoded).decode_utf8().unwrap(), id.as_str());
        let star = encode_filename_star(&id);
        prop_assert!(!star.contains(['"', '\'', '\r', '\n', ';', '\\', ' ']));
        prop_assert_eq!(percent_decode_str(&star).decode_utf8().unwrap(), id.as_str());
    }

    #[test]
    fn joining_the_parent_and_the_name_gives_the_path(segments in prop::collection::vec("[a-z\u{fc} ]{1,5}", 1..5)) {
        let Ok(path) = FilePath::try_from(segments.join("/")) else { return Ok(()) };
        let again = path.parent().map_or_else(|| path.name().parse(), |parent| parent.join(path.name()));
        prop_assert_eq!(again.unwrap(), path);
    }
}

//! Code that stands in a document and is run by a test: between `// snippet: name` and `// end`, word for word.

/// Each Rust block of a document is the snippet of the source at its place.
#[track_caller]
pub(crate) fn assert_all_run(document: &str, source: &str) {
    let shown: Vec<&str> =
        document.split("```rust\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)).collect();
    let run = all(source);
    assert!(!shown.is_empty());
    assert_eq!(shown.len(), run.len(), "blocks of the document, and snippets of its test");
    for (shown, (name, run)) in shown.iter().zip(&run) {
        assert_eq!(shown, run, "the snippet {name} is not what the document shows in its place");
    }
    assert_eq!(document.matches("```").count() % 2, 0, "a block that does not end");
}

/// The names and texts of the snippets of a source, without the indentation that they have there.
fn all(source: &str) -> Vec<(&str, String)> {
    let mut snippets = Vec::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let Some((indent, name)) = line.split_once("// snippet: ").filter(|(indent, _)| indent.trim().is_empty())
        else {
            continue;
        };
        let inside = lines.by_ref().take_while(|line| line.trim() != "// end");
        let text = inside.map(|line| format!("{}\n", line.strip_prefix(indent).unwrap_or(line))).collect();
        snippets.push((name, text));
    }
    snippets
}

//! Code that stands in a document and is run by a test: between `// snippet: name` and `// end`, word for word.

/// Each Rust block of the documents is a snippet of the source, and each snippet is shown once.
#[track_caller]
pub(crate) fn assert_all_run(documents: &[&str], source: &str) {
    let mut run = all(source);
    for document in documents {
        let shown: Vec<&str> =
            document.split("```rust\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)).collect();
        assert!(!shown.is_empty());
        for shown in shown {
            let Some(at) = run.iter().position(|(_, run)| run == shown) else {
                let names: Vec<_> = run.iter().map(|(name, _)| name).collect();
                panic!("none of the snippets {names:?} is word for word this block of a document:\n{shown}");
            };
            run.remove(at);
        }
        assert_eq!(document.matches("```").count() % 2, 0, "a block that does not end");
    }
    assert!(run.is_empty(), "snippets that no document shows: {run:?}");
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

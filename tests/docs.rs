//! What the documents name is there.

use std::path::Path;

/// The rows of the tables below a heading, as cells.
fn rows<'a>(document: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let (_, section) = document.split_once(&format!("## {heading}\n")).expect("the heading is there");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    rows.skip(1).map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A test, named as `file::function`.
#[track_caller]
fn assert_is_a_test(name: &str) {
    let (file, function) = name.split_once("::").unwrap_or_else(|| panic!("{name} is no file::function"));
    let source = std::fs::read_to_string(root().join(file)).unwrap_or_else(|_| panic!("{file} is not there"));
    let (before, _) =
        source.split_once(&format!("fn {function}(")).unwrap_or_else(|| panic!("{file} has no {function}"));
    let attributes = before
        .trim_end()
        .trim_end_matches("async")
        .trim_end()
        .lines()
        .rev()
        .take_while(|line| line.trim_start().starts_with(['#', '/']));
    assert!(
        attributes.map(str::trim).any(|line| line == "#[test]" || line.starts_with("#[tokio::test")),
        "{name} is no test"
    );
}

#[test]
fn every_surprise_has_a_row_and_every_row_a_test() {
    let notes = include_str!("../docs/server-notes.md");
    let surprises = rows(notes, "Surprises");
    let numbers: Vec<_> = surprises.iter().map(|row| row[0].parse::<usize>().unwrap()).collect();
    assert_eq!(numbers, (1..=39).collect::<Vec<_>>());
    let races = rows(notes, "Several at once, and a server that stops");
    assert_eq!(races.len(), 9);
    for row in surprises.iter().chain(&races) {
        assert_eq!(row.len(), 4, "{row:?}");
        let tests: Vec<_> = row[3].split(", ").map(|test| test.trim_matches('`')).collect();
        assert!(!tests.is_empty());
        tests.into_iter().for_each(assert_is_a_test);
    }
    for row in &surprises {
        let does = ["**Worked around**", "**Surfaced**", "**Documented**"];
        assert!(does.iter().any(|word| row[2].starts_with(word)), "{row:?}");
    }
}

#[test]
fn files_that_the_documents_name_are_there() {
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|kind| kind != "md") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        for target in links.filter(|target| !target.starts_with("http") && !target.starts_with('#')) {
            let target = target.split('#').next().unwrap_or_default();
            assert!(root().join("docs").join(target).exists(), "{} links to {target}", path.display());
        }
        // `src/…` and the like in code quotes, unless they have a placeholder.
        for name in text.split('`').skip(1).step_by(2) {
            let of_ours = ["src/", "tests/", "testserver/", "examples/", "docs/", "benches/", ".ci/"];
            // Of our own: those of other projects are named in the decisions.
            let plain = !path.ends_with("decisions.md")
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            if plain && of_ours.iter().any(|start| name.starts_with(start)) {
                assert!(root().join(name).exists(), "{} names {name}", path.display());
            }
        }
    }
}

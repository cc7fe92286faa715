//! What is printed and written.

use std::io::{self, Write as _};
use std::process::ExitCode;

use serde_json::json;

use crate::arguments::Arguments;
use crate::operation::{Operation, Outcome, Trouble};

/// What came of an operation.
pub(crate) struct Result {
    pub(crate) operation: &'static Operation,
    pub(crate) outcome: Outcome,
    pub(crate) seconds: f64,
}

impl Result {
    fn word(&self) -> &'static str {
        match self.outcome {
            Ok(_) => "pass",
            Err(Trouble::Failed(_)) => "FAIL",
            Err(Trouble::Skipped(_)) => "skip",
        }
    }

    fn text(&self) -> &str {
        match &self.outcome {
            Ok(text) | Err(Trouble::Failed(text) | Trouble::Skipped(text)) => text,
        }
    }

    fn line(&self) -> String {
        let (operation, word, text) = (self.operation, self.word(), self.text().replace('\n', " "));
        match word {
            "pass" => format!("{} pass: {text}", operation.id),
            _ => format!("{} {word}: {}: {text}", operation.id, operation.title),
        }
    }
}

/// How many passed, failed and were skipped.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Tally {
    fn of<'a>(results: impl Iterator<Item = &'a Result>) -> Self {
        let mut tally = Self::default();
        for result in results {
            *match result.outcome {
                Ok(_) => &mut tally.passed,
                Err(Trouble::Failed(_)) => &mut tally.failed,
                Err(Trouble::Skipped(_)) => &mut tally.skipped,
            } += 1;
        }
        tally
    }
}

/// The outcome of a run.
pub(crate) struct Report {
    results: Vec<Result>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { results: Vec::new() }
    }

    /// Prints a line, at once.
    pub(crate) fn add(&mut self, result: Result) {
        println!("{}", result.line());
        let _ = io::stdout().flush();
        self.results.push(result);
    }

    /// Prints the sums and writes the file. The program's exit code is a failure where an operation failed.
    pub(crate) fn close(self, arguments: &Arguments) -> io::Result<ExitCode> {
        let is_beyond = |result: &&Result| result.operation.group == crate::beyond::GROUP;
        let listed = Tally::of(self.results.iter().filter(|result| !is_beyond(result)));
        let beyond = Tally::of(self.results.iter().filter(is_beyond));
        self.print_groups();
        let print = |what, sums: &Tally| {
            println!("{what}: {} passed, {} failed, {} skipped", sums.passed, sums.failed, sums.skipped);
        };
        if beyond.passed + beyond.failed + beyond.skipped > 0 {
            print("beyond", &beyond);
        }
        print("operations", &listed);
        if let Some(path) = &arguments.json {
            let sums =
                |tally: &Tally| json!({"passed": tally.passed, "failed": tally.failed, "skipped": tally.skipped});
            let results: Vec<_> = self.in_order().into_iter().map(entry).collect();
            let whole = json!({ "operations": sums(&listed), "beyond": sums(&beyond), "results": results });
            std::fs::write(path, format!("{whole:#}\n"))
                .map_err(|failed| io::Error::other(format!("{}: {failed}", path.display())))?;
        }
        Ok(if listed.failed + beyond.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn in_order(&self) -> Vec<&Result> {
        let place = |result: &&Result| crate::operations().position(|operation| operation.id == result.operation.id);
        let mut results: Vec<_> = self.results.iter().collect();
        results.sort_by_key(place);
        results
    }

    /// A line for each group of which all were run.
    fn print_groups(&self) {
        for group in crate::GROUPS {
            let ids = group.iter().map(|operation| operation.id);
            let of_group: Vec<_> =
                ids.filter_map(|id| self.results.iter().find(|result| result.operation.id == id)).collect();
            if let Some(first) = group.first().filter(|_| of_group.len() == group.len()) {
                println!("  {}: {} of {}", first.group, Tally::of(of_group.into_iter()).passed, group.len());
            }
        }
    }
}

fn entry(result: &Result) -> serde_json::Value {
    let operation = result.operation;
    json!({
        "id": operation.id,
        "group": operation.group,
        "title": operation.title,
        "result": result.word().to_lowercase(),
        "seen": result.text(),
        "seconds": (result.seconds * 1000.0).round() / 1000.0,
    })
}

/// Lists the operations.
pub(crate) fn list(arguments: &Arguments) {
    for operation in crate::operations().filter(|operation| arguments.selects(operation)) {
        match arguments.terse {
            true => println!("{}: test", operation.id),
            false => println!("{}\t{}\t{}", operation.id, operation.group, operation.title),
        }
    }
}

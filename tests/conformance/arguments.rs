//! The command line. It also takes, and mostly ignores, what `cargo test` hands on to its own harness.

use std::path::PathBuf;

use lexopt::Arg::{Long, Short, Value};
use lexopt::ValueExt as _;

use crate::operation::Operation;

pub(crate) const HELP: &str = "\
Does what a client of CarbonFiles should be able to do, and says what came of it.

Usage: conformance [OPTIONS]

      --only LIST    only these operations or groups, such as C,E7,errors
      --list         lists the operations
      --json FILE    also writes the outcome to a file, as JSON
      --dull         runs against a server that answers {} to everything; fails unless nearly all fail
  -h, --help         this text

The server:
  CARBONFILES_URL            its base URL (http://…)
  CARBONFILES_ADMIN_KEY      its admin key
  CARBONFILES_LIMITED_URL    a second one with the same key and MaxUploadSize 1048576; without it, some are skipped
Without CARBONFILES_URL, test servers are started and used.

It makes buckets and keys whose names begin with \"cf-conformance-\", and deletes them.
";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Run,
    Dull,
    List,
    Help,
    /// Be the test servers of another process.
    Serve,
}

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) mode: Mode,
    only: Vec<String>,
    /// The filters of `cargo test word`: they name tests of other binaries, or operations by their ids.
    filters: Vec<String>,
    pub(crate) json: Option<PathBuf>,
    /// `--list --format terse`: as test harnesses list.
    pub(crate) terse: bool,
}

impl Arguments {
    pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Self, lexopt::Error> {
        let mut parsed = Self { mode: Mode::Run, only: Vec::new(), filters: Vec::new(), json: None, terse: false };
        while let Some(argument) = parser.next()? {
            match argument {
                Short('h') | Long("help") => parsed.mode = Mode::Help,
                Long("list") => parsed.mode = Mode::List,
                Long("dull") => parsed.mode = Mode::Dull,
                Long("serve") => parsed.mode = Mode::Serve,
                Long("json") => parsed.json = Some(parser.value()?.into()),
                Long("only") => {
                    let list = parser.value()?.string()?;
                    parsed.only.extend(list.split(',').map(|word| word.trim().to_owned()));
                }
                Value(filter) => parsed.filters.push(filter.string()?),
                Long("format") => parsed.terse = parser.value()?.string()? == "terse",
                // Those of libtest that mean nothing here.
                Short('q') | Long("quiet" | "exact" | "nocapture" | "no-capture" | "show-output") => {}
                Long("ignored" | "include-ignored") => {}
                Short('Z') | Long("test-threads" | "color" | "logfile" | "skip") => drop(parser.value()?),
                _ => return Err(argument.unexpected()),
            }
        }
        for word in &parsed.only {
            if !crate::operations().any(|operation| means(word, operation)) {
                return Err(format!("--only: no operation and no group is called {word:?}; --list shows them").into());
            }
        }
        Ok(parsed)
    }

    /// Whether an operation is to run.
    pub(crate) fn selects(&self, operation: &Operation) -> bool {
        (self.only.is_empty() || self.only.iter().any(|word| means(word, operation)))
            && (self.filters.is_empty() || self.filters.iter().any(|filter| operation.id == filter))
    }
}

/// An id, the letter of a group, or its name.
fn means(word: &str, operation: &Operation) -> bool {
    operation.id.eq_ignore_ascii_case(word)
        || operation.letter().eq_ignore_ascii_case(word)
        || operation.group.eq_ignore_ascii_case(word)
}

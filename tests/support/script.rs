//! Programs of other languages as tests: they act as clients, and ask the test, which owns the servers, for the rest.
//!
//! A line `@ask WORDS` on a program's standard output is answered with a line on its standard input; every other line is
//! passed on to be read. What a program needs is installed by a script beside it. Where that has not happened the test
//! says that it is skipped, except in CI (`CI` is set), where that is a failure.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

/// A guard against tests that hang, never a measure.
const GUARD: std::time::Duration = std::time::Duration::from_secs(240);

/// Something a script needs: whether it is there, and what it is called.
pub(crate) type Need = (bool, &'static str);

/// Says something although the test harness keeps what tests print.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A file of the project.
pub(crate) fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A folder under `target`, where install scripts put things.
pub(crate) fn installed(folder: &str) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| file("target"), PathBuf::from).join(folder)
}

pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Whether everything is there; says so if not.
pub(crate) fn is_ready(name: &str, needs: &[Need], installer: &str) -> bool {
    let Some((_, what)) = needs.iter().find(|(there, _)| !there) else {
        return true;
    };
    let missing = format!("{name}: {what} is not there; {installer} installs it");
    assert!(std::env::var_os("CI").is_none(), "{missing}");
    say(&format!("skipped {missing}"));
    false
}

/// Runs a program and answers what it asks; fails when it fails.
pub(crate) async fn run(name: &str, program: &mut Command, mut answer: impl AsyncFnMut(&str) -> String) {
    let mut child = program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|failed| panic!("{name} does not start: {failed}"));
    let mut input = child.stdin.take().expect("it is piped");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let conversation = async {
        while let Some(line) = lines.next_line().await.expect("it writes text") {
            match line.strip_prefix("@ask ") {
                Some(words) => {
                    let answer = answer(words).await;
                    input.write_all(format!("{answer}\n").as_bytes()).await.expect("it listens");
                }
                None => say(&format!("{name}: {line}")),
            }
        }
        child.wait().await.expect("it ends")
    };
    let status = tokio::time::timeout(GUARD, conversation).await.expect("it ends long before the guard does");
    assert!(status.success(), "{name} has failed; what it said is above");
}

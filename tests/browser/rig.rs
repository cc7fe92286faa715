//! Runs a script of this folder in a real browser and answers what it asks.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

/// A guard against tests that hang, never a measure.
const GUARD: std::time::Duration = std::time::Duration::from_secs(240);

/// Says something although the test harness keeps what tests print.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Where `install.sh` has put playwright-core.
fn modules() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("browser")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What is missing for a browser test, if anything is.
fn missing() -> Option<String> {
    let found = |program: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    };
    let browser = std::env::var("BROWSER").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    [
        (found("node"), "node"),
        (Path::new(&browser).is_file(), "Chromium (set BROWSER to its path)"),
        (modules().join("node_modules/playwright-core").is_dir(), "playwright-core"),
    ]
    .into_iter()
    .find_map(|(there, what)| (!there).then(|| format!("{what} is not there; tests/browser/install.sh installs it")))
}

/// Runs `script` with these variables and answers what it asks; fails when it fails.
///
/// Where the tools are missing it says so and does nothing, except in CI (`CI` is set), where that is a failure.
pub(crate) async fn run(script: &str, variables: &[(&str, &str)], mut answer: impl AsyncFnMut(&str) -> String) {
    if let Some(missing) = missing() {
        assert!(std::env::var_os("CI").is_none(), "{script}: {missing}");
        return say(&format!("skipped {script}: {missing}"));
    }
    let mut node = Command::new("node")
        .arg(root().join("tests/browser").join(script))
        .env("BROWSER_MODULES", modules())
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node starts");
    let mut input = node.stdin.take().expect("it is piped");
    let mut lines = BufReader::new(node.stdout.take().expect("it is piped")).lines();
    let conversation = async {
        while let Some(line) = lines.next_line().await.expect("node writes text") {
            match line.strip_prefix("@ask ") {
                Some(word) => {
                    let answer = answer(word).await;
                    input.write_all(format!("{answer}\n").as_bytes()).await.expect("node listens");
                }
                None => say(&format!("{script}: {line}")),
            }
        }
        node.wait().await.expect("node ends")
    };
    let status = tokio::time::timeout(GUARD, conversation).await.expect("it ends long before the guard does");
    assert!(status.success(), "{script} has failed; what it said is above");
}

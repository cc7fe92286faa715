//! Runs a script of this folder in a real browser and answers what it asks.

use std::path::Path;

use tokio::process::Command;

#[path = "../support/script.rs"]
mod script;

#[cfg_attr(not(feature = "events"), allow(unused_imports, reason = "not every page needs it"))]
pub(crate) use script::installed;

const INSTALLER: &str = "tests/browser/install.sh";

/// Runs `script` with these variables and answers what it asks; see `support/script.rs`.
pub(crate) async fn run(name: &str, variables: &[(&str, &str)], answer: impl AsyncFnMut(&str) -> String) {
    let modules = script::installed("browser");
    let browser = std::env::var("BROWSER").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    let needs = [
        (script::on_path("node"), "node"),
        (Path::new(&browser).is_file(), "Chromium (set BROWSER to its path)"),
        (modules.join("node_modules/playwright-core").is_dir(), "playwright-core"),
    ];
    if !script::is_ready(name, &needs, INSTALLER) {
        return;
    }
    let mut node = Command::new("node");
    node.arg(script::file("tests/browser").join(name)).env("BROWSER", browser).env("BROWSER_MODULES", modules);
    script::run(name, node.envs(variables.iter().copied()), answer).await;
}

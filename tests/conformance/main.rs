//! What a client of CarbonFiles should be able to do, done on any server: see docs/conformance.md.
//!
//! One binary that needs nothing but a server. It starts test servers itself where none is named.

mod arguments;
mod bench;
mod content;
mod dull;
mod memory;
mod operation;
mod proxy;
mod report;
mod runner;
#[allow(dead_code, reason = "some of it is for tests of the watch itself")]
#[path = "../support/secrets.rs"]
mod secrets;
mod servers;

mod beyond;
mod buckets;
mod change;
mod connection;
mod download;
mod errors;
mod events;
mod health;
mod keys;
mod listing;
mod metadata;
mod models;
mod retries;
mod short_urls;
mod stats;
mod timeouts;
mod tokens;
mod upload;

use std::process::ExitCode;

use arguments::{Arguments, Mode};
use operation::Operation;

/// The operations of the list, group by group.
const GROUPS: [&[Operation]; 17] = [
    health::OPERATIONS,
    buckets::OPERATIONS,
    listing::OPERATIONS,
    metadata::OPERATIONS,
    download::OPERATIONS,
    change::OPERATIONS,
    upload::OPERATIONS,
    keys::OPERATIONS,
    tokens::OPERATIONS,
    stats::OPERATIONS,
    short_urls::OPERATIONS,
    errors::OPERATIONS,
    retries::OPERATIONS,
    timeouts::OPERATIONS,
    connection::OPERATIONS,
    events::OPERATIONS,
    models::OPERATIONS,
];

/// Those beyond the list.
const BEYOND: [&[Operation]; 5] = [
    beyond::names::OPERATIONS,
    beyond::listing::OPERATIONS,
    beyond::races::OPERATIONS,
    beyond::credentials::OPERATIONS,
    beyond::integrity::OPERATIONS,
];

fn operations() -> impl Iterator<Item = &'static Operation> {
    GROUPS.into_iter().chain(BEYOND).flatten()
}

fn main() -> ExitCode {
    let arguments = match Arguments::parse(lexopt::Parser::from_env()) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("{wrong}\n\n{}", arguments::HELP);
            return ExitCode::from(2);
        }
    };
    match arguments.mode {
        Mode::Help => {
            print!("{}", arguments::HELP);
            return ExitCode::SUCCESS;
        }
        Mode::List => {
            report::list(&arguments);
            return ExitCode::SUCCESS;
        }
        Mode::Run | Mode::Dull | Mode::Serve => {}
    }
    if let Some(code) = far_from_utc() {
        return code;
    }
    // Whatever is done to the servers, no log line shows a credential: the first that does ends the program.
    if arguments.mode != Mode::Serve {
        secrets::watch();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(failed) => {
            eprintln!("the runtime does not start: {failed}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        let done = match arguments.mode {
            Mode::Serve => servers::serve().await.map(|()| ExitCode::SUCCESS),
            Mode::Dull => runner::run_dull(&arguments).await,
            _ => runner::run(&arguments).await,
        };
        done.unwrap_or_else(|failed| {
            eprintln!("{failed}");
            ExitCode::FAILURE
        })
    })
}

/// A time zone that no clock is in, so that a time without a zone that is taken for local is off by hours.
const ZONE: &str = "XST5";

/// Starts the program again in that zone. A variable of this process can't be changed once there may be threads.
fn far_from_utc() -> Option<ExitCode> {
    if std::env::var("TZ").is_ok_and(|zone| zone == ZONE) {
        return None;
    }
    let mut again = std::process::Command::new(std::env::current_exe().ok()?);
    again.args(std::env::args_os().skip(1)).env("TZ", ZONE);
    #[cfg(unix)]
    {
        // It comes back only where it fails.
        let failed = std::os::unix::process::CommandExt::exec(&mut again);
        eprintln!("not in another time zone: {failed}");
        None
    }
    #[cfg(not(unix))]
    {
        let code = again.status().ok()?.code().and_then(|code| u8::try_from(code).ok());
        Some(code.map_or(ExitCode::FAILURE, ExitCode::from))
    }
}

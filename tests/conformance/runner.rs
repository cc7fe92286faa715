//! Runs operations: one after another, the long ones beside them, each under a guard.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::time::timeout;

use crate::arguments::Arguments;
use crate::bench::{Bench, Servers, World};
use crate::dull::DullServer;
use crate::operation::{Operation, Trouble};
use crate::report::{Report, Result as Seen};
use crate::servers;

/// These take long without doing much, so they run beside the others.
const BESIDE: [&str; 3] = ["N4", "N5", "P9"];

/// These move 256 MiB, some of them up and down.
const LARGE: [&str; 6] = ["B20", "E4", "E5", "G6", "G7", "G8"];

/// What ends an operation that hangs. None comes near it.
const GUARD: Duration = Duration::from_secs(300);

/// What ends one of the large ones: 512 MiB at 1 Mbit/s.
const LARGE_GUARD: Duration = Duration::from_secs(512 * 8 * 1_048_576 / 1_000_000);

fn guard(operation: &Operation) -> Duration {
    if LARGE.contains(&operation.id) { LARGE_GUARD } else { GUARD }
}

/// A dull server is not worth waiting for.
const DULL_GUARD: Duration = Duration::from_secs(30);

/// Fewer than so many operations may pass against a dull server.
const DULL_PASSES: usize = 10;

pub(crate) async fn run(arguments: &Arguments) -> io::Result<std::process::ExitCode> {
    let mut report = Report::new();
    if crate::operations().any(|operation| arguments.selects(operation)) {
        // The process stays until all is over.
        let (servers, _process) = servers::find().await?;
        println!("CarbonFiles operations on {}", servers.url);
        run_on(servers, arguments, guard, &mut |seen| report.add(seen)).await?;
    }
    report.close(arguments)
}

/// Runs all against a server that answers `200 {}` to everything.
pub(crate) async fn run_dull(arguments: &Arguments) -> io::Result<std::process::ExitCode> {
    let dull = DullServer::start().await?;
    let servers =
        Servers { url: dull.url.clone(), admin_key: "admin-test-key".to_owned(), limited: Some(dull.url.clone()) };
    let (mut passed, mut all) = (Vec::new(), 0);
    run_on(servers, arguments, |_| DULL_GUARD, &mut |seen| {
        all += 1;
        if let Ok(text) = &seen.outcome {
            println!("{} passes against a server that answers {{}}: {text}", seen.operation.id);
            passed.push(seen.operation.id);
        }
    })
    .await?;
    let enough = passed.len() < DULL_PASSES;
    let verdict = if enough { "as it should be" } else { "which is too many" };
    println!("against a server that answers {{}} to everything, {} of {all} pass, {verdict}", passed.len());
    Ok(if enough { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE })
}

async fn run_on(
    servers: Servers,
    arguments: &Arguments,
    guard: fn(&Operation) -> Duration,
    note: &mut dyn FnMut(Seen),
) -> io::Result<()> {
    let world = World::new(servers).map_err(|trouble| io::Error::other(format!("{trouble:?}")))?;
    let selected = || crate::operations().filter(|operation| arguments.selects(operation));
    let is_long = |operation: &&Operation| BESIDE.contains(&operation.id);
    let mut long: FuturesUnordered<_> = selected()
        .filter(is_long)
        .map(|operation| tokio::spawn(perform(world.clone(), operation, guard(operation))))
        .collect();
    for operation in selected().filter(|operation| !is_long(operation)) {
        note(perform(world.clone(), operation, guard(operation)).await);
        while let Some(Some(Ok(seen))) = long.next().now_or_never() {
            note(seen);
        }
    }
    while let Some(done) = long.next().await {
        note(done.map_err(io::Error::other)?);
    }
    world.clean_up().await;
    Ok(())
}

async fn perform(world: Arc<World>, operation: &'static Operation, guard: Duration) -> Seen {
    let bench = Bench::new(&world, operation.id);
    let start = Instant::now();
    // In a task of its own: a panic is a failure like another.
    let mut task = tokio::spawn((operation.run)(bench.clone()));
    let outcome = match timeout(guard, &mut task).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(panicked)) => Err(Trouble::Failed(format!("it panicked: {panicked}"))),
        Err(_) => {
            task.abort();
            Err(Trouble::Failed(format!("it hung for {} s", guard.as_secs())))
        }
    };
    let seen = Seen { operation, outcome, seconds: start.elapsed().as_secs_f64() };
    let _ = timeout(guard, bench.clean_up()).await;
    seen
}

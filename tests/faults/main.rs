//! Every kind of transfer against every kind of fault, with contents, places and repetitions from seeds.
//!
//! ```console
//! cargo test --test faults                                     # 3,000 runs
//! cargo test --test faults -- --runs 50000
//! cargo test --test faults -- --runs 10000 --seed 40           # a slice: seeds from 40 on
//! cargo test --test faults -- --only download-to/wrong-hash --runs 100
//! cargo test --test faults -- --case download-to/wrong-hash/17
//! cargo test --test faults -- --table                          # what is tried, and why the rest is not
//! ```
//!
//! Each run makes sure that its fault took effect. What comes out is exactly right, or an error of a kind that fits, with
//! the target as it was, the server without a partial or a doubled file, and the same call successful once the fault has
//! passed. What can be tried again has to come out right where the fault passes before the tries are used up.

#[path = "../support/mod.rs"]
mod support;

mod archives;
mod changes;
mod downloads;
mod folders;
mod stage;
mod syncs;
mod trouble;
mod uploads;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use carbonfiles_testserver::TestServer;
use stage::{NO_EFFECT, PATIENCE, Stage, Verdict};
use tokio::task::JoinSet;
use trouble::Trouble;

/// What is done while the fault strikes.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Upload(uploads::Kind),
    Download(downloads::Kind),
    Change(changes::Kind),
    Folder(folders::Kind),
    Sync(syncs::Kind),
    Archive(archives::Kind),
}

impl Deed {
    fn all() -> Vec<(&'static str, Self)> {
        let uploads = uploads::KINDS.iter().map(|(name, kind)| (*name, Self::Upload(*kind)));
        let downloads = downloads::KINDS.iter().map(|(name, kind)| (*name, Self::Download(*kind)));
        let changes = changes::KINDS.iter().map(|(name, kind)| (*name, Self::Change(*kind)));
        let folders = folders::KINDS.iter().map(|(name, kind)| (*name, Self::Folder(*kind)));
        let syncs = syncs::KINDS.iter().map(|(name, kind)| (*name, Self::Sync(*kind)));
        let archives = archives::KINDS.iter().map(|(name, kind)| (*name, Self::Archive(*kind)));
        uploads.chain(downloads).chain(changes).chain(folders).chain(syncs).chain(archives).collect()
    }

    /// Why a fault is not tried with it: it could not strike, or nothing right could be asked for.
    fn spares(self, trouble: Trouble) -> Option<&'static str> {
        match self {
            Self::Upload(kind) => kind.spares(trouble),
            Self::Download(_) => trouble.spares_bare_requests(),
            Self::Change(kind) => kind.spares(trouble),
            Self::Folder(kind) => kind.spares(trouble),
            Self::Sync(kind) => kind.spares(trouble),
            Self::Archive(kind) => kind.spares(trouble),
        }
    }

    /// Whether it is tried again after a fault that passes.
    fn goes_on(self, trouble: Trouble) -> bool {
        match self {
            Self::Upload(kind) => kind.is_replayable(),
            // The first may have arrived.
            Self::Change(changes::Kind::Append) => false,
            Self::Archive(_) => !trouble.is_within_answer(),
            Self::Download(_) | Self::Change(_) | Self::Folder(_) | Self::Sync(_) => true,
        }
    }

    async fn run(self, stage: &mut Stage<'_>) -> Result<Verdict, String> {
        match self {
            Self::Upload(kind) => uploads::run(kind, stage).await,
            Self::Download(kind) => downloads::run(kind, stage).await,
            Self::Change(kind) => changes::run(kind, stage).await,
            Self::Folder(kind) => folders::run(kind, stage).await,
            Self::Sync(kind) => syncs::run(kind, stage).await,
            Self::Archive(kind) => archives::run(kind, stage).await,
        }
    }
}

struct Case {
    name: String,
    deed: Deed,
    trouble: Trouble,
    seed: u64,
}

/// Runs at once; each has a server of its own.
const WORKERS: usize = 24;
/// Against runs that hang, never a measure.
const GUARD: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let (runs, first, only, single) = arguments();
    let cases = Arc::new(cases(runs, first, only.as_deref(), single.as_deref()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    let (recovered, typed, wrong) = runtime.block_on(run_all(cases.clone()));
    println!("seeds {first} to {}", cases.last().map_or(first, |case| case.seed));
    println!("faults: {} runs, {recovered} recovered, {typed} typed, {wrong} wrong", cases.len());
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is not meant for it is meant for libtest, which this is not.
fn arguments() -> (u64, u64, Option<String>, Option<String>) {
    let (mut runs, mut first, mut only, mut single) = (3000, 0, None, None);
    if let Ok(number) = std::env::var("CARBONFILES_FAULT_RUNS") {
        runs = number.parse().expect("CARBONFILES_FAULT_RUNS is a number");
    }
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--runs" => runs = arguments.next().and_then(|n| n.parse().ok()).expect("--runs is followed by a number"),
            "--seed" => first = arguments.next().and_then(|n| n.parse().ok()).expect("--seed is followed by a number"),
            "--only" => only = arguments.next(),
            "--case" => single = arguments.next(),
            "--table" => {
                table();
                std::process::exit(0);
            }
            "--list" => std::process::exit(0),
            _ => {}
        }
    }
    (runs, first, only, single)
}

/// Every deed with every fault that it meets, seed after seed.
fn cases(runs: u64, first: u64, only: Option<&str>, single: Option<&str>) -> Vec<Case> {
    let deeds = Deed::all();
    let pairs: Vec<_> = deeds
        .iter()
        .flat_map(|(name, deed)| trouble::all().into_iter().map(move |(fault, trouble)| (name, *deed, fault, trouble)))
        .filter(|(_, deed, _, trouble)| deed.spares(*trouble).is_none())
        .map(|(name, deed, fault, trouble)| (format!("{name}/{fault}"), deed, trouble))
        .filter(|(name, ..)| only.is_none_or(|only| name.contains(only)))
        .filter(|(name, ..)| single.is_none_or(|single| single.rsplit_once('/').is_some_and(|(case, _)| case == name)))
        .collect();
    assert!(!pairs.is_empty(), "no case has such a name");
    let case = |(name, deed, trouble): &(String, Deed, Trouble), seed| Case {
        name: name.clone(),
        deed: *deed,
        trouble: *trouble,
        seed,
    };
    if let Some(seed) = single.and_then(|single| single.rsplit_once('/')?.1.parse().ok()) {
        return vec![case(&pairs[0], seed)];
    }
    (first..).flat_map(|seed| pairs.iter().map(move |pair| case(pair, seed))).take(runs as usize).collect()
}

/// Every deed with every fault, and why it is not tried where it is not.
fn table() {
    for (name, deed) in Deed::all() {
        for (fault, trouble) in trouble::all() {
            println!("{name}/{fault}: {}", deed.spares(trouble).unwrap_or("tried"));
        }
    }
}

async fn run_all(cases: Arc<Vec<Case>>) -> (u64, u64, u64) {
    let counts = Arc::new([const { AtomicU64::new(0) }; 3]);
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS.min(cases.len()) {
        let (cases, counts, next) = (cases.clone(), counts.clone(), next.clone());
        workers.spawn(async move {
            let server = TestServer::start().await.expect("the test server starts");
            while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                let outcome = run(&server, case).await;
                let at = match outcome {
                    Ok(Verdict::Recovered) => 0,
                    Ok(Verdict::Typed) => 1,
                    Err(problem) => {
                        println!("wrong: {}/{}: {problem}", case.name, case.seed);
                        2
                    }
                };
                counts[at].fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker.expect("no run panics");
    }
    println!("{:.0} s", started.elapsed().as_secs_f64());
    let [recovered, typed, wrong] = &*counts;
    (recovered.load(Ordering::Relaxed), typed.load(Ordering::Relaxed), wrong.load(Ordering::Relaxed))
}

async fn run(server: &TestServer, case: &Case) -> Result<Verdict, String> {
    let mut patience = PATIENCE;
    loop {
        let outcome = tokio::time::timeout(GUARD, async {
            let mut stage = Stage::new(server, case.trouble, case.seed, &case.name, patience).await?;
            let verdict = match case.deed.run(&mut stage).await {
                // The fourth try is the last.
                Ok(Verdict::Typed) if stage.times < 3 && case.trouble.passes() && case.deed.goes_on(case.trouble) => {
                    Err(format!("the fault passed after {}, and it gave up", stage.times))
                }
                verdict => verdict,
            };
            // Ten thousands of runs are not to fill the memory.
            stage.judge.delete().await.map_err(stage::text)?;
            verdict
        })
        .await;
        server.clear_faults();
        server.clear_requests();
        match outcome {
            Ok(Err(problem)) if problem == NO_EFFECT && case.trouble.is_stall() && patience < GUARD / 20 => {
                patience *= 4;
            }
            outcome => return outcome.unwrap_or_else(|_| Err("it hangs".to_owned())),
        }
    }
}

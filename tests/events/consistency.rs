//! Whatever happens to the hub, a mirror ends up as a fresh listing says.
//!
//! 100 seeded runs, 4 at a time; more by
//! `CARBONFILES_CONSISTENCY_RUNS=5000 CARBONFILES_CONSISTENCY_AT_ONCE=24 cargo test --features events --test events consistency
//! -- --nocapture`. `CARBONFILES_CONSISTENCY_FIRST` is the first seed, for several processes. One again, by its seed:
//! `CARBONFILES_CONSISTENCY_SEED=…`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use carbonfiles::Bucket;
use carbonfiles::events::{EventStream, Mirror};
use carbonfiles::models::FileInfo;
use carbonfiles_testserver::{Fault, FaultHandle, HubTimes, TestServer};
use futures::{StreamExt, TryStreamExt};
use tokio::task::JoinSet;

use crate::support::{self, within};
use crate::{settings, short};

const PATHS: usize = 6;
/// Everything is listed again after so long at most: the bound within which a mirror is right again.
const RESYNC: Duration = Duration::from_millis(300);
/// An event that others are to overtake waits no longer, so that it comes within the 2 s that a watch allows for, however
/// many runs share the machine.
const LATE: Duration = Duration::from_millis(300);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_equals_a_fresh_listing_after_any_history() {
    let runs = number("CARBONFILES_CONSISTENCY_RUNS").unwrap_or(100);
    // A run waits more than it computes.
    let at_once = number("CARBONFILES_CONSISTENCY_AT_ONCE").map_or(4, |runs| runs as usize);
    let seeds = match number("CARBONFILES_CONSISTENCY_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let first = number("CARBONFILES_CONSISTENCY_FIRST").unwrap_or(0);
            first..first + runs
        }
    };
    let gaps = Arc::new(AtomicU64::new(0));
    let equal = futures::stream::iter(seeds)
        .map(|seed| tokio::spawn(run(seed, gaps.clone())))
        .buffer_unordered(at_once)
        .fold(0, async |equal, run| {
            run.expect("the run with this seed");
            if (equal + 1) % 100 == 0 {
                println!("{} equal so far", equal + 1);
            }
            equal + 1
        })
        .await;
    println!(
        "mirror equals a fresh listing: {equal} of {equal} runs, {} connections lost",
        gaps.load(Ordering::SeqCst)
    );
}

async fn run(seed: u64, gaps: Arc<AtomicU64>) {
    let mut random = fastrand::Rng::with_seed(seed);
    let times =
        HubTimes { ping: Duration::from_millis(50), slow_reader: Duration::from_millis(50), ..HubTimes::default() };
    support::secrets::watch();
    let server = TestServer::builder().hub_times(times).start().await.unwrap();
    let client = support::builder(server.url())
        .token(server.admin_key())
        .events(settings().server_timeout(Duration::from_millis(400)).keep_alive(Duration::from_millis(100)))
        .build()
        .unwrap();
    let bucket = support::bucket(&client).await;
    for n in 0..random.usize(..PATHS) {
        store(&bucket, n, &mut random).await;
    }
    let world = World::ALL[random.usize(..World::ALL.len())];
    let relist = if world == World::Anything { RESYNC } else { Duration::from_secs(3600) };
    let mirror = within(bucket.mirror().relist_every(relist).send()).await.unwrap();
    let log = Log::begin(within(bucket.events().send()).await.unwrap());
    let mut late = Late::default();
    for _ in 0..random.usize(10..40) {
        log.note(&step(&server, &bucket, world, &mut late, &mut random).await);
        late.step();
    }
    let hub = server.hub();
    hub.mute(false);
    hub.stall(false);
    server.clear_faults();
    late.end();
    gaps.fetch_add(hub.connections().last().map_or(0, |last| last.number - 1), Ordering::SeqCst);
    if world == World::Anything && random.u8(..4) == 0 {
        bucket.update().expires(Duration::from_secs(600)).await.unwrap();
        server.clock().advance(Duration::from_secs(3600));
        let mut changes = mirror.changes();
        within(async { while changes.next().await.is_some_and(|change| change.is_ok()) {} }).await;
        assert!(mirror.is_empty() && mirror.error().unwrap().is_not_found(), "seed {seed}");
        return;
    }
    if tokio::time::timeout(support::GUARD, equal(&mirror, &bucket)).await.is_err() {
        let (have, there) = (files(&mirror), listing(&bucket).await);
        panic!("seed {seed}, {world:?}: the mirror has {have:?}, the server {there:?}; {log:?}");
    }
}

/// What was done and came when, for whoever has to find out why it went wrong.
struct Log {
    start: Instant,
    lines: Arc<Mutex<Vec<String>>>,
    /// By how much a timer was late at most: a machine that sleeps for seconds makes any event late.
    stalled: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Log {
    fn begin(mut events: EventStream) -> Self {
        let (start, mut tasks) = (Instant::now(), JoinSet::new());
        let (lines, stalled) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU64::new(0)));
        let log = lines.clone();
        tasks.spawn(async move {
            while let Some(Ok(event)) = events.next().await {
                log.lock().unwrap().push(format!("{} {}", start.elapsed().as_millis(), short(&event)));
            }
        });
        let most = stalled.clone();
        tasks.spawn(async move {
            loop {
                let (before, tick) = (Instant::now(), Duration::from_millis(20));
                tokio::time::sleep(tick).await;
                most.fetch_max((before.elapsed() - tick).as_millis() as u64, Ordering::SeqCst);
            }
        });
        Self { start, lines, stalled, _tasks: tasks }
    }

    fn note(&self, what: &str) {
        self.lines.lock().unwrap().push(format!("{} {what}", self.start.elapsed().as_millis()));
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines = self.lines.lock().unwrap().join(", ");
        write!(f, "timers were late by up to {} ms; done and come, by ms: {lines}", self.stalled.load(Ordering::SeqCst))
    }
}

/// Events that are kept back until others have overtaken them.
#[derive(Default)]
struct Late {
    /// And after how many steps they come.
    held: Vec<(FaultHandle, usize)>,
    tasks: JoinSet<()>,
}

impl Late {
    fn hold(&mut self, event: FaultHandle, steps: usize) {
        self.held.push((event.clone(), steps));
        self.tasks.spawn(async move {
            event.fired_at_least(1).await;
            tokio::time::sleep(LATE).await;
            event.release();
        });
    }

    fn step(&mut self) {
        for (event, steps) in &mut self.held {
            if event.fired() > 0 {
                *steps = steps.saturating_sub(1);
            }
            if *steps == 0 {
                event.release();
            }
        }
    }

    fn end(self) {
        self.held.iter().for_each(|(event, _)| event.release());
    }
}

/// What may go wrong in a run.
#[derive(Debug, Clone, Copy, PartialEq)]
enum World {
    /// All of it, events that nobody sends and that are lost without a sign included: a listing mends it in time.
    Anything,
    /// Connections are lost: the listing that follows mends it at once, for there is no other.
    Losses,
    /// Events are doubled, late and out of order: no listing is needed.
    Disorder,
}

impl World {
    const ALL: [Self; 3] = [Self::Anything, Self::Losses, Self::Disorder];

    fn allows(self, step: u8) -> bool {
        match self {
            Self::Anything => true,
            Self::Losses => matches!(step, 0..=6 | 8..=13 | 16),
            Self::Disorder => matches!(step, 0..=6 | 8..=11 | 18..),
        }
    }
}

/// One thing that a user does, or that goes wrong; which, and on what path.
async fn step(
    server: &TestServer,
    bucket: &Bucket,
    world: World,
    late: &mut Late,
    random: &mut fastrand::Rng,
) -> String {
    let hub = server.hub();
    let path = random.usize(..PATHS);
    let file = bucket.file(path.to_string());
    let step = std::iter::repeat_with(|| random.u8(..20)).find(|step| world.allows(*step)).unwrap_or_default();
    match step {
        0..=6 => store(bucket, path, random).await,
        // What is not there can't be appended to or deleted: no matter.
        7 => drop(file.append("more".as_bytes()).await),
        8..=10 => drop(file.delete().await),
        11 => {
            let (one, other) = (file.upload("one".as_bytes()).send(), file.delete().send());
            let _ = tokio::join!(one, other);
        }
        12 => hub.restart(),
        13 => hub.end_connections(),
        14 => hub.mute(random.bool()),
        15 => hub.stall(random.u8(..3) == 0),
        16 => hub.say_goodbye(None, true),
        17 => drop(server.inject(Fault::lose_event().on("*", "").times(random.u64(1..3)))),
        18 => drop(server.inject(Fault::duplicate_event(2).on("*", "").times(random.u64(1..3)))),
        _ if random.bool() => late.hold(server.inject(Fault::hold_event().on("*", "")), random.usize(1..4)),
        _ => {
            let delay = Fault::delay_event(Duration::from_millis(random.u64(1..200)));
            drop(server.inject(delay.on("*", "")));
        }
    }
    format!("step {step} {path}")
}

async fn store(bucket: &Bucket, path: usize, random: &mut fastrand::Rng) {
    let content = vec![b'x'; random.usize(1..50)];
    bucket.file(path.to_string()).upload(content).await.unwrap();
}

fn files(mirror: &Mirror) -> BTreeMap<String, FileInfo> {
    mirror.files().iter().map(|file| (file.path.clone(), FileInfo::clone(file))).collect()
}

async fn listing(bucket: &Bucket) -> BTreeMap<String, FileInfo> {
    let files: Vec<FileInfo> = bucket.files().list_all().items().try_collect().await.unwrap();
    files.into_iter().map(|file| (file.path.clone(), file)).collect()
}

async fn equal(mirror: &Mirror, bucket: &Bucket) {
    let truth = listing(bucket).await;
    let mut changes = mirror.changes();
    while files(mirror) != truth {
        changes.next().await.unwrap().unwrap();
    }
    // And it stays so, through a listing and a late event.
    tokio::time::sleep(RESYNC).await;
    while files(mirror) != truth {
        changes.next().await.unwrap().unwrap();
    }
}

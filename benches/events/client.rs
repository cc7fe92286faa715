//! This crate as a client of the flood, in a process of its own. Prints one line of figures.

use std::time::{Duration, Instant};

use carbonfiles::Client;
use carbonfiles::events::{Event, EventSettings};
use futures::StreamExt;

use crate::figures::{Course, clock, cpu, is_time};

fn runtime(threads: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().expect("a runtime")
}

fn client(url: &str) -> Client {
    let settings = EventSettings::default().server_timeout(Duration::from_secs(3600));
    Client::builder(url).http(reqwest::ClientBuilder::no_proxy).events(settings).build().expect("a client")
}

/// Resident memory in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or_default()
}

/// Takes `count` events as they come.
pub(crate) fn take(url: &str, count: u64) {
    let client = client(url);
    // A task, as a service has them; what blocks on a future is woken the slow way.
    let taking = async move {
        let mut events = client.bucket("flood00000").events().await.expect("a subscription");
        let (mut next, mut lagged, mut disorder) = (0u64, 0u64, 0u64);
        let (mut start, mut spent) = (Instant::now(), cpu());
        let mut delays = Vec::new();
        while next < count {
            match events.next().await.expect("an item").expect("no refusal") {
                Event::FileCreated { file, .. } => {
                    let number: u64 = file.path[1..8].parse().expect("a number");
                    if next == 0 {
                        (start, spent) = (Instant::now(), cpu());
                    }
                    disorder += u64::from(number != next);
                    next = number + 1;
                    if is_time(file.size) {
                        delays.push(clock().saturating_sub(file.size));
                    }
                }
                Event::Lagged(events) => {
                    lagged += events;
                    next += events;
                }
                other => panic!("{other:?}"),
            }
        }
        Course { count, took: start.elapsed(), spent: cpu() - spent, lagged, disorder, delays }.print();
    };
    let runtime = runtime(2);
    runtime.block_on(runtime.spawn(taking)).expect("all events");
}

/// Subscribes to many files, and prints what that costs in KiB.
pub(crate) fn many(url: &str, count: usize) {
    runtime(2).block_on(async {
        let bucket = client(url).bucket("quiet00000");
        let _first = bucket.file("first").events().await.expect("a subscription");
        let before = resident();
        let asked = (0..count).map(|n| bucket.file(format!("dir/f{n:07}.txt")).events().send());
        let _streams = futures::future::try_join_all(asked).await.expect("subscriptions");
        println!("{} {}", before, resident());
    });
}

/// Leaves a stream unread while the flood goes by, and prints resident memory before and after, in KiB.
pub(crate) fn stop(url: &str, count: u64) {
    runtime(2).block_on(async {
        let bucket = client(url).bucket("flood00000");
        let mut unread = bucket.events().await.expect("a subscription");
        let mut read = bucket.events().buffer(1 << 20).await.expect("another");
        let before = resident();
        let (mut seen, mut peak) = (0, before);
        while seen < count {
            match read.next().await {
                Some(Ok(Event::Lagged(events))) => seen += events,
                Some(Ok(_)) => seen += 1,
                other => panic!("{other:?}"),
            }
            if seen % 50_000 == 0 {
                peak = peak.max(resident());
            }
        }
        let first = unread.next().await.expect("an item").expect("no refusal");
        println!("{before} {peak} {first:?}");
    });
}

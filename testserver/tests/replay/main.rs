//! Replays what the real server was seen to answer, in order, and compares exchange by exchange.
//!
//! Compared: status; names of the headers; values of the headers that clients use; JSON member by member (time stamps
//! by their form: with or without `Z`); text and binary bodies exactly; archives by their entries; long lists of which
//! only a part is kept by their counts and media types. Ids, codes, keys and tokens are mapped as they come. Exchanges
//! that need another configuration, a race, a wait or a crash are left out here; most of them have tests of their own
//! beside this one.

mod compare;
mod hub;
mod live;
mod recording;
mod wire;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use carbonfiles_testserver::TestServer;
use live::Live;
use recording::Exchange;

/// Exchanges that are known to differ; each has its reason in the README.
const KNOWN_DIFFERENCES: &[u32] = &[];

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_recorded_exchange_is_answered_as_recorded() {
    let server = TestServer::start().await.expect("a free port");
    // When they were recorded: some of the times in them are absolute, and would be over by now.
    server.clock().set(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_256_515));
    let recordings = recording::load();
    let mut live = Live::new(server.address());
    let mut score: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    let (mut differing, mut left_out) = (Vec::new(), 0);
    for exchange in recordings {
        if exchange.is_left_out() {
            left_out += 1;
            continue;
        }
        server.clock().advance(exchange.pause_before());
        // Between these, bytes were altered and removed on the real server's disk.
        match exchange.number {
            Some(604) => assert!(server.tamper(&live.text("kK7004TmjF"), "v.txt", Some(b"tampered!!")).await),
            Some(606) => assert!(server.tamper(&live.text("kK7004TmjF"), "v.txt", None).await),
            _ => {}
        }
        let (differences, next) = tokio::task::spawn_blocking(move || {
            let differences = compare::replay(&mut live, &exchange);
            (differences, (live, exchange))
        })
        .await
        .expect("a comparison that ends");
        let exchange: Exchange;
        (live, exchange) = next;
        let Some(number) = exchange.number else {
            continue;
        };
        let (good, all) = score.entry(exchange.section.clone()).or_default();
        *good += u32::from(differences.is_empty());
        *all += 1;
        if !differences.is_empty() {
            println!("[{number}] {} {}", exchange.method, exchange.note);
            for difference in &differences {
                println!("      {difference}");
            }
            differing.push(number);
        }
    }
    for (section, (good, all)) in &score {
        println!("{good:4}/{all:<4} {section}");
    }
    let (good, all) = score.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    println!("{good} of {all} as recorded, {left_out} left out");
    assert!(all > 700, "the recordings are gone: only {all} compared");
    assert_eq!(differing, KNOWN_DIFFERENCES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hub_behaves_as_recorded() {
    let outcomes = hub::replay_all().await;
    for outcome in outcomes.iter().filter(|outcome| !outcome.differences.is_empty()) {
        println!("[{}] {}", outcome.number, outcome.name);
        outcome.differences.iter().for_each(|difference| println!("      {difference}"));
    }
    let good = outcomes.iter().filter(|outcome| outcome.differences.is_empty()).count();
    println!("{good} of {} scenarios of the hub as recorded", outcomes.len());
    assert!(outcomes.len() > 50, "the recordings are gone: only {} compared", outcomes.len());
    assert_eq!(good, outcomes.len());
}

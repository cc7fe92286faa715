//! Live events beside `@microsoft/signalr`: events a second from socket to stream, CPU time an event, latency, memory.
//!
//! `cargo bench --features events --bench events [-- --count 500000 --rounds 3]`
//!
//! The hub that floods and each client are processes of their own. Where `tests/foreign/install.sh` has been run, the
//! JavaScript client takes turns with ours on the same flood; and so does the floor, which shows what hub, kernel and
//! scheduler take by themselves at that time. Figures are the medians of the rounds.

mod client;
mod figures;
mod flood;
mod floor;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use figures::{Figures, medians, parse};
use flood::Flood;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| args.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
    let text = |at: usize| args.get(at).map(String::as_str).unwrap_or_default();
    match text(0) {
        "flood" => flood::serve(Flood { count: number(1), batch: number(2).max(1), rate: number(3) }),
        "take" => client::take(text(1), number(2)),
        "floor" => floor::take(text(1), number(2)),
        "many" => client::many(text(1), number(2) as usize),
        "stop" => client::stop(text(1), number(2)),
        // `cargo test --benches` runs every bench once, for a look.
        _ if args.iter().any(|a| a == "--test") => compare(2_000, 1),
        _ => {
            let value = |name: &str| args.iter().position(|a| a == name).and_then(|at| args.get(at + 1)?.parse().ok());
            compare(value("--count").unwrap_or(500_000), value("--rounds").unwrap_or(3) as usize);
        }
    }
}

struct Hub {
    process: Child,
    url: String,
}

impl Hub {
    fn start(count: u64, batch: u64, rate: u64) -> Self {
        let me = std::env::current_exe().expect("this program");
        let args = ["flood".to_owned(), count.to_string(), batch.to_string(), rate.to_string()];
        let mut process = Command::new(me).args(args).stdout(Stdio::piped()).spawn().expect("the hub starts");
        let mut url = String::new();
        BufReader::new(process.stdout.take().expect("its output")).read_line(&mut url).expect("its address");
        Self { process, url: url.trim().to_owned() }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn output(command: &mut Command) -> String {
    let output = command.stderr(Stdio::inherit()).output().expect("the client runs");
    assert!(output.status.success(), "the client failed");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn ours(arguments: &[String]) -> String {
    output(Command::new(std::env::current_exe().expect("this program")).args(arguments))
}

/// Where the JavaScript client is, if it is installed.
fn javascript() -> Option<PathBuf> {
    let modules = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/foreign"));
    modules.join("node_modules/@microsoft/signalr").is_dir().then_some(modules)
}

/// Those that take turns, and what each is run by.
const CLIENTS: [(&str, &str); 3] = [("floor", "floor"), ("carbonfiles", "take"), ("@microsoft/signalr", "")];

fn run(client: &str, hub: &Hub, count: u64) -> Figures {
    parse(&match client {
        "" => {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/events/signalr.mjs");
            let modules = javascript().expect("it was there");
            output(Command::new("node").arg(script).arg(modules).arg(&hub.url).arg(count.to_string()))
        }
        command => ours(&[command.into(), hub.url.clone(), count.to_string()]),
    })
}

/// The medians of each client, by turns.
fn turns(clients: &[(&'static str, &str)], rounds: usize, hub: &Hub, count: u64) -> Vec<(&'static str, Figures)> {
    let mut figures = vec![Vec::new(); clients.len()];
    for _ in 0..rounds {
        for ((_, client), figures) in clients.iter().zip(&mut figures) {
            figures.push(run(client, hub, count));
        }
    }
    clients.iter().zip(&figures).map(|((name, _), rounds)| (*name, medians(rounds))).collect()
}

fn compare(count: u64, rounds: usize) {
    let foreign = javascript().is_some();
    if !foreign {
        println!("@microsoft/signalr is not installed (tests/foreign/install.sh): ours alone");
    }
    let clients = &CLIENTS[..if foreign { 3 } else { 2 }];
    println!(
        "{:<8} {:<28} {:>10} {:>12} {:>8} {:>12}",
        "a frame", "client", "events/s", "CPU ns/event", "lagged", "out of order"
    );
    for batch in [1, 10, 100] {
        let hub = Hub::start(count, batch, 0);
        for (name, figures) in turns(clients, rounds, &hub, count) {
            let [rate, cpu, lagged, disorder] = [0, 1, 2, 3].map(|at| figures[at]);
            println!("{batch:<8} {name:<28} {rate:>10} {cpu:>12} {lagged:>8} {disorder:>12}");
        }
    }
    println!(
        "\n{:<8} {:<28} {:>8} {:>8} {:>8} {:>12}  µs from the hub's write to the stream's item",
        "a second", "client", "p50", "p99", "max", "CPU ns/event"
    );
    for rate in [1_000, 10_000] {
        let events = (rate * 5).min(count);
        let hub = Hub::start(events, 1, rate);
        for (name, figures) in turns(clients, rounds, &hub, events) {
            let [cpu, p50, p99, max] = [1, 4, 5, 6].map(|at| figures[at]);
            println!("{rate:<8} {name:<28} {p50:>8} {p99:>8} {max:>8} {cpu:>12}");
        }
    }
    let quiet = Hub::start(0, 1, 0);
    let subscriptions = 10_000.min(count);
    println!(
        "\n{subscriptions} subscriptions, KiB resident before and after: {}",
        ours(&["many".into(), quiet.url.clone(), subscriptions.to_string()])
    );
    let hub = Hub::start(count, 1, 0);
    println!(
        "a stream that is not read while {count} events go by, KiB before and at most, and its first item: {}",
        ours(&["stop".into(), hub.url.clone(), count.to_string()])
    );
}

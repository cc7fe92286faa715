//! What a run cost, measured from outside where it can be.

use std::fmt;
use std::process::Command;
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};

/// What one run cost.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
    /// Peak memory over idle, in KiB; for a foreign program over nothing.
    pub(crate) memory: u64,
}

impl Figures {
    /// Runs a command that prints its figures as its last line.
    pub(crate) fn of(mut command: Command) -> Self {
        let output = command.output().expect("the client process starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let figures = text.lines().last().and_then(Self::parse);
        figures.unwrap_or_else(|| panic!("{command:?} failed: {text}{}", String::from_utf8_lossy(&output.stderr)))
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("figures ")?.split(' ').map(str::parse::<f64>);
        let mut next = || words.next()?.ok();
        Some(Self { wall: next()?, cpu: next()?, memory: next()? as u64 })
    }

    pub(crate) fn print(self) {
        println!("figures {} {} {}", self.wall, self.cpu, self.memory);
    }
}

/// The meter of a client process: starts when the client has made its first call.
pub(crate) struct Meter {
    start: Instant,
    cpu: f64,
    idle: u64,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), cpu: cpu(UsageWho::RUSAGE_SELF), idle: status("VmRSS:") }
    }

    pub(crate) fn stop(self) -> Figures {
        Figures {
            wall: self.start.elapsed().as_secs_f64(),
            cpu: cpu(UsageWho::RUSAGE_SELF) - self.cpu,
            memory: status("VmHWM:").saturating_sub(self.idle),
        }
    }
}

/// Runs a foreign program as the only child of this process, and prints what it cost.
pub(crate) fn watch(command: &[String]) {
    let start = Instant::now();
    let status = Command::new(&command[0]).args(&command[1..]).status().expect("the program starts");
    assert!(status.success(), "{command:?}: {status}");
    let wall = start.elapsed().as_secs_f64();
    let memory = getrusage(UsageWho::RUSAGE_CHILDREN).expect("usage").max_rss() as u64;
    Figures { wall, cpu: cpu(UsageWho::RUSAGE_CHILDREN), memory }.print();
}

fn cpu(who: UsageWho) -> f64 {
    let usage = getrusage(who).expect("usage");
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// The figures of several clients that do the same; the first one is what the others are compared with.
pub(crate) struct Table {
    title: String,
    rows: Vec<(String, Vec<Figures>)>,
}

impl Table {
    pub(crate) fn new(title: &str, clients: &[&str]) -> Self {
        Self { title: title.into(), rows: clients.iter().map(|c| ((*c).into(), Vec::new())).collect() }
    }

    pub(crate) fn add(&mut self, client: &str, figures: Figures) {
        if let Some((_, runs)) = self.rows.iter_mut().find(|(name, _)| name == client) {
            runs.push(figures);
        }
    }
}

fn best_and_median(runs: &[Figures], of: fn(&Figures) -> f64) -> (f64, f64) {
    let mut values: Vec<f64> = runs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    (values[0], values[values.len() / 2])
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n### {}\n", self.title)?;
        writeln!(f, "| client | wall s | speed to the first | CPU s | CPU of the first / own | peak MiB over idle |")?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        let first = &self.rows[0].1;
        let (wall_1, cpu_1) = (best_and_median(first, |r| r.wall).0, best_and_median(first, |r| r.cpu).0);
        for (name, runs) in &self.rows {
            let ((wall, wall_m), (cpu, cpu_m)) = (best_and_median(runs, |r| r.wall), best_and_median(runs, |r| r.cpu));
            let memory = runs.iter().map(|r| r.memory).max().unwrap_or(0) as f64 / 1024.0;
            writeln!(
                f,
                "| {name} | {wall:.3} ({wall_m:.3}) | {:.2} | {cpu:.3} ({cpu_m:.3}) | {:.2} | {memory:.1} |",
                wall_1 / wall,
                cpu_1 / cpu
            )?;
        }
        Ok(())
    }
}

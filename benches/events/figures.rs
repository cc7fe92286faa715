//! What a client measured, as a line from its process to the one that compares.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).expect("the kernel tells").into()
}

/// Nanoseconds of the monotonic clock, which all processes share, Node's `process.hrtime` among them; exact in JavaScript
/// for the first hundred days after a boot.
pub(crate) fn clock() -> u64 {
    read(ClockId::CLOCK_MONOTONIC).as_nanos() as u64
}

/// User and system time of this process so far.
pub(crate) fn cpu() -> Duration {
    read(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

/// Whether an event's size is the time at which it was written, by [`clock`], and not its number.
pub(crate) fn is_time(size: u64) -> bool {
    size > 1_000_000_000
}

/// The course of one run, from the first event on.
pub(crate) struct Course {
    pub(crate) count: u64,
    pub(crate) took: Duration,
    pub(crate) spent: Duration,
    pub(crate) lagged: u64,
    pub(crate) disorder: u64,
    /// From the hub's write to the client's item, in nanoseconds.
    pub(crate) delays: Vec<u64>,
}

/// `per second, ns of CPU an event, lagged, out of order, p50, p99, max in µs`.
pub(crate) type Figures = Vec<u64>;

impl Course {
    pub(crate) fn print(mut self) {
        self.delays.sort_unstable();
        let rank = |share: f64| {
            let at = (self.delays.len() as f64 * share) as usize;
            self.delays.get(at).or(self.delays.last()).copied().unwrap_or_default() / 1000
        };
        println!(
            "{} {} {} {} {} {} {}",
            (self.count as f64 / self.took.as_secs_f64()) as u64,
            (self.spent.as_nanos() / u128::from(self.count)) as u64,
            self.lagged,
            self.disorder,
            rank(0.5),
            rank(0.99),
            rank(1.0),
        );
    }
}

pub(crate) fn parse(line: &str) -> Figures {
    line.split(' ').map(|figure| figure.parse().expect("a number")).collect()
}

/// Of each figure the median of the rounds.
pub(crate) fn medians(rounds: &[Figures]) -> Figures {
    let median = |at: usize| {
        let mut figures: Vec<u64> = rounds.iter().map(|round| round[at]).collect();
        figures.sort_unstable();
        figures[figures.len() / 2]
    };
    (0..rounds[0].len()).map(median).collect()
}

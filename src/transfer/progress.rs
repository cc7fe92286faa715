//! How far a transfer is.

use std::time::Duration;

use tokio::time::Instant;

/// How far a transfer is. A value, made anew for each report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes of content that the current attempt has moved: handed to the transport (upload), or received (download).
    /// They may still be in a socket's buffer; only [`Phase::Done`] says that the other side has them.
    pub sent: u64,
    /// Bytes in all, where known.
    pub total: Option<u64>,
    /// The attempt, from 1. An upload that is tried again starts a new attempt at 0 bytes; a download goes on where it
    /// was.
    pub attempt: u32,
    /// What is going on.
    pub phase: Phase,
}

impl Progress {
    /// Between 0 and 100, where the total is known. An empty transfer is at 100 when it is done.
    #[must_use]
    pub fn percent(&self) -> Option<f64> {
        match self.total? {
            0 => Some(if self.phase == Phase::Done { 100.0 } else { 0.0 }),
            total => Some(self.sent.min(total) as f64 / total as f64 * 100.0),
        }
    }
}

/// What a transfer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Bytes are moving.
    Sending,
    /// All bytes of an upload are handed over; the server is working.
    Waiting,
    /// An attempt failed; the next one starts after this time.
    Retrying {
        /// The waiting time.
        after: Duration,
    },
    /// It is complete, and checked where it can be.
    Done,
}

type Callback<'a> = Box<dyn FnMut(Progress) + Send + 'a>;

/// Hands reports to a callback, not too often: the first, the last and each change of phase always come.
pub(crate) struct Reporter<'a> {
    callback: Option<Callback<'a>>,
    interval: Duration,
    last: Option<(Instant, Progress)>,
    pub(crate) total: Option<u64>,
    pub(crate) attempt: u32,
}

/// Ten reports a second are enough for a bar.
const INTERVAL: Duration = Duration::from_millis(100);

impl Default for Reporter<'_> {
    fn default() -> Self {
        Self { callback: None, interval: INTERVAL, last: None, total: None, attempt: 1 }
    }
}

impl<'a> Reporter<'a> {
    pub(crate) fn set_callback(&mut self, report: impl FnMut(Progress) + Send + 'a) {
        self.callback = Some(Box::new(report));
    }

    pub(crate) fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    pub(crate) fn is_used(&self) -> bool {
        self.callback.is_some()
    }

    pub(crate) fn report(&mut self, sent: u64, phase: Phase) {
        let Some(callback) = &mut self.callback else { return };
        let progress = Progress { sent, total: self.total, attempt: self.attempt, phase };
        let now = Instant::now();
        if let Some((at, last)) = &self.last {
            let news = (last.phase, last.attempt) != (phase, self.attempt);
            if *last == progress || (!news && now - *at < self.interval) {
                return;
            }
        }
        self.last = Some((now, progress));
        callback(progress);
    }

    /// The last report, with all bytes.
    pub(crate) fn done(&mut self, sent: u64) {
        self.total.get_or_insert(sent);
        self.report(sent, Phase::Done);
    }
}

/// The setters of a builder whose [`Reporter`] is at a path of fields: `reports_progress!(['a] Upload<'a>, reporter)`.
macro_rules! reports_progress {
    ([$($generics:tt)*] $builder:ty, $($field:ident).+) => {
        impl<$($generics)*> $builder {
            /// Is told how far it is: at the start, at most ten times a second, at each change of phase, and at the end.
            /// It runs in the task that awaits the call, so it may borrow, and should be quick.
            pub fn progress(mut self, report: impl FnMut($crate::Progress) + Send + 'a) -> Self {
                self.$($field).+.set_callback(report);
                self
            }

            /// The least time between two reports of progress; 100 ms by default.
            pub fn progress_interval(mut self, interval: ::std::time::Duration) -> Self {
                self.$($field).+.set_interval(interval);
                self
            }
        }
    };
}

pub(crate) use reports_progress;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_is_bounded() {
        let progress = |sent, total, phase| Progress { sent, total, attempt: 1, phase }.percent();
        assert_eq!(progress(5, Some(10), Phase::Sending), Some(50.0));
        assert_eq!(progress(20, Some(10), Phase::Sending), Some(100.0));
        assert_eq!(progress(0, Some(0), Phase::Sending), Some(0.0));
        assert_eq!(progress(0, Some(0), Phase::Done), Some(100.0));
        assert_eq!(progress(5, None, Phase::Done), None);
    }

    #[test]
    fn first_last_and_phases_come_the_rest_is_thinned_out() {
        let mut seen = Vec::new();
        let mut reporter = Reporter::default();
        reporter.set_callback(|p| seen.push(p));
        reporter.set_interval(Duration::from_secs(3600));
        reporter.total = Some(1000);
        (0..=1000).for_each(|n| reporter.report(n, Phase::Sending));
        reporter.report(1000, Phase::Waiting);
        reporter.done(1000);
        drop(reporter);
        let short: Vec<_> = seen.iter().map(|p| (p.sent, p.phase)).collect();
        assert_eq!(short, [(0, Phase::Sending), (1000, Phase::Waiting), (1000, Phase::Done)]);
    }
}

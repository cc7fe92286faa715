//! How far a transfer is.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::started::ProgressWatch;

/// How far a transfer is. A value, made anew for each report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes of content that the current attempt has moved: handed to the transport (upload), or received (download).
    /// They may still be in a socket's buffer; only [`Phase::Done`] says that the other side has them. In
    /// [`Phase::Hashing`] and [`Phase::Spooling`] it counts the bytes that were read.
    pub sent: u64,
    /// Bytes in all, where known.
    pub total: Option<u64>,
    /// The attempt, from 1. An upload that is tried again starts a new attempt at 0 bytes; a download goes on where it
    /// was.
    pub attempt: u32,
    /// What is going on.
    pub phase: Phase,
    /// Bytes per second over the last five seconds of this attempt; `None` before there is something to measure.
    pub rate: Option<u64>,
}

impl Progress {
    pub(crate) const START: Self = Self { sent: 0, total: None, attempt: 1, phase: Phase::Queued, rate: None };

    /// Between 0 and 100, where the total is known. An empty transfer is at 100 when it is done.
    #[must_use]
    pub fn percent(&self) -> Option<f64> {
        match self.total? {
            0 => Some(if self.phase == Phase::Done { 100.0 } else { 0.0 }),
            total => Some(self.sent.min(total) as f64 / total as f64 * 100.0),
        }
    }

    /// How long the rest takes at the present rate, where total and rate are known. What the server does after the last
    /// byte is not in it.
    #[must_use]
    pub fn eta(&self) -> Option<Duration> {
        let left = self.total?.saturating_sub(self.sent);
        match (self.phase, self.rate) {
            (Phase::Done, _) => Some(Duration::ZERO),
            (Phase::Sending, Some(rate)) if rate > 0 => Duration::try_from_secs_f64(left as f64 / rate as f64).ok(),
            _ => None,
        }
    }
}

/// What a transfer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// It waits for its turn: the client's limits are reached, or another call of this client changes the same file.
    Queued,
    /// The source is read into a temporary file first, as was asked for.
    Spooling,
    /// Bytes that are here already are hashed: the part of an earlier download, or the last bytes of a parallel one.
    Hashing,
    /// Bytes are moving.
    Sending,
    /// All bytes of an upload are handed over; the server is working.
    Waiting,
    /// An attempt failed; the next one starts after this time.
    #[non_exhaustive]
    Retrying {
        /// The waiting time.
        after: Duration,
    },
    /// It is complete, and checked where it can be.
    Done,
}

type Callback<'a> = Box<dyn FnMut(Progress) + Send + 'a>;

/// Hands reports to a callback and a watch, not too often: the first, the last and each change of phase always come.
pub(crate) struct Reporter<'a> {
    /// Apart, since most transfers have none, and a reporter is handed on by value.
    audience: Option<Box<Audience<'a>>>,
    pub(crate) total: Option<u64>,
    pub(crate) attempt: u32,
}

/// Who hears of a transfer, and what it has heard.
struct Audience<'a> {
    callback: Option<Callback<'a>>,
    watch: Option<watch::Sender<Progress>>,
    interval: Duration,
    last: Option<(Instant, Progress)>,
    /// What came too soon after the last report.
    held_back: Option<(u64, Phase)>,
    speed: Speed,
}

/// Ten reports a second are enough for a bar.
const INTERVAL: Duration = Duration::from_millis(100);

impl Default for Reporter<'_> {
    fn default() -> Self {
        Self { audience: None, total: None, attempt: 1 }
    }
}

impl Default for Audience<'_> {
    fn default() -> Self {
        let speed = Speed::default();
        Self { callback: None, watch: None, interval: INTERVAL, last: None, held_back: None, speed }
    }
}

impl<'a> Reporter<'a> {
    pub(crate) fn set_callback(&mut self, report: impl FnMut(Progress) + Send + 'a) {
        self.audience.get_or_insert_default().callback = Some(Box::new(report));
    }

    pub(crate) fn set_interval(&mut self, interval: Duration) {
        self.audience.get_or_insert_default().interval = interval;
    }

    pub(crate) fn watch(&mut self) -> ProgressWatch {
        let watch = &mut self.audience.get_or_insert_default().watch;
        let sender = watch.get_or_insert_with(|| watch::Sender::new(Progress::START));
        ProgressWatch::new(sender.subscribe())
    }

    pub(crate) fn is_used(&self) -> bool {
        self.audience.as_ref().is_some_and(|audience| audience.callback.is_some() || audience.watch.is_some())
    }

    pub(crate) fn report(&mut self, sent: u64, phase: Phase) {
        if let Some(audience) = &mut self.audience {
            audience.hear(Progress { sent, total: self.total, attempt: self.attempt, phase, rate: None });
        }
    }

    /// Reports that it waits for its turn, where it stands.
    pub(crate) fn queued(&mut self) {
        let last = self.audience.as_ref().and_then(|audience| audience.last);
        let sent = last.filter(|(_, last)| last.attempt == self.attempt).map_or(0, |(_, last)| last.sent);
        self.report(sent, Phase::Queued);
    }

    /// Does some work of the transfer; should it stand still, what was held back is reported when its time has come.
    pub(crate) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        if let Some(audience) = &self.audience
            && let Some(((sent, phase), (last, _))) = audience.held_back.zip(audience.last)
            && let Some(due) = last.checked_add(audience.interval)
        {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = sleep_until(due) => self.report(sent, phase),
            }
        }
        work.await
    }

    /// The last report, with all bytes.
    pub(crate) fn done(&mut self, sent: u64) {
        self.total.get_or_insert(sent);
        self.report(sent, Phase::Done);
    }
}

impl Audience<'_> {
    fn hear(&mut self, mut progress: Progress) {
        let Progress { sent, attempt, phase, .. } = progress;
        self.held_back = None;
        let now = Instant::now();
        if let Some((at, last)) = &self.last {
            let news = (last.phase, last.attempt) != (phase, attempt);
            if (Progress { rate: None, ..*last }) == progress {
                return;
            }
            if !news && now - *at < self.interval {
                self.held_back = Some((sent, phase));
                return;
            }
            // What was hashed, left by an earlier download, or sent by an attempt that failed, does not count for the speed
            // of this one.
            let moved = !matches!(last.phase, Phase::Queued | Phase::Hashing | Phase::Spooling);
            if last.attempt != attempt || news && !moved {
                self.speed = Speed::default();
            }
        }
        progress.rate = self.speed.at(now, sent);
        self.last = Some((now, progress));
        if let Some(callback) = &mut self.callback {
            callback(progress);
        }
        if let Some(watch) = &self.watch {
            watch.send_replace(progress);
        }
    }
}

/// The rate over a sliding window.
#[derive(Default)]
pub(crate) struct Speed(VecDeque<(Instant, u64)>);

impl Speed {
    const WINDOW: Duration = Duration::from_secs(5);
    /// So that the window holds a few dozen samples, however often it is asked.
    const SPACING: Duration = Duration::from_millis(100);

    pub(crate) fn at(&mut self, now: Instant, sent: u64) -> Option<u64> {
        if self.0.back().is_some_and(|(_, last)| *last > sent) {
            self.0.clear();
        }
        while self.0.get(1).is_some_and(|(at, _)| now - *at >= Self::WINDOW) {
            self.0.pop_front();
        }
        let rate = self.0.front().and_then(|(at, first)| {
            let seconds = (now - *at).as_secs_f64();
            (seconds > 0.001).then(|| ((sent - first) as f64 / seconds) as u64)
        });
        if self.0.back().is_none_or(|(at, _)| now - *at >= Self::SPACING) {
            self.0.push_back((now, sent));
        }
        rate
    }

    /// So many bytes of what is told from now on are there without having moved.
    pub(crate) fn skip(&mut self, bytes: u64) {
        self.0.iter_mut().for_each(|(_, sent)| *sent = sent.saturating_add(bytes));
    }
}

/// The setters of a builder whose [`Reporter`] is at a path of fields: `reports_progress!(['a] Upload<'a>, reporter)`.
macro_rules! reports_progress {
    ([$($generics:tt)*] $builder:ty, $($field:ident).+) => {
        impl<$($generics)*> $builder {
            /// Sets a progress callback. It is called at the start, at most ten times a second, at each change of phase, and
            /// at the end. It runs in the task that awaits the call, so it may borrow, and should be quick.
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

/// `.start()` for a builder that reports progress: `starts!(Upload => UploadedFile, reporter)`. One whose output is a type
/// parameter names its generics.
macro_rules! starts {
    ($builder:ident => $output:ty, $($field:ident).+) => {
        $crate::transfer::starts!([] $builder<'static> => $output, $($field).+);
    };
    ([$($generics:tt)*] $builder:ty => $output:ty, $($field:ident).+) => {
        impl<$($generics)*> $builder {
            /// Starts it in a task of its own: a future of the result, with a watch of the progress and `cancel()`.
            /// Dropping it cancels the call. It needs a tokio runtime, and a source that borrows nothing.
            pub fn start(mut self) -> $crate::Transfer<$output> {
                let progress = self.$($field).+.watch();
                $crate::Transfer::spawn(progress, self.send())
            }
        }
    };
}

pub(crate) use starts;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_is_bounded() {
        let progress = |sent, total, phase| Progress { sent, total, phase, ..Progress::START }.percent();
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

    #[tokio::test(start_paused = true)]
    async fn ten_reports_a_second_unless_told_otherwise() {
        let mut seen = Vec::new();
        let mut reporter = Reporter::default();
        reporter.set_callback(|p| seen.push(p.sent));
        for sent in 0..1000 {
            reporter.report(sent, Phase::Sending);
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        reporter.done(1000);
        drop(reporter);
        assert_eq!((seen[0], seen[seen.len() - 1]), (0, 1000));
        assert!((10..=12).contains(&seen.len()), "{seen:?}");
    }

    #[test]
    fn waiting_for_a_turn_is_no_step_back() {
        let mut seen = Vec::new();
        let mut reporter = Reporter::default();
        reporter.set_callback(|p| seen.push((p.sent, p.phase)));
        reporter.queued();
        reporter.report(700, Phase::Hashing);
        reporter.queued();
        reporter.attempt = 2;
        reporter.queued();
        drop(reporter);
        assert_eq!(seen, [(0, Phase::Queued), (700, Phase::Hashing), (700, Phase::Queued), (0, Phase::Queued)]);
    }

    #[tokio::test(start_paused = true)]
    async fn rate_and_eta_look_at_the_last_seconds() {
        let mut seen = Vec::new();
        let mut reporter = Reporter::default();
        reporter.set_callback(|p| seen.push(p));
        reporter.total = Some(100_000);
        reporter.report(50_000, Phase::Sending);
        // 1,000 B/s for ten seconds, then 100.
        for second in 1..=10 {
            tokio::time::advance(Duration::from_secs(1)).await;
            reporter.report(50_000 + 1000 * second, Phase::Sending);
        }
        for second in 1..=10 {
            tokio::time::advance(Duration::from_secs(1)).await;
            reporter.report(60_000 + 100 * second, Phase::Sending);
        }
        reporter.attempt = 2;
        reporter.report(0, Phase::Sending);
        reporter.done(100_000);
        drop(reporter);
        assert_eq!((seen[0].rate, seen[0].eta()), (None, None));
        assert_eq!((seen[10].rate, seen[10].eta()), (Some(1000), Some(Duration::from_secs(40))));
        assert_eq!((seen[20].rate, seen[20].eta()), (Some(100), Some(Duration::from_secs(390))));
        assert_eq!((seen[21].rate, seen[21].eta()), (None, None), "a new attempt is measured anew");
        assert_eq!(seen[22].eta(), Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_earlier_download_left_is_no_speed() {
        let mut seen = Vec::new();
        let mut reporter = Reporter::default();
        reporter.set_callback(|p| seen.push(p.rate));
        for (sent, phase) in [(0, Phase::Queued), (900_000, Phase::Sending), (901_000, Phase::Sending)] {
            reporter.report(sent, phase);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        drop(reporter);
        assert_eq!(seen, [None, None, Some(1000)]);
    }
}

//! One progress for many files.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, ready};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::transfer::{Phase, Progress, ProgressWatch, Speed};

/// How far many files are, together. A value, made anew for each report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BatchProgress {
    /// Files that are done.
    pub files: u64,
    /// Files that have failed.
    pub failed: u64,
    /// Files in all, failed ones included, where known: not before the end of an iterator has been seen.
    pub files_total: Option<u64>,
    /// Bytes of the files done, and of the current attempts of those under way. It goes back where a file is tried again,
    /// or fails: what failed is in neither number of bytes.
    pub bytes: u64,
    /// Bytes in all, where known; never less than `bytes`. A file that turns out longer or shorter than expected changes it.
    pub bytes_total: Option<u64>,
    /// Bytes per second over the last five seconds; `None` before there is something to measure.
    pub rate: Option<u64>,
    /// It is over: the last report.
    pub finished: bool,
}

impl BatchProgress {
    /// Before anything is known: folders and listings are still to be looked through.
    pub(super) const START: Self =
        Self { files: 0, failed: 0, files_total: None, bytes: 0, bytes_total: None, rate: None, finished: false };

    /// Between 0 and 100, by bytes, where their total is known.
    #[must_use]
    pub fn percent(&self) -> Option<f64> {
        match self.bytes_total? {
            0 => Some(if self.finished { 100.0 } else { 0.0 }),
            total => Some(self.bytes as f64 / total as f64 * 100.0),
        }
    }

    /// How long the rest takes at the present rate, where total and rate are known.
    #[must_use]
    pub fn eta(&self) -> Option<Duration> {
        let left = self.bytes_total?.saturating_sub(self.bytes);
        match self.rate {
            _ if self.finished => Some(Duration::ZERO),
            Some(rate) if rate > 0 => Duration::try_from_secs_f64(left as f64 / rate as f64).ok(),
            _ => None,
        }
    }
}

pub(super) type OnBatch<'a> = Box<dyn FnMut(BatchProgress) + Send + 'a>;
pub(super) type OnFile<'a> = Box<dyn FnMut(&str, Progress) + Send + 'a>;

/// Who is told how far many files are.
#[derive(Default)]
pub(crate) struct Listeners<'a> {
    pub(crate) on_batch: Option<OnBatch<'a>>,
    pub(crate) on_file: Option<OnFile<'a>>,
    watch: Option<watch::Sender<BatchProgress>>,
}

impl Listeners<'_> {
    pub(super) fn watch(&mut self) -> ProgressWatch<BatchProgress> {
        let sender = self.watch.get_or_insert_with(|| watch::Sender::new(BatchProgress::START));
        ProgressWatch::new(sender.subscribe())
    }

    /// Somebody is told about the whole.
    fn of_all(&self) -> bool {
        self.on_batch.is_some() || self.watch.is_some()
    }
}

/// The sums over all files, and who is told.
pub(crate) struct Tally<'a>(Arc<Mutex<Sums<'a>>>);

struct Sums<'a> {
    listeners: Listeners<'a>,
    interval: Duration,
    last: Option<Instant>,
    /// Something came too soon after the last report.
    held_back: bool,
    speed: Speed,
    files: u64,
    failed: u64,
    files_total: Option<u64>,
    /// Wide enough for any number of sizes that a peer may claim; what is shown stops at `u64::MAX`.
    bytes: u128,
    bytes_total: u128,
    /// All files are known, so that the totals can be.
    complete: bool,
    /// Files whose length nobody knows yet.
    unsized_files: u64,
}

impl<'a> Tally<'a> {
    pub(super) fn new(listeners: Listeners<'a>, interval: Duration) -> Self {
        Self(Arc::new(Mutex::new(Sums {
            listeners,
            interval,
            last: None,
            held_back: false,
            speed: Speed::default(),
            files: 0,
            failed: 0,
            files_total: None,
            bytes: 0,
            bytes_total: 0,
            complete: false,
            unsized_files: 0,
        })))
    }

    fn sums(&self) -> MutexGuard<'_, Sums<'a>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_used(&self) -> bool {
        let sums = self.sums();
        sums.listeners.of_all() || sums.listeners.on_file.is_some()
    }

    /// All files are known beforehand; the first report.
    pub(super) fn expect(&self, files: Option<u64>, bytes: Option<u128>) {
        let mut sums = self.sums();
        sums.files_total = files;
        if let Some(bytes) = bytes {
            (sums.bytes_total, sums.complete) = (bytes, true);
        }
        sums.report(true, false);
    }

    /// No more come than have begun. So many they are, unless that was known beforehand.
    pub(super) fn all_begun(&self, files: Option<u64>) {
        let mut sums = self.sums();
        (sums.files_total, sums.complete) = (files.or(sums.files_total), true);
    }

    /// A file that begins. `expected` is in the total already, if everything was known beforehand.
    pub(super) fn begin(&self, path: &str, expected: Option<u64>) -> Track<'a> {
        let mut sums = self.sums();
        match (expected, sums.complete) {
            (Some(_), true) => {}
            (Some(expected), false) => sums.bytes_total += u128::from(expected),
            (None, _) => sums.unsized_files += 1,
        }
        Track {
            tally: Self(self.0.clone()),
            path: path.to_owned(),
            sent: 0,
            total: expected,
            moving: None,
            done: false,
        }
    }

    /// A file has ended, one way or the other.
    pub(super) fn ended(&self, done: bool) {
        let mut sums = self.sums();
        if done {
            sums.files += 1;
        } else {
            sums.failed += 1;
        }
        sums.report(false, false);
    }

    /// Reports what was held back when its time has come, should all stand still. It never ends; it is polled after the
    /// files are.
    pub(super) async fn catch_up(&self) {
        let mut until = None;
        poll_fn(|cx| {
            while let Some(due) = self.due() {
                let sleep = until.get_or_insert_with(|| Box::pin(sleep_until(due)));
                if sleep.deadline() != due {
                    sleep.as_mut().reset(due);
                }
                ready!(sleep.as_mut().poll(cx));
                self.sums().report(true, false);
            }
            Poll::<()>::Pending
        })
        .await;
    }

    /// When what was held back is to be reported.
    fn due(&self) -> Option<Instant> {
        let sums = self.sums();
        if sums.held_back { sums.last?.checked_add(sums.interval) } else { None }
    }

    /// The last report.
    pub(super) fn finish(&self) {
        self.sums().report(true, true);
    }
}

impl Sums<'_> {
    fn report(&mut self, force: bool, finished: bool) {
        if !self.listeners.of_all() {
            return;
        }
        let now = Instant::now();
        self.held_back = !force && self.last.is_some_and(|last| now - last < self.interval);
        if self.held_back {
            return;
        }
        self.last = Some(now);
        let known = self.complete && self.unsized_files == 0;
        let bytes = shown(self.bytes);
        let progress = BatchProgress {
            files: self.files,
            failed: self.failed,
            files_total: self.files_total,
            bytes,
            bytes_total: known.then(|| shown(self.bytes_total)),
            rate: self.speed.at(now, bytes),
            finished,
        };
        if let Some(on_batch) = &mut self.listeners.on_batch {
            on_batch(progress);
        }
        if let Some(watch) = &self.listeners.watch {
            watch.send_replace(progress);
        }
    }
}

fn shown(bytes: u128) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// One file's part of the sums. Dropped before it is done, it takes its part out again.
pub(crate) struct Track<'a> {
    tally: Tally<'a>,
    path: String,
    sent: u64,
    total: Option<u64>,
    /// The attempt whose bytes move.
    moving: Option<u32>,
    done: bool,
}

impl Track<'_> {
    /// The least time between two reports.
    pub(crate) fn interval(&self) -> Duration {
        self.tally.sums().interval
    }

    pub(crate) fn report(&mut self, progress: Progress) {
        let mut sums = self.tally.sums();
        if let Some(on_file) = &mut sums.listeners.on_file {
            on_file(&self.path, progress);
        }
        if progress.total.is_some() && progress.total != self.total {
            match self.total {
                Some(expected) => sums.bytes_total -= u128::from(expected),
                None => sums.unsized_files -= 1,
            }
            sums.bytes_total += u128::from(progress.total.unwrap_or(0));
            self.total = progress.total;
        }
        let (sent, moving) = match progress.phase {
            // What is read there has not moved.
            Phase::Queued | Phase::Spooling | Phase::Hashing => (self.sent, None),
            _ => (progress.sent, Some(progress.attempt)),
        };
        // Where the server does not say how much comes, no more than was listed.
        let sent = sent.min(progress.total.or(self.total).unwrap_or(u64::MAX));
        // An attempt begins behind what an earlier download has left.
        if progress.phase == Phase::Sending && moving != self.moving {
            sums.speed.skip(sent.saturating_sub(self.sent));
        }
        sums.bytes = sums.bytes - u128::from(self.sent) + u128::from(sent);
        (self.sent, self.moving, self.done) = (sent, moving, progress.phase == Phase::Done);
        sums.report(false, false);
    }
}

impl Drop for Track<'_> {
    fn drop(&mut self) {
        if !self.done {
            let mut sums = self.tally.sums();
            sums.bytes -= u128::from(self.sent);
            match self.total {
                Some(expected) => sums.bytes_total -= u128::from(expected),
                None => sums.unsized_files -= 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Settings;
    use proptest::prelude::*;

    fn told<'a>(on_batch: impl FnMut(BatchProgress) + Send + 'a) -> Listeners<'a> {
        Listeners { on_batch: Some(Box::new(on_batch)), ..Listeners::default() }
    }

    #[test]
    fn what_comes_without_a_length_counts_as_listed() {
        let mut seen = Vec::new();
        let tally = Tally::new(told(|p| seen.push(p)), Duration::ZERO);
        tally.expect(Some(1), Some(10));
        tally.begin("a", Some(10)).report(Progress { sent: 15, phase: Phase::Sending, ..Progress::START });
        drop(tally);
        assert!(seen.iter().all(|p| p.bytes <= 10), "{seen:?}");
        assert!(seen.iter().any(|p| p.bytes == 10), "{seen:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn ten_reports_a_second_unless_told_otherwise() {
        let mut seen = Vec::new();
        let tally = Tally::new(told(|p| seen.push((p.bytes, p.finished))), Settings::default().interval);
        tally.expect(Some(1), Some(1000));
        let mut track = tally.begin("a", Some(1000));
        for sent in 1..=1000 {
            tokio::time::advance(Duration::from_millis(1)).await;
            track.report(Progress { sent, total: Some(1000), phase: Phase::Sending, ..Progress::START });
        }
        tally.finish();
        drop((track, tally));
        assert_eq!((seen[0], seen[seen.len() - 1]), ((0, false), (1000, true)));
        assert!((10..=12).contains(&seen.len()), "{seen:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_earlier_download_left_is_no_speed() {
        let mut seen = Vec::new();
        let tally = Tally::new(told(|p| seen.push((p.bytes, p.rate))), Duration::ZERO);
        tally.expect(Some(2), Some(20_000_000));
        let (mut fresh, mut left) = (tally.begin("fresh", Some(10_000_000)), tally.begin("left", Some(10_000_000)));
        let progress = |sent, attempt, phase| Progress { sent, attempt, phase, ..Progress::START };
        for (second, (sent, attempt, phase)) in [
            (0, 1, Phase::Queued),
            (9_000_000, 1, Phase::Hashing),
            (9_000_000, 1, Phase::Sending),
            (9_001_000, 1, Phase::Sending),
            (9_001_000, 1, Phase::Retrying { after: Duration::ZERO }),
            (9_002_000, 1, Phase::Sending),
        ]
        .into_iter()
        .enumerate()
        {
            fresh.report(progress(second as u64 * 1000, 1, Phase::Sending));
            left.report(progress(sent, attempt, phase));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        drop((fresh, left, tally));
        let of_both: Vec<_> = seen.iter().skip(2).step_by(2).copied().collect();
        let expected = [
            (0, None),
            (1000, Some(1000)),
            (9_002_000, Some(1000)),
            (9_004_000, Some(4000 / 3)),
            (9_005_000, Some(5000 / 4)),
            (9_007_000, Some(7000 / 5)),
        ];
        assert_eq!(of_both[..6], expected);
    }

    #[test]
    fn the_sum_stays_within_the_total() {
        let mut seen = Vec::new();
        let tally = Tally::new(told(|p| seen.push(p)), Duration::ZERO);
        tally.expect(Some(3), Some(30));
        let progress = |sent, total, phase| Progress { sent, total: Some(total), phase, ..Progress::START };
        let (mut grown, mut failing, mut good) =
            (tally.begin("a", Some(10)), tally.begin("b", Some(10)), tally.begin("c", Some(10)));
        grown.report(progress(25, 25, Phase::Sending));
        failing.report(progress(9, 10, Phase::Sending));
        good.report(progress(10, 10, Phase::Done));
        grown.report(progress(25, 25, Phase::Done));
        drop((failing, grown, good));
        tally.ended(true);
        tally.ended(true);
        tally.ended(false);
        tally.finish();
        drop(tally);
        assert!(seen.iter().all(|p| p.bytes <= p.bytes_total.unwrap()), "{seen:?}");
        let (first, last) = (seen[0], seen[seen.len() - 1]);
        assert_eq!((first.bytes, first.bytes_total, first.finished), (0, Some(30), false));
        assert_eq!((last.files, last.failed, last.bytes, last.bytes_total), (2, 1, 35, Some(35)));
        assert!(last.finished && last.percent() == Some(100.0));
    }

    proptest! {
        #[test]
        fn sums_hold_whatever_a_peer_claims(files in proptest::collection::vec(
            (proptest::option::of(any_size()), any_size(), any_size(), any::<bool>()), 0..8))
        {
            let mut seen = Vec::new();
            let tally = Tally::new(told(|p| seen.push(p)), Duration::ZERO);
            let sizes = files.iter().map(|file| file.0.map(u128::from));
            tally.expect(Some(files.len() as u64), sizes.sum::<Option<u128>>());
            for (expected, total, sent, done) in &files {
                let mut track = tally.begin("a", *expected);
                let phase = if *done { Phase::Done } else { Phase::Sending };
                track.report(Progress { sent: *sent, total: Some(*total), phase, ..Progress::START });
                drop(track);
                tally.ended(*done);
            }
            tally.finish();
            drop(tally);
            let done = || files.iter().filter(|file| file.3);
            let last = seen[seen.len() - 1];
            prop_assert_eq!(last.bytes, done().map(|file| file.2.min(file.1)).fold(0, u64::saturating_add));
            prop_assert!(last.bytes_total.is_none_or(|total| total == done().map(|file| file.1).fold(0, u64::saturating_add)));
        }
    }

    fn any_size() -> impl Strategy<Value = u64> {
        prop_oneof![0u64..1000, (u64::MAX - 1000)..=u64::MAX, any::<u64>()]
    }

    #[test]
    fn an_unknown_length_leaves_the_total_open() {
        let mut seen = Vec::new();
        let tally = Tally::new(told(|p| seen.push(p)), Duration::ZERO);
        tally.expect(None, None);
        let mut track = tally.begin("a", None);
        tally.all_begun(Some(1));
        track.report(Progress { sent: 4, phase: Phase::Hashing, ..Progress::START });
        track.report(Progress { sent: 5, phase: Phase::Sending, ..Progress::START });
        track.report(Progress { sent: 7, total: Some(7), phase: Phase::Done, ..Progress::START });
        drop(track);
        tally.finish();
        drop(tally);
        assert_eq!(seen.iter().map(|p| p.bytes_total).collect::<Vec<_>>(), [None, None, None, Some(7), Some(7)]);
        assert_eq!(
            seen.iter().map(|p| p.bytes).collect::<Vec<_>>(),
            [0, 0, 5, 7, 7],
            "what is only read has not moved"
        );
    }

    #[test]
    fn percent_and_remaining_time_are_of_what_is_known() {
        let at = |bytes, bytes_total, rate, finished| {
            let (files, failed, files_total) = (0, 0, None);
            let progress = BatchProgress { files, failed, files_total, bytes, bytes_total, rate, finished };
            (progress.percent(), progress.eta())
        };
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(at(50, Some(200), Some(10), false), (Some(25.0), seconds(15)));
        assert_eq!(at(200, Some(200), None, true), (Some(100.0), seconds(0)));
        assert_eq!(at(50, Some(200), Some(0), false), (Some(25.0), None));
        assert_eq!(at(50, None, Some(10), false), (None, None));
        assert_eq!(at(0, Some(0), None, false), (Some(0.0), None));
        assert_eq!(at(0, Some(0), None, true), (Some(100.0), seconds(0)));
    }
}

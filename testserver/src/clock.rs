//! The server's idea of "now", which a test can move.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

/// The clock of one server: the machine's, plus whatever a test has added.
///
/// Clones share the same time. Expiry, time stamps and cache lifetimes follow it; time-outs of connections
/// (a body that comes too slowly) do not: they use tokio's timer, which a test can pause.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    ahead_micros: Arc<AtomicI64>,
}

impl Clock {
    /// Moves "now" ahead by `step`, at once and for good.
    pub fn advance(&self, step: Duration) {
        let micros = i64::try_from(step.as_micros()).unwrap_or(i64::MAX);
        // Saturating, so that a silly step cannot wrap the clock back into the past.
        let _ = self
            .ahead_micros
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |ahead| Some(ahead.saturating_add(micros)));
    }

    /// Makes it this moment now, in the past or the future; from there the clock goes on.
    pub fn set(&self, now: SystemTime) {
        let ahead = DateTime::<Utc>::from(now).signed_duration_since(Utc::now());
        self.ahead_micros.store(ahead.num_microseconds().unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// What the server takes for the present moment, with the 100 ns grain of .NET time stamps.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let ahead = TimeDelta::microseconds(self.ahead_micros.load(Ordering::SeqCst));
        let now = Utc::now().checked_add_signed(ahead).unwrap_or(DateTime::<Utc>::MAX_UTC);
        now.duration_trunc(TimeDelta::nanoseconds(100)).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advancing_moves_every_clone() {
        let clock = Clock::default();
        let other = clock.clone();
        let before = other.now();
        clock.advance(Duration::from_secs(3600));
        assert!(other.now() - before >= TimeDelta::seconds(3600));
    }

    #[test]
    fn it_can_be_set_back_and_goes_on() {
        let clock = Clock::default();
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_256_515);
        clock.set(then);
        clock.advance(Duration::from_secs(60));
        let past = clock.now() - DateTime::<Utc>::from(then);
        assert!(past >= TimeDelta::seconds(60) && past < TimeDelta::seconds(3600), "{past}");
    }

    #[test]
    fn the_grain_is_a_hundred_nanoseconds() {
        assert_eq!(Clock::default().now().timestamp_subsec_nanos() % 100, 0);
    }
}

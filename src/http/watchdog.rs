//! Notices that an attempt stands still, and in which phase.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::body::Gauge;
use crate::error::TimeoutPhase;

/// Runs beside an attempt.
pub(crate) struct Watchdog<'a> {
    pub(crate) start: Instant,
    /// `None`: there is no body, so nothing tells when the connection is there and the request has been sent.
    pub(crate) gauge: Option<&'a Gauge>,
    pub(crate) response: Duration,
    pub(crate) idle: Duration,
}

impl Watchdog<'_> {
    /// Ends when a limit has passed.
    pub(crate) async fn expired(&self) -> TimeoutPhase {
        loop {
            let now = Instant::now();
            let (deadline, phase) = match self.gauge {
                None => (later(self.start, self.response), TimeoutPhase::Response),
                Some(gauge) if gauge.has_ended() => (later(gauge.last_asked(), self.response), TimeoutPhase::Response),
                // The source is slow: that is its own affair, or the server's, not the connection's.
                Some(gauge) if gauge.is_starved() => (later(now, self.idle), TimeoutPhase::Send),
                Some(gauge) => (later(gauge.last_asked(), self.idle), TimeoutPhase::Send),
            };
            if deadline <= now {
                return phase;
            }
            // The body may end while this sleeps: from then on the limit for the answer runs.
            sleep_until(deadline.min(later(now, self.response))).await;
        }
    }
}

/// A moment so much later; `Duration::MAX` and its like stand for "never".
pub(crate) fn later(from: Instant, by: Duration) -> Instant {
    const AGES: Duration = Duration::from_secs(86_400 * 365 * 30);
    from.checked_add(by).unwrap_or_else(|| from + AGES)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limit of a body that stands still is longer: who slept through to its end would notice too late.
    #[tokio::test(start_paused = true)]
    async fn the_limit_for_the_answer_runs_from_the_end_of_a_body_that_stood_still() {
        let (start, gauge) = (Instant::now(), Gauge::new());
        let [response, idle] = [5, 60].map(Duration::from_secs);
        let watchdog = Watchdog { start, gauge: Some(&gauge), response, idle };
        let body = async {
            sleep_until(start + Duration::from_secs(31)).await;
            gauge.end_at_once();
        };
        let (phase, ()) = tokio::join!(watchdog.expired(), body);
        assert_eq!((phase, start.elapsed().as_secs()), (TimeoutPhase::Response, 36));
    }
}

//! When the server was last heard of.

use chrono::{DateTime, Utc};
use tokio::time::Instant;

/// What a limit for its silence, and the time that a loss is told to begin at, are counted from.
///
/// The second is by the wall clock, as the other one stands still while the machine sleeps. And what is read after a sleep,
/// or while this process was stopped, came at any time since there was last nothing to read: that is when it was heard.
#[derive(Debug)]
pub(super) struct Heard {
    /// When the last messages were read.
    pub(super) at: Instant,
    /// When there was nothing to read, before they came.
    pub(super) since: DateTime<Utc>,
    /// When there was nothing to read, after them.
    drained: DateTime<Utc>,
}

impl Heard {
    /// Before anything is said.
    pub(super) fn new(at: Instant, now: DateTime<Utc>) -> Self {
        Self { at, since: now, drained: now }
    }

    /// The first of some messages was read.
    pub(super) fn begin(&mut self, at: Instant) {
        self.at = at;
        self.since = self.drained;
    }

    /// The last of them was read: what comes later was sent later, but for its way.
    pub(super) fn end(&mut self, now: DateTime<Utc>) {
        self.drained = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    /// A machine that sleeps for a day, and then reads what came before: by the clock that stands still, a moment ago.
    #[test]
    fn what_is_read_after_a_sleep_may_have_come_before_it() {
        let (start, now) = (Utc::now(), Instant::now());
        let after = |seconds| start + TimeDelta::seconds(seconds);
        let mut heard = Heard::new(now, start);
        heard.begin(now);
        heard.end(after(1));
        assert_eq!(heard.since, start, "nothing was heard before");
        heard.begin(now);
        heard.end(after(86_400));
        assert_eq!(heard.since, after(1));
        // More than is read at a time.
        heard.begin(now);
        heard.begin(now);
        assert_eq!(heard.since, after(86_400));
    }
}

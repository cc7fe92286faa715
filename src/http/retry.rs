//! When to try again, and how long to wait before it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::time::Instant;

use super::body::RequestBody;
use super::request::{Replay, Request};
use super::watchdog::later;
use crate::error::{Error, ErrorKind, Fate, Result, TimeoutPhase};

/// How often a call is tried, and how long is waited between the tries.
///
/// Only what is safe to repeat is repeated: what never reached the server, and calls that do the same when done twice.
/// The waiting time is drawn between zero and `base · 2ⁿ`, at most `max_delay` ("full jitter"). It comes on top of a
/// server's `Retry-After` of up to `max_retry_after`, so that not all come back at once. All calls of a client share a retry
/// budget: when most calls fail, they stop retrying, so that an outage is not multiplied. It is good for 50 retries at most;
/// ten answers of a server that is well (refusals such as a 404 among them), or ten seconds, give one back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Attempts in all, the first included; 1 means never retry. Default 4.
    pub max_attempts: u32,
    /// The upper bound of the first waiting time. Default 200 ms.
    pub base_delay: Duration,
    /// The upper bound of every waiting time that the server did not ask for. Default 10 s.
    pub max_delay: Duration,
    /// A longer `Retry-After` than this ends the call with its error. Default 60 s.
    pub max_retry_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 4,
            base_delay: Duration::from_millis(200),
            max_delay: Duration::from_secs(10),
            max_retry_after: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// Every call is tried once.
    #[must_use]
    pub fn never() -> Self {
        Self { max_attempts: 1, ..Self::default() }
    }

    /// Sets the number of attempts in all. With 0 nothing could be sent: calls are `InvalidInput`.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Sets the upper bound of the first waiting time.
    #[must_use]
    pub fn base_delay(mut self, delay: Duration) -> Self {
        self.base_delay = delay;
        self
    }

    /// Sets the upper bound of every waiting time.
    #[must_use]
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// Sets the longest `Retry-After` that is waited for.
    #[must_use]
    pub fn max_retry_after(mut self, delay: Duration) -> Self {
        self.max_retry_after = delay;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        match self.max_attempts {
            0 => Err(Error::invalid_input("max_attempts", "at least one attempt has to be made")),
            _ => Ok(()),
        }
    }

    /// The waiting time after `attempt` (from 1) failed, or `None` where the server asks for more than is allowed.
    fn delay(&self, attempt: u32, retry_after: Option<Duration>) -> Option<Duration> {
        let jittered = jittered(self.base_delay, self.max_delay, attempt);
        match retry_after {
            Some(floor) if floor > self.max_retry_after => None,
            // Not all of those that were told so at the same moment.
            Some(floor) => Some(floor.saturating_add(jittered)),
            None => Some(jittered),
        }
    }

    /// The waiting time before another try, after so many failures: `None` where there may be none, or its time would be over.
    pub(crate) fn pause(
        &self,
        failures: u32,
        retry_after: Option<Duration>,
        deadline: Option<Instant>,
    ) -> Option<Duration> {
        let delay = self.delay(failures, retry_after).filter(|_| failures < self.max_attempts)?;
        deadline.is_none_or(|deadline| later(Instant::now(), delay) < deadline).then_some(delay)
    }
}

/// A waiting time after the `failures`-th failure in a row (from 1): exponential, with full jitter.
pub(crate) fn jittered(base: Duration, most: Duration, failures: u32) -> Duration {
    base.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(most).mul_f64(fastrand::f64())
}

/// The order matters: what was never sent may go again whatever it is; what may have been carried out only if doing it
/// twice is the same; and then the failure must be one that passes.
pub(super) fn may_retry(request: &Request, body: &dyn RequestBody, error: &Error) -> bool {
    match error.fate() {
        Fate::NeverSent => {
            matches!(
                error.kind(),
                ErrorKind::Connect | ErrorKind::Interrupted | ErrorKind::Timeout(TimeoutPhase::Connect)
            )
        }
        _ if request.replay == Replay::Never => false,
        Fate::Unknown if request.replay == Replay::UnlessSentWhole && body.was_sent_whole() => false,
        Fate::Answered if request.replay == Replay::UnlessSentWhole => {
            match error.status().map(|status| status.as_u16()) {
                Some(408 | 429) => true,
                Some(503) => !body.was_sent_whole(),
                _ => false,
            }
        }
        Fate::Unknown => error.kind() == ErrorKind::Interrupted,
        // A 408, or what a storage says in place of it.
        Fate::Answered if error.kind() == ErrorKind::Timeout(TimeoutPhase::Send) => true,
        // Of something on the way that has lost the service for a while.
        Fate::Answered if request.was_there && error.is_not_found() && !error.tells_of_absence() => true,
        Fate::Answered => match error.status() {
            Some(StatusCode::INTERNAL_SERVER_ERROR) => !request.lasting_500,
            Some(status) => matches!(status.as_u16(), 408 | 429 | 502 | 503 | 504),
            None => false,
        },
    }
}

/// The hint of an error after which a body could not be sent again.
pub(crate) const READ_ONCE: &str =
    "The body can be read only once, so it was not sent again: use a path, bytes or Source::factory";

/// Whether a server that answers so is well, whatever it refuses: not one that has failed or has too much to do.
pub(super) fn is_of_healthy_server(error: &Error) -> bool {
    let well = |status: StatusCode| !status.is_server_error() && !matches!(status.as_u16(), 408 | 429);
    error.fate() == Fate::Answered && error.status().is_some_and(well)
}

/// A token bucket shared by the calls of a client: a retry takes ten, an answer of a healthy server gives one back, and so
/// does each second.
#[derive(Debug)]
pub(crate) struct Budget {
    start: Instant,
    /// What there was when one was last taken, and has been given back since; in the upper half when that was, in seconds
    /// after the start.
    left: AtomicU64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { start: Instant::now(), left: AtomicU64::new(Self::FULL) }
    }
}

impl Budget {
    const FULL: u64 = 500;
    const RETRY_COST: u64 = 10;
    const COUNT: u64 = u32::MAX as u64;

    pub(crate) fn take(&self) -> bool {
        let now = self.start.elapsed().as_secs();
        let take = |left: u64| {
            let (count, then) = (left & Self::COUNT, left >> 32);
            // Another thread may have taken one a moment later.
            let count = (count + now.saturating_sub(then)).min(Self::FULL);
            Some(count.checked_sub(Self::RETRY_COST)? | now.max(then) << 32)
        };
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    pub(crate) fn give_back(&self) {
        // Full is the usual state: then nothing is written, and cores don't fight for the line.
        if self.left.load(Ordering::Relaxed) & Self::COUNT < Self::FULL {
            self.left.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// `Retry-After`: seconds or an HTTP date (RFC 9110 section 10.2.3), by the clock of whoever answered where the answer tells
/// its time. Where something on the way has added one of its own, both have to be waited for.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let date = |value: &HeaderValue| httpdate::parse_http_date(value.to_str().ok()?.trim()).ok();
    let now = || headers.get(header::DATE).and_then(date).unwrap_or_else(SystemTime::now);
    let wait = |value: &HeaderValue| {
        let seconds = value.to_str().ok()?.trim();
        if !seconds.is_empty() && seconds.bytes().all(|b| b.is_ascii_digit()) {
            // More than 64 bits hold is for ever, not nothing.
            return Some(Duration::from_secs(seconds.parse().unwrap_or(u64::MAX)));
        }
        Some(date(value)?.duration_since(now()).unwrap_or_default())
    };
    headers.get_all(header::RETRY_AFTER).iter().filter_map(wait).max()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use http::HeaderName;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn delay_stays_in_its_bounds(attempt in 1u32..60, base in 0u64..5_000, after in proptest::option::of(0u64..60)) {
            let policy = RetryPolicy::default().base_delay(Duration::from_millis(base));
            let floor = after.map(Duration::from_secs);
            let delay = policy.delay(attempt, floor).unwrap();
            prop_assert!(delay >= floor.unwrap_or_default());
            prop_assert!(delay <= policy.max_delay + floor.unwrap_or_default());
        }

        /// Nor the wait that comes of it, as long as a server may ask for.
        #[test]
        fn no_header_of_a_server_makes_a_panic(
            value in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                "[0-9]{0,30}".prop_map(String::into_bytes),
                "(Mon|Sun), [0-9]{2} (Jan|Dec) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT".prop_map(String::into_bytes),
            ],
        ) {
            let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, value);
            let asked = retry_after(&headers);
            let delay = RetryPolicy::default().max_retry_after(Duration::MAX).delay(60, asked);
            prop_assert!(delay.is_some_and(|delay| delay >= asked.unwrap_or_default()));
        }
    }

    #[test]
    fn a_servers_word_on_when_to_come_back_makes_no_herd() {
        let floor = Some(Duration::from_secs(10));
        let delays: HashSet<_> = (0..50).map(|_| RetryPolicy::default().delay(1, floor)).collect();
        assert!(delays.len() > 40, "{delays:?}");
    }

    #[test]
    fn a_long_retry_after_ends_the_call() {
        assert_eq!(RetryPolicy::default().delay(1, Some(Duration::from_secs(3600))), None);
        let (second, two) = (Duration::from_secs(1), Duration::from_secs(2));
        assert_eq!(RetryPolicy::default().max_retry_after(second).delay(1, Some(two)), None);
        assert!(RetryPolicy::default().max_retry_after(two).delay(1, Some(two)) >= Some(two));
    }

    #[test]
    fn the_budget_runs_dry_and_recovers() {
        let budget = Budget::default();
        assert_eq!((0..100).filter(|_| budget.take()).count(), 50);
        (0..10).for_each(|_| budget.give_back());
        assert!(budget.take() && !budget.take());
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_comes_back_with_time() {
        let budget = Budget::default();
        let pass = async |seconds| tokio::time::advance(Duration::from_millis(seconds)).await;
        pass(500).await;
        while budget.take() {}
        // A second begun is not lost, however often it is asked for.
        for _ in 0..18 {
            pass(500).await;
            assert!(!budget.take());
        }
        pass(500).await;
        assert!(budget.take() && !budget.take());
        (0..5).for_each(|_| budget.give_back());
        pass(5000).await;
        assert!(budget.take() && !budget.take());
        pass(3_600_000).await;
        assert_eq!((0..100).filter(|_| budget.take()).count(), 50, "never more than full");
    }

    #[test]
    fn retry_after_reads_both_forms() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_str(text).unwrap());
            retry_after(&headers)
        };
        assert_eq!(read("3"), Some(Duration::from_secs(3)));
        assert_eq!(read("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("soon"), None);
        assert_eq!(read("-1"), None);
        assert_eq!(read(""), None);
        assert_eq!(read("99999999999999999999"), Some(Duration::from_secs(u64::MAX)));
        assert_eq!(RetryPolicy::default().delay(1, read("99999999999999999999")), None);
    }

    #[test]
    fn the_longest_retry_after_counts_by_the_clock_of_the_answer() {
        let read = |fields: &[(HeaderName, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(name.clone(), HeaderValue::from_static(value));
            }
            retry_after(&headers).map(|after| after.as_secs())
        };
        let (after, date) = (header::RETRY_AFTER, header::DATE);
        let [at, then, before] =
            ["Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:05 GMT", "Wed, 21 Oct 2015 07:27:00 GMT"];
        assert_eq!(read(&[(date.clone(), at), (after.clone(), then)]), Some(5));
        assert_eq!(read(&[(date.clone(), at), (after.clone(), before)]), Some(0));
        assert_eq!(read(&[(date.clone(), "now"), (after.clone(), then)]), Some(0), "by this machine's");
        assert_eq!(read(&[(after.clone(), "0"), (after.clone(), "120"), (after.clone(), "soon")]), Some(120));
        assert_eq!(read(&[(date, at), (after.clone(), "3"), (after, then)]), Some(5));
    }
}

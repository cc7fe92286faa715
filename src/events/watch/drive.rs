//! What keeps a view right: the events, the listings and the look-ups behind it.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, Fuse, FuturesUnordered};
use futures::{FutureExt, StreamExt};
use tokio::time::{Instant, sleep_until};

use super::WatchEvent;
use super::source::{Arrivals, Reasons, Row, Source, Subscribing, Told};
use super::view::{Change, View};
use crate::error::{Error, ErrorKind, Result};
use crate::events::event::Arrival;
use crate::http::later;
use crate::paging::Page;

/// How often things are done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) relist: Duration,
    /// More look-ups than this would cost more than a listing.
    pub(crate) look_ups: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { relist: Duration::from_secs(60), look_ups: 64 }
    }
}

impl Pace {
    /// The time from the end of one listing to the next.
    fn pause(self) -> Duration {
        self.relist.min(AGES).mul_f64(0.9 + 0.2 * fastrand::f64()).max(BREATH)
    }
}

/// As good as never, and far from the end of time.
const AGES: Duration = Duration::from_secs(86_400 * 365 * 30);
/// Between two listings there is at least this, however many causes there are.
const BREATH: Duration = Duration::from_millis(100);
/// A listing in place of look-ups comes no sooner after the last one, nor sooner than that one took.
const INSTEAD: Duration = Duration::from_secs(2);
/// Where a row is there though its time has passed, the first listing after it comes so soon; each further one takes twice
/// as long.
const OVERDUE: Duration = Duration::from_secs(1);
/// So many events are taken before what they changed is passed on.
const BATCH: usize = 256;

/// The steps of a watch, and no more once they have ended.
pub(super) type Steps<R> = Fuse<BoxStream<'static, Result<WatchEvent<R>>>>;

/// The steps of a watch. Everything is done as they are polled: there is no task behind them.
pub(super) fn steps<S: Source>(source: S, pace: Pace) -> Steps<S::Row> {
    let driver = Driver {
        events: None,
        subscribing: None,
        view: View::new(),
        listing: None,
        listed_once: false,
        next_listing: Instant::now(),
        rest_until: Instant::now(),
        began: Instant::now(),
        crowded: false,
        instead_from: Instant::now(),
        failures: 0,
        overdue: 0,
        said_to_be_gone: false,
        lookups: FuturesUnordered::new(),
        asked: HashMap::new(),
        out: VecDeque::new(),
        end: None,
        ended: false,
        source,
        pace,
    };
    stream::unfold(driver, |mut driver| async move {
        let step = driver.next().await?;
        Some((step, driver))
    })
    .boxed()
    .fuse()
}

/// A key, and what the server says of it.
type LookUp<R> = BoxFuture<'static, (String, Result<Option<R>>)>;

struct Driver<S: Source> {
    source: S,
    pace: Pace,
    events: Option<Arrivals>,
    /// The first subscription, and why it waits.
    subscribing: Option<(Subscribing, Reasons)>,
    view: View<S::Row>,
    listing: Option<BoxStream<'static, Result<Page<S::Row>>>>,
    listed_once: bool,
    /// When there is cause for the next listing. One that is under way is let to its end.
    next_listing: Instant,
    /// Whatever the cause, none begins before.
    rest_until: Instant,
    /// When the last listing began.
    began: Instant,
    /// The next one is to stand for look-ups too, or for what could not be read.
    crowded: bool,
    /// From when on one may do that.
    instead_from: Instant,
    /// Listings in a row that failed.
    failures: u32,
    /// Listings in a row that had a row whose time had passed.
    overdue: u32,
    /// The last listing was refused for there being nothing to list.
    said_to_be_gone: bool,
    lookups: FuturesUnordered<LookUp<S::Row>>,
    /// Keys that are being looked up.
    asked: HashMap<String, Since>,
    out: VecDeque<WatchEvent<S::Row>>,
    /// Comes after what is in `out`.
    end: Option<Error>,
    ended: bool,
}

/// What events have said of a key since it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Since {
    Nothing,
    /// That it is different once more.
    Different,
    /// What it is.
    Told,
}

/// What has happened while a driver waited.
enum News<R> {
    Event(Option<Result<Arrival>>),
    Page(Option<Result<Page<R>>>),
    LookedUp(String, Result<Option<R>>),
    TimeToList,
}

impl<S: Source> Driver<S> {
    async fn next(&mut self) -> Option<Result<WatchEvent<S::Row>>> {
        loop {
            if let Some(step) = self.out.pop_front() {
                return Some(Ok(step));
            }
            if self.ended {
                return None;
            }
            if let Some(error) = self.end.take() {
                self.ended = true;
                return Some(Err(error));
            }
            if let Err(error) = self.advance().await {
                self.end = Some(error);
            }
        }
    }

    async fn advance(&mut self) -> Result<()> {
        let Some(events) = &mut self.events else { return self.subscribe().await };
        // What happens during the first listing waits in the buffer, so that the first listing comes first.
        let cause = if self.crowded { self.next_listing.min(self.instead_from) } else { self.next_listing };
        let due = cause.max(self.rest_until);
        let listing = self.listing.as_mut();
        let (is_listing, first) = (listing.is_some(), !self.listed_once);
        let news = tokio::select! {
            event = events.next(), if !first => News::Event(event),
            Some((key, found)) = self.lookups.next(), if !self.lookups.is_empty() => News::LookedUp(key, found),
            page = async { match listing { Some(listing) => listing.next().await, None => None } }, if is_listing => {
                News::Page(page)
            }
            () = sleep_until(due), if !is_listing => News::TimeToList,
        };
        match news {
            News::Event(event) => self.take_events(event)?,
            News::LookedUp(key, found) => self.looked_up(key, found),
            News::Page(Some(Ok(page))) => self.listed(page),
            News::Page(Some(Err(error))) => self.listing_failed(error)?,
            News::Page(None) => self.end_listing(),
            News::TimeToList => self.begin_listing(),
        }
        self.look_up_doubts();
        Ok(())
    }

    /// Before the first listing, so that nothing falls between the two.
    async fn subscribe(&mut self) -> Result<()> {
        let source = &self.source;
        let (subscribing, reasons) = self.subscribing.get_or_insert_with(|| (source.subscribe(), source.waits()));
        tokio::select! {
            biased;
            events = subscribing => self.events = Some(events?),
            Some(reason) = reasons.next() => {
                self.out.push_back(WatchEvent::Waiting { reason });
                return Ok(());
            }
        }
        self.subscribing = None;
        self.view.resume(Instant::now());
        self.out.push_back(WatchEvent::Init);
        self.begin_listing();
        Ok(())
    }

    /// Takes an event, and those that are there as well.
    fn take_events(&mut self, first: Option<Result<Arrival>>) -> Result<()> {
        let mut next = first;
        let mut taken = 0;
        loop {
            match next {
                Some(event) => self.event(event?),
                None => return Err(Error::new(ErrorKind::Interrupted, "the stream of events has ended")),
            }
            taken += 1;
            let Some(events) = self.events.as_mut().filter(|_| taken < BATCH && self.end.is_none()) else {
                return Ok(());
            };
            next = match events.next().now_or_never() {
                Some(item) => item,
                None => return Ok(()),
            };
        }
    }

    fn event(&mut self, Arrival { at, event }: Arrival) {
        match self.source.told(event) {
            Told::Nothing => {}
            Told::Stored(row) => {
                self.touch(row.key(), Since::Told);
                let change = self.view.stored(row, at);
                self.tell(change);
            }
            Told::Gone(key) => {
                self.touch(&key, Since::Told);
                let change = self.view.gone(key, at);
                self.tell(change);
            }
            Told::Different(key) => {
                if !self.touch(&key, Since::Different) {
                    self.view.doubt(key);
                }
            }
            Told::Gap => {
                self.resume(at);
                self.list_at(Instant::now() + BREATH);
            }
            // All events of a server of another version may be such: they make no listings back to back.
            Told::Unreadable => {
                self.resume(at);
                self.crowded = true;
            }
            Told::AllGone => self.all_gone(Error::new(ErrorKind::NotFound, "the bucket was deleted")),
        }
    }

    /// Events were lost, and come again from `at` on. What is being looked up may be older than they: it is asked again.
    fn resume(&mut self, at: Instant) {
        self.asked.values_mut().for_each(|since| *since = Since::Told);
        self.view.resume(at);
    }

    /// Notes that an event about it has come; whether it is being looked up.
    fn touch(&mut self, key: &str, now: Since) -> bool {
        match self.asked.get_mut(key) {
            Some(since) => {
                *since = now.max(*since);
                true
            }
            None => false,
        }
    }

    fn tell(&mut self, changes: impl IntoIterator<Item = Change<S::Row>>) {
        for change in changes {
            let step = match change {
                Change::Set(row) => {
                    self.list_when_expired(row.expires_at());
                    WatchEvent::Changed(row)
                }
                Change::Removed(key) => WatchEvent::Removed(key),
            };
            self.out.push_back(step);
        }
    }

    fn look_up_doubts(&mut self) {
        let doubts: Vec<String> = self.view.take_doubts().collect();
        if doubts.len() + self.asked.len() > self.pace.look_ups {
            self.crowded = true;
            return;
        }
        for key in doubts {
            if !self.touch(&key, Since::Told) {
                let look = self.source.look(key.clone());
                self.asked.insert(key.clone(), Since::Nothing);
                self.lookups.push(Box::pin(async move { (key, look.await) }));
            }
        }
    }

    fn looked_up(&mut self, key: String, found: Result<Option<S::Row>>) {
        let since = self.asked.remove(&key).unwrap_or(Since::Nothing);
        let Ok(row) = found else { return self.list_at(Instant::now() + BREATH) };
        // What was seen may be older than what an event has told since; but not than what is shown, where none told.
        if since < Since::Told {
            let change = self.view.looked_up(key.clone(), row, Instant::now());
            self.tell(change);
        }
        if since > Since::Nothing {
            self.view.doubt(key);
        }
    }

    fn list_at(&mut self, at: Instant) {
        self.next_listing = self.next_listing.min(at);
    }

    fn list_when_expired(&mut self, at: Option<DateTime<Utc>>) {
        let Some(at) = at else { return };
        let wait = match (at - Utc::now()).to_std() {
            Ok(left) => left.saturating_add(BREATH),
            // Not yet by the server's clock, which this one is ahead of.
            Err(_) => OVERDUE.saturating_mul(1 << self.overdue.min(16)),
        };
        self.list_at(later(Instant::now(), wait));
    }

    fn begin_listing(&mut self) {
        (self.began, self.crowded) = (Instant::now(), false);
        self.view.begin_listing();
        self.listing = Some(self.source.list());
        // Until there is cause for another. One that arises before this one has ended waits for that.
        self.next_listing = later(Instant::now(), AGES);
    }

    fn listed(&mut self, page: Page<S::Row>) {
        if !self.listed_once {
            for row in &page {
                // One that is listed again, since the first listing broke off, is told only if it has changed.
                if let Some(Change::Set(row)) = self.view.set(row.clone()) {
                    self.out.push_back(WatchEvent::Listed(row));
                }
            }
        }
        self.view.listed(page.items);
    }

    fn end_listing(&mut self) {
        self.listing = None;
        self.said_to_be_gone = false;
        let now = Instant::now();
        let changes = self.view.end_listing(now);
        self.tell(changes);
        if std::mem::take(&mut self.failures) > 0 {
            self.out.push_back(WatchEvent::ListingSucceeded);
        }
        if !std::mem::replace(&mut self.listed_once, true) {
            self.out.push_back(WatchEvent::InitDone);
        }
        self.rest_until = now + BREATH;
        self.instead_from = now + INSTEAD.max(now - self.began);
        self.list_at(later(now, self.pace.pause()));
        let present = Utc::now();
        let expiries = || self.view.rows().filter_map(Row::expires_at);
        let (next, overdue) = (expiries().filter(|at| *at > present).min(), expiries().find(|at| *at <= present));
        self.list_when_expired(next);
        self.list_when_expired(overdue);
        self.overdue = if overdue.is_some() { self.overdue.saturating_add(1) } else { 0 };
    }

    /// Before the first listing is complete, what will not pass by itself ends the watch. After it, only the server's own
    /// word that there is nothing to list any more does, given twice: an answer of something on the way does not.
    fn listing_failed(&mut self, error: Error) -> Result<()> {
        self.listing = None;
        self.view.drop_listing();
        let is_gone = self.source.is_gone(&error);
        let was_said = std::mem::replace(&mut self.said_to_be_gone, is_gone);
        if is_gone && was_said || error.is_not_found() && !self.listed_once {
            self.all_gone(error);
            return Ok(());
        }
        if !self.listed_once && !error.is_retryable() {
            return Err(error);
        }
        let wait = if is_gone {
            BREATH
        } else {
            self.failures += 1;
            self.out.push_back(WatchEvent::ListingFailed { reason: error.to_string() });
            self.source.settings().delay(self.failures, error.retry_after()).max(BREATH)
        };
        self.rest_until = later(Instant::now(), wait);
        self.list_at(self.rest_until);
        Ok(())
    }

    fn all_gone(&mut self, error: Error) {
        let changes = self.view.clear();
        self.tell(changes);
        self.end = Some(error);
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

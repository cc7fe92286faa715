//! What keeps a view right: the events, the listings and the look-ups behind it.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use chrono::Utc;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, FuturesUnordered};
use tokio::time::{Instant, sleep_until};

use super::source::{Row, Source, Told};
use super::view::{Change, View};
use crate::error::{Error, ErrorKind, Result};
use crate::events::event::Event;
use crate::events::subscribe::EventStream;
use crate::http::later;
use crate::paging::Page;

/// What a watch tells.
#[derive(Debug)]
pub(crate) enum Step<R> {
    Init,
    Listed(R),
    InitDone,
    Changed(R),
    Removed(String),
}

/// How often things are done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) relist: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { relist: Duration::from_secs(60) }
    }
}

impl Pace {
    /// The time from one listing to the next.
    fn pause(self) -> Duration {
        self.relist.min(AGES).mul_f64(0.9 + 0.2 * fastrand::f64()).max(BREATH)
    }
}

/// As good as never, and far from the end of time.
const AGES: Duration = Duration::from_secs(86_400 * 365 * 30);
/// Between two listings there is at least this, however many causes there are.
const BREATH: Duration = Duration::from_millis(100);
/// More look-ups than this would cost more than a listing.
const MOST_LOOKUPS: usize = 64;
/// So many events are taken before what they changed is passed on.
const BATCH: usize = 256;

/// The steps of a watch. Everything is done as they are polled: there is no task behind them.
pub(super) fn steps<S: Source>(source: S, pace: Pace) -> BoxStream<'static, Result<Step<S::Row>>> {
    let driver = Driver {
        events: None,
        view: View::new(),
        listing: None,
        listed_once: false,
        next_listing: Instant::now(),
        failures: 0,
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
}

/// A key, and what the server says of it.
type LookUp<R> = BoxFuture<'static, (String, Result<Option<R>>)>;

struct Driver<S: Source> {
    source: S,
    pace: Pace,
    events: Option<EventStream>,
    view: View<S::Row>,
    listing: Option<BoxStream<'static, Result<Page<S::Row>>>>,
    listed_once: bool,
    next_listing: Instant,
    /// Listings in a row that failed.
    failures: u32,
    lookups: FuturesUnordered<LookUp<S::Row>>,
    /// Keys that are being looked up, and whether an event about them has come meanwhile.
    asked: HashMap<String, bool>,
    out: VecDeque<Step<S::Row>>,
    /// Comes after what is in `out`.
    end: Option<Error>,
    ended: bool,
}

/// What has happened while a driver waited.
enum News<R> {
    Event(Option<Result<Event>>),
    Page(Option<Result<Page<R>>>),
    LookedUp(String, Result<Option<R>>),
    TimeToList,
}

impl<S: Source> Driver<S> {
    async fn next(&mut self) -> Option<Result<Step<S::Row>>> {
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
        let Some(events) = &mut self.events else {
            // Before the first listing, so that nothing falls between the two.
            self.events = Some(self.source.subscribe().await?);
            self.out.push_back(Step::Init);
            self.begin_listing();
            return Ok(());
        };
        // What happens during the first listing waits in the buffer, so that the first listing comes first.
        let listing = self.listing.as_mut();
        let (is_listing, first) = (listing.is_some(), !self.listed_once);
        let news = tokio::select! {
            event = events.next(), if !first => News::Event(event),
            Some((key, found)) = self.lookups.next(), if !self.lookups.is_empty() => News::LookedUp(key, found),
            page = async { match listing { Some(listing) => listing.next().await, None => None } }, if is_listing => {
                News::Page(page)
            }
            () = sleep_until(self.next_listing), if !is_listing => News::TimeToList,
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

    /// Takes an event, and those that are there as well.
    fn take_events(&mut self, first: Option<Result<Event>>) -> Result<()> {
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
            next = match events.next_ready() {
                Some(item) => item,
                None => return Ok(()),
            };
        }
    }

    fn event(&mut self, event: Event) {
        let now = Instant::now();
        match self.source.told(event) {
            Told::Nothing => {}
            Told::Stored(row) => {
                self.touch(row.key());
                let change = self.view.stored(row, now);
                self.tell(change);
            }
            Told::Gone(key) => {
                self.touch(&key);
                let change = self.view.gone(key, now);
                self.tell(change);
            }
            Told::Different(key) => {
                if !self.touch(&key) {
                    self.view.doubt(key);
                }
            }
            Told::Gap => {
                // A listing under way may have begun before the gap.
                self.listing = None;
                self.view.drop_listing();
                self.list_at(now + BREATH);
            }
            Told::AllGone => self.all_gone(Error::new(ErrorKind::NotFound, "the bucket was deleted")),
        }
    }

    /// Notes that an event about it has come; whether it is being looked up.
    fn touch(&mut self, key: &str) -> bool {
        match self.asked.get_mut(key) {
            Some(touched) => {
                *touched = true;
                true
            }
            None => false,
        }
    }

    fn tell(&mut self, changes: impl IntoIterator<Item = Change<S::Row>>) {
        self.out.extend(changes.into_iter().map(|change| match change {
            Change::Set(row) => Step::Changed(row),
            Change::Removed(key) => Step::Removed(key),
        }));
    }

    fn look_up_doubts(&mut self) {
        let doubts: Vec<String> = self.view.take_doubts().collect();
        if doubts.len() + self.asked.len() > MOST_LOOKUPS {
            self.list_at(Instant::now() + BREATH);
            return;
        }
        for key in doubts {
            if !self.touch(&key) {
                let look = self.source.look(key.clone());
                self.asked.insert(key.clone(), false);
                self.lookups.push(Box::pin(async move { (key, look.await) }));
            }
        }
    }

    fn looked_up(&mut self, key: String, found: Result<Option<S::Row>>) {
        // What was seen may be older than what an event has told since.
        if self.asked.remove(&key) == Some(true) {
            return self.view.doubt(key);
        }
        match found {
            Ok(row) => {
                let change = self.view.looked_up(key, row);
                self.tell(change);
            }
            Err(_) => self.list_at(Instant::now() + BREATH),
        }
    }

    fn list_at(&mut self, at: Instant) {
        self.next_listing = self.next_listing.min(at);
    }

    fn begin_listing(&mut self) {
        self.view.begin_listing();
        self.listing = Some(self.source.list());
        // For when it is done. A gap meanwhile brings it forward.
        self.next_listing = later(Instant::now(), self.pace.pause());
    }

    fn listed(&mut self, page: Page<S::Row>) {
        if !self.listed_once {
            for row in &page {
                // One that is listed again, since the first listing broke off, is told only if it has changed.
                if let Some(Change::Set(row)) = self.view.looked_up(row.key().to_owned(), Some(row.clone())) {
                    self.out.push_back(Step::Listed(row));
                }
            }
        }
        self.view.listed(page.items);
    }

    fn end_listing(&mut self) {
        self.listing = None;
        self.failures = 0;
        let changes = self.view.end_listing();
        self.tell(changes);
        if !std::mem::replace(&mut self.listed_once, true) {
            self.out.push_back(Step::InitDone);
        }
        let now = Utc::now();
        let expires = self.view.rows().filter_map(Row::expires_at).filter(|at| *at > now).min();
        if let Some(left) = expires.and_then(|at| (at - now).to_std().ok()) {
            self.list_at(later(Instant::now(), left.saturating_add(BREATH)));
        }
    }

    fn listing_failed(&mut self, error: Error) -> Result<()> {
        self.listing = None;
        self.view.drop_listing();
        if error.is_not_found() {
            self.all_gone(error);
            return Ok(());
        }
        if !error.is_retryable() {
            return Err(error);
        }
        self.failures += 1;
        let wait = self.source.settings().delay(self.failures, error.retry_after()).max(BREATH);
        self.list_at(later(Instant::now(), wait));
        Ok(())
    }

    fn all_gone(&mut self, error: Error) {
        let changes = self.view.clear();
        self.tell(changes);
        self.end = Some(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_may_be_for_ever_and_are_never_nothing() {
        for _ in 0..100 {
            assert!(Pace { relist: Duration::MAX }.pause() > AGES / 2);
            assert_eq!(Pace { relist: Duration::ZERO }.pause(), BREATH);
        }
    }
}

//! Pages that are fetched before they are asked for.

use std::collections::VecDeque;
use std::future::Future;

use tokio_util::task::AbortOnDropHandle;

use super::Page;
use crate::blocking::unless_panicked;
use crate::error::{Error, ErrorKind, Result};
use crate::http::here;

/// A page that is fetched while the one before it is consumed. Dropping it stops the fetching.
pub(super) struct Ahead<T>(AbortOnDropHandle<Result<T>>);

impl<T: Send + 'static> Ahead<T> {
    pub(super) fn fetch(page: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        Self(AbortOnDropHandle::new(tokio::spawn(here(page))))
    }

    pub(super) async fn page(self) -> Result<T> {
        self.0.await.unwrap_or_else(|cause| {
            let stopped = Error::new(ErrorKind::Interrupted, "the runtime stopped fetching a page");
            Err(stopped.caused_by(unless_panicked(cause)))
        })
    }
}

/// So many windows of a listing by offset are under way at most while one is consumed: over a slow link, the listing is that
/// many times as fast as one window after another.
const AHEAD: usize = 4;

/// The windows of a listing by offset that are on their way, in order.
pub(super) struct Windows<T> {
    ahead: VecDeque<(u64, Ahead<Page<T>>)>,
    /// How many there may be: few at first, since few listings are read to their end.
    depth: usize,
}

impl<T> Default for Windows<T> {
    fn default() -> Self {
        Self { ahead: VecDeque::new(), depth: 0 }
    }
}

impl<T: Send + 'static> Windows<T> {
    /// The one that was asked for first.
    pub(super) fn next(&mut self) -> Option<Ahead<Page<T>>> {
        self.ahead.pop_front().map(|(_, window)| window)
    }

    /// Asks for the windows from `offset` on that are not on their way; `behind` is where the one behind an offset begins.
    /// Others that were asked for are dropped.
    pub(super) fn fetch<Fut>(
        &mut self,
        offset: u64,
        behind: impl Fn(u64) -> u64,
        total: u64,
        fetch: impl Fn(u64) -> Fut,
    ) where
        Fut: Future<Output = Result<Page<T>>> + Send + 'static,
    {
        self.depth = (self.depth * 2).clamp(1, AHEAD);
        let mut place = offset;
        for (at, _) in &self.ahead {
            if *at != place {
                self.ahead.clear();
                place = offset;
                break;
            }
            place = behind(place);
        }
        while self.ahead.len() < self.depth {
            // The first is asked for whatever the total says: that may be wrong. One that begins at the last row has, as a
            // rule, nothing but the overlap.
            if place.saturating_add(1) >= total && !self.ahead.is_empty() {
                break;
            }
            self.ahead.push_back((place, Ahead::fetch(fetch(place))));
            place = behind(place);
        }
    }
}

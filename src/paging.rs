//! Listings: one page, a stream of pages, a stream of items.

mod ahead;

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_stream::try_stream;
use futures::Stream;
use futures::stream::{BoxStream, Fuse, FusedStream, StreamExt};
use serde::{Deserialize, Deserializer, Serialize};

use self::ahead::{Ahead, Windows};
use crate::error::{Error, ErrorKind, Result};
use crate::http::Request;
use crate::models::Order;

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Page<T> {
    /// The rows of this page, in the order asked for.
    pub items: Vec<T>,
    /// How many rows the whole listing had when this page was made.
    pub total: u64,
    /// The most rows that this page could have had.
    #[serde(deserialize_with = "at_least_none")]
    pub limit: u64,
    /// How many rows come before this page.
    #[serde(deserialize_with = "at_least_none")]
    pub offset: u64,
}

impl<T> Page<T> {
    pub(crate) fn new(items: Vec<T>, total: u64, limit: u64, offset: u64) -> Self {
        Self { items, total, limit, offset }
    }

    /// Rows come after this page.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.offset.saturating_add(self.items.len() as u64) < self.total && !self.items.is_empty()
    }
}

/// What a server gives back as it was asked for, below 0 too.
pub(crate) fn at_least_none<'de, D: Deserializer<'de>>(number: D) -> Result<u64, D::Error> {
    i64::deserialize(number).map(|number| u64::try_from(number).unwrap_or(0))
}

impl<T> IntoIterator for Page<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Page<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

/// The rows of a stream of pages, one by one. It ends after an error.
#[must_use = "a stream does nothing unless it is polled"]
pub struct Items<T> {
    pages: BoxStream<'static, Result<Page<T>>>,
    rows: std::vec::IntoIter<T>,
    ended: bool,
}

impl<T> Items<T> {
    pub(crate) fn new(pages: impl Stream<Item = Result<Page<T>>> + Send + 'static) -> Self {
        Self { pages: pages.boxed(), rows: Vec::new().into_iter(), ended: false }
    }
}

impl<T: Unpin> Stream for Items<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(row) = self.rows.next() {
                return Poll::Ready(Some(Ok(row)));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match ready!(self.pages.poll_next_unpin(cx)) {
                Some(Ok(page)) => self.rows = page.items.into_iter(),
                Some(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => self.ended = true,
            }
        }
    }
}

impl<T: Unpin> FusedStream for Items<T> {
    fn is_terminated(&self) -> bool {
        self.ended && self.rows.len() == 0
    }
}

impl<T> fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").finish_non_exhaustive()
    }
}

/// Which rows of a listing to ask for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Window {
    pub(crate) limit: Option<u64>,
    pub(crate) offset: u64,
    pub(crate) order: Option<Order>,
}

impl Window {
    pub(crate) fn checked(self) -> Result<Self> {
        const MOST: u64 = i32::MAX as u64;
        if self.limit == Some(0) {
            return Err(Error::invalid_input("limit", "a page has at least one row"));
        }
        if self.limit.is_some_and(|limit| limit > MOST) || self.offset > MOST {
            return Err(Error::invalid_input("limit or offset", format!("it is over {MOST}, the most a server takes")));
        }
        Ok(self)
    }

    /// `sort` is the server's word for it, and the order that it has by nature.
    pub(crate) fn apply(self, request: Request, sort: Option<(&str, Order)>) -> Request {
        let order = self.order.or(sort.map(|(_, order)| order));
        request
            .rows(self.limit.unwrap_or(PAGE_ROWS))
            .query_opt("limit", self.limit)
            .query_opt("offset", Some(self.offset).filter(|offset| *offset > 0))
            .query_opt("order", order.map(Order::as_str))
            .query_opt("sort", sort.map(|(word, _)| word))
    }
}

/// The setters of a listing with fields `window: Window` and `sort: Option<Sort>`.
macro_rules! listing_setters {
    ($builder:ident, $sort:ty) => {
        impl $builder {
            /// The most rows a page has. 0 is refused.
            pub fn limit(mut self, rows: u64) -> Self {
                self.window.limit = Some(rows);
                self
            }

            /// Skips so many rows.
            pub fn offset(mut self, rows: u64) -> Self {
                self.window.offset = rows;
                self
            }

            /// Sorts by this member: texts from `A`, times and sizes from the newest and largest, unless
            /// [`order`](Self::order) says otherwise.
            pub fn sort(mut self, by: $sort) -> Self {
                self.sort = Some(by);
                self
            }

            /// The direction of the sort; without [`sort`](Self::sort), of the server's own.
            pub fn order(mut self, order: $crate::models::Order) -> Self {
                self.window.order = Some(order);
                self
            }
        }
    };
}

pub(crate) use listing_setters;

/// Rows per request of a listing that goes through everything, where the caller did not say.
pub(crate) const PAGE_ROWS: u64 = 1000;

/// A stream of pages that has not started, or has.
pub(crate) enum Lazy<T> {
    Idle,
    Running(Fuse<BoxStream<'static, Result<Page<T>>>>),
}

/// Makes a `list_all` builder a stream of pages: it starts at the first poll, when its setters have been called.
///
/// The builder has fields `state: Lazy<T>` and a method `start(&self) -> BoxStream<'static, Result<Page<T>>>`.
macro_rules! pages {
    ($builder:ident => $row:ty) => {
        impl ::futures::Stream for $builder {
            type Item = $crate::Result<$crate::Page<$row>>;

            fn poll_next(
                mut self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<Option<Self::Item>> {
                if let $crate::paging::Lazy::Idle = self.state {
                    self.state = $crate::paging::Lazy::Running(::futures::StreamExt::fuse(self.start()));
                }
                match &mut self.state {
                    $crate::paging::Lazy::Running(pages) => ::futures::StreamExt::poll_next_unpin(pages, cx),
                    $crate::paging::Lazy::Idle => ::std::task::Poll::Ready(None),
                }
            }
        }

        impl ::futures::stream::FusedStream for $builder {
            fn is_terminated(&self) -> bool {
                match &self.state {
                    $crate::paging::Lazy::Running(pages) => pages.is_terminated(),
                    $crate::paging::Lazy::Idle => false,
                }
            }
        }

        impl $builder {
            /// The rows of all pages, one by one.
            pub fn items(self) -> $crate::Items<$row> {
                $crate::Items::new(self)
            }
        }

        impl ::std::fmt::Debug for $builder {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct(stringify!($builder)).finish_non_exhaustive()
            }
        }
    };
}

pub(crate) use pages;

/// How often a listing that shifted is read again, each time one window further back, before what is there is taken.
const REREADS: u64 = 4;

/// So many windows in succession may have only rows that came before: each takes as many additions as a window has rows.
const BARREN: u64 = 64;

/// All pages of a listing that is addressed by offset.
///
/// Windows overlap by one row. Where the row that should come first is another one, rows were added or removed before
/// it meanwhile: then the last row that was handed out is looked for, in this window and in those before it, and the
/// listing goes on behind it. So deletions of less than a few windows, and additions of less than one, neither
/// lose nor repeat a row; `offset` listings can't promise more (see `stable()` for files). Where none of the rows handed out
/// last is there, it goes on as many rows before as the total has fallen by: a consumer may delete what it gets.
pub(crate) fn by_offset<T, F, Fut>(window: Window, key: fn(&T) -> &str, fetch: F) -> BoxStream<'static, Result<Page<T>>>
where
    T: Send + Sync + 'static,
    F: Fn(Window) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Page<T>>> + Send + 'static,
{
    by_windows(window, u64::saturating_add, key, fetch)
}

/// The same where windows differ in length: `behind` is where the one behind an offset begins, given that too how far from
/// each other the last two began.
pub(crate) fn by_windows<T, B, F, Fut>(
    window: Window,
    behind: B,
    key: fn(&T) -> &str,
    fetch: F,
) -> BoxStream<'static, Result<Page<T>>>
where
    T: Send + Sync + 'static,
    B: Fn(u64, u64) -> u64 + Send + Sync + 'static,
    F: Fn(Window) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Page<T>>> + Send + 'static,
{
    Box::pin(try_stream! {
        let window = window.checked()?;
        let (limit, start) = (window.limit.unwrap_or(PAGE_ROWS), window.offset);
        let fetch = |offset| {
            let page = fetch(Window { limit: Some(limit), offset, ..window });
            async move {
                let page = page.await?;
                check_offset(offset, page.offset)?;
                Ok::<_, Error>(page)
            }
        };
        let mut asked = start;
        let mut recent = HashSet::<String>::new();
        let (mut overlaps, mut rereads, mut width, mut barren, mut total) = (false, 0, 0, 0, 0_u64);
        let mut windows = Windows::default();
        loop {
            let mut page = match windows.next() {
                Some(window) => window.page().await?,
                None => fetch(asked).await?,
            };
            let mut seen = last_of(&page.items, &recent, key);
            // Without an overlap there is nothing to recognise. Rounds are counted, so that the listing ends.
            if overlaps && seen.is_none() && rereads < REREADS {
                rereads += 1;
                let (step, from, mut now, mut lost) = (width - 1, asked, page.total, 0);
                for steps in 1..=REREADS {
                    let back = from.saturating_sub(steps * step).max(start);
                    let earlier = fetch(back).await?;
                    now = earlier.total;
                    seen = last_of(&earlier.items, &recent, key);
                    if seen.is_some() {
                        (asked, page) = (back, earlier);
                    }
                    if seen.is_some() || back == start {
                        break;
                    }
                }
                // Nothing is left of what came last. Most likely its consumer deletes it: what the listing lost lay before this
                // place. More may be lost with each look.
                for _ in 0..BARREN {
                    if seen.is_some() || total.saturating_sub(now) <= lost {
                        break;
                    }
                    lost = total.saturating_sub(now);
                    asked = from.saturating_add(1).saturating_sub(lost).max(start);
                    page = fetch(asked).await?;
                    now = page.total;
                    seen = last_of(&page.items, &recent, key);
                }
            }
            let came = page.items.len() as u64;
            let handed_out = seen.map_or(0, |last| last as u64 + 1);
            let items: Vec<T> = page.items.into_iter().skip(handed_out as usize).collect();
            let (next, first) = (asked.saturating_add(came), recent.is_empty());
            let ends = came == 0 || next >= page.total;
            if !items.is_empty() {
                // A few rows are too few to be recognised by: any of them may be deleted next.
                if items.len() as u64 * 2 >= came {
                    recent.clear();
                }
                recent.extend(items.iter().map(|row| key(row).to_owned()));
                (rereads, barren) = (0, 0);
            } else if !ends {
                barren += 1;
                if barren > BARREN {
                    Err(no_headway("one window after another has only rows that came before"))?;
                }
            }
            // A window of one row can't both overlap and go forward.
            overlaps = came > 1;
            width = came;
            total = page.total;
            let yielded = Page::new(items, total, limit, asked.saturating_add(handed_out));
            asked = next - u64::from(overlaps);
            if ends {
                if first || !yielded.items.is_empty() {
                    yield yielded;
                }
                break;
            }
            let step = came - u64::from(overlaps);
            windows.fetch(asked, |place| behind(place, step), total, fetch);
            if !yielded.items.is_empty() {
                yield yielded;
            }
        }
    })
}

/// A listing that comes to no end, or would pass a part of itself off as the whole: a peer, or a cache before it, that gives
/// the same rows whatever is asked for. It must not look like an end, for whoever compares with it deletes what it left out.
pub(crate) fn no_headway(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Decode, format!("the listing makes no headway: {what}"))
        .with_hint("A cache or a proxy that ignores the query of a URL does this")
}

/// The last row of a window that was handed out before.
fn last_of<T>(window: &[T], recent: &HashSet<String>, key: fn(&T) -> &str) -> Option<usize> {
    if recent.is_empty() {
        return None;
    }
    window.iter().rposition(|row| recent.contains(key(row)))
}

/// Is a window that was asked for by offset the one that came?
pub(crate) fn check_offset(asked: u64, came: u64) -> Result<()> {
    if came == asked {
        return Ok(());
    }
    Err(no_headway(format_args!("rows from {asked} on were asked for, and those from {came} on came")))
}

/// Does a window that was asked for with a cursor go on behind it? All of its rows lie behind the cursor, and the next window
/// begins behind all of them. `rows` are those the server sent, before any are left out.
pub(crate) fn check_headway<'a>(
    asked: Option<&str>,
    rows: impl IntoIterator<Item = &'a str>,
    next: Option<&str>,
) -> Result<()> {
    // An empty cursor asks for the first window, as none does.
    let asked = asked.unwrap_or_default();
    let mut last = asked;
    for row in rows {
        if !asked.is_empty() && row <= asked {
            return Err(no_headway("a window has rows that came before"));
        }
        last = last.max(row);
    }
    match next {
        Some(next) if next < last || next <= asked => Err(no_headway("the next window does not lie behind this one")),
        _ => Ok(()),
    }
}

/// One window of a listing that is addressed by a cursor.
pub(crate) struct CursorPage<T> {
    pub(crate) items: Vec<T>,
    /// Rows from this window to the end, as far as is known.
    pub(crate) left: u64,
    pub(crate) next: Option<String>,
}

/// All pages of a listing that is addressed by a cursor, the next one fetched ahead. `fetch` has each window checked by
/// [`check_headway`].
pub(crate) fn by_cursor<T, F, Fut>(limit: u64, fetch: F) -> BoxStream<'static, Result<Page<T>>>
where
    T: Send + Sync + 'static,
    F: Fn(Option<String>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<CursorPage<T>>> + Send + 'static,
{
    Box::pin(try_stream! {
        let mut offset = 0_u64;
        let mut ahead = Ahead::fetch(fetch(None));
        loop {
            let page = ahead.page().await?;
            let total = offset.saturating_add(page.left.max(page.items.len() as u64));
            let yielded = Page::new(page.items, total, limit, offset);
            let Some(next) = page.next else {
                if offset == 0 || !yielded.items.is_empty() {
                    yield yielded;
                }
                break;
            };
            ahead = Ahead::fetch(fetch(Some(next)));
            if !yielded.items.is_empty() {
                offset += yielded.items.len() as u64;
                yield yielded;
            }
        }
    })
}

#[cfg(test)]
mod tests;

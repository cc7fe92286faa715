//! Listings: one page, a stream of pages, a stream of items.

mod ahead;
mod offset;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_stream::try_stream;
use futures::Stream;
use futures::stream::{BoxStream, Fuse, FusedStream, StreamExt};
use serde::{Deserialize, Deserializer, Serialize};

use self::ahead::Ahead;
pub(crate) use self::offset::by_offset;
#[cfg(feature = "file-storage")]
pub(crate) use self::offset::by_windows;
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

/// A listing that comes to no end, or would pass a part of itself off as the whole: a peer, or a cache before it, that gives
/// the same rows whatever is asked for. It must not look like an end, for whoever compares with it deletes what it left out.
pub(crate) fn no_headway(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Decode, format!("the listing makes no headway: {what}"))
        .with_hint("A cache or a proxy that ignores the query of a URL does this")
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

//! What lists have in common: sorting words, limits and offsets.

use std::cmp::Ordering;

use serde::Serialize;

use crate::http::exchange::Exchange;
use crate::http::refusal::Refusal;

/// A page of a list.
#[derive(Serialize)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) total: usize,
    pub(super) limit: i32,
    pub(super) offset: i32,
}

/// `limit` and `offset` as asked for.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    pub(super) limit: i32,
    pub(super) offset: i32,
}

impl Cut {
    pub(super) fn asked(exchange: &Exchange, default_limit: i32) -> Result<Self, Refusal> {
        let limit = exchange.query.number("limit")?.unwrap_or(default_limit);
        let offset = exchange.query.number("offset")?.unwrap_or(0);
        Ok(Self { limit, offset })
    }

    /// Applies SQL's `LIMIT … OFFSET …`: a negative limit is none, a negative offset is zero. Only what is left is viewed.
    pub(super) fn of<T, V>(self, items: impl IntoIterator<Item = T>, view: impl Fn(T) -> V) -> Vec<V> {
        let offset = usize::try_from(self.offset).unwrap_or(0);
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        items.into_iter().skip(offset).take(limit).map(view).collect()
    }
}

/// `order`: `asc` in any case; anything else, and nothing, is descending.
pub(super) fn ascending(exchange: &Exchange) -> bool {
    exchange.query.text("order").is_some_and(|order| order.eq_ignore_ascii_case("asc"))
}

/// `sort`, in lower case.
pub(super) fn sort(exchange: &Exchange) -> String {
    exchange.query.text("sort").unwrap_or_default().to_lowercase()
}

/// The order of texts outside of the database: by UTF-16 units, where emoji come before some of the letters.
pub(super) fn ordinal(a: &str, b: &str) -> Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}

/// Sorts as SQLite does: equals stay in their order, whichever way it goes.
pub(super) fn sort_by<T>(items: &mut [T], ascending: bool, compare: impl Fn(&T, &T) -> Ordering) {
    items.sort_by(|a, b| if ascending { compare(a, b) } else { compare(b, a) });
}

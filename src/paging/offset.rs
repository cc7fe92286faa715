//! Listings that are addressed by offset.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::future::Future;
use std::hash::{BuildHasher, DefaultHasher, Hasher};
use std::sync::Arc;

use async_stream::try_stream;
use futures::stream::BoxStream;

use super::ahead::Windows;
use super::{PAGE_ROWS, Page, Window, check_offset, no_headway};
use crate::error::Result;

/// How often the place to go on at is guessed from the total, which others change meanwhile.
const GUESSES: u64 = 4;

/// So many windows in succession may have only rows that came before: each takes as many additions as a window has rows.
const BARREN: u64 = 64;

/// All pages of a listing that is addressed by offset. `key` tells rows apart, and `place` hashes what they are sorted by.
///
/// A row that is there throughout, and whose place does not change, comes exactly once, whatever becomes of others; and no row
/// comes twice. For windows overlap, and one is taken only if a row in it came before and has kept its place: whatever else
/// has kept its place and lies before that row came as well. Otherwise [`find_again`] looks for such a window. All of this
/// holds from the first row on, and where the server makes a window and its total at one time. Where the listing begins
/// at an `offset`, rows that slide before it are not looked for.
///
/// What came is kept as hashes: up to 40 bytes a row.
pub(crate) fn by_offset<T, P, F, Fut>(
    window: Window,
    key: fn(&T) -> &str,
    place: P,
    fetch: F,
) -> BoxStream<'static, Result<Page<T>>>
where
    T: Send + Sync + 'static,
    P: Fn(&T, &mut DefaultHasher) + Send + Sync + 'static,
    F: Fn(Window) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Page<T>>> + Send + 'static,
{
    by_windows(window, LEAST_ROWS, u64::saturating_add, key, place, fetch)
}

/// The same where windows differ in length, and have `least` rows if they can: `behind` is where the one behind an offset begins,
/// given that too how far from each other the last two began.
pub(crate) fn by_windows<T, B, P, F, Fut>(
    window: Window,
    least: u64,
    behind: B,
    key: fn(&T) -> &str,
    place: P,
    fetch: F,
) -> BoxStream<'static, Result<Page<T>>>
where
    T: Send + Sync + 'static,
    B: Fn(u64, u64) -> u64 + Send + Sync + 'static,
    P: Fn(&T, &mut DefaultHasher) + Send + Sync + 'static,
    F: Fn(Window) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Page<T>>> + Send + 'static,
{
    Box::pin(try_stream! {
        let window = window.checked()?;
        let (limit, start) = (window.limit.unwrap_or(PAGE_ROWS), window.offset);
        let rows = limit.max(least);
        let fetch = Arc::new(fetch);
        let fetch = |offset| fetch_whole(fetch.clone(), Window { limit: Some(rows), offset, ..window });
        let mut came_before = Came::new(key, place);
        let (mut asked, mut total, mut step, mut barren) = (start, 0, 0, 0);
        let mut windows = Windows::default();
        loop {
            let mut page = match windows.next() {
                Some(window) => window.page().await?,
                None => fetch(asked).await?,
            };
            let first = came_before.is_empty();
            // Without an overlap there is nothing to recognise.
            if !first && step > 0 && !came_before.any_in_place(&page.items) {
                let lost = Lost { asked, start, step, total, now: page.total };
                (asked, page) = Box::pin(find_again(lost, &came_before, &fetch)).await?;
            }
            let came = page.items.len() as u64;
            let next = asked.saturating_add(came);
            let ends = next >= page.total;
            total = page.total;
            let (mut offset, mut items) = came_before.take_new(asked, page.items);
            if !items.is_empty() {
                barren = 0;
            } else if !ends {
                barren += 1;
                if barren > BARREN {
                    Err(no_headway("one window after another has only rows that came before"))?;
                }
            }
            // A window of one row can't both overlap and go forward.
            step = came.saturating_sub(1);
            asked = next - step.min(1);
            if !ends {
                windows.fetch(asked, |place| behind(place, step.max(1)), total, fetch);
            } else if first && items.is_empty() {
                yield Page::new(Vec::new(), total, limit, offset);
            }
            while !items.is_empty() {
                let rest = items.split_off(items.len().min(limit as usize));
                let page = Page::new(std::mem::replace(&mut items, rest), total, limit, offset);
                offset += page.items.len() as u64;
                yield page;
            }
            if ends {
                break;
            }
        }
    })
}

/// The fewest rows to ask for: a window of one can't both overlap and go forward.
const LEAST_ROWS: u64 = 2;

/// The window that was asked for. One without rows is the end only where its own total says so; but a server counts before it
/// selects, and rows may go in between, so it is asked once more.
fn fetch_whole<T, F, Fut>(fetch: Arc<F>, window: Window) -> impl Future<Output = Result<Page<T>>>
where
    F: Fn(Window) -> Fut,
    Fut: Future<Output = Result<Page<T>>>,
{
    let page = fetch(window);
    async move {
        let mut page = page.await?;
        check_offset(window.offset, page.offset)?;
        if page.items.is_empty() && window.offset < page.total {
            page = Box::pin(fetch(window)).await?;
            check_offset(window.offset, page.offset)?;
        }
        if page.items.is_empty() && window.offset < page.total {
            return Err(no_headway(format_args!("there are rows behind the first {}, and none come", window.offset)));
        }
        Ok(page)
    }
}

/// Where nothing was recognised: the window that was asked for, how far from each other the last two began, and the totals
/// before and in it.
struct Lost {
    asked: u64,
    start: u64,
    step: u64,
    total: u64,
    now: u64,
}

/// The last window that has a row that came before and kept its place, as nearly as a step; or the first, where there is none.
///
/// Rows were most likely deleted or added before the place, as many as the total fell or rose by: a consumer may delete what it
/// gets. Where that is not it, it looks back further and further, and then between what is known and what is not.
async fn find_again<T, P, F, Fut>(lost: Lost, came: &Came<T, P>, fetch: &F) -> Result<(u64, Page<T>)>
where
    P: Fn(&T, &mut DefaultHasher),
    F: Fn(u64) -> Fut,
    Fut: Future<Output = Result<Page<T>>>,
{
    let Lost { asked, start, step, total, mut now } = lost;
    let (mut known, mut unknown) = (None, asked);
    for _ in 0..GUESSES {
        let place = asked.saturating_add(now).saturating_sub(total).max(start);
        if place == unknown {
            break;
        }
        let page = fetch(place).await?;
        now = page.total;
        let is_known = came.any_in_place(&page.items);
        if is_known && (place > asked || !came.all(&page.items)) {
            return Ok((place, page));
        }
        if is_known || place == start {
            known = Some((place, page));
            break;
        }
        unknown = unknown.min(place);
    }
    let mut back = step;
    let (mut place, mut page) = loop {
        if let Some(known) = known {
            break known;
        }
        let place = unknown.saturating_sub(back).max(start);
        let page = fetch(place).await?;
        if place == start || came.any_in_place(&page.items) {
            known = Some((place, page));
        } else {
            (unknown, back) = (place, back.saturating_mul(2));
        }
    };
    while unknown.saturating_sub(place) > step {
        let between = place + (unknown - place) / 2;
        let other = fetch(between).await?;
        if came.any_in_place(&other.items) {
            (place, page) = (between, other);
        } else {
            unknown = between;
        }
    }
    Ok((place, page))
}

/// The rows that came: the hash of each key, and that of its place when it was last seen.
struct Came<T, P> {
    rows: HashMap<u64, u64>,
    hashes: RandomState,
    key: fn(&T) -> &str,
    place: P,
}

impl<T, P: Fn(&T, &mut DefaultHasher)> Came<T, P> {
    fn new(key: fn(&T) -> &str, place: P) -> Self {
        Self { rows: HashMap::new(), hashes: RandomState::new(), key, place }
    }

    fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn key(&self, row: &T) -> u64 {
        self.hashes.hash_one((self.key)(row))
    }

    fn place(&self, row: &T) -> u64 {
        let mut hasher = self.hashes.build_hasher();
        (self.place)(row, &mut hasher);
        hasher.finish()
    }

    /// Some row of these came, and has kept its place.
    fn any_in_place(&self, rows: &[T]) -> bool {
        rows.iter().any(|row| self.rows.get(&self.key(row)).is_some_and(|place| *place == self.place(row)))
    }

    /// All rows of these came.
    fn all(&self, rows: &[T]) -> bool {
        rows.iter().all(|row| self.rows.contains_key(&self.key(row)))
    }

    /// Those of a window that did not come before, and the offset of the first of them.
    fn take_new(&mut self, offset: u64, mut rows: Vec<T>) -> (u64, Vec<T>) {
        let (mut at, mut first) = (offset, None);
        rows.retain(|row| {
            let place = self.place(row);
            let is_new = match self.rows.entry(self.key(row)) {
                Entry::Vacant(entry) => {
                    entry.insert(place);
                    first = first.or(Some(at));
                    true
                }
                Entry::Occupied(mut entry) => {
                    entry.insert(place);
                    false
                }
            };
            at += 1;
            is_new
        });
        (first.unwrap_or(offset), rows)
    }
}

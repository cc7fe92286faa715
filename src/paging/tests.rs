//! Listings by offset and by cursor.

use super::*;
use futures::TryStreamExt;
use proptest::prelude::*;
use std::sync::{Arc, Mutex};

type Rows = Arc<Mutex<Vec<String>>>;

/// A listing of `rows`, to which `change` happens before the window at each index is read.
fn listing(
    rows: &Rows,
    limit: u64,
    clamp: u64,
    mut changes: Vec<Vec<Change>>,
) -> BoxStream<'static, Result<Page<String>>> {
    changes.reverse();
    let (rows, changes) = (rows.clone(), Mutex::new(changes));
    let window = Window { limit: Some(limit), ..Window::default() };
    by_offset(
        window,
        |row: &String| row,
        move |Window { limit, offset, .. }| {
            let mut rows = rows.lock().unwrap();
            for change in changes.lock().unwrap().pop().unwrap_or_default() {
                change.apply(&mut rows);
            }
            let limit = limit.unwrap().min(clamp);
            let items: Vec<_> = rows.iter().skip(offset as usize).take(limit as usize).cloned().collect();
            let page = Page::new(items, rows.len() as u64, limit, offset);
            async move { Ok(page) }
        },
    )
}

#[derive(Debug, Clone)]
enum Change {
    Delete(usize),
    Prepend(u32),
}

impl Change {
    fn apply(&self, rows: &mut Vec<String>) {
        match self {
            Self::Delete(at) if !rows.is_empty() => drop(rows.remove(at % rows.len())),
            Self::Delete(_) => {}
            Self::Prepend(n) => rows.insert(0, format!("new{n}")),
        }
    }
}

async fn all(pages: BoxStream<'static, Result<Page<String>>>) -> Vec<String> {
    Items::new(pages).try_collect().await.unwrap()
}

/// What a consumer gets who deletes each row that is `unwanted` as soon as it comes.
async fn all_deleting(
    mut pages: BoxStream<'static, Result<Page<String>>>,
    rows: &Rows,
    unwanted: impl Fn(usize) -> bool,
) -> Vec<String> {
    let mut got = Vec::new();
    while let Some(page) = pages.try_next().await.unwrap() {
        for row in page {
            if unwanted(got.len()) {
                rows.lock().unwrap().retain(|other| *other != row);
            }
            got.push(row);
        }
    }
    got
}

fn rows(n: usize) -> Rows {
    Arc::new(Mutex::new((0..n).map(|i| format!("{i:05}")).collect()))
}

#[tokio::test]
async fn every_row_once_in_order() {
    for (n, limit, clamp) in
        [(0, 10, 10), (1, 1, 1), (7, 1, 9), (10, 10, 10), (11, 10, 10), (2500, 2000, 1000), (99, 7, 3)]
    {
        let rows = rows(n);
        assert_eq!(all(listing(&rows, limit, clamp, vec![])).await, *rows.lock().unwrap(), "{n} {limit} {clamp}");
    }
}

#[tokio::test]
async fn an_empty_listing_is_one_empty_page() {
    let pages: Vec<_> = listing(&rows(0), 10, 10, vec![]).try_collect().await.unwrap();
    assert_eq!(pages.len(), 1);
    assert!(pages[0].items.is_empty() && !pages[0].has_more());
}

#[tokio::test]
async fn windows_of_known_rows_only_come_to_an_end() {
    let fetched = Arc::new(Mutex::new(0));
    let count = fetched.clone();
    let window = Window { limit: Some(2), ..Window::default() };
    let pages = by_offset(
        window,
        |row: &String| row,
        move |Window { offset, .. }| {
            *count.lock().unwrap() += 1;
            async move { Ok(Page::new(vec!["a".to_owned(), "b".to_owned()], u64::MAX, 2, offset)) }
        },
    );
    let error = Items::new(pages).try_collect::<Vec<_>>().await.unwrap_err();
    assert!(error.kind() == ErrorKind::Decode && *fetched.lock().unwrap() < 100, "{error}");
}

#[tokio::test]
async fn a_consumer_may_delete_what_it_gets() {
    for (n, limit) in [(60, 20), (3000, 1000), (1000, 2), (500, 7)] {
        let rows = rows(n);
        let before = rows.lock().unwrap().clone();
        let got = all_deleting(listing(&rows, limit, 1000, vec![]), &rows, |_| true).await;
        assert!(got == before && rows.lock().unwrap().is_empty(), "{n} {limit}: {} came", got.len());
    }
}

#[tokio::test]
async fn a_few_windows_are_on_their_way_and_no_more() {
    let (asked, gate) = (Arc::new(Mutex::new(0)), Arc::new(tokio::sync::Semaphore::new(1)));
    let (count, open) = (asked.clone(), gate.clone());
    let mut pages = by_offset(
        Window { limit: Some(10), ..Window::default() },
        |row: &String| row,
        move |Window { offset, .. }| {
            *count.lock().unwrap() += 1;
            let open = open.clone();
            async move {
                open.acquire().await.unwrap().forget();
                let items = (offset..(offset + 10).min(200)).map(|i| i.to_string()).collect();
                Ok(Page::new(items, 200, 10, offset))
            }
        },
    );
    let mut rows = Vec::new();
    for asked_by_then in [2, 4, 7, 8] {
        rows.extend(pages.try_next().await.unwrap().unwrap());
        assert_eq!(*asked.lock().unwrap(), asked_by_then);
        gate.add_permits(1);
    }
    gate.add_permits(100);
    rows.extend(all(pages).await);
    assert_eq!(rows, (0..200).map(|i| i.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_total_beyond_all_numbers_is_the_largest() {
    let pages = by_cursor(1, |cursor: Option<String>| async move {
        let next = cursor.is_none().then(|| "a".to_owned());
        Ok(CursorPage { items: vec![1], left: u64::MAX, next })
    });
    let totals: Vec<_> = pages.map_ok(|page| page.total).try_collect().await.unwrap();
    assert_eq!(totals, [u64::MAX, u64::MAX]);
}

/// Those of others, by windows: fewer of one than a window of eight has rows.
fn changes() -> impl Strategy<Value = Vec<Vec<Change>>> {
    let change = prop_oneof![(0usize..200).prop_map(Change::Delete), (0u32..1_000_000).prop_map(Change::Prepend)];
    proptest::collection::vec(proptest::collection::vec(change, 0..3), 0..30)
}

proptest! {
    #[test]
    fn headway_is_rows_behind_the_cursor_and_a_cursor_behind_the_rows(
        asked in proptest::option::of("[a-c]{0,2}"),
        rows in proptest::collection::vec("[a-c]{1,2}", 0..4),
        next in proptest::option::of("[a-c]{1,2}"),
    ) {
        let behind = asked.as_ref().is_none_or(|asked| rows.iter().all(|row| row > asked));
        let goes_on = next.as_ref().is_none_or(|next| {
            rows.iter().all(|row| next >= row) && asked.as_ref().is_none_or(|asked| next > asked)
        });
        let checked = check_headway(asked.as_deref(), rows.iter().map(String::as_str), next.as_deref());
        prop_assert_eq!(checked.is_ok(), behind && goes_on);
    }

    #[test]
    fn a_consumer_that_deletes_some_gets_each_row_once(
        n in 0usize..300,
        limit in 2u64..20,
        unwanted in proptest::collection::vec(prop_oneof![9 => Just(true), 1 => Just(false)], 300),
    ) {
        let rows = rows(n);
        let before = rows.lock().unwrap().clone();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let listing = listing(&rows, limit, 1000, vec![]);
        let got = runtime.block_on(all_deleting(listing, &rows, |at| unwanted.get(at) == Some(&true)));
        prop_assert_eq!(got, before);
    }

    #[test]
    fn a_consumer_that_deletes_all_loses_nothing_to_others(
        n in 0usize..120,
        limit in 8u64..20,
        changes in changes(),
    ) {
        let rows = rows(n);
        let before: HashSet<_> = rows.lock().unwrap().iter().cloned().collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let got = runtime.block_on(all_deleting(listing(&rows, limit, 1000, changes), &rows, |_| true));
        let left: Vec<_> = rows.lock().unwrap().iter().filter(|row| before.contains(*row)).cloned().collect();
        prop_assert!(left.is_empty(), "{:?}", left);
        let once: HashSet<_> = got.iter().collect();
        prop_assert_eq!(once.len(), got.len());
    }

    // Fewer changes per window than a window has rows: then nothing that was there throughout is lost or doubled.
    #[test]
    fn shifts_lose_and_double_nothing(
        n in 0usize..120,
        limit in 8u64..20,
        changes in changes(),
    ) {
        let rows = rows(n);
        let before = rows.lock().unwrap().clone();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let got = runtime.block_on(all(listing(&rows, limit, 1000, changes)));
        let after: HashSet<_> = rows.lock().unwrap().iter().cloned().collect();
        for row in before.iter().filter(|row| after.contains(*row)) {
            prop_assert_eq!(got.iter().filter(|g| *g == row).count(), 1, "{}", row);
        }
    }
}

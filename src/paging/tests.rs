//! Listings by offset and by cursor.

use super::*;
use futures::TryStreamExt;
use proptest::prelude::*;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash};
use std::sync::{Arc, Mutex};

/// A row, and how often it was moved.
type Row = (String, u32);
type Rows = Arc<Mutex<Vec<Row>>>;

fn key(row: &Row) -> &str {
    &row.0
}

fn place(row: &Row, hasher: &mut DefaultHasher) {
    row.hash(hasher);
}

fn row(name: impl Into<String>) -> Row {
    (name.into(), 0)
}

fn nth(i: u64) -> Row {
    row(i.to_string())
}

/// A listing of `rows`, to which `change` happens before the window at each index is read.
fn listing(
    rows: &Rows,
    limit: u64,
    clamp: u64,
    mut changes: Vec<Vec<Change>>,
) -> BoxStream<'static, Result<Page<Row>>> {
    changes.reverse();
    let (rows, changes) = (rows.clone(), Mutex::new(changes));
    let window = Window { limit: Some(limit), ..Window::default() };
    by_offset(window, key, place, move |Window { limit, offset, .. }| {
        let mut rows = rows.lock().unwrap();
        for change in changes.lock().unwrap().pop().unwrap_or_default() {
            change.apply(&mut rows);
        }
        let limit = limit.unwrap().min(clamp);
        let items: Vec<_> = rows.iter().skip(offset as usize).take(limit as usize).cloned().collect();
        let page = Page::new(items, rows.len() as u64, limit, offset);
        async move { Ok(page) }
    })
}

#[derive(Debug, Clone)]
enum Change {
    Delete(usize),
    Prepend(u32),
    Insert(usize, u32),
    Move(usize, usize),
    ToFront(usize),
    ToEnd(usize),
}

impl Change {
    fn apply(&self, rows: &mut Vec<Row>) {
        let n = rows.len();
        match *self {
            Self::Prepend(name) => rows.insert(0, row(format!("new{name}"))),
            Self::Insert(at, name) => rows.insert(at % (n + 1), row(format!("new{name}"))),
            _ if n == 0 => {}
            Self::Delete(at) => drop(rows.remove(at % n)),
            Self::Move(from, to) => {
                let (name, moved) = rows.remove(from % n);
                rows.insert(to % n, (name, moved + 1));
            }
            Self::ToFront(from) => Self::Move(from, 0).apply(rows),
            Self::ToEnd(from) => Self::Move(from, n - 1).apply(rows),
        }
    }
}

async fn all(pages: BoxStream<'static, Result<Page<Row>>>) -> Vec<Row> {
    Items::new(pages).try_collect().await.unwrap()
}

/// What a consumer gets who deletes each row that is `unwanted` as soon as it comes.
async fn all_deleting(
    mut pages: BoxStream<'static, Result<Page<Row>>>,
    rows: &Rows,
    unwanted: impl Fn(usize) -> bool,
) -> Vec<Row> {
    let mut got = Vec::new();
    while let Some(page) = pages.try_next().await.unwrap() {
        for row in page {
            if unwanted(got.len()) {
                rows.lock().unwrap().retain(|other| other.0 != row.0);
            }
            got.push(row);
        }
    }
    got
}

fn rows(n: usize) -> Rows {
    Arc::new(Mutex::new((0..n).map(|i| row(format!("{i:05}"))).collect()))
}

#[tokio::test]
async fn every_row_once_in_order() {
    for (n, limit, clamp) in
        [(0, 10, 10), (1, 1, 1), (7, 1, 9), (7, 1, 1), (10, 10, 10), (11, 10, 10), (2500, 2000, 1000), (99, 7, 3)]
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
    let pages = by_offset(window, key, place, move |Window { offset, .. }| {
        *count.lock().unwrap() += 1;
        async move { Ok(Page::new(vec![row("a"), row("b")], u64::MAX, 2, offset)) }
    });
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
async fn a_row_that_moves_takes_no_others_along() {
    use Change::{Move, ToEnd, ToFront};
    for changes in [
        vec![ToEnd(15)],
        vec![ToEnd(15), ToEnd(3)],
        vec![ToEnd(15), Move(3, 22)],
        vec![ToFront(15)],
        vec![ToFront(15), ToFront(16)],
        vec![Move(15, 4)],
    ] {
        let rows = rows(25);
        let before = rows.lock().unwrap().clone();
        let mut got = all(listing(&rows, 10, 10, vec![vec![], vec![], changes.clone()])).await;
        got.sort();
        got.iter_mut().for_each(|row| row.1 = 0);
        assert_eq!(got, before, "{changes:?}");
    }
    // All that came moves behind what did not.
    let rows = rows(30);
    let got = all(listing(&rows, 10, 10, vec![vec![], vec![Change::ToEnd(0); 10]])).await;
    assert_eq!(got, (0..30).map(|i| row(format!("{i:05}"))).collect::<Vec<_>>());
}

#[tokio::test]
async fn pages_of_one_row_have_one_row() {
    let rows = rows(5);
    let pages: Vec<_> = listing(&rows, 1, 10, vec![]).try_collect().await.unwrap();
    let shapes: Vec<_> =
        pages.iter().map(|page| (page.items.len(), page.offset, page.limit, page.has_more())).collect();
    assert_eq!(shapes, [(1, 0, 1, true), (1, 1, 1, true), (1, 2, 1, true), (1, 3, 1, true), (1, 4, 1, false)]);
}

/// A listing whose windows are empty from an offset on, now and then or always, for all that its total says.
async fn with_empty_windows(from: u64, is_empty: impl Fn(usize) -> bool + Send + Sync + 'static) -> Result<Vec<Row>> {
    let asked = Mutex::new(0);
    let pages = by_offset(Window { limit: Some(10), ..Window::default() }, key, place, move |window| {
        let mut asked = asked.lock().unwrap();
        *asked += usize::from(window.offset >= from);
        let rows = if window.offset >= from && is_empty(*asked) { 0 } else { 10 };
        let items = (window.offset..(window.offset + rows).min(50)).map(nth).collect();
        async move { Ok(Page::new(items, 50, 10, window.offset)) }
    });
    Items::new(pages).try_collect().await
}

#[tokio::test]
async fn an_empty_window_before_the_end_is_no_end() {
    for from in [0, 9, 27] {
        let error = with_empty_windows(from, |_| true).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Decode && error.message().contains("makes no headway"), "{error:?}");
        assert_eq!(with_empty_windows(from, |nth| nth == 1).await.unwrap(), (0..50).map(nth).collect::<Vec<_>>());
    }
    let past_the_end = Window { offset: 50, ..Window::default() };
    let pages = by_offset(past_the_end, key, place, |Window { offset, .. }| async move {
        Ok(Page::<Row>::new(Vec::new(), 50, 10, offset))
    });
    assert_eq!(pages.try_collect::<Vec<_>>().await.unwrap(), [Page::new(Vec::new(), 50, PAGE_ROWS, 50)]);
}

#[tokio::test]
async fn a_few_windows_are_on_their_way_and_no_more() {
    let (asked, gate) = (Arc::new(Mutex::new(0)), Arc::new(tokio::sync::Semaphore::new(1)));
    let (count, open) = (asked.clone(), gate.clone());
    let mut pages =
        by_offset(Window { limit: Some(10), ..Window::default() }, key, place, move |Window { offset, .. }| {
            *count.lock().unwrap() += 1;
            let open = open.clone();
            async move {
                open.acquire().await.unwrap().forget();
                let items = (offset..(offset + 10).min(200)).map(nth).collect();
                Ok(Page::new(items, 200, 10, offset))
            }
        });
    let mut rows = Vec::new();
    for asked_by_then in [2, 4, 7, 8] {
        rows.extend(pages.try_next().await.unwrap().unwrap());
        assert_eq!(*asked.lock().unwrap(), asked_by_then);
        gate.add_permits(1);
    }
    gate.add_permits(100);
    rows.extend(all(pages).await);
    assert_eq!(rows, (0..200).map(nth).collect::<Vec<_>>());
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

/// Those of others, by windows: now and then more than a window has rows.
fn changes() -> impl Strategy<Value = Vec<Vec<Change>>> {
    let (at, name) = (|| 0usize..200, || 0u32..1_000_000_000);
    let change = prop_oneof![
        at().prop_map(Change::Delete),
        name().prop_map(Change::Prepend),
        (at(), name()).prop_map(|(at, name)| Change::Insert(at, name)),
        (at(), at()).prop_map(|(from, to)| Change::Move(from, to)),
        at().prop_map(Change::ToFront),
        at().prop_map(Change::ToEnd),
    ];
    let few = proptest::collection::vec(change.clone(), 0..3);
    let many = proptest::collection::vec(change, 0..40);
    let of_a_window = prop_oneof![8 => few, 1 => many];
    proptest::collection::vec(of_a_window, 0..30)
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
        limit in 1u64..20,
        unwanted in proptest::collection::vec(prop_oneof![9 => Just(true), 1 => Just(false)], 300),
    ) {
        let rows = rows(n);
        let before = rows.lock().unwrap().clone();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let listing = listing(&rows, limit, 1000, vec![]);
        let got = runtime.block_on(all_deleting(listing, &rows, |at| unwanted.get(at) == Some(&true)));
        prop_assert_eq!(got, before);
    }

    // However many others change: what they leave alone comes once, and nothing comes twice.
    #[test]
    fn what_stays_in_its_place_comes_once(
        n in 0usize..120,
        limit in 1u64..20,
        changes in changes(),
        unwanted in proptest::collection::vec(prop_oneof![Just(true), Just(false)], 0..400),
    ) {
        let rows = rows(n);
        let before = rows.lock().unwrap().clone();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let listing = listing(&rows, limit, 1000, changes);
        let got = runtime.block_on(all_deleting(listing, &rows, |at| unwanted.get(at) == Some(&true)));
        let once: HashSet<_> = got.iter().map(key).collect();
        prop_assert_eq!(once.len(), got.len());
        let left = rows.lock().unwrap();
        for row in before.iter().filter(|row| left.contains(row)) {
            prop_assert!(got.contains(row), "{:?}", row);
        }
    }
}

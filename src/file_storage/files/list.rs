//! `GET /files`

use std::hash::{DefaultHasher, Hash};

use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use http::Method;

use super::Files;
use crate::error::{Error, Result};
use crate::file_storage::Client;
use crate::file_storage::client::api;
use crate::file_storage::models::{FilePage, FileSort, StoredFile};
use crate::http::{CallOptions, Request, awaitable, call_options};
use crate::models::Order;
use crate::paging::{self, Lazy, Page, Window, pages};

/// The most rows of a page.
pub(super) const MOST_ROWS: u64 = 200;
/// The last page that can be asked for.
const LAST_PAGE: u64 = 1_000_000;

impl Files {
    /// One page of the files, newest first unless asked otherwise (`file_storage.download`). 20 rows by default, at most
    /// 200. Without `file_storage.manage`: one's own.
    pub fn list(&self) -> ListFiles {
        let (query, options) = (Query::default(), CallOptions::default());
        ListFiles { client: self.client.clone(), query, page: 1, per_page: None, options }
    }

    /// All files, page after page.
    ///
    /// Pages overlap, so that what shifts while others write is noticed and read again: a file that is there throughout comes
    /// exactly once. With `.order(Order::Asc)` new files come last and shift nothing.
    pub fn list_all(&self) -> ListAllFiles {
        ListAllFiles {
            client: self.client.clone(),
            query: Query::default(),
            per_page: None,
            options: CallOptions::default(),
            state: Lazy::Idle,
        }
    }
}

/// What to list, and in which order.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    search: Option<String>,
    content_type: Option<String>,
    sort: Option<FileSort>,
    order: Option<Order>,
}

impl Query {
    pub(super) fn named(name: &str) -> Self {
        Self { search: Some(name.to_owned()), ..Self::default() }
    }

    fn request(&self, page: u64, per_page: Option<u64>, options: CallOptions) -> Request {
        let sort = match (self.sort, self.order) {
            (None, None) => None,
            (sort, order) => {
                let by = sort.unwrap_or(FileSort::CreatedAt);
                let down = if order.unwrap_or(by.natural_order()) == Order::Desc { "-" } else { "" };
                Some(format!("{down}{}", by.as_str()))
            }
        };
        api(Method::GET, "/files")
            .rows(per_page.unwrap_or(MOST_ROWS))
            .query("page", page.to_string())
            .query_opt("per_page", per_page)
            .query_opt("q", self.search.as_ref())
            .query_opt("content_type", self.content_type.as_ref())
            .query_opt("sort", sort)
            .options(options)
    }
}

macro_rules! query_setters {
    ($builder:ident) => {
        impl $builder {
            /// Only files whose name holds this, in any letter case (on some databases for ASCII letters only).
            pub fn search(mut self, part_of_name: impl Into<String>) -> Self {
                self.query.search = Some(part_of_name.into());
                self
            }

            /// Only files of this media type, exactly as it was sent; or of a family of them, such as `image/`.
            pub fn content_type(mut self, media_type: impl Into<String>) -> Self {
                self.query.content_type = Some(media_type.into());
                self
            }

            /// Sorts by this: names from `A`, the newest and the largest first, unless [`order`](Self::order) says otherwise.
            pub fn sort(mut self, by: FileSort) -> Self {
                self.query.sort = Some(by);
                self
            }

            /// The direction of the sort; without [`sort`](Self::sort), of that by time: `Asc` for the oldest first.
            pub fn order(mut self, order: Order) -> Self {
                self.query.order = Some(order);
                self
            }
        }
    };
}

/// One page of files. Made by [`Files::list`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct ListFiles {
    client: Client,
    query: Query,
    page: u64,
    per_page: Option<u64>,
    options: CallOptions,
}

query_setters!(ListFiles);

impl ListFiles {
    pub(super) fn of(client: Client, query: Query, options: CallOptions) -> Self {
        Self { client, query, page: 1, per_page: None, options }
    }

    /// The most rows of a page: 1 to 200. Others are refused, as the service does, for pages are counted by it: of another
    /// size, the second page would begin elsewhere.
    pub fn per_page(mut self, rows: u64) -> Self {
        self.per_page = Some(rows);
        self
    }

    /// The number of the page, from 1 to 1,000,000. One past the end is empty.
    pub fn page(mut self, page: u64) -> Self {
        self.page = page;
        self
    }

    async fn run(self) -> Result<Page<StoredFile>> {
        if self.per_page.is_some_and(|rows| !(1..=MOST_ROWS).contains(&rows)) {
            return Err(Error::invalid_input("per_page", format!("it is from 1 to {MOST_ROWS}")));
        }
        if !(1..=LAST_PAGE).contains(&self.page) {
            return Err(Error::invalid_input("page", format!("it is from 1 to {LAST_PAGE}")));
        }
        fetch(&self.client, &self.query, self.page, self.per_page, self.options).await.map(|(page, _)| page)
    }

    /// The page, and when it was made by the service's own clock.
    pub(super) async fn with_date(self) -> Result<(Page<StoredFile>, Option<DateTime<Utc>>)> {
        fetch(&self.client, &self.query, self.page, self.per_page, self.options).await
    }
}

awaitable!(ListFiles => Page<StoredFile>);

/// All files, as a stream of pages. Made by [`Files::list_all`].
#[must_use = "a stream does nothing unless it is polled"]
pub struct ListAllFiles {
    client: Client,
    query: Query,
    per_page: Option<u64>,
    options: CallOptions,
    state: Lazy<StoredFile>,
}

query_setters!(ListAllFiles);
call_options!([] ListAllFiles);

impl ListAllFiles {
    /// The most rows of a page; the service has no more than 200 on one. 0 is refused.
    pub fn per_page(mut self, rows: u64) -> Self {
        self.per_page = Some(rows);
        self
    }

    fn start(&self) -> BoxStream<'static, Result<Page<StoredFile>>> {
        let limit = self.per_page.unwrap_or(MOST_ROWS).min(MOST_ROWS);
        if limit == 0 {
            let error = Error::invalid_input("per_page", "a page has at least one row");
            return Box::pin(futures::stream::once(async { Err(error) }));
        }
        let window = Window { limit: Some(limit), ..Window::default() };
        let (client, query, options) = (self.client.clone(), self.query.clone(), self.options.clone());
        let sort = query.sort.unwrap_or(FileSort::CreatedAt);
        paging::by_windows(
            window,
            LEAST_ROWS,
            move |offset, _| behind(offset, limit.max(LEAST_ROWS)),
            |file: &StoredFile| &file.id,
            move |file: &StoredFile, place| hash_place(file, sort, place),
            move |window| {
                let (client, query, options) = (client.clone(), query.clone(), options.clone());
                async move { at_offset(&client, &query, window, options).await }
            },
        )
    }
}

pages!(ListAllFiles => StoredFile);

async fn fetch(
    client: &Client,
    query: &Query,
    page: u64,
    per_page: Option<u64>,
    options: CallOptions,
) -> Result<(Page<StoredFile>, Option<DateTime<Utc>>)> {
    let answer = client.transport().send(query.request(page, per_page, options)).await?;
    let date = answer.date();
    let answer: FilePage = answer.json()?;
    let offset = answer.page.saturating_sub(1).saturating_mul(answer.per_page);
    Ok((Page::new(answer.items, answer.total, answer.per_page, offset), date))
}

/// Rows from an offset on, out of a page that holds it.
async fn at_offset(client: &Client, query: &Query, window: Window, options: CallOptions) -> Result<Page<StoredFile>> {
    let limit = window.limit.unwrap_or(MOST_ROWS);
    let (page, rows) = page_at(window.offset, limit);
    if page > LAST_PAGE {
        return Err(Error::invalid_input(
            "per_page",
            "the listing has more pages than can be asked for: take larger ones",
        ));
    }
    let (mut found, _) = fetch(client, query, page, Some(rows), options).await?;
    paging::check_offset((page - 1) * rows, found.offset)?;
    let before = window.offset - (page - 1) * rows;
    found.items.drain(..found.items.len().min(before as usize));
    Ok(Page::new(found.items, found.total, limit, window.offset))
}

/// What a file is sorted by.
fn hash_place(file: &StoredFile, sort: FileSort, place: &mut DefaultHasher) {
    match sort {
        FileSort::CreatedAt => file.created_at.hash(place),
        FileSort::Name => file.filename.hash(place),
        FileSort::Size => file.size_bytes.hash(place),
    }
}

/// The fewest rows to ask for. Where every size from half the limit on divides what comes before a row, no page goes on behind it
/// and before it as well; with this limit, that is behind the last page that can be asked for.
const LEAST_ROWS: u64 = 20;

/// The page, of at most `limit` rows, that holds the row at an offset and the most rows behind it.
///
/// Pages begin at multiples of their size, so the size is chosen: a slightly smaller page begins just before the row.
fn page_at(offset: u64, limit: u64) -> (u64, u64) {
    let behind = |rows: u64| (offset / rows + 1) * rows - offset;
    let rows = (limit / 2 + 1..=limit).rev().max_by_key(|rows| behind(*rows)).unwrap_or(limit).max(1);
    (offset / rows + 1, rows)
}

/// Where the window behind the one at an offset begins: at its last row, unless it has only that one.
fn behind(offset: u64, limit: u64) -> u64 {
    let (page, rows) = page_at(offset, limit);
    (page * rows - 1).max(offset + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_page_holds_the_row(offset in 0u64..1_000_000, limit in 1u64..=MOST_ROWS) {
            let (page, rows) = page_at(offset, limit);
            prop_assert!((1..=limit).contains(&rows));
            prop_assert!((page - 1) * rows <= offset && offset < page * rows);
        }
    }

    proptest! {
        // A window of one row can't both overlap and go forward. It would be one before a multiple of all sizes.
        #[test]
        fn a_window_has_more_than_one_row(
            offset in 0..LEAST_ROWS * LAST_PAGE,
            multiple in prop_oneof![Just(1), Just(2520), Just(360_360), Just(12_252_240)],
            limit in LEAST_ROWS..=MOST_ROWS,
        ) {
            let offset = (offset / multiple * multiple + multiple - 1).min(LEAST_ROWS * LAST_PAGE);
            let (page, rows) = page_at(offset, limit);
            prop_assert!(page * rows - offset > 1);
        }
    }

    #[test]
    fn overlapping_costs_few_more_pages() {
        let (mut offset, mut requests) = (0, 0);
        while offset < 10_000 {
            offset = behind(offset, MOST_ROWS);
            requests += 1;
        }
        // Without the overlap it would be 50.
        assert!(requests <= 55, "{requests}");
    }
}

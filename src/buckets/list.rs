//! `GET /api/buckets`

use std::hash::{DefaultHasher, Hash};

use futures::stream::BoxStream;

use super::Buckets;
use crate::error::Result;
use crate::http::{CallOptions, Request, awaitable, call_options};
use crate::models::{BucketInfo, BucketSort};
use crate::paging::{self, Lazy, Page, Window, listing_setters, pages};

impl Buckets {
    /// One page of the caller's buckets (the admin sees all), newest first unless asked otherwise. 50 rows by default.
    pub fn list(&self) -> ListBuckets {
        ListBuckets {
            buckets: self.clone(),
            query: Query::default(),
            window: Window::default(),
            sort: None,
            options: CallOptions::default(),
        }
    }

    /// All buckets, page after page. They may be deleted as they come. None comes twice, and one whose place does not change
    /// comes exactly once, whatever becomes of others; sorted by last use or size, one that is used meanwhile can be missed.
    pub fn list_all(&self) -> ListAllBuckets {
        ListAllBuckets {
            buckets: self.clone(),
            query: Query::default(),
            window: Window::default(),
            sort: None,
            options: CallOptions::default(),
            state: Lazy::Idle,
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Query {
    include_expired: bool,
}

impl Query {
    fn request(self, window: Window, sort: Option<BucketSort>, options: CallOptions) -> Request {
        let request = Request::get("/api/buckets")
            .needs_credential()
            .query_opt("include_expired", self.include_expired.then_some("true"))
            .options(options);
        window.apply(request, sort.map(|sort| (sort.as_str(), sort.natural_order())))
    }
}

/// One page of buckets. Made by [`Buckets::list`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct ListBuckets {
    buckets: Buckets,
    query: Query,
    window: Window,
    sort: Option<BucketSort>,
    options: CallOptions,
}

listing_setters!(ListBuckets, BucketSort);

impl ListBuckets {
    /// Lists expired buckets too, until the server cleans them up. Only the admin's wish counts.
    pub fn include_expired(mut self, include: bool) -> Self {
        self.query.include_expired = include;
        self
    }

    async fn run(self) -> Result<Page<BucketInfo>> {
        let request = self.query.request(self.window.checked()?, self.sort, self.options);
        self.buckets.client.transport.send(request).await?.json()
    }
}

awaitable!(ListBuckets => Page<BucketInfo>);

/// All buckets, as a stream of pages. Made by [`Buckets::list_all`].
#[must_use = "a stream does nothing unless it is polled"]
pub struct ListAllBuckets {
    buckets: Buckets,
    query: Query,
    window: Window,
    sort: Option<BucketSort>,
    options: CallOptions,
    state: Lazy<BucketInfo>,
}

listing_setters!(ListAllBuckets, BucketSort);
call_options!([] ListAllBuckets);

impl ListAllBuckets {
    /// Lists expired buckets too, until the server cleans them up. Only the admin's wish counts.
    pub fn include_expired(mut self, include: bool) -> Self {
        self.query.include_expired = include;
        self
    }

    fn start(&self) -> BoxStream<'static, Result<Page<BucketInfo>>> {
        let (client, query, sort, options) = (self.buckets.client.clone(), self.query, self.sort, self.options.clone());
        paging::by_offset(
            self.window,
            |bucket: &BucketInfo| &bucket.id,
            move |bucket: &BucketInfo, place| hash_place(bucket, sort.unwrap_or(BucketSort::CreatedAt), place),
            move |window| {
                let (client, options) = (client.clone(), options.clone());
                async move { client.transport.send(query.request(window, sort, options)).await?.json() }
            },
        )
    }
}

pages!(ListAllBuckets => BucketInfo);

/// What a bucket is sorted by.
fn hash_place(bucket: &BucketInfo, sort: BucketSort, place: &mut DefaultHasher) {
    match sort {
        BucketSort::Name => bucket.name.hash(place),
        BucketSort::ExpiresAt => bucket.expires_at.hash(place),
        BucketSort::LastUsedAt => bucket.last_used_at.hash(place),
        BucketSort::TotalSize => bucket.total_size.hash(place),
        BucketSort::CreatedAt => bucket.created_at.hash(place),
    }
}

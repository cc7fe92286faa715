//! `GET /api/keys`

use std::hash::{DefaultHasher, Hash};

use futures::stream::BoxStream;

use super::Keys;
use crate::error::Result;
use crate::http::{CallOptions, Request, awaitable, call_options};
use crate::models::{KeyInfo, KeySort};
use crate::paging::{self, Lazy, Page, Window, listing_setters, pages};

impl Keys {
    /// One page of the keys, newest first unless asked otherwise. 50 rows by default.
    pub fn list(&self) -> ListKeys {
        ListKeys { keys: self.clone(), window: Window::default(), sort: None, options: CallOptions::default() }
    }

    /// All keys, page after page. They may be revoked as they come. None comes twice, and one whose place does not change comes
    /// exactly once, whatever becomes of others; sorted by last use or size, one that is used meanwhile can be missed.
    pub fn list_all(&self) -> ListAllKeys {
        ListAllKeys {
            keys: self.clone(),
            window: Window::default(),
            sort: None,
            options: CallOptions::default(),
            state: Lazy::Idle,
        }
    }

    fn list_request(&self, window: Window, sort: Option<KeySort>, options: CallOptions) -> Request {
        let request = Request::get("/api/keys").needs_credential().options(options);
        window.apply(request, sort.map(|sort| (sort.as_str(), sort.natural_order())))
    }
}

/// One page of the API keys. Made by [`Keys::list`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct ListKeys {
    keys: Keys,
    window: Window,
    sort: Option<KeySort>,
    options: CallOptions,
}

listing_setters!(ListKeys, KeySort);

impl ListKeys {
    async fn run(self) -> Result<Page<KeyInfo>> {
        let request = self.keys.list_request(self.window.checked()?, self.sort, self.options);
        self.keys.client.transport.send(request).await?.json()
    }
}

awaitable!(ListKeys => Page<KeyInfo>);

/// All API keys, as a stream of pages. Made by [`Keys::list_all`].
#[must_use = "a stream does nothing unless it is polled"]
pub struct ListAllKeys {
    keys: Keys,
    window: Window,
    sort: Option<KeySort>,
    options: CallOptions,
    state: Lazy<KeyInfo>,
}

listing_setters!(ListAllKeys, KeySort);
call_options!([] ListAllKeys);

impl ListAllKeys {
    fn start(&self) -> BoxStream<'static, Result<Page<KeyInfo>>> {
        let (keys, sort, options, window) = (self.keys.clone(), self.sort, self.options.clone(), self.window);
        paging::by_offset(
            window,
            |key: &KeyInfo| &key.prefix,
            move |key: &KeyInfo, place| hash_place(key, sort.unwrap_or(KeySort::CreatedAt), place),
            move |window| {
                let (keys, options) = (keys.clone(), options.clone());
                async move { keys.client.transport.send(keys.list_request(window, sort, options)).await?.json() }
            },
        )
    }
}

pages!(ListAllKeys => KeyInfo);

/// What a key is sorted by.
fn hash_place(key: &KeyInfo, sort: KeySort, place: &mut DefaultHasher) {
    match sort {
        KeySort::Name => key.name.hash(place),
        KeySort::LastUsedAt => key.last_used_at.hash(place),
        KeySort::TotalSize => key.total_size.hash(place),
        KeySort::CreatedAt => key.created_at.hash(place),
    }
}

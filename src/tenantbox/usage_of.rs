//! What several tenants use, a few calls at a time.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use futures::stream::{BoxStream, Fuse, FusedStream, StreamExt};

use super::client::Client;
use super::models::TenantUsage;
use crate::error::{Error, Result};
use crate::http::{CallOptions, call_options};

/// What one tenant uses, or why that can't be told.
#[derive(Debug)]
#[non_exhaustive]
pub struct TenantResult {
    /// Your id of the tenant, as it was asked for.
    pub tenant_id: String,
    /// What it uses. One that fails does not end the stream.
    pub usage: Result<TenantUsage>,
}

/// A stream of what tenants use, in the order of completion. Made by [`Client::usage_of`]. Dropping it cancels what is
/// under way. Headers, limits and retries are those of each call of it: [`timeout`](Self::timeout), too, is for each.
#[must_use = "a stream does nothing unless it is polled"]
pub struct UsageOf {
    client: Client,
    at_once: usize,
    options: CallOptions,
    state: State,
}

enum State {
    Waiting(Box<dyn Iterator<Item = String> + Send>),
    Asking(Fuse<BoxStream<'static, TenantResult>>),
}

impl UsageOf {
    pub(super) fn new(client: Client, ids: impl Iterator<Item: Into<String>> + Send + 'static) -> Self {
        Self {
            client,
            at_once: 8,
            options: CallOptions::default(),
            state: State::Waiting(Box::new(ids.map(Into::into))),
        }
    }

    /// How many calls are under way at once; 8 by default. With 0, each tenant's usage is `InvalidInput`.
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.at_once = calls;
        self
    }
}

call_options!([] UsageOf);

impl Stream for UsageOf {
    type Item = TenantResult;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<TenantResult>> {
        let Self { client, at_once, options, state } = &mut *self;
        if let State::Waiting(ids) = state {
            let ids = std::mem::replace(ids, Box::new(std::iter::empty()));
            let (client, options, none) = (client.clone(), options.clone(), *at_once == 0);
            let ask = move |tenant_id: String| {
                let usage = client.tenant(&tenant_id).usage().options(options.clone());
                async move {
                    let usage = match none {
                        true => Err(Error::invalid_input("concurrency", "at least one call has to be under way")),
                        false => usage.await,
                    };
                    TenantResult { usage, tenant_id }
                }
            };
            *state =
                State::Asking(futures::stream::iter(ids.map(ask)).buffer_unordered((*at_once).max(1)).boxed().fuse());
        }
        match state {
            State::Asking(usages) => usages.poll_next_unpin(cx),
            State::Waiting(_) => Poll::Ready(None),
        }
    }
}

impl FusedStream for UsageOf {
    fn is_terminated(&self) -> bool {
        matches!(&self.state, State::Asking(usages) if usages.is_terminated())
    }
}

impl fmt::Debug for UsageOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageOf").field("concurrency", &self.at_once).finish_non_exhaustive()
    }
}

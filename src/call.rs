//! The future that every builder turns into.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;

use crate::error::Result;

/// A call under way: a `Send` future with a name. It does nothing until it is polled; dropping it cancels the call.
#[must_use = "a call does nothing unless it is awaited"]
pub struct Call<'a, T>(BoxFuture<'a, Result<T>>);

impl<'a, T> Call<'a, T> {
    pub(crate) fn new(run: impl Future<Output = Result<T>> + Send + 'a) -> Self {
        Self(Box::pin(run))
    }
}

impl<T> Future for Call<'_, T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<T> fmt::Debug for Call<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}

//! MD5 beside the transfer of a part: the service tells that of what it has received.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::Stream;
use md5::Md5;

use crate::error::Result;
use crate::transfer::{Hasher, Source};

/// What the last attempt sent, once it was sent whole.
#[derive(Clone, Default)]
pub(super) struct Tag(Arc<Mutex<Option<String>>>);

impl Tag {
    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, tag: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = tag;
    }
}

/// The chunks of a source, hashed as they go by.
fn chunks(mut source: Source<'static>, tag: Tag) -> impl Stream<Item = Result<Bytes>> + Send {
    async_stream::try_stream! {
        tag.set(None);
        let mut hasher = Hasher::<Md5>::of();
        let (mut reading, _) = source.open().await?;
        while let Some(chunk) = reading.next().await? {
            hasher.update(&chunk).await;
            yield chunk;
        }
        tag.set(Some(hasher.finish().await?));
    }
}

/// A source that leaves its MD5 when it has been read, once more each time that it is.
pub(super) fn hashed(
    size: u64,
    mut make: impl FnMut() -> Source<'static> + Send + 'static,
    tag: Tag,
) -> Source<'static> {
    Source::factory(move || {
        let source = Source::stream(chunks(make(), tag.clone())).size(size);
        async { Ok::<_, crate::Error>(source) }
    })
    .size(size)
}

/// The MD5 of a source.
pub(super) async fn of(source: Source<'static>) -> Result<String> {
    Hasher::<Md5>::of_source(source).await
}

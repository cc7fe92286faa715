//! Reading content in big pieces, without holding any lock of the server.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::Segment;

const STEP: usize = 512 << 10;

/// Reads some segments to their end.
pub(crate) struct BlobReader {
    left: VecDeque<Segment>,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl BlobReader {
    pub(super) fn new(segments: Vec<Segment>) -> Self {
        Self { left: segments.into(), reading: None }
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<io::Result<Bytes>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.reading.is_none() {
            match self.left.front() {
                None => return Poll::Ready(None),
                Some(Segment::Memory { held, range }) => {
                    let bytes = held.bytes.slice(range.clone());
                    self.left.pop_front();
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Some(Segment::File { .. }) => self.read_ahead(),
            }
        }
        let Some(reading) = self.reading.as_mut() else {
            return Poll::Ready(None);
        };
        let read = ready!(Pin::new(reading).poll(cx)).unwrap_or_else(|stopped| Err(stopped.into()));
        self.reading = None;
        // The next piece is fetched while this one is on its way to the peer.
        self.read_ahead();
        Poll::Ready(Some(read))
    }

    fn read_ahead(&mut self) {
        let Some(Segment::File { file, range }) = self.left.front_mut() else {
            return;
        };
        let file = Arc::clone(file);
        let start = range.start;
        let length = usize::try_from(range.end - start).map_or(STEP, |left| left.min(STEP));
        range.start += length as u64;
        if range.is_empty() {
            self.left.pop_front();
        }
        self.reading = Some(tokio::task::spawn_blocking(move || file.read(start, length)));
    }
}

//! Bodies on their way out: made anew for each attempt, fed from the caller's task, failed rather than ended when the
//! feeding stops.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::error::Result;

/// A request's body, as the transport asks for it: once per attempt.
pub(crate) trait RequestBody: Send {
    /// Whether [`RequestBody::open`] can be called again.
    fn is_replayable(&self) -> bool;

    /// Starts the body of one attempt (from 1).
    fn open(&mut self, attempt: u32) -> BoxFuture<'_, Result<Outgoing<'_>>>;

    /// Whether it counts among the client's transfers.
    fn is_transfer(&self) -> bool {
        false
    }

    /// How many bytes a transfer holds at most while it is under way.
    fn buffers(&mut self) -> BoxFuture<'_, u64> {
        Box::pin(std::future::ready(0))
    }

    /// Hears that it has to wait for its turn.
    fn queued(&mut self) {}

    /// The last attempt handed over everything, so the server may have it.
    fn was_sent_whole(&self) -> bool;

    /// Hears that the server has answered the last attempt, so that it is no longer at it.
    fn answered(&mut self) {}

    /// Hears that the attempt failed and the next one starts after `delay`.
    fn retrying(&mut self, _delay: Duration) {}
}

/// The body of one attempt.
pub(crate) struct Outgoing<'a> {
    pub(crate) body: reqwest::Body,
    /// Sent as `Content-Length`; chunked where it is `None`.
    pub(crate) length: Option<u64>,
    /// What feeds the body, run beside the request; `None` for a body that is complete from the start.
    pub(crate) feed: Option<Feed<'a>>,
}

pub(crate) struct Feed<'a> {
    pub(crate) gauge: Arc<Gauge>,
    /// Ends when all is handed over, or with the error of the source. It stays pending when the transport has stopped
    /// taking: then the request itself tells why. `None` where nothing is left to do.
    pub(crate) run: Option<BoxFuture<'a, Result<()>>>,
}

/// A body that is in memory from the start.
pub(crate) struct Fixed(pub(crate) Bytes);

impl RequestBody for Fixed {
    fn is_replayable(&self) -> bool {
        true
    }

    fn was_sent_whole(&self) -> bool {
        true
    }

    fn open(&mut self, _attempt: u32) -> BoxFuture<'_, Result<Outgoing<'_>>> {
        let length = Some(self.0.len() as u64);
        let outgoing = if self.0.is_empty() {
            Outgoing { body: Bytes::new().into(), length, feed: None }
        } else {
            // It tells when the transport takes it: until then the connection is being made.
            let gauge = Arc::new(Gauge::new());
            Outgoing { body: whole(self.0.clone(), gauge.clone()), length, feed: Some(Feed { gauge, run: None }) }
        };
        Box::pin(std::future::ready(Ok(outgoing)))
    }
}

/// What the transport has taken of a body so far.
#[derive(Debug)]
pub(crate) struct Gauge {
    start: Instant,
    taken: AtomicU64,
    /// Milliseconds from `start` to the last time that the transport asked for more.
    asked: AtomicU64,
    /// The transport has asked and there was nothing to give,
    starved: AtomicBool,
    /// since so many milliseconds after `start`.
    starved_at: AtomicU64,
    /// So long it had had nothing when the exchange ended, in milliseconds.
    starved_for: AtomicU64,
    ended: AtomicBool,
    /// Told on each change.
    pub(crate) changed: Notify,
}

impl Gauge {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            taken: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            starved: AtomicBool::new(true),
            starved_at: AtomicU64::new(0),
            starved_for: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    /// Bytes handed to the transport.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// All has been handed to the transport.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// The source, not the connection, is what holds things up.
    pub(crate) fn is_starved(&self) -> bool {
        self.starved.load(Ordering::Relaxed)
    }

    /// The exchange has ended.
    pub(crate) fn stop(&self) {
        if self.is_starved() && !self.has_ended() {
            let now = self.start.elapsed().as_millis() as u64;
            self.starved_for.store(now.saturating_sub(self.starved_at.load(Ordering::Relaxed)), Ordering::Relaxed);
        }
    }

    /// How long the source had had nothing to give when the exchange ended.
    pub(crate) fn starved_for(&self) -> Duration {
        Duration::from_millis(self.starved_for.load(Ordering::Relaxed))
    }

    pub(crate) fn last_asked(&self) -> Instant {
        self.start + Duration::from_millis(self.asked.load(Ordering::Relaxed))
    }

    /// For a body that the head completes.
    pub(crate) fn end_at_once(&self) {
        self.note(0, false, true);
    }

    fn note(&self, bytes: u64, starved: bool, ended: bool) {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        let now = self.start.elapsed().as_millis() as u64;
        self.asked.store(now, Ordering::Relaxed);
        if !self.starved.swap(starved, Ordering::Relaxed) && starved {
            self.starved_at.store(now, Ordering::Relaxed);
        }
        if ended {
            self.ended.store(true, Ordering::Release);
        }
        self.changed.notify_one();
    }
}

enum Piece {
    Data(Bytes),
    End,
}

/// The feeding end of a streamed body. Dropping it before [`BodySender::end`] makes the body fail: a chunked body that
/// just ended would be stored as a complete, shorter file.
pub(crate) struct BodySender(mpsc::Sender<Piece>);

impl BodySender {
    /// Waits until there is room. When the transport has gone, it waits for ever.
    pub(crate) async fn data(&self, data: Bytes) {
        let Err(TrySendError::Full(piece) | TrySendError::Closed(piece)) = self.0.try_send(Piece::Data(data)) else {
            return;
        };
        // In a box: it is large, and seldom needed by a body that is small.
        match Box::pin(self.0.reserve_many(REFILL)).await {
            // The other places are for the pieces that follow.
            Ok(mut places) => drop(places.next().map(|place| place.send(piece))),
            Err(_) => std::future::pending::<()>().await,
        }
    }

    /// Says that the body is complete. A transport that knew the length may have gone already.
    pub(crate) async fn end(&self) {
        if let Err(TrySendError::Full(end)) = self.0.try_send(Piece::End) {
            let _ = Box::pin(self.0.send(end)).await;
        }
    }
}

/// How many pieces may wait between the feed and the transport.
pub(crate) const PIECES_IN_FLIGHT: usize = 6;

/// The feed goes on when there is room for so many: waking it for each piece takes twice the CPU time of a memory copy.
const REFILL: usize = 4;

/// A streamed body and the end that feeds it.
pub(crate) fn channel(length: Option<u64>, gauge: Arc<Gauge>) -> (BodySender, reqwest::Body) {
    let (sender, pieces) = mpsc::channel(PIECES_IN_FLIGHT);
    (BodySender(sender), reqwest::Body::wrap(ChannelBody { pieces, length, taken: 0, gauge }))
}

struct ChannelBody {
    pieces: mpsc::Receiver<Piece>,
    length: Option<u64>,
    taken: u64,
    gauge: Arc<Gauge>,
}

/// The source stopped before the body was complete.
#[derive(Debug, thiserror::Error)]
#[error("the upload was abandoned before its body was complete")]
pub(crate) struct Abandoned;

impl Body for ChannelBody {
    type Data = Bytes;
    type Error = Abandoned;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Abandoned>>> {
        match self.pieces.poll_recv(cx) {
            Poll::Ready(Some(Piece::Data(data))) => {
                self.taken += data.len() as u64;
                self.gauge.note(data.len() as u64, false, self.is_end_stream());
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Poll::Ready(Some(Piece::End)) if self.length.is_none_or(|length| length == self.taken) => {
                self.gauge.note(0, false, true);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Piece::End) | None) => Poll::Ready(Some(Err(Abandoned))),
            Poll::Pending => {
                self.gauge.note(0, true, false);
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.length == Some(self.taken)
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, |length| SizeHint::with_exact(length - self.taken.min(length)))
    }
}

/// The transport takes a body that is in memory in pieces of this size: all of a large one at once would count as sent
/// while most of it waits for the connection.
const MOST_AT_ONCE: usize = 256 << 10;

/// A body that is in memory, and tells when the transport takes it.
pub(crate) fn whole(data: Bytes, gauge: Arc<Gauge>) -> reqwest::Body {
    reqwest::Body::wrap(WholeBody { data, gauge })
}

struct WholeBody {
    data: Bytes,
    gauge: Arc<Gauge>,
}

impl Body for WholeBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
        if self.data.is_empty() {
            return Poll::Ready(None);
        }
        let most = self.data.len().min(MOST_AT_ONCE);
        let data = self.data.split_to(most);
        self.gauge.note(data.len() as u64, false, self.data.is_empty());
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.len() as u64)
    }
}

/// A body that announces a length and never gives a byte: for asking what the server says to the head alone.
pub(crate) struct Withheld(pub(crate) u64);

impl Body for Withheld {
    type Data = Bytes;
    type Error = Abandoned;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Abandoned>>> {
        Poll::Pending
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::poll_fn;

    #[tokio::test]
    async fn a_large_body_in_memory_is_taken_in_pieces() {
        let gauge = Arc::new(Gauge::new());
        let data: Vec<u8> = (0..3 * MOST_AT_ONCE as u32 + 1).map(|i| (i >> 8) as u8).collect();
        let mut body = WholeBody { data: data.clone().into(), gauge: gauge.clone() };
        assert_eq!(body.size_hint().exact(), Some(data.len() as u64));
        let mut taken = Vec::new();
        while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let piece = frame.into_data().unwrap();
            assert!(!piece.is_empty() && piece.len() <= MOST_AT_ONCE);
            taken.extend_from_slice(&piece);
            let is_all = taken.len() == data.len();
            assert_eq!((gauge.taken(), gauge.has_ended()), (taken.len() as u64, is_all));
            assert_eq!(body.size_hint().exact(), Some((data.len() - taken.len()) as u64));
        }
        assert!(taken == data && body.is_end_stream());
    }
}

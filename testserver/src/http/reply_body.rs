//! Bodies of answers: texts, content, piped archives, and what faults make of them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::{mpsc, oneshot};

use super::link::{Busy, Link};
use crate::content::BlobReader;
use crate::fault::{Firing, ReplyMeddling};

/// The body of an answer.
pub(crate) struct ReplyBody {
    source: Source,
    meddling: Option<ReplyMeddling>,
    /// Both are dropped with the body, that is, once the answer has been handed over.
    _handed_over: Option<(oneshot::Sender<()>, Busy)>,
}

enum Source {
    Empty,
    /// Known length, so `Content-Length`.
    Whole(Bytes),
    /// Length not told, so `Transfer-Encoding: chunked`.
    Chunked(Bytes),
    Content {
        reader: BlobReader,
        left: u64,
    },
    Piped(mpsc::Receiver<io::Result<Bytes>>),
    #[cfg(feature = "tenantbox")]
    Foreign(Pin<Box<dyn Body<Data = Bytes, Error = io::Error> + Send>>),
}

impl ReplyBody {
    fn of(source: Source) -> Self {
        Self { source, meddling: None, _handed_over: None }
    }

    pub(crate) fn empty() -> Self {
        Self::of(Source::Empty)
    }

    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::of(Source::Whole(bytes.into()))
    }

    pub(crate) fn chunked(bytes: Bytes) -> Self {
        Self::of(Source::Chunked(bytes))
    }

    /// `length` bytes of content, read as they are wanted.
    pub(crate) fn content(reader: BlobReader, length: u64) -> Self {
        Self::of(Source::Content { reader, left: length })
    }

    /// Whatever another task sends, chunked.
    pub(crate) fn piped(pipe: mpsc::Receiver<io::Result<Bytes>>) -> Self {
        Self::of(Source::Piped(pipe))
    }

    /// Whatever another library answers.
    #[cfg(feature = "tenantbox")]
    pub(crate) fn foreign<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        use http_body_util::BodyExt;
        Self::of(Source::Foreign(Box::pin(body.map_err(io::Error::other))))
    }

    /// Drops `signal` and `busy` when this body has been handed over to the connection.
    pub(crate) fn signalling(mut self, signal: oneshot::Sender<()>, busy: Busy) -> Self {
        self._handed_over = Some((signal, busy));
        self
    }

    /// Lets a fault do its work on this body.
    pub(crate) fn meddled(mut self, firing: Firing, link: Arc<Link>) -> Self {
        self.meddling = Some(ReplyMeddling::new(firing, link));
        self
    }
}

impl Source {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let rest = |bytes: &mut Bytes| (!bytes.is_empty()).then(|| Ok(std::mem::take(bytes)));
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) | Self::Chunked(bytes) => Poll::Ready(rest(bytes)),
            Self::Content { reader, left } => {
                let chunk = ready!(reader.poll_next(cx));
                if let Some(Ok(bytes)) = &chunk {
                    *left = left.saturating_sub(bytes.len() as u64);
                }
                Poll::Ready(chunk)
            }
            Self::Piped(pipe) => pipe.poll_recv(cx),
            #[cfg(feature = "tenantbox")]
            Self::Foreign(body) => loop {
                let data = match ready!(body.as_mut().poll_frame(cx)) {
                    None => return Poll::Ready(None),
                    Some(Ok(frame)) => frame.into_data(),
                    Some(Err(broken)) => return Poll::Ready(Some(Err(broken))),
                };
                if let Ok(data) = data {
                    return Poll::Ready(Some(Ok(data)));
                }
            },
        }
    }

    fn left(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Whole(bytes) => Some(bytes.len() as u64),
            Self::Content { left, .. } => Some(*left),
            #[cfg(feature = "tenantbox")]
            Self::Foreign(body) => body.size_hint().exact(),
            Self::Chunked(_) | Self::Piped(_) => None,
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let Self { source, meddling, .. } = self.get_mut();
        let next = match meddling {
            None => ready!(source.poll_next(cx)),
            Some(meddling) => ready!(meddling.poll_next(cx, &mut |cx| source.poll_next(cx))),
        };
        Poll::Ready(next.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        let held_back = self.meddling.as_ref().map_or(0, ReplyMeddling::held_back);
        held_back == 0 && self.source.left() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        let held_back = self.meddling.as_ref().map_or(0, ReplyMeddling::held_back);
        self.source.left().map_or_else(SizeHint::default, |left| SizeHint::with_exact(left + held_back))
    }
}

//! An upload that is written to.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::stream::Stream;
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

use super::CHUNK;
use crate::error::{BoxError, Error, ErrorKind, Result};

/// What a writer hands to its upload; the end is said, never implied by dropping the writer.
enum Piece {
    Data(Bytes),
    End,
}

/// Turns `AsyncWrite` calls into the stream that an upload reads, and drives the upload with each of them: nothing is
/// spawned, and dropping it drops the upload.
pub(crate) struct Feeder<T> {
    pieces: PollSender<Piece>,
    buffer: BytesMut,
    upload: BoxFuture<'static, Result<T>>,
    outcome: Option<Result<T>>,
    ended: bool,
}

impl<T> Feeder<T> {
    /// `start` makes the upload from the stream of what will be written.
    pub(crate) fn new<S>(start: impl FnOnce(WrittenStream) -> S) -> Self
    where
        S: Future<Output = Result<T>> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(1);
        Self {
            pieces: PollSender::new(sender),
            buffer: BytesMut::new(),
            upload: Box::pin(start(WrittenStream { pieces: receiver, ended: false })),
            outcome: None,
            ended: false,
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        if self.outcome.is_none()
            && let Poll::Ready(outcome) = self.upload.as_mut().poll(cx)
        {
            self.outcome = Some(outcome);
        }
    }

    /// Room for one more piece; an error when the upload has ended already.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.drive(cx);
        if let Some(outcome) = &self.outcome {
            return Poll::Ready(Err(match outcome {
                Ok(_) => io::Error::new(io::ErrorKind::BrokenPipe, "the upload is complete"),
                Err(error) => error.clone().into(),
            }));
        }
        match self.pieces.poll_reserve(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            // The upload has stopped reading and is about to say why; it has been polled, so it will wake this task.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, "the upload has been completed")));
        }
        if self.buffer.len() >= CHUNK {
            ready!(self.poll_flush(cx))?;
        }
        let taken = data.len().min(CHUNK - self.buffer.len());
        if self.buffer.capacity() - self.buffer.len() < taken {
            self.buffer.reserve(CHUNK - self.buffer.len());
        }
        self.buffer.extend_from_slice(&data[..taken]);
        self.drive(cx);
        // An upload that waits gets what there is, however little: the server cuts a body that pauses.
        if self.outcome.is_none() && matches!(self.pieces.poll_reserve(cx), Poll::Ready(Ok(()))) {
            self.hand_over()?;
            self.drive(cx);
        }
        Poll::Ready(Ok(taken))
    }

    /// Gives the upload what was gathered. There has to be room for it.
    fn hand_over(&mut self) -> io::Result<()> {
        let data = self.buffer.split().freeze();
        self.pieces.send_item(Piece::Data(data)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.buffer.is_empty() {
            ready!(self.poll_room(cx))?;
            self.hand_over()?;
        }
        self.drive(cx);
        match &self.outcome {
            Some(Err(error)) => Poll::Ready(Err(error.clone().into())),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Says the end, and waits until the server has everything.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.ended {
            ready!(self.poll_flush(cx))?;
            ready!(self.poll_room(cx))?;
            self.pieces.send_item(Piece::End).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            self.ended = true;
        }
        self.drive(cx);
        match &self.outcome {
            None => Poll::Pending,
            Some(Ok(_)) => Poll::Ready(Ok(())),
            Some(Err(error)) => Poll::Ready(Err(error.clone().into())),
        }
    }

    pub(crate) async fn finish(mut self) -> Result<T> {
        let ended = std::future::poll_fn(|cx| self.poll_end(cx)).await;
        match (self.outcome, ended) {
            (Some(outcome), _) => outcome,
            (None, Err(error)) => Err(Error::io("the upload ended early", error)),
            (None, Ok(())) => Err(Error::new(ErrorKind::Interrupted, "the upload ended early")),
        }
    }
}

/// What is written, as a stream. It fails, rather than ends, when the writer is dropped.
pub(crate) struct WrittenStream {
    pieces: mpsc::Receiver<Piece>,
    ended: bool,
}

impl Stream for WrittenStream {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        match ready!(self.pieces.poll_recv(cx)) {
            Some(Piece::Data(data)) => Poll::Ready(Some(Ok(data))),
            Some(Piece::End) => {
                self.ended = true;
                Poll::Ready(None)
            }
            None => {
                self.ended = true;
                Poll::Ready(Some(Err("the writer was dropped before it was finished".into())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use std::sync::{Arc, Mutex};

    #[tokio::test]
    async fn what_is_written_goes_out_while_the_upload_waits() {
        let got = Arc::new(Mutex::new(Vec::new()));
        let seen = got.clone();
        let mut feeder = Feeder::new(|mut written| async move {
            while let Some(data) = written.next().await {
                let data = data.map_err(|cause| Error::new(ErrorKind::Io, "dropped").caused_by(cause))?;
                seen.lock().unwrap().extend_from_slice(&data);
            }
            Ok(())
        });
        for (line, so_far) in [("one", "one"), ("two", "onetwo"), ("three", "onetwothree")] {
            let taken = std::future::poll_fn(|cx| feeder.poll_write(cx, line.as_bytes())).await.unwrap();
            assert_eq!((taken, &got.lock().unwrap()[..]), (line.len(), so_far.as_bytes()));
        }
        feeder.finish().await.unwrap();
        assert_eq!(got.lock().unwrap().len(), 11);
    }
}

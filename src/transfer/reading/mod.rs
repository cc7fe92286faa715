//! Sources while they are read: one chunk after another.

mod ahead;
mod file;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt, future::poll_fn};
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

use super::CHUNK;
use super::buffers::aligned;
use super::source::source_error;
use crate::error::{BoxError, Error, ErrorKind, Result};

pub(crate) use ahead::ReadAhead;
pub(crate) use file::{FileReading, LaterFile, Seen};

/// A source while it is read.
pub(crate) enum Reading<'a> {
    Bytes(Bytes),
    File(ReadAhead),
    /// Opened when its first chunk is asked for.
    Later(LaterFile),
    Reader(Box<dyn AsyncRead + Send + Unpin + 'a>),
    Stream(StreamReading<'a>),
    #[cfg(target_os = "linux")]
    Pipe(super::pipe::PipeReading),
}

impl Reading<'_> {
    /// So many bytes of a file were read ahead.
    #[cfg(test)]
    pub(super) fn ready(&self) -> usize {
        if let Self::File(file) = self { file.ready() } else { 0 }
    }

    /// The next chunk, never an empty one; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        match self {
            Self::Later(later) => {
                let mut file = later.open().await?;
                let chunk = file.next().await;
                *self = Self::File(file);
                chunk
            }
            Self::Bytes(left) if left.is_empty() => Ok(None),
            Self::Bytes(left) => Ok(Some(left.split_to(left.len().min(CHUNK)))),
            Self::File(file) => file.next().await,
            Self::Reader(reader) => {
                let mut buffer = aligned(CHUNK);
                poll_fn(|cx| poll_fill(Pin::new(reader), cx, &mut buffer)).await.map_err(source_error)?;
                Ok(Some(buffer.freeze()).filter(|chunk| !chunk.is_empty()))
            }
            Self::Stream(stream) => stream.next().await,
            #[cfg(target_os = "linux")]
            Self::Pipe(pipe) => {
                // The largest of these, and the one seldom used.
                let chunk = Box::pin(pipe.next()).await.map_err(source_error)?;
                Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
            }
        }
    }
}

/// Fills the buffer with what is there now: a source that pauses must not hold back what it has given already, for the
/// server cuts a body that is slower than 240 B/s.
fn poll_fill(
    mut reader: Pin<&mut (dyn AsyncRead + Send + Unpin)>,
    cx: &mut Context<'_>,
    buffer: &mut BytesMut,
) -> Poll<io::Result<()>> {
    while buffer.len() < CHUNK {
        match poll_read_buf(reader.as_mut(), cx, buffer) {
            Poll::Ready(Ok(0)) => break,
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending if buffer.is_empty() => return Poll::Pending,
            Poll::Pending => break,
        }
    }
    Poll::Ready(Ok(()))
}

/// A stream of chunks of any size: small ones that are there already are put together, large ones split.
pub(crate) struct StreamReading<'a> {
    stream: BoxStream<'a, Result<Bytes, BoxError>>,
    left: Bytes,
    failed: Option<Error>,
    ended: bool,
}

/// Below this, putting chunks together is cheaper than sending them one by one.
const SMALL: usize = 64 << 10;

impl<'a> StreamReading<'a> {
    pub(crate) fn new(stream: BoxStream<'a, Result<Bytes, BoxError>>) -> Self {
        Self { stream, left: Bytes::new(), failed: None, ended: false }
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.left.is_empty() {
            self.left = poll_fn(|cx| self.poll_gather(cx)).await;
        }
        if !self.left.is_empty() {
            return Ok(Some(self.left.split_to(self.left.len().min(2 * CHUNK))));
        }
        match self.failed.take() {
            Some(error) => Err(error),
            None => Ok(None),
        }
    }

    fn poll_gather(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let mut gathered = BytesMut::new();
        while !self.ended {
            match self.stream.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(chunk))) if gathered.is_empty() && chunk.len() >= SMALL => {
                    return Poll::Ready(chunk);
                }
                Poll::Ready(Some(Ok(chunk))) => {
                    if gathered.is_empty() {
                        gathered.reserve(CHUNK);
                    }
                    gathered.extend_from_slice(&chunk);
                    if gathered.len() >= CHUNK {
                        break;
                    }
                }
                Poll::Ready(Some(Err(cause))) => {
                    self.failed = Some(Error::new(ErrorKind::Io, "the source's stream failed").caused_by(cause));
                    self.ended = true;
                }
                Poll::Ready(None) => self.ended = true,
                Poll::Pending if gathered.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(gathered.freeze())
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use proptest::prelude::*;

    use super::*;

    pub(super) async fn collect(mut reading: Reading<'_>) -> Result<(Vec<u8>, Vec<usize>)> {
        let (mut all, mut sizes) = (Vec::new(), Vec::new());
        while let Some(chunk) = reading.next().await? {
            sizes.push(chunk.len());
            all.extend_from_slice(&chunk);
        }
        Ok((all, sizes))
    }

    #[tokio::test]
    async fn small_chunks_are_gathered_and_large_ones_split() {
        let crumbs = stream::iter((0..5000).map(|_| Ok(Bytes::from_static(&[7; 100])))).boxed();
        let (all, sizes) = collect(Reading::Stream(StreamReading::new(crumbs))).await.unwrap();
        assert_eq!((all.len(), sizes.len()), (500_000, 2));
        let large = stream::iter([Ok(Bytes::from(vec![7; 3_000_000]))]).boxed();
        let (all, sizes) = collect(Reading::Stream(StreamReading::new(large))).await.unwrap();
        assert_eq!((all.len(), sizes.len()), (3_000_000, 6));
    }

    #[tokio::test]
    async fn what_came_before_an_error_is_not_the_end() {
        let broken = stream::iter([Ok(Bytes::from_static(b"x")), Err("broken".into())]).boxed();
        let mut reading = Reading::Stream(StreamReading::new(broken));
        assert_eq!(reading.next().await.unwrap().unwrap(), "x");
        assert_eq!(reading.next().await.unwrap_err().kind(), ErrorKind::Io);
    }

    #[tokio::test]
    async fn a_paused_reader_gives_what_it_has() {
        let (mut tx, rx) = tokio::io::duplex(1000);
        tokio::io::AsyncWriteExt::write_all(&mut tx, b"abc").await.unwrap();
        let mut reading = Reading::Reader(Box::new(rx));
        assert_eq!(reading.next().await.unwrap().unwrap(), "abc");
        drop(tx);
        assert!(reading.next().await.unwrap().is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_stream_comes_whole_and_in_bounded_chunks(
            pieces in prop::collection::vec(
                (prop_oneof![Just(0), 1..200_usize, SMALL - 2..SMALL + 2, CHUNK - 2..CHUNK + 2, 0..3 * CHUNK], any::<bool>()),
                0..8,
            ),
            fails in any::<bool>(),
        ) {
            let mut next = 0_u32;
            let mut piece = |length: usize| -> Bytes {
                let numbers = (0..length).map(|_| {
                    next = next.wrapping_mul(31).wrapping_add(7);
                    (next >> 8) as u8
                });
                numbers.collect()
            };
            let pieces: Vec<_> = pieces.into_iter().map(|(length, waits)| (piece(length), waits)).collect();
            let given: Vec<u8> = pieces.iter().flat_map(|(piece, _)| piece.to_vec()).collect();
            let pieces = stream::iter(pieces).then(|(piece, waits)| async move {
                if waits {
                    tokio::task::yield_now().await;
                }
                Ok::<_, BoxError>(piece)
            });
            let end = stream::iter(fails.then(|| Err("broken".into())));
            let mut reading = Reading::Stream(StreamReading::new(pieces.chain(end).boxed()));
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut all = Vec::new();
            let end = runtime.block_on(async {
                while let Some(chunk) = reading.next().await? {
                    assert!(!chunk.is_empty() && chunk.len() <= 512 << 10, "{}", chunk.len());
                    all.extend_from_slice(&chunk);
                }
                Ok::<_, Error>(())
            });
            prop_assert!(all == given);
            prop_assert_eq!(end.map_err(|error| error.kind()), if fails { Err(ErrorKind::Io) } else { Ok(()) });
        }
    }
}

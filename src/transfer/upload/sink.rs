//! Where the pieces of an upload's body go.

use bytes::{Bytes, BytesMut};

use crate::http::body::BodySender;

/// Where the pieces of a body go.
pub(super) enum Sink<'s> {
    /// To the request, as it takes them.
    Request(BodySender),
    /// Into memory, before there is a request.
    Memory(&'s mut Joined),
}

impl Sink<'_> {
    pub(super) async fn data(&mut self, data: Bytes) {
        match self {
            Self::Request(sender) => sender.data(data).await,
            Self::Memory(joined) => joined.push(data),
        }
    }

    pub(super) async fn end(&mut self) {
        if let Self::Request(sender) = self {
            sender.end().await;
        }
    }
}

/// Pieces put together; a single one stays what it is.
pub(super) struct Joined {
    length: usize,
    first: Bytes,
    all: BytesMut,
}

impl Joined {
    /// Up to so many bytes.
    pub(super) fn of(length: usize) -> Self {
        Self { length, first: Bytes::new(), all: BytesMut::new() }
    }

    fn push(&mut self, piece: Bytes) {
        if self.first.is_empty() {
            self.first = piece;
            return;
        }
        if self.all.is_empty() {
            self.all.reserve(self.length);
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&piece);
    }

    pub(super) fn into_bytes(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_piece_is_not_copied() {
        let joined = |pieces: &[&'static [u8]]| {
            let mut joined = Joined::of(8);
            pieces.iter().for_each(|piece| joined.push(Bytes::from_static(piece)));
            joined.into_bytes()
        };
        let piece: &[u8] = b"abc";
        assert_eq!(joined(&[piece]).as_ptr(), piece.as_ptr());
        assert_eq!(joined(&[b"abc", b"de", b"", b"fgh"]), "abcdefgh");
        assert_eq!(joined(&[]), "");
    }
}

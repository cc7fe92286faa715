//! Writing what is queued for a connection, as messages of the form that is asked for.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Sink, SinkExt as _};
use tokio::time::timeout;
use tokio_websockets::{CloseCode, Error, Message};

use super::Inner;
use super::member::Member;
use super::outbox::Item;
use super::switches::Framing;
use crate::http::link::Cut;

/// How long the peer may take to answer a close frame.
const CLOSING: Duration = Duration::from_secs(5);

/// Writes until the connection is closed or breaks; a peer that does not read is cut.
pub(super) async fn run(
    mut sink: impl Sink<Message, Error = Error> + Unpin,
    member: &Member,
    inner: &Inner,
) -> Option<Cut> {
    let slow = inner.times.slow_reader;
    loop {
        member.outbox.filled().await;
        if timeout(slow, member.outbox.writable()).await.is_err() {
            return Some(Cut::Reset);
        }
        let items = member.outbox.take();
        let bytes = items.iter().map(Item::len).sum();
        let closing = items.iter().any(|item| matches!(item, Item::Close));
        let framing = inner.switches.borrow().framing;
        match timeout(slow, write(&mut sink, items, framing)).await {
            Err(_) => return Some(Cut::Reset),
            Ok(Err(_)) => return None,
            Ok(Ok(())) => {}
        }
        member.outbox.written(bytes);
        if closing {
            tokio::time::sleep(CLOSING).await;
            return None;
        }
    }
}

async fn write(
    sink: &mut (impl Sink<Message, Error = Error> + Unpin),
    items: Vec<Item>,
    framing: Framing,
) -> Result<(), Error> {
    let mut items = items.into_iter().peekable();
    while let Some(item) = items.next() {
        match item {
            Item::Record(record) => match framing {
                Framing::Cut => {
                    let (head, tail) = cut(record);
                    sink.feed(Message::text(head)).await?;
                    sink.feed(Message::text(tail)).await?;
                }
                Framing::Gathered | Framing::Records(_) => {
                    let most = if let Framing::Records(most) = framing { most.max(1) } else { usize::MAX };
                    let more = std::iter::from_fn(|| match items.next_if(|item| matches!(item, Item::Record(_))) {
                        Some(Item::Record(record)) => Some(record),
                        _ => None,
                    });
                    sink.feed(Message::text(gather(record, more.take(most - 1)))).await?;
                }
            },
            Item::Text(bytes) => sink.feed(Message::text(bytes)).await?,
            Item::Binary(bytes) => sink.feed(Message::binary(bytes)).await?,
            Item::Close => sink.feed(Message::close(Some(CloseCode::NORMAL_CLOSURE), "")).await?,
        }
    }
    sink.flush().await
}

/// One message of several records; one alone is not copied.
fn gather(first: Bytes, more: impl Iterator<Item = Bytes>) -> Bytes {
    let mut more = more.peekable();
    if more.peek().is_none() {
        return first;
    }
    let mut all = BytesMut::from(first);
    more.for_each(|record| all.extend_from_slice(&record));
    all.freeze()
}

/// In the middle, between two characters.
fn cut(mut record: Bytes) -> (Bytes, Bytes) {
    let mut at = record.len() / 2;
    while at > 0 && record[at] & 0xc0 == 0x80 {
        at -= 1;
    }
    let tail = record.split_off(at);
    (record, tail)
}

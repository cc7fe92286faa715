//! What is on its way to one connection.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// How much may wait for a connection before those who send to it wait too, as in the real server's pipe.
const ROOM: usize = 64 * 1024;

/// Something to be written.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// A record with its separator; may share a message with others.
    Record(Bytes),
    /// A text message of its own, whatever is in it.
    Text(Bytes),
    /// A binary message.
    Binary(Bytes),
    /// The closing handshake; nothing goes out after it.
    Close,
}

impl Item {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Record(bytes) | Self::Text(bytes) | Self::Binary(bytes) => bytes.len(),
            Self::Close => 0,
        }
    }
}

/// The queue of one connection. Adding never waits, so that nothing is lost when a sender is dropped; senders wait for
/// [`room`](Self::room) afterwards.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    filled: Notify,
    drained: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Item>,
    /// Queued or being written.
    bytes: usize,
    stalled: bool,
    mute: bool,
    gone: bool,
}

impl Outbox {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, item: Item) {
        let mut queue = self.queue();
        if !queue.gone && !queue.mute {
            queue.bytes += item.len();
            queue.items.push_back(item);
            drop(queue);
            self.filled.notify_one();
        }
    }

    /// Whether the writer is to behave as if the peer did not read.
    pub(super) fn stall(&self, stalled: bool) {
        self.queue().stalled = stalled;
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// Whether what is added is to be lost.
    pub(super) fn mute(&self, mute: bool) {
        self.queue().mute = mute;
    }

    /// How many items wait to be written.
    pub(super) fn waiting(&self) -> usize {
        self.queue().items.len()
    }

    /// The connection has ended.
    pub(super) fn end(&self) {
        let mut queue = self.queue();
        queue.gone = true;
        queue.items.clear();
        drop(queue);
        self.drained.notify_waiters();
    }

    /// Resolves when there is something to write.
    pub(super) async fn filled(&self) {
        while self.queue().items.is_empty() {
            self.filled.notified().await;
        }
    }

    /// Resolves when there is something to write and the peer is to be written to.
    pub(super) async fn writable(&self) {
        loop {
            {
                let queue = self.queue();
                if !queue.items.is_empty() && !queue.stalled {
                    return;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Takes what fits a buffer, at least one item if there is one.
    pub(super) fn take(&self) -> Vec<Item> {
        let mut queue = self.queue();
        let mut bytes = 0;
        let mut taken = Vec::new();
        while let Some(item) = queue.items.front() {
            bytes += item.len();
            if bytes > ROOM && !taken.is_empty() {
                break;
            }
            taken.extend(queue.items.pop_front());
        }
        taken
    }

    /// So many of the bytes taken are out.
    pub(super) fn written(&self, bytes: usize) {
        self.queue().bytes -= bytes;
        self.drained.notify_waiters();
    }

    /// Resolves when less than a buffer waits, or nobody takes it any more.
    pub(super) async fn room(&self) {
        loop {
            let drained = self.drained.notified();
            let mut drained = std::pin::pin!(drained);
            drained.as_mut().enable();
            {
                let queue = self.queue();
                if queue.gone || (queue.bytes <= ROOM && !queue.stalled) {
                    return;
                }
            }
            drained.await;
        }
    }
}

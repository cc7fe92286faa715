//! What faults do to the body of an answer.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::{AT_LAST_BYTE, Action, Firing};
use crate::http::link::{Cut, Link};

/// Slow answers go out in this many pieces a second.
const PIECES_PER_SECOND: u64 = 10;

/// Stands between the source of a body and the connection.
pub(crate) struct ReplyMeddling {
    firing: Firing,
    link: Arc<Link>,
    sent: u64,
    fired: bool,
    held: Bytes,
    /// What is held is the last byte.
    last: bool,
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    vanished: bool,
}

type Source<'a> = &'a mut dyn FnMut(&mut Context<'_>) -> Poll<Option<io::Result<Bytes>>>;

impl ReplyMeddling {
    pub(crate) fn new(firing: Firing, link: Arc<Link>) -> Self {
        Self { firing, link, sent: 0, fired: false, held: Bytes::new(), last: false, waiting: None, vanished: false }
    }

    /// Bytes taken from the source and not yet passed on.
    pub(crate) fn held_back(&self) -> u64 {
        self.held.len() as u64
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>, source: Source<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            if self.vanished {
                // What was written is flushed now, and then the connection goes, this body with it.
                return Poll::Pending;
            }
            if let Some(waiting) = &mut self.waiting {
                ready!(waiting.as_mut().poll(cx));
                self.waiting = None;
            }
            if self.held.is_empty() {
                match ready!(source(cx)) {
                    Some(Ok(bytes)) if bytes.is_empty() => continue,
                    Some(Ok(bytes)) => self.held = bytes,
                    end => return Poll::Ready(end),
                }
            }
            if self.waits_for_last_byte() && self.held.len() == 1 {
                match ready!(source(cx)) {
                    Some(Ok(bytes)) if bytes.is_empty() => continue,
                    // It was not the last one.
                    Some(Ok(bytes)) => {
                        let before = std::mem::replace(&mut self.held, bytes);
                        self.sent += 1;
                        return Poll::Ready(Some(Ok(before)));
                    }
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => self.last = true,
                }
            }
            if let Some(piece) = self.piece() {
                self.sent += piece.len() as u64;
                return Poll::Ready(Some(Ok(piece)));
            }
        }
    }

    /// The next bytes to pass on, or `None` when the fault has something to do first.
    fn piece(&mut self) -> Option<Bytes> {
        let action = self.firing.action().clone();
        match action {
            Action::ResetResponseAfter(after) => self.up_to(after, |this| this.cut(Cut::Reset)),
            Action::CloseResponseAfter(after) => self.up_to(after, |this| this.cut(Cut::Close)),
            Action::StallResponseAfter(after) => self.up_to(after, |this| {
                let firing = this.firing.clone();
                this.waiting = Some(Box::pin(async move { firing.released().await }));
            }),
            Action::Slow(rate) => {
                let piece = usize::try_from((rate / PIECES_PER_SECOND).max(1)).unwrap_or(usize::MAX);
                let piece = self.held.split_to(piece.min(self.held.len()));
                let pause = Duration::from_secs_f64(piece.len() as f64 / rate as f64);
                self.waiting = Some(Box::pin(tokio::time::sleep(pause)));
                Some(piece)
            }
            Action::CorruptResponseAfter(after) => self.up_to(after, |this| {
                let mut bytes = BytesMut::from(&*std::mem::take(&mut this.held));
                bytes[0] ^= 1;
                this.held = bytes.freeze();
            }),
            _ => Some(std::mem::take(&mut self.held)),
        }
    }

    /// Passes on what lies before `after`, then lets the fault act, once.
    fn up_to(&mut self, after: u64, act: impl FnOnce(&mut Self)) -> Option<Bytes> {
        if self.fired {
            return Some(std::mem::take(&mut self.held));
        }
        let left = match after {
            // One byte stays until it is known whether another follows.
            AT_LAST_BYTE if self.last => 0,
            AT_LAST_BYTE => self.held.len() - 1,
            after => usize::try_from(after.saturating_sub(self.sent)).unwrap_or(usize::MAX),
        };
        if left == 0 {
            self.fire_once();
            act(self);
            return None;
        }
        Some(self.held.split_to(left.min(self.held.len())))
    }

    fn waits_for_last_byte(&self) -> bool {
        !self.fired
            && !self.last
            && matches!(
                self.firing.action(),
                Action::ResetResponseAfter(AT_LAST_BYTE)
                    | Action::CloseResponseAfter(AT_LAST_BYTE)
                    | Action::StallResponseAfter(AT_LAST_BYTE)
                    | Action::CorruptResponseAfter(AT_LAST_BYTE)
            )
    }

    fn cut(&mut self, cut: Cut) {
        self.vanished = true;
        self.link.cut_once_flushed(cut);
    }

    fn fire_once(&mut self) {
        if !std::mem::replace(&mut self.fired, true) {
            self.firing.fire();
        }
    }
}

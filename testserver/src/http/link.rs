//! One TCP connection, with a handle by which it can be cut from elsewhere.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::hub::upgrade::Entrance;

/// How a connection ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// RST: the peer sees `ECONNRESET`.
    Reset,
    /// FIN: the peer sees the end of the stream.
    Close,
}

/// The handle. The task that owns the socket waits for [`Link::cut`]; everyone else asks for it.
#[derive(Debug)]
pub(crate) struct Link {
    id: u64,
    cut: AtomicU8,
    cut_once_flushed: AtomicU8,
    /// Whether what was written before the cut is promised to arrive.
    to_be_sent: AtomicBool,
    notify: Notify,
    activity: watch::Sender<Activity>,
    /// What the connection is to become after the answer that is under way.
    successor: Mutex<Option<Entrance>>,
}

/// What goes on on a connection.
#[derive(Clone, Copy, Debug, Default)]
struct Activity {
    /// Requests so far: a quick one may have come and gone between two looks.
    begun: u64,
    busy: bool,
}

/// A request under way: from its head to the end of its answer the connection is not idle.
#[derive(Debug)]
pub(crate) struct Busy {
    link: Arc<Link>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.link.activity.send_modify(|activity| activity.busy = false);
    }
}

const NOT_CUT: u8 = 0;
const RESET: u8 = 1;
const CLOSE: u8 = 2;

fn code(cut: Cut) -> u8 {
    match cut {
        Cut::Reset => RESET,
        Cut::Close => CLOSE,
    }
}

impl Link {
    pub(crate) fn new(id: u64) -> Self {
        Self {
            id,
            cut: AtomicU8::new(NOT_CUT),
            cut_once_flushed: AtomicU8::new(NOT_CUT),
            to_be_sent: AtomicBool::new(false),
            notify: Notify::new(),
            activity: watch::Sender::new(Activity::default()),
            successor: Mutex::new(None),
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// After this answer the connection is the hub's.
    pub(crate) fn hand_over(&self, entrance: Entrance) {
        *self.successor.lock().unwrap_or_else(PoisonError::into_inner) = Some(entrance);
    }

    /// Whose the connection is now, if it is not for HTTP any more.
    pub(crate) fn successor(&self) -> Option<Entrance> {
        self.successor.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A request has come.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        self.activity.send_modify(|activity| *activity = Activity { begun: activity.begun + 1, busy: true });
        Busy { link: Arc::clone(self) }
    }

    /// Resolves when no request has come for so long since the last was answered.
    pub(crate) async fn idle_for(&self, time: Duration) {
        let mut activity = self.activity.subscribe();
        loop {
            // The sender lives as long as `self`, so neither wait can fail.
            let begun = activity.wait_for(|now| !now.busy).await.map_or(0, |now| now.begun);
            if timeout(time, activity.wait_for(|now| now.begun != begun)).await.is_err() {
                return;
            }
        }
    }

    /// Ends the connection now, whatever is on its way.
    pub(crate) fn cut_now(&self, cut: Cut) {
        self.cut.store(code(cut), Ordering::SeqCst);
        self.notify.notify_one();
    }

    /// Ends the connection as soon as everything written so far is with the peer.
    pub(crate) fn cut_once_flushed(&self, cut: Cut) {
        self.to_be_sent.store(true, Ordering::SeqCst);
        self.cut_once_flushed.store(code(cut), Ordering::SeqCst);
    }

    /// Cuts, and never returns: the task that runs this is dropped with its connection.
    pub(crate) async fn cut_and_vanish(&self, cut: Cut) -> ! {
        self.cut_now(cut);
        std::future::pending().await
    }

    /// Resolves when the connection is to end.
    pub(crate) async fn cut(&self) {
        self.notify.notified().await;
    }

    /// Whether a cut has to wait for what was written before it.
    pub(crate) fn is_to_be_sent(&self) -> bool {
        self.to_be_sent.load(Ordering::SeqCst)
    }

    fn flushed(&self) {
        match self.cut_once_flushed.swap(NOT_CUT, Ordering::SeqCst) {
            RESET => self.cut_now(Cut::Reset),
            CLOSE => self.cut_now(Cut::Close),
            _ => {}
        }
    }
}

/// The socket as hyper sees it.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    link: Arc<Link>,
    /// Read already, and to be read again.
    unread: Bytes,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, link: Arc<Link>) -> Self {
        Self { stream, link, unread: Bytes::new() }
    }

    /// Gives back what was read of it too early.
    pub(crate) fn put_back(&mut self, bytes: Bytes) {
        self.unread = bytes;
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let length = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread[..length]);
        self.unread.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() {
            self.link.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let socket = SockRef::from(&self.stream);
        // Neither can be reported, and a socket the peer has already closed may refuse both.
        let _ = match self.link.cut.load(Ordering::SeqCst) {
            RESET => socket.set_linger(Some(Duration::ZERO)),
            CLOSE => socket.shutdown(std::net::Shutdown::Write),
            _ => Ok(()),
        };
    }
}

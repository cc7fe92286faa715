//! A file that lines are appended to, for as long as a program runs.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use tokio::io::AsyncWrite;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::PollSender;

use super::File;
use super::change::known_length;
use super::upload::{path_turn, turn};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{CallOptions, awaitable, later};
use crate::transfer::Turn;

impl File {
    /// An `AsyncWrite` that appends to this file, of any length, over any time: for logs. A file that is not there is made.
    ///
    /// What is written is gathered, and appended when there is [enough](OpenLog::flush_bytes) of it, when the oldest of it has
    /// [waited long enough](OpenLog::flush_every), and by `flush` and `shutdown`, which wait until the server has it. A task
    /// of its own does it, so the runtime has to live as long as the writer.
    ///
    /// **Nothing is lost or doubled by a retry**: bytes are kept until the server has confirmed them, and go again to
    /// the same offset ([`File::append_at`]). When an append fails for a reason that passes, it is tried again after the same
    /// time, 100 ms at least, and with the next `flush`, which says what was wrong; meanwhile writes wait once four times the
    /// bytes of a flush are gathered behind those that failed. A reason that does not pass (no permission, the file was
    /// deleted, another writer) ends the writer: what it was is the error of the next call. A 404 passes, unless the server's
    /// listing has no such file, or it says that there is no such bucket.
    ///
    /// A crash loses what was not flushed. When the writer is dropped, the rest is appended in the background:
    /// calls with their retries, whose error nobody hears and which loses what is left. Use `shutdown`. There may be one writer
    /// for a file: a second one of this client is a `Conflict`, and one that is opened after another was dropped waits until
    /// the rest of that is appended. Of several on other machines all but one fail, and bytes can be lost. The server rewrites
    /// the whole file with each append, so begin a new one now and then. An append has `flush_bytes` at most, or 64 KiB.
    ///
    /// ```no_run
    /// use tokio::io::AsyncWriteExt;
    /// # async fn f(file: carbonfiles::File) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut log = file.log_writer().flush_every(std::time::Duration::from_secs(2)).await?;
    /// log.write_all(b"started\n").await?;
    /// log.shutdown().await?;
    /// # Ok(()) }
    /// ```
    pub fn log_writer(&self) -> OpenLog {
        let (flush_bytes, flush_every) = (1 << 20, Duration::from_secs(5));
        OpenLog { file: self.clone(), flush_bytes, flush_every, options: CallOptions::default() }
    }
}

/// Opens a file to append to. Made by [`File::log_writer`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct OpenLog {
    file: File,
    flush_bytes: usize,
    flush_every: Duration,
    options: CallOptions,
}

impl OpenLog {
    /// Appends when so many bytes are gathered; 1 MiB by default.
    pub fn flush_bytes(mut self, bytes: usize) -> Self {
        self.flush_bytes = bytes;
        self
    }

    /// Appends when the oldest byte has waited so long; 5 s by default.
    pub fn flush_every(mut self, time: Duration) -> Self {
        self.flush_every = time;
        self
    }

    async fn run(mut self) -> Result<LogWriter> {
        if self.flush_bytes == 0 {
            return Err(Error::invalid_input("flush_bytes", "nothing would ever be enough"));
        }
        let path = self.file.checked_path()?;
        self.file.client().transport.start(&mut self.options);
        let turns = &self.file.client().turns;
        let key = |what| format!("{what} {}/{path}", self.file.bucket.id());
        let Some(open) = turns.take(key("open log")) else {
            return Err(Error::new(ErrorKind::Conflict, format!("{path} has a log writer of this client already")));
        };
        // One that was dropped may still append the rest.
        let appending = turn(&self.file.bucket, &path, key("log"), &self.options, || {}).await?;
        // Nor does anything of this client become the file between the look and the making of it.
        let here = path_turn(&self.file.bucket, &path, &self.options, || {}).await?;
        let offset = match self.file.head().options(self.options.clone()).await {
            Ok(info) => known_length(&info)?,
            // A 404 may be a gateway's, or of a content that is missing, and making the file would empty it.
            Err(error) if error.is_not_found() => match self.file.listed_opt(self.options.clone()).await? {
                Some(info) => info.size,
                None => self.file.upload(Bytes::new()).in_turn(here).options(self.options.clone()).await?.size,
            },
            Err(error) => return Err(error),
        };
        // The limit is for each append; that for opening it ends here.
        self.options = self.options.anew();
        let (sender, messages) = mpsc::channel(16);
        let (flush, flushes) = mpsc::unbounded_channel();
        let failure = Failure::default();
        let appender = Appender {
            log: self,
            written: messages,
            flushes,
            gathered: BytesMut::new(),
            unsent: Bytes::new(),
            tried: false,
            offset,
            due: None,
            ended: false,
            failure: failure.clone(),
            _turn: appending,
        };
        tokio::spawn(appender.run());
        Ok(LogWriter {
            written: PollSender::new(sender),
            flush,
            flushing: None,
            failure,
            shut: false,
            open: Some(open),
        })
    }
}

awaitable!(OpenLog => LogWriter);

type Answer = oneshot::Sender<Result<()>>;

/// What ended the appending, for the next who asks.
type Failure = Arc<Mutex<Option<Error>>>;

/// Appends what the writer gives it. It ends when the writer has gone and everything is there, or can't be.
struct Appender {
    log: OpenLog,
    written: mpsc::Receiver<Bytes>,
    flushes: mpsc::UnboundedReceiver<Answer>,
    gathered: BytesMut,
    /// What is on its way, or has to go again.
    unsent: Bytes,
    /// An append of these failed, so that some of them may be there.
    tried: bool,
    offset: u64,
    /// When something has to be appended, at the latest.
    due: Option<Instant>,
    /// The last append failed for a reason that does not pass.
    ended: bool,
    failure: Failure,
    /// The next writer for this file waits until this has ended.
    _turn: Turn,
}

impl Appender {
    async fn run(mut self) {
        loop {
            let (due, full) = (self.due, self.is_full());
            let (answer, outcome) = tokio::select! {
                answer = self.flushes.recv() => {
                    let outcome = self.flush().await;
                    // The writer has gone.
                    if answer.is_none() {
                        return;
                    }
                    (answer, outcome)
                }
                data = self.written.recv(), if !full => match data {
                    Some(data) => {
                        self.gathered.extend_from_slice(&data);
                        self.due.get_or_insert_with(|| later(Instant::now(), self.log.flush_every));
                        // After a failure it takes its time, unless it is told to try.
                        if !self.unsent.is_empty() || self.gathered.len() < self.log.flush_bytes {
                            continue;
                        }
                        (None, self.append().await)
                    }
                    // Everything is there: `shutdown` has seen to it. Or the writer has gone.
                    None => {
                        let _ = self.append().await;
                        return;
                    }
                },
                () = async { sleep_until(due.unwrap_or_else(Instant::now)).await }, if due.is_some() => {
                    (None, self.append().await)
                }
            };
            match outcome {
                // Whoever asks next finds it, if nobody waits for this answer any more.
                Err(error) if self.ended => {
                    *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    return;
                }
                outcome => drop(answer.map(|answer| answer.send(outcome))),
            }
        }
    }

    /// As much is gathered as may wait.
    fn is_full(&self) -> bool {
        self.gathered.len() >= self.log.flush_bytes.saturating_mul(4)
    }

    /// Appends what was written before now, in as many steps as there is room for: a writer that flushes each line although
    /// the appends fail does not make it grow.
    async fn flush(&mut self) -> Result<()> {
        let mut waiting = self.written.len();
        loop {
            while waiting > 0 && !self.is_full() {
                match self.written.try_recv() {
                    Ok(data) => self.gathered.extend_from_slice(&data),
                    Err(_) => break,
                }
                waiting -= 1;
            }
            self.append().await?;
            if waiting == 0 {
                return Ok(());
            }
        }
    }

    /// Appends everything there is, what has to go again first.
    async fn append(&mut self) -> Result<()> {
        loop {
            if self.unsent.is_empty() {
                // In pieces: the server, or something before it, may take no body that is much longer.
                let most = self.gathered.len().min(self.log.flush_bytes.max(MOST));
                (self.unsent, self.tried) = (self.gathered.split_to(most).freeze(), false);
            }
            if self.unsent.is_empty() {
                self.due = None;
                return Ok(());
            }
            let append = self.log.file.append_at(self.offset, self.unsent.clone()).tried(self.tried);
            if let Err(error) = append.options(self.log.options.clone()).await {
                self.tried = true;
                let may_pass = error.is_not_found() && Box::pin(self.may_be_there()).await;
                self.ended = !(may_pass || error.is_retryable());
                self.due = Some(later(Instant::now(), self.log.flush_every.max(SHORTEST_PAUSE)));
                return Err(if may_pass { error.with_hint(KEPT) } else { error });
            }
            self.offset = self.offset.saturating_add(std::mem::take(&mut self.unsent).len() as u64);
        }
    }

    /// Whether a 404 may be of something on the way: that to a `HEAD` has no words. What is listed is the server's word, and what
    /// it says of the first byte: the content of a file can be missing.
    async fn may_be_there(&self) -> bool {
        let (file, options) = (&self.log.file, &self.log.options);
        let looked = match file.listed_opt(options.clone()).await {
            Ok(None) => return false,
            Ok(Some(_)) => file.download().range(..1).options(options.clone()).await.map(drop),
            Err(error) => Err(error),
        };
        looked.err().is_none_or(|error| !error.tells_of_absence())
    }
}

/// The hint of a 404 that does not end the writer.
const KEPT: &str = "The server does not say that the file was deleted: what was written is kept, so flush again";

/// Of one write.
const MOST: usize = 64 << 10;
/// After an append that failed.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// Appends to a file what is written to it. Made by [`File::log_writer`].
#[must_use = "what was not flushed is only appended in the background"]
pub struct LogWriter {
    written: PollSender<Bytes>,
    flush: mpsc::UnboundedSender<Answer>,
    flushing: Option<oneshot::Receiver<Result<()>>>,
    failure: Failure,
    /// Everything is there, and nothing comes after it.
    shut: bool,
    /// As long as it is there, there is no other for this file.
    open: Option<Turn>,
}

impl LogWriter {
    /// The appending has ended: why.
    fn ended(&mut self) -> io::Error {
        self.open = None;
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        let again = || Error::new(ErrorKind::Io, "the log writer has ended with an error before");
        failure.unwrap_or_else(again).into()
    }
}

impl AsyncWrite for LogWriter {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.shut {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, "the log writer was shut down before")));
        }
        if ready!(self.written.poll_reserve(cx)).is_err() {
            return Poll::Ready(Err(self.ended()));
        }
        let taken = data.len().min(MOST);
        if self.written.send_item(Bytes::copy_from_slice(&data[..taken])).is_err() {
            return Poll::Ready(Err(self.ended()));
        }
        // A flush that was given up does not answer for what came after it.
        self.flushing = None;
        Poll::Ready(Ok(taken))
    }

    /// Waits until the server has everything that was written. After an error that may pass, nothing is lost: flush again.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.shut {
            return Poll::Ready(Ok(()));
        }
        if self.flushing.is_none() {
            let (answer, flushing) = oneshot::channel();
            if self.flush.send(answer).is_err() {
                return Poll::Ready(Err(self.ended()));
            }
            self.flushing = Some(flushing);
        }
        let Some(flushing) = &mut self.flushing else { return Poll::Ready(Ok(())) };
        let outcome = ready!(flushing.poll_unpin(cx));
        self.flushing = None;
        Poll::Ready(match outcome {
            Ok(done) => done.map_err(io::Error::from),
            Err(_) => Err(self.ended()),
        })
    }

    /// As `flush`, with its errors: `Ok` means that the server has everything. Afterwards nothing can be written.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.shut {
            ready!(self.as_mut().poll_flush(cx))?;
            self.shut = true;
            self.written.close();
            self.open = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for LogWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogWriter").finish_non_exhaustive()
    }
}

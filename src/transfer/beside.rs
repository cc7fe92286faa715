//! Work on the chunks of a transfer beside it, on the runtime's blocking threads: hashing, writing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use super::CHUNK;
use crate::blocking::drop_aside;
use crate::error::{Error, ErrorKind, Result};

/// What is done with each chunk, in order.
pub(crate) trait Work: Send + 'static {
    /// Says that the runtime ended before the work.
    const STOPPED: &'static str;

    /// So many bytes a transfer may run ahead. Less would let each wait for the other by turns.
    const BEHIND: usize = 4 * CHUNK;

    /// What waits has to become so little before the transfer goes on: to be woken for each chunk costs more than the chunk.
    const ROOM_AGAIN: usize = Self::BEHIND / 2;

    fn take(&mut self, chunk: &[u8]) -> Result<()>;
}

/// Work that goes on while its owner fetches the next chunk, one job for as many chunks as wait for it.
///
/// A job ends as soon as nothing waits, rather than having a thread for the whole transfer: the pool of threads is bounded,
/// and transfers that each held one while they waited for another would wait for ever. Dropped, it still works off what
/// waits.
pub(crate) struct Beside<W: Work>(Arc<Shared<W>>);

/// What a transfer and its job share.
struct Shared<W> {
    queue: Mutex<Queue<W>>,
    /// Told when there is room again, and when a job ends.
    moved: Notify,
}

struct Queue<W> {
    waiting: VecDeque<Bytes>,
    bytes: usize,
    work: Held<W>,
}

enum Held<W> {
    /// No job runs.
    Idle(Box<W>),
    /// A job has it.
    Taken,
    /// It failed, or the job that had it did not come to its end; `None` once that has been told.
    Lost(Option<Error>),
}

impl<W: Work> Beside<W> {
    pub(crate) fn new(work: Box<W>) -> Self {
        let queue = Mutex::new(Queue { waiting: VecDeque::new(), bytes: 0, work: Held::Idle(work) });
        Self(Arc::new(Shared { queue, moved: Notify::new() }))
    }

    /// Takes the next chunk; waits only while too much is still to be done.
    ///
    /// # Errors
    /// That of an earlier chunk. Nothing more is done then.
    pub(crate) async fn push(&self, chunk: Bytes) -> Result<()> {
        while self.0.is_full() {
            self.0.moved.notified().await;
        }
        let mut queue = self.0.lock();
        let work = queue.take()?;
        queue.bytes += weight(&chunk);
        queue.waiting.push_back(chunk);
        // A runtime that shuts down drops the job right here, and that takes the lock.
        drop(queue);
        if let Some(work) = work {
            let job = Job { work: Some(work), shared: self.0.clone() };
            spawn_blocking(move || job.run());
        }
        Ok(())
    }

    /// Waits until all is done, and gives back what has done it. It may be dropped and called again.
    pub(crate) async fn finish(&self) -> Result<Box<W>> {
        loop {
            let work = self.0.lock().take()?;
            if let Some(work) = work {
                return Ok(work);
            }
            self.0.moved.notified().await;
        }
    }

    /// So many bytes wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.0.lock().bytes
    }
}

impl<W: Work> Drop for Beside<W> {
    fn drop(&mut self) {
        // A job that has it drops it; here it may be a worker of the runtime that would have to wait.
        let work = self.0.lock().take();
        if let Ok(Some(work)) = work {
            drop_aside(work);
        }
    }
}

/// What a chunk counts for: those of a peer that sends byte by byte take up far more than their bytes.
fn weight(chunk: &Bytes) -> usize {
    chunk.len().max(4 << 10)
}

impl<W: Work> Queue<W> {
    /// The work, if no job has it.
    ///
    /// # Errors
    /// Why it is lost, which is told once.
    fn take(&mut self) -> Result<Option<Box<W>>> {
        match std::mem::replace(&mut self.work, Held::Taken) {
            Held::Idle(work) => Ok(Some(work)),
            Held::Taken => Ok(None),
            Held::Lost(error) => {
                self.work = Held::Lost(None);
                Err(error.unwrap_or_else(|| Error::new(ErrorKind::Io, W::STOPPED)))
            }
        }
    }
}

impl<W: Work> Shared<W> {
    fn lock(&self) -> MutexGuard<'_, Queue<W>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_full(&self) -> bool {
        let queue = self.lock();
        // Nobody will ever make room where the work is lost.
        queue.bytes >= W::BEHIND && !matches!(queue.work, Held::Lost(_))
    }
}

/// Has the work while there is something to do. A runtime that shuts down drops it unrun.
struct Job<W: Work> {
    /// `None` once it has been given back.
    work: Option<Box<W>>,
    shared: Arc<Shared<W>>,
}

impl<W: Work> Job<W> {
    fn run(mut self) {
        while let Some(chunk) = self.next() {
            if let Some(work) = &mut self.work
                && let Err(error) = work.take(&chunk)
            {
                return self.lose(Some(error));
            }
        }
    }

    /// The next chunk; gives the work back where there is none.
    fn next(&mut self) -> Option<Bytes> {
        let mut queue = self.shared.lock();
        let chunk = queue.waiting.pop_front();
        match &chunk {
            Some(chunk) => {
                let before = queue.bytes;
                queue.bytes -= weight(chunk);
                if before > W::ROOM_AGAIN && queue.bytes <= W::ROOM_AGAIN {
                    self.shared.moved.notify_one();
                }
            }
            None => queue.work = self.work.take().map_or(Held::Lost(None), Held::Idle),
        }
        chunk
    }

    fn lose(&mut self, error: Option<Error>) {
        // Dropped before anybody hears of it, and not under the lock: it may have a file to remove.
        drop(self.work.take());
        let mut queue = self.shared.lock();
        queue.work = Held::Lost(error);
        queue.waiting.clear();
        queue.bytes = 0;
    }
}

impl<W: Work> Drop for Job<W> {
    fn drop(&mut self) {
        // Another job may be at work by now, unless this one still has it.
        if self.work.is_some() {
            self.lose(None);
        }
        self.shared.moved.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// Fails at a zero, and notes what came before.
    struct Noting(Arc<Mutex<Vec<u8>>>);

    impl Work for Noting {
        const STOPPED: &'static str = "stopped";

        fn take(&mut self, chunk: &[u8]) -> Result<()> {
            match chunk {
                [0, ..] => Err(Error::new(ErrorKind::Io, "zero")),
                [byte, ..] => {
                    self.0.lock().unwrap().push(*byte);
                    Ok(())
                }
                [] => Ok(()),
            }
        }
    }

    #[tokio::test]
    async fn an_error_is_told_once_and_ends_it() {
        let done = Arc::new(Mutex::new(Vec::new()));
        let beside = Beside::new(Box::new(Noting(done.clone())));
        let mut told = Vec::new();
        for byte in [1, 2, 0, 3, 4] {
            let mut chunk = vec![1; CHUNK];
            chunk[0] = byte;
            told.extend(beside.push(chunk.into()).await.err());
        }
        for _ in 0..2 {
            told.extend(beside.finish().await.err());
        }
        told.extend(beside.push(Bytes::from_static(&[5])).await.err());
        let told: Vec<_> = told.iter().map(ToString::to_string).collect();
        assert!(told.iter().filter(|error| error.contains("zero")).count() == 1 && told.len() > 1, "{told:?}");
        assert_eq!(*done.lock().unwrap(), [1, 2]);
    }

    #[tokio::test]
    async fn many_small_chunks_do_not_wait_for_nothing() {
        /// Waits until it may go on.
        struct Held(std::sync::mpsc::Receiver<()>);
        impl Work for Held {
            const STOPPED: &'static str = "stopped";

            fn take(&mut self, _: &[u8]) -> Result<()> {
                let _ = self.0.recv();
                Ok(())
            }
        }
        let (go_on, goes_on) = std::sync::mpsc::channel();
        let beside = Beside::new(Box::new(Held(goes_on)));
        let mut taken = 0;
        while beside.push(Bytes::from_static(b"x")).now_or_never().is_some() {
            taken += 1;
            assert!(taken < 1000, "each of them takes up more than its byte");
        }
        drop(go_on);
        beside.finish().await.unwrap();
    }

    #[tokio::test]
    async fn what_is_dropped_tidies_up_on_another_thread() {
        struct Tidying(std::sync::mpsc::Sender<std::thread::ThreadId>);
        impl Drop for Tidying {
            fn drop(&mut self) {
                self.0.send(std::thread::current().id()).unwrap();
            }
        }
        impl Work for Tidying {
            const STOPPED: &'static str = "stopped";

            fn take(&mut self, _: &[u8]) -> Result<()> {
                Ok(())
            }
        }
        let (tell, told) = std::sync::mpsc::channel();
        drop(Beside::new(Box::new(Tidying(tell))));
        assert_ne!(told.recv().unwrap(), std::thread::current().id());
    }

    #[tokio::test]
    async fn what_waits_when_it_is_dropped_is_done_all_the_same() {
        let done = Arc::new(Mutex::new(Vec::new()));
        let beside = Beside::new(Box::new(Noting(done.clone())));
        for byte in 1..=100 {
            beside.push(Bytes::copy_from_slice(&[byte])).await.unwrap();
        }
        let shared = Arc::downgrade(&beside.0);
        drop(beside);
        crate::waiting::until(|| shared.strong_count() == 0).await;
        assert_eq!(*done.lock().unwrap(), (1..=100).collect::<Vec<u8>>());
    }
}

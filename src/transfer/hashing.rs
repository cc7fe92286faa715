//! Hashes beside the transfer: SHA-256, unless something else is asked for.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use super::CHUNK;
use super::buffers::zeroed;
use super::reading::read_at;
use crate::blocking::blocking;
use crate::error::{Error, ErrorKind, Result};

/// Hashes what passes: here while it is little, beside the transfer, on the runtime's blocking threads, when it is much.
///
/// A job ends as soon as nothing waits to be hashed, rather than having a thread for the whole transfer: the pool of
/// threads is bounded, and transfers that each held one while they waited for another would wait for ever.
pub(crate) struct Hasher<D = Sha256> {
    state: State<D>,
    hashed: u64,
}

enum State<D> {
    /// In a box: it lies in the futures around it, which are copied.
    Here(Box<D>),
    Beside(Arc<Beside<D>>),
}

/// What a transfer and its hashing job share.
struct Beside<D> {
    queue: Mutex<Queue<D>>,
    /// Told whenever a chunk was taken, and when a job ends.
    moved: Notify,
}

struct Queue<D> {
    waiting: VecDeque<Bytes>,
    bytes: usize,
    hash: Held<D>,
}

enum Held<D> {
    /// No job runs.
    Idle(Box<D>),
    /// A job has it.
    Taken,
    /// The job that had it did not come to its end.
    Lost,
}

/// About half a millisecond of hashing: more would hold up the caller's task.
const MUCH: u64 = 1 << 20;

/// So far a transfer may run ahead of its hash. Less would let each wait for the other by turns.
pub(super) const BEHIND: usize = 4 * CHUNK;

impl Hasher {
    pub(crate) fn new() -> Self {
        Self::of()
    }
}

impl<D: Digest + Send + 'static> Hasher<D> {
    /// One of another kind.
    pub(crate) fn of() -> Self {
        Self { state: State::Here(Box::new(D::new())), hashed: 0 }
    }

    /// Takes the next chunk; waits only while too much is still to be hashed.
    pub(crate) async fn update(&mut self, data: &Bytes) {
        self.hashed += data.len() as u64;
        match &mut self.state {
            State::Here(hash) if self.hashed < MUCH => hash.update(data),
            State::Here(hash) => {
                let hash = Held::Idle(std::mem::replace(hash, Box::new(D::new())));
                let queue = Mutex::new(Queue { waiting: VecDeque::new(), bytes: 0, hash });
                let beside = Arc::new(Beside { queue, moved: Notify::new() });
                beside.push(data);
                self.state = State::Beside(beside);
            }
            State::Beside(beside) => {
                while beside.is_full() {
                    beside.moved.notified().await;
                }
                beside.push(data);
            }
        }
    }

    /// The hash in lower-case hex.
    pub(crate) async fn finish(self) -> Result<String> {
        let hash = match self.state {
            State::Here(hash) => hash,
            State::Beside(beside) => loop {
                match std::mem::replace(&mut beside.lock().hash, Held::Taken) {
                    Held::Idle(hash) => break hash,
                    Held::Taken => {}
                    Held::Lost => return Err(Error::new(ErrorKind::Io, "the runtime stopped hashing")),
                }
                beside.moved.notified().await;
            },
        };
        Ok(hex(hash.finalize().as_slice()))
    }
}

impl<D: Digest + Send + 'static> Beside<D> {
    fn lock(&self) -> MutexGuard<'_, Queue<D>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_full(&self) -> bool {
        let queue = self.lock();
        // Nobody will ever make room where the hash is lost; `finish` reports it.
        queue.bytes >= BEHIND && !matches!(queue.hash, Held::Lost)
    }

    fn push(self: &Arc<Self>, data: &Bytes) {
        let mut queue = self.lock();
        let hash = match std::mem::replace(&mut queue.hash, Held::Taken) {
            Held::Idle(hash) => Some(hash),
            Held::Taken => None,
            Held::Lost => {
                queue.hash = Held::Lost;
                return;
            }
        };
        queue.waiting.push_back(data.clone());
        queue.bytes += data.len();
        // A runtime that shuts down drops the job right here, and that takes the lock.
        drop(queue);
        if let Some(hash) = hash {
            let job = Job { hash: Some(hash), beside: self.clone() };
            spawn_blocking(move || job.run());
        }
    }
}

/// Has the hash while there is something to do. A runtime that shuts down drops it unrun.
struct Job<D: Digest + Send + 'static> {
    /// `None` once it has been given back.
    hash: Option<Box<D>>,
    beside: Arc<Beside<D>>,
}

impl<D: Digest + Send + 'static> Job<D> {
    fn run(mut self) {
        while let Some(chunk) = self.next() {
            self.beside.moved.notify_one();
            if let Some(hash) = &mut self.hash {
                hash.update(&chunk);
            }
        }
    }

    /// The next chunk; gives the hash back where there is none.
    fn next(&mut self) -> Option<Bytes> {
        let mut queue = self.beside.lock();
        let chunk = queue.waiting.pop_front();
        match &chunk {
            Some(chunk) => queue.bytes -= chunk.len(),
            None => queue.hash = self.hash.take().map_or(Held::Lost, Held::Idle),
        }
        chunk
    }
}

impl<D: Digest + Send + 'static> Drop for Job<D> {
    fn drop(&mut self) {
        // Another job may be at work by now, unless this one still has the hash.
        if self.hash.is_some() {
            let mut queue = self.beside.lock();
            queue.hash = Held::Lost;
            queue.waiting.clear();
        }
        self.beside.moved.notify_one();
    }
}

/// Hashes some more of a file, from one place towards another; gives where it came to.
pub(super) async fn hash_file(hasher: &mut Hasher, file: &Arc<File>, from: u64, to: u64) -> Result<u64> {
    let (file, want) = (file.clone(), (to - from).min(CHUNK as u64) as usize);
    let chunk = blocking(move || {
        let mut chunk = zeroed(want);
        let read = read_at(&file, &mut chunk, from).map_err(|cause| Error::io("the part could not be read", cause))?;
        chunk.truncate(read);
        Ok(chunk.freeze())
    });
    let chunk = chunk.await?;
    if chunk.is_empty() {
        return Err(Error::new(ErrorKind::IntegrityMismatch, "the part became shorter"));
    }
    hasher.update(&chunk).await;
    Ok(from + chunk.len() as u64)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let mut hex = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        hex.extend([byte >> 4, byte & 15].map(|half| DIGITS[usize::from(half)]));
    }
    hex
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[tokio::test]
    async fn jobs_give_the_same_hash() {
        let data = Bytes::from(vec![42u8; 5 << 20]);
        let mut hasher = Hasher::new();
        for start in (0..data.len()).step_by(100_000) {
            hasher.update(&data.slice(start..data.len().min(start + 100_000))).await;
        }
        assert!(matches!(hasher.state, State::Beside(_)));
        assert_eq!(hasher.finish().await.unwrap(), hex(&Sha256::digest(&data)));
        assert_eq!(
            Hasher::new().finish().await.unwrap(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[tokio::test]
    async fn what_waits_to_be_hashed_is_bounded() {
        let chunk = Bytes::from(vec![7u8; CHUNK]);
        let mut hasher = Hasher::new();
        for _ in 0..400 {
            hasher.update(&chunk).await;
            if let State::Beside(beside) = &hasher.state {
                assert!(beside.lock().bytes <= BEHIND);
            }
        }
        assert_eq!(hasher.finish().await.unwrap(), hex(&Sha256::digest(vec![7u8; 400 * CHUNK])));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn jobs_that_follow_each_other_closely_lose_nothing() {
        let data = Bytes::from(vec![9u8; 4 << 20]);
        for _ in 0..20 {
            let mut hasher = Hasher::new();
            hasher.update(&data.slice(..2 << 20)).await;
            for start in (2 << 20..data.len()).step_by(100) {
                hasher.update(&data.slice(start..data.len().min(start + 100))).await;
            }
            assert_eq!(hasher.finish().await.unwrap(), hex(&Sha256::digest(&data)));
        }
    }

    #[test]
    fn a_runtime_that_ends_is_an_error_and_no_hang() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let chunk = Bytes::from(vec![7u8; CHUNK]);
        let mut hasher = Hasher::new();
        let handle = runtime.handle().clone();
        runtime.shutdown_background();
        let _entered = handle.enter();
        let hashed = async {
            for _ in 0..20 {
                hasher.update(&chunk).await;
            }
            hasher.finish().await
        };
        // It never waits: nobody would wake it.
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(hashed) = pin!(hashed).poll(&mut context) else { panic!("it waits for ever") };
        assert_eq!(hashed.unwrap_err().kind(), ErrorKind::Io);
    }
}

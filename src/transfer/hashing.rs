//! Hashes beside the transfer: SHA-256, unless something else is asked for.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::CHUNK;
use super::beside::{Beside, Work};
use super::buffers::zeroed;
use super::positioned::read_at;
use super::source::Source;
use crate::blocking::blocking;
use crate::error::{Error, ErrorKind, Result};

/// Hashes what passes: here while it is little, beside the transfer when it is much.
pub(crate) struct Hasher<D: Digest + Send + 'static = Sha256> {
    state: State<D>,
    hashed: u64,
}

enum State<D: Digest + Send + 'static> {
    /// In a box: it lies in the futures around it, which are copied.
    Here(Box<Hashing<D>>),
    Beside(Beside<Hashing<D>>),
}

struct Hashing<D>(D);

impl<D: Digest + Send + 'static> Work for Hashing<D> {
    const STOPPED: &'static str = "the runtime stopped hashing";

    fn take(&mut self, chunk: &[u8]) -> Result<()> {
        self.0.update(chunk);
        Ok(())
    }
}

/// About half a millisecond of hashing: more would hold up the caller's task.
const MUCH: u64 = 1 << 20;
/// Of a file by one job, which reads and hashes by turns: a few milliseconds.
const AT_ONCE: u64 = 4 << 20;

impl Hasher {
    pub(crate) fn new() -> Self {
        Self::of()
    }
}

impl<D: Digest + Send + 'static> Hasher<D> {
    /// One of another kind.
    pub(crate) fn of() -> Self {
        Self { state: State::Here(Box::new(Hashing(D::new()))), hashed: 0 }
    }

    /// The hash of a whole source, in lower-case hex.
    pub(crate) async fn of_source(mut source: Source<'_>) -> Result<String> {
        let (mut reading, _) = source.open().await?;
        let mut hasher = Self::of();
        while let Some(chunk) = reading.next().await? {
            hasher.update(&chunk).await;
        }
        hasher.finish().await
    }

    /// Takes the next chunk; waits only while too much is still to be hashed.
    pub(crate) async fn update(&mut self, data: &Bytes) {
        self.hashed += data.len() as u64;
        if let State::Here(hash) = &mut self.state {
            if self.hashed < MUCH {
                hash.0.update(data);
                return;
            }
            let hash = std::mem::replace(hash, Box::new(Hashing(D::new())));
            self.state = State::Beside(Beside::new(hash));
        }
        if let State::Beside(beside) = &self.state {
            // What becomes of it is told at the end.
            let _ = beside.push(data.clone()).await;
        }
    }

    /// Takes some more of a file, from one place towards another; gives where it came to.
    pub(super) async fn file(self, file: &Arc<File>, from: u64, to: u64) -> Result<(Self, u64)> {
        let (file, end, hashed) = (file.clone(), to.min(from + AT_ONCE), self.hashed);
        let mut hash = self.hash().await?;
        blocking(move || {
            let part = |from: u64| (end - from).min(CHUNK as u64) as usize;
            let (mut chunk, mut at) = (zeroed(part(from)), from);
            while at < end {
                let read = read_at(&file, &mut chunk[..part(at)], at)
                    .map_err(|cause| Error::io("the part could not be read", cause))?;
                if read == 0 {
                    return Err(Error::new(ErrorKind::IntegrityMismatch, "the part became shorter"));
                }
                hash.0.update(&chunk[..read]);
                at += read as u64;
            }
            Ok((Self { state: State::Here(hash), hashed: hashed + (end - from) }, end))
        })
        .await
    }

    /// The hash in lower-case hex.
    pub(crate) async fn finish(self) -> Result<String> {
        Ok(hex(self.hash().await?.0.finalize().as_slice()))
    }

    async fn hash(self) -> Result<Box<Hashing<D>>> {
        match self.state {
            State::Here(hash) => Ok(hash),
            State::Beside(beside) => beside.finish().await,
        }
    }
}

/// The SHA-256 of something short, in lower-case hex.
pub(crate) fn sha256_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
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
                assert!(beside.waiting() <= Hashing::<Sha256>::BEHIND);
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

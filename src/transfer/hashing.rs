//! Hashes beside the transfer: SHA-256, unless something else is asked for.

use std::fmt::Write;
use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};
use tokio::task::{JoinHandle, spawn_blocking};

use super::CHUNK;
use super::reading::read_at;
use crate::error::{Error, ErrorKind, Result};

/// Hashes what passes: here while it is little, in short jobs on the runtime's blocking threads when it is much.
///
/// Jobs, rather than a thread for the whole transfer: the pool of threads is bounded, and transfers that each held one
/// while they waited for another would wait for ever.
pub(crate) struct Hasher<D = Sha256> {
    state: State<D>,
    hashed: u64,
}

enum State<D> {
    Here(D),
    Job(JoinHandle<D>),
    Lost,
}

/// About half a millisecond of hashing: more would hold up the caller's task.
const MUCH: u64 = 1 << 20;

impl Hasher {
    pub(crate) fn new() -> Self {
        Self::of()
    }
}

impl<D: Digest + Send + 'static> Hasher<D> {
    /// One of another kind.
    pub(crate) fn of() -> Self {
        Self { state: State::Here(D::new()), hashed: 0 }
    }

    /// Takes the next chunk; waits only while the one before is still being hashed.
    pub(crate) async fn update(&mut self, data: &Bytes) {
        self.hashed += data.len() as u64;
        let mut hash = match std::mem::replace(&mut self.state, State::Lost) {
            State::Here(hash) => hash,
            State::Job(job) => match job.await {
                Ok(hash) => hash,
                // `finish` reports it.
                Err(_) => return,
            },
            State::Lost => return,
        };
        self.state = if self.hashed < MUCH {
            hash.update(data);
            State::Here(hash)
        } else {
            let data = data.clone();
            State::Job(spawn_blocking(move || {
                hash.update(&data);
                hash
            }))
        };
    }

    /// The hash in lower-case hex.
    pub(crate) async fn finish(self) -> Result<String> {
        let hash = match self.state {
            State::Here(hash) => Some(hash),
            State::Job(job) => job.await.ok(),
            State::Lost => None,
        };
        match hash {
            Some(hash) => Ok(hex(hash.finalize().as_slice())),
            None => Err(Error::new(ErrorKind::Io, "the runtime stopped hashing")),
        }
    }
}

/// Hashes some more of a file, from one place towards another; gives where it came to.
pub(super) async fn hash_file(hasher: &mut Hasher, file: &Arc<File>, from: u64, to: u64) -> Result<u64> {
    let (file, want) = (file.clone(), (to - from).min(CHUNK as u64) as usize);
    let read = spawn_blocking(move || {
        let mut chunk = BytesMut::zeroed(want);
        let read = read_at(&file, &mut chunk, from)?;
        chunk.truncate(read);
        Ok(chunk.freeze())
    });
    let read: io::Result<Bytes> =
        read.await.map_err(|e| Error::new(ErrorKind::Io, "the runtime stopped reading a file").caused_by(e))?;
    match read {
        Ok(chunk) if chunk.is_empty() => Err(Error::new(ErrorKind::IntegrityMismatch, "the part became shorter")),
        Ok(chunk) => {
            hasher.update(&chunk).await;
            Ok(from + chunk.len() as u64)
        }
        Err(cause) => Err(Error::io("the part could not be read", cause)),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_give_the_same_hash() {
        let data = Bytes::from(vec![42u8; 5 << 20]);
        let mut hasher = Hasher::new();
        for start in (0..data.len()).step_by(100_000) {
            hasher.update(&data.slice(start..data.len().min(start + 100_000))).await;
        }
        assert!(matches!(hasher.state, State::Job(_)));
        assert_eq!(hasher.finish().await.unwrap(), hex(&Sha256::digest(&data)));
        assert_eq!(
            Hasher::new().finish().await.unwrap(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}

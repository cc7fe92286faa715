//! SHA-256 beside the transfer.

use std::fmt::Write;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::error::{Error, ErrorKind, Result};

/// Hashes what passes: here while it is little, on a thread of its own when it is much.
pub(crate) struct Hasher {
    state: State,
    hashed: usize,
}

enum State {
    Here(Sha256),
    Thread(mpsc::Sender<Bytes>, JoinHandle<Sha256>),
    Moving,
}

/// About half a millisecond of hashing: more would hold up the caller's task.
const MUCH: usize = 1 << 20;
/// Chunks that may wait for the thread.
const WAITING: usize = 4;

impl Hasher {
    pub(crate) fn new() -> Self {
        Self { state: State::Here(Sha256::new()), hashed: 0 }
    }

    pub(crate) async fn update(&mut self, data: &Bytes) {
        self.hashed += data.len();
        if let State::Here(hash) = &mut self.state {
            hash.update(data);
            if self.hashed >= MUCH
                && let State::Here(hash) = std::mem::replace(&mut self.state, State::Moving)
            {
                self.state = Self::start(hash);
            }
        } else if let State::Thread(sender, _) = &self.state {
            // Fails only when the thread has panicked, which `finish` reports.
            let _ = sender.send(data.clone()).await;
        }
    }

    fn start(mut hash: Sha256) -> State {
        let (sender, mut chunks) = mpsc::channel::<Bytes>(WAITING);
        let thread = spawn_blocking(move || {
            while let Some(chunk) = chunks.blocking_recv() {
                hash.update(&chunk);
            }
            hash
        });
        State::Thread(sender, thread)
    }

    /// The hash in lower-case hex.
    pub(crate) async fn finish(self) -> Result<String> {
        let hash = match self.state {
            State::Here(hash) => hash,
            State::Thread(sender, thread) => {
                drop(sender);
                thread.await.map_err(|e| Error::new(ErrorKind::Io, "the runtime stopped hashing").caused_by(e))?
            }
            State::Moving => return Err(Error::new(ErrorKind::Io, "hashing was interrupted")),
        };
        Ok(hex(&hash.finalize()))
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_thread_gives_the_same_hash() {
        let data = Bytes::from(vec![42u8; 5 << 20]);
        let mut hasher = Hasher::new();
        for start in (0..data.len()).step_by(100_000) {
            hasher.update(&data.slice(start..data.len().min(start + 100_000))).await;
        }
        assert!(matches!(hasher.state, State::Thread(..)));
        assert_eq!(hasher.finish().await.unwrap(), hex(&Sha256::digest(&data)));
        assert_eq!(
            Hasher::new().finish().await.unwrap(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}

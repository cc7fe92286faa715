//! Bytes to store, and what they should be afterwards.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Bytes that no server has seen.
pub(crate) fn random(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fastrand::fill(&mut bytes);
    bytes
}

/// The SHA-256 in hex, reckoned here and not by the crate.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hashes what comes piece by piece.
#[derive(Default)]
pub(crate) struct Hash(Sha256);

impl Hash {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn hex(self) -> String {
        hex(&self.0.finalize())
    }

    pub(crate) fn of_reader(mut reader: impl io::Read) -> io::Result<(u64, String)> {
        let (mut hash, mut size, mut buffer) = (Self::default(), 0, vec![0; 256 << 10]);
        loop {
            let read = reader.read(&mut buffer)?;
            if read == 0 {
                return Ok((size, hash.hex()));
            }
            size += read as u64;
            hash.add(&buffer[..read]);
        }
    }

    pub(crate) fn of_file(path: &Path) -> io::Result<(u64, String)> {
        Self::of_reader(std::fs::File::open(path)?)
    }
}

/// A large file on disk.
pub(crate) struct Large {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

impl Large {
    /// Writes so many MiB, all different, that no server has seen and that don't compress.
    pub(crate) fn write(path: PathBuf, mib: u64) -> io::Result<Self> {
        let (mut file, mut hash) = (std::fs::File::create(&path)?, Hash::default());
        let mut block = random(1 << 20);
        for number in 0..mib {
            block[..8].copy_from_slice(&number.to_le_bytes());
            file.write_all(&block)?;
            hash.add(&block);
        }
        Ok(Self { path, size: mib << 20, sha256: hash.hex() })
    }

    /// The first so many bytes.
    pub(crate) fn head(&self, bytes: u64) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        std::fs::File::open(&self.path)?.take(bytes).read_to_end(&mut head)?;
        Ok(head)
    }
}

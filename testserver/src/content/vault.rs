//! The memory limit, and the temporary files past it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;

/// The share of the memory that one file may have: a few big ones must not push all the small ones to disk.
const SHARE_OF_ONE_FILE: u64 = 8;

/// How full a shared temporary file gets before the next one is begun.
const SHARED_ROOM: u64 = 64 << 20;

/// Counts the bytes in memory and opens temporary files.
#[derive(Debug)]
pub(crate) struct Vault {
    limit: u64,
    in_memory: AtomicU64,
    in_files: AtomicU64,
    directory: PathBuf,
    /// The temporary file that small contents are appended to now; it lives as long as one of them.
    shared: Mutex<Weak<Spill>>,
}

impl Vault {
    pub(crate) fn new(limit: u64, directory: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            limit,
            in_memory: AtomicU64::new(0),
            in_files: AtomicU64::new(0),
            directory,
            shared: Mutex::default(),
        })
    }

    /// Bytes of content held in memory now.
    pub(crate) fn in_memory(&self) -> u64 {
        self.in_memory.load(Ordering::SeqCst)
    }

    /// Bytes in temporary files now.
    pub(crate) fn in_files(&self) -> u64 {
        self.in_files.load(Ordering::SeqCst)
    }

    /// Takes `bytes` into memory for a file that has `already` there, or hands them back if there is no room.
    pub(super) fn hold(self: &Arc<Self>, bytes: Vec<u8>, already: u64) -> Result<Held, Vec<u8>> {
        let length = bytes.len() as u64;
        if already + length > self.limit / SHARE_OF_ONE_FILE {
            return Err(bytes);
        }
        let charged = self.in_memory.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |used| {
            Some(used + length).filter(|&total| total <= self.limit)
        });
        if charged.is_err() {
            return Err(bytes);
        }
        Ok(Held { bytes: Bytes::from(bytes), vault: Arc::clone(self) })
    }

    /// A new temporary file, gone when its last user drops it (or the process dies).
    pub(super) fn spill(self: &Arc<Self>) -> io::Result<Arc<Spill>> {
        let file = tempfile::tempfile_in(&self.directory)?;
        Ok(Arc::new(Spill { file: Mutex::new(file), written: AtomicU64::new(0), vault: Arc::clone(self) }))
    }

    /// The temporary file that contents share: a file for each would take a descriptor for each.
    pub(super) fn shared_spill(self: &Arc<Self>) -> io::Result<Arc<Spill>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(spill) = shared.upgrade().filter(|spill| spill.written.load(Ordering::SeqCst) < SHARED_ROOM) {
            return Ok(spill);
        }
        let spill = self.spill()?;
        *shared = Arc::downgrade(&spill);
        Ok(spill)
    }
}

/// Bytes in memory; gives their room back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    pub(super) bytes: Bytes,
    vault: Arc<Vault>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.vault.in_memory.fetch_sub(self.bytes.len() as u64, Ordering::SeqCst);
    }
}

/// A temporary file. Seek and transfer go under one lock, which works on every system.
#[derive(Debug)]
pub(crate) struct Spill {
    file: Mutex<File>,
    written: AtomicU64,
    vault: Arc<Vault>,
}

impl Spill {
    /// Writes `bytes` at the end; says where they are.
    pub(super) fn append(&self, bytes: &[u8]) -> io::Result<Range<u64>> {
        let length = bytes.len() as u64;
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let start = file.seek(SeekFrom::End(0))?;
        file.write_all(bytes)?;
        self.written.fetch_add(length, Ordering::SeqCst);
        self.vault.in_files.fetch_add(length, Ordering::SeqCst);
        Ok(start..start + length)
    }

    pub(super) fn read(&self, start: u64, length: usize) -> io::Result<Bytes> {
        // From the beginning of a page: to 16 bytes behind it, where the allocator puts what is large, some processors copy three
        // times as slowly.
        let mut bytes: Vec<u8> = Vec::with_capacity(length + PAGE);
        bytes.resize(bytes.as_ptr().align_offset(PAGE).min(PAGE), 0);
        let before = bytes.len();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(start))?;
        let read = Read::by_ref(&mut *file).take(length as u64).read_to_end(&mut bytes)?;
        if read < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Bytes::from(bytes).slice(before..))
    }
}

const PAGE: usize = 4096;

impl Drop for Spill {
    fn drop(&mut self) {
        self.vault.in_files.fetch_sub(self.written.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

//! Taking in content: hashed on the way, in memory while there is room.

use std::io;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

use super::vault::{Spill, Vault};
use super::{Blob, Hash, Segment};

/// Bytes gathered before they are hashed and stored. Big, so that a GiB costs a thousand steps and not a million.
const STEP: usize = 1 << 20;

/// What one content may put into the files that all share. A bigger one takes a file of its own for the rest, and gives its
/// room back by itself.
const SHARED_PART: u64 = 16 << 20;

/// Writes one blob. Dropped before [`finish`](Self::finish), it leaves nothing behind.
pub(crate) struct BlobWriter {
    vault: Arc<Vault>,
    gathered: Vec<u8>,
    segments: Vec<Segment>,
    in_memory: u64,
    in_files: u64,
    length: u64,
    own: Option<Arc<Spill>>,
    work: Work,
}

/// Hashing and file writes of one step run beside the reading of the next.
enum Work {
    Idle(Sha256),
    Running(JoinHandle<(io::Result<Segment>, Sha256, Vec<u8>)>),
}

impl BlobWriter {
    pub(crate) fn new(vault: &Arc<Vault>) -> Self {
        Self {
            vault: Arc::clone(vault),
            gathered: Vec::new(),
            segments: Vec::new(),
            in_memory: 0,
            in_files: 0,
            length: 0,
            own: None,
            work: Work::Idle(Sha256::new()),
        }
    }

    pub(crate) async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = STEP - self.gathered.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.gathered.extend_from_slice(now);
            bytes = later;
            if self.gathered.len() == STEP {
                self.store().await?;
            }
        }
        Ok(())
    }

    /// Puts what was gathered where it belongs: into memory while there is room, from then on into files.
    async fn store(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let (mut hasher, spare) = self.idle().await?;
        let mut gathered = std::mem::replace(&mut self.gathered, spare);
        if self.in_files == 0 {
            match self.vault.hold(gathered, self.in_memory) {
                Ok(held) => {
                    hasher.update(&held.bytes);
                    let range = 0..held.bytes.len();
                    self.in_memory += range.len() as u64;
                    self.segments.push(Segment::Memory { held: Arc::new(held), range });
                    self.work = Work::Idle(hasher);
                    return Ok(());
                }
                Err(refused) => gathered = refused,
            }
        }
        let file = self.spill()?;
        self.in_files += gathered.len() as u64;
        self.work = Work::Running(tokio::task::spawn_blocking(move || {
            let written = file.append(&gathered).map(|range| Segment::File { file, range });
            hasher.update(&gathered);
            (written, hasher, gathered)
        }));
        Ok(())
    }

    /// The file for the next step.
    fn spill(&mut self) -> io::Result<Arc<Spill>> {
        if self.in_files < SHARED_PART {
            return self.vault.shared_spill();
        }
        let own = match self.own.take() {
            Some(own) => own,
            None => self.vault.spill()?,
        };
        Ok(Arc::clone(self.own.insert(own)))
    }

    /// Waits for the step before; gives the hash so far and an empty buffer to use again.
    async fn idle(&mut self) -> io::Result<(Sha256, Vec<u8>)> {
        match std::mem::replace(&mut self.work, Work::Idle(Sha256::new())) {
            Work::Idle(hasher) => Ok((hasher, Vec::new())),
            Work::Running(step) => {
                let (written, hasher, mut spare) = step.await?;
                self.add(written?);
                spare.clear();
                Ok((hasher, spare))
            }
        }
    }

    /// Adds a segment, as one with the last where it lies right behind it.
    fn add(&mut self, segment: Segment) {
        if let (Some(Segment::File { file: last, range: before }), Segment::File { file, range }) =
            (self.segments.last_mut(), &segment)
            && Arc::ptr_eq(last, file)
            && before.end == range.start
        {
            before.end = range.end;
            return;
        }
        self.segments.push(segment);
    }

    pub(crate) async fn finish(mut self) -> io::Result<(Hash, Blob)> {
        self.gathered.shrink_to_fit();
        self.store().await?;
        let (hasher, _) = self.idle().await?;
        let hash = hasher.clone().finalize().into();
        Ok((hash, Blob { segments: self.segments, length: self.length, hasher }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn blob(vault: &Arc<Vault>, bytes: &[u8]) -> (Hash, Blob) {
        let mut writer = BlobWriter::new(vault);
        for piece in bytes.chunks(300_001) {
            writer.write(piece).await.unwrap();
        }
        writer.finish().await.unwrap()
    }

    async fn bytes_of(blob: &Blob) -> Vec<u8> {
        let mut reader = blob.read_all();
        let mut all = Vec::new();
        while let Some(chunk) = reader.next().await {
            all.extend_from_slice(&chunk.unwrap());
        }
        all
    }

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect()
    }

    #[tokio::test]
    async fn content_past_the_limit_goes_to_files_and_dropping_frees_both() {
        let vault = Vault::new(16 << 20, std::env::temp_dir());
        let bytes = pattern((5 << 20) + 17);
        let (hash, blob) = blob(&vault, &bytes).await;
        assert_eq!(hash, <Hash>::from(Sha256::digest(&bytes)));
        assert_eq!(vault.in_memory(), 2 << 20);
        assert_eq!(vault.in_files(), (3 << 20) + 17);
        assert!(bytes_of(&blob).await == bytes);
        drop(blob);
        assert_eq!((vault.in_memory(), vault.in_files()), (0, 0));
    }

    #[tokio::test]
    async fn small_contents_share_a_file_that_goes_with_the_last_of_them() {
        let directory = tempfile::tempdir().unwrap();
        let vault = Vault::new(0, directory.path().to_owned());
        let mut blobs = Vec::new();
        for number in 0..500_usize {
            blobs.push((number, blob(&vault, &pattern(1 + number)).await.1));
        }
        // Only the first needed a new file: from here on none can be made.
        std::fs::remove_dir_all(directory.path()).unwrap();
        for number in 500..1000_usize {
            blobs.push((number, blob(&vault, &pattern(1 + number)).await.1));
        }
        for (number, blob) in &blobs {
            assert!(bytes_of(blob).await == pattern(1 + number), "content {number}");
        }
        let last = blobs.pop();
        drop(blobs);
        assert_ne!(vault.in_files(), 0);
        drop(last);
        assert_eq!(vault.in_files(), 0);
    }

    #[tokio::test]
    async fn a_big_content_gives_its_room_back_by_itself() {
        let vault = Vault::new(0, std::env::temp_dir());
        let (_, small) = blob(&vault, b"small").await;
        let bytes = pattern((20 << 20) + 3);
        let (hash, big) = blob(&vault, &bytes).await;
        assert_eq!(hash, <Hash>::from(Sha256::digest(&bytes)));
        assert!(bytes_of(&big).await == bytes);
        drop(big);
        assert_eq!(vault.in_files(), 5 + SHARED_PART);
        drop(small);
        assert_eq!(vault.in_files(), 0);
    }

    #[tokio::test]
    async fn patching_shares_what_stays_and_hashes_what_results() {
        let vault = Vault::new(16 << 20, std::env::temp_dir());
        let base = pattern(3 << 20);
        let (_, old) = blob(&vault, &base).await;
        let (_, patch) = blob(&vault, &[7; 1000]).await;
        for start in [0_usize, 5, (2 << 20) - 10, (3 << 20) - 10, 3 << 20] {
            let mut wanted = base.clone();
            wanted.resize(wanted.len().max(start + 1000), 0);
            wanted[start..start + 1000].fill(7);
            let (hash, new) = old.patched(start as u64, &patch).await.unwrap();
            assert!(bytes_of(&new).await == wanted, "at {start}");
            assert_eq!(hash, <Hash>::from(Sha256::digest(&wanted)), "at {start}");
            assert_eq!(new.length(), wanted.len() as u64);
        }
    }

    #[tokio::test]
    async fn a_range_is_cut_across_segments() {
        let vault = Vault::new(16 << 20, std::env::temp_dir());
        let bytes = pattern(4 << 20);
        let (_, blob) = blob(&vault, &bytes).await;
        let (from, to) = ((2 << 20) - 3, (3 << 20) + 3);
        let mut reader = blob.read(from as u64..to as u64);
        let mut part = Vec::new();
        while let Some(chunk) = reader.next().await {
            part.extend_from_slice(&chunk.unwrap());
        }
        assert!(part == bytes[from..to]);
    }
}

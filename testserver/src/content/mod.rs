//! Where the bytes of files live: in memory up to a limit, past it in temporary files.

mod reader;
mod vault;
mod writer;

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use sha2::Sha256;

pub(crate) use reader::BlobReader;
pub(crate) use vault::Vault;
pub(crate) use writer::BlobWriter;

/// SHA-256 of some content.
pub(crate) type Hash = [u8; 32];

/// Lower-case hex, as `sha256` members and ETags have it.
pub(crate) fn hex(hash: &Hash) -> String {
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Some bytes that do not change any more; cheap to share.
#[derive(Clone)]
pub(crate) struct Blob {
    segments: Vec<Segment>,
    length: u64,
    /// The running hash after the last byte: lets an append hash only what it adds.
    hasher: Sha256,
}

#[derive(Clone)]
enum Segment {
    Memory { held: Arc<vault::Held>, range: Range<usize> },
    File { file: Arc<vault::Spill>, range: Range<u64> },
}

impl Segment {
    fn length(&self) -> u64 {
        match self {
            Self::Memory { range, .. } => range.len() as u64,
            Self::File { range, .. } => range.end - range.start,
        }
    }

    /// The part of this segment that lies in `wanted`, both counted from the segment's start.
    fn slice(&self, wanted: Range<u64>) -> Self {
        match self {
            Self::Memory { held, range } => {
                let at = |offset: u64| range.start + usize::try_from(offset).unwrap_or(usize::MAX);
                Self::Memory { held: Arc::clone(held), range: at(wanted.start)..at(wanted.end) }
            }
            Self::File { file, range } => {
                Self::File { file: Arc::clone(file), range: range.start + wanted.start..range.start + wanted.end }
            }
        }
    }
}

impl Blob {
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The segments that make up `wanted`, without copying a byte.
    fn cut(&self, wanted: Range<u64>) -> Vec<Segment> {
        let mut start = 0;
        let mut cut = Vec::new();
        for segment in &self.segments {
            let end = start + segment.length();
            let from = wanted.start.max(start);
            let to = wanted.end.min(end);
            if from < to {
                cut.push(segment.slice(from - start..to - start));
            }
            start = end;
        }
        cut
    }

    /// Reads `wanted`, which must lie inside.
    pub(crate) fn read(&self, wanted: Range<u64>) -> BlobReader {
        BlobReader::new(self.cut(wanted))
    }

    /// Reads everything.
    pub(crate) fn read_all(&self) -> BlobReader {
        self.read(0..self.length)
    }

    /// Writes `patch` over this at `start`, at most at the end; shares the bytes that stay. Returns the new hash too.
    pub(crate) async fn patched(&self, start: u64, patch: &Self) -> std::io::Result<(Hash, Self)> {
        use sha2::Digest;

        let mut segments = self.cut(0..start);
        segments.extend(patch.segments.iter().cloned());
        let covered = start + patch.length;
        if covered < self.length {
            segments.extend(self.cut(covered..self.length));
        }
        let length = covered.max(self.length);
        let (mut hasher, unhashed) = if start == self.length {
            (self.hasher.clone(), BlobReader::new(patch.segments.clone()))
        } else {
            (Sha256::new(), BlobReader::new(segments.clone()))
        };
        let mut unhashed = unhashed;
        while let Some(chunk) = unhashed.next().await {
            hasher.update(&chunk?);
        }
        let hash = hasher.clone().finalize().into();
        Ok((hash, Self { segments, length, hasher }))
    }

    /// Recomputes the hash from the stored bytes.
    pub(crate) async fn rehash(&self) -> std::io::Result<Hash> {
        use sha2::Digest;

        let mut hasher = Sha256::new();
        let mut reader = self.read_all();
        while let Some(chunk) = reader.next().await {
            hasher.update(&chunk?);
            // A GiB takes a second: others on this thread must get their turn.
            tokio::task::yield_now().await;
        }
        Ok(hasher.finalize().into())
    }
}

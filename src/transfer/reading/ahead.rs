//! Files read ahead of what is sent.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

use super::file::FileReading;
use crate::blocking::unless_panicked;
use crate::error::{Error, ErrorKind, Result};
use crate::transfer::CHUNK;
use crate::transfer::buffers::Ring;
use crate::transfer::source::source_error;

/// A file that is read some chunks ahead, by short jobs on the runtime's blocking threads. Those are bounded: a transfer that
/// held one from beginning to end could wait for ever for another that does the same.
pub(crate) struct ReadAhead {
    ready: VecDeque<Bytes>,
    /// Told when what was read before it is gone.
    failed: Option<Error>,
    step: Step,
}

enum Step {
    Idle(Box<Cursor>),
    Job(JoinHandle<Read>),
    Ended,
}

/// What a job has read.
struct Read {
    /// `None` where no more is to come.
    cursor: Option<Box<Cursor>>,
    chunks: VecDeque<Bytes>,
    failed: Option<Error>,
}

/// So many chunks are read by a job: to start one for each of them costs as much as reading it.
const AT_ONCE: usize = 4;

/// The next job begins when no more than these are left.
const READ_AGAIN: usize = 2;

/// Where the reading of a file stands.
struct Cursor {
    file: FileReading,
    position: u64,
    /// The chunk that was read last is the last one, and all of them are of one state of the file.
    ended: bool,
    ring: Ring,
}

impl ReadAhead {
    pub(super) fn new(file: FileReading) -> Self {
        Self { ready: VecDeque::new(), failed: None, step: Step::Idle(Box::new(Cursor::new(file))) }
    }

    /// One whose first chunks are read here and now, on a blocking thread.
    pub(super) fn begun(file: FileReading) -> Self {
        Box::new(Cursor::new(file)).read().into()
    }

    #[cfg(test)]
    pub(super) fn ready(&self) -> usize {
        self.ready.iter().map(Bytes::len).sum()
    }

    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            self.step = match std::mem::replace(&mut self.step, Step::Ended) {
                Step::Idle(cursor) if self.ready.len() <= READ_AGAIN => {
                    Step::Job(spawn_blocking(move || cursor.read()))
                }
                step => step,
            };
            if let Some(chunk) = self.ready.pop_front() {
                return Ok(Some(chunk));
            }
            // Kept in place while it runs: `next` may be dropped and called again.
            let Step::Job(job) = &mut self.step else { return self.failed.take().map_or(Ok(None), Err) };
            let read = job.await;
            self.step = Step::Ended;
            let stopped = |cause| {
                Error::new(ErrorKind::Io, "the runtime stopped reading a file").caused_by(unless_panicked(cause))
            };
            *self = read.map_err(stopped)?.into();
        }
    }
}

impl From<Read> for ReadAhead {
    fn from(Read { cursor, chunks, failed }: Read) -> Self {
        Self { ready: chunks, failed, step: cursor.map_or(Step::Ended, Step::Idle) }
    }
}

impl Cursor {
    fn new(file: FileReading) -> Self {
        Self { position: file.start, file, ended: false, ring: Ring::default() }
    }

    fn read(mut self: Box<Self>) -> Read {
        // A pipe gives what there is: what comes next may be long in coming.
        let at_once = if self.file.is_regular() { AT_ONCE } else { 1 };
        let mut chunks = VecDeque::with_capacity(at_once);
        while chunks.len() < at_once && !self.ended {
            match self.read_chunk() {
                Ok(Some(chunk)) => chunks.push_back(chunk),
                Ok(None) => self.ended = true,
                Err(error) => return Read { cursor: None, chunks, failed: Some(error) },
            }
        }
        let cursor = (!self.ended).then_some(self);
        Read { cursor, chunks, failed: None }
    }

    fn read_chunk(&mut self) -> Result<Option<Bytes>> {
        let end = self.file.end();
        let want = end.map_or(CHUNK as u64, |end| (end - self.position).min(CHUNK as u64)) as usize;
        if want > 0 {
            let mut buffer = self.ring.take(want);
            let read = self.file.read_chunk(&mut buffer, self.position).map_err(source_error)?;
            if read > 0 {
                buffer.truncate(read);
                self.position += read as u64;
                if end == Some(self.position) {
                    // Here, and not in a job of its own: most files have one chunk.
                    self.file.check_unchanged(self.position)?;
                    self.ended = true;
                }
                return Ok(Some(self.ring.lend(buffer)));
            }
        }
        self.file.check_unchanged(self.position)?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io;

    use super::super::tests::collect;
    use super::*;

    #[tokio::test]
    async fn files_come_whole_in_chunks() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 40 * CHUNK + 7] {
            let data: Vec<u8> = (0..length).map(|i| (i * 31 % 251) as u8).collect();
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &data).unwrap();
            let reading = FileReading::open(file.path().into(), None).await.unwrap();
            assert_eq!(reading.size(), Some(length as u64));
            let (all, sizes) = collect(reading.start().await.unwrap()).await.unwrap();
            assert!(all == data);
            assert!(sizes.iter().rev().skip(1).all(|size| *size == CHUNK));
        }
    }

    #[tokio::test]
    async fn a_file_that_changes_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for change in [&|f: &File| f.set_len(20 * CHUNK as u64), &|f: &File| f.set_len(100)]
            as [&dyn Fn(&File) -> io::Result<()>; 2]
        {
            std::fs::write(file.path(), vec![1; 10 * CHUNK]).unwrap();
            let reading = FileReading::open(file.path().into(), None).await.unwrap();
            let mut reading = reading.start().await.unwrap();
            reading.next().await.unwrap();
            change(&File::options().write(true).open(file.path()).unwrap()).unwrap();
            assert_eq!(collect(reading).await.unwrap_err().kind(), ErrorKind::ContentChanged);
        }
    }
}

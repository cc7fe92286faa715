//! Pipes that a path leads to, waited for without a thread.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::Interest;
use tokio::net::unix::pipe::Receiver;
use tokio::time::sleep;

use super::CHUNK;
use super::buffers::aligned;

/// How often it is looked whether a second writer has sent something, or gone.
const BETWEEN_WRITERS: Duration = Duration::from_millis(10);

/// Opens a file without waiting for the writer of a pipe: a thread that waits for one that never comes could not be ended.
pub(super) fn open(path: &Path) -> io::Result<File> {
    match File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
        // A regular file that another program has a lease on: it is told, and given some time to let go.
        Err(busy) if busy.kind() == io::ErrorKind::WouldBlock => File::open(path),
        opened => opened,
    }
}

pub(super) fn is_pipe(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// A pipe whose writer is there, or has been there.
#[derive(Debug)]
pub(crate) struct PipeReading {
    pipe: Receiver,
    ended: bool,
}

impl PipeReading {
    /// Waits for the first bytes, or for the end of a writer that had none. A read would take a pipe that nobody has opened
    /// for writing yet for one at its end; Linux's poll tells the two apart.
    pub(super) async fn wait(file: File) -> io::Result<Self> {
        let pipe = Receiver::from_file(file)?;
        pipe.readable().await?;
        Ok(Self { pipe, ended: false })
    }

    /// What is there now, up to a chunk; nothing at the end.
    pub(super) async fn next(&mut self) -> io::Result<Bytes> {
        let mut buffer = aligned(CHUNK);
        while !self.ended {
            let ready = self.pipe.ready(Interest::READABLE).await?;
            while buffer.len() < CHUNK && !self.ended {
                match self.pipe.try_read_buf(&mut buffer) {
                    Ok(0) => self.ended = true,
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
            if !buffer.is_empty() {
                break;
            }
            // One writer has gone and another has come: that the first has gone stays a reason to read for ever.
            if ready.is_read_closed() && !self.ended {
                sleep(BETWEEN_WRITERS).await;
            }
        }
        Ok(buffer.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[tokio::test]
    async fn a_second_writer_that_comes_before_the_end_was_read_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let file = open(&path).unwrap();
        assert!(is_pipe(&file));
        let writer = || File::options().write(true).open(&path).unwrap();
        let mut first = writer();
        first.write_all(b"first").unwrap();
        let mut reading = PipeReading::wait(file).await.unwrap();
        drop(first);
        crate::waiting::within(async {
            while !reading.pipe.ready(Interest::READABLE).await.unwrap().is_read_closed() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let mut second = writer();
        assert_eq!(reading.next().await.unwrap(), "first");
        assert!(tokio::time::timeout(5 * BETWEEN_WRITERS, reading.next()).await.is_err(), "there is one who may write");
        second.write_all(b"second").unwrap();
        assert_eq!(reading.next().await.unwrap(), "second");
        drop(second);
        assert_eq!(reading.next().await.unwrap(), "");
        // The end stays one, whoever comes then.
        writer().write_all(b"third").unwrap();
        assert_eq!(reading.next().await.unwrap(), "");
    }
}

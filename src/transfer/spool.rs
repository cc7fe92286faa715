//! A source that is read into a temporary file before anything is sent.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};

use super::beside::{Beside, Work};
use super::progress::{Phase, Reporter};
use super::reading::{FileReading, Reading};
use super::source::Source;
use crate::blocking::blocking;
use crate::error::{Error, ErrorKind, Result};

/// What a source gives, in a temporary file. What was said of its size still has to hold.
pub(crate) async fn spooled(
    mut source: Source<'_>,
    limit: u64,
    reporter: &mut Reporter<'_>,
) -> Result<Source<'static>> {
    let (reading, said) = source.open().await?;
    reporter.total = said;
    let spooled = spool(reading, limit, reporter).await?;
    Ok(said.into_iter().fold(spooled, Source::size))
}

/// Reads a source to its end, at most so many bytes, into a file that has no name and goes with its last handle. It can be
/// sent again, whatever the source was.
pub(super) async fn spool(mut from: Reading<'_>, limit: u64, reporter: &mut Reporter<'_>) -> Result<Source<'static>> {
    let (mut count, file) = (0, blocking(|| temporary().map_err(unwritten)).await?);
    let spool = Beside::new(Box::new(Spool(file)));
    loop {
        reporter.report(count, Phase::Spooling);
        let Some(chunk) = reporter.beside(from.next()).await? else { break };
        count += chunk.len() as u64;
        if count > limit {
            let message = format!("the source has more than the {limit} bytes that may be kept of it");
            return Err(Error::new(ErrorKind::PayloadTooLarge, message).with_hint("Nothing was sent. Raise the limit"));
        }
        spool.push(chunk).await?;
    }
    Ok(FileReading::from_start(spool.finish().await?.0).await?.into())
}

struct Spool(File);

impl Work for Spool {
    const STOPPED: &'static str = "the runtime stopped writing a temporary file";

    fn take(&mut self, chunk: &[u8]) -> Result<()> {
        self.0.write_all(chunk).map_err(unwritten)
    }
}

fn temporary() -> io::Result<File> {
    let path = std::env::temp_dir().join(format!("carbonfiles-{:032x}.spool", fastrand::u128(..)));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    #[cfg(windows)]
    {
        const FILE_FLAG_DELETE_ON_CLOSE: u32 = 0x0400_0000;
        std::os::windows::fs::OpenOptionsExt::custom_flags(&mut options, FILE_FLAG_DELETE_ON_CLOSE);
    }
    let file = options.open(&path)?;
    // Without a name, nothing of it is left however this process ends.
    #[cfg(unix)]
    std::fs::remove_file(&path)?;
    Ok(file)
}

fn unwritten(cause: io::Error) -> Error {
    Error::io("the temporary file could not be written", cause)
}

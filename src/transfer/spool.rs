//! Sources of unknown length, for services that have to be told it first.

use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio::task::spawn_blocking;

use super::CHUNK;
use super::progress::{Phase, Reporter};
use super::reading::Reading;
use super::source::Source;
use crate::error::{Error, ErrorKind, Result};

/// Reads a source to its end, into a temporary file that has no name and goes with its last handle. The file can be sent
/// again, whatever the source was.
pub(crate) async fn spool(mut from: Reading<'_>, limit: u64, reporter: &mut Reporter<'_>) -> Result<Source<'static>> {
    let failed = |cause| Error::io("the temporary file for a source of unknown length could not be written", cause);
    let stopped = |cause| Error::new(ErrorKind::Io, "the runtime stopped making a temporary file").caused_by(cause);
    let file = spawn_blocking(tempfile::tempfile).await.map_err(stopped)?.map_err(failed)?;
    let mut file = File::from_std(file);
    file.set_max_buf_size(CHUNK);
    let mut size = 0;
    while let Some(chunk) = from.next().await? {
        size += chunk.len() as u64;
        if size > limit {
            let message =
                format!("the source, of unknown length, has more than the {limit} bytes that may be kept of it");
            return Err(Error::new(ErrorKind::PayloadTooLarge, message)
                .with_hint("Say its length with Source::size, or raise the limit"));
        }
        file.write_all(&chunk).await.map_err(failed)?;
        reporter.report(size, Phase::Spooling);
    }
    file.flush().await.map_err(failed)?;
    file.rewind().await.map_err(failed)?;
    Ok(file.into())
}

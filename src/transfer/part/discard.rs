//! What an unfinished download has left, and nobody wants any more.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::time::sleep;

use super::names::part_path;
use super::record::{Lock, Taken};
use super::{BETWEEN, TRIES};
use crate::blocking::blocking;
use crate::call::Call;
use crate::error::{Error, Result, reason};

/// Removes what an unfinished download to `target` has left to be gone on with: its part and the record beside it. What
/// a download is still writing stays, and what belongs to another user. Awaited, it tells whether there was something.
///
/// A download that is under way, or was just cancelled and has its last write to do, is waited for, up to a second. Dropping
/// the call ends the waiting; what is being removed is removed all the same.
///
/// # Errors
/// `Io` of the file system.
pub fn discard_partial(target: impl AsRef<Path>) -> Call<'static, bool> {
    let target: Arc<Path> = target.as_ref().into();
    Call::new(async move {
        for _ in 1..TRIES {
            let target = target.clone();
            if let Some(removed) = blocking(move || discard(&target)).await? {
                return Ok(removed);
            }
            sleep(BETWEEN).await;
        }
        Ok(blocking(move || discard(&target)).await?.unwrap_or(false))
    })
}

/// Whether there was something to remove; `None` while another has it.
fn discard(target: &Path) -> Result<Option<bool>> {
    let failed = |cause: io::Error| {
        Error::io(format!("the part of {} could not be removed: {}", target.display(), reason(&cause)), cause)
    };
    let lock = match Lock::find(target).map_err(failed)? {
        Some(Taken::Ours(lock)) => lock,
        Some(Taken::Busy) => return Ok(None),
        Some(Taken::Unusable) | None => return Ok(Some(false)),
    };
    let part = part_path(target);
    match if lock.owns(&part) { std::fs::remove_file(part) } else { Ok(()) } {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(failed(cause)),
        _ => {}
    }
    lock.remove().map_err(failed)?;
    Ok(Some(true))
}

//! Appends and patches.

use std::time::Duration;

use carbonfiles::models::FileInfo;
use carbonfiles::{Error, Phase, Progress, Result as Outcome, Source};
use tokio::io::AsyncWriteExt;

use crate::stage::{Stage, Verdict, fits, flipped, meanwhile, replace_on_disk, shown};
use crate::trouble::Trouble;
use crate::uploads::bodies;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Behind the end,
    Append,
    /// the same if that is where it is said to be, which can be repeated,
    AppendAt,
    /// or anywhere;
    Patch,
    /// or by a writer that keeps what the server has not confirmed.
    Log,
}

pub(crate) const KINDS: [(&str, Kind); 4] =
    [("append", Kind::Append), ("append-at", Kind::AppendAt), ("patch", Kind::Patch), ("log-writer", Kind::Log)];

impl Kind {
    pub(crate) fn spares(self, trouble: Trouble) -> Option<&'static str> {
        match (self, trouble) {
            (_, Trouble::WrongHash) => Some("a change is not hashed: the server's hash is that of the whole file"),
            (Self::Log, Trouble::Replaced | Trouble::Rewritten) => {
                Some("it keeps bytes in memory: they can't be replaced")
            }
            (Self::Append, Trouble::Replaced) => Some("it is not sent twice: nothing is read again"),
            _ => None,
        }
    }
}

pub(crate) async fn run(kind: Kind, stage: &mut Stage<'_>) -> Result<Verdict, String> {
    if kind == Kind::Log {
        return log(stage).await;
    }
    let (base, bytes) = (stage.content(), stage.source());
    let end = base.len() as u64;
    let offset = if kind == Kind::Patch { stage.rng.u64(..end) } else { end };
    let changed = |bytes: &[u8]| {
        let mut whole = base[..offset as usize].to_vec();
        whole.extend_from_slice(bytes);
        whole.extend_from_slice(base.get(whole.len()..).unwrap_or_default());
        whole
    };
    stage.put("log", base.clone()).await?;
    let fault = stage.inject("PATCH", "/files/log/content", &bodies("log", bytes.len()));

    let (replaced, rewritten) = (stage.trouble == Trouble::Replaced, stage.trouble == Trouble::Rewritten);
    let (disk, renamed, other) = (stage.folder.path().join("source"), stage.rng.bool(), flipped(&bytes));
    std::fs::write(&disk, &bytes).map_err(|e| e.to_string())?;
    // Bytes, or, where they are to be replaced while they are read, a file.
    let source = if replaced || rewritten { Source::from(disk.as_path()) } else { bytes.clone().into() };
    let replace = |progress: Progress| {
        if replaced && matches!(progress.phase, Phase::Retrying { .. }) {
            replace_on_disk(&disk, &other, renamed).expect("the source can be replaced");
        }
    };
    let file = stage.bucket.file("log");
    let deed = async {
        match kind {
            Kind::Append => file.append(source).progress(replace).await,
            Kind::AppendAt => file.append_at(offset, source).progress(replace).await,
            Kind::Patch | Kind::Log => file.patch(offset, source).progress(replace).await,
        }
    };
    let writing = async {
        replace_on_disk(&disk, &other, false).map_err(|e| e.to_string())?;
        fault.release();
        Ok(())
    };
    let outcome = meanwhile(rewritten, &fault, deed, writing).await?;
    let verdict = examine(stage, outcome, &base, &changed(&bytes)).await?;
    if kind == Kind::AppendAt && !(verdict == Verdict::Recovered && rewritten) {
        // With what is the source by now, whatever came of it.
        let now = if replaced || rewritten { other } else { bytes };
        let whole = changed(&now);
        let again = stage.judge.file("log").append_at(offset, now).await;
        match examine(stage, again, &base, &whole).await {
            Ok(Verdict::Recovered) => {}
            other => return Err(format!("again: {other:?}")),
        }
    }
    Ok(verdict)
}

/// So often what is not meant to meet the fault is tried.
const TRIES: u32 = 20;

async fn log(stage: &mut Stage<'_>) -> Result<Verdict, String> {
    let (base, bytes, more) = (stage.content(), stage.content(), stage.content());
    stage.put("log", base.clone()).await?;
    let file = stage.bucket.file("log");
    let open = || file.log_writer().flush_every(Duration::from_secs(3600)).flush_bytes(1 << 30);
    let mut tries = 1;
    // A busy machine may outlast the little patience of this client by itself, here and at the end.
    let mut log = loop {
        match open().await {
            Ok(log) => break log,
            Err(error) if tries < TRIES && error.is_retryable() => tries += 1,
            Err(error) => return Err(format!("not opened: {error}")),
        }
    };
    stage.inject("PATCH", "/files/log/content", &bodies("log", bytes.len()));
    log.write_all(&bytes).await.map_err(|e| e.to_string())?;
    let outcome = log.flush().await;
    stage.calm()?;
    let whole = [&base[..], &bytes].concat();
    let error = match outcome {
        Ok(()) => None,
        Err(error) => match ours(&error) {
            Some(error) => Some(error.clone()),
            None => return Err(format!("the error has no kind: {error:?}")),
        },
    };
    let there = stage.stored().await?.remove("log");
    if there.as_ref() != Some(&whole) && (error.is_none() || there.as_ref() != Some(&base)) {
        return Err(format!("after {error:?} there is {}", shown(there.as_ref())));
    }
    if error.as_ref().is_none_or(Error::is_retryable) {
        // Nothing is lost, and nothing doubled.
        log.write_all(&more).await.map_err(|e| format!("it has ended: {e}"))?;
        let mut tries = 1;
        while let Err(error) = log.shutdown().await {
            if tries == TRIES || !ours(&error).is_some_and(Error::is_retryable) {
                return Err(format!("again: {error}"));
            }
            tries += 1;
        }
        let there = stage.stored().await?.remove("log");
        if there != Some([whole, more].concat()) {
            return Err(format!("in the end there is {}", shown(there.as_ref())));
        }
    }
    error.map_or(Ok(Verdict::Recovered), |error| fits(stage, &error))
}

/// What an error of a writer has inside.
fn ours(error: &std::io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// A source that is another one by now is not sent: there is what was there, or what was to be there.
async fn examine(
    stage: &Stage<'_>,
    outcome: Outcome<FileInfo>,
    base: &Vec<u8>,
    whole: &Vec<u8>,
) -> Result<Verdict, String> {
    stage.calm()?;
    let stored = stage.stored().await?;
    let there = stored.get("log");
    if stored.len() != 1 {
        return Err(format!("there are {} files", stored.len()));
    }
    let is_whole = there == Some(whole);
    match outcome {
        Ok(info) if is_whole && whole.len() as u64 == info.size => Ok(Verdict::Recovered),
        Ok(info) => Err(format!("it says {info:?}, and there is {}", shown(there))),
        Err(error) if is_whole || there == Some(base) => fits(stage, &error),
        Err(error) => Err(format!("after {error} there is {}", shown(there))),
    }
}

//! Appends and patches.

use std::path::Path;

use carbonfiles::models::FileInfo;
use carbonfiles::{Phase, Progress, Result as Outcome, Source};

use crate::stage::{Stage, Verdict, fits, shown};
use crate::trouble::Trouble;
use crate::uploads::{bodies, is_met_by_uploads};

pub(crate) fn meets(trouble: Trouble) -> bool {
    // A change is not hashed: the server's hash is that of the whole file.
    (is_met_by_uploads(trouble) || trouble == Trouble::Replaced) && trouble != Trouble::WrongHash
}

/// What is there, and what it may become: one, or where the source is replaced meanwhile, one of two.
struct Contents {
    base: Vec<u8>,
    whole: Vec<Vec<u8>>,
}

/// Bytes, or, where they are to be replaced while they are read, a file.
fn source(stage: &Stage<'_>, bytes: &[u8], disk: &Path) -> Result<Source<'static>, String> {
    if stage.trouble != Trouble::Replaced {
        return Ok(bytes.to_vec().into());
    }
    std::fs::write(disk, bytes).map_err(|e| e.to_string())?;
    Ok(disk.into())
}

/// Replaces that file when the first attempt has failed.
fn replacing(stage: &Stage<'_>, bytes: &[u8], disk: &Path) -> impl FnMut(Progress) + Send + use<> {
    let other = (stage.trouble == Trouble::Replaced).then(|| flipped(bytes));
    let disk = disk.to_owned();
    move |progress| {
        if let (Some(other), Phase::Retrying { .. }) = (&other, progress.phase) {
            let _ = std::fs::write(&disk, other);
        }
    }
}

fn flipped(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| byte ^ 1).collect()
}

/// Behind the end, or at an offset: then it can be repeated when the fault has passed, whatever came of it.
pub(crate) async fn append(stage: &mut Stage<'_>, at: bool) -> Result<Verdict, String> {
    let (base, more) = (stage.content(), stage.content());
    let offset = base.len() as u64;
    let mut whole = vec![[base.clone(), more.clone()].concat()];
    if stage.trouble == Trouble::Replaced {
        whole.push([base.clone(), flipped(&more)].concat());
    }
    let contents = Contents { base, whole };
    stage.put("log", contents.base.clone()).await?;
    stage.inject("PATCH", "/files/log/content", &bodies("log", more.len()));
    let disk = stage.folder.path().join("source");
    let (file, bytes) = (stage.bucket.file("log"), source(stage, &more, &disk)?);
    let replace = replacing(stage, &more, &disk);
    let outcome = match at {
        false => file.append(bytes).progress(replace).await,
        true => file.append_at(offset, bytes).progress(replace).await,
    };
    let verdict = examine(stage, outcome, &contents).await?;
    if at {
        // With what is the source by now.
        let bytes = if stage.trouble == Trouble::Replaced { disk.as_path().into() } else { Source::from(more) };
        let again = stage.judge.file("log").append_at(offset, bytes).await;
        match examine(stage, again, &contents).await {
            Ok(Verdict::Recovered) => {}
            other => return Err(format!("again: {other:?}")),
        }
    }
    Ok(verdict)
}

pub(crate) async fn patch(stage: &mut Stage<'_>) -> Result<Verdict, String> {
    let (base, over) = (stage.content(), stage.content());
    let offset = stage.rng.usize(..base.len());
    let patched = |over: &[u8]| {
        let mut whole = base[..offset].to_vec();
        whole.extend_from_slice(over);
        whole.extend_from_slice(base.get(whole.len()..).unwrap_or_default());
        whole
    };
    let mut whole = vec![patched(&over)];
    if stage.trouble == Trouble::Replaced {
        whole.push(patched(&flipped(&over)));
    }
    let contents = Contents { whole, base };
    stage.put("log", contents.base.clone()).await?;
    stage.inject("PATCH", "/files/log/content", &bodies("log", over.len()));
    let disk = stage.folder.path().join("source");
    let (bytes, replace) = (source(stage, &over, &disk)?, replacing(stage, &over, &disk));
    let outcome = stage.bucket.file("log").patch(offset as u64, bytes).progress(replace).await;
    examine(stage, outcome, &contents).await
}

async fn examine(
    stage: &Stage<'_>,
    outcome: Outcome<FileInfo>,
    Contents { base, whole }: &Contents,
) -> Result<Verdict, String> {
    stage.calm()?;
    let stored = stage.stored().await?;
    let there = stored.get("log");
    if stored.len() != 1 {
        return Err(format!("there are {} files", stored.len()));
    }
    let is_whole = there.is_some_and(|there| whole.contains(there));
    match outcome {
        Ok(info) if is_whole && there.is_some_and(|there| there.len() as u64 == info.size) => Ok(Verdict::Recovered),
        Ok(info) => Err(format!("it says {info:?}, and there is {}", shown(there))),
        Err(error) if is_whole || there == Some(base) => fits(&error),
        Err(error) => Err(format!("after {error} there is {}", shown(there))),
    }
}

//! Appends and patches.

use carbonfiles::Result as Outcome;
use carbonfiles::models::FileInfo;

use crate::stage::{Stage, Verdict, fits, shown};
use crate::trouble::Trouble;
use crate::uploads::{bodies, is_met_by_uploads};

pub(crate) fn meets(trouble: Trouble) -> bool {
    // A change is not hashed: the server's hash is that of the whole file.
    is_met_by_uploads(trouble) && trouble != Trouble::WrongHash
}

/// Behind the end, or at an offset: then it can be repeated when the fault has passed, whatever came of it.
pub(crate) async fn append(stage: &mut Stage<'_>, at: bool) -> Result<Verdict, String> {
    let (base, more) = (stage.content(), stage.content());
    let whole = [base.clone(), more.clone()].concat();
    stage.put("log", base.clone()).await?;
    stage.inject("PATCH", "/files/log/content", &bodies("log", more.len()));
    let (file, offset) = (stage.bucket.file("log"), base.len() as u64);
    let outcome = match at {
        false => file.append(more.clone()).await,
        true => file.append_at(offset, more.clone()).await,
    };
    let verdict = examine(stage, outcome, &base, &whole).await?;
    if at {
        let again = stage.judge.file("log").append_at(offset, more).await;
        match examine(stage, again, &base, &whole).await {
            Ok(Verdict::Recovered) => {}
            other => return Err(format!("again: {other:?}")),
        }
    }
    Ok(verdict)
}

pub(crate) async fn patch(stage: &mut Stage<'_>) -> Result<Verdict, String> {
    let (base, over) = (stage.content(), stage.content());
    let offset = stage.rng.usize(..base.len());
    let mut whole = base[..offset].to_vec();
    whole.extend_from_slice(&over);
    whole.extend_from_slice(base.get(whole.len()..).unwrap_or_default());
    stage.put("log", base.clone()).await?;
    stage.inject("PATCH", "/files/log/content", &bodies("log", over.len()));
    let outcome = stage.bucket.file("log").patch(offset as u64, over).await;
    examine(stage, outcome, &base, &whole).await
}

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
    match outcome {
        Ok(info) if there == Some(whole) && info.size == whole.len() as u64 => Ok(Verdict::Recovered),
        Ok(info) => Err(format!("it says {info:?}, and there is {}", shown(there))),
        Err(error) if there == Some(base) || there == Some(whole) => fits(&error),
        Err(error) => Err(format!("after {error} there is {}", shown(there))),
    }
}

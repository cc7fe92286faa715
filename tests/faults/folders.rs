//! Many files: kept equal in both directions, uploaded, downloaded.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;

use carbonfiles::files::{Files as Remote, OnFailure};
use carbonfiles::{ErrorKind, Phase, Progress, Result as Outcome, Source};

use crate::stage::{Stage, Verdict, fits, flipped, meanwhile, replace_on_disk};
use crate::trouble::{Bodies, Trouble, Wrong};
use crate::uploads::{self, bodies};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Up,
    UploadMany,
    UploadDir,
    Down,
    DownloadDir,
}

pub(crate) const KINDS: [(&str, Kind); 5] = [
    ("sync-up", Kind::Up),
    ("upload-many", Kind::UploadMany),
    ("upload-dir", Kind::UploadDir),
    ("sync-down", Kind::Down),
    ("download-dir", Kind::DownloadDir),
];

impl Kind {
    pub(crate) fn is_up(self) -> bool {
        !matches!(self, Self::Down | Self::DownloadDir)
    }

    fn deletes(self) -> bool {
        matches!(self, Self::Up | Self::Down)
    }

    pub(crate) fn spares(self, trouble: Trouble) -> Option<&'static str> {
        if self.is_up() { None } else { trouble.spares_bare_requests() }
    }
}

pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Strikes the transfer of one of the files.
pub(crate) async fn run(kind: Kind, stage: &mut Stage<'_>) -> Result<Verdict, String> {
    if kind.is_up() { up(kind, stage).await } else { down(kind, stage).await }
}

/// What is here and what is to come: equal, changed, new, and, on the other side only, extra.
pub(crate) fn sides(stage: &mut Stage<'_>) -> (Files, Files) {
    let (same, changed, before, new, extra) =
        (stage.content(), stage.source(), stage.content(), stage.content(), stage.content());
    let side = |files: Vec<(&str, Vec<u8>)>| files.into_iter().map(|(name, file)| (name.to_owned(), file)).collect();
    let from = side(vec![("deep/same", same.clone()), ("changed", changed), ("deep/new", new)]);
    let to = side(vec![("deep/same", same), ("changed", before), ("extra", extra)]);
    (from, to)
}

pub(crate) async fn store(stage: &Stage<'_>, files: &Files) -> Result<(), String> {
    for (name, content) in files {
        stage.put(name, content.clone()).await?;
    }
    Ok(())
}

pub(crate) fn write(stage: &Stage<'_>, files: &Files) -> Result<(), String> {
    for (name, content) in files {
        let path = stage.folder.path().join(name);
        let folder = path.parent().unwrap_or(stage.folder.path());
        std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, content)).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Each file as it was or as it shall be, and nothing deleted unless all the rest is done.
pub(crate) fn between(there: &Files, before: &Files, after: &Files) -> Result<(), String> {
    let names = there.keys().chain(before.keys()).chain(after.keys());
    for name in names {
        let found = there.get(name);
        if found != before.get(name) && found != after.get(name) {
            return Err(format!("{name} is neither the old nor the new one"));
        }
    }
    let complete = after.iter().all(|(name, content)| there.get(name) == Some(content));
    let deleted = before.keys().any(|name| !there.contains_key(name));
    if deleted && !complete { Err("files were deleted before the rest was done".into()) } else { Ok(()) }
}

/// Files that a later download would go on with are no files of the folder.
pub(crate) fn without_parts(files: Files) -> Files {
    files.into_iter().filter(|(name, _)| !name.contains(".carbonfiles.part")).collect()
}

/// What is on the receiving side in the end: only what a sync deletes is not there any more.
pub(crate) fn after(kind: Kind, before: &Files, from: &Files) -> Files {
    let mut after = from.clone();
    if !kind.deletes() {
        for (name, file) in before {
            after.entry(name.clone()).or_insert_with(|| file.clone());
        }
    }
    after
}

/// The files that are said to be done, and what is said of all.
pub(crate) type Told = (Vec<String>, Outcome<usize>);

/// What is said to be done is done, whatever became of the others.
pub(crate) fn is_done(done: &[String], there: &Files, after: &Files) -> Result<(), String> {
    match done.iter().find(|name| there.get(*name) != after.get(*name)) {
        Some(name) => Err(format!("{name} is said to be done")),
        None => Ok(()),
    }
}

fn told<T>(batch: Outcome<carbonfiles::files::Batch<T>>) -> Told {
    match batch {
        Ok(batch) => (names(&batch), batch.into_result().map(|done| done.len())),
        Err(error) => (Vec::new(), Err(error)),
    }
}

fn told_by_sync<T>(outcome: Outcome<carbonfiles::sync::SyncOutcome<T>>) -> Told {
    match outcome {
        Ok(outcome) => (names(&outcome.copied), outcome.into_result().map(|done| done.copied)),
        Err(error) => (Vec::new(), Err(error)),
    }
}

fn names<T>(batch: &carbonfiles::files::Batch<T>) -> Vec<String> {
    batch.done().map(|(name, _)| name.to_owned()).collect()
}

pub(crate) async fn send(
    kind: Kind,
    to: &Remote,
    folder: &Path,
    files: &Files,
    on_failure: OnFailure,
    watch: impl FnMut(&str, Progress) + Send,
) -> Told {
    match kind {
        Kind::UploadMany => {
            // Every second is a file, so that one can be replaced.
            let source = |(at, (name, content)): (usize, (&String, &Vec<u8>))| match at % 2 {
                0 => (name.clone(), Source::from(folder.join(name))),
                _ => (name.clone(), Source::from(content.clone())),
            };
            let items: Vec<_> = files.iter().enumerate().map(source).collect();
            told(to.upload_many(items).on_failure(on_failure).file_progress(watch).await)
        }
        Kind::UploadDir => told(to.upload_dir(folder).on_failure(on_failure).file_progress(watch).await),
        _ => told_by_sync(to.sync_up(folder).delete_extra(true).on_failure(on_failure).file_progress(watch).await),
    }
}

pub(crate) async fn fetch(kind: Kind, from: &Remote, folder: &Path, on_failure: OnFailure) -> Told {
    match kind {
        Kind::DownloadDir => told(from.download_dir(folder).on_failure(on_failure).await),
        _ => told_by_sync(from.sync_down(folder).delete_extra(true).on_failure(on_failure).await),
    }
}

pub(crate) fn policy(stage: &mut Stage<'_>) -> OnFailure {
    if stage.rng.bool() { OnFailure::Stop } else { OnFailure::GoOn }
}

async fn up(kind: Kind, stage: &mut Stage<'_>) -> Result<Verdict, String> {
    let (local, remote) = sides(stage);
    store(stage, &remote).await?;
    write(stage, &local)?;
    let changed = local["changed"].clone();
    let fault = stage.inject("PUT", "/upload/stream?filename=changed", &bodies("changed", changed.len()));
    let (folder, policy, renamed) = (stage.folder.path().to_owned(), policy(stage), stage.rng.bool());
    let replaced = stage.trouble == Trouble::Replaced;
    let replace = |name: &str, progress: Progress| {
        if replaced && name == "changed" && matches!(progress.phase, Phase::Retrying { .. }) {
            let done = replace_on_disk(&folder.join(name), &flipped(&changed), renamed);
            done.expect("the source can be replaced");
        }
    };
    let files = stage.bucket.files();
    let deed = send(kind, &files, &folder, &local, policy, replace);
    let writing = async {
        replace_on_disk(&folder.join("changed"), &flipped(&changed), false).map_err(|e| e.to_string())?;
        fault.release();
        Ok(())
    };
    let (done, outcome) = meanwhile(stage.trouble == Trouble::Rewritten, &fault, deed, writing).await?;
    stage.calm()?;
    let there = stage.stored().await?;
    let outcome = uploads::told(stage, outcome)?;
    let whole = after(kind, &remote, &local);
    // A source that is another one by now is not sent, not even as a whole.
    between(&there, &remote, &whole)?;
    is_done(&done, &there, &whole)?;
    let verdict = judge(stage, &outcome, there == whole)?;
    if verdict == Verdict::Typed {
        let local = stage.local();
        let (_, again) = send(kind, &stage.judge.files(), &folder, &local, policy, |_, _| {}).await;
        again.map_err(|e| format!("again: {e:?}"))?;
        if stage.stored().await? != after(kind, &remote, &local) {
            return Err("again, and the bucket is not as the folder".into());
        }
    }
    Ok(verdict)
}

async fn down(kind: Kind, stage: &mut Stage<'_>) -> Result<Verdict, String> {
    let (mut remote, local) = sides(stage);
    store(stage, &remote).await?;
    write(stage, &local)?;
    let changed = remote["changed"].clone();
    let other = flipped(&changed);
    let over_long = [changed.clone(), b"more".to_vec()].concat();
    let wrong = Wrong::Bit(stage.rng.u64(..changed.len() as u64));
    let bodies = Bodies { request: 0, response: changed.len() as u64, over_long, wrong };
    let fault = stage.inject("GET", "/files/changed/content", &bodies);
    let (folder, policy) = (stage.folder.path().to_owned(), policy(stage));
    let files = stage.bucket.files();
    let writing = async {
        stage.put("changed", other.clone()).await?;
        if stage.goes_on {
            fault.release();
        }
        Ok(())
    };
    let deed = fetch(kind, &files, &folder, policy);
    let (done, outcome) = meanwhile(stage.trouble == Trouble::Replaced, &fault, deed, writing).await?;
    stage.calm()?;
    let there = without_parts(stage.local());
    if stage.trouble == Trouble::Replaced && there.get("changed") == Some(&other) {
        remote.insert("changed".into(), other);
    }
    let whole = after(kind, &local, &remote);
    between(&there, &local, &whole)?;
    is_done(&done, &there, &whole)?;
    let verdict = judge(stage, &outcome, there == whole)?;
    if verdict == Verdict::Typed {
        let (_, again) = fetch(kind, &stage.judge.files(), &folder, policy).await;
        again.map_err(|e| format!("again: {e:?}"))?;
        if stage.local() != after(kind, &local, &stage.stored().await?) {
            return Err("again, and the folder is not as the bucket".into());
        }
    }
    Ok(verdict)
}

/// What a batch or a sync says, and whether that is so. After an error the sides have been looked at.
pub(crate) fn judge<T: Debug>(stage: &Stage<'_>, outcome: &Outcome<T>, is_so: bool) -> Result<Verdict, String> {
    // Of a file that is longer than it was listed, it is not known which of the two is wrong.
    let may_differ = matches!(stage.trouble, Trouble::OverLong | Trouble::WrongHash);
    match outcome {
        Ok(_) if is_so => Ok(Verdict::Recovered),
        Ok(counts) => Err(format!("it says {counts:?}, and the sides differ")),
        Err(error) if may_differ && error.kind() == ErrorKind::ContentChanged => Ok(Verdict::Typed),
        Err(error) => fits(stage, error),
    }
}

//! Many files: kept equal in both directions, uploaded, downloaded, and packed in an archive.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;

use carbonfiles::files::{Files as Remote, OnFailure};
use carbonfiles::{Phase, Progress, Result as Outcome};

use crate::downloads::is_met_by_downloads;
use crate::stage::{Stage, Verdict, fits};
use crate::trouble::{Bodies, Trouble};
use crate::uploads::{bodies, is_met_by_uploads};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Up,
    UploadMany,
    UploadDir,
    Down,
    DownloadDir,
    /// Either sync, where the listing fails.
    Listing,
    Zip,
    #[cfg(feature = "zip")]
    Unpack,
}

pub(crate) const KINDS: &[(&str, Kind)] = &[
    ("sync-up", Kind::Up),
    ("upload-many", Kind::UploadMany),
    ("upload-dir", Kind::UploadDir),
    ("sync-down", Kind::Down),
    ("download-dir", Kind::DownloadDir),
    ("sync-listing", Kind::Listing),
    ("zip", Kind::Zip),
    #[cfg(feature = "zip")]
    ("zip-unpack", Kind::Unpack),
];

impl Kind {
    pub(crate) fn meets(self, trouble: Trouble) -> bool {
        let at_the_end = trouble.is_at_the_end();
        match self {
            // Sources that are files can be replaced.
            Self::Up | Self::UploadDir => is_met_by_uploads(trouble) || trouble == Trouble::Replaced,
            Self::UploadMany => is_met_by_uploads(trouble),
            Self::Down | Self::DownloadDir => is_met_by_downloads(trouble),
            // A listing has no hash, and what it says of others' writes is true when it says so.
            Self::Listing => {
                is_met_by_downloads(trouble)
                    && !at_the_end
                    && trouble != Trouble::Replaced
                    && trouble != Trouble::WrongHash
            }
            // An archive has neither length nor hash: what is wrong within it can't be seen from outside.
            Self::Zip => {
                is_met_by_downloads(trouble)
                    && !at_the_end
                    && trouble != Trouble::Replaced
                    && trouble != Trouble::WrongHash
            }
            #[cfg(feature = "zip")]
            Self::Unpack => is_met_by_downloads(trouble) && !at_the_end && trouble != Trouble::Replaced,
        }
    }
}

type Files = BTreeMap<String, Vec<u8>>;

pub(crate) async fn run(kind: Kind, stage: &mut Stage<'_>) -> Result<Verdict, String> {
    match kind {
        Kind::Up | Kind::UploadMany | Kind::UploadDir => up(kind, stage).await,
        Kind::Down | Kind::DownloadDir => down(kind, stage).await,
        Kind::Listing => listing(stage).await,
        Kind::Zip => zip(stage).await,
        #[cfg(feature = "zip")]
        Kind::Unpack => unpack(stage).await,
    }
}

/// What is here and what is to come: equal, changed, new, and, on the other side only, extra.
fn sides(stage: &mut Stage<'_>) -> (Files, Files) {
    let (same, changed, before, new, extra) =
        (stage.content(), stage.content(), stage.content(), stage.content(), stage.content());
    let side = |files: Vec<(&str, Vec<u8>)>| files.into_iter().map(|(name, file)| (name.to_owned(), file)).collect();
    let from = side(vec![("deep/same", same.clone()), ("changed", changed), ("deep/new", new)]);
    let to = side(vec![("deep/same", same), ("changed", before), ("extra", extra)]);
    (from, to)
}

async fn store(stage: &Stage<'_>, files: &Files) -> Result<(), String> {
    for (name, content) in files {
        stage.put(name, content.clone()).await?;
    }
    Ok(())
}

fn write(stage: &Stage<'_>, files: &Files) -> Result<(), String> {
    for (name, content) in files {
        let path = stage.folder.path().join(name);
        let folder = path.parent().unwrap_or(stage.folder.path());
        std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, content)).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Each file as it was or as it shall be, and nothing deleted unless all the rest is done.
fn between(there: &Files, before: &Files, after: &Files) -> Result<(), String> {
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
fn without_parts(files: Files) -> Files {
    files.into_iter().filter(|(name, _)| !name.contains(".carbonfiles.part")).collect()
}

/// What is on the receiving side in the end: only what a sync deletes is not there any more.
fn after(kind: Kind, before: &Files, from: &Files) -> Files {
    let mut after = from.clone();
    if !matches!(kind, Kind::Up | Kind::Down) {
        for (name, file) in before {
            after.entry(name.clone()).or_insert_with(|| file.clone());
        }
    }
    after
}

/// The files that are said to be done, and what is said of all.
type Told = (Vec<String>, Outcome<usize>);

/// What is said to be done is done, whatever became of the others.
fn is_done(done: &[String], there: &Files, after: &Files) -> Result<(), String> {
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
        Ok(outcome) => (names(&outcome.copied), outcome.into_result().map(|(copied, _)| copied)),
        Err(error) => (Vec::new(), Err(error)),
    }
}

fn names<T>(batch: &carbonfiles::files::Batch<T>) -> Vec<String> {
    batch.done().map(|(name, _)| name.to_owned()).collect()
}

async fn send(
    kind: Kind,
    to: &Remote,
    folder: &Path,
    files: &Files,
    on_failure: OnFailure,
    watch: impl FnMut(&str, Progress) + Send,
) -> Told {
    match kind {
        Kind::UploadMany => {
            let items = files.iter().map(|(name, content)| (name.clone(), content.clone()));
            told(to.upload_many(items).on_failure(on_failure).file_progress(watch).await)
        }
        Kind::UploadDir => told(to.upload_dir(folder).on_failure(on_failure).file_progress(watch).await),
        _ => told_by_sync(to.sync_up(folder).delete_extra(true).on_failure(on_failure).file_progress(watch).await),
    }
}

async fn fetch(kind: Kind, from: &Remote, folder: &Path, on_failure: OnFailure) -> Told {
    match kind {
        Kind::DownloadDir => told(from.download_dir(folder).on_failure(on_failure).await),
        _ => told_by_sync(from.sync_down(folder).delete_extra(true).on_failure(on_failure).await),
    }
}

fn policy(stage: &mut Stage<'_>) -> OnFailure {
    if stage.rng.bool() { OnFailure::Stop } else { OnFailure::GoOn }
}

async fn up(kind: Kind, stage: &mut Stage<'_>) -> Result<Verdict, String> {
    let (mut local, remote) = sides(stage);
    store(stage, &remote).await?;
    write(stage, &local)?;
    let changed = local["changed"].clone();
    let other: Vec<u8> = changed.iter().map(|byte| byte ^ 1).collect();
    stage.inject("PUT", "/upload/stream?filename=changed", &bodies("changed", changed.len()));
    let (folder, policy) = (stage.folder.path().to_owned(), policy(stage));
    let replaced = stage.trouble == Trouble::Replaced;
    let replace = |name: &str, progress: Progress| {
        if replaced && name == "changed" && matches!(progress.phase, Phase::Retrying { .. }) {
            let _ = std::fs::write(folder.join(name), &other);
        }
    };
    let (done, outcome) = send(kind, &stage.bucket.files(), &folder, &local, policy, replace).await;
    stage.calm()?;
    let there = stage.stored().await?;
    // A source that was replaced may be sent as it was or as it is, and nothing in between.
    if replaced && there.get("changed") == Some(&other) {
        local.insert("changed".into(), other.clone());
    }
    let whole = after(kind, &remote, &local);
    between(&there, &remote, &whole)?;
    is_done(&done, &there, &whole)?;
    let verdict = judge(&outcome, there == whole)?;
    if verdict == Verdict::Typed {
        let (_, again) = send(kind, &stage.judge.files(), &folder, &local, policy, |_, _| {}).await;
        again.map_err(|e| format!("again: {e:?}"))?;
        if stage.stored().await? != after(kind, &remote, &stage.local()) {
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
    let other: Vec<u8> = changed.iter().map(|byte| byte ^ 1).collect();
    let over_long = [changed.clone(), b"more".to_vec()].concat();
    let bodies = Bodies { request: 0, response: changed.len() as u64, over_long, wrong_hash: None };
    let fault = stage.inject("GET", "/files/changed/content", &bodies);
    let (folder, policy) = (stage.folder.path().to_owned(), policy(stage));
    let files = stage.bucket.files();
    let replace = async {
        if stage.trouble == Trouble::Replaced {
            fault.fired_at_least(1).await;
            stage.put("changed", other.clone()).await?;
        }
        std::future::pending::<Result<(), String>>().await
    };
    let (done, outcome) = tokio::select! {
        told = fetch(kind, &files, &folder, policy) => told,
        problem = replace => return problem.map(|()| Verdict::Typed),
    };
    stage.calm()?;
    let there = without_parts(stage.local());
    if stage.trouble == Trouble::Replaced && there.get("changed") == Some(&other) {
        remote.insert("changed".into(), other);
    }
    let whole = after(kind, &local, &remote);
    between(&there, &local, &whole)?;
    is_done(&done, &there, &whole)?;
    let verdict = judge(&outcome, there == whole)?;
    if verdict == Verdict::Typed {
        let (_, again) = fetch(kind, &stage.judge.files(), &folder, policy).await;
        again.map_err(|e| format!("again: {e:?}"))?;
        if stage.local() != after(kind, &local, &stage.stored().await?) {
            return Err("again, and the folder is not as the bucket".into());
        }
    }
    Ok(verdict)
}

async fn listing(stage: &mut Stage<'_>) -> Result<Verdict, String> {
    let (from, to) = sides(stage);
    let upwards = stage.rng.bool();
    let (local, remote) = if upwards { (&from, &to) } else { (&to, &from) };
    store(stage, remote).await?;
    write(stage, local)?;
    let bodies = Bodies { request: 0, response: 300, over_long: b"{\"files\":[]}{}".to_vec(), wrong_hash: None };
    stage.inject("GET", "/files?", &bodies);
    let folder = stage.folder.path().to_owned();
    let files = stage.bucket.files();
    let outcome = async {
        if upwards {
            files.sync_up(&folder).delete_extra(true).await?.into_result()
        } else {
            files.sync_down(&folder).delete_extra(true).await?.into_result()
        }
    }
    .await;
    stage.calm()?;
    let there = if upwards { stage.stored().await? } else { stage.local() };
    match &outcome {
        Ok(_) => judge(&outcome, there == from),
        Err(_) => judge(&outcome, there == to),
    }
}

/// What a sync says, and whether that is so. After an error the sides have been looked at.
fn judge<T: Debug>(outcome: &Outcome<T>, is_so: bool) -> Result<Verdict, String> {
    match outcome {
        Ok(_) if is_so => Ok(Verdict::Recovered),
        Ok(counts) => Err(format!("it says {counts:?}, and the sides differ")),
        Err(error) => fits(error),
    }
}

async fn zip(stage: &mut Stage<'_>) -> Result<Verdict, String> {
    let (files, _) = sides(stage);
    store(stage, &files).await?;
    let target = stage.folder.path().join("target");
    let old = stage.rng.bool().then(|| stage.content());
    if let Some(old) = &old {
        std::fs::write(&target, old).map_err(|e| e.to_string())?;
    }
    let smallest = files.values().map(Vec::len).sum::<usize>() as u64;
    let over_long = vec![0; smallest as usize];
    let bodies = Bodies { request: 0, response: smallest, over_long, wrong_hash: None };
    stage.inject("GET", "/zip", &bodies);
    let outcome = stage.bucket.zip().download_to(&target).await;
    stage.calm()?;
    let there = stage.local();
    if there.keys().any(|name| name != "target") {
        return Err(format!("there is {:?}", there.keys()));
    }
    match outcome {
        Ok(_) if unzipped(&target)? == files => Ok(Verdict::Recovered),
        Ok(done) => Err(format!("it says {done:?}, and the archive is another")),
        Err(error) if there.get("target") == old.as_ref() => fits(&error),
        Err(error) => Err(format!("after {error} the target is another")),
    }
}

fn unzipped(path: &std::path::Path) -> Result<Files, String> {
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    let mut archive = zip::ZipArchive::new(file).map_err(|e| e.to_string())?;
    let mut files = Files::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|e| e.to_string())?;
        if entry.is_file() {
            let name = entry.name().map_err(|e| e.to_string())?.into_owned();
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut content).map_err(|e| e.to_string())?;
            files.insert(name, content);
        }
    }
    Ok(files)
}

#[cfg(feature = "zip")]
async fn unpack(stage: &mut Stage<'_>) -> Result<Verdict, String> {
    let (files, local) = sides(stage);
    store(stage, &files).await?;
    write(stage, &local)?;
    let smallest = files.values().map(Vec::len).sum::<usize>() as u64;
    let over_long = vec![0; smallest as usize];
    let bodies = Bodies { request: 0, response: smallest, over_long, wrong_hash: None };
    stage.inject("GET", "/zip", &bodies);
    let outcome = stage.bucket.zip().unpack(stage.folder.path()).await;
    stage.calm()?;
    let mut after = local.clone();
    after.extend(files.clone());
    let there = stage.local();
    match outcome {
        Ok(_) if there == after => Ok(Verdict::Recovered),
        Ok(done) => Err(format!("it says {done:?}, and the folder is another")),
        Err(error) => {
            between(&there, &local, &after)?;
            fits(&error)
        }
    }
}

//! What is asked for beside the contents of many files: the listing before them, and the deletions behind them.

use carbonfiles::Result as Outcome;
use carbonfiles::files::OnFailure;
use futures::TryStreamExt;

use crate::folders::{self, Files, after, between, fetch, is_done, judge, policy, send, sides, without_parts, write};
use crate::stage::{Stage, Verdict, flipped, meanwhile, text};
use crate::trouble::{Bodies, Trouble, Wrong};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The bucket is listed, for one of these.
    Listing(folders::Kind),
    /// What only the bucket has is deleted. What only the folder has is too, but nobody is asked for that.
    Deletion,
}

pub(crate) const KINDS: [(&str, Kind); 4] = [
    ("sync-up-listing", Kind::Listing(folders::Kind::Up)),
    ("sync-down-listing", Kind::Listing(folders::Kind::Down)),
    ("download-dir-listing", Kind::Listing(folders::Kind::DownloadDir)),
    ("sync-up-deletion", Kind::Deletion),
];

impl Kind {
    pub(crate) fn spares(self, trouble: Trouble) -> Option<&'static str> {
        match (self, trouble) {
            (Self::Deletion, Trouble::Replaced) => Some("a path is deleted, whatever is there by then"),
            (Self::Deletion, _) => trouble.spares_bare_requests().or(trouble.spares_bare_answers()),
            (Self::Listing(_), _) => trouble.spares_bare_requests(),
        }
    }
}

pub(crate) async fn run(kind: Kind, stage: &mut Stage<'_>) -> Result<Verdict, String> {
    match kind {
        Kind::Listing(kind) => listing(kind, stage).await,
        Kind::Deletion => deletion(stage).await,
    }
}

/// A listing that says of a file that is on both sides that it is another one. (One that calls two contents equal which
/// are not can't be told from a right one.)
async fn lie(stage: &mut Stage<'_>) -> Result<Vec<u8>, String> {
    let files = stage.judge.files().list_all().stable().items();
    let mut files: Vec<_> = files.try_collect().await.map_err(text)?;
    let shorter = stage.rng.bool();
    for file in files.iter_mut().filter(|file| file.path == "deep/same") {
        match shorter {
            true => file.size -= 1,
            false => file.sha256 = Some("0".repeat(64)),
        }
    }
    let rows = files.len();
    let page = serde_json::json!({"delimiter": "//", "directories": [], "files": files, "total_files": rows,
        "total_directories": 0});
    Ok(page.to_string().into_bytes())
}

async fn listing(kind: folders::Kind, stage: &mut Stage<'_>) -> Result<Verdict, String> {
    let (from, to) = sides(stage);
    let (local, remote) = if kind.is_up() { (&from, &to) } else { (&to, &from) };
    folders::store(stage, remote).await?;
    write(stage, local)?;
    let wrong = Wrong::Says(lie(stage).await?);
    let bodies = Bodies { request: 0, response: 300, over_long: b"{\"files\":[]}{}".to_vec(), wrong };
    let fault = stage.inject("GET", "/files?", &bodies);

    let replaced = stage.trouble == Trouble::Replaced;
    // Comes between the listing and what is made of it.
    let mut other = flipped(&remote["changed"]);
    if stage.rng.bool() {
        other.extend(b"longer than it was");
    }
    let writing = async {
        stage.put("changed", other.clone()).await?;
        fault.release();
        Ok(())
    };
    let (folder, files) = (stage.folder.path().to_owned(), stage.bucket.files());
    let copy = async {
        match kind.is_up() {
            true => send(kind, &files, &folder, &from, OnFailure::Stop, |_, _| {}).await,
            false => fetch(kind, &files, &folder, OnFailure::Stop).await,
        }
    };
    let (done, outcome) = meanwhile(replaced, &fault, copy, writing).await?;
    stage.calm()?;

    let there = if kind.is_up() { stage.stored().await? } else { without_parts(stage.local()) };
    let (mut before, mut giving) = (to, from);
    if replaced && kind.is_up() {
        before.insert("changed".into(), there.get("changed").cloned().unwrap_or_default());
    } else if replaced {
        giving.insert("changed".into(), other);
    }
    let whole = after(kind, &before, &giving);
    match &outcome {
        // Nothing is done where it is not known what there is.
        Err(_) if !matches!(stage.trouble, Trouble::Replaced | Trouble::WrongHash) && there != before => {
            return Err("it went on without a listing".into());
        }
        _ => between(&there, &before, &whole)?,
    }
    is_done(&done, &there, &whole)?;
    let verdict = judge(stage, &outcome, there == whole)?;
    again(kind, stage, verdict, &before).await?;
    Ok(verdict)
}

async fn deletion(stage: &mut Stage<'_>) -> Result<Verdict, String> {
    let (from, to) = sides(stage);
    folders::store(stage, &to).await?;
    write(stage, &from)?;
    let bodies = Bodies { request: 0, response: 0, over_long: Vec::new(), wrong: Wrong::Bit(0) };
    stage.inject("DELETE", "/files/extra", &bodies);
    let (folder, policy) = (stage.folder.path().to_owned(), policy(stage));
    let outcome = stage.bucket.files().sync_up(&folder).delete_extra(true).on_failure(policy).await;
    stage.calm()?;
    let mut there = stage.stored().await?;
    let is_there = there.contains_key("extra");
    let outcome: Outcome<_> = match outcome {
        Ok(outcome) if is_there && outcome.deleted.done().count() > 0 => return Err("it is not deleted".into()),
        Ok(outcome) => outcome.into_result(),
        Err(error) => Err(error),
    };
    let verdict = judge(stage, &outcome, !is_there)?;
    there.remove("extra");
    if there != from {
        return Err("what came before the deletion is not done".into());
    }
    again(folders::Kind::Up, stage, verdict, &to).await?;
    Ok(verdict)
}

/// When the fault has passed, the same call succeeds.
async fn again(kind: folders::Kind, stage: &Stage<'_>, verdict: Verdict, before: &Files) -> Result<(), String> {
    if verdict == Verdict::Recovered {
        return Ok(());
    }
    let (folder, files) = (stage.folder.path(), stage.judge.files());
    let (giving, (_, outcome)) = match kind.is_up() {
        true => (stage.local(), send(kind, &files, folder, &stage.local(), OnFailure::Stop, |_, _| {}).await),
        false => (stage.stored().await?, fetch(kind, &files, folder, OnFailure::Stop).await),
    };
    outcome.map_err(|e| format!("again: {e:?}"))?;
    let there = if kind.is_up() { stage.stored().await? } else { stage.local() };
    if there == after(kind, before, &giving) { Ok(()) } else { Err("again, and the sides differ".into()) }
}

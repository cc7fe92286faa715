//! Folders made equal, as a user would, on the test server.

mod gateway;
#[cfg(target_os = "linux")]
mod hashes;
mod plans;
mod started;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use carbonfiles::files::{FileOutcome, OnFailure, Skipped};
use carbonfiles::sync::{SyncAction, SyncFile, SyncPlan};
use carbonfiles::{Bucket, ErrorKind, Symlinks};
use carbonfiles_testserver::{Fault, TestServer};
use futures::TryStreamExt;
use futures::stream::FusedStream;
use support::{admin, bucket, read_folder, server};

type Tree = BTreeMap<String, String>;

fn tree(files: &[(&str, &str)]) -> Tree {
    files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn write(root: &Path, files: &Tree) {
    for (name, text) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn read(root: &Path) -> Tree {
    let text = |(name, content)| (name, String::from_utf8(content).unwrap());
    read_folder(root).into_iter().map(text).collect()
}

async fn stored(bucket: &Bucket) -> Tree {
    let paths: Vec<_> =
        bucket.files().list_all().stable().items().map_ok(|file| file.path).try_collect().await.unwrap();
    let mut files = Tree::new();
    for path in paths {
        let content = bucket.file(&path).download().await.unwrap().bytes(1 << 20).await.unwrap();
        files.insert(path, String::from_utf8(content.to_vec()).unwrap());
    }
    files
}

async fn fill(bucket: &Bucket, files: &Tree) {
    let items = files.iter().map(|(name, text)| (name.clone(), text.clone().into_bytes()));
    bucket.files().upload_many(items).await.unwrap().into_result().unwrap();
}

/// Requests that change something.
fn changes(server: &TestServer) -> usize {
    server.requests().iter().filter(|request| !matches!(request.method.as_str(), "GET" | "HEAD")).count()
}

fn lines(plan: &SyncPlan) -> Vec<String> {
    let line = |action: &SyncAction| match action {
        SyncAction::Copy { path, replaces: true, .. } => format!("={path}"),
        SyncAction::Copy { path, .. } => format!("+{path}"),
        SyncAction::Delete { path, .. } => format!("-{path}"),
        SyncAction::Keep { path, .. } => format!("~{path}"),
        SyncAction::Report { path, .. } => format!("?{path}"),
        other => panic!("{other:?}"),
    };
    plan.actions.iter().map(line).collect()
}

#[tokio::test]
async fn up_sends_what_differs_and_nothing_twice() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    let mut files = tree(&[("a", "1"), ("deep/ü %+#?", "2"), ("same size", "3"), ("empty", ""), (".hidden", "4")]);
    write(folder.path(), &files);
    let sync = || bucket.files().sync_up(folder.path()).prefix("v1");
    fill(&bucket, &tree(&[("v1/extra", "x"), ("v10/other", "y"), ("top", "z")])).await;

    server.clear_requests();
    let plan = sync().plan().await.unwrap();
    assert_eq!(lines(&plan), ["+.hidden", "+a", "+deep/ü %+#?", "+empty", "~extra", "+same size"]);
    assert_eq!((plan.bytes(), changes(&server)), (4, 0), "a plan changes nothing");
    assert!(!plan.is_empty());

    let done = sync().await.unwrap();
    assert_eq!(
        (done.copied.done().count(), done.unchanged, done.kept.as_slice()),
        (5, 0, ["extra".to_owned()].as_slice())
    );
    server.clear_requests();
    assert_eq!(sync().exclude("extra").plan().await.unwrap().actions, []);
    assert!(sync().exclude("extra").plan().await.unwrap().is_empty());
    let again = sync().await.unwrap();
    assert_eq!((again.copied.files.len(), again.unchanged, changes(&server)), (0, 5, 0));

    files.insert("same size".into(), "5".into());
    files.insert("a".into(), "longer".into());
    files.remove("empty");
    write(folder.path(), &files);
    fs::remove_file(folder.path().join("empty")).unwrap();
    let done = sync().delete_extra(true).await.unwrap();
    assert_eq!(done.deleted.done().map(|(path, ())| path).collect::<Vec<_>>(), ["v1/empty", "v1/extra"]);
    assert_eq!(support::totals(done), (2, 2));
    let mut expected: Tree = files.iter().map(|(name, text)| (format!("v1/{name}"), text.clone())).collect();
    expected.extend(tree(&[("v10/other", "y"), ("top", "z")]));
    assert_eq!(stored(&bucket).await, expected);
}

#[tokio::test]
async fn down_fetches_what_differs_and_nothing_twice() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let around = tempfile::tempdir().unwrap();
    let folder = around.path().join("new");
    let files = tree(&[("a", "1"), ("deep/ü %+#?", "2"), ("empty", "")]);
    fill(&bucket, &files).await;
    let sync = || bucket.files().sync_down(&folder);
    assert_eq!(sync().plan().await.unwrap().actions.len(), 3);
    assert!(!folder.exists(), "a plan changes nothing");
    assert_eq!(support::totals(sync().await.unwrap()), (3, 0));
    server.clear_requests();
    assert_eq!(sync().await.unwrap().unchanged, 3);
    assert!(!server.requests().iter().any(|request| request.path.ends_with("/content")));

    write(&folder, &tree(&[("a", "2"), ("extra/deep/x", "x"), ("extra/kept.log", "k"), ("deep/y", "y")]));
    write(around.path(), &tree(&[("outside", "o")]));
    let done = sync().delete_extra(true).exclude("**/*.log").await.unwrap();
    assert_eq!(support::totals(done), (1, 2));
    let mut expected = files.clone();
    expected.insert("extra/kept.log".into(), "k".into());
    assert_eq!(read(&folder), expected);
    assert!(!folder.join("extra/deep").exists() && around.path().join("outside").exists());

    let all = bucket.files().sync_down(&folder).prefix("none").delete_extra(true).await.unwrap();
    assert_eq!(support::totals(all), (0, 4));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "the folder itself stays");
    let bad = bucket.files().sync_down(around.path().join("missing")).include("***").await.unwrap_err();
    assert!(bad.is_invalid_input(), "{bad}");
}

#[tokio::test]
async fn what_is_not_meant_is_not_deleted_either_way() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    let files = tree(&[("a.md", "1"), ("b.log", "2"), (".hidden", "3"), ("deep/c.md", "4"), ("deep/.git/d.md", "5")]);
    fill(&bucket, &files).await;
    let up = || bucket.files().sync_up(folder.path()).delete_extra(true);
    let hidden = ["-a.md", "-b.log", "-deep/c.md"];
    assert_eq!(lines(&up().hidden(false).plan().await.unwrap()), hidden);
    assert_eq!(lines(&up().include("*.md").plan().await.unwrap()), ["-a.md"]);
    assert_eq!(lines(&up().exclude("deep").exclude(".*").plan().await.unwrap()), ["-a.md", "-b.log"]);
    assert_eq!(lines(&up().filter(|path| path.ends_with("g")).plan().await.unwrap()), ["-b.log"]);
    assert_eq!(support::totals(up().hidden(false).await.unwrap()), (0, 3));
    assert_eq!(stored(&bucket).await.into_keys().collect::<Vec<_>>(), [".hidden", "deep/.git/d.md"]);

    write(folder.path(), &files);
    assert_eq!(lines(&up().include("**/*.md").plan().await.unwrap()), ["+a.md", "+deep/c.md"]);
    let down = || bucket.files().sync_down(folder.path()).prefix("none").delete_extra(true);
    assert_eq!(lines(&down().hidden(false).plan().await.unwrap()), hidden);
    assert_eq!(lines(&down().include("*.md").plan().await.unwrap()), ["-a.md"]);
}

#[tokio::test]
async fn what_another_key_must_not_delete_is_not_said_to_be_deleted() {
    let server = server().await;
    let owned = bucket(&admin(&server)).await;
    fill(&owned, &tree(&[("a", "1"), ("b", "2")])).await;
    let key = admin(&server).keys().create("other").await.unwrap().key;
    let guest = support::client(&server, key.expose()).bucket(owned.id());
    let folder = tempfile::tempdir().unwrap();
    let sync = guest.files().sync_up(folder.path()).delete_extra(true).on_failure(OnFailure::GoOn).await.unwrap();
    let failed: Vec<_> = sync.deleted.failed().map(|(path, error)| (path.to_owned(), error.kind())).collect();
    assert_eq!(failed, [("a".into(), ErrorKind::PermissionDenied), ("b".into(), ErrorKind::PermissionDenied)]);
    assert_eq!(stored(&owned).await.len(), 2);
}

#[cfg(unix)]
#[tokio::test]
async fn a_sync_down_reports_what_is_behind_links_also_where_they_would_be_followed() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    fill(&bucket, &tree(&[("link/x", "new"), ("to-x", "new"), ("y", "y")])).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &tree(&[("real/x", "old")]));
    std::os::unix::fs::symlink("real", folder.path().join("link")).unwrap();
    std::os::unix::fs::symlink("real/x", folder.path().join("to-x")).unwrap();
    let sync = || bucket.files().sync_down(folder.path()).symlinks(Symlinks::Follow).delete_extra(true);
    assert_eq!(lines(&sync().plan().await.unwrap()), ["?link", "?link/x", "-real/x", "?to-x", "+y"]);
    let done = sync().await.unwrap();
    assert_eq!((done.copied.done().count(), done.deleted.done().count()), (1, 1));
    assert_eq!((done.copied.failed().count(), done.deleted.failed().count()), (0, 0));
}

#[tokio::test]
async fn what_is_deleted_already_is_no_failure_and_what_is_not_is_one() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    let both = tree(&[("a", "1"), ("b", "2"), ("c", "3")]);
    fill(&bucket, &both).await;
    let up = || bucket.files().sync_up(folder.path()).delete_extra(true).concurrency(1);
    let plan = up().plan().await.unwrap();
    // The server remembers it, as somebody was reading it.
    let held = server.inject(Fault::stall_headers().on("GET", "/files/b"));
    let read = tokio::spawn(bucket.file("b").get().send());
    support::within(held.fired_at_least(1)).await;
    bucket.file("b").delete().await.unwrap();
    assert!(bucket.file("b").get_opt().await.unwrap().is_some(), "the server says that it is there");
    assert_eq!(support::totals(up().apply(plan).await.unwrap()), (0, 3));
    held.release();
    support::within(read).await.unwrap().unwrap();

    fill(&bucket, &both).await;
    server.inject(Fault::status(403).on("DELETE", "/files/b"));
    let failed = up().await.unwrap();
    assert!(failed.deleted.stopped && !failed.copied.stopped);
    assert_eq!(
        failed.deleted.failed().map(|(path, error)| (path, error.kind())).collect::<Vec<_>>(),
        [("b", ErrorKind::PermissionDenied)]
    );
    assert_eq!(failed.deleted.skipped().collect::<Vec<_>>(), [("c", Skipped::NotStarted)]);
    assert_eq!(failed.into_result().unwrap_err().kind(), ErrorKind::PermissionDenied);
    server.inject(Fault::status(403).on("DELETE", "/files/b"));
    let failed = up().on_failure(OnFailure::GoOn).await.unwrap();
    assert_eq!((failed.deleted.done().count(), failed.deleted.failed().count()), (1, 1));

    write(folder.path(), &both);
    let down = || bucket.files().sync_down(folder.path()).prefix("none").delete_extra(true);
    let plan = down().plan().await.unwrap();
    fs::remove_file(folder.path().join("b")).unwrap();
    assert_eq!(support::totals(down().apply(plan).await.unwrap()), (0, 3));
}

#[tokio::test]
async fn a_signal_keeps_what_was_to_be_deleted() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &tree(&[("new", "n")]));
    fill(&bucket, &tree(&[("extra", "x"), ("extra2", "x")])).await;
    let up = || bucket.files().sync_up(folder.path()).delete_extra(true);
    let held = server.inject(Fault::stall_headers().on("PUT", "/upload"));
    let signal = held.clone();
    let done = support::within(up().cancel_when(async move { signal.fired_at_least(1).await }).send()).await.unwrap();
    held.release();
    assert_eq!(done.copied.skipped().collect::<Vec<_>>(), [("new", Skipped::Cancelled)]);
    let kept = [("extra", Skipped::NotStarted), ("extra2", Skipped::NotStarted)];
    assert_eq!(done.deleted.skipped().collect::<Vec<_>>(), kept);
    assert_eq!((done.copied.stopped, done.deleted.stopped), (true, false));
    assert_eq!(done.into_result().unwrap_err().kind(), ErrorKind::Cancelled);

    // It ends the deleting too, of which there are as many at once.
    let held = server.inject(Fault::stall_headers().on("DELETE", "/extra").forever());
    support::within(async {
        tokio::select! { _ = up().send() => panic!("it was held"), () = held.fired_at_least(2) => {} }
    })
    .await;
    held.release();
    server.clear_faults();
    support::within(up().send()).await.unwrap().into_result().unwrap();
    fill(&bucket, &tree(&[("extra", "x"), ("extra2", "x")])).await;
    let held = server.inject(Fault::stall_headers().on("DELETE", "/extra"));
    let signal = held.clone();
    let signal = async move { signal.fired_at_least(1).await };
    let done = support::within(up().concurrency(1).cancel_when(signal).send()).await.unwrap();
    held.release();
    let kept = [("extra", Skipped::Cancelled), ("extra2", Skipped::NotStarted)];
    assert_eq!(done.deleted.skipped().collect::<Vec<_>>(), kept);
    assert_eq!((done.copied.stopped, done.deleted.stopped), (false, true));
    assert_eq!(done.into_result().unwrap_err().kind(), ErrorKind::Cancelled);
}

/// Also for root, who may read everything else.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_can_not_be_read_is_told_with_the_reason() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    // It is said to be empty, as its twin is, and its first byte can't be read.
    fill(&bucket, &tree(&[("mem", "")])).await;
    for (plan, direction) in [
        (bucket.files().sync_up("/proc/self").include("mem").exclude("[!m]*").exclude("map_files").plan().await, "up"),
        (
            bucket.files().sync_down("/proc/self").include("mem").exclude("[!m]*").exclude("map_files").plan().await,
            "down",
        ),
    ] {
        let actions = plan.unwrap().actions;
        let [SyncAction::Report { path, reason, .. }] = &actions[..] else { panic!("{direction}: {actions:?}") };
        assert_eq!(path, "mem");
        // In the system's words where there are no others.
        assert_eq!(reason, "the source could not be read: Input/output error (os error 5)", "{direction}");
    }
}

#[tokio::test]
async fn why_a_file_can_not_be_opened_is_said_once() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    let files = tree(&[("gone", "1")]);
    write(folder.path(), &files);
    fill(&bucket, &files).await;
    // It is there when the folder is looked at, and not when it is read.
    let listing = server.inject(Fault::stall_headers().on("GET", "delimiter"));
    let gone = async {
        listing.fired_at_least(1).await;
        fs::remove_file(folder.path().join("gone")).unwrap();
        listing.release();
    };
    let plan = bucket.files().sync_up(folder.path()).plan();
    let (plan, ()) = support::within(async { tokio::join!(plan, gone) }).await;
    let actions = plan.unwrap().actions;
    let [SyncAction::Report { reason, .. }] = &actions[..] else { panic!("{actions:?}") };
    let path = folder.path().join("gone");
    assert_eq!(*reason, format!("invalid source: {} can't be read: entity not found", path.display()));
}

#[cfg(unix)]
#[tokio::test]
async fn links_are_told_and_what_they_hide_is_left_alone() {
    use std::os::unix::fs::symlink;
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(outside.path(), &tree(&[("x", "x")]));
    symlink(outside.path(), folder.path().join("link")).unwrap();
    fill(&bucket, &tree(&[("link/x", "changed"), ("link/new", "n"), ("good", "g")])).await;
    let down = bucket.files().sync_down(folder.path()).delete_extra(true).await.unwrap();
    assert_eq!(down.reported.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["link", "link/new", "link/x"]);
    assert_eq!(down.copied.done().count(), 1);
    assert_eq!(down.into_result().unwrap_err().kind(), ErrorKind::Conflict);
    let up = bucket.files().sync_up(folder.path()).delete_extra(true).await.unwrap();
    assert_eq!((up.reported.len(), up.deleted.files.len()), (3, 0));
    assert_eq!(read(outside.path()), tree(&[("x", "x")]));
    assert_eq!(stored(&bucket).await.len(), 3);
}

#[cfg(unix)]
#[tokio::test]
async fn what_a_link_hides_is_left_alone_whatever_is_selected() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::os::unix::fs::symlink(outside.path(), folder.path().join("docs")).unwrap();
    fill(&bucket, &tree(&[("docs/a.md", "a")])).await;
    for symlinks in [Symlinks::Skip, Symlinks::Refuse] {
        let sync = || bucket.files().sync_up(folder.path()).symlinks(symlinks).delete_extra(true);
        for sync in [sync().include("**/*.md"), sync().filter(|path| path.ends_with(".md"))] {
            let plan = sync.plan().await.unwrap();
            assert!(plan.actions.iter().all(|a| matches!(a, SyncAction::Report { .. })), "{:?}", lines(&plan));
        }
    }
}

#[tokio::test]
async fn names_that_can_not_stand_together_are_told() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    let long = "n".repeat(300);
    let names = ["A", "a", "\u{e9}", "e\u{301}", "f", "f/g", "good", &long];
    fill(&bucket, &names.iter().map(|name| ((*name).to_owned(), format!("text of {name}"))).collect()).await;
    let down = bucket.files().sync_down(folder.path()).await.unwrap();
    assert_eq!((down.copied.done().count(), down.reported.len()), (1, 7), "{:?}", down.reported);
    assert_eq!(read(folder.path()).len(), 1);
    if cfg!(target_os = "linux") {
        let down = bucket.files().sync_down(folder.path()).case_sensitive(true).await.unwrap();
        assert_eq!((down.copied.done().count(), down.unchanged, down.reported.len()), (4, 1, 3), "{:?}", down.reported);
    }
}

#[tokio::test]
async fn nothing_is_deleted_after_a_failure_or_where_the_folder_is_not_there() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &tree(&[("a", "1")]));
    fill(&bucket, &tree(&[("extra", "x")])).await;
    server.inject(Fault::status(507).on("PUT", "/upload/stream"));
    let done = bucket.files().sync_up(folder.path()).delete_extra(true).await.unwrap();
    assert_eq!((done.copied.failed().count(), done.deleted.skipped().count()), (1, 1));
    assert_eq!(done.into_result().unwrap_err().kind(), ErrorKind::QuotaExceeded);
    let missing = bucket.files().sync_up(folder.path().join("missing")).delete_extra(true).await.unwrap_err();
    assert!(missing.is_invalid_input());
    assert_eq!(stored(&bucket).await.len(), 1);

    server.inject(Fault::status(500).on("GET", "delimiter").forever());
    assert!(bucket.files().sync_down(folder.path()).delete_extra(true).await.is_err());
    assert_eq!(read(folder.path()).len(), 1, "a listing that failed is not an empty one");
}

#[tokio::test]
async fn files_are_told_as_they_end_and_deletions_come_last() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &tree(&[("a", "1"), ("slow", "2"), ("same", "3")]));
    fill(&bucket, &tree(&[("same", "3"), ("extra", "x")])).await;
    let held = server.inject(Fault::stall_headers().on("PUT", "slow"));
    let mut told = Vec::new();
    let mut sync = bucket.files().sync_up(folder.path()).delete_extra(true).stream().await.unwrap();
    assert_eq!((sync.plan().unchanged, sync.plan().bytes()), (1, 2));
    while let Some(file) = support::within(sync.try_next()).await.unwrap() {
        told.push(match file {
            SyncFile::Copied(file) => format!("+{}", file.path),
            SyncFile::Deleted(file) => format!("-{}", file.path),
            other => panic!("{other:?}"),
        });
        held.release();
    }
    assert_eq!(told, ["+a", "+slow", "-extra"]);
    assert!(sync.is_terminated());
    assert_eq!(stored(&bucket).await, read(folder.path()));

    // After a failure, each way: nothing is deleted, and that is told.
    let at = |method: &str, part: &str| server.inject(Fault::status(507).on(method, part));
    write(folder.path(), &tree(&[("new", "n")]));
    fs::remove_file(folder.path().join("a")).unwrap();
    for policy in [OnFailure::Stop, OnFailure::GoOn] {
        at("PUT", "filename=new");
        let up = bucket.files().sync_up(folder.path()).delete_extra(true).on_failure(policy).stream().await.unwrap();
        let files: Vec<_> = up.try_collect().await.unwrap();
        let [SyncFile::Copied(_), SyncFile::Deleted(left)] = &files[..] else { panic!("{files:?}") };
        assert!(matches!(left.outcome, FileOutcome::Skipped(Skipped::NotStarted)) && left.path == "a");
        at("GET", "/a/content");
        let down = bucket.files().sync_down(folder.path()).delete_extra(true).on_failure(policy).await.unwrap();
        assert_eq!((down.copied.failed().count(), down.copied.stopped), (1, policy == OnFailure::Stop));
        assert_eq!(down.deleted.skipped().collect::<Vec<_>>(), [("new", Skipped::NotStarted)]);
        assert!(!down.deleted.stopped);
    }
    assert!(folder.path().join("new").exists() && bucket.file("a").get_opt().await.unwrap().is_some());
}

/// On a folder that is older than a cache has to mistrust.
#[tokio::test]
async fn hashes_are_remembered_and_their_file_is_no_part_of_the_folder() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testserver/src");
    let place = tempfile::tempdir().unwrap();
    let cache = place.path().join("hashes.json");
    let sync = || bucket.files().sync_up(&folder).prefix("a/b").hash_cache(&cache);
    // Of another length than its twin: it need not be read.
    fill(&bucket, &tree(&[("a/b/lib.rs", "")])).await;
    assert!(lines(&sync().plan().await.unwrap()).contains(&"=lib.rs".to_owned()) && !cache.exists());
    let copied = sync().await.unwrap().into_result().unwrap().copied;
    let written = fs::read_to_string(&cache).unwrap();
    assert!(copied > 50 && written.contains("\"lib.rs\""));
    assert_eq!(support::totals(sync().await.unwrap()), (0, 0));
    // What is read for a plan is remembered too.
    fs::remove_file(&cache).unwrap();
    assert!(sync().plan().await.unwrap().is_empty());
    assert_eq!(fs::read_to_string(&cache).unwrap(), written);
    // That it is asked: a hash that is wrong there makes its file differ.
    let sha256 = bucket.file("a/b/lib.rs").get().await.unwrap().sha256.unwrap();
    let gone = r#""files":{"gone.rs":{"size":1,"modified":1,"changed":null,"sha256":""},"#;
    fs::write(&cache, written.replace(&sha256, &"0".repeat(64)).replace("\"files\":{", gone)).unwrap();
    assert_eq!(lines(&sync().plan().await.unwrap()), ["=lib.rs"]);
    assert!(!fs::read_to_string(&cache).unwrap().contains("gone.rs"), "what is no more is forgotten");

    let own = tempfile::tempdir().unwrap();
    write(own.path(), &tree(&[("a", "1"), (".hashes", "not yet a cache")]));
    let cache = own.path().join(".hashes");
    let name = own.path().file_name().unwrap();
    // However it is written.
    for folder in [own.path().to_owned(), own.path().join("../").join(name)] {
        for cache in [cache.clone(), own.path().join("..").join(name).join(".hashes")] {
            let sync = bucket.files().sync_up(&folder).prefix("own").hash_cache(&cache);
            assert_eq!(lines(&sync.plan().await.unwrap()), ["+a"], "{folder:?} {cache:?}");
        }
    }
    // Nor of the bucket, which else could say what the hashes are.
    fill(&bucket, &tree(&[("own/.hashes", "of the bucket"), ("own/a", "1")])).await;
    let up = bucket.files().sync_up(own.path()).prefix("own").hash_cache(&cache).delete_extra(true);
    assert_eq!(support::totals(up.await.unwrap()), (0, 0));
    let down = bucket.files().sync_down(own.path()).prefix("own").hash_cache(&cache).delete_extra(true);
    assert_eq!(support::totals(down.await.unwrap()), (0, 0));
    assert_eq!(read(own.path()), tree(&[("a", "1"), (".hashes", "not yet a cache")]));
    assert!(bucket.file("own/.hashes").get_opt().await.unwrap().is_some());
    // Not even where the folder is not there yet.
    let new = own.path().join("new");
    let dotted = own.path().join("..").join(name).join("new");
    let down = bucket.files().sync_down(&dotted).prefix("own").hash_cache(new.join(".hashes")).await.unwrap();
    assert_eq!((support::totals(down), read(&new)), ((1, 0), tree(&[("a", "1")])));
}

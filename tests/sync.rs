//! Folders made equal, as a user would, on the test server.

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
        SyncAction::Delete { path } => format!("-{path}"),
        SyncAction::Keep { path } => format!("~{path}"),
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

    let done = sync().await.unwrap();
    assert_eq!(
        (done.copied.done().count(), done.unchanged, done.kept.as_slice()),
        (5, 0, ["extra".to_owned()].as_slice())
    );
    server.clear_requests();
    let again = sync().await.unwrap();
    assert_eq!((again.copied.files.len(), again.unchanged, changes(&server)), (0, 5, 0));

    files.insert("same size".into(), "5".into());
    files.insert("a".into(), "longer".into());
    files.remove("empty");
    write(folder.path(), &files);
    fs::remove_file(folder.path().join("empty")).unwrap();
    let done = sync().delete_extra(true).await.unwrap();
    assert_eq!(done.deleted.done().map(|(path, ())| path).collect::<Vec<_>>(), ["v1/empty", "v1/extra"]);
    assert_eq!(done.into_result().unwrap(), (2, 2));
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
    assert_eq!(sync().await.unwrap().into_result().unwrap(), (3, 0));
    server.clear_requests();
    assert_eq!(sync().await.unwrap().unchanged, 3);
    assert!(!server.requests().iter().any(|request| request.path.ends_with("/content")));

    write(&folder, &tree(&[("a", "2"), ("extra/deep/x", "x"), ("extra/kept.log", "k"), ("deep/y", "y")]));
    write(around.path(), &tree(&[("outside", "o")]));
    let done = sync().delete_extra(true).exclude("**/*.log").await.unwrap();
    assert_eq!(done.into_result().unwrap(), (1, 2));
    let mut expected = files.clone();
    expected.insert("extra/kept.log".into(), "k".into());
    assert_eq!(read(&folder), expected);
    assert!(!folder.join("extra/deep").exists() && around.path().join("outside").exists());
}

#[tokio::test]
async fn a_plan_is_data_and_can_be_carried_out_later() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &tree(&[("a", "1"), ("b", "2")]));
    fill(&bucket, &tree(&[("c", "3"), ("d", "4")])).await;
    let sync = || bucket.files().sync_up(folder.path());
    let plan = sync().delete_extra(true).plan().await.unwrap();
    let json = serde_json::to_string(&plan).unwrap();
    assert!(json.contains(r#"{"action":"copy","path":"a","size":1,"replaces":false}"#), "{json}");
    let mut plan: SyncPlan = serde_json::from_str(&json).unwrap();
    plan.actions.retain(|action| !matches!(action.path(), "b" | "d"));

    assert!(sync().apply(plan.clone()).await.unwrap_err().is_invalid_input(), "it deletes, and nobody said so");
    assert!(sync().delete_extra(true).prefix("x").apply(plan.clone()).await.unwrap_err().is_invalid_input());
    let down = bucket.files().sync_down(folder.path()).delete_extra(true);
    assert!(down.apply(plan.clone()).await.unwrap_err().is_invalid_input());
    assert_eq!(sync().delete_extra(true).apply(plan).await.unwrap().into_result().unwrap(), (1, 1));
    assert_eq!(stored(&bucket).await, tree(&[("a", "1"), ("d", "4")]));
}

#[tokio::test]
async fn a_plan_that_leads_outside_does_not() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let around = tempfile::tempdir().unwrap();
    let folder = around.path().join("in");
    write(&folder, &tree(&[("x", "x")]));
    write(around.path(), &tree(&[("secret", "s")]));
    let hostile = |direction: &str, actions: &str| -> SyncPlan {
        let json = format!(r#"{{"direction":"{direction}","prefix":"","actions":[{actions}],"unchanged":0}}"#);
        serde_json::from_str(&json).unwrap()
    };
    let (copy, delete) = (
        r#"{"action":"copy","path":"../secret","size":1,"replaces":false}"#,
        r#"{"action":"delete","path":"../secret"}"#,
    );
    let endless = copy.replace(":1,", ":18446744073709551615,");
    assert_eq!(hostile("up", &format!("{endless},{copy}")).bytes(), u64::MAX);
    for actions in [copy, delete] {
        let up = bucket.files().sync_up(&folder).delete_extra(true).apply(hostile("up", actions)).await.unwrap();
        assert!(up.into_result().unwrap_err().is_invalid_input());
        let down = bucket.files().sync_down(&folder).delete_extra(true).apply(hostile("down", actions)).await.unwrap();
        assert!(down.into_result().unwrap_err().is_invalid_input());
    }
    assert_eq!(read(around.path()), tree(&[("in/x", "x"), ("secret", "s")]));
    assert!(stored(&bucket).await.is_empty());
}

#[cfg(unix)]
#[tokio::test]
async fn a_plan_does_not_lead_outside_by_a_link_either() {
    use std::os::unix::fs::symlink;
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(folder.path(), &tree(&[("x", "x")]));
    write(outside.path(), &tree(&[("secret", "s")]));
    symlink(outside.path(), folder.path().join("link")).unwrap();
    symlink("x", folder.path().join("to-x")).unwrap();
    let plan = |direction: &str, action: &str| -> SyncPlan {
        let json = format!(r#"{{"direction":"{direction}","prefix":"","actions":[{action}],"unchanged":0}}"#);
        serde_json::from_str(&json).unwrap()
    };
    let up = plan("up", r#"{"action":"copy","path":"link/secret","size":1,"replaces":false}"#);
    let up = bucket.files().sync_up(folder.path()).apply(up).await.unwrap();
    assert!(up.into_result().unwrap_err().is_invalid_input());
    assert!(stored(&bucket).await.is_empty());
    for path in ["link/secret", "to-x"] {
        let down = plan("down", &format!(r#"{{"action":"delete","path":"{path}"}}"#));
        let down = bucket.files().sync_down(folder.path()).delete_extra(true).apply(down).await.unwrap();
        assert_eq!(down.into_result().unwrap_err().kind(), ErrorKind::Io, "{path}");
        assert!(folder.path().join(path).symlink_metadata().is_ok(), "{path}");
    }
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
    assert_eq!(down.reported.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["link", "link/new", "link/x"]);
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
    let sync = || bucket.files().sync_up(&folder).hash_cache(&cache);
    let (copied, _) = sync().await.unwrap().into_result().unwrap();
    let written = fs::read_to_string(&cache).unwrap();
    assert!(copied > 50 && written.contains("\"lib.rs\""));
    assert_eq!(sync().await.unwrap().into_result().unwrap(), (0, 0));
    // That it is asked: a hash that is wrong there makes its file differ.
    let sha256 = bucket.file("lib.rs").get().await.unwrap().sha256.unwrap();
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
    assert_eq!(up.await.unwrap().into_result().unwrap(), (0, 0));
    let down = bucket.files().sync_down(own.path()).prefix("own").hash_cache(&cache).delete_extra(true);
    assert_eq!(down.await.unwrap().into_result().unwrap(), (0, 0));
    assert_eq!(read(own.path()), tree(&[("a", "1"), (".hashes", "not yet a cache")]));
    assert!(bucket.file("own/.hashes").get_opt().await.unwrap().is_some());
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_no_file_is_told_where_a_file_of_its_name_would_be_meant() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &tree(&[("a.md", "1")]));
    let _sockets =
        ["b.md", "socket"].map(|name| std::os::unix::net::UnixListener::bind(folder.path().join(name)).unwrap());
    let sync = || bucket.files().sync_up(folder.path());
    assert_eq!(lines(&sync().plan().await.unwrap()), ["+a.md", "?b.md", "?socket"]);
    assert_eq!(lines(&sync().include("*.md").plan().await.unwrap()), ["+a.md", "?b.md"]);
    assert_eq!(sync().include("a*").await.unwrap().into_result().unwrap(), (1, 0));
}

#[tokio::test]
async fn a_file_that_is_gone_when_a_plan_is_carried_out_is_told_as_such() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &tree(&[("a", "1")]));
    let sync = || bucket.files().sync_up(folder.path());
    let plan = sync().plan().await.unwrap();
    fs::remove_file(folder.path().join("a")).unwrap();
    let error = sync().apply(plan).await.unwrap().into_result().unwrap_err();
    assert!(error.is_invalid_input() && error.message().contains("can't be read"), "{error}");
}

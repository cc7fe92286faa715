//! Many files at once, as a user would move them, on the test server.

mod endings;
mod lists;
mod names;
mod started;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use carbonfiles::files::{BatchProgress, FileOutcome, OnFailure, Skipped};
use carbonfiles::models::FileInfo;
use carbonfiles::sync::SyncOutcome;
use carbonfiles::{Bucket, Client, ErrorKind, RetryPolicy, Source, Symlinks, TimeoutPhase};
use carbonfiles_testserver::Fault;
use futures::{StreamExt, TryStreamExt};
use support::{Answer, RawServer, admin, answer, bucket, builder, read_folder, server, within};

fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|i| ((i + seed).wrapping_mul(2_654_435_761) >> 11) as u8).collect()
}

/// A folder with names of all sorts, empty files and equal ones.
fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for (name, content) in [
        ("a.txt", pattern(10, 0)),
        ("empty", vec![]),
        ("deep/er/empty", vec![]),
        ("deep/er/same", pattern(10, 0)),
        ("deep/ü %+#?.bin", pattern(300_000, 1)),
        (".hidden/x", pattern(5, 2)),
        ("naïve/日本.txt", pattern(700_000, 3)),
        ("content", pattern(3, 4)),
    ] {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &content).unwrap();
        files.insert(name.to_owned(), content);
    }
    files
}

/// The same and one that is so long that its upload can be cut on the way. Its name is of no other's.
fn tree_with_a_long_one(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = tree(root);
    let content = pattern(8 << 20, 5);
    fs::write(root.join(LONG), &content).unwrap();
    files.insert(LONG.to_owned(), content);
    files
}

const LONG: &str = "long.bin";

/// What is taken back of the sum, of a cut upload of the long one: more than all others have.
fn goes_back(seen: &[BatchProgress]) -> bool {
    seen.windows(2).any(|two| two[1].bytes + (2 << 20) < two[0].bytes)
}

async fn stored(bucket: &Bucket) -> Vec<FileInfo> {
    bucket.files().list_all().stable().items().try_collect().await.unwrap()
}

#[tokio::test]
async fn a_folder_goes_up_and_comes_down_again() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = tree(from.path());
    let batch = bucket.files().upload_dir(from.path()).prefix("in/v1/").await.unwrap();
    assert!(!batch.stopped);
    assert_eq!(batch.done().count(), files.len());
    assert!(batch.files.iter().all(|file| file.local.as_deref().is_some_and(Path::is_file)));
    assert_eq!(batch.into_result().unwrap().len(), files.len());
    assert!(stored(&bucket).await.iter().all(|file| file.path.starts_with("in/v1/")));
    bucket.file("in/v10/other").upload("x".as_bytes()).await.unwrap();

    let target = to.path().join("new/folder");
    let batch = bucket.files().download_dir(&target).prefix("in/v1").await.unwrap();
    assert!(batch.into_result().unwrap().iter().all(|done| done.verified_sha256.is_some()));
    assert_eq!(read_folder(&target), files);
    // Again, over what is there; and all of the bucket.
    let again = bucket.files().download_dir(&target).prefix("in/v1").await.unwrap();
    assert_eq!(again.into_result().unwrap().len(), files.len());
    let all = bucket.files().download_dir(to.path().join("all")).await.unwrap();
    assert_eq!(all.into_result().unwrap().len(), files.len() + 1);
}

#[tokio::test]
async fn what_is_selected_and_nothing_else() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tree(from.path());
    let upload = bucket.files().upload_dir(from.path()).hidden(false).exclude("deep/er").filter(|path| path != "empty");
    assert_eq!(upload.await.unwrap().into_result().unwrap().len(), 4);
    let download = bucket.files().download_dir(to.path()).include("**/*.txt");
    assert_eq!(download.await.unwrap().into_result().unwrap().len(), 2);
    let bad = bucket.files().upload_dir(from.path()).include("***").await.unwrap_err();
    assert!(bad.is_invalid_input() && bad.to_string().contains("***"), "{bad}");
    let bad = bucket.files().download_dir(to.path()).exclude("***").await.unwrap_err();
    assert!(bad.is_invalid_input() && bad.to_string().contains("***"), "{bad}");
}

#[tokio::test]
async fn bad_arguments_are_refused_before_anything_is_sent() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    server.clear_requests();
    let files = bucket.files();
    for error in [
        files.upload_dir(folder.path().join("missing")).await.unwrap_err(),
        files.upload_dir(folder.path()).prefix("../x").await.unwrap_err(),
        files.upload_dir(folder.path()).prefix("/x").await.unwrap_err(),
        files.upload_dir(folder.path()).concurrency(0).await.unwrap_err(),
        files.download_dir(folder.path()).prefix("a//b").await.unwrap_err(),
        files.download_dir(folder.path()).concurrency(0).await.unwrap_err(),
        files.upload_many([("x", vec![])]).concurrency(0).await.unwrap_err(),
        files.upload_many([("x", vec![])]).header("no name", "x").await.unwrap_err(),
        files.sync_down(folder.path()).header("content-length", "1").await.unwrap_err(),
    ] {
        assert!(error.is_invalid_input(), "{error}");
    }
    assert!(server.requests().is_empty());
    assert!(files.upload_dir(folder.path()).await.unwrap().into_result().unwrap().is_empty());
}

#[tokio::test]
async fn what_a_batch_is_told_holds_for_each_of_its_requests() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tree(from.path());
    fs::write(to.path().join("extra"), "x").unwrap();
    let files = bucket.files();
    files.upload_many([("extra", vec![1])]).await.unwrap().into_result().unwrap();
    server.clear_requests();
    let told = ("x-job", "42");
    let up = files.upload_dir(from.path()).header(told.0, told.1).each(|_, upload| upload.header("x-each", "1"));
    up.await.unwrap().into_result().unwrap();
    files.download_dir(to.path()).header(told.0, told.1).await.unwrap().into_result().unwrap();
    files.sync_down(to.path()).header(told.0, told.1).delete_extra(true).await.unwrap().into_result().unwrap();
    fs::write(from.path().join("content"), "changed").unwrap();
    let up = files.sync_up(from.path()).header(told.0, told.1).delete_extra(true);
    assert_eq!(support::totals(up.await.unwrap()), (1, 1));
    let requests = server.requests();
    assert!(requests.iter().any(|request| request.method == "DELETE"));
    for request in &requests {
        assert_eq!(request.header(told.0), Some(told.1), "{} {}", request.method, request.path);
    }
    assert_eq!(requests.iter().filter(|request| request.header("x-each").is_some()).count(), 8);

    let never = RetryPolicy::never;
    for target in ["delimiter", "filename=content"] {
        let fault = server.inject(Fault::status(503).on("*", target));
        fs::write(from.path().join("content"), target).unwrap();
        let done = files.sync_up(from.path()).retry(never()).await;
        assert_eq!(done.and_then(SyncOutcome::into_result).unwrap_err().kind(), ErrorKind::Server);
        assert_eq!(fault.fired(), 1);
    }
}

#[tokio::test]
async fn the_limit_of_a_batch_is_for_all_of_it_and_that_of_each_for_each() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let (short, long) = (Duration::from_millis(100), Duration::from_secs(3600));
    server.inject(Fault::stall_headers().on("PUT", "/").forever());
    for (path, all, each) in [("x", short, long), ("y", long, short)] {
        let upload = bucket.files().upload_many([(path, vec![1])]).timeout(all).each(|_, upload| upload.timeout(each));
        let batch = within(upload.send()).await.unwrap();
        let kinds: Vec<_> = batch.failed().map(|(path, error)| (path, error.kind())).collect();
        assert_eq!(kinds, [(path, ErrorKind::Timeout(TimeoutPhase::Total))]);
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x"), "x").unwrap();
    // Of looking through the folder too: the first to be asked about does not answer.
    for up in [true, false] {
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let wait = std::sync::Mutex::new(wait);
        let held = move |_: &str| wait.lock().unwrap().recv().is_ok();
        let outcome = match up {
            true => within(bucket.files().upload_dir(folder.path()).filter(held).timeout(short).send()).await.map(drop),
            false => within(bucket.files().sync_up(folder.path()).filter(held).timeout(short).send()).await.map(drop),
        };
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Timeout(TimeoutPhase::Total));
        drop(release);
    }
    server.inject(Fault::stall_headers().on("GET", "delimiter").forever());
    for outcome in [
        within(bucket.files().download_dir(folder.path()).timeout(short).send()).await.map(drop),
        within(bucket.files().sync_up(folder.path()).timeout(short).send()).await.map(drop),
    ] {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Timeout(TimeoutPhase::Total));
    }
}

#[tokio::test]
async fn more_than_was_listed_is_another_content() {
    let page = listing_page(&["x"]);
    let asked = Arc::new(AtomicU64::new(0));
    let (endless, count) = (Arc::new(AtomicBool::new(false)), asked.clone());
    let how = endless.clone();
    let server = RawServer::start(move |head| {
        if !head.target.contains("/content") {
            return Answer::Bytes(answer(200, "Content-Type: application/json\r\n", &page));
        }
        count.fetch_add(1, Ordering::SeqCst);
        match how.load(Ordering::SeqCst) {
            true => Answer::ThenEndless(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n".to_vec(), vec![7; 64 << 10]),
            false => Answer::Bytes(answer(200, "", b"xy")),
        }
    })
    .await;
    let files = builder(&server.url).build().unwrap().bucket("b").files();
    let folder = tempfile::tempdir().unwrap();
    for is_endless in [false, true] {
        endless.store(is_endless, Ordering::SeqCst);
        asked.store(0, Ordering::SeqCst);
        let down = files.download_dir(folder.path()).each(|_, download| download.restart_if_changed(true));
        let error = within(down.send()).await.unwrap().into_result().unwrap_err();
        assert_eq!((error.kind(), asked.load(Ordering::SeqCst)), (ErrorKind::ContentChanged, 1), "{error}");
        let error = within(files.sync_down(folder.path()).send()).await.unwrap().into_result().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ContentChanged);
        assert!(read_folder(folder.path()).is_empty());
    }
    let down = files.download_dir(folder.path()).each(|_, download| download.max_bytes(100));
    let error = within(down.send()).await.unwrap().into_result().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
    endless.store(false, Ordering::SeqCst);
    let down = files.download_dir(folder.path()).each(|_, download| download.max_bytes(100));
    assert_eq!(within(down.send()).await.unwrap().into_result().unwrap()[0].size, 2);
}

/// A bucket whose listing has just these names, and whose contents are all `x`.
async fn listing(names: &[&str]) -> RawServer {
    let page = listing_page(names);
    RawServer::start(move |head| {
        Answer::Bytes(if head.target.contains("/content") {
            answer(200, &format!("ETag: \"{SHA}\"\r\n"), b"x")
        } else {
            answer(200, "Content-Type: application/json\r\n", &page)
        })
    })
    .await
}

/// Of `x`.
const SHA: &str = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

fn listing_page(names: &[&str]) -> Vec<u8> {
    let files: Vec<_> = names
        .iter()
        .map(|path| {
            serde_json::json!({"path": path, "name": "n", "size": 1, "mime_type": "a/b", "sha256": SHA,
                "created_at": "2026-01-01T00:00:00", "updated_at": "2026-01-01T00:00:00"})
        })
        .collect();
    let page = serde_json::json!({"delimiter": "//", "directories": [], "files": files, "total_files": names.len(),
        "total_directories": 0});
    serde_json::to_vec(&page).unwrap()
}

#[tokio::test]
async fn sources_of_all_kinds_each_with_its_own_outcome() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let disk = tempfile::tempdir().unwrap();
    let path = disk.path().join("from-disk.bin");
    fs::write(&path, pattern(100_000, 7)).unwrap();
    let items: Vec<(&str, Source<'_>)> = vec![
        ("bytes", pattern(1000, 1).into()),
        ("path", path.as_path().into()),
        ("../bad", vec![].into()),
        ("reader", Source::reader(std::io::Cursor::new(pattern(2000, 2)))),
        ("missing", disk.path().join("missing").into()),
    ];
    let batch = bucket.files().upload_many(items).on_failure(OnFailure::GoOn).await.unwrap();
    let kinds: Vec<_> = batch
        .files
        .iter()
        .map(|file| match &file.outcome {
            FileOutcome::Done(done) => (file.path.as_str(), Some(done.size)),
            FileOutcome::Failed(error) if error.is_invalid_input() => (file.path.as_str(), None),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        kinds,
        [("bytes", Some(1000)), ("path", Some(100_000)), ("../bad", None), ("reader", Some(2000)), ("missing", None)]
    );
    let mut totals = Vec::new();
    let named = bucket.files().upload_many([path.clone(), path.clone()].into_iter().filter(|path| path.exists()));
    let named = named.progress(|progress| totals.push(progress.files_total)).await.unwrap();
    assert!(named.files.iter().all(|file| file.path == "from-disk.bin" && file.local.as_ref() == Some(&path)));
    assert_eq!((totals.first(), totals.last()), (Some(&None), Some(&Some(2))), "not before the iterator has ended");
    assert_eq!(named.into_result().unwrap()[0].path, "from-disk.bin");
}

#[tokio::test]
async fn one_path_twice_is_stored_twice_in_order() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let items = (0..20).map(|n| ("same", format!("{n}").into_bytes()));
    assert_eq!(bucket.files().upload_many(items).await.unwrap().into_result().unwrap().len(), 20);
    let content = bucket.file("same").download().await.unwrap().bytes(10).await.unwrap();
    assert_eq!(content, "19");
}

/// The server answers 500 to uploads of equal bytes that end together. Here they would: those whose end comes by itself, as
/// that of a reader does, are not over before the next begins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_files_of_which_300_are_equal_twenty_times() {
    let server = server().await;
    let client = builder(server.url()).token(server.admin_key()).retry(RetryPolicy::never()).build().unwrap();
    for round in 0..20 {
        let bucket = bucket(&client).await;
        let items = (0..1000).map(|n| {
            let content = if n % 10 >= 7 { format!("equal {round}") } else { format!("{round} {n}") };
            let content = std::io::Cursor::new(content.into_bytes());
            let source = if n % 4 == 0 { content.into_inner().into() } else { Source::reader(content) };
            (format!("{}/{n}", n % 7), source)
        });
        server.clear_requests();
        let stored = bucket.files().upload_many(items).concurrency(32).await.unwrap().into_result().unwrap();
        assert_eq!(stored.len(), 1000);
        assert_eq!(stored.iter().filter(|file| !file.deduplicated).count(), 701);
        assert!(server.requests().iter().all(|request| request.status == Some(201)));
    }
}

#[tokio::test]
async fn one_progress_for_all_of_it() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let from = tempfile::tempdir().unwrap();
    let files = tree_with_a_long_one(from.path());
    let bytes = files.values().map(Vec::len).sum::<usize>() as u64;
    // One is cut on the way, one is tried again, and one fails.
    let cut = server.inject(Fault::reset_request_after(4 << 20).on("PUT", LONG));
    server.inject(Fault::status(503).on("PUT", "filename=empty"));
    server.inject(Fault::status(507).on("PUT", "filename=content"));
    let (mut seen, mut names) = (Vec::<BatchProgress>::new(), BTreeMap::new());
    let upload = bucket.files().upload_dir(from.path()).on_failure(OnFailure::GoOn).progress_interval(Duration::ZERO);
    let upload =
        upload.progress(|p| seen.push(p)).file_progress(|path, _| *names.entry(path.to_owned()).or_insert(0) += 1);
    let batch = upload.await.unwrap();
    assert_eq!((batch.failed().count(), cut.fired()), (1, 1));
    assert_eq!(names.len(), files.len());
    assert!(seen.iter().all(|p| p.bytes <= p.bytes_total.unwrap() && p.files_total == Some(9)), "{seen:?}");
    assert!(goes_back(&seen), "{seen:?}");
    let (first, last) = (seen[0], seen[seen.len() - 1]);
    assert_eq!((first.files, first.bytes, first.bytes_total), (0, 0, Some(bytes)));
    assert_eq!((last.files, last.failed, last.bytes, last.bytes_total), (8, 1, bytes - 3, Some(bytes - 3)));
    assert!(last.finished && seen.iter().filter(|p| p.finished).count() == 1);

    let mut reports = 0;
    let down = bucket.files().download_dir(from.path().join("down")).progress_interval(Duration::from_secs(3600));
    let done = down.progress(|_| reports += 1).await.unwrap().into_result().unwrap();
    assert_eq!((done.len(), reports), (8, 2), "only the first and the last");
}

#[tokio::test]
async fn outcomes_come_one_by_one() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let held = server.inject(Fault::stall_headers().on("PUT", "slow"));
    let items = [("slow", vec![1]), ("a", vec![2]), ("b", vec![3])];
    let mut outcomes = bucket.files().upload_many(items).stream().await.unwrap();
    let mut order = Vec::new();
    while let Some(file) = within(outcomes.next()).await {
        order.push(file.path);
        if order.len() == 2 {
            held.release();
        }
    }
    assert_eq!(order, ["a", "b", "slow"]);
}

#[tokio::test]
async fn a_borrowed_source_and_a_borrowed_callback() {
    let server = server().await;
    let client: Client = admin(&server);
    let bucket = bucket(&client).await;
    let text = pattern(500, 1);
    let mut bytes = 0;
    let items = vec![("a", Source::reader(&text[..])), ("b", Source::reader(&text[..250]))];
    let upload = bucket.files().upload_many(items).progress(|p| bytes = p.bytes);
    assert_eq!(upload.await.unwrap().done().count(), 2);
    assert_eq!(bytes, 750);
    let paths: Vec<PathBuf> = Vec::new();
    assert!(bucket.files().upload_many(paths).await.unwrap().files.is_empty());
}

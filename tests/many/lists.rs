//! Lists of files: each to a target of its own, deleted, and told what it must be.

use std::collections::HashMap;
use std::fs;

use carbonfiles::files::{DownloadItem, OnFailure, Skipped};
use carbonfiles::{Bucket, ErrorKind};
use carbonfiles_testserver::TestServer;

use super::support::{admin, bucket, read_folder, server, within};

const NAMES: [&str; 3] = ["a.txt", "docs/b.txt", "ü %+#?"];

async fn filled() -> (TestServer, Bucket) {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let items = NAMES.map(|name| (name, name.as_bytes().to_vec()));
    bucket.files().upload_many(items).await.unwrap().into_result().unwrap();
    server.clear_requests();
    (server, bucket)
}

#[tokio::test]
async fn each_file_goes_to_its_own_target() {
    let (server, bucket) = filled().await;
    let folder = tempfile::tempdir().unwrap();
    let (first, deep) = (folder.path().join("1"), folder.path().join("new/er/2"));
    fs::write(&first, "old").unwrap();
    let mut seen = Vec::new();
    let (mut files, mut last) = (Vec::new(), None);
    let wanted = [(NAMES[0], first.clone()), (NAMES[1], deep.clone()), (NAMES[2], folder.path().join("new/3"))];
    let batch = bucket
        .files()
        .download_many(wanted)
        .concurrency(1)
        .header("x-job", "42")
        .each(|path, download| {
            seen.push(path.to_owned());
            download.keep_modified(true)
        })
        .file_progress(|path, _| files.push(path.to_owned()))
        .progress(|now| last = Some(now));
    let batch = within(batch.send()).await.unwrap();
    assert_eq!(batch.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), NAMES);
    assert_eq!(batch.files[1].local.as_deref(), Some(deep.as_path()));
    assert_eq!(batch.into_result().unwrap().len(), 3);
    assert_eq!(seen, NAMES);
    files.dedup();
    assert_eq!(files, NAMES);
    let last = last.unwrap();
    assert_eq!((last.files, last.files_total, last.bytes, last.finished), (3, Some(3), 22, true));
    assert_eq!(fs::read_to_string(first).unwrap(), NAMES[0]);
    assert_eq!(fs::read_to_string(deep).unwrap(), NAMES[1]);
    assert!(server.requests().iter().all(|request| request.header("x-job") == Some("42")));
    assert_eq!(server.requests().len(), 3, "nothing is listed");
}

#[tokio::test]
async fn what_can_not_be_downloaded_is_told_of_each() {
    let (server, bucket) = filled().await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("kept"), "old").unwrap();
    let items = || {
        [
            DownloadItem::new(NAMES[0], at("one")),
            DownloadItem::new(NAMES[1], at("./one")),
            DownloadItem::new("../x", at("two")),
            DownloadItem::new("missing", at("kept")),
            DownloadItem::new(NAMES[2], at("three")),
        ]
    };
    let files = bucket.files();
    let batch = within(files.download_many(items()).on_failure(OnFailure::GoOn).send()).await.unwrap();
    let failed: Vec<_> = batch.failed().map(|(path, error)| (path, error.kind())).collect();
    let expected = [
        (NAMES[0], ErrorKind::Conflict),
        (NAMES[1], ErrorKind::Conflict),
        ("../x", ErrorKind::InvalidInput),
        ("missing", ErrorKind::NotFound),
    ];
    assert_eq!(failed, expected);
    assert_eq!(batch.done().map(|(path, _)| path).collect::<Vec<_>>(), [NAMES[2]]);
    assert_eq!(read_folder(folder.path()).into_keys().collect::<Vec<_>>(), ["kept", "three"]);
    assert_eq!(fs::read(at("kept")).unwrap(), b"old");
    assert_eq!(server.requests().len(), 2, "the missing one and the last");

    // The first failure ends it, unless told otherwise; what never began is told as well.
    let batch = within(files.download_many(items()).send()).await.unwrap();
    assert!(batch.stopped);
    assert_eq!(batch.failed().count(), 3, "those that could not be tried anyway");
    assert_eq!(
        batch.skipped().collect::<Vec<_>>(),
        [("missing", Skipped::NotStarted), (NAMES[2], Skipped::NotStarted)]
    );
    let batch = within(files.download_many(items()).cancel_when(std::future::ready(())).send()).await.unwrap();
    assert!(batch.stopped && batch.done().count() == 0);
    assert!(files.download_many(items()).concurrency(0).await.unwrap_err().is_invalid_input());
    assert!(files.download_many(Vec::<DownloadItem>::new()).await.unwrap().into_result().unwrap().is_empty());
    let transfer = files.download_many([(NAMES[0], at("four"))]).start();
    assert_eq!(within(transfer).await.unwrap().into_result().unwrap()[0].path, at("four"));
}

#[tokio::test]
async fn many_files_are_deleted_and_each_is_told_of() {
    let (server, bucket) = filled().await;
    let files = bucket.files();
    let mut last = None;
    let delete = files.delete_many(NAMES).header("x-job", "42").progress(|now| last = Some(now));
    let batch = within(delete.send()).await.unwrap();
    assert_eq!(batch.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), NAMES);
    assert_eq!(batch.into_result().unwrap().len(), 3);
    let last = last.unwrap();
    assert_eq!((last.files, last.files_total, last.bytes, last.finished), (3, Some(3), 0, true));
    let requests = server.requests();
    assert!(requests.iter().all(|r| r.method == "DELETE" && r.header("x-job") == Some("42")) && requests.len() == 3);
    assert_eq!(bucket.get().await.unwrap().file_count, 0);

    bucket.file("b").upload("b".as_bytes()).await.unwrap();
    let batch = files.delete_many(["a", "../x", "b"]).on_failure(OnFailure::GoOn);
    let batch = within(batch.send()).await.unwrap();
    let failed: Vec<_> = batch.failed().map(|(path, error)| (path, error.kind())).collect();
    assert_eq!(failed, [("a", ErrorKind::NotFound), ("../x", ErrorKind::InvalidInput)]);
    assert_eq!(batch.done().count(), 1);
    let batch = within(files.delete_many(["a", "b", "c"]).concurrency(1).start()).await.unwrap();
    assert!(batch.stopped);
    assert_eq!(batch.skipped().collect::<Vec<_>>(), [("b", Skipped::NotStarted), ("c", Skipped::NotStarted)]);
    assert!(files.delete_many(["a"]).concurrency(0).await.unwrap_err().is_invalid_input());
    let none: [&str; 0] = [];
    assert!(files.delete_many(none).await.unwrap().into_result().unwrap().is_empty());
}

/// What a manifest says of each file holds for that file, whichever way it goes.
#[tokio::test]
async fn each_file_can_have_its_own_hash() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for name in ["a", "b", "c"] {
        fs::write(from.path().join(name), name).unwrap();
    }
    let files = bucket.files();
    let stored = files.upload_dir(from.path()).prefix("v").await.unwrap().into_result().unwrap();
    let mut hashes: HashMap<_, _> =
        stored.into_iter().map(|stored| (stored.path.clone(), stored.sha256.clone().unwrap())).collect();
    for path in ["v/a", "v/b", "v/c"] {
        bucket.file(path).delete().await.unwrap();
    }
    let sources = || ["v/a", "v/b", "v/c"].map(|path| (path, path.as_bytes()[2..].to_vec()));
    for wrong in [false, true] {
        if wrong {
            hashes.insert("v/b".to_owned(), "0".repeat(64));
        }
        let all_but = |failed: Vec<(&str, ErrorKind)>, done: usize| match wrong {
            true => assert_eq!((failed, done), (vec![("v/b", ErrorKind::IntegrityMismatch)], 2)),
            false => assert_eq!((failed, done), (vec![], 3)),
        };
        macro_rules! goes {
            ($batch:expr) => {
                let batch = within($batch.on_failure(OnFailure::GoOn).send()).await.unwrap();
                all_but(batch.failed().map(|(path, error)| (path, error.kind())).collect(), batch.done().count());
            };
        }
        let emptied = async |path: &str| {
            if !wrong || path != "v/b" {
                bucket.file(path).delete().await.unwrap();
            }
        };
        goes!(files.upload_dir(from.path()).prefix("v").each(|path, upload| upload.expect_sha256(&hashes[path])));
        for path in ["v/a", "v/b", "v/c"] {
            emptied(path).await;
        }
        let sync = files.sync_up(from.path()).prefix("v").on_failure(OnFailure::GoOn);
        let done = within(sync.each(|path, upload| upload.expect_sha256(&hashes[path])).send()).await.unwrap();
        let failed = done.copied.failed().map(|(path, error)| (path, error.kind())).collect();
        all_but(failed, done.copied.done().count());
        goes!(files.upload_many(sources()).each(|path, upload| upload.expect_sha256(&hashes[path])));
        // So that the last are there.
        files.upload_many(sources()).await.unwrap().into_result().unwrap();
        goes!(files.download_dir(to.path()).each(|path, download| download.expect_sha256(&hashes[path])));
        let targets = ["v/a", "v/b", "v/c"].map(|path| (path, to.path().join("x").join(&path[2..])));
        goes!(files.download_many(targets).each(|path, download| download.expect_sha256(&hashes[path])));
        fs::remove_dir_all(to.path().join("x")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let sync = files.sync_down(folder.path()).on_failure(OnFailure::GoOn);
        let done = within(sync.each(|path, download| download.expect_sha256(&hashes[path])).send()).await.unwrap();
        let failed = done.copied.failed().map(|(path, error)| (path, error.kind())).collect();
        all_but(failed, done.copied.done().count());
        assert_eq!(folder.path().join("v/b").exists(), !wrong);
        if !wrong {
            for path in ["v/a", "v/b", "v/c"] {
                bucket.file(path).delete().await.unwrap();
            }
        }
        fs::remove_dir_all(to.path().join("v")).unwrap();
    }
}

/// All would go to one path, and only the last would stay.
#[tokio::test]
async fn a_batch_alone_names_its_files() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "a").unwrap();
    fs::write(folder.path().join("b"), "b").unwrap();
    let files = bucket.files();
    let many = files.upload_many([("a", vec![1]), ("b", vec![2])]).on_failure(OnFailure::GoOn);
    let dir = files.upload_dir(folder.path()).on_failure(OnFailure::GoOn);
    for batch in [
        within(many.each(|_, upload| upload.named("x")).send()).await.unwrap(),
        within(dir.each(|_, upload| upload.named("../x")).send()).await.unwrap(),
    ] {
        let failed: Vec<_> = batch.failed().map(|(path, error)| (path, error.kind())).collect();
        assert_eq!(failed, [("a", ErrorKind::InvalidInput), ("b", ErrorKind::InvalidInput)]);
    }
    assert_eq!(bucket.get().await.unwrap().file_count, 0);
    let many = files.upload_many([("a", vec![1])]).each(|path, upload| upload.named(path));
    assert_eq!(within(many.send()).await.unwrap().into_result().unwrap()[0].path, "a");
}

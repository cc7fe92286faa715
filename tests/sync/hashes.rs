//! Hashes that are remembered when a sync is ended before it is done.

use futures::StreamExt;

use super::support::grow_old;
use super::*;

/// Whether this process has a file open.
fn is_open(path: &Path) -> bool {
    fs::read_dir("/proc/self/fd").unwrap().flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to == path))
}

#[tokio::test]
async fn what_was_hashed_before_a_sync_was_ended_is_remembered() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let (folder, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let cache = place.path().join("hashes.json");
    let files = tree(&[("a", "1"), ("b", "2")]);
    write(folder.path(), &files);
    fill(&bucket, &files).await;
    let sha256 = bucket.file("a").get().await.unwrap().sha256.unwrap();
    let remembered = || fs::read_to_string(&cache).is_ok_and(|json| json.contains(&sha256));
    // One that takes a quarter of an hour to read, here and as the server lists it.
    let endless = 1u64 << 40;
    server.clear_requests();
    bucket.files().sync_up(folder.path()).plan().await.unwrap();
    let listing = server.requests().into_iter().find(|request| request.path.contains("delimiter")).unwrap();
    let (path, query) = listing.path.split_once('?').unwrap();
    let mut again = admin(&server).request(carbonfiles::Method::GET, path);
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap();
        again = again.query(name, value);
    }
    let mut listing: serde_json::Value = serde_json::from_slice(again.await.unwrap().body()).unwrap();
    listing["files"].as_array_mut().unwrap().iter_mut().find(|file| file["path"] == "b").unwrap()["size"] =
        endless.into();
    let b = folder.path().join("b");
    fs::File::options().write(true).open(&b).unwrap().set_len(endless).unwrap();
    grow_old().await;
    for dropped in [false, true] {
        // A job that reads it outlives the sync that began it.
        support::until(|| !is_open(&b)).await;
        server.inject(Fault::replace_body(listing.to_string()).on("GET", "delimiter"));
        let (ended, signal) = tokio::sync::oneshot::channel::<()>();
        let sync = bucket.files().sync_up(folder.path()).hash_cache(&cache).concurrency(1).cancel_when(signal);
        let mut sync = Box::pin(sync.send());
        support::within(async {
            tokio::select! {
                done = &mut sync => panic!("{done:?}"),
                () = support::until(|| is_open(&b)) => {}
            }
        })
        .await;
        assert!(!remembered(), "it is not done");
        if dropped {
            drop(sync);
            support::until(remembered).await;
        } else {
            ended.send(()).unwrap();
            assert_eq!(support::within(sync).await.unwrap_err().kind(), ErrorKind::Cancelled);
            assert!(remembered(), "when it says that it has ended");
        }
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "nothing is left beside it");
        fs::remove_file(&cache).unwrap();
    }
}

#[tokio::test]
async fn a_hash_is_remembered_only_of_what_was_hashed_and_is_still_there() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let (folder, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let cache = place.path().join("hashes.json");
    let names = ["hashed", "unhashed", "expected", "changed"];
    write(folder.path(), &names.iter().map(|name| ((*name).to_owned(), format!("content of {name}"))).collect());
    grow_old().await;
    let expected = support::sha256(b"content of expected");
    let sync =
        bucket.files().sync_up(folder.path()).hash_cache(&cache).concurrency(1).each(|path, upload| match path {
            "changed" => {
                fs::write(folder.path().join(path), "other  of changed").unwrap();
                upload
            }
            "expected" => upload.verify(false).expect_sha256(expected.clone()),
            "hashed" => upload,
            _ => upload.verify(false),
        });
    sync.await.unwrap().into_result().unwrap();
    let known: serde_json::Value = serde_json::from_slice(&fs::read(&cache).unwrap()).unwrap();
    assert_eq!(known["files"].as_object().unwrap().keys().collect::<Vec<_>>(), ["expected", "hashed"]);
}

/// A folder is in the place of the file of hashes.
#[tokio::test]
async fn hashes_that_can_not_be_written_are_an_error_of_the_whole_and_nothing_is_deleted() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let (folder, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let cache = place.path().join("dir");
    fs::create_dir(&cache).unwrap();
    write(folder.path(), &tree(&[("a", "1"), ("deep/b", "2"), ("c", "3")]));
    fill(&bucket, &tree(&[("extra", "x")])).await;
    grow_old().await;
    let sync = || bucket.files().sync_up(folder.path()).delete_extra(true).hash_cache(&cache);
    let told: Vec<_> = support::within(sync().stream().await.unwrap().collect()).await;
    let (last, copies) = told.split_last().unwrap();
    assert_eq!(last.as_ref().unwrap_err().kind(), ErrorKind::Io, "{last:?}");
    let done = |file: &Result<SyncFile<_>, _>| matches!(file, Ok(SyncFile::Copied(file)) if matches!(file.outcome, FileOutcome::Done(_)));
    assert!(copies.len() == 3 && copies.iter().all(done), "{told:?}");
    assert_eq!(stored(&bucket).await, tree(&[("a", "1"), ("deep/b", "2"), ("c", "3"), ("extra", "x")]));

    // What has a twin is read for the plan already.
    assert_eq!(sync().plan().await.unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(support::within(sync().send()).await.unwrap_err().kind(), ErrorKind::Io);
    assert!(bucket.file("extra").get_opt().await.unwrap().is_some());
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "nothing is left beside it");
    // What remembers nothing is not in need of it.
    let done = bucket.files().sync_up(folder.path()).delete_extra(true).await.unwrap();
    assert_eq!(support::totals(done), (0, 1));
}

#[tokio::test]
async fn a_sync_that_was_cancelled_says_what_was_done_also_where_hashes_can_not_be_written() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = tree(&[("a", "1"), ("b", "2"), ("c", "3")]);
    write(folder.path(), &files);
    grow_old().await;
    // A folder is in the place of the file of hashes.
    let sync = || bucket.files().sync_up(folder.path()).delete_extra(true).concurrency(1).hash_cache(cache.path());
    let held = server.inject(Fault::stall_request_after(1).on("PUT", "upload/stream").skip(2).forever());
    let up = sync().start();
    support::within(held.fired_at_least(1)).await;
    up.cancel();
    let done = support::within(up).await.unwrap();
    assert_eq!((done.copied.done().count(), done.copied.stopped), (2, true));
    assert_eq!(done.into_result().unwrap_err().kind(), ErrorKind::Cancelled);

    // Nor does it hide what has failed.
    server.clear_faults();
    for name in ["a", "b"] {
        bucket.file(name).delete().await.unwrap();
    }
    server.inject(Fault::status(403).on("PUT", "upload/stream").skip(1));
    let failed = support::within(sync().send()).await.unwrap();
    assert_eq!((failed.copied.done().count(), failed.copied.failed().count()), (1, 1));
}

//! Hashes that are remembered when a sync is ended before it is done.

use std::time::{Duration, SystemTime};

use super::*;

/// Younger ones are not remembered, and only time makes them older.
async fn grow_old(folder: &Path) {
    let youngest = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().modified().unwrap());
    let old = youngest.max().unwrap() + Duration::from_millis(2100);
    while SystemTime::now() < old {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until this process has a file open.
async fn is_open(path: &Path) {
    let open = || {
        fs::read_dir("/proc/self/fd").unwrap().flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to == path))
    };
    while !open() {
        tokio::task::yield_now().await;
    }
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
    grow_old(folder.path()).await;
    for dropped in [false, true] {
        server.inject(Fault::replace_body(listing.to_string()).on("GET", "delimiter"));
        let (ended, signal) = tokio::sync::oneshot::channel::<()>();
        let sync = bucket.files().sync_up(folder.path()).hash_cache(&cache).concurrency(1).cancel_when(signal);
        let mut sync = Box::pin(sync.send());
        support::within(async {
            tokio::select! {
                done = &mut sync => panic!("{done:?}"),
                () = is_open(&b) => {}
            }
        })
        .await;
        assert!(!remembered(), "it is not done");
        if dropped {
            drop(sync);
            support::within(async {
                while !remembered() {
                    tokio::task::yield_now().await;
                }
            })
            .await;
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
    grow_old(folder.path()).await;
    let expected = "content of expected";
    let expected =
        <sha2::Sha256 as sha2::Digest>::digest(expected).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut begun = 0;
    let sync = bucket.files().sync_up(folder.path()).hash_cache(&cache).concurrency(1).each(|upload| {
        // In the order of their names.
        begun += 1;
        match begun {
            1 => {
                fs::write(folder.path().join("changed"), "other  of changed").unwrap();
                upload
            }
            2 => upload.verify(false).expect_sha256(expected.clone()),
            3 => upload,
            _ => upload.verify(false),
        }
    });
    sync.await.unwrap().into_result().unwrap();
    let known: serde_json::Value = serde_json::from_slice(&fs::read(&cache).unwrap()).unwrap();
    assert_eq!(known["files"].as_object().unwrap().keys().collect::<Vec<_>>(), ["expected", "hashed"]);
}

//! Hashes that are remembered when a sync is ended before it is done.

use std::time::{Duration, SystemTime};

use super::support::pipes::{fifo, writer};
use super::*;

/// Younger ones are not remembered, and only time makes them older.
async fn grow_old(folder: &Path) {
    let youngest = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().modified().unwrap());
    let old = youngest.max().unwrap() + Duration::from_millis(2100);
    while SystemTime::now() < old {
        tokio::time::sleep(Duration::from_millis(50)).await;
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
    grow_old(folder.path()).await;
    for dropped in [false, true] {
        // A file when the folder is looked at, and when it is read a pipe that nobody ever writes to.
        fs::remove_file(folder.path().join("b")).unwrap();
        fs::write(folder.path().join("b"), "2").unwrap();
        let listing = server.inject(Fault::stall_headers().on("GET", "delimiter"));
        let (ended, signal) = tokio::sync::oneshot::channel::<()>();
        let sync = bucket.files().sync_up(folder.path()).hash_cache(&cache).concurrency(1).cancel_when(signal);
        let mut sync = Box::pin(sync.send());
        let read = async {
            listing.fired_at_least(1).await;
            fs::remove_file(folder.path().join("b")).unwrap();
            let path = fifo(folder.path(), "b");
            listing.release();
            writer(&path).await
        };
        let _writer = support::within(async {
            tokio::select! {
                done = &mut sync => panic!("{done:?}"),
                writer = read => writer,
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

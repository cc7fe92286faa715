//! Contents that are told by a hash that the user knows, and those that come under the ETag of the content before.

use std::time::Duration;

use carbonfiles::{ErrorKind, RetryPolicy};
use carbonfiles_testserver::Fault;

use super::{CONTENT, MIB, Scene, beside, gets, pattern, within};

#[tokio::test]
async fn a_content_with_another_hash_than_was_expected_does_not_become_the_target() {
    let scene = Scene::new(3 * MIB).await;
    let (file, target) = (&scene.file, &scene.target);
    let hash = file.get().await.unwrap().sha256.unwrap();
    let wrong = "0".repeat(64);
    std::fs::write(target, "old").unwrap();
    for parallel in [1, 3] {
        // What the server says of it is not looked at, whatever is said of that.
        for verify in [true, false] {
            let to = file.download_to(target).expect_sha256(&wrong).verify(verify).parallel(parallel);
            let error = within(to).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::IntegrityMismatch);
            assert!(error.message().contains(&hash) && error.message().contains(&wrong), "{error}");
            assert_eq!(std::fs::read(target).unwrap(), b"old");
            assert!(beside(target).is_empty(), "what has another hash is not gone on with");
            let download = file.download().expect_sha256(wrong.clone()).verify(verify).parallel(parallel);
            let error = download.await.unwrap().bytes(4 * MIB).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::IntegrityMismatch);
        }
        let download = file.download().expect_sha256(hash.to_uppercase()).parallel(parallel).await.unwrap();
        assert!(download.bytes(4 * MIB).await.unwrap() == scene.data);
        let done =
            within(file.download_to(target).expect_sha256(&hash).verify(false).parallel(parallel)).await.unwrap();
        assert_eq!(done.verified_sha256.as_deref(), Some(hash.as_str()));
        scene.assert_whole();
        std::fs::write(target, "old").unwrap();
    }
    scene.server.clear_requests();
    for bad in ["", "12", &"g".repeat(64)] {
        assert!(file.download().expect_sha256(bad).await.unwrap_err().is_invalid_input());
        assert!(file.download_to(target).expect_sha256(bad).await.unwrap_err().is_invalid_input());
    }
    assert!(scene.server.requests().is_empty());
}

#[tokio::test]
async fn a_target_can_be_pinned_to_an_etag() {
    let scene = Scene::new(3 * MIB).await;
    let (file, target) = (&scene.file, &scene.target);
    let hash = file.get().await.unwrap().sha256.unwrap();
    for parallel in [1, 3] {
        scene.interrupted(2 * MIB as u64).await;
        let done = within(file.download_to(target).if_match(&hash).parallel(parallel)).await.unwrap();
        assert_eq!(done.resumed, 2 * MIB as u64);
        scene.assert_whole();
        std::fs::remove_file(target).unwrap();
    }
    std::fs::write(target, "old").unwrap();
    file.upload("other".as_bytes()).await.unwrap();
    for parallel in [1, 3] {
        let to = file.download_to(target).if_match(&hash).restart_if_changed(true).parallel(parallel);
        assert_eq!(within(to).await.unwrap_err().kind(), ErrorKind::PreconditionFailed);
        assert_eq!((std::fs::read(target).unwrap(), beside(target)), (b"old".to_vec(), vec![]));
    }
    assert!(file.download_to(target).if_match("a\nb").await.unwrap_err().is_invalid_input());
}

impl Scene {
    /// From now on the server has these bytes, and the row from before them.
    async fn overwritten_while_read(&mut self, data: Vec<u8>) {
        let held = self.server.inject(Fault::stall_headers().on("GET", "/files/"));
        let file = self.file.clone();
        let reading = tokio::spawn(async move { file.get().await });
        within(held.fired_at_least(1)).await;
        self.file.upload(data.clone()).await.unwrap();
        held.release();
        within(reading).await.unwrap().unwrap();
        self.data = data;
    }
}

/// A read that overlaps an overwrite makes the server give the new bytes under the old ETag for five minutes.
#[tokio::test]
async fn new_bytes_under_the_old_etag_are_right_if_the_listing_says_so() {
    for length in [1000, 9 * MIB] {
        let mut scene = Scene::new(length).await;
        let old = scene.file.get().await.unwrap().sha256;
        scene.overwritten_while_read(pattern(length + 1)).await;
        let file = &scene.file;
        assert_eq!(file.get().await.unwrap().sha256, old, "the row is the old one");
        for parallel in [1, 3] {
            let download = file.download().parallel(parallel).await.unwrap();
            assert_eq!(download.info().sha256(), old.as_deref());
            assert!(download.bytes(10 * MIB).await.unwrap() == scene.data);
            let done = within(file.download_to(&scene.target).parallel(parallel)).await.unwrap();
            scene.assert_whole();
            assert!(done.verified_sha256.is_some() && done.verified_sha256 != old);
            // A condition made of it later asks for what has come.
            assert_eq!(done.etag.as_deref().map(|tag| tag.trim_matches('"')), done.verified_sha256.as_deref());
            std::fs::remove_file(&scene.target).unwrap();
        }
        // Who asked for the old content alone does not get the new one.
        let pinned = format!("\"{}\"", old.as_deref().unwrap());
        let error = within(file.download_to(&scene.target).if_match(&pinned)).await.unwrap_err();
        assert!(error.kind() == ErrorKind::IntegrityMismatch && !scene.target.exists(), "{error}");
        // Bytes that nobody has stored are wrong all the same.
        for parallel in [1, 3] {
            let altered = scene.server.inject(Fault::corrupt_response().on("GET", CONTENT).times(2));
            let error = within(file.download_to(&scene.target).parallel(parallel)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::IntegrityMismatch);
            assert!(!scene.target.exists() && altered.fired() >= 1);
            scene.server.clear_faults();
        }
        scene.server.clock().advance(Duration::from_secs(301));
        assert_ne!(file.get().await.unwrap().sha256, old);
    }
}

/// What an earlier download has left of the old content is not put before the rest of the new.
#[tokio::test]
async fn a_part_of_the_content_before_is_not_gone_on_with_under_its_etag() {
    let mut scene = Scene::new(3 * MIB).await;
    scene.interrupted(2 * MIB as u64).await;
    let other = scene.data.iter().map(|byte| !byte).collect();
    scene.overwritten_while_read(other).await;
    let done = within(scene.file.download_to(&scene.target).retry(RetryPolicy::never())).await.unwrap();
    assert_eq!((done.resumed, gets(&scene.server).len()), (0, 2), "the rest, and then all");
    scene.assert_whole();
}

//! Downloads that go on where an earlier one ended, and downloads by several ranges at once.

#[path = "../support/mod.rs"]
mod support;

mod gateway;
mod pinned;
mod ranges;
#[cfg(unix)]
mod targets;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use carbonfiles::files::discard_partial;
use carbonfiles::{Bucket, ErrorKind, File, Phase, RetryPolicy};
use carbonfiles_testserver::{Fault, SeenRequest, TestServer};
use futures::StreamExt;
use tokio::sync::{Semaphore, watch};

use support::{Answer, RawServer, admin, answer, bucket, builder, server};

const CONTENT: &str = "/content";
const MIB: usize = 1 << 20;

async fn within<T: IntoFuture>(work: T) -> T::Output {
    support::within(work.into_future()).await
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect()
}

fn gets(server: &TestServer) -> Vec<SeenRequest> {
    server.requests().into_iter().filter(|r| r.method == "GET" && r.path.ends_with(CONTENT)).collect()
}

/// The names in a folder, without the target's.
fn beside(target: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(target.parent().unwrap()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(|path| path != target).collect();
    names.sort();
    names
}

struct Scene {
    server: TestServer,
    bucket: Bucket,
    file: File,
    data: Vec<u8>,
    _folder: tempfile::TempDir,
    target: PathBuf,
}

impl Scene {
    async fn new(length: usize) -> Self {
        let server = server().await;
        let bucket = bucket(&admin(&server)).await;
        let (file, data) = (bucket.file("docs/ü %+#?.bin"), pattern(length));
        file.upload(data.clone()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("ü %+#?.bin");
        Self { server, bucket, file, data, _folder: folder, target }
    }

    /// One byte of what an earlier download has left becomes another one.
    fn spoil_part(&self) {
        let part = beside(&self.target)[0].clone();
        let mut bytes = std::fs::read(&part).unwrap();
        bytes[1000] ^= 1;
        std::fs::write(&part, bytes).unwrap();
    }

    /// A download that ends after so many bytes.
    async fn interrupted(&self, after: u64) {
        let cut = self.server.inject(Fault::close_response_after(after).on("GET", CONTENT));
        let error = self.file.download_to(&self.target).retry(RetryPolicy::never()).await.unwrap_err();
        assert_eq!((error.kind(), cut.fired()), (ErrorKind::Interrupted, 1), "{error:?}");
        assert!(!self.target.exists());
        self.server.clear_requests();
    }

    fn assert_whole(&self) {
        assert!(std::fs::read(&self.target).unwrap() == self.data);
        assert!(beside(&self.target).is_empty());
    }
}

#[tokio::test]
async fn a_later_download_goes_on_where_an_earlier_one_was_cut() {
    let scene = Scene::new(5 * MIB).await;
    scene.interrupted(3 * MIB as u64).await;
    assert_eq!(beside(&scene.target).len(), 2, "a part and its record");
    let mut phases = Vec::new();
    let done = scene.file.download_to(&scene.target).progress(|p| phases.push((p.phase, p.sent))).await.unwrap();
    assert_eq!((done.resumed, done.size), (3 * MIB as u64, 5 * MIB as u64));
    assert!(
        done.verified_sha256.is_some() && done.verified_sha256.as_deref() == scene.file.head().await.unwrap().sha256()
    );
    scene.assert_whole();
    let asked = &gets(&scene.server)[0];
    assert_eq!((asked.header("range"), asked.header("if-range")), (Some("bytes=3145728-"), done.etag.as_deref()));
    assert_eq!(phases[0], (Phase::Hashing, 0));
    assert!(phases.contains(&(Phase::Sending, 3 * MIB as u64)), "{phases:?}");
    assert_eq!(phases.last(), Some(&(Phase::Done, 5 * MIB as u64)));
}

#[tokio::test]
async fn a_part_that_has_all_bytes_is_only_checked() {
    let scene = Scene::new(2 * MIB).await;
    scene.interrupted(2 * MIB as u64 - 1).await;
    let part = beside(&scene.target)[0].clone();
    std::fs::write(&part, &scene.data).unwrap();
    let done = scene.file.download_to(&scene.target).await.unwrap();
    assert_eq!(done.resumed, 2 * MIB as u64 - 1, "one byte is asked for, so that the server says what it has");
    scene.assert_whole();
}

#[tokio::test]
async fn little_is_not_kept_and_nothing_where_that_is_asked_for() {
    let scene = Scene::new(5 * MIB).await;
    let cut = || scene.server.inject(Fault::close_response_after(1000).on("GET", CONTENT));
    cut();
    scene.file.download_to(&scene.target).retry(RetryPolicy::never()).await.unwrap_err();
    assert!(beside(&scene.target).is_empty());
    scene.server.inject(Fault::close_response_after(3 * MIB as u64).on("GET", CONTENT));
    scene.file.download_to(&scene.target).resume(false).retry(RetryPolicy::never()).await.unwrap_err();
    assert!(beside(&scene.target).is_empty());

    // And what is there is not touched by who does not want it.
    scene.interrupted(3 * MIB as u64).await;
    assert_eq!(scene.file.download_to(&scene.target).resume(false).await.unwrap().resumed, 0);
    assert_eq!(beside(&scene.target).len(), 2);
    assert!(discard_partial(&scene.target).await.unwrap());
    assert!(!discard_partial(&scene.target).await.unwrap());
    scene.assert_whole();
}

#[tokio::test]
async fn another_content_is_fetched_from_its_beginning() {
    let mut scene = Scene::new(5 * MIB).await;
    for length in [5 * MIB, 2 * MIB, 1000, 0] {
        scene.interrupted(scene.data.len() as u64 * 3 / 5).await;
        scene.data = vec![length as u8 ^ 7; length];
        scene.file.upload(scene.data.clone()).await.unwrap();
        let done = scene.file.download_to(&scene.target).await.unwrap();
        assert_eq!((done.resumed, done.size), (0, length as u64));
        scene.assert_whole();
        std::fs::remove_file(&scene.target).unwrap();
        scene.data = pattern(5 * MIB);
        scene.file.upload(scene.data.clone()).await.unwrap();
    }
    // Another file, into the same target.
    scene.interrupted(3 * MIB as u64).await;
    let other = scene.bucket.file("other.bin");
    other.upload(scene.data.clone()).await.unwrap();
    let done = other.download_to(&scene.target).await.unwrap();
    assert_eq!(done.resumed, 0, "its bytes are the same, but that is not known beforehand");
    scene.assert_whole();
}

#[tokio::test]
async fn a_part_that_went_bad_is_noticed_and_fetched_anew() {
    for parallel in [1, 3] {
        let scene = Scene::new(5 * MIB).await;
        scene.interrupted(3 * MIB as u64).await;
        scene.spoil_part();
        let done = scene.file.download_to(&scene.target).parallel(parallel).await.unwrap();
        assert_eq!(done.resumed, 0);
        scene.assert_whole();
    }
}

#[tokio::test]
async fn records_that_make_no_sense_and_files_of_others_are_left_alone() {
    let scene = Scene::new(5 * MIB).await;
    scene.interrupted(3 * MIB as u64).await;
    let [part, record] = &beside(&scene.target)[..] else { panic!("a part and its record") };

    // The record is lost: then the part is somebody's own.
    std::fs::remove_file(record).unwrap();
    std::fs::write(part, "mine").unwrap();
    assert_eq!(scene.file.download_to(&scene.target).await.unwrap().resumed, 0);
    assert_eq!(std::fs::read(part).unwrap(), b"mine");
    assert_eq!(beside(&scene.target).len(), 1);

    // A record that is none is not written over.
    std::fs::write(record, "not a record").unwrap();
    assert_eq!(scene.file.download_to(&scene.target).await.unwrap().resumed, 0);
    assert_eq!(
        (std::fs::read(part).unwrap(), std::fs::read(record).unwrap()),
        (b"mine".into(), b"not a record".into())
    );
    assert!(!discard_partial(&scene.target).await.unwrap());

    // One that a crash left empty is, and what is beside it goes too: it would be in the way of every download to come.
    std::fs::write(record, "").unwrap();
    assert_eq!(scene.file.download_to(&scene.target).await.unwrap().resumed, 0);
    scene.assert_whole();
}

#[tokio::test]
async fn what_a_cancelled_download_leaves_can_be_discarded_at_once() {
    let scene = Scene::new(20 * MIB).await;
    for _ in 0..5 {
        let held = scene.server.inject(Fault::stall_response_after(12 * MIB as u64).on("GET", CONTENT));
        let transfer = scene.file.download_to(&scene.target).start();
        let mut watch = transfer.progress();
        within(held.fired_at_least(1)).await;
        within(async { while watch.next().await.unwrap().sent < 4 * MIB as u64 {} }).await;
        drop(transfer);
        assert!(within(discard_partial(&scene.target)).await.unwrap());
        assert!(beside(&scene.target).is_empty());
    }
}

#[tokio::test]
async fn what_comes_as_one_stream_is_noted_as_one_whatever_was_asked_for() {
    let mut came = b"HTTP/1.1 200 X\r\nETag: \"v1\"\r\nContent-Length: 5000000\r\n\r\n".to_vec();
    came.extend(pattern(2 * MIB));
    let raw = RawServer::start(move |_| Answer::ThenSilence(came.clone())).await;
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("x");
    let file = builder(&raw.url).build().unwrap().bucket("b").file("x");
    let transfer = file.download_to(&target).parallel(3).start();
    let noted = async {
        loop {
            let record = beside(&target).into_iter().find(|path| path.extension().is_some_and(|x| x == "json"));
            match record.map(|record| std::fs::read_to_string(record).unwrap()) {
                Some(record) if record.ends_with('\n') => return record,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    let record = within(noted).await;
    assert!(record.contains("\"sparse\":false"), "after a kill its length would say nothing: {record}");
    drop(transfer);
}

#[tokio::test]
async fn two_downloads_to_one_target_keep_out_of_each_others_way() {
    let scene = Scene::new(5 * MIB).await;
    let held = scene.server.inject(Fault::stall_response_after(2 * MIB as u64).on("GET", CONTENT));
    let first = scene.file.download_to(&scene.target).start();
    within(held.fired_at_least(1)).await;
    support::until(|| beside(&scene.target).len() == 2).await;
    let second = within(scene.file.download_to(&scene.target)).await.unwrap();
    assert_eq!(second.resumed, 0);
    assert!(std::fs::read(&scene.target).unwrap() == scene.data);
    assert_eq!(beside(&scene.target).len(), 2, "those of the first");
    assert!(!discard_partial(&scene.target).await.unwrap(), "the first is at it");
    held.release();
    within(first).await.unwrap();
    scene.assert_whole();
}

#[tokio::test]
async fn a_cancelled_download_can_be_gone_on_with_at_once() {
    let scene = Scene::new(20 * MIB).await;
    let held = scene.server.inject(Fault::stall_response_after(12 * MIB as u64).on("GET", CONTENT));
    let transfer = scene.file.download_to(&scene.target).start();
    let mut watch = transfer.progress();
    within(held.fired_at_least(1)).await;
    within(async { while watch.next().await.unwrap().sent < 4 * MIB as u64 {} }).await;
    transfer.cancel();
    assert_eq!(within(transfer).await.unwrap_err().kind(), ErrorKind::Cancelled);
    let done = within(scene.file.download_to(&scene.target)).await.unwrap();
    assert!(done.resumed >= 2 * MIB as u64, "{done:?}");
    scene.assert_whole();
}

#[tokio::test]
async fn content_that_is_replaced_is_an_error_or_begun_again() {
    for (parallel, restart) in [(1, false), (1, true), (3, false), (3, true)] {
        let mut scene = Scene::new(9 * MIB).await;
        std::fs::write(&scene.target, "old").unwrap();
        if parallel == 1 {
            scene.server.inject(Fault::close_response_after(2 * MIB as u64).on("GET", CONTENT));
        }
        // The token is asked for before each request: the second one waits there until the content has been replaced.
        let (asked, (replaced, seen)) = (Arc::new(Semaphore::new(0)), watch::channel(false));
        let (count, told, token) = (AtomicUsize::new(0), asked.clone(), scene.server.admin_key().to_owned());
        let provider = move || {
            let second = count.fetch_add(1, Ordering::SeqCst) > 0;
            let (told, token, mut seen) = (told.clone(), token.clone(), seen.clone());
            async move {
                if second {
                    told.add_permits(1);
                    seen.wait_for(|replaced| *replaced).await.unwrap();
                }
                Ok::<_, std::io::Error>(token)
            }
        };
        let client = builder(scene.server.url()).token_provider(provider).build().unwrap();
        let file = client.bucket(scene.bucket.id()).file(scene.file.path());
        let call = file.download_to(&scene.target).parallel(parallel).restart_if_changed(restart).start();
        within(asked.acquire()).await.unwrap().forget();
        let new = vec![7; 5 * MIB];
        scene.file.upload(new.clone()).await.unwrap();
        replaced.send_replace(true);
        match within(call).await {
            Ok(done) => {
                assert!(restart, "{done:?}");
                assert_eq!(done.size, 5 * MIB as u64);
                scene.data = new;
                scene.assert_whole();
            }
            Err(error) => {
                assert!(!restart, "{error:?}");
                assert_eq!(error.kind(), ErrorKind::ContentChanged, "{error:?}");
                assert_eq!(std::fs::read(&scene.target).unwrap(), b"old");
                assert!(beside(&scene.target).is_empty());
            }
        }
    }
}

#[tokio::test]
async fn a_content_that_changes_every_time_is_begun_again_five_times() {
    for (restart, most) in [(false, 1), (true, 6)] {
        let wholes = Arc::new(AtomicUsize::new(0));
        let count = wholes.clone();
        let raw = RawServer::start(move |head| {
            if head.text.to_ascii_lowercase().contains("range: ") {
                return Answer::Bytes(answer(412, "", b""));
            }
            let version = count.fetch_add(1, Ordering::SeqCst);
            let mut whole = answer(200, &format!("ETag: \"v{version}\"\r\n"), &pattern(200_000));
            whole.truncate(100_000);
            Answer::ThenClose(whole)
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("x");
        std::fs::write(&target, "old").unwrap();
        let file = builder(&raw.url).build().unwrap().bucket("b").file("x");
        let error = within(file.download_to(&target).restart_if_changed(restart)).await.unwrap_err();
        assert_eq!((error.kind(), wholes.load(Ordering::SeqCst)), (ErrorKind::ContentChanged, most), "{error:?}");
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        assert!(beside(&target).is_empty());
    }
}

#[tokio::test]
async fn the_time_of_the_last_change_is_kept_where_asked_for() {
    let scene = Scene::new(1000).await;
    let modified = scene.file.head().await.unwrap().last_modified.unwrap();
    scene.file.download_to(&scene.target).keep_modified(true).await.unwrap();
    let found = std::fs::metadata(&scene.target).unwrap().modified().unwrap();
    assert_eq!(chrono::DateTime::<chrono::Utc>::from(found), modified);
}

#[tokio::test]
async fn one_stream_goes_on_with_ranges_and_ranges_with_one_stream() {
    let scene = Scene::new(20 * MIB).await;
    scene.interrupted(9 * MIB as u64).await;
    // The ranges after the first are refused.
    let gone = Fault::status(404).body(r#"{"error":"File not found"}"#);
    let refused = scene.server.inject(gone.on("GET", CONTENT).skip(2).forever());
    let ranged = scene.file.download_to(&scene.target).parallel(2);
    within(ranged).await.unwrap_err();
    assert!(refused.fired() > 0);
    scene.server.clear_faults();
    assert!(beside(&scene.target).is_empty(), "a content that has gone is not kept");

    scene.interrupted(9 * MIB as u64).await;
    let broken = scene.server.inject(Fault::status(403).on("GET", CONTENT).skip(2).forever());
    within(scene.file.download_to(&scene.target).parallel(2)).await.unwrap_err();
    assert!(broken.fired() > 0);
    scene.server.clear_faults();
    let done = within(scene.file.download_to(&scene.target)).await.unwrap();
    assert!(done.resumed >= 13 * MIB as u64 && done.resumed.is_multiple_of(MIB as u64), "{done:?}");
    scene.assert_whole();
}

#[tokio::test]
async fn only_a_200_is_the_whole_content() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("x");
    for (status, parallel) in [(304, 1), (204, 1), (203, 1), (202, 1), (304, 3), (204, 3)] {
        std::fs::write(&target, "good").unwrap();
        let raw = RawServer::start(move |_| Answer::Bytes(answer(status, "", b""))).await;
        let client = builder(&raw.url).build().unwrap();
        let call =
            client.bucket("b").file("x").download_to(&target).header("If-None-Match", "\"v1\"").parallel(parallel);
        let error = within(call).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode, "{status}");
        assert_eq!(std::fs::read(&target).unwrap(), b"good");
    }
}

#[tokio::test]
async fn a_precondition_that_fails_after_a_cut_is_a_changed_content() {
    let scene = Scene::new(3 * MIB).await;
    scene.server.inject(Fault::close_response_after(MIB as u64).on("GET", CONTENT));
    scene.server.inject(Fault::status(412).on("GET", CONTENT));
    let error = within(scene.file.download_to(&scene.target)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContentChanged, "{error:?}");
}

#[tokio::test]
async fn what_is_left_is_compared_even_where_nothing_else_is() {
    for parallel in [1, 3] {
        let scene = Scene::new(5 * MIB).await;
        scene.interrupted(3 * MIB as u64).await;
        scene.spoil_part();
        within(scene.file.download_to(&scene.target).verify(false).parallel(parallel)).await.unwrap();
        scene.assert_whole();
    }
}

#[cfg(unix)]
#[tokio::test]
async fn links_in_the_place_of_a_part_or_its_record_are_not_followed() {
    let scene = Scene::new(5 * MIB).await;
    let others = tempfile::tempdir().unwrap();
    for name in [0, 1] {
        for hard in [false, true] {
            scene.interrupted(3 * MIB as u64).await;
            let left = beside(&scene.target);
            let other = others.path().join(format!("{name}{hard}"));
            std::fs::rename(&left[name], &other).unwrap();
            let before = std::fs::read(&other).unwrap();
            match hard {
                true => std::fs::hard_link(&other, &left[name]).unwrap(),
                false => std::os::unix::fs::symlink(&other, &left[name]).unwrap(),
            }
            scene.file.download_to(&scene.target).await.unwrap();
            assert!(std::fs::read(&other).unwrap() == before, "{name} {hard}");
            assert!(std::fs::read(&scene.target).unwrap() == scene.data);
            for left in std::iter::once(scene.target.clone()).chain(beside(&scene.target)) {
                std::fs::remove_file(left).unwrap();
            }
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_that_leads_nowhere_is_not_overwritten() {
    let scene = Scene::new(1000).await;
    std::os::unix::fs::symlink("nowhere", &scene.target).unwrap();
    let error = scene.file.download_to(&scene.target).overwrite(false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(scene.target.is_symlink());
}

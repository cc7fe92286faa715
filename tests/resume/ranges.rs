//! Downloads by several ranges at once, and those that something on the way caps.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use carbonfiles::{ErrorKind, Phase, RetryPolicy};
use carbonfiles_testserver::Fault;
use futures::{StreamExt, TryStreamExt};

use super::support::{Answer, RawServer, answer, asked_for, builder, part_or_whole, sha256, until};
use super::{CONTENT, MIB, Scene, gets, pattern, within};

#[tokio::test]
async fn several_ranges_at_once_make_the_same_whole() {
    for length in [0, 1, 1000, 2 * MIB, 4 * MIB, 4 * MIB + 1, 21 * MIB + 12345] {
        let scene = Scene::new(length).await;
        scene.server.clear_requests();
        let mut last = None;
        let to_file = scene.file.download_to(&scene.target).parallel(4).progress(|p| last = Some(p));
        let done = within(to_file).await.unwrap();
        assert_eq!((done.size, done.resumed), (length as u64, 0));
        assert!(length == 0 || done.verified_sha256.is_some());
        let last = last.unwrap();
        assert_eq!((last.phase, last.sent, last.total), (Phase::Done, length as u64, Some(length as u64)));
        scene.assert_whole();
        let asked = gets(&scene.server);
        assert_eq!(asked.len(), if length == 0 { 2 } else { length.div_ceil(4 * MIB) }, "{length}");
        assert!(asked.iter().skip(1).all(|r| length == 0 || r.header("if-match") == done.etag.as_deref()));

        let download = within(scene.file.download().parallel(3)).await.unwrap();
        assert_eq!((download.info().start, download.info().length), (0, Some(length as u64)));
        let answer = download.into_http_response();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-length"], length.to_string().as_str());
        assert!(!answer.headers().contains_key("content-range"));
        let chunks: Vec<_> = within(answer.into_body().try_collect::<Vec<_>>()).await.unwrap();
        assert!(chunks.concat() == scene.data);
    }
}

#[tokio::test]
async fn another_content_comes_by_ranges_too() {
    let mut scene = Scene::new(9 * MIB).await;
    scene.interrupted(5 * MIB as u64).await;
    scene.data = vec![7; 9 * MIB];
    scene.file.upload(scene.data.clone()).await.unwrap();
    let done = within(scene.file.download_to(&scene.target).parallel(3)).await.unwrap();
    assert_eq!((done.size, done.resumed), (9 * MIB as u64, 0));
    scene.assert_whole();
    let asked = gets(&scene.server);
    assert_eq!(asked.iter().filter(|r| r.header("if-match") == done.etag.as_deref()).count(), 2, "{asked:?}");
}

#[tokio::test]
async fn ranges_survive_cuts_and_report_no_more_than_there_is() {
    let scene = Scene::new(20 * MIB).await;
    let cuts = scene.server.inject(Fault::reset_response_after(MIB as u64).on("GET", CONTENT).skip(1).times(3));
    let mut most = 0;
    let done = within(scene.file.download_to(&scene.target).parallel(4).progress(|p| most = most.max(p.sent))).await;
    assert_eq!((done.unwrap().size, most, cuts.fired()), (20 * MIB as u64, 20 * MIB as u64, 3));
    scene.assert_whole();
    scene.server.inject(Fault::corrupt_response().on("GET", CONTENT).skip(2));
    let error = within(scene.file.download_to(scene.target.with_extension("2")).parallel(4)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IntegrityMismatch);
    // Whichever of the ranges behind the first came third.
    let wrong = [4, 8, 12, 16].map(|at| {
        let mut data = scene.data.clone();
        data[at * MIB] ^= 1;
        sha256(&data)
    });
    let tells = |hash: &String| error.message().contains(hash.as_str());
    assert!(tells(&sha256(&scene.data)) && wrong.iter().any(tells), "{error}");
    scene.assert_whole();
}

#[tokio::test]
async fn a_part_comes_by_several_ranges_too() {
    let scene = Scene::new(9 * MIB).await;
    let (whole, data) = (scene.data.len() as u64, &scene.data);
    for (range, end) in [(5..7 * MIB as u64, 7 * MIB), (5..u64::MAX, 9 * MIB), (0..7 * MIB as u64, 7 * MIB)] {
        scene.server.clear_requests();
        let start = range.start as usize;
        let part = within(scene.file.download().parallel(3).range(range)).await.unwrap();
        let length = (end - start) as u64;
        let info = part.info();
        assert_eq!((info.start, info.length, info.total), (start as u64, Some(length), Some(whole)));
        let answer = part.into_http_response();
        assert_eq!(answer.status(), 206);
        assert_eq!(answer.headers()["content-range"], format!("bytes {start}-{}/{whole}", end - 1).as_str());
        assert_eq!(answer.headers()["content-length"], length.to_string().as_str());
        let chunks: Vec<_> = within(answer.into_body().try_collect::<Vec<_>>()).await.unwrap();
        assert!(chunks.concat() == data[start..end]);
        assert_eq!(gets(&scene.server).len(), (end - start).div_ceil(2 * MIB));
    }
    let few = within(scene.file.download().parallel(4).range(5..1000)).await.unwrap();
    assert_eq!(few.bytes(MIB).await.unwrap(), data[5..1000]);
    let beyond = within(scene.file.download().parallel(4).range(whole..)).await.unwrap_err();
    assert_eq!(beyond.kind(), ErrorKind::RangeNotSatisfiable);
    scene.server.clear_requests();
    assert!(within(scene.file.download().parallel(4).last(5)).await.unwrap_err().is_invalid_input());
    assert!(gets(&scene.server).is_empty());
}

#[tokio::test]
async fn ranges_that_wait_in_memory_keep_to_the_clients_limit() {
    let scene = Scene::new(21 * MIB).await;
    // Half of it is for downloads: a range that is read, and three at once.
    let client = builder(scene.server.url()).max_buffered_bytes(16 * MIB as u64).build().unwrap();
    let file = client.bucket(scene.bucket.id()).file("docs/ü %+#?.bin");
    scene.server.clear_requests();
    // None of them comes to its end, so there are as many as are asked for at once.
    scene.server.inject(Fault::stall_response_after(MIB as u64).on("GET", CONTENT).forever());
    let mut first = within(file.download().parallel(10)).await.unwrap().stream();
    {
        let reading = first.next();
        let others = until(|| gets(&scene.server).len() >= 3);
        tokio::select! {
            biased;
            _ = reading => panic!("the first comes to its end"),
            () = others => {}
        }
    }
    let error = within(file.download().timeout(Duration::from_millis(50))).await.unwrap_err();
    assert!(error.is_timeout() && gets(&scene.server).len() == 3, "there is no room, and {error}");
    scene.server.clear_faults();
    drop(first);
    // A content of one range gives back what was taken for more.
    scene.bucket.file("small").upload(vec![1; MIB]).await.unwrap();
    let small = client.bucket(scene.bucket.id()).file("small");
    let one = within(small.download().parallel(10)).await.unwrap();
    let other = within(small.download()).await.unwrap();
    assert_eq!(one.bytes(MIB).await.unwrap(), other.bytes(MIB).await.unwrap());
    // Where no two fit, it is one stream.
    let client = builder(scene.server.url()).max_buffered_bytes(4 * MIB as u64).build().unwrap();
    let file = client.bucket(scene.bucket.id()).file("docs/ü %+#?.bin");
    scene.server.clear_requests();
    assert!(within(file.download().parallel(10)).await.unwrap().bytes(22 * MIB).await.unwrap() == scene.data);
    assert_eq!(gets(&scene.server).len(), 1);
}

#[tokio::test]
async fn a_server_without_ranges_sends_one_stream() {
    let data = pattern(5 * MIB);
    let sent = data.clone();
    let raw = RawServer::start(move |_| Answer::Bytes(answer(200, "ETag: \"v1\"\r\n", &sent))).await;
    let client = builder(&raw.url).build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = client.bucket("b").file("x");
    let done = within(file.download_to(folder.path().join("x")).parallel(4)).await.unwrap();
    assert_eq!((done.size, done.verified_sha256), (5 * MIB as u64, None));
    assert!(within(file.download().parallel(4)).await.unwrap().bytes(5 * MIB).await.unwrap() == data);
}

/// A server behind a proxy that gives no part longer than so many bytes, and breaks the first whole answer off.
async fn capping(data: Vec<u8>, most: usize) -> RawServer {
    let whole_ones = AtomicUsize::new(0);
    RawServer::start(move |head| {
        let mut bytes = part_or_whole(head, "ETag: \"v1\"\r\n", &data, most);
        if asked_for(head, data.len()).is_some() || whole_ones.fetch_add(1, Ordering::SeqCst) > 0 {
            return Answer::Bytes(bytes);
        }
        bytes.truncate(bytes.len() - 3 * MIB);
        Answer::ThenClose(bytes)
    })
    .await
}

#[tokio::test]
async fn what_caps_the_parts_is_asked_again_for_the_rest() {
    let data = pattern(9 * MIB);
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("x");
    let saved = |target: &Path| std::fs::read(target).unwrap() == data;
    for most in [64 << 10, 700_000, 5 * MIB] {
        for parallel in [1, 3] {
            let raw = capping(data.clone(), most).await;
            let client = builder(&raw.url).build().unwrap();
            let file = client.bucket("b").file("x");
            let done = within(file.download_to(&target).parallel(parallel)).await.unwrap();
            assert!(done.size == 9 * MIB as u64 && saved(&target), "{most} {parallel}");
            let bytes = within(file.download().parallel(parallel)).await.unwrap().bytes(9 * MIB).await.unwrap();
            assert!(bytes == data, "{most} {parallel}");
            let part = within(file.download().parallel(parallel).range(5..8 * MIB as u64)).await.unwrap();
            assert_eq!(part.info().length, Some(8 * MIB as u64 - 5));
            let answer = part.into_http_response();
            assert_eq!(answer.headers()["content-range"], format!("bytes 5-{}/{}", 8 * MIB - 1, 9 * MIB).as_str());
            let chunks: Vec<_> = within(answer.into_body().try_collect::<Vec<_>>()).await.unwrap();
            assert!(chunks.concat() == data[5..8 * MIB], "{most} {parallel}");
        }
    }
}

/// Little by little for ever is no way to get on.
#[tokio::test]
async fn parts_of_next_to_nothing_are_given_up() {
    let raw = capping(pattern(9 * MIB), 100).await;
    let client = builder(&raw.url).build().unwrap();
    let download = within(client.bucket("b").file("x").download().range(5..)).await.unwrap();
    assert_eq!(within(download.bytes(9 * MIB)).await.unwrap_err().kind(), ErrorKind::Interrupted);
}

/// As a proxy that gives no part longer than it likes.
#[tokio::test]
async fn a_short_first_range_leaves_no_hole() {
    let data = pattern(9 * MIB);
    let sent = data.clone();
    let raw = RawServer::start(move |head| {
        let is_first = asked_for(head, sent.len()).is_some_and(|range| range.start == 0);
        let most = if is_first { 64 << 10 } else { usize::MAX };
        Answer::Bytes(part_or_whole(head, "ETag: \"v1\"\r\n", &sent, most))
    })
    .await;
    let client = builder(&raw.url).build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (file, target) = (client.bucket("b").file("x"), folder.path().join("x"));
    within(file.download_to(&target).parallel(3)).await.unwrap();
    assert!(std::fs::read(&target).unwrap() == data);
    assert!(within(file.download().parallel(3)).await.unwrap().bytes(9 * MIB).await.unwrap() == data);
}

#[tokio::test]
async fn ranges_keep_the_time_of_the_last_change_where_asked_for() {
    let scene = Scene::new(9 * MIB).await;
    let modified = scene.file.head().await.unwrap().last_modified.unwrap();
    let asked = scene.file.download_to(&scene.target).parallel(3).keep_modified(true);
    assert_eq!(within(asked).await.unwrap().size, 9 * MIB as u64);
    assert_eq!(gets(&scene.server).len(), 3);
    let found = std::fs::metadata(&scene.target).unwrap().modified().unwrap();
    assert_eq!(chrono::DateTime::<chrono::Utc>::from(found), modified);
}

/// A server that heeds no condition, and has another content of the same length from its second answer on. The first breaks
/// off behind so many bytes, if it is told to.
async fn changing(old: Vec<u8>, new: Vec<u8>, cut: Option<usize>) -> RawServer {
    let answers = AtomicUsize::new(0);
    RawServer::start(move |head| {
        if answers.fetch_add(1, Ordering::SeqCst) > 0 {
            return Answer::Bytes(part_or_whole(head, "ETag: \"v2\"\r\n", &new, usize::MAX));
        }
        let mut bytes = part_or_whole(head, "ETag: \"v1\"\r\n", &old, usize::MAX);
        let Some(cut) = cut else { return Answer::Bytes(bytes) };
        bytes.truncate(cut);
        Answer::ThenClose(bytes)
    })
    .await
}

/// The old one, and the new one.
fn two() -> (Vec<u8>, Vec<u8>) {
    let old = pattern(9 * MIB);
    let new = old.iter().map(|byte| !byte).collect();
    (old, new)
}

#[tokio::test]
async fn a_server_that_ignores_conditions_does_not_make_a_mixture() {
    let (old, new) = two();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("x");
    std::fs::write(&target, "before").unwrap();
    for (way, cut) in [("ranges", None), ("ranges to a file", None), ("a cut", Some(3 * MIB)), ("to a file", Some(MIB))]
    {
        let raw = changing(old.clone(), new.clone(), cut).await;
        let file = builder(&raw.url).build().unwrap().bucket("b").file("x");
        let read = async |parallel| within(file.download().parallel(parallel)).await?.bytes(9 * MIB).await.map(drop);
        let saved = async |parallel| within(file.download_to(&target).parallel(parallel)).await.map(drop);
        let outcome = match way {
            "ranges" => within(read(3)).await,
            "ranges to a file" => saved(3).await,
            "a cut" => within(read(1)).await,
            _ => saved(1).await,
        };
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::ContentChanged, "{way}");
        assert_eq!(std::fs::read(&target).unwrap(), b"before", "{way}");
        assert!(super::beside(&target).is_empty(), "{way}");
    }
}

#[tokio::test]
async fn what_is_left_of_another_content_is_no_part_of_what_a_server_without_conditions_sends() {
    let (old, new) = two();
    for parallel in [1, 3] {
        let raw = changing(old.clone(), new.clone(), Some(5 * MIB)).await;
        let file = builder(&raw.url).build().unwrap().bucket("b").file("x");
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("x");
        let cut = within(file.download_to(&target).retry(RetryPolicy::never())).await.unwrap_err();
        assert_eq!(cut.kind(), ErrorKind::Interrupted, "{cut}");
        assert_eq!(super::beside(&target).len(), 2, "a part and its record");
        let done = within(file.download_to(&target).parallel(parallel)).await.unwrap();
        assert_eq!((done.resumed, done.etag.as_deref()), (0, Some("\"v2\"")), "{parallel}");
        assert!(std::fs::read(&target).unwrap() == new, "{parallel}");
        assert!(super::beside(&target).is_empty());
    }
}

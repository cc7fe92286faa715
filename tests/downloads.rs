//! Downloads, as a user would make them, on the test server.

mod support;

use std::time::Duration;

use bytes::Bytes;
use carbonfiles::{Bucket, ErrorKind, Phase, RetryPolicy};
use carbonfiles_testserver::{Fault, TestServer};
use futures::TryStreamExt;
use futures::stream::FusedStream;
use support::{Answer, RawServer, builder, sha256, within};
use tokio::io::AsyncReadExt;

const CONTENT: &str = "/content";

async fn setup() -> (TestServer, Bucket) {
    let server = support::server().await;
    let client = support::admin(&server);
    let bucket = client.buckets().create("downloads").await.unwrap();
    (server, client.bucket(&bucket.id))
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect()
}

fn gets(server: &TestServer) -> usize {
    server.requests().iter().filter(|r| r.method == "GET" && r.path.ends_with(CONTENT)).count()
}

#[tokio::test]
async fn bytes_stream_reader_and_file_give_the_same() {
    let (_server, bucket) = setup().await;
    let folder = tempfile::tempdir().unwrap();
    for length in [0, 1, 100_000, 5_000_000] {
        let data = pattern(length);
        let file = bucket.file("docs/ü %+#?.bin");
        file.upload(data.clone()).await.unwrap();

        let download = file.download().await.unwrap();
        let info = download.info().clone();
        assert_eq!((info.length, info.total, info.start), (Some(length as u64), Some(length as u64), 0));
        assert_eq!(info.content_type.as_deref(), Some("application/octet-stream"));
        assert_eq!(info.sha256().unwrap().len(), 64);
        assert!(info.last_modified.is_some());
        assert_eq!(file.head().await.unwrap(), info);
        assert!(download.bytes(length).await.unwrap() == data);

        let chunks: Vec<Bytes> = file.download().await.unwrap().stream().try_collect().await.unwrap();
        assert!(chunks.concat() == data);

        let mut read = Vec::new();
        let mut reader = file.download().await.unwrap().reader();
        assert_eq!(reader.info(), &info);
        reader.read_to_end(&mut read).await.unwrap();
        assert!(read == data);

        let target = folder.path().join("target");
        let done = file.download_to(&target).await.unwrap();
        assert!(std::fs::read(&target).unwrap() == data);
        assert_eq!((done.size, done.verified_sha256.as_deref()), (length as u64, info.sha256()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no .part may be left");
    }
}

#[tokio::test]
async fn the_limit_of_bytes_is_kept() {
    let (server, bucket) = setup().await;
    bucket.file("x").upload(vec![1; 1000]).await.unwrap();
    let error = bucket.file("x").download().await.unwrap().bytes(999).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
    // A ZIP's length is not known beforehand.
    let error = bucket.zip().await.unwrap().bytes(20).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
    drop(server);
}

#[tokio::test]
async fn the_limit_of_a_file_is_kept() {
    let (server, bucket) = setup().await;
    bucket.file("x").upload(vec![1; 5000]).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("x");
    std::fs::write(&target, "old").unwrap();
    for parallel in [1, 2] {
        let download = || bucket.file("x").download_to(&target).parallel(parallel);
        server.clear_requests();
        let error = download().max_bytes(4999).restart_if_changed(true).await.unwrap_err();
        assert_eq!((error.kind(), gets(&server)), (ErrorKind::PayloadTooLarge, 1));
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(download().max_bytes(5000).await.unwrap().size, 5000);
        std::fs::write(&target, "old").unwrap();
    }
    let length = bucket.zip().download_to(&target).await.unwrap().size;
    let zip = |most| bucket.zip().download_to(&target).max_bytes(most);
    assert_eq!(zip(length - 1).await.unwrap_err().kind(), ErrorKind::PayloadTooLarge);
    assert_eq!(zip(length).await.unwrap().size, length);

    let endless = RawServer::start(|_| {
        Answer::ThenEndless(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n".to_vec(), vec![7; 64 << 10])
    })
    .await;
    let bucket = builder(&endless.url).build().unwrap().bucket("b");
    std::fs::write(&target, "old").unwrap();
    let error = support::within(bucket.file("x").download_to(&target).max_bytes(3 << 20).send()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PayloadTooLarge, "{error}");
    let error = support::within(bucket.zip().download_to(&target).max_bytes(3 << 20).send()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PayloadTooLarge, "{error}");
    assert_eq!(std::fs::read(&target).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing of it is kept");
}

#[tokio::test]
async fn ranges() {
    let (_server, bucket) = setup().await;
    let data = pattern(1000);
    let file = bucket.file("x.bin");
    file.upload(data.clone()).await.unwrap();
    let get = async |range: std::ops::Range<u64>| {
        let download = file.download().range(range).await.unwrap();
        let info = download.info().clone();
        (download.bytes(1000).await.unwrap(), info)
    };
    let (bytes, info) = get(10..20).await;
    assert_eq!((&bytes[..], info.start, info.length, info.total), (&data[10..20], 10, Some(10), Some(1000)));
    assert_eq!(get(990..5000).await.0, data[990..]);
    assert_eq!(file.download().range(999..).await.unwrap().bytes(1000).await.unwrap(), data[999..]);
    assert_eq!(file.download().range(..=0).await.unwrap().bytes(1000).await.unwrap(), data[..1]);
    assert_eq!(file.download().range(..).await.unwrap().bytes(1000).await.unwrap(), data);
    assert_eq!(file.download().last(7).await.unwrap().bytes(1000).await.unwrap(), data[993..]);
    assert_eq!(file.download().last(7000).await.unwrap().bytes(1000).await.unwrap(), data);
    assert_eq!(file.download().range(1000..).await.unwrap_err().kind(), ErrorKind::RangeNotSatisfiable);
    assert!(file.download().range(5..5).await.unwrap_err().is_invalid_input());
    assert!(file.download().last(0).await.unwrap_err().is_invalid_input());
    bucket.file("empty").upload(&b""[..]).await.unwrap();
    assert!(bucket.file("empty").download().range(0..).await.unwrap().bytes(1).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_part_at_the_end_of_all_numbers_has_no_more_bytes_than_it_says() {
    let max = u64::MAX;
    let range = format!("bytes {}-{}/{max}", max - 10, max - 1);
    let head =
        format!("HTTP/1.1 206 X\r\nETag: \"v1\"\r\nContent-Range: {range}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let raw = RawServer::saying(head + "10\r\n0123456789abcdef\r\n0\r\n\r\n").await;
    let file = builder(&raw.url).build().unwrap().bucket("b").file("x");
    let error = file.download().last(10).await.unwrap().bytes(1000).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IntegrityMismatch, "{error}");
}

#[tokio::test]
async fn conditions() {
    let (_server, bucket) = setup().await;
    let file = bucket.file("x.txt");
    let first = file.upload("one".as_bytes()).await.unwrap();
    let etag = file.head().await.unwrap().etag.unwrap();
    assert!(file.download().if_none_match(&etag).await.unwrap().is_none());
    assert!(file.download().if_none_match(first.sha256.as_deref().unwrap()).await.unwrap().is_none());
    assert!(file.download().if_match(&etag).await.is_ok());
    file.upload("two".as_bytes()).await.unwrap();
    let changed = file.download().if_none_match(&etag).verify(true).await.unwrap().unwrap();
    assert_eq!(changed.bytes(10).await.unwrap(), "two");
    assert_eq!(file.download().if_match(&etag).await.unwrap_err().kind(), ErrorKind::PreconditionFailed);
}

#[tokio::test]
async fn a_target_is_written_only_if_the_content_is_another() {
    let (_server, bucket) = setup().await;
    let file = bucket.file("x.bin");
    let (one, two) = (pattern(9 << 20), pattern(10 << 20));
    let first = file.upload(one).await.unwrap().sha256.clone().unwrap();
    let second = file.upload(two.clone()).await.unwrap().sha256.clone().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("x");
    std::fs::write(&target, "old").unwrap();
    for ranges in [1, 3] {
        let same = file.download_to(&target).parallel(ranges).if_none_match(&second);
        assert_eq!(within(same.send()).await.unwrap(), None);
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        let started = file.download_to(&target).parallel(ranges).if_none_match(&second).start();
        let watch = started.progress();
        assert_eq!(within(started).await.unwrap(), None);
        assert_eq!(watch.current().phase, Phase::Done);
        let other = file.download_to(folder.path().join("y")).parallel(ranges).if_none_match(&first);
        let done = within(other.send()).await.unwrap().unwrap();
        assert_eq!((done.size, done.verified_sha256.as_ref()), (10 << 20, Some(&second)));
        assert_eq!(std::fs::read(done.path).unwrap(), two);
    }
    // What was asked by hand is not understood as the condition.
    let asked = file.download_to(&target).header("if-none-match", &format!("\"{second}\"")).start();
    let watch = asked.progress();
    let error = within(asked).await.unwrap_err();
    let status = error.status().map(|status| status.as_u16());
    assert_eq!((error.kind(), status, error.attempts()), (ErrorKind::Decode, Some(304), 1));
    assert_ne!(watch.current().phase, Phase::Done);
    assert!(error.hint().unwrap().contains("if_none_match"), "{error:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no part is left");
}

#[tokio::test]
async fn progress_counts_what_was_received() {
    let (_server, bucket) = setup().await;
    let file = bucket.file("x.bin");
    file.upload(pattern(3_000_000)).await.unwrap();
    let mut seen = Vec::new();
    let download = file.download().progress_interval(Duration::ZERO).progress(|p| seen.push(p)).await.unwrap();
    download.bytes(3_000_000).await.unwrap();
    assert_eq!((seen[0].sent, seen[0].total), (0, Some(3_000_000)));
    assert!(seen.windows(2).all(|w| w[0].sent <= w[1].sent));
    let last = seen.last().unwrap();
    assert_eq!((last.sent, last.phase, last.percent()), (3_000_000, Phase::Done, Some(100.0)));
    assert!(seen.len() > 4);
}

#[tokio::test]
async fn a_cut_is_resumed_where_it_was() {
    let (server, bucket) = setup().await;
    let data = pattern(3_000_000);
    let file = bucket.file("x.bin");
    file.upload(data.clone()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    for after in [0, 1, 1_500_000, 2_999_999] {
        for fault in [Fault::reset_response_after(after), Fault::close_response_after(after)] {
            let fault = server.inject(fault.on("GET", CONTENT));
            server.clear_requests();
            let target = folder.path().join("x");
            let mut attempts = 0;
            let done = file.download_to(&target).progress(|p| attempts = p.attempt).await.unwrap();
            assert!(std::fs::read(&target).unwrap() == data, "{after}");
            assert!(done.verified_sha256.is_some());
            assert_eq!(fault.fired(), 1);
            assert_eq!(gets(&server), 2);
            let resumed = &server.requests()[1];
            let header = |name: &str| {
                resumed.headers.iter().find(|(k, _)| k.as_str().eq_ignore_ascii_case(name)).map(|(_, v)| v.clone())
            };
            if after > 1 {
                assert!(header("range").is_some() && header("if-range").is_some(), "{:?}", resumed.headers);
                assert_eq!(attempts, 2);
            }
        }
    }
    // The middle of a range, too.
    server.inject(Fault::reset_response_after(500_000).on("GET", CONTENT));
    let part = file.download().range(1_000_000..2_000_000).await.unwrap().bytes(1 << 20).await.unwrap();
    assert!(part == data[1_000_000..2_000_000]);
}

#[tokio::test]
async fn a_server_that_always_cuts_is_an_error_and_leaves_the_target_alone() {
    let (server, bucket) = setup().await;
    let file = bucket.file("x.bin");
    file.upload(pattern(1_000_000)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("x");
    std::fs::write(&target, "old").unwrap();
    server.inject(Fault::reset_response_after(0).on("GET", CONTENT).forever());
    let error = file.download_to(&target).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted, "{error:?}");
    assert_eq!(std::fs::read(&target).unwrap(), b"old");
    assert!(file.download().await.unwrap().bytes(1 << 20).await.is_err());
}

#[tokio::test]
async fn content_replaced_half_way_is_noticed() {
    let (server, bucket) = setup().await;
    let file = bucket.file("x.bin");
    let data = pattern(3_000_000);
    file.upload(data.clone()).await.unwrap();
    server.inject(Fault::reset_response_after(1_000_000).on("GET", CONTENT));
    let mut download = file.download().await.unwrap().stream();
    let first = download.try_next().await.unwrap().unwrap();
    assert!(data.starts_with(&first));
    file.upload(vec![9; 3_000_000]).await.unwrap();
    let error = download.try_for_each(|_| std::future::ready(Ok(()))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContentChanged, "{error:?}");
}

#[tokio::test]
async fn corrupted_bytes_are_an_integrity_mismatch() {
    let (server, bucket) = setup().await;
    let file = bucket.file("x.bin");
    let mut data = pattern(2_000_000);
    file.upload(data.clone()).await.unwrap();
    let right = sha256(&data);
    data[0] ^= 1;
    let wrong = sha256(&data);
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("x");
    server.inject(Fault::corrupt_response().on("GET", CONTENT).times(2));
    let to_file = file.download_to(&target).await.unwrap_err();
    assert!(!target.exists());
    let in_memory = file.download().await.unwrap().bytes(2_000_000).await.unwrap_err();
    for error in [to_file, in_memory] {
        assert_eq!(error.kind(), ErrorKind::IntegrityMismatch);
        assert!(error.message().contains(&right) && error.message().contains(&wrong), "{error}");
    }
    server.inject(Fault::corrupt_response().on("GET", CONTENT));
    assert!(
        file.download().verify(false).await.unwrap().bytes(2_000_000).await.is_ok(),
        "only when asked not to check"
    );
}

#[tokio::test]
async fn what_is_not_to_be_checked_is_written_as_it_came() {
    let (server, bucket) = setup().await;
    let (file, data) = (bucket.file("x.bin"), pattern(2_000_000));
    file.upload(data.clone()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    for ranges in [1, 2] {
        let target = folder.path().join(ranges.to_string());
        let struck = server.inject(Fault::corrupt_response().on("GET", CONTENT));
        let done = file.download_to(&target).parallel(ranges).verify(false).await.unwrap();
        assert_eq!((struck.fired(), done.size, done.verified_sha256), (1, 2_000_000, None));
        let written = std::fs::read(&target).unwrap();
        assert!(written.len() == data.len() && written != data);
    }
}

#[tokio::test]
async fn the_target_is_handled_with_care() {
    let (server, bucket) = setup().await;
    let file = bucket.file("x.bin");
    file.upload(pattern(1_000_000)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("x");
    let none = ["no/such/folder", "new/", "new/.", &"n".repeat(256)].map(|name| folder.path().join(name));
    for bad in none.into_iter().chain([folder.path().to_owned(), "/".into()]) {
        assert!(file.download_to(&bad).await.unwrap_err().is_invalid_input(), "{bad:?}");
        assert!(bucket.zip().download_to(&bad).await.unwrap_err().is_invalid_input(), "{bad:?}");
    }
    assert_eq!(gets(&server), 0, "nothing is asked for that can't be written");
    std::fs::write(&target, "old").unwrap();
    assert_eq!(file.download_to(&target).overwrite(false).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(std::fs::read(&target).unwrap(), b"old");

    // A second download into the same target does not disturb the first, nor what a cancelled one leaves.
    let fault = server.inject(Fault::stall_response_after(100_000).on("GET", CONTENT));
    let first = tokio::spawn(file.download_to(&target).send());
    fault.fired_at_least(1).await;
    file.download_to(&target).await.unwrap();
    assert_eq!(std::fs::read(&target).unwrap().len(), 1_000_000);
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    // The last write may still be on its way when the call has gone.
    support::until(|| std::fs::read_dir(folder.path()).unwrap().count() == 1).await;
}

#[tokio::test]
async fn zip_is_a_valid_archive() {
    let (_server, bucket) = setup().await;
    bucket.file("a.txt").upload("one".as_bytes()).await.unwrap();
    bucket.file("docs/ü.bin").upload(pattern(500_000)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("all.zip");
    let done = bucket.zip().download_to(&target).await.unwrap();
    assert_eq!(done.size, std::fs::metadata(&target).unwrap().len());
    let bytes = bucket.zip().await.unwrap().bytes(1 << 20).await.unwrap();
    assert!(bytes.starts_with(b"PK"));
    let listed = std::process::Command::new("python3")
        .args(["-c", "import sys,zipfile; z=zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print(*z.namelist(), sep='|')"])
        .arg(&target)
        .output()
        .expect("python3 is there");
    assert_eq!(String::from_utf8(listed.stdout).unwrap().trim(), "docs/|a.txt|docs/ü.bin");
    let head = bucket.head_zip().await.unwrap();
    assert_eq!(head.content_type.as_deref(), Some("application/zip"));
}

#[tokio::test]
async fn an_archive_that_was_cut_is_none() {
    let (server, bucket) = setup().await;
    bucket.file("a").upload(pattern(3000)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("all.zip");
    std::fs::write(&target, "old").unwrap();
    let whole = bucket.zip().await.unwrap().bytes(1 << 20).await.unwrap();
    for left in [0, 1, 1000, whole.len() - 22, whole.len() - 1] {
        // As if the archive were complete.
        let cut = server.inject(Fault::truncate_body(left).on("GET", "/zip"));
        let error = bucket.zip().download_to(&target).await.unwrap_err();
        assert_eq!((error.kind(), cut.fired()), (ErrorKind::Interrupted, 1), "{left}: {error:?}");
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
    bucket.file("a").delete().await.unwrap();
    assert_eq!(bucket.zip().download_to(&target).await.unwrap().size, 22, "an archive of nothing is one");
}

#[tokio::test]
async fn files_of_the_users_own_beside_the_target_stay_and_long_names_fit() {
    let (_server, bucket) = setup().await;
    let name = "n".repeat(255);
    bucket.file(&name).upload("content".as_bytes()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("notes.part");
    std::fs::write(&own, "mine").unwrap();
    for target in ["notes", &name] {
        bucket.file(&name).download_to(folder.path().join(target)).await.unwrap();
    }
    assert_eq!(std::fs::read(own).unwrap(), b"mine");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[tokio::test]
async fn the_limit_of_a_call_is_for_all_of_its_parts_together() {
    let (server, bucket) = setup().await;
    let file = bucket.file("x.bin");
    file.upload(pattern(3_000_000)).await.unwrap();
    server.inject(Fault::reset_response_after(100_000).on("GET", CONTENT).forever());
    let start = std::time::Instant::now();
    // Each part makes headway, so without the limit it would go on to its end, thirty parts later.
    let policy = RetryPolicy::default().base_delay(Duration::from_secs(2));
    let download = file.download().timeout(Duration::from_secs(5)).retry(policy).await.unwrap();
    assert!(download.bytes(3_000_000).await.is_err());
    assert!(start.elapsed() < Duration::from_secs(60));
    assert!(gets(&server) < 25, "{}", gets(&server));
}

#[tokio::test]
async fn a_server_that_gives_crumbs_is_not_asked_for_ever() {
    let (server, bucket) = setup().await;
    let file = bucket.file("x.bin");
    file.upload(pattern(1_000_000)).await.unwrap();
    server.inject(Fault::reset_response_after(1000).on("GET", CONTENT).forever());
    server.clear_requests();
    let error = file.download().await.unwrap().bytes(1_000_000).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    assert_eq!(gets(&server), 4);
}

#[test]
fn more_transfers_than_threads_do_not_wait_for_each_other() {
    // One blocking thread, which every part of a transfer needs now and then.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let (_server, bucket) = setup().await;
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        std::fs::write(&source, pattern(4_000_000)).unwrap();
        let transfers = (0..8).map(|i| {
            let (file, source, target) = (bucket.file(format!("{i}")), &source, folder.path().join(format!("{i}")));
            async move {
                file.upload(source.as_path()).await.unwrap();
                file.download_to(&target).await.unwrap()
            }
        });
        let done = tokio::time::timeout(Duration::from_secs(120), futures::future::join_all(transfers)).await.unwrap();
        assert!(done.iter().all(|d| d.size == 4_000_000 && d.verified_sha256.is_some()));
    });
}

#[tokio::test]
async fn a_stream_may_be_polled_after_its_end() {
    let (_server, bucket) = setup().await;
    bucket.file("x").upload(vec![1; 10]).await.unwrap();
    let mut stream = bucket.file("x").download().await.unwrap().stream();
    assert!(!stream.is_terminated());
    while stream.try_next().await.unwrap().is_some() {}
    assert!(stream.is_terminated() && stream.try_next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_limit_that_never_comes_is_no_limit() {
    let (_server, bucket) = setup().await;
    let file = bucket.file("x");
    let ages = Duration::MAX;
    let source = carbonfiles::Source::reader(&b"abc"[..]);
    file.upload(source).timeout(ages).response_timeout(ages).idle_timeout(ages).await.unwrap();
    let download = file.download().timeout(ages).response_timeout(ages).idle_timeout(ages).await.unwrap();
    assert_eq!(download.bytes(3).await.unwrap(), "abc");
}

#[tokio::test]
async fn a_download_can_be_passed_on() {
    let (_server, bucket) = setup().await;
    let file = bucket.file("x.txt");
    file.upload("0123456789".as_bytes()).await.unwrap();
    let whole = file.download().await.unwrap().into_http_response();
    assert_eq!(whole.status(), 200);
    for (name, value) in
        [("content-type", "text/plain; charset=utf-8"), ("content-length", "10"), ("accept-ranges", "bytes")]
    {
        assert_eq!(whole.headers()[name], value);
    }
    assert_eq!(whole.headers()["etag"], file.head().await.unwrap().etag.unwrap().as_str());
    let part = file.download().range(2..5).await.unwrap().into_http_response();
    assert_eq!((part.status().as_u16(), &part.headers()["content-range"]), (206, &"bytes 2-4/10".parse().unwrap()));
    let chunks: Vec<Bytes> = part.into_body().try_collect().await.unwrap();
    assert_eq!(chunks.concat(), b"234");
}

//! Transfers as an app sees them: watched, cancelled, limited.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use carbonfiles::{Error, ErrorKind, Phase, Progress, Source, Timeouts};
use carbonfiles_testserver::{Fault, TestServer};
use futures::{StreamExt, stream};
use support::{admin, bucket, builder, server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn within<T: IntoFuture>(work: T) -> T::Output {
    support::within(work.into_future()).await
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect()
}

#[tokio::test]
async fn a_started_transfer_tells_how_far_it_is() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let data = pattern(3_000_000);
    let upload = bucket.file("x.bin").upload(data.clone()).progress_interval(Duration::ZERO).start();
    let (first, mut watch) = (upload.progress(), upload.progress());
    let mut seen = Vec::new();
    within(async {
        while let Some(progress) = watch.next().await {
            seen.push(progress);
        }
    })
    .await;
    assert_eq!(within(upload).await.unwrap().size, 3_000_000);
    assert_eq!((seen[0].phase, seen[0].sent), (Phase::Queued, 0));
    let last = seen.last().unwrap();
    assert_eq!((last.phase, last.sent, last.percent()), (Phase::Done, 3_000_000, Some(100.0)));
    assert!(seen.iter().all(|p| p.sent <= p.total.unwrap_or(u64::MAX)));
    assert_eq!(first.current(), *last, "a watch keeps the last when the transfer is gone");

    let folder = tempfile::tempdir().unwrap();
    let download = bucket.file("x.bin").download_to(folder.path().join("x")).start();
    let watch = download.progress();
    within(download).await.unwrap();
    assert_eq!((watch.current().phase, watch.current().sent), (Phase::Done, 3_000_000));
    let phases: Vec<Progress> = within(watch.collect()).await;
    assert_eq!(phases.len(), 1, "a watch that comes late has the last, and its end");
}

#[tokio::test]
async fn a_cancelled_transfer_says_so_and_leaves_nothing() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let file = bucket.file("x.bin");
    let held = server.inject(Fault::stall_request_after(1_000_000).on("PUT", "/upload/stream"));
    let transfer = file.upload(pattern(20_000_000)).start();
    within(held.fired_at_least(1)).await;
    assert!(!transfer.is_finished());
    transfer.canceller().cancel();
    assert_eq!(within(transfer).await.unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(file.get_opt().await.unwrap().is_none());

    let held = server.inject(Fault::stall_request_after(1_000_000).on("PUT", "/upload/stream"));
    let transfer = file.upload(pattern(20_000_000)).start();
    within(held.fired_at_least(1)).await;
    let mut watch = transfer.progress();
    drop(transfer);
    within(async { while watch.next().await.is_some() {} }).await;
    assert_ne!(watch.current().phase, Phase::Done);
    assert!(file.get_opt().await.unwrap().is_none());
}

#[tokio::test]
#[should_panic(expected = "the callback's own")]
async fn a_callback_that_panics_is_not_swallowed() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let _ = bucket.file("x").upload(vec![1; 10]).progress(|_| panic!("the callback's own")).start().await;
}

#[tokio::test]
async fn a_rate_limited_callback_hears_the_first_and_the_last_of_each_attempt() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    server.inject(Fault::reset_request_after(1_000_000).on("PUT", "/upload/stream"));
    let mut seen = Vec::new();
    // More than the connection takes before it is reset.
    let upload = bucket.file("x").upload(pattern(30_000_000)).progress_interval(Duration::from_secs(3600));
    within(upload.progress(|p| seen.push((p.attempt, p.phase, p.sent)))).await.unwrap();
    assert_eq!(seen[0], (1, Phase::Sending, 0));
    assert!(matches!(seen[1], (1, Phase::Retrying { .. }, _)), "{seen:?}");
    assert_eq!(seen[2], (2, Phase::Sending, 0), "a retry starts from nothing");
    assert_eq!(seen[seen.len() - 2..], [(2, Phase::Waiting, 30_000_000), (2, Phase::Done, 30_000_000)]);
    assert_eq!(seen.len(), 5);
}

#[tokio::test]
async fn no_more_uploads_than_allowed_are_under_way() {
    let server = server().await;
    let client = builder(server.url()).token(server.admin_key()).max_transfers(3).build().unwrap();
    let bucket = bucket(&client).await;
    let (now, most, queued) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let (now, most, queued, bucket) = (&now, &most, &queued, &bucket);
    let uploads = (0..20).map(|n| async move {
        let mut chunks = 0;
        let source = Source::stream(stream::poll_fn(move |cx| {
            // A source that is read belongs to an upload that is under way.
            match chunks {
                0 => {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                }
                20 => {
                    now.fetch_sub(1, Ordering::SeqCst);
                    return std::task::Poll::Ready(None);
                }
                _ => {}
            }
            chunks += 1;
            cx.waker().wake_by_ref();
            std::task::Poll::Ready(Some(Ok::<_, std::io::Error>(Bytes::from(vec![n; 10_000]))))
        }));
        let waits = |p: Progress| {
            queued.fetch_add(usize::from(p.phase == Phase::Queued), Ordering::SeqCst);
        };
        bucket.file(format!("{n}")).upload(source).progress(waits).await.map(drop)
    });
    let done: Vec<_> = within(stream::iter(uploads).buffer_unordered(20).collect()).await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    assert!(most.load(Ordering::SeqCst) <= 3, "{most:?}");
    assert_eq!(queued.load(Ordering::SeqCst), 17);
}

#[tokio::test]
async fn a_download_by_ranges_says_that_it_waits() {
    let server = server().await;
    let client = builder(server.url()).token(server.admin_key()).max_transfers(1).build().unwrap();
    let file = bucket(&client).await.file("x");
    file.upload(pattern(5 << 20)).await.unwrap();
    let other = file.download().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let download =
        file.download_to(folder.path().join("x")).parallel(2).progress(move |p| tell.send(p.phase).unwrap_or(()));
    let download = tokio::spawn(download.send());
    assert_eq!(within(told.recv()).await, Some(Phase::Queued));
    drop(other);
    within(download).await.unwrap().unwrap();
}

#[tokio::test]
async fn no_more_downloads_to_files_than_allowed_are_under_way() {
    let server = server().await;
    let client = builder(server.url()).token(server.admin_key()).max_transfers(2).build().unwrap();
    let bucket = bucket(&client).await;
    let folder = tempfile::tempdir().unwrap();
    let gets = || server.requests().iter().filter(|r| r.method == "GET" && r.path.ends_with("/content")).count();
    let data = pattern(20 << 20);
    bucket.file("large").upload(data.clone()).await.unwrap();
    let items = (0..10).map(|n| (format!("small/{n}"), vec![n; 1000]));
    bucket.files().upload_many(items).await.unwrap().into_result().unwrap();

    let held = server.inject(Fault::stall_response_after(1).on("GET", "/content").forever());
    let queued = Arc::new(AtomicUsize::new(0));
    let waits = |queued: &Arc<AtomicUsize>| {
        let count = queued.clone();
        move |p: Progress| {
            count.fetch_add(usize::from(p.phase == Phase::Queued), Ordering::SeqCst);
        }
    };
    let told = waits(&queued);
    let small = bucket.files().download_dir(folder.path().join("all")).prefix("small").concurrency(8);
    let small = small.file_progress(move |_, p| told(p)).start();
    within(held.fired_at_least(2)).await;
    support::until(|| gets() + queued.load(Ordering::SeqCst) >= 8).await;
    assert_eq!((gets(), queued.load(Ordering::SeqCst)), (2, 6));
    held.release();
    assert_eq!(within(small).await.unwrap().into_result().unwrap().len(), 10);
    assert_eq!((gets(), support::read_folder(folder.path()).len()), (10, 10));

    server.clear_faults();
    server.clear_requests();
    let held = server.inject(Fault::stall_response_after(1).on("GET", "/content").forever());
    let target = folder.path().join("large");
    let large = bucket.file("large").download_to(&target).parallel(4).start();
    within(held.fired_at_least(2)).await;
    // A third would have been on its way before this one.
    admin(&server).health().await.unwrap();
    assert_eq!(gets(), 2);
    let alone = Arc::new(AtomicUsize::new(0));
    let third = bucket.file("large").download_to(folder.path().join("third")).progress(waits(&alone)).start();
    support::until(|| alone.load(Ordering::SeqCst) == 1).await;
    assert_eq!(gets(), 2);
    held.release();
    within(large).await.unwrap();
    within(third).await.unwrap();
    assert!(std::fs::read(&target).unwrap() == data);
    assert_eq!(gets(), 6);
}

#[tokio::test]
async fn a_turn_that_never_comes_is_a_conflict_and_nothing_is_sent() {
    // It would cut a body that stands still.
    let patient = TestServer::builder().slow_body_grace(Duration::from_secs(3600));
    let server = patient.start().await.unwrap();
    let limits = Timeouts::default().slow_response(Duration::from_secs(1));
    let client = builder(server.url()).token(server.admin_key()).timeouts(limits).build().unwrap();
    let bucket = bucket(&client).await;
    let held = server.inject(Fault::stall_request_after(10).on("PUT", "/upload/stream").forever());
    let pending = stream::iter([Ok::<_, std::io::Error>(vec![1; 10])]).chain(stream::pending());
    let first = bucket.file("x").upload(Source::stream(pending)).start();
    within(held.fired_at_least(1)).await;
    let (read, mut phases) = (AtomicUsize::new(0), Vec::new());
    let source = Source::stream(stream::once(async {
        read.fetch_add(1, Ordering::SeqCst);
        Ok::<_, std::io::Error>(vec![2; 10])
    }));
    let started = std::time::Instant::now();
    let error = within(bucket.file("x").upload(source).progress(|p| phases.push(p.phase))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    // A least time, not a measure: twice what an upload of unknown fate keeps its turn for.
    assert!(started.elapsed() >= Duration::from_secs(6), "{:?}", started.elapsed());
    assert_eq!((read.load(Ordering::SeqCst), phases.as_slice()), (0, &[Phase::Queued][..]));
    assert_eq!(server.requests().iter().filter(|request| request.method == "PUT").count(), 1);
    drop(first);
}

#[tokio::test]
async fn limits_do_not_lock_uploads_that_wait_for_each_other() {
    let server = server().await;
    let client = builder(server.url()).token(server.admin_key()).max_transfers(2).max_buffered_bytes(1 << 20);
    let client = client.build().unwrap();
    let bucket = bucket(&client).await;
    // Two paths and two contents, each of them many times: turns at paths, turns at contents, and room for two.
    let uploads = (0..24).map(|n| {
        let path = format!("{}", n % 2);
        let chunks = (0..4).map(move |_| Ok::<_, std::io::Error>(vec![(n / 2 % 2) as u8; 100_000]));
        let file = bucket.file(path);
        async move { file.upload(Source::stream(stream::iter(chunks))).await.map(drop) }
    });
    let done: Vec<_> = within(stream::iter(uploads).buffer_unordered(24).collect()).await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
}

#[tokio::test]
async fn what_is_downloaded_can_be_uploaded_as_it_comes_whatever_the_limits() {
    let server = server().await;
    let client = builder(server.url()).token(server.admin_key()).max_transfers(1).max_buffered_bytes(1);
    let client = client.build().unwrap();
    let bucket = bucket(&client).await;
    bucket.file("a").upload(pattern(5_000_000)).await.unwrap();
    let download = bucket.file("a").download().await.unwrap();
    let copy = within(bucket.file("b").upload(Source::stream(download.stream()))).await.unwrap();
    assert_eq!(copy.size, 5_000_000);
    // Read to its end or dropped, it makes room for the next.
    within(bucket.file("b").download()).await.unwrap().bytes(5_000_000).await.unwrap();
    drop(within(bucket.file("b").download()).await.unwrap());
    let held = within(bucket.file("b").download()).await.unwrap();
    let error = bucket.file("b").download().timeout(Duration::from_millis(50)).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    drop(held);
    within(bucket.file("b").download()).await.unwrap();
    for refused in [builder("http://h").max_transfers(0), builder("http://h").max_buffered_bytes(0)] {
        assert!(refused.build().unwrap_err().is_invalid_input());
    }
}

#[tokio::test]
async fn a_transfer_that_stands_still_has_told_how_far_it_came() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let file = bucket.file("x.bin");
    file.upload(pattern(3_000_000)).await.unwrap();
    let held = server.inject(Fault::stall_response_after(1_500_000).on("GET", "/content"));
    let folder = tempfile::tempdir().unwrap();
    let transfer = file.download_to(folder.path().join("x")).start();
    let mut watch = transfer.progress();
    within(async { while watch.next().await.unwrap().sent < 1_500_000 {} }).await;
    held.release();
    within(transfer).await.unwrap();
}

#[tokio::test]
async fn ranges_that_stand_still_have_told_how_far_they_came() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let file = bucket.file("x.bin");
    file.upload(pattern(4 << 20)).await.unwrap();
    for limit in [None, Some(support::GUARD)] {
        // The second of two ranges. What the first brought comes at once.
        let held = server.inject(Fault::stall_response_after(500_000).on("GET", "/content").skip(1));
        let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let download = file.download().parallel(2).progress(move |now| told.send(now.sent).unwrap_or_default());
        let download = limit.into_iter().fold(download, carbonfiles::files::DownloadFile::timeout);
        let reading = tokio::spawn(async move { download.await?.bytes(4 << 20).await });
        within(async { while heard.recv().await.unwrap() < 2 << 20 {} }).await;
        held.release();
        assert_eq!(within(reading).await.unwrap().unwrap().len(), 4 << 20);
    }
}

#[tokio::test]
async fn small_uploads_take_no_more_room_than_they_need() {
    let server = server().await;
    let client = builder(server.url()).token(server.admin_key()).max_buffered_bytes(2 << 20).build().unwrap();
    let bucket = bucket(&client).await;
    let folder = tempfile::tempdir().unwrap();
    for (name, length) in [("a", 300_000), ("b", 300_000), ("large", 3 << 20)] {
        std::fs::write(folder.path().join(name), name.repeat(length)).unwrap();
    }
    let held = server.inject(Fault::stall_headers().on("PUT", "/upload/stream"));
    let first = bucket.files().upload(folder.path().join("a")).start();
    within(held.fired_at_least(1)).await;
    within(bucket.files().upload(folder.path().join("b"))).await.unwrap();
    let sized = Source::reader(&[7; 400_000][..]).size(400_000);
    within(bucket.file("c").upload(sized)).await.unwrap();
    let large = bucket.files().upload(folder.path().join("large")).start();
    let mut phases = large.progress();
    assert_eq!(within(phases.next()).await.unwrap().phase, Phase::Queued, "that needs all there is");
    held.release();
    within(first).await.unwrap();
    within(large).await.unwrap();
}

#[tokio::test]
async fn a_reader_or_writer_that_fails_has_the_error_inside() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let told = |error: &std::io::Error| {
        let inside = error.get_ref().and_then(|inside| inside.downcast_ref::<Error>()).unwrap();
        (error.kind(), inside.kind(), inside.status().map(|status| status.as_u16()))
    };
    let gone = (std::io::ErrorKind::NotFound, ErrorKind::NotFound, Some(404));
    let mut writer = admin(&server).bucket("nosuch1234").file("x").upload_writer();
    let failed = within(async {
        loop {
            if let Err(error) = writer.write_all(&[7; 100_000]).await {
                break error;
            }
        }
    });
    assert_eq!(told(&failed.await), gone);
    assert_eq!(told(&within(writer.flush()).await.unwrap_err()), gone);
    assert_eq!(told(&within(writer.shutdown()).await.unwrap_err()), gone);
    let error = within(writer.finish()).await.unwrap_err();
    assert_eq!((error.kind(), error.status().map(|status| status.as_u16())), (gone.1, gone.2), "and finish() gives it");

    bucket.file("x").upload(pattern(300_000)).await.unwrap();
    server.inject(Fault::corrupt_response().on("GET", "/content"));
    let mut reader = bucket.file("x").download().await.unwrap().reader();
    let error = within(reader.read_to_end(&mut Vec::new())).await.unwrap_err();
    assert_eq!(told(&error), (std::io::ErrorKind::InvalidData, ErrorKind::IntegrityMismatch, Some(200)));
}

#[tokio::test]
async fn a_writer_has_the_settings_of_its_upload() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let token = bucket.upload_tokens().create().await.unwrap().token;
    let anybody = builder(server.url()).build().unwrap();
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let mut writer = anybody.bucket(bucket.id()).file("w.bin").upload_writer_with(|upload| {
        let upload = upload.upload_token(&token).header("x-writer", "yes");
        upload.progress(move |now: Progress| told.send(now).unwrap_or_default())
    });
    within(writer.write_all(b"of somebody with a token")).await.unwrap();
    assert_eq!(within(writer.finish()).await.unwrap().size, 24);
    let mut last = None;
    while let Some(now) = within(heard.recv()).await {
        last = Some((now.phase, now.sent));
    }
    assert_eq!(last, Some((Phase::Done, 24)));
    let sent = server.requests().pop().unwrap();
    assert!(sent.path.contains(&format!("token={}", token.expose())), "{}", sent.path);
    assert_eq!(sent.header("x-writer"), Some("yes"));
}

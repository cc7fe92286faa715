//! Batches that run by themselves: watched, cancelled, dropped.

use super::*;
use carbonfiles::{ProgressWatch, Transfer};
use std::sync::Mutex;
use tokio::sync::oneshot;

/// All that a watch shows, to its end.
async fn shown(watch: ProgressWatch<BatchProgress>) -> Vec<BatchProgress> {
    within(watch.collect()).await
}

/// A folder of equal sized files.
fn folder_of(files: usize, length: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..files {
        fs::write(folder.path().join(format!("{n:02}")), pattern(length, n)).unwrap();
    }
    folder
}

fn skipped<T>(batch: &carbonfiles::files::Batch<T>, wanted: Skipped) -> usize {
    batch.skipped().filter(|(_, why)| *why == wanted).count()
}

#[tokio::test]
async fn a_watch_sees_it_from_the_first_to_the_last() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = tree_with_a_long_one(from.path());
    let bytes = files.values().map(Vec::len).sum::<usize>() as u64;
    let cut = server.inject(Fault::reset_request_after(4 << 20).on("PUT", LONG));
    let check = |seen: &[BatchProgress], total: Option<u64>| {
        let (first, last) = (seen[0], seen[seen.len() - 1]);
        assert_eq!((first.files, first.bytes, first.finished), (0, 0, false));
        assert_eq!((last.files, last.failed, last.files_total, last.bytes), (9, 0, Some(9), bytes));
        assert_eq!((last.bytes_total, last.percent(), last.finished), (Some(bytes), Some(100.0), true));
        assert!(seen.iter().all(|p| p.bytes <= p.bytes_total.unwrap_or(u64::MAX)), "{seen:?}");
        assert!(seen.iter().all(|p| p.bytes_total.is_none() || total.is_none() || p.bytes_total == total), "{seen:?}");
        assert!(seen.windows(2).all(|two| two[0].files <= two[1].files && !two[0].finished), "{seen:?}");
    };

    let upload = bucket.files().upload_dir(from.path()).progress_interval(Duration::ZERO).start();
    let (kept, watch) = (upload.progress(), upload.progress());
    assert_eq!((kept.current().files_total, kept.current().bytes_total), (None, None), "it has not looked yet");
    let seen = shown(watch).await;
    check(&seen, Some(bytes));
    assert!(cut.fired() == 1 && goes_back(&seen), "{seen:?}");
    assert_eq!(within(upload).await.unwrap().into_result().unwrap().len(), 9);
    assert_eq!(kept.current(), seen[seen.len() - 1], "a watch keeps the last when the transfer is gone");
    assert_eq!(shown(kept).await.len(), 1, "one that comes late has the last, and its end");

    let download = bucket.files().download_dir(to.path()).progress_interval(Duration::ZERO).start();
    check(&shown(download.progress()).await, Some(bytes));
    assert_eq!(within(download).await.unwrap().into_result().unwrap().len(), 9);
    assert_eq!(read_folder(to.path()), files);

    // Of an iterator, nobody knows the total before its end.
    let upload = bucket.files().upload_many(files).progress_interval(Duration::ZERO).start();
    check(&shown(upload.progress()).await, None);
    assert_eq!(within(upload).await.unwrap().into_result().unwrap().len(), 9);
}

/// Nothing comes after what was held back, and it is told all the same.
#[tokio::test]
async fn one_that_stands_still_has_told_how_far_it_came() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let held = server.inject(Fault::stall_headers().on("PUT", "held"));
    let items = ["held", "a", "b", "c"].map(|name| (name, vec![7; 10]));
    let upload = bucket.files().upload_many(items).progress_interval(Duration::from_millis(500)).start();
    let mut watch = upload.progress();
    within(async { while watch.next().await.unwrap().files < 3 {} }).await;
    held.release();
    assert_eq!(within(upload).await.unwrap().done().count(), 4);
}

#[tokio::test]
async fn callbacks_are_called_beside_the_watch() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let (told, names) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(BTreeMap::new())));
    let (tell, name) = (told.clone(), names.clone());
    let items = (0..5).map(|n| (format!("{n}"), pattern(1000, n)));
    let transfer = bucket
        .files()
        .upload_many(items)
        .progress_interval(Duration::from_secs(3600))
        .progress(move |p| tell.lock().unwrap().push(p))
        .file_progress(move |path, p| {
            name.lock().unwrap().insert(path.to_owned(), p.phase);
        })
        .start();
    let watch = transfer.progress();
    assert!(told.lock().unwrap().is_empty(), "they are called in the task");
    within(transfer).await.unwrap().into_result().unwrap();
    let told = told.lock().unwrap();
    assert_eq!(told.iter().map(|p| (p.files, p.finished)).collect::<Vec<_>>(), [(0, false), (5, true)]);
    assert_eq!(watch.current(), told[1]);
    assert_eq!(told[1].bytes, 5000);
    let names = names.lock().unwrap();
    assert!(names.len() == 5 && names.values().all(|phase| *phase == carbonfiles::Phase::Done), "{names:?}");
}

#[tokio::test]
#[should_panic(expected = "the callback's own")]
async fn a_callback_that_panics_is_not_swallowed() {
    let server = server().await;
    let files = bucket(&admin(&server)).await.files();
    let _ = within(files.upload_many([("x", vec![1])]).progress(|_| panic!("the callback's own")).start()).await;
}

/// It is called by the job that looks through the folder.
#[tokio::test]
#[should_panic(expected = "the filter's own")]
async fn a_filter_that_panics_is_not_swallowed() {
    let server = server().await;
    let files = bucket(&admin(&server)).await.files();
    let folder = folder_of(1, 1);
    let _ = within(files.upload_dir(folder.path()).filter(|_| panic!("the filter's own")).start()).await;
}

/// It is called by the task that fetches a page.
#[tokio::test]
#[should_panic(expected = "the provider's own")]
async fn a_token_provider_that_panics_in_a_listing_is_not_swallowed() {
    async fn token() -> Result<&'static str, std::io::Error> {
        panic!("the provider's own")
    }
    let client = support::builder("http://127.0.0.1:9").token_provider(token).build().unwrap();
    let _ = within(client.bucket("b").files().list_all().stable().items().try_next()).await;
}

#[tokio::test]
async fn cancelled_on_the_way_it_says_what_was_done() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = folder_of(30, 10);
    let held = server.inject(Fault::stall_request_after(1).on("PUT", "upload/stream").skip(10).forever());
    let upload = bucket.files().upload_dir(folder.path()).concurrency(5).start();
    let (watch, canceller) = (upload.progress(), upload.canceller());
    within(held.fired_at_least(5)).await;
    assert!(!upload.is_finished());
    upload.cancel();
    let batch = within(upload).await.unwrap();
    assert_eq!(
        (batch.done().count(), skipped(&batch, Skipped::Cancelled), skipped(&batch, Skipped::NotStarted)),
        (10, 5, 15)
    );
    assert!(batch.stopped && batch.files.len() == 30);
    assert_eq!(stored(&bucket).await.len(), 10);
    let last = watch.current();
    assert_eq!((last.files, last.failed, last.bytes, last.finished), (10, 0, 100, true));
    assert_eq!(batch.into_result().unwrap_err().kind(), ErrorKind::Cancelled);
    canceller.cancel();

    held.release();
    server.clear_faults();
    bucket.files().upload_dir(folder.path()).await.unwrap().into_result().unwrap();
    let to = tempfile::tempdir().unwrap();
    let held = server.inject(Fault::stall_response_after(5).on("GET", "/content").skip(4).forever());
    let download = bucket.files().download_dir(to.path()).concurrency(3).start();
    let canceller = download.canceller();
    tokio::spawn(async move {
        held.fired_at_least(3).await;
        canceller.cancel();
    });
    let batch = within(download).await.unwrap();
    assert_eq!((batch.done().count(), skipped(&batch, Skipped::Cancelled), batch.files.len()), (4, 3, 30));
    let there = read_folder(to.path());
    assert_eq!(there.keys().filter(|name| !name.contains(".part")).count(), 4);
    for (path, _) in batch.done() {
        assert_eq!(there[path], pattern(10, path.parse().unwrap()));
    }
}

/// On one thread, so that the task can't have begun.
#[tokio::test]
async fn cancelled_before_it_began_nothing_is_sent() {
    let server = server().await;
    let files = bucket(&admin(&server)).await.files();
    let folder = folder_of(3, 10);
    server.clear_requests();
    let up = files.upload_dir(folder.path()).start();
    up.cancel();
    let down = files.download_dir(folder.path()).start();
    down.canceller().cancel();
    for outcome in [within(up).await.map(drop), within(down).await.map(drop)] {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Cancelled);
    }
    let many = files.upload_many((0..100).map(|n| (format!("{n}"), vec![1]))).start();
    let watch = many.progress();
    many.cancel();
    let batch = within(many).await.unwrap();
    assert!(batch.stopped && batch.files.len() == skipped(&batch, Skipped::Cancelled));
    assert!(watch.current().finished && watch.current().bytes == 0);
    assert!(server.requests().is_empty(), "{:?}", server.requests());
    // What is wrong with the batch itself is said all the same.
    let wrong = files.upload_dir(folder.path()).concurrency(0).start();
    wrong.cancel();
    assert!(within(wrong).await.unwrap_err().is_invalid_input());
}

/// While the bucket is listed or the folder is looked through there is no outcome yet.
#[tokio::test]
async fn cancelled_while_it_looks_it_is_an_error() {
    let server = server().await;
    let files = bucket(&admin(&server)).await.files();
    let folder = folder_of(1, 10);
    let held = server.inject(Fault::stall_headers().on("GET", "delimiter"));
    let down = files.download_dir(folder.path()).start();
    let watch = down.progress();
    within(held.fired_at_least(1)).await;
    down.cancel();
    assert_eq!(within(down).await.unwrap_err().kind(), ErrorKind::Cancelled);
    let seen = shown(watch).await;
    assert!(seen.len() == 1 && !seen[0].finished, "{seen:?}");

    let (release, wait) = std::sync::mpsc::channel::<()>();
    let (wait, (begun, looking)) = (Mutex::new(wait), oneshot::channel());
    let begun = Mutex::new(Some(begun));
    let hold = move |_: &str| {
        if let Some(begun) = begun.lock().unwrap().take() {
            begun.send(()).unwrap();
        }
        wait.lock().unwrap().recv().is_ok()
    };
    let up = files.upload_dir(folder.path()).filter(hold).start();
    within(looking).await.unwrap();
    up.cancel();
    assert_eq!(within(up).await.unwrap_err().kind(), ErrorKind::Cancelled);
    drop(release);
}

#[tokio::test]
async fn dropped_it_ends_and_leaves_nothing_half() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = folder_of(10, 100_000);
    let held = server.inject(Fault::stall_request_after(50_000).on("PUT", "upload/stream").skip(4).forever());
    let upload = bucket.files().upload_dir(folder.path()).concurrency(3).start();
    let (watch, canceller) = (upload.progress(), upload.canceller());
    within(held.fired_at_least(3)).await;
    drop(upload);
    let last = *shown(watch).await.last().unwrap();
    assert!(!last.finished, "{last:?}");
    canceller.cancel();
    assert_eq!(stored(&bucket).await.len(), 4);
    assert_eq!(held.fired(), 3, "no other was begun");
}

#[tokio::test]
async fn a_signal_of_ones_own_ends_it_beside_cancel() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = folder_of(3, 10);
    for own in [true, false] {
        let held = server.inject(Fault::stall_request_after(1).on("PUT", "upload/stream").forever());
        let (send, receive) = oneshot::channel::<()>();
        let transfer = bucket.files().upload_dir(folder.path()).cancel_when(receive).start();
        within(held.fired_at_least(3)).await;
        match own {
            true => send.send(()).unwrap(),
            false => transfer.cancel(),
        }
        let batch = within(transfer).await.unwrap();
        assert!(batch.stopped && skipped(&batch, Skipped::Cancelled) == 3, "{batch:?}");
        server.clear_faults();
    }
    // Neither of them.
    let (_send, receive) = oneshot::channel::<()>();
    let transfer: Transfer<_, BatchProgress> = bucket.files().upload_dir(folder.path()).cancel_when(receive).start();
    assert_eq!(within(transfer).await.unwrap().into_result().unwrap().len(), 3);
}

#[tokio::test]
async fn a_file_that_fails_is_in_the_outcome_and_in_the_watch() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = folder_of(20, 10);
    for policy in [OnFailure::Stop, OnFailure::GoOn] {
        server.inject(Fault::status(507).on("PUT", "filename=05"));
        let upload = bucket.files().upload_dir(folder.path()).concurrency(1).on_failure(policy).start();
        let watch = upload.progress();
        let batch = within(upload).await.unwrap();
        let done = if policy == OnFailure::Stop { 5 } else { 19 };
        assert_eq!((batch.done().count(), batch.failed().count()), (done, 1));
        assert_eq!(batch.stopped, policy == OnFailure::Stop);
        let last = watch.current();
        assert_eq!((last.files, last.failed, last.bytes), (done as u64, 1, 10 * done as u64));
        assert!(last.finished);
        assert_eq!(batch.into_result().unwrap_err().kind(), ErrorKind::QuotaExceeded);
    }
}

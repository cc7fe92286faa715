//! What ends a batch before its last file: a failure, a signal, a drop.

use carbonfiles::files::Batch;

use super::*;

#[tokio::test]
async fn a_failure_stops_the_rest_or_does_not() {
    let server = server().await;
    let client = builder(server.url()).token(server.admin_key()).retry(RetryPolicy::never()).build().unwrap();
    let bucket = bucket(&client).await;
    let items = || (0..20).map(|n| (format!("{n:02}"), pattern(100, n)));
    server.inject(Fault::status(507).on("PUT", "filename=05"));
    let batch = bucket.files().upload_many(items()).concurrency(1).await.unwrap();
    assert!(batch.stopped);
    assert_eq!((batch.done().count(), batch.files.len()), (5, 6));
    assert_eq!(batch.into_result().unwrap_err().kind(), ErrorKind::QuotaExceeded);

    server.inject(Fault::status(507).on("PUT", "filename=05"));
    let batch = bucket.files().upload_many(items()).on_failure(OnFailure::GoOn).await.unwrap();
    assert!(!batch.stopped);
    assert_eq!((batch.done().count(), batch.failed().count()), (19, 1));
}

/// How many had no time left, were given up, and never began; there are no others.
fn ends<T>(batch: &Batch<T>) -> (usize, usize, usize) {
    let count = |wanted| batch.skipped().filter(|(_, why)| *why == wanted).count();
    let timeout = ErrorKind::Timeout(TimeoutPhase::Total);
    let failed = batch.failed().filter(|(_, error)| error.kind() == timeout).count();
    let ends = (failed, count(Skipped::Cancelled), count(Skipped::NotStarted));
    assert_eq!((batch.files.len(), batch.stopped), (ends.0 + ends.1 + ends.2, ends.1 > 0));
    ends
}

#[tokio::test]
async fn the_end_of_its_time_is_a_failure_like_others() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    let items = || (0..16).map(|n| (format!("{n:02}"), pattern(100, n)));
    let wanted = || items().map(|(name, _)| (name.clone(), folder.path().join(name)));
    server.inject(Fault::stall_headers().on("*", "/").forever());
    let (files, short) = (bucket.files(), Duration::from_millis(100));
    for (policy, listed, iterated) in
        [(OnFailure::Stop, (1, 7, 8), (1, 7, 0)), (OnFailure::GoOn, (16, 0, 0), (16, 0, 0))]
    {
        let down = files.download_many(wanted()).on_failure(policy).timeout(short);
        let up = files.upload_many(items()).on_failure(policy).timeout(short);
        assert_eq!(ends(&within(down.send()).await.unwrap()), listed, "{policy:?}");
        assert_eq!(ends(&within(up.send()).await.unwrap()), iterated, "{policy:?}");
    }
}

/// Also when the outcomes are looked at one by one, and slowly.
#[tokio::test]
async fn a_failure_gives_up_the_others_at_once() {
    struct Held(Arc<AtomicBool>);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let given_up = Arc::new(AtomicBool::new(false));
    let held = Held(given_up.clone());
    let never = futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>().map(move |chunk| {
        let _ = &held;
        chunk
    });
    let missing = tempfile::tempdir().unwrap().path().join("missing");
    let items: Vec<(&str, Source<'_>)> = vec![("never", Source::stream(never)), ("missing", missing.into())];
    let mut outcomes = bucket.files().upload_many(items).stream().await.unwrap();
    assert_eq!(within(outcomes.next()).await.unwrap().path, "missing");
    assert!(given_up.load(Ordering::SeqCst));
    let last = within(outcomes.next()).await.unwrap();
    assert!(last.path == "never" && matches!(last.outcome, FileOutcome::Skipped(Skipped::Cancelled)));
}

#[tokio::test]
async fn a_signal_ends_it_and_the_outcome_says_what_was_done() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    for n in 0..30 {
        fs::write(folder.path().join(format!("{n:02}")), pattern(10, n)).unwrap();
    }
    let held = server.inject(Fault::stall_request_after(1).on("PUT", "upload/stream").skip(10).forever());
    let signal = held.clone();
    let upload = bucket.files().upload_dir(folder.path()).concurrency(5);
    let batch = within(upload.cancel_when(async move { signal.fired_at_least(5).await }).send()).await.unwrap();
    assert_eq!(held.fired(), 5, "no more than five at once");
    let count = |wanted| batch.skipped().filter(|(_, why)| *why == wanted).count();
    assert_eq!((batch.done().count(), count(Skipped::Cancelled), count(Skipped::NotStarted)), (10, 5, 15));
    assert!(batch.stopped && batch.files.len() == 30);
    assert_eq!(stored(&bucket).await.len(), 10);
    let error = batch.into_result().unwrap_err();
    assert_eq!(
        (error.kind(), error.is_retryable()),
        (ErrorKind::Cancelled, false),
        "nothing that was stopped is begun again"
    );
}

/// Looking through folders and listings may take as long as the copying.
#[tokio::test]
async fn a_signal_ends_the_looking_too() {
    let server = server().await;
    let files = bucket(&admin(&server)).await.files();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x"), "x").unwrap();
    let hold = || {
        let held = server.inject(Fault::stall_headers().on("GET", "delimiter"));
        async move { held.fired_at_least(1).await }
    };
    for outcome in [
        within(files.download_dir(folder.path()).cancel_when(hold()).send()).await.map(drop),
        within(files.sync_down(folder.path()).cancel_when(hold()).send()).await.map(drop),
        within(files.sync_up(folder.path()).cancel_when(hold()).send()).await.map(drop),
        within(files.sync_up(folder.path()).cancel_when(hold()).plan()).await.map(drop),
        within(files.upload_dir(folder.path()).cancel_when(async {}).send()).await.map(drop),
    ] {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Cancelled);
    }
}

#[tokio::test]
async fn dropping_it_leaves_nothing_half() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    for n in 0..10 {
        bucket.file(format!("{n}")).upload(pattern(100_000, n)).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let held = server.inject(Fault::stall_response_after(50_000).on("GET", "/content").skip(4).forever());
    let download = tokio::spawn(bucket.files().download_dir(folder.path()).concurrency(3).send());
    within(held.fired_at_least(3)).await;
    download.abort();
    assert!(download.await.unwrap_err().is_cancelled());
    for (name, content) in read_folder(folder.path()) {
        assert!(name.contains(".part") || content == pattern(100_000, name.parse().unwrap()), "{name}");
    }
}

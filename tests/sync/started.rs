//! Syncs that run by themselves: watched, cancelled, dropped.

use super::*;
use carbonfiles::files::BatchProgress;
use futures::StreamExt;
use support::within;

/// Ten files of ten bytes each.
fn ten() -> Tree {
    (0..10).map(|n| (format!("{n}"), format!("text no. {n}"))).collect()
}

fn counts<T>(batch: &carbonfiles::files::Batch<T>) -> (usize, usize, usize) {
    let count = |wanted| batch.skipped().filter(|(_, why)| *why == wanted).count();
    (batch.done().count(), count(Skipped::Cancelled), count(Skipped::NotStarted))
}

#[tokio::test]
async fn a_watch_sees_the_copies_from_the_first_to_the_last() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(folder.path(), &ten());
    fill(&bucket, &tree(&[("0", "text no. 0"), ("extra", "x")])).await;
    let check = |seen: &[BatchProgress], files: u64| {
        let (first, last) = (seen[0], seen[seen.len() - 1]);
        assert_eq!((first.files, first.bytes, first.finished), (0, 0, false));
        assert_eq!((last.files, last.files_total, last.failed), (files, Some(files), 0));
        assert_eq!((last.bytes, last.bytes_total, last.finished), (10 * files, Some(10 * files), true));
        assert!(seen.iter().all(|p| p.bytes <= p.bytes_total.unwrap_or(u64::MAX)), "{seen:?}");
    };
    let mut told = Vec::new();
    let (tell, mut hear) = tokio::sync::mpsc::unbounded_channel();
    let up = bucket.files().sync_up(folder.path()).delete_extra(true).progress_interval(std::time::Duration::ZERO);
    let up = up.progress(move |p| tell.send(p).unwrap()).start();
    let seen: Vec<_> = within(up.progress().collect()).await;
    check(&seen, 9);
    assert_eq!(support::totals(within(up).await.unwrap()), (9, 1));
    while let Some(progress) = hear.recv().await {
        told.push(progress);
    }
    check(&told, 9);
    assert!(told.len() >= 9 && seen.last() == told.last());

    fs::write(other.path().join("extra"), "x").unwrap();
    let down = bucket.files().sync_down(other.path()).delete_extra(true).start();
    check(&within(down.progress().collect::<Vec<_>>()).await, 10);
    assert_eq!(support::totals(within(down).await.unwrap()), (10, 1));
    assert_eq!(read(other.path()), ten());
}

#[tokio::test]
async fn cancelled_on_the_way_it_says_what_was_done() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &ten());
    fill(&bucket, &tree(&[("extra", "x")])).await;
    let held = server.inject(Fault::stall_request_after(1).on("PUT", "upload/stream").skip(3).forever());
    let up = bucket.files().sync_up(folder.path()).delete_extra(true).concurrency(2).start();
    let watch = up.progress();
    within(held.fired_at_least(2)).await;
    up.cancel();
    let done = within(up).await.unwrap();
    assert_eq!((counts(&done.copied), counts(&done.deleted)), ((3, 2, 5), (0, 0, 1)));
    assert!(done.copied.stopped);
    assert_eq!((watch.current().files, watch.current().bytes, watch.current().finished), (3, 30, true));
    assert_eq!(stored(&bucket).await.len(), 4, "nothing half, and nothing deleted");
    assert_eq!(done.into_result().unwrap_err().kind(), ErrorKind::Cancelled);

    server.clear_faults();
    fill(&bucket, &ten()).await;
    let to = tempfile::tempdir().unwrap();
    write(to.path(), &tree(&[("0", "what was there before"), ("only here", "x")]));
    let held = server.inject(Fault::stall_response_after(5).on("GET", "/content").forever());
    let down = bucket.files().sync_down(to.path()).delete_extra(true).concurrency(2).start();
    within(held.fired_at_least(2)).await;
    down.canceller().cancel();
    let done = within(down).await.unwrap();
    assert_eq!((counts(&done.copied), counts(&done.deleted)), ((0, 2, 9), (0, 0, 1)));
    let mut there = read(to.path());
    there.retain(|name, _| !name.contains(".part"));
    assert_eq!(there, tree(&[("0", "what was there before"), ("only here", "x")]));
}

/// When all has been copied, what is left to delete can still be cancelled.
#[tokio::test]
async fn cancelled_while_it_deletes_it_says_so() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &tree(&[("a", "1")]));
    fill(&bucket, &tree(&[("extra 1", "x"), ("extra 2", "y")])).await;
    let held = server.inject(Fault::stall_headers().on("DELETE", "extra").forever());
    let up = bucket.files().sync_up(folder.path()).delete_extra(true).concurrency(1).start();
    let watch = up.progress();
    within(held.fired_at_least(1)).await;
    assert!(watch.current().finished && !up.is_finished(), "the copies are done, the sync is not");
    up.cancel();
    let done = within(up).await.unwrap();
    assert_eq!((counts(&done.copied), counts(&done.deleted)), ((1, 0, 0), (0, 1, 1)));
    assert!(!done.copied.stopped && done.deleted.stopped);
    assert!(stored(&bucket).await.contains_key("extra 2") && held.fired() == 1, "no other was begun");
    assert_eq!(done.into_result().unwrap_err().kind(), ErrorKind::Cancelled);
}

/// On one thread, so that the task can't have begun; and while it looks.
#[tokio::test]
async fn cancelled_before_the_first_file_nothing_is_changed() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &tree(&[("a", "1")]));
    fill(&bucket, &tree(&[("extra", "x")])).await;
    let up = || bucket.files().sync_up(folder.path()).delete_extra(true);
    let plan = up().plan().await.unwrap();
    server.clear_requests();
    let (first, second) = (up().start(), bucket.files().sync_down(folder.path()).delete_extra(true).start());
    first.cancel();
    second.cancel();
    for outcome in [within(first).await.map(drop), within(second).await.map(drop)] {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Cancelled);
    }
    assert!(server.requests().is_empty());
    // With a plan there is nothing to look at, and so an outcome.
    let planned = up().apply(plan).start();
    planned.cancel();
    let done = within(planned).await.unwrap();
    assert_eq!((counts(&done.copied), counts(&done.deleted)), ((0, 1, 0), (0, 0, 1)));
    assert!(done.copied.stopped && changes(&server) == 0);

    for is_up in [true, false] {
        let held = server.inject(Fault::stall_headers().on("GET", "delimiter"));
        let (cancel, ended): (_, futures::future::BoxFuture<'_, _>) = if is_up {
            let up = up().start();
            (up.canceller(), Box::pin(async move { up.await.map(drop) }))
        } else {
            let down = bucket.files().sync_down(folder.path()).delete_extra(true).start();
            (down.canceller(), Box::pin(async move { down.await.map(drop) }))
        };
        within(held.fired_at_least(1)).await;
        cancel.cancel();
        assert_eq!(within(ended).await.unwrap_err().kind(), ErrorKind::Cancelled);
    }
    assert_eq!((changes(&server), read(folder.path()).len()), (0, 1));
}

#[tokio::test]
async fn dropped_it_ends() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &ten());
    let held = server.inject(Fault::stall_request_after(1).on("PUT", "upload/stream").skip(3).forever());
    let up = bucket.files().sync_up(folder.path()).concurrency(2).start();
    let watch = up.progress();
    within(held.fired_at_least(2)).await;
    drop(up);
    let last = within(watch.collect::<Vec<_>>()).await.pop().unwrap();
    assert!(!last.finished, "{last:?}");
    assert_eq!((stored(&bucket).await.len(), held.fired()), (3, 2));
}

#[tokio::test]
async fn a_file_that_fails_and_a_signal_of_ones_own_end_it_as_ever() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &ten());
    fill(&bucket, &tree(&[("extra", "x")])).await;
    server.inject(Fault::status(507).on("PUT", "filename=3"));
    let up = bucket.files().sync_up(folder.path()).delete_extra(true).concurrency(1).start();
    let watch = up.progress();
    let done = within(up).await.unwrap();
    assert_eq!((counts(&done.copied), done.copied.failed().count()), ((3, 0, 6), 1));
    assert_eq!((watch.current().files, watch.current().failed, watch.current().bytes), (3, 1, 30));
    assert_eq!(done.into_result().unwrap_err().kind(), ErrorKind::QuotaExceeded);

    let held = server.inject(Fault::stall_request_after(1).on("PUT", "upload/stream").forever());
    let signal = held.clone();
    let up = bucket.files().sync_up(folder.path()).cancel_when(async move { signal.fired_at_least(7).await }).start();
    let done = within(up).await.unwrap();
    assert!(done.copied.stopped && counts(&done.copied) == (0, 7, 0), "{done:?}");
}

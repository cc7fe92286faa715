//! The log writer: no append is half there, and none twice.

use std::time::Duration;

use carbonfiles::Bucket;
use carbonfiles_testserver::Fault;
use futures::future::{BoxFuture, FutureExt};
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;

use crate::support::{admin, bucket, server, within};
use crate::{LENGTH, content, dropped_at, may_be_whole, on_the_way_up};

/// Runs in a runtime of its own, which ends, with all its tasks, when this is dropped: as a program does.
struct Program {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Program {
    fn start(work: BoxFuture<'static, ()>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! { () = work => {}, _ = stopped => {} }
            });
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

fn lines(name: &str, length: usize) -> Vec<u8> {
    let mut lines = Vec::new();
    for number in 0.. {
        lines.extend_from_slice(format!("{name} {number}\n").as_bytes());
        if lines.len() >= length {
            break;
        }
    }
    lines
}

/// One append that is confirmed, one that begins by itself, and a line behind it.
async fn log(bucket: Bucket, blocks: [Vec<u8>; 3]) {
    let log = bucket.file("x").log_writer().flush_bytes(blocks[1].len()).flush_every(Duration::from_secs(3600));
    let Ok(mut log) = log.await else { return };
    let [first, second, third] = blocks;
    if log.write_all(&first).await.is_ok() && log.flush().await.is_ok() && log.write_all(&second).await.is_ok() {
        let _ = log.write_all(&third).await;
        std::future::pending::<()>().await;
    }
}

/// The whole program ends, or only the writer is dropped: then the rest is appended in the background.
async fn a_log_has_whole_appends_once(is_program: bool) {
    let server = server().await;
    let blocks = [lines("first", 1000), lines("second", LENGTH), lines("third", 1)];
    let length = blocks[1].len() as u64;
    for old in [false, true] {
        let opening = [
            ("opening", Fault::stall_headers().on("HEAD", "/x")),
            ("making", Fault::stall_headers().on("PUT", "/upload")),
            ("making, the answer's body", Fault::stall_response_after(1).on("PUT", "/upload")),
        ];
        let mut holds: Vec<_> =
            opening.into_iter().take(if old { 1 } else { 3 }).map(|(n, f)| (n.to_owned(), f)).collect();
        let in_opening = holds.len();
        // The first has been confirmed then.
        holds.push(("looking".to_owned(), Fault::stall_headers().on("HEAD", "/x").skip(2)));
        holds.extend(on_the_way_up("PATCH", "/content", length).into_iter().map(|(n, hold)| (n, hold.skip(1))));
        for (index, (name, hold)) in holds.into_iter().enumerate() {
            let at = format!("{name}, old: {old}, program: {is_program}");
            let bucket = bucket(&admin(&server)).await;
            let mut whole = Vec::new();
            if old {
                whole = lines("old", 100);
                bucket.file("x").upload(whole.clone()).await.unwrap();
            }
            // What it may have, from one append to the next.
            let mut steps = vec![whole.clone()];
            for block in &blocks {
                whole.extend_from_slice(block);
                steps.push(whole.clone());
            }
            let start = |bucket: Bucket| -> BoxFuture<'static, ()> {
                let work = log(bucket, blocks.clone()).boxed();
                if !is_program {
                    return work;
                }
                let program = Program::start(work);
                async move {
                    let _program = program;
                    std::future::pending::<()>().await;
                }
                .boxed()
            };
            // A connection belongs to the runtime that made it.
            let writing = admin(&server).bucket(bucket.id());
            assert!(dropped_at(&server, &writing, hold, &start).await, "{at}: it was not held");
            let is_opening = index < in_opening;
            let steps = match (is_opening, is_program) {
                (true, _) => &steps[..1],
                (false, true) if name == "looking" || !may_be_whole(&name) => &steps[1..2],
                (false, true) => &steps[1..3],
                (false, false) => {
                    within(async { while content(&bucket, "x").await.as_ref() != Some(&whole) {} }).await;
                    &steps[3..]
                }
            };
            let found = content(&bucket, "x").await;
            let is_step = found.as_ref().map_or(is_opening && !old, |found| steps.contains(found));
            assert!(is_step, "{at}: {:?} bytes", found.map(|found| found.len()));

            let again = admin(&server).bucket(bucket.id()).file("x");
            within(async {
                let mut log = again.log_writer().await.unwrap();
                log.write_all(b"again\n").await.unwrap();
                log.shutdown().await.unwrap();
            })
            .await;
            let found = content(&bucket, "x").await.unwrap();
            let is_step = found.strip_suffix(b"again\n").is_some_and(|rest| steps.iter().any(|step| step == rest));
            assert!(is_step, "{at}: {} bytes in the end", found.len());
        }
    }
}

#[tokio::test]
async fn a_log_writer_whose_program_ends_has_appended_whole_or_not_at_all() {
    a_log_has_whole_appends_once(true).await;
}

#[tokio::test]
async fn a_log_writer_that_is_dropped_appends_the_rest_once() {
    a_log_has_whole_appends_once(false).await;
}

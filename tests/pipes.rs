//! Uploads of what is no regular file, by its path: pipes with and without writers, and devices.
#![cfg(target_os = "linux")]

mod support;

use std::io::{BufRead, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use carbonfiles::{Bucket, ErrorKind, Source};
use support::pipes::{fifo, writer};
use support::{admin, bucket, server, within};
use tokio::io::AsyncWriteExt;

async fn content(bucket: &Bucket, path: &str) -> Vec<u8> {
    bucket.file(path).download().await.unwrap().bytes(16 << 20).await.unwrap().to_vec()
}

/// Does it on a runtime of its own, and fails where that can't end while what it gave is still there.
fn on_a_runtime_that_ends<T: 'static, F: Future<Output = T>>(work: impl FnOnce() -> F + Send + 'static) {
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let kept = runtime.block_on(work());
        drop(runtime);
        ended.send(()).unwrap();
        drop(kept);
    });
    end.recv_timeout(support::GUARD).expect("the runtime ends");
}

#[test]
fn an_upload_of_a_pipe_without_a_writer_can_be_given_up() {
    on_a_runtime_that_ends(async || {
        let server = server().await;
        let bucket = bucket(&admin(&server)).await;
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(folder.path(), "pipe");
        server.clear_requests();
        let upload = || bucket.files().upload(&path);
        let late = upload().timeout(Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(late.kind(), ErrorKind::Timeout(_)), "{late:?}");
        assert!(tokio::time::timeout(Duration::from_millis(50), upload().send()).await.is_err());
        assert!(server.requests().is_empty(), "nothing is sent before there is something to send");
        // Nobody may open it now: that would let go of whoever still waits.
        folder
    });
}

#[test]
fn an_upload_of_a_pipe_that_falls_silent_can_be_given_up() {
    on_a_runtime_that_ends(async || {
        let server = server().await;
        let bucket = bucket(&admin(&server)).await;
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(folder.path(), "pipe");
        let (sent, mut begun) = tokio::sync::mpsc::unbounded_channel();
        let upload = bucket.files().upload(&path).progress_interval(Duration::ZERO).progress(move |progress| {
            if progress.sent > 0 {
                let _ = sent.send(());
            }
        });
        let write = async {
            // Opened for good, by a descriptor that does not belong to the runtime.
            let mut writer = writer(&path).await;
            let silent = std::fs::File::options().write(true).open(&path).unwrap();
            writer.write_all(&[7; 300_000]).await.unwrap();
            begun.recv().await.unwrap();
            // All is read by then, and the next read waits.
            for _ in 0..20 {
                bucket.get().await.unwrap();
            }
            silent
        };
        let silent = within(async {
            tokio::select! {
                done = upload.send() => panic!("{done:?}"),
                silent = write => silent,
            }
        })
        .await;
        assert!(bucket.file("pipe").get_opt().await.unwrap().is_none());
        (silent, folder)
    });
}

#[tokio::test]
async fn the_writer_of_a_pipe_is_waited_for_however_late_it_is() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    let path = fifo(folder.path(), "pipe");
    let data: Vec<u8> = (0..3_000_001_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let upload = bucket.file("x").upload(path.as_path()).send();
    let write = async {
        let mut writer = writer(&path).await;
        // Open, but with nothing in it: neither is an end.
        for _ in 0..20 {
            assert!(bucket.file("x").get_opt().await.unwrap().is_none());
        }
        for half in data.chunks(data.len() / 2 + 1) {
            writer.write_all(half).await.unwrap();
            bucket.get().await.unwrap();
        }
    };
    let (done, ()) = within(async { tokio::join!(upload, write) }).await;
    assert_eq!(done.unwrap().size, 3_000_001);
    assert!(content(&bucket, "x").await == data);
    // Nobody opens it for a while, and who does has nothing to say.
    let upload = bucket.file("empty").upload(path.as_path()).send();
    let write = async {
        for _ in 0..20 {
            assert!(bucket.file("empty").get_opt().await.unwrap().is_none());
        }
        drop(writer(&path).await);
    };
    let (done, ()) = within(async { tokio::join!(upload, write) }).await;
    assert_eq!(done.unwrap().size, 0);
}

#[tokio::test]
async fn what_a_shell_substitutes_and_devices_are_read_as_ever() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let (reader, mut writer) = std::io::pipe().unwrap();
    let path = format!("/dev/fd/{}", reader.as_raw_fd());
    writer.write_all(b"of a process").unwrap();
    drop(writer);
    // Its writer is gone already.
    let done = within(bucket.file("x").upload(Path::new(&path)).send()).await.unwrap();
    assert_eq!((done.size, content(&bucket, "x").await), (12, b"of a process".to_vec()));
    let done = within(bucket.file("nothing").upload(Path::new("/dev/null")).send()).await.unwrap();
    assert_eq!(done.size, 0);
    let zeros = Source::from(Path::new("/dev/zero")).size(1_000_000);
    let longer = within(bucket.file("zeros").upload(zeros).send()).await.unwrap_err();
    assert!(longer.is_invalid_input(), "{longer:?}");
}

/// Where another program has a lease on a file, whoever opens it waits until that program has let go.
#[tokio::test]
async fn a_file_that_a_lease_is_on_is_waited_for() {
    const HOLDER: &str = "
import fcntl, signal, sys
file = open(sys.argv[1], 'r+')
signal.signal(signal.SIGIO, lambda *_: fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK))
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('held', flush=True)
sys.stdin.read()
";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "leased").unwrap();
    // Else it is open twice, and nobody gets a lease.
    let path = file.into_temp_path();
    let mut python = std::process::Command::new("python3");
    let python = python.args(["-c", HOLDER]).arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped());
    let holder = python.spawn();
    if !support::is_possible("pipes", holder.is_ok(), "there is no python3") {
        return;
    }
    let (mut holder, mut said) = (holder.unwrap(), String::new());
    std::io::BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
    if support::is_possible("pipes", said.trim() == "held", "the file system knows no leases") {
        let server = server().await;
        let bucket = bucket(&admin(&server)).await;
        let done = within(bucket.file("x").upload(&*path).send()).await.unwrap();
        assert_eq!((done.size, content(&bucket, "x").await), (6, b"leased".to_vec()));
    }
    drop(holder.stdin.take());
    holder.wait().unwrap();
}

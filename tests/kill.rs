//! A process that downloads into a file is killed (SIGKILL) a hundred times at random points; each next one goes on.

#![cfg(unix)]

mod support;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use support::{admin, bucket, builder, server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

const LENGTH: usize = 32 << 20;
const KILLS: usize = 100;
/// What may be on its way in buffers when a process dies; and for each of several ranges, what it has of its 4 MiB.
const fn window(ranges: u64) -> u64 {
    if ranges == 1 { 2 << 20 } else { ranges * ((4 << 20) + (1 << 20)) }
}

/// Counts the bytes that go from a server to its clients.
struct Counter {
    url: String,
    count: Arc<AtomicU64>,
    _accepting: JoinSet<()>,
}

impl Counter {
    fn start(server: std::net::SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // Small, so that what was counted has arrived, or nearly.
        socket.set_send_buffer_size(32 << 10).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(64).unwrap();
        let (url, count) = (format!("http://{}", listener.local_addr().unwrap()), Arc::new(AtomicU64::new(0)));
        let (mut accepting, counted) = (JoinSet::new(), count.clone());
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let counted = counted.clone();
                connections.spawn(async move {
                    let Ok(server) = TcpStream::connect(server).await else { return };
                    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
                        (client.into_split(), server.into_split());
                    let up = tokio::io::copy(&mut from_client, &mut to_server);
                    let down = async {
                        let mut buffer = vec![0; 16 << 10];
                        loop {
                            let read = from_server.read(&mut buffer).await.unwrap_or(0);
                            if read == 0 || to_client.write_all(&buffer[..read]).await.is_err() {
                                return;
                            }
                            counted.fetch_add(read as u64, Ordering::SeqCst);
                        }
                    };
                    tokio::select! { _ = up => {}, () = down => {} }
                });
            }
        });
        Self { url, count, _accepting: accepting }
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }
}

fn child(url: &str, bucket: &str, target: &Path, ranges: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_child", "--quiet"])
        .env("KILL_CHILD", format!("{url} {bucket} {ranges}"))
        .env("KILL_TARGET", target)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Does nothing unless it was started by the test below.
#[tokio::test]
async fn the_child() {
    let (Ok(what), Ok(target)) = (std::env::var("KILL_CHILD"), std::env::var("KILL_TARGET")) else { return };
    let [url, bucket, ranges] = what.split(' ').collect::<Vec<_>>()[..] else { panic!("{what}") };
    let file = builder(url).build().unwrap().bucket(bucket).file("x.bin");
    file.download_to(target).parallel(ranges.parse().unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_survives_being_killed() {
    let seed = std::env::var("KILL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("KILL_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let data: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(LENGTH).collect();
    bucket.file("x.bin").upload(data.clone()).await.unwrap();
    let counter = Counter::start(server.address());
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("x.bin");

    let (mut kills, mut wholes, mut fetched, mut most, mut windows) = (0, 0, 0, 0, 0);
    let mut before = counter.count();
    // The last one is let alone: it shows that nothing stays behind.
    let mut finished = false;
    while kills < KILLS || !finished {
        let ranges: u64 = if random.bool() { 4 } else { 1 };
        let mut process = child(&counter.url, bucket.id(), &target, ranges);
        // Somewhere in the next bytes, or, once in a while, wherever it is by then: starting, hashing, renaming.
        let point = counter.count() + random.u64(0..(3 << 20) / 4);
        let patience = if random.u8(..8) == 0 { Duration::from_micros(random.u64(..200_000)) } else { support::GUARD };
        let deadline = tokio::time::Instant::now() + patience;
        let killed = loop {
            if let Some(status) = process.try_wait().unwrap() {
                let mut words = String::new();
                std::io::Read::read_to_string(&mut process.stderr.take().unwrap(), &mut words).unwrap();
                assert!(status.success(), "{words}");
                break false;
            }
            if kills < KILLS && (counter.count() >= point || tokio::time::Instant::now() > deadline) {
                process.kill().unwrap();
                process.wait().unwrap();
                break true;
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        };
        finished = !killed;
        if killed {
            (kills, windows) = (kills + 1, windows + window(ranges));
            assert!(!target.exists() || std::fs::read(&target).unwrap() == data, "old, absent or whole: never a part");
        }
        if !killed || target.exists() {
            assert!(std::fs::read(&target).unwrap() == data);
            wholes += 1;
            let spent = counter.count() - before;
            (fetched, most, before) = (fetched + spent, most.max(spent), counter.count());
            std::fs::remove_file(&target).unwrap();
        }
    }
    let allowed = wholes * (LENGTH as u64 + (64 << 10)) + windows;
    println!(
        "kill -9: {kills} kills, {wholes} whole files, {fetched} bytes fetched of {allowed} allowed, most for one {most}"
    );
    assert!(fetched <= allowed);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

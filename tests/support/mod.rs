//! What several test binaries share: clients that don't wait between tries, and a server that answers with raw bytes.

// Each binary uses a part of it.
#![allow(dead_code)]

#[cfg(target_os = "linux")]
pub(crate) mod pipes;
pub(crate) mod secrets;
pub(crate) mod snippets;

use std::collections::BTreeMap;
use std::future::Future;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use carbonfiles::sync::SyncOutcome;
use carbonfiles::{Bucket, Client, ClientBuilder, Phase, Progress, RetryPolicy, Token};
use carbonfiles_testserver::TestServer;
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use futures::stream::FusedStream;
use sha2::Digest;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A guard against tests that hang, never a measure.
pub(crate) const GUARD: Duration = Duration::from_secs(60);

pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, work).await.expect("it ends long before the guard does")
}

/// How many files a sync has copied and deleted.
pub(crate) fn totals<T>(outcome: SyncOutcome<T>) -> (usize, usize) {
    let done = outcome.into_result().unwrap();
    (done.copied, done.deleted)
}

/// Reads a stream to its end, and once more.
pub(crate) async fn ends(stream: &mut (impl FusedStream + Unpin)) {
    assert!(!stream.is_terminated());
    while within(stream.next()).await.is_some() {}
    assert!(stream.is_terminated());
    assert!(within(stream.next()).await.is_none());
}

/// Looks until it is so, for what has no signal of its own. Between two looks others have a turn.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    within(async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

pub(crate) async fn server() -> TestServer {
    secrets::watch();
    let server = TestServer::builder().faults_must_fire().start().await.expect("the test server starts");
    secrets::keep(server.admin_key());
    server
}

/// Retries as usual, almost without waiting.
pub(crate) fn quick() -> RetryPolicy {
    RetryPolicy::default().base_delay(Duration::from_millis(1))
}

/// A client of a server on this machine: whatever proxy the environment names is not for it.
pub(crate) fn builder(url: &str) -> ClientBuilder {
    secrets::watch();
    Client::builder(url).retry(quick()).http(local)
}

/// For servers on this machine: no proxy, and none of the system's certificates, which take long to read.
pub(crate) fn local(http: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    let http = http.no_proxy();
    #[cfg(feature = "rustls")]
    let http = http.tls_certs_only([]);
    http
}

pub(crate) fn client(server: &TestServer, token: impl Into<Token>) -> Client {
    builder(server.url()).token(token).build().unwrap()
}

pub(crate) fn admin(server: &TestServer) -> Client {
    client(server, server.admin_key())
}

pub(crate) async fn bucket(client: &Client) -> Bucket {
    let made = client.buckets().create("tests").await.unwrap();
    client.bucket(&made.id)
}

/// Waits until files that were written before are no longer too young for their hashes to be remembered: only time makes
/// them older.
pub(crate) async fn grow_old() {
    let old = SystemTime::now() + Duration::from_millis(2100);
    while SystemTime::now() < old {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The SHA-256, as the server writes it.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The requests seen, as `METHOD target`.
pub(crate) fn seen(server: &TestServer) -> Vec<String> {
    server.requests().iter().map(|request| format!("{} {}", request.method, request.path)).collect()
}

/// All files below a folder, by their path there.
pub(crate) fn read_folder(root: &Path) -> BTreeMap<String, Vec<u8>> {
    fn add(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                add(root, &path, files);
            } else if let Ok(content) = std::fs::read(&path) {
                let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
                files.insert(name, content);
            }
        }
    }
    let mut files = BTreeMap::new();
    add(root, root, &mut files);
    files
}

/// Whether a test can be made here; if not, it says why, aloud, and in CI (`CI` is set) that is a failure.
pub(crate) fn is_possible(name: &str, possible: bool, why_not: &str) -> bool {
    if !possible {
        assert!(std::env::var_os("CI").is_none(), "{name}: {why_not}");
        let _ = writeln!(std::io::stderr(), "skipped {name}: {why_not}");
    }
    possible
}

/// What hears of a transfer, and what is ready when that waits for its turn.
pub(crate) fn queued() -> (impl FnMut(Progress) + Send + 'static, impl Future<Output = ()>) {
    let (tell, told) = tokio::sync::oneshot::channel();
    let mut tell = Some(tell);
    let hear = move |now: Progress| {
        if now.phase == Phase::Queued
            && let Some(tell) = tell.take()
        {
            let _ = tell.send(());
        }
    };
    (hear, async { told.await.expect("it waits") })
}

/// An address where nothing listens.
pub(crate) async fn nobody() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// The head of a request, as it came.
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) text: String,
}

/// What a [`RawServer`] does with a request.
pub(crate) enum Answer {
    /// Writes this and waits for the next request.
    Bytes(Vec<u8>),
    /// Writes this and closes.
    ThenClose(Vec<u8>),
    /// Writes this and keeps quiet until the client goes.
    ThenSilence(Vec<u8>),
    /// Writes the first once and the second for ever.
    ThenEndless(Vec<u8>, Vec<u8>),
}

/// A server that writes bytes, HTTP or not.
pub(crate) struct RawServer {
    pub(crate) url: String,
    written: Arc<AtomicU64>,
    _accepting: JoinSet<()>,
}

impl RawServer {
    pub(crate) async fn start(answer: impl Fn(&Head) -> Answer + Send + Sync + 'static) -> Self {
        secrets::watch();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let written = Arc::new(AtomicU64::new(0));
        let (answer, count) = (Arc::new(answer), written.clone());
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (answer, count) = (answer.clone(), count.clone());
                connections.spawn(async move { serve(socket, &*answer, &count).await });
            }
        });
        Self { url, written, _accepting: accepting }
    }

    /// Always the same answer, then the end of the connection.
    pub(crate) async fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |_| Answer::ThenClose(answer.clone())).await
    }

    /// Bytes that clients, or the sockets' buffers, have taken so far.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }
}

async fn serve(socket: TcpStream, answer: &(impl Fn(&Head) -> Answer + ?Sized), count: &AtomicU64) {
    let mut socket = BufReader::new(socket);
    while let Some(head) = read_request(&mut socket).await {
        let (bytes, then) = match answer(&head) {
            Answer::Bytes(bytes) => (bytes, None),
            Answer::ThenClose(bytes) => (bytes, Some(Vec::new())),
            Answer::ThenSilence(bytes) => {
                let _ = socket.write_all(&bytes).await;
                let _ = socket.read(&mut [0; 1]).await;
                return;
            }
            Answer::ThenEndless(bytes, more) => (bytes, Some(more)),
        };
        if socket.write_all(&bytes).await.is_err() {
            return;
        }
        count.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        if let Some(more) = then {
            while !more.is_empty() && socket.write_all(&more).await.is_ok() {
                count.fetch_add(more.len() as u64, Ordering::SeqCst);
            }
            let _ = socket.shutdown().await;
            return;
        }
    }
}

/// One request, its body (of known length) read and dropped.
async fn read_request(socket: &mut BufReader<TcpStream>) -> Option<Head> {
    let mut text = String::new();
    loop {
        let mut line = String::new();
        if socket.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        text += &line;
    }
    let length =
        text.lines().filter_map(|line| line.split_once(':')).find(|(k, _)| k.eq_ignore_ascii_case("content-length"));
    let mut body = vec![0; length.map_or(0, |(_, v)| v.trim().parse().unwrap())];
    socket.read_exact(&mut body).await.ok()?;
    let mut words = text.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    Some(Head { method, target, text })
}

/// A whole HTTP answer with a body of known length.
pub(crate) fn answer(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    // A 204 has neither.
    let length = if status == 204 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let mut bytes = format!("HTTP/1.1 {status} X\r\n{headers}{length}\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// What a request with a `Range` of `first-last` or `first-` asks for, of a content of so many bytes.
pub(crate) fn asked_for(head: &Head, length: usize) -> Option<Range<usize>> {
    let text = head.text.to_ascii_lowercase();
    let range = text.lines().find_map(|line| line.strip_prefix("range: bytes="))?;
    let (first, last) = range.trim().split_once('-').unwrap();
    let end = last.parse::<usize>().map_or(length, |last| length.min(last + 1));
    Some(first.parse().unwrap()..end)
}

/// The answer of a server that heeds a range, cut to so many bytes, and no condition: a part, or the whole.
pub(crate) fn part_or_whole(head: &Head, headers: &str, data: &[u8], most: usize) -> Vec<u8> {
    let Some(Range { start, end }) = asked_for(head, data.len()) else { return answer(200, headers, data) };
    let end = end.min(start.saturating_add(most));
    let headers = format!("{headers}Content-Range: bytes {start}-{}/{}\r\n", end - 1, data.len());
    answer(206, &headers, &data[start..end])
}

#[track_caller]
pub(crate) fn assert_now(time: DateTime<Utc>) {
    assert!((Utc::now() - time).abs() < TimeDelta::minutes(5), "{time} is not now");
}

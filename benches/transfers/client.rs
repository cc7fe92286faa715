//! The clients that are compared.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use carbonfiles::{Client, Source};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::io::AsyncWriteExt;

use crate::many;
use crate::measure::Meter;

pub(crate) const KEY: &str = "admin-test-key";
const CHUNK: usize = 256 << 10;

pub(crate) fn create_bucket(url: &str) -> String {
    runtime().block_on(async {
        let client = Client::new(url, KEY).expect("a client");
        client.buckets().create("bench").await.expect("a bucket").id
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

/// `client NAME URL BUCKET COUNT SOURCE TARGET`: so many MiB, or files.
pub(crate) fn run(args: &[String]) {
    let args: Vec<String> = args.to_vec();
    runtime().block_on(async { tokio::spawn(client(args)).await.expect("it does not panic") });
}

/// In a task, as in a service.
async fn client(args: Vec<String>) {
    let [name, url, bucket, mib, source, target] = &args[..] else { panic!("usage: see the code") };
    let (mib, source, target) = (mib.parse().expect("a number"), Path::new(source), Path::new(target));
    match name.split_once('-').expect("a client name") {
        ("ours", what) if what.starts_with("many") || what == "pages" => {
            many::ours(what, url, bucket, mib, target).await;
        }
        ("ours", what) => ours(what, url, bucket, mib, source, target).await,
        (name, what @ ("many-up" | "many-down" | "many-from-files" | "many-to-files" | "pages")) => {
            many::bare(reqwest_client(name), what, url, bucket, mib, target).await;
        }
        (name, what) => bare(reqwest_client(name), what, url, bucket, mib, source, target).await,
    }
}

/// `limited` has the time limits that this crate has by default.
fn reqwest_client(name: &str) -> reqwest::Client {
    let client = reqwest::Client::builder().http1_only();
    let client = match name {
        "limited" => client.connect_timeout(Duration::from_secs(10)).read_timeout(Duration::from_secs(60)),
        _ => client,
    };
    client.build().expect("a client")
}

fn chunks(mib: u64) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> + Send {
    // The same bytes from each chunk on: what is measured is the way, not the making.
    let chunk = Bytes::from(vec![42u8; CHUNK]);
    stream::iter((0..mib * 4).map(move |_| Ok(chunk.clone())))
}

async fn ours(what: &str, url: &str, bucket: &str, mib: u64, source: &Path, target: &Path) {
    let client = Client::new(url, KEY).expect("a client");
    client.health().await.expect("healthy");
    let file = client.bucket(bucket).file("big.bin");
    let verify = !what.ends_with("-unverified");
    let meter = Meter::start();
    match what.trim_end_matches("-unverified") {
        "file" => drop(file.upload(source).verify(verify).await.expect("uploaded")),
        "file-progress" => {
            let mut last = 0;
            file.upload(source).progress(|p| last = p.sent).await.expect("uploaded");
            assert_eq!(last, mib << 20);
        }
        "stream" => drop(file.upload(Source::stream(chunks(mib))).verify(verify).await.expect("uploaded")),
        "drain" => {
            let mut body = file.download().verify(verify).await.expect("found").stream();
            let mut received = 0;
            while let Some(chunk) = body.try_next().await.expect("whole") {
                received += chunk.len() as u64;
            }
            assert_eq!(received, mib << 20);
        }
        "to-file" => drop(file.download_to(target).verify(verify).await.expect("downloaded")),
        "to-file-parallel" => drop(file.download_to(target).verify(verify).parallel(4).await.expect("downloaded")),
        "calls" => {
            let call = |_| async { client.health().await.expect("healthy") };
            stream::iter(0..20_000).map(call).buffer_unordered(64).for_each(|_| std::future::ready(())).await;
        }
        other => panic!("no such client: {other}"),
    }
    meter.stop().print();
}

/// What a careful user would write by hand.
async fn bare(client: reqwest::Client, what: &str, url: &str, bucket: &str, mib: u64, source: &Path, target: &Path) {
    let ok = |answer: reqwest::Response| answer.error_for_status().expect("accepted");
    ok(client.get(format!("{url}/healthz")).send().await.expect("healthy")).bytes().await.expect("healthy");
    let content = format!("{url}/api/buckets/{bucket}/files/big.bin/content");
    let put = client.put(format!("{url}/api/buckets/{bucket}/upload/stream?filename=big.bin")).bearer_auth(KEY);
    let meter = Meter::start();
    match what {
        "file" => {
            let file = tokio::fs::File::open(source).await.expect("the source opens");
            let length = file.metadata().await.expect("the source has a length").len();
            let body = reqwest::Body::wrap_stream(tokio_util::io::ReaderStream::with_capacity(file, CHUNK));
            let answer = put.header("content-length", length).body(body).send().await.expect("sent");
            ok(answer).bytes().await.expect("answered");
        }
        "stream" => {
            let answer = put.body(reqwest::Body::wrap_stream(chunks(mib))).send().await.expect("sent");
            ok(answer).bytes().await.expect("answered");
        }
        "drain" => {
            let mut answer = ok(client.get(content).send().await.expect("sent"));
            let mut received = 0;
            while let Some(chunk) = answer.chunk().await.expect("whole") {
                received += chunk.len() as u64;
            }
            assert_eq!(received, mib << 20);
        }
        "to-file" => {
            let mut answer = ok(client.get(content).send().await.expect("sent"));
            let mut file = tokio::fs::File::create(target).await.expect("the target opens");
            while let Some(chunk) = answer.chunk().await.expect("whole") {
                file.write_all(&chunk).await.expect("written");
            }
            file.sync_all().await.expect("synced");
        }
        "calls" => {
            let call = |_| async {
                let answer = client.get(format!("{url}/healthz")).bearer_auth(KEY).send().await.expect("sent");
                ok(answer).json::<carbonfiles::models::Health>().await.expect("healthy")
            };
            stream::iter(0..20_000).map(call).buffer_unordered(64).for_each(|_| std::future::ready(())).await;
        }
        other => panic!("no such client: {other}"),
    }
    meter.stop().print();
}

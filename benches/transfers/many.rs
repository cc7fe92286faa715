//! Many small files, and many pages, beside what a careful user would write by hand with the same number at once.

use std::path::Path;

use bytes::Bytes;
use carbonfiles::Client;
use carbonfiles::files::FileOutcome;
use futures::{StreamExt, TryStreamExt, stream};

use tokio::io::AsyncWriteExt;

use crate::client::KEY;
use crate::measure::Meter;

/// Files under way at any time, on both sides.
const AT_ONCE: usize = 32;
/// Rows of a page, on both sides.
const ROWS: u64 = 10;

/// 4 KiB that no other file of no other run has.
fn content(n: u64) -> Bytes {
    let mut content = vec![0; 4096];
    content[..8].copy_from_slice(&n.to_le_bytes());
    content[8..12].copy_from_slice(&std::process::id().to_le_bytes());
    content.into()
}

fn paths(count: u64) -> impl Iterator<Item = (String, Bytes)> + Send {
    (0..count).map(|n| (format!("many/{n}.bin"), content(n)))
}

/// What goes up from files, below a folder of the names it has in the bucket.
fn write_files(target: &Path, count: u64) {
    std::fs::create_dir_all(target.join("many")).expect("made");
    paths(count).for_each(|(path, content)| std::fs::write(target.join(path), content).expect("written"));
}

pub(crate) async fn ours(what: &str, url: &str, bucket: &str, count: u64, target: &Path) {
    let client = Client::new(url, KEY).expect("a client");
    client.health().await.expect("healthy");
    let files = client.bucket(bucket).files();
    let verify = !what.ends_with("-unverified");
    if what.starts_with("many-from-files") {
        write_files(target, count);
    }
    let meter = Meter::start();
    match what.trim_end_matches("-unverified") {
        "many-up" => {
            let upload = files.upload_many(paths(count)).concurrency(AT_ONCE).each(move |_, file| file.verify(verify));
            // One after another, as the other client looks at its answers.
            let done = upload.stream().await.expect("a batch");
            let done = done.map(|file| assert!(matches!(file.outcome, FileOutcome::Done(_)), "{file:?}")).count().await;
            assert_eq!(done as u64, count);
        }
        "many-from-files" => {
            let upload = files.upload_dir(target).concurrency(AT_ONCE).each(move |_, file| file.verify(verify));
            let done = upload.stream().await.expect("a batch");
            let done = done.map(|file| assert!(matches!(file.outcome, FileOutcome::Done(_)), "{file:?}")).count().await;
            assert_eq!(done as u64, count);
        }
        "many-down" => {
            let download = |(path, _)| {
                let file = files.file(path);
                async move { file.download().verify(verify).await?.bytes(4096).await }
            };
            let all = stream::iter(paths(count)).map(download).buffer_unordered(AT_ONCE);
            let bytes = all.try_fold(0, |sum, bytes| async move { Ok(sum + bytes.len() as u64) }).await;
            assert_eq!(bytes.expect("all downloaded"), count * 4096);
        }
        "many-to-files" => {
            let download = files.download_dir(target).concurrency(AT_ONCE).each(move |_, file| file.verify(verify));
            let done = download.stream().await.expect("a batch");
            let done = done.map(|file| assert!(matches!(file.outcome, FileOutcome::Done(_)), "{file:?}")).count().await;
            assert_eq!(done as u64, count);
        }
        "pages" => {
            let mut pages = files.list_all().limit(ROWS);
            let mut rows = 0;
            while let Some(page) = pages.try_next().await.expect("a page") {
                rows += page.items.len() as u64;
            }
            assert_eq!(rows, count);
        }
        other => panic!("no such client: {other}"),
    }
    meter.stop().print();
}

pub(crate) async fn bare(client: reqwest::Client, what: &str, url: &str, bucket: &str, count: u64, target: &Path) {
    let ok = |answer: reqwest::Response| answer.error_for_status().expect("accepted");
    ok(client.get(format!("{url}/healthz")).send().await.expect("healthy")).bytes().await.expect("healthy");
    let files = format!("{url}/api/buckets/{bucket}/files");
    if what == "many-from-files" {
        write_files(target, count);
    }
    let meter = Meter::start();
    match what {
        "many-up" => {
            let upload = |(path, content): (String, Bytes)| {
                let put = client.put(format!("{url}/api/buckets/{bucket}/upload/stream?filename={path}"));
                let put = put.bearer_auth(KEY).body(content);
                async move { ok(put.send().await.expect("sent")).json::<serde_json::Value>().await.expect("answered") }
            };
            let all = stream::iter(paths(count)).map(upload).buffer_unordered(AT_ONCE);
            assert_eq!(all.count().await as u64, count);
        }
        "many-from-files" => {
            let upload = |(path, _): (String, Bytes)| {
                let put =
                    client.put(format!("{url}/api/buckets/{bucket}/upload/stream?filename={path}")).bearer_auth(KEY);
                let local = target.join(path);
                async move {
                    let content = tokio::fs::read(local).await.expect("read");
                    let answer = ok(put.body(content).send().await.expect("sent"));
                    answer.json::<serde_json::Value>().await.expect("answered")
                }
            };
            let all = stream::iter(paths(count)).map(upload).buffer_unordered(AT_ONCE);
            assert_eq!(all.count().await as u64, count);
        }
        "many-down" => {
            let download = |(path, _)| {
                let get = client.get(format!("{files}/{path}/content")).bearer_auth(KEY);
                async move { ok(get.send().await.expect("sent")).bytes().await.expect("whole").len() as u64 }
            };
            let all = stream::iter(paths(count)).map(download).buffer_unordered(AT_ONCE);
            assert_eq!(all.fold(0, |sum, bytes| async move { sum + bytes }).await, count * 4096);
        }
        "many-to-files" => {
            // As safe as by hand: a reader never sees half a file.
            let download = |(path, _): (String, Bytes)| {
                let get = client.get(format!("{files}/{path}/content")).bearer_auth(KEY);
                let (part, whole) = (target.join(format!("{path}.part")), target.join(path));
                async move {
                    let content = ok(get.send().await.expect("sent")).bytes().await.expect("whole");
                    tokio::fs::create_dir_all(whole.parent().expect("a folder")).await.expect("made");
                    let mut file = tokio::fs::File::create(&part).await.expect("the target opens");
                    file.write_all(&content).await.expect("written");
                    file.sync_all().await.expect("synced");
                    tokio::fs::rename(part, whole).await.expect("renamed");
                }
            };
            let all = stream::iter(paths(count)).map(download).buffer_unordered(AT_ONCE);
            assert_eq!(all.count().await as u64, count);
        }
        "pages" => {
            let mut rows = 0;
            while rows < count {
                let get = client.get(format!("{files}?limit={ROWS}&offset={rows}")).bearer_auth(KEY);
                let page: serde_json::Value = ok(get.send().await.expect("sent")).json().await.expect("a page");
                rows += page["items"].as_array().expect("items").len() as u64;
            }
            assert_eq!(rows, count);
        }
        other => panic!("no such client: {other}"),
    }
    meter.stop().print();
}

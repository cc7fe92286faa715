//! Servers, buckets and networks that misbehave.

mod bucket;
mod parts;
mod service;
mod spooled;
mod uploads;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use carbonfiles::file_storage::{Client, ClientBuilder};
use chrono::Utc;
use sha2::{Digest, Sha256};

use crate::support::{Answer, Head, RawServer, answer, quick, secrets};

pub(crate) const ID: &str = "3b53bad0-8223-48db-81fb-d6600ae05a40";

const EXPIRED: &[u8] = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";

pub(crate) fn builder(url: &str) -> ClientBuilder {
    secrets::watch();
    secrets::keep("smpat_secret");
    Client::builder(url).token("smpat_secret").retry(quick()).http(reqwest::ClientBuilder::no_proxy)
}

pub(crate) fn client(server: &RawServer) -> Client {
    builder(&server.url).build().unwrap()
}

fn hash_of(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn stored(name: &str, content: &[u8]) -> Vec<u8> {
    let hash = hash_of(content);
    format!(
        r#"{{"id":"{ID}","key":"k","filename":"{name}","content_type":"text/plain","size_bytes":{},"backend":"s3",
        "checksum_sha256":"{hash}","uploaded_by":null,"created_at":"{}","public":false,"public_url":null}}"#,
        content.len(),
        Utc::now().format("%Y-%m-%dT%H:%M:%S%.6fZ"),
    )
    .into_bytes()
}

pub(crate) fn page(items: &[u8]) -> Vec<u8> {
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    let total: &[u8] = if items.is_empty() { b"0" } else { b"1" };
    let body = [&br#"{"items":["#[..], items, br#"],"total":"#, total, br#","page":1,"per_page":20}"#].concat();
    answer(200, &format!("Date: {date}\r\n"), &body)
}

/// A server that notes what it is asked.
pub(crate) async fn noting(
    respond: impl Fn(&Head, u32) -> Answer + Send + Sync + 'static,
) -> (RawServer, Arc<Mutex<Vec<String>>>) {
    let (seen, count) = (Arc::new(Mutex::new(Vec::new())), AtomicU32::new(0));
    let notes = seen.clone();
    let server = RawServer::start(move |head| {
        notes.lock().unwrap().push(head.text.clone());
        respond(head, count.fetch_add(1, Ordering::SeqCst))
    })
    .await;
    (server, seen)
}

fn posts(seen: &Mutex<Vec<String>>) -> usize {
    seen.lock().unwrap().iter().filter(|head| head.starts_with("POST")).count()
}

//! `GET|HEAD /api/buckets/{id}/zip`: all files as one archive, made while it is sent.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::page;
use super::upload::is_sendable;
use crate::content::Blob;
use crate::http::exchange::Exchange;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};
use crate::http::reply_body::ReplyBody;

/// Bytes gathered before they are sent on.
const PIECE: usize = 256 << 10;
/// Deflate at its fastest: this is a test server.
const LEVEL: i64 = 1;

struct Entry {
    path: String,
    blob: Option<Arc<Blob>>,
}

pub(super) fn get(exchange: &Exchange, id: &str) -> Result<Reply, Refusal> {
    let (name, entries) = {
        let state = exchange.shared.state();
        let bucket = state.living_bucket(id, exchange.shared.now()).ok_or(Refusal::NotFound("Bucket not found"))?;
        let entry = |file: &crate::state::bucket::File| Entry {
            path: file.path.clone(),
            blob: state.contents.blob(&file.hash),
        };
        (bucket.name.clone(), bucket.files().map(entry).collect::<Vec<_>>())
    };
    let disposition = disposition(&name, exchange.shared.defects().unsendable_zip_name)?;
    let body = if exchange.head.method == Method::HEAD { ReplyBody::empty() } else { packed(entries) };
    let mut reply = Response::new(body);
    reply.headers_mut().insert(CONTENT_TYPE, reply::text("application/zip"));
    reply.headers_mut().insert(CONTENT_DISPOSITION, disposition);
    Ok(reply)
}

/// The bucket's name as it is, quotes aside; what no header can carry is an exception nobody catches.
fn disposition(name: &str, fails: bool) -> Result<HeaderValue, Refusal> {
    let mut name = name.replace('"', "'").replace(['\r', '\n'], "");
    if !is_sendable(&name) {
        if fails {
            return Err(Refusal::Unhandled);
        }
        name = name
            .chars()
            .map(|character| if is_sendable(character.encode_utf8(&mut [0; 4])) { character } else { '_' })
            .collect();
    }
    HeaderValue::try_from(format!("attachment; filename=\"{name}.zip\"")).map_err(|_| Refusal::Unhandled)
}

fn packed(entries: Vec<Entry>) -> ReplyBody {
    let (pipe, body) = mpsc::channel(4);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let sender = Sender { pipe, gathered: BytesMut::new() };
        // Failing means that nobody listens any more.
        let _ = pack(entries, sender, &runtime);
    });
    ReplyBody::piped(body)
}

fn pack(entries: Vec<Entry>, sender: Sender, runtime: &Handle) -> io::Result<()> {
    let mut archive = ZipWriter::new_stream(sender);
    let plain = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for directory in directories(&entries) {
        archive.add_directory(directory, plain)?;
    }
    for entry in entries {
        let large = entry.blob.as_ref().is_some_and(|blob| blob.length() >= u64::from(u32::MAX));
        let deflated = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(LEVEL))
            .large_file(large);
        archive.start_file(entry.path, deflated)?;
        // Bytes that are missing make an empty entry.
        let Some(mut reader) = entry.blob.as_ref().map(|blob| blob.read_all()) else {
            continue;
        };
        while let Some(bytes) = runtime.block_on(reader.next()) {
            archive.write_all(&bytes?)?;
        }
    }
    archive.finish()?.into_inner().send()
}

/// Every directory on the way to a file, with its slash, in order.
fn directories(entries: &[Entry]) -> Vec<String> {
    let slashes = |entry: &Entry| -> Vec<String> {
        entry.path.match_indices('/').map(|(at, _)| entry.path[..=at].to_owned()).collect()
    };
    let mut directories: Vec<String> = entries.iter().flat_map(slashes).collect();
    directories.sort_by(|a, b| page::ordinal(a, b));
    directories.dedup();
    directories
}

/// Passes an archive on as the body of an answer.
struct Sender {
    pipe: mpsc::Sender<io::Result<Bytes>>,
    gathered: BytesMut,
}

impl Sender {
    fn send(&mut self) -> io::Result<()> {
        let bytes = self.gathered.split().freeze();
        self.pipe.blocking_send(Ok(bytes)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= PIECE {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! What a client should be able to do, on the real service with either back end. Each operation makes what it needs; what
//! it leaves goes at the end, and settings are as they were after each of them.

mod downloads;
mod listings;
mod parts;
mod rest;
mod traces;
mod uploads;

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use carbonfiles::file_storage::Client;
use carbonfiles::file_storage::models::StoredFile;

pub(crate) use self::traces::unique;
use self::traces::{Changed, delete_files};
use crate::host::{Host, host};
use crate::support::within;

/// What an operation works with.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) host: Host,
    pub(crate) client: Client,
    changed: Changed,
}

impl Context {
    /// A file with this content; its name is its own.
    pub(crate) async fn file(&self, content: impl Into<Bytes>, suffix: &str) -> StoredFile {
        let content: Bytes = content.into();
        self.client.files().upload(content).filename(unique(suffix)).await.expect("a small file is uploaded")
    }

    /// Changes settings of the service, until this operation is over.
    pub(crate) async fn set(&self, settings: serde_json::Value) {
        self.changed.set(&self.host, settings).await;
    }
}

/// Bytes that don't repeat in short.
pub(crate) fn noise(length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    fastrand::Rng::with_seed(length as u64).fill(&mut bytes);
    bytes.into()
}

pub(crate) type Operation = (&'static str, fn(Context) -> Pin<Box<dyn Future<Output = ()> + Send>>);

/// A list of operations out of `name => |context| { … }`.
macro_rules! operations {
    ($($name:ident => |$context:ident| $body:block)*) => {
        pub(crate) fn operations() -> Vec<$crate::conformance::Operation> {
            vec![$((stringify!($name), |$context| Box::pin(async move $body))),*]
        }
    };
}
pub(crate) use operations;

async fn run(s3: bool) {
    let Some(host) = host(s3) else { return };
    let context = Context { client: host.client(), host, changed: Changed::default() };
    let all = [
        uploads::operations(),
        downloads::operations(),
        listings::operations(),
        parts::operations(),
        rest::operations(),
    ]
    .concat();
    assert!(all.len() >= 60, "{} operations", all.len());
    let mut failed = Vec::new();
    for (name, operation) in &all {
        let outcome = tokio::spawn(within(operation(context.clone()))).await;
        within(context.changed.restore(&context.host)).await;
        println!("{} {name}", if outcome.is_ok() { "ok    " } else { "FAILED" });
        if outcome.is_err() {
            failed.push(*name);
        }
    }
    delete_files(&context.client).await;
    println!("{} of {} operations", all.len() - failed.len(), all.len());
    assert!(failed.is_empty(), "failed: {failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn local_disk() {
    run(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3() {
    run(true).await;
}

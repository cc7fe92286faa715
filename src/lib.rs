//! An async, fluent, resource-scoped client for the CarbonFiles file-sharing API.
//!
//! ```no_run
//! use carbonfiles::Client;
//! use futures::TryStreamExt;
//!
//! # async fn f() -> carbonfiles::Result<()> {
//! let client = Client::new("https://files.example.com", "cf4_key")?; // or Client::from_env()?
//! let bucket = client.buckets().create("my-project").expires("30d").await?;
//! let files = client.bucket(&bucket.id).files();
//!
//! let photo = files.upload("photo.jpg").progress(|p| println!("{:.0} %", p.percent().unwrap_or(0.0))).await?;
//! files["docs/hello.txt"].upload("hello".as_bytes()).await?;
//! println!("{}", files[&photo.path].url()?);
//!
//! let mut all = files.list_all().items();
//! while let Some(file) = all.try_next().await? {
//!     println!("{:?} has {} bytes", file.path, file.size);
//! }
//!
//! let done = files["photo.jpg"].download_to("copy.jpg").await?;
//! assert_eq!(done.verified_sha256, photo.sha256);
//! # Ok(()) }
//! ```
//!
//! # Where to look
//!
//! | for | start at |
//! |---|---|
//! | credentials, limits, retries, proxies | [`Client::builder`], [`Client::from_env`], [`Client::check`] |
//! | buckets: create, list, update, archive | [`Client::buckets`], [`Client::bucket`], [`buckets`] |
//! | uploads | [`Files::upload`], [`File::upload`], [`Source`], [`File::upload_writer`], [`Files::upload_multipart`] |
//! | many files | [`Files::upload_many`], [`Files::upload_dir`], [`Files::download_dir`], [`Files::download_many`], [`Files::delete_many`], [`files::Batch`] |
//! | folders made equal | [`Files::sync_up`], [`Files::sync_down`], [`sync::SyncPlan`] |
//! | downloads | [`File::download_to`], [`File::download`], [`Bucket::zip`] |
//! | progress bars, `start` and `cancel` | [`Transfer`], [`Progress`], [`files::BatchProgress`], [`ProgressWatch`] |
//! | changes in place | [`File::append`], [`File::append_at`], [`File::log_writer`], [`File::patch`] |
//! | listings | [`Files::list`], [`Files::list_all`], [`Files::tree`], [`Files::directory`], [`Items`] |
//! | guests | [`Bucket::upload_tokens`], [`Client::new`] with such a token |
//! | administration | [`Client::keys`], [`Client::dashboard`], [`Client::stats`], [`Client::health`] |
//! | links | [`File::url`], [`models::FileInfo::short_link`], [`Client::short_urls`] |
//! | live events and views (feature `events`) | `Bucket::events`, `File::events`, `Client::events`, `Bucket::watch`, `Bucket::mirror`, `File::wait_until` |
//! | raw requests, for what has no name here | [`Client::request`] |
//! | what the server answers | [`models`] |
//!
//! **Handles** ([`Client`], [`Buckets`], [`Bucket`], [`Files`], [`File`], …) are cheap to make and to clone, and send
//! nothing. Collections lend the handles of their members by index, `files["docs/a.txt"]`, and keep them; in loops over
//! many names use the method that gives them by value, [`Files::file`].
//!
//! **Calls** are builders: set what you like, then `.await`, or take the future by `.send()`, for `tokio::spawn` and the
//! like. Calls, listings, batches and syncs also take headers, time limits and a retry policy of their own; those of a batch
//! or a sync hold for each of its requests, and `each` sets others for single transfers. What is wrong with an
//! argument is kept and comes out of the `.await`, before anything is sent; zero is rejected wherever it makes no sense
//! (`parallel(0)`, `limit(0)`, `concurrency(0)`).
//!
//! # Errors and retries
//!
//! There is one [`Error`]. [`Error::kind`] is for code to decide on, [`Error::message`] and [`Error::hint`] are in the
//! server's words where it gave any; its `Display` is one line, and its sources have the causes. No credential is in any
//! error, `Debug` output or URL that is shown.
//!
//! What is safe to repeat has been repeated when an error arrives: see [`RetryPolicy`]. Time limits are in [`Timeouts`];
//! none but `total`, which is off by default, ends a healthy transfer.
//!
//! # Cancelling
//!
//! Dropping a future or a stream cancels what it does. An upload that is dropped leaves nothing visible on the server, and a
//! file that was there stays, unless it had been sent whole by then: then it may be stored. Of a
//! [`Files::upload_multipart`], which is not atomic, that holds for each file by itself. A dropped [`File::download_to`]
//! leaves the target untouched and keeps the partial file so that a later call can resume it. A
//! [`LogWriter`](files::LogWriter) that is dropped appends the rest in the background.
//! For other calls that change something, whether the server has done it is then unknown.
//!
//! # Memory
//!
//! An upload holds at most 4 MiB, a download 2 MiB and as much again for each range of `parallel`, whatever their size: content
//! is read, hashed, sent, received and written in chunks of 256 KiB. All of a content is in memory only where that is asked
//! for, by [`Download::bytes`] with its limit, or where bytes are the source. The numbers are [`UPLOAD_BUFFERS`] and
//! [`DOWNLOAD_BUFFERS`]. Streams of pages hold the page that is consumed and up to four after it (one, where a cursor leads to
//! it); `download_dir`, syncs, `watch` and `mirror` hold the whole listing. Of an answer about one thing at most 1 MiB are
//! read, of a listing 16 KiB for each row that was asked for, and up to 256 MiB where that is not said: bucket summaries,
//! statistics, the usage of a key, pages of directories and trees. What is longer is `Decode`.
//!
//! # Traces
//!
//! With the feature `tracing`, each request to the server is a span `request`, and each attempt at it a span `attempt` within,
//! both of level `INFO` and target `carbonfiles`. Their fields have [OpenTelemetry's names][otel]: `http.request.method`,
//! `url.template`, `url.full` (without secrets), `server.address`, `server.port`, `http.response.status_code`,
//! `http.request.resend_count`, `error.type` (the status, or [`ErrorKind::as_str`]); and `otel.name`, `otel.kind`,
//! `otel.status_code` for [`tracing-opentelemetry`](https://docs.rs/tracing-opentelemetry). A retry, and a download that goes
//! on after a cut, is an event of level `WARN` with its cause and delay.
//!
//! A call that makes several requests, such as [`Client::check`] or a listing, has as many spans, in whatever span it is
//! awaited. The spans of a download last until its body has been read or dropped; what asks for the rest after a cut has
//! spans of its own. No header and no credential is in any of them; names of files are, in `url.full`.
//!
//! [otel]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/
//!
//! # Features
//!
//! | feature | default | |
//! |---|---|---|
//! | `rustls` | yes | TLS by rustls, with the platform's certificate store |
//! | `system-proxy` | yes | also the proxy settings of macOS and Windows. The environment's (`HTTPS_PROXY`, `NO_PROXY`, …) are always read; reqwest's `no_proxy`, in `.http(…)`, ignores them |
//! | `events` | no | live events, and views that stay right: `client.events()`, `bucket.watch()`, `bucket.mirror()` (module `events`) |
//! | `tracing` | no | spans and events, see [Traces](#traces) |
//! | `tenantbox` | no | a client of the Tenantbox storage service, in the module `tenantbox` |
//! | `zip` | no | `unpack`, for a bucket's archive |
//! | `file-storage` | no | a client of the file_storage service, in the module `file_storage` |
//!
//! Without `rustls` an `https://` URL is refused, unless your own dependency on reqwest brings another TLS (`native-tls`). A
//! tokio runtime with time and I/O enabled must be running.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod auth;
mod blocking;
pub mod buckets;
mod call;
mod check;
mod client;
mod dashboard;
mod error;
#[cfg(feature = "events")]
pub mod events;
mod expiry;
mod file_path;
#[cfg(feature = "file-storage")]
pub mod file_storage;
pub mod files;
mod health;
mod http;
pub mod keys;
mod lent;
mod local;
pub mod models;
#[cfg(any(feature = "tenantbox", feature = "file-storage"))]
mod object_store;
mod paging;
mod raw;
mod refusal;
mod settings;
mod short_urls;
mod stats;
pub mod sync;
#[cfg(feature = "tenantbox")]
pub mod tenantbox;
mod transfer;
mod upload_tokens;
#[cfg(test)]
mod waiting;

pub use ::{bytes, chrono, reqwest, url};

pub use crate::auth::Token;
pub use crate::buckets::{Bucket, Buckets};
pub use crate::call::Call;
pub use crate::check::{Access, Check};
pub use crate::client::{Client, ClientBuilder};
pub use crate::dashboard::{CreateDashboardToken, Dashboard, GetDashboardUser};
pub use crate::error::{Error, ErrorKind, FieldError, Result, TimeoutPhase};
#[cfg(feature = "events")]
pub use crate::events::{Event, EventStream, Events, Mirror};
pub use crate::expiry::Expiry;
pub use crate::file_path::FilePath;
pub use crate::files::{File, Files, TreeEntry};
pub use crate::health::GetHealth;
pub use crate::http::{RetryPolicy, Timeouts};
pub use crate::keys::{Key, Keys};
pub use crate::local::Symlinks;
pub use crate::paging::{Items, Page};
pub use crate::raw::RawRequest;
pub use crate::short_urls::{DeleteShortUrl, ResolveShortUrl, ShortUrl, ShortUrlTarget, ShortUrls};
pub use crate::stats::GetStats;
pub use crate::transfer::{
    Canceller, ContentInfo, DOWNLOAD_BUFFERS, Download, DownloadReader, DownloadStream, Downloaded, Phase, Progress,
    ProgressWatch, Source, Transfer, UPLOAD_BUFFERS,
};
pub use crate::upload_tokens::{CreateUploadToken, UploadTokens};
pub use ::http::{Method, StatusCode};

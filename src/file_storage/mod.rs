//! A client of file_storage, the file module of simple_module hosts: files by id, public links, thumbnails, and uploads in
//! parts that survive a restart.
//!
//! It shares everything below the API with the rest of the crate: sources, progress, safe downloads, retries, limits and
//! the one [`Error`](crate::Error).
//!
//! ```no_run
//! use carbonfiles::file_storage::Client;
//! use futures::TryStreamExt;
//! use std::path::Path;
//!
//! # async fn f() -> carbonfiles::Result<()> {
//! let client = Client::new("https://app.example.com", "smpat_…")?; // or Client::from_env()?
//! let files = client.files();
//!
//! let photo = files.upload(Path::new("photo.jpg")).progress(|p| println!("{:.0} %", p.percent().unwrap_or(0.0))).await?;
//! let note = files.upload("hello".as_bytes()).filename("hello.txt").public(true).await?;
//! println!("{:?}", note.public_link(&client));
//!
//! let mut all = files.list_all().search(".jpg").items();
//! while let Some(file) = all.try_next().await? {
//!     println!("{} {} has {} bytes", file.id, file.filename, file.size_bytes);
//! }
//!
//! let done = client.file(&photo.id).download_to("copy.jpg").await?;
//! assert_eq!(done.verified_sha256, photo.checksum_sha256);
//! client.file(&photo.id).delete().await?;
//! # Ok(()) }
//! ```
//!
//! # Where to look
//!
//! | for | start at |
//! |---|---|
//! | tokens, logins, settings | [`Client::new`], [`ClientBuilder::login`], [`Client::from_env`] |
//! | uploads | [`Files::upload`] |
//! | uploads in parts, going on after a restart | [`Client::uploads`], [`Client::upload_session`] |
//! | downloads, thumbnails, presigned links | [`File::download`], [`File::download_to`], [`File::thumbnail`], [`File::download_url`] |
//! | listings | [`Files::list`], [`Files::list_all`] |
//! | publishing, deleting | [`File::set_public`], [`File::delete`], [`Files::bulk_delete`] |
//! | public files, without a credential | [`Client::public_file`], [`models::StoredFile::public_link`] |
//! | news of files | [`Files::watch`] |
//! | what has no name here | [`Client::request`] |
//!
//! # Credentials
//!
//! A token is a personal access token, a service key, or the access token of a session; the service answers 401 to one
//! that is expired, revoked or mistyped, without saying which. A login ([`ClientBuilder::login`]) is renewed by itself. A
//! refresh token that comes a second time ends the session, since the service takes that for theft; one that was turned away
//! with 429 or 503 was not used, and is sent again. So where the answer to a renewal is lost, or a 500, 502 or 504, a login
//! begins anew with its password. A session without one fails that call, and the next one tries the token again: if it was
//! used, the pair that came of it is lost, and the session is over either way.
//!
//! Where the credential lacks a permission, [`Error::missing_permission`](crate::Error::missing_permission) names it:
//! `file_storage.upload`, `.download`, `.delete` or `.manage`. Without `manage` one sees one's own files only, and those of
//! others are not found.
//!
//! Personal access tokens and service keys are made and revoked on the host's page `/api-tokens/`: that is another module, which
//! wants a browser's session and the CSRF token of a page. Cookie logins are for browsers too; [`ClientBuilder::login`] may
//! do what they may.
//!
//! # Errors
//!
//! | kind | when |
//! |---|---|
//! | [`InvalidInput`](crate::ErrorKind::InvalidInput) | an id that is no UUID, a name or type that can't be carried, a source that can't be read in parts: before anything is sent; or the service's 400, 415, 422 ([`Error::field_errors`](crate::Error::field_errors)) |
//! | [`Unauthenticated`](crate::ErrorKind::Unauthenticated) | the token or the login is no good, or the session has ended |
//! | [`PermissionDenied`](crate::ErrorKind::PermissionDenied) | a permission is missing, see below; or a bucket refused: [`Error::code`](crate::Error::code) is its own word |
//! | [`NotFound`](crate::ErrorKind::NotFound) | unknown, deleted, another's, private where it is read as public, or no picture |
//! | [`PayloadTooLarge`](crate::ErrorKind::PayloadTooLarge) | over the service's limit: [`Error::max_bytes`](crate::Error::max_bytes) |
//! | [`QuotaExceeded`](crate::ErrorKind::QuotaExceeded) | the quota is used up |
//! | [`Conflict`](crate::ErrorKind::Conflict) | parts are missing or differ, an upload session is closed, or the file is on a back end that is not in use |
//! | [`RateLimited`](crate::ErrorKind::RateLimited) | too many calls, or too many failed logins: [`Error::retry_after`](crate::Error::retry_after) |
//! | [`IntegrityMismatch`](crate::ErrorKind::IntegrityMismatch) | what was stored, or what came, is not what it should be |
//!
//! # What is checked
//!
//! A plain upload is compared with the SHA-256 that the service took. The service takes none of an upload in parts: there
//! each part is compared by its MD5, and [`uploads::Checked`] says so. Downloads are compared with the SHA-256 where the
//! file has one, from its ETag, or from its metadata where an S3 bucket gives the bytes.
//!
//! # What this service does that one might not expect
//!
//! - Uploading the same bytes under the same name again makes a second file. So an upload whose answer was lost, or came from
//!   a gateway, is looked for before anything is sent again.
//! - A refusal of an upload (403, 413, 415) comes after the whole body, except where the body is over the limit by more
//!   than 1 MiB.
//! - Names arrive as they were sent, with slashes and `..`: clean them before you write to disk under them.
//! - During maintenance the service answers 503 with `Retry-After: 3600`, which no call waits for: see
//!   [`Error::retry_after`](crate::Error::retry_after).

mod client;
mod filename;
pub mod files;
mod id;
pub mod models;
mod refusal;
mod session;
pub mod uploads;

pub use client::{Client, ClientBuilder, LogOut};
pub use files::{File, Files, PublicFile};
pub use uploads::{ResumableUpload, Uploads};

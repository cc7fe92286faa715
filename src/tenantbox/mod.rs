//! A client for [Tenantbox](https://tenantbox.dev): files of your own users ("tenants"), with a quota for each (feature
//! `tenantbox`).
//!
//! Its API hands out presigned URLs, and bytes go straight between you and the storage behind it, an S3:
//!
//! ```no_run
//! use carbonfiles::tenantbox::{Client, MB};
//!
//! # async fn f() -> carbonfiles::Result<()> {
//! let client = Client::new("tbx_key")?; // or Client::from_env()?
//! let tenants = client.tenants();
//! let tenant = &tenants["user_123"]; // client.tenant("user_123"): the same by value
//! tenant.set_limit(MB(500)).await?;
//!
//! let done = tenant.files().upload(std::path::Path::new("report.pdf")).email("ada@example.com").await?;
//! // Keep `file_path`: it is the only name that the file has.
//! client.file(&done.file_path).download_to("copy.pdf").await?;
//! println!("{} % used", tenant.usage().await?.usage_percentage().unwrap_or(0.0));
//! client.file(&done.file_path).delete().await?;
//! # Ok(()) }
//! ```
//!
//! # Where to look
//!
//! | for | start at |
//! |---|---|
//! | key, base URL, limits, retries, proxies | [`Client::builder`], [`Client::from_env`] |
//! | uploads from here | [`Files::upload`] |
//! | uploads from a browser | [`Files::upload_url`], [`UploadUrl`] |
//! | downloads from here | [`File::download`], [`File::download_to`] |
//! | links for others | [`File::download_url`] |
//! | quotas | [`Tenant::usage`], [`Client::usage_of`], [`Tenant::set_limit`], [`Tenant::remove_limit`] |
//! | sizes | [`KB`], [`MB`], [`GB`], [`TB`], [`human_readable`] |
//!
//! Handles, calls, sources, progress, retries and errors are those of the whole crate: see its [front page](crate).
//!
//! # Secrets
//!
//! A presigned URL lets whoever has it read or write one file until it expires. It is a [`Secret`](crate::models::Secret)
//! in answers, its query is in no error, log or span, and no credential of yours is ever sent to the storage.
//!
//! # Errors
//!
//! | kind | when |
//! |---|---|
//! | [`InvalidInput`](crate::ErrorKind::InvalidInput) | an empty tenant id or file name, a validity out of bounds: before anything is sent; or the API's 400 |
//! | [`Unauthenticated`](crate::ErrorKind::Unauthenticated) | the key is missing, bad or inactive (401) |
//! | [`QuotaExceeded`](crate::ErrorKind::QuotaExceeded) | the tenant's limit is reached (403 or 413 of the API) |
//! | [`NotFound`](crate::ErrorKind::NotFound) | there is no such file or tenant in this project. Where the API has a record of the file and the storage has no bytes, [`Error::code`](crate::Error::code) is [`NOT_IN_STORAGE`] |
//! | [`PermissionDenied`](crate::ErrorKind::PermissionDenied) and others | the storage refused: [`Error::code`](crate::Error::code) is its own word, such as `SignatureDoesNotMatch` |

mod client;
mod delete;
mod download;
mod download_to;
mod download_url;
mod file;
mod files;
mod limit;
mod models;
mod refusal;
mod size;
mod tenants;
mod upload;
mod upload_url;
mod usage;
mod usage_of;

pub use client::{Client, ClientBuilder};
pub use delete::DeleteFile;
pub use download::DownloadFile;
pub use download_to::DownloadFileTo;
pub use download_url::CreateDownloadUrl;
pub use file::File;
pub use files::Files;
pub use limit::SetLimit;
pub use models::{Deleted, DownloadUrl, StorageLimit, TenantUsage, UploadUrl, Uploaded};
pub use refusal::NOT_IN_STORAGE;
pub use size::{GB, KB, MB, TB, human_readable};
pub use tenants::{Tenant, Tenants};
pub use upload::Upload;
pub use upload_url::CreateUploadUrl;
pub use usage::GetUsage;
pub use usage_of::{TenantResult, UsageOf};

//! The presigned URL behind `GET /files/{id}/download`.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use http::{Method, StatusCode, header};
use url::Url;

use super::File;
use crate::error::{ErrorKind, Result};
use crate::file_storage::client::api;
use crate::file_storage::models::DownloadUrl;
use crate::file_storage::refusal::FileStorage;
use crate::http::{CallOptions, Decoded, Dialect, Receive, awaitable, leads_to_content};
use crate::models::Secret;

impl File {
    /// A URL that gives the content to whoever has it, for a while (`file_storage.download`): for a browser, without a
    /// detour. Only where the back end is a bucket; else `Unsupported`. The service does not look whether the object is
    /// there.
    pub fn download_url(&self) -> GetDownloadUrl {
        GetDownloadUrl { file: self.clone(), options: CallOptions::default() }
    }
}

/// Asks for a presigned URL. Made by [`File::download_url`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct GetDownloadUrl {
    file: File,
    options: CallOptions,
}

impl GetDownloadUrl {
    async fn run(self) -> Result<DownloadUrl> {
        // The head is enough: where the service streams, the body is dropped with the connection.
        let request = api(Method::GET, self.file.route("/download")?)
            .receive(Receive::Head)
            .also_expect(&[StatusCode::FOUND])
            .options(self.options);
        let answer = self.file.client.transport().send(request).await?;
        if answer.status != StatusCode::FOUND {
            let message = "the back end of this service gives no presigned URLs";
            return Err(answer.error(ErrorKind::Unsupported, message).with_hint("Download it, or make it public"));
        }
        let location = answer.headers.get(header::LOCATION).and_then(|location| location.to_str().ok());
        let url = location.and_then(|location| answer.exchange.url.join(location).ok());
        if let Some(url) = url.filter(|url| leads_to_content(&FileStorage, &answer.exchange.url, url)) {
            return Ok(DownloadUrl { expires_at: expiry(&url), url: Secret::from(String::from(url)) });
        }
        let Decoded { kind, message, hint, .. } = FileStorage.decode(answer.status, &answer.headers, b"");
        let message = message.as_deref().unwrap_or("the service redirects to no presigned URL");
        let refused = answer.error(kind.unwrap_or(ErrorKind::Decode), message);
        Err(match hint {
            Some(hint) => refused.with_hint(hint),
            None => refused,
        })
    }
}

awaitable!(GetDownloadUrl => DownloadUrl);

/// When a presigned URL (SigV4) expires.
fn expiry(url: &Url) -> Option<DateTime<Utc>> {
    let value = |name: &str| url.query_pairs().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    let signed = NaiveDateTime::parse_from_str(&value("X-Amz-Date")?, "%Y%m%dT%H%M%SZ").ok()?;
    let seconds: u32 = value("X-Amz-Expires")?.parse().ok()?;
    signed.and_utc().checked_add_signed(TimeDelta::seconds(i64::from(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presigned_urls_say_when_they_expire() {
        let at = |query: &str| expiry(&Url::parse(&format!("https://s3.example.com/k?{query}")).unwrap());
        let end = at("X-Amz-Date=20261121T041701Z&X-Amz-Expires=300").unwrap();
        assert_eq!(end.to_rfc3339(), "2026-11-21T04:22:01+00:00");
        for none in ["", "X-Amz-Date=20261121T041701Z", "X-Amz-Date=x&X-Amz-Expires=300", "X-Amz-Expires=-1"] {
            assert_eq!(at(none), None);
        }
    }
}

//! Short URLs: `/s/{code}`.

use http::{Method, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::client::Client;
use crate::error::{ErrorKind, Result};
use crate::file_path::{check_id, encode_segment};
use crate::http::{CallOptions, Replay, Request, awaitable};
use crate::lent::{Lent, lend};

/// All short URLs of a server: `client.short_urls()["code"]`. They are made with the files; they can't be listed.
#[derive(Debug, Clone)]
pub struct ShortUrls {
    client: Client,
    lent: Lent<ShortUrl>,
}

impl ShortUrls {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, lent: Lent::default() }
    }

    /// The client that this handle was made by.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The short URL of a code, by value.
    #[must_use]
    pub fn short_url(&self, code: impl AsRef<str>) -> ShortUrl {
        ShortUrl { client: self.client.clone(), code: code.as_ref().to_owned() }
    }
}

lend!(ShortUrls, short_url -> ShortUrl);

/// One short URL.
#[derive(Debug, Clone)]
pub struct ShortUrl {
    client: Client,
    code: String,
}

impl ShortUrl {
    /// The code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The client that this handle was made by.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The absolute short URL.
    ///
    /// # Errors
    /// `InvalidInput` for a code that can't be one.
    pub fn url(&self) -> Result<url::Url> {
        check_id("code", &self.code)?;
        self.client.transport.url(&format!("/s/{}", encode_segment(&self.code)))
    }

    /// Asks where it leads, without going there (public).
    ///
    /// The server may answer from a cache for up to 10 min: a code whose file is gone can still resolve, to a 404 (wire
    /// description section 11).
    pub fn resolve(&self) -> ResolveShortUrl {
        ResolveShortUrl { short_url: self.clone(), options: CallOptions::default() }
    }

    /// Deletes it (owner of the bucket, or admin). The file stays, and goes on showing the dead code.
    ///
    /// Where a first try may have deleted it and the next one finds nothing, it counts as deleted; but the server finds
    /// nothing of somebody else's either, and says it by an empty 404, as something on the way to it may.
    pub fn delete(&self) -> DeleteShortUrl {
        DeleteShortUrl { short_url: self.clone(), options: CallOptions::default() }
    }
}

/// Where a short URL leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShortUrlTarget {
    /// The bucket.
    pub bucket_id: String,
    /// The path of the file in it.
    pub path: String,
    /// The absolute URL of the file's content.
    pub url: url::Url,
}

/// Resolves a short URL. Made by [`ShortUrl::resolve`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct ResolveShortUrl {
    short_url: ShortUrl,
    options: CallOptions,
}

impl ResolveShortUrl {
    async fn run(self) -> Result<ShortUrlTarget> {
        check_id("code", &self.short_url.code)?;
        let request = Request::get(format!("/s/{}", encode_segment(&self.short_url.code)))
            .also_expect(&[StatusCode::FOUND])
            .options(self.options);
        let transport = &self.short_url.client.transport;
        let answer = transport.send(request).await?;
        let target = answer.headers.get(header::LOCATION).and_then(|l| l.to_str().ok()).and_then(parse_target);
        let Some((bucket_id, path, location)) = target else {
            return Err(answer.error(ErrorKind::Decode, "the short URL does not redirect to a file"));
        };
        let url = transport.url(location)?;
        Ok(ShortUrlTarget { bucket_id, path, url })
    }
}

awaitable!(ResolveShortUrl => ShortUrlTarget);

/// Splits `…/api/buckets/{id}/files/{path}/content`; gives back the location from `/api` on.
fn parse_target(location: &str) -> Option<(String, String, &str)> {
    let location = &location[location.find("/api/buckets/")?..];
    let (id, path) = location.strip_prefix("/api/buckets/")?.strip_suffix("/content")?.split_once("/files/")?;
    let decode = |text: &str| percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned);
    Some((decode(id)?, decode(path)?, location))
}

/// Deletes a short URL. Made by [`ShortUrl::delete`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct DeleteShortUrl {
    short_url: ShortUrl,
    options: CallOptions,
}

impl DeleteShortUrl {
    async fn run(self) -> Result<()> {
        check_id("code", &self.short_url.code)?;
        let request = Request::new(Method::DELETE, format!("/api/short/{}", encode_segment(&self.short_url.code)))
            .needs_credential()
            .replay(Replay::Deletion)
            .options(self.options);
        self.short_url.client.transport.send(request).await.map(drop)
    }
}

awaitable!(DeleteShortUrl => ());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let (id, path, location) = parse_target("/api/buckets/b1/files/d%20x/a%2Bb/content/content").unwrap();
        assert_eq!((id.as_str(), path.as_str()), ("b1", "d x/a+b/content"));
        assert!(location.starts_with("/api/"));
        assert_eq!(parse_target("https://h/cf/api/buckets/b/files/x/content").unwrap().1, "x");
        for bad in [
            "",
            "/",
            "/api/buckets/b",
            "/api/buckets/b/files/content",
            "/elsewhere",
            "/api/buckets/b/files/%ff/content",
        ] {
            assert!(parse_target(bad).is_none(), "{bad}");
        }
    }
}

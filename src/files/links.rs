//! Absolute links, for people and browsers.

use url::Url;

use super::File;
use crate::client::Client;
use crate::error::Result;
use crate::models::FileInfo;

impl File {
    /// The absolute URL of the content. It is public, and stays the same when the file is overwritten.
    ///
    /// # Errors
    /// `InvalidInput` for a path or a bucket id that can't be one.
    pub fn url(&self) -> Result<Url> {
        self.client().transport.url(&self.route("/content")?)
    }

    /// The absolute URL of the content as a download: browsers save it instead of showing it.
    ///
    /// # Errors
    /// As [`File::url`].
    pub fn attachment_url(&self) -> Result<Url> {
        let mut url = self.url()?;
        url.set_query(Some("download=true"));
        Ok(url)
    }
}

impl FileInfo {
    /// The absolute short URL, if the file has one. It leads to the content; it is dead once the short URL was deleted,
    /// though the file goes on showing it.
    #[must_use]
    pub fn short_link(&self, client: &Client) -> Option<Url> {
        client.short_url(self.short_code.as_deref()?).url().ok()
    }
}

//! `POST /api/storage/upload/`: a URL to upload to.

use std::path::Path;

use http::Method;
use serde::Serialize;

use super::files::Files;
use super::models::UploadUrl;
use super::tenants::Tenant;
use crate::error::{Error, Result};
use crate::http::{CallOptions, Request, awaitable};

impl Files {
    /// A URL that somebody else, such as a browser, can upload one file of this name to. It is good for an hour. Quotas are
    /// checked now. The tenant comes into being with its first URL.
    ///
    /// Each call makes a new `file_path`, so it is not repeated when its answer is lost.
    ///
    /// ```no_run
    /// # async fn f(client: carbonfiles::tenantbox::Client) -> carbonfiles::Result<()> {
    /// let url = client.tenant("user_123").files().upload_url("avatar.png").await?;
    /// let for_the_page = serde_json::to_string(&url).expect("it serialises");
    /// // fetch(url.presigned_url, {method: "PUT", headers: {"Content-Type": url.content_type}, body: file})
    /// # Ok(()) }
    /// ```
    pub fn upload_url(&self, filename: impl Into<String>) -> CreateUploadUrl {
        CreateUploadUrl {
            tenant: self.tenant.clone(),
            filename: filename.into(),
            content_type: None,
            email: None,
            options: CallOptions::default(),
        }
    }
}

/// Asks for a URL to upload to. Made by [`Files::upload_url`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct CreateUploadUrl {
    tenant: Tenant,
    filename: String,
    content_type: Option<String>,
    email: Option<String>,
    options: CallOptions,
}

impl CreateUploadUrl {
    /// The file's type. By default it is guessed from the name's extension, else `application/octet-stream`.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// The tenant's e-mail address, for the service's dashboard.
    pub fn email(mut self, email: impl Into<String>) -> Self {
        self.email = Some(email.into());
        self
    }

    async fn run(self) -> Result<UploadUrl> {
        let announcement = Announcement::new(&self.tenant, self.filename, self.content_type, self.email)?;
        announcement.send(&self.tenant, self.options).await
    }
}

awaitable!(CreateUploadUrl => UploadUrl);

/// What an upload is announced with.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Announcement {
    tenant_id: String,
    filename: String,
    pub(super) content_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_email: Option<String>,
}

impl Announcement {
    /// Refuses what the service would refuse, and what could not be sent again with the `PUT`.
    pub(super) fn new(
        tenant: &Tenant,
        filename: String,
        content_type: Option<String>,
        email: Option<String>,
    ) -> Result<Self> {
        let tenant_id = tenant.checked_id()?.to_owned();
        if filename.trim().is_empty() {
            return Err(Error::invalid_input("filename", "it is empty"));
        }
        let content_type = content_type.unwrap_or_else(|| guessed(&filename));
        if content_type.trim().is_empty() || content_type.trim() != content_type {
            return Err(Error::invalid_input("content_type", "it is empty, or has blanks around it"));
        }
        crate::transfer::header_value("content_type", &content_type)?;
        Ok(Self { tenant_id, filename, content_type, tenant_email: email.filter(|email| !email.is_empty()) })
    }

    pub(super) async fn send(&self, tenant: &Tenant, options: CallOptions) -> Result<UploadUrl> {
        let request = Request::new(Method::POST, "/api/storage/upload/").json(self)?.options(options);
        let mut url: UploadUrl = tenant.client.transport.send(request).await?.json()?;
        if url.content_type.is_empty() {
            url.content_type.clone_from(&self.content_type);
        }
        Ok(url)
    }
}

fn guessed(filename: &str) -> String {
    let guess = new_mime_guess::from_path(Path::new(filename));
    guess.first_raw().unwrap_or("application/octet-stream").to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::client::Client;
    use super::*;

    #[test]
    fn types_are_guessed_from_extensions() {
        for (name, guess) in [
            ("a.pdf", "application/pdf"),
            ("A.PNG", "image/png"),
            ("a.b.txt", "text/plain"),
            ("Makefile", "application/octet-stream"),
            ("a.unheard-of", "application/octet-stream"),
        ] {
            assert_eq!(guessed(name), guess, "{name}");
        }
    }

    #[test]
    fn bad_announcements_are_refused() {
        let tenant = |id: &str| Client::new("k").unwrap().tenant(id);
        let announce = |id: &str, name: &str, content_type: Option<&str>| {
            Announcement::new(&tenant(id), name.into(), content_type.map(Into::into), None)
        };
        assert!(announce("u", "ü %+#?.txt", None).is_ok());
        for (id, name, content_type) in [
            ("", "a", None),
            ("u", "", None),
            ("u", " ", None),
            ("u", "a", Some("")),
            ("u", "a", Some("a\nb: c")),
            ("u", "a", Some(" a/b")),
        ] {
            assert!(
                announce(id, name, content_type).unwrap_err().is_invalid_input(),
                "{id:?} {name:?} {content_type:?}"
            );
        }
    }
}

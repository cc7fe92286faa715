//! The real service, where `host.sh` has started it.

use std::path::Path;

use carbonfiles::file_storage::Client;

use crate::support::{quick, secrets};

/// One running service.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) url: String,
    pub(crate) token: String,
    /// The back end is a bucket.
    pub(crate) s3: bool,
}

pub(crate) const USER: (&str, &str) = ("user@example.com", "Us3r-Passw0rd!");
pub(crate) const ADMIN: (&str, &str) = ("admin@example.com", "Adm1n-Passw0rd!");

/// A variable of the environment or of the file that `host.sh` has written.
pub(crate) fn setting(name: &str) -> Option<String> {
    if let Ok(value) = std::env::var(name) {
        return Some(value);
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/file-storage/host/env");
    let text = std::fs::read_to_string(file).ok()?;
    text.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}

/// The host with this back end; `None`, said aloud, where there is none. In CI there has to be one.
pub(crate) fn host(s3: bool) -> Option<Host> {
    let name = if s3 { "FILE_STORAGE_TEST_S3" } else { "FILE_STORAGE_TEST_DISK" };
    match (setting(name), setting(&format!("{name}_TOKEN"))) {
        (Some(url), Some(token)) => Some(Host { url, token, s3 }),
        _ if std::env::var_os("CI").is_some() => {
            panic!("{name} is not set: CI starts tests/file_storage/host.sh first")
        }
        _ => {
            eprintln!(
                "SKIPPED: no real file_storage service ({name} is not set). \
                 To run this test: tests/file_storage/host.sh up target/file-storage/host"
            );
            None
        }
    }
}

impl Host {
    pub(crate) fn builder(&self) -> carbonfiles::file_storage::ClientBuilder {
        secrets::watch();
        secrets::keep(&self.token);
        Client::builder(&self.url).retry(quick()).http(reqwest::ClientBuilder::no_proxy)
    }

    pub(crate) fn client(&self) -> Client {
        self.builder().token(&self.token).build().unwrap()
    }

    pub(crate) fn login(&self, (email, password): (&str, &str)) -> Client {
        self.builder().login(email, password).build().unwrap()
    }
}

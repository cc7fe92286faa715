//! Whether the HTTP client below speaks TLS. One that does not gives what is meant for an https URL to a proxy as it is,
//! credential and all.

use url::Url;

use crate::error::{Error, Result};

/// Refuses an https URL where there is no TLS.
pub(crate) fn check_tls(url: &Url) -> Result<()> {
    if url.scheme() != "https" || speaks_tls() {
        return Ok(());
    }
    let origin = url.origin().ascii_serialization();
    let error = Error::invalid_input("url", format!("there is no way to {origin}: this program was built without TLS"));
    Err(error.with_hint("Enable the feature `rustls` of carbonfiles, or a TLS of reqwest"))
}

#[cfg(feature = "rustls")]
fn speaks_tls() -> bool {
    true
}

/// reqwest's features unify, so any crate may have brought it a TLS. Only with one has its builder a method `tls_info`; a
/// type's own method goes before that of a trait.
#[cfg(not(feature = "rustls"))]
fn speaks_tls() -> bool {
    struct NoTls;

    #[allow(dead_code, reason = "not called where reqwest has its own")]
    trait WithoutTls: Sized {
        fn tls_info(self, _: bool) -> NoTls {
            NoTls
        }
    }

    impl WithoutTls for reqwest::ClientBuilder {}

    use std::any::{Any, TypeId};
    reqwest::Client::builder().tls_info(false).type_id() != TypeId::of::<NoTls>()
}

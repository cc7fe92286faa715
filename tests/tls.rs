//! Builds without TLS: https is refused, and nothing meant for it reaches a proxy in the clear.
#![cfg(not(feature = "rustls"))]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use carbonfiles::{Client, ErrorKind};
use support::{Answer, RawServer, answer};

/// A proxy for all that is sent, and how many requests have reached it.
async fn proxy() -> (RawServer, Arc<AtomicU32>) {
    let seen = Arc::new(AtomicU32::new(0));
    let count = seen.clone();
    let server = RawServer::start(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Answer::Bytes(answer(200, "Content-Type: application/json\r\n", b"{}"))
    });
    (server.await, seen)
}

#[tokio::test]
async fn an_https_url_is_refused_at_once() {
    let (server, seen) = proxy().await;
    let proxy = reqwest::Proxy::all(&server.url).unwrap();
    let through_it =
        Client::builder("https://files.example.com").token("cf4_key").http(|http| http.proxy(proxy)).build();
    for built in [Client::new("https://files.example.com", "cf4_key"), through_it] {
        let error = match built {
            Ok(client) => support::within(client.stats().send()).await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!((error.kind(), seen.load(Ordering::SeqCst)), (ErrorKind::InvalidInput, 0), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("`rustls`")), "{:?}", error.hint());
    }
}

#[cfg(feature = "tenantbox")]
#[tokio::test]
async fn an_https_url_that_a_service_names_is_not_gone_to() {
    use carbonfiles::tenantbox;

    let (server, seen) = proxy().await;
    let named = r#"{"download_url":"https://s3.example.com/k?X-Amz-Signature=0123456789abcdef","size_bytes":2}"#;
    let service = RawServer::saying(answer(200, "Content-Type: application/json\r\n", named.as_bytes())).await;
    let proxy = reqwest::Proxy::https(&server.url).unwrap();
    let client = tenantbox::Client::builder("key").base_url(&service.url).http(|http| http.no_proxy().proxy(proxy));
    let client = client.build().unwrap();
    let error = support::within(client.file("projects/p/a.txt").download().send()).await.unwrap_err();
    assert_eq!((error.kind(), seen.load(Ordering::SeqCst)), (ErrorKind::InvalidInput, 0), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("`rustls`")), "{:?}", error.hint());
    assert!(!format!("{error} {error:?}").contains("0123456789abcdef"));
}

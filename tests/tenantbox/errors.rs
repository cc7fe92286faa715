//! What goes wrong for good: refused before it is sent, by the API, by the storage.

use std::time::Duration;

use carbonfiles::tenantbox::{Client, NOT_IN_STORAGE};
use carbonfiles::{ErrorKind, RetryPolicy};
use carbonfiles_testserver::Fault;

use crate::support::secrets::printed;
use crate::{builder, client, server};

#[tokio::test]
async fn what_can_be_refused_is_not_sent() {
    let server = server().await;
    let client = client(&server);
    let files = client.tenant("u").files();
    let nobody = client.tenant(" ");
    let seconds = Duration::from_secs;
    let errors = [
        nobody.files().upload("x".as_bytes()).await.unwrap_err(),
        nobody.files().upload_url("a").await.unwrap_err(),
        nobody.usage().await.unwrap_err(),
        nobody.set_limit(1).await.unwrap_err(),
        nobody.remove_limit().await.unwrap_err(),
        files.upload("x".as_bytes()).filename("").await.unwrap_err(),
        files.upload("x".as_bytes()).content_type("a\nb").await.unwrap_err(),
        files.upload("x".as_bytes()).expect_sha256("no hash").await.unwrap_err(),
        files.upload(std::path::Path::new("/no/such/file")).await.unwrap_err(),
        files.upload_url("").await.unwrap_err(),
        client.file("").delete().await.unwrap_err(),
        client.file("").download().await.unwrap_err(),
        client.file("").download_url().await.unwrap_err(),
        client.file("p").download_url().expires_in(Duration::ZERO).await.unwrap_err(),
        client.file("p").download_url().expires_in(seconds(86_401)).await.unwrap_err(),
        client.file("p").download_to("/no/such/folder/f").await.unwrap_err(),
        client.file("p").download().range(4..4).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::InvalidInput, 0), "{error}");
    }
    assert!(server.requests().is_empty() && server.storage_requests().is_empty());
}

#[tokio::test]
async fn a_bad_key_is_told() {
    let server = server().await;
    let client = Client::builder("wrong").base_url(server.url()).build().unwrap();
    let error = client.tenant("u").usage().await.unwrap_err();
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Unauthenticated, 401));
    assert_eq!(error.message(), "Invalid or inactive API key.");
}

#[tokio::test]
async fn quotas_are_told_whatever_the_status() {
    let server = server().await;
    let tenant = client(&server).tenant("u");
    tenant.files().upload("0123456789".as_bytes()).await.unwrap();
    tenant.set_limit(10).await.unwrap();
    for status in [403, 413] {
        server.quota_status(status);
        let error = tenant.files().upload("x".as_bytes()).await.unwrap_err();
        assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::QuotaExceeded, status));
        assert!(error.message().contains("quota") && error.url().unwrap().ends_with("/api/storage/upload/"), "{error}");
        assert_eq!(tenant.files().upload_url("a").await.unwrap_err().kind(), ErrorKind::QuotaExceeded);
    }
    assert_eq!(server.storage_requests().len(), 1);
}

#[tokio::test]
async fn what_is_missing_is_told_apart() {
    let server = server().await;
    let client = client(&server);
    let error = client.file("projects/test/none").download().await.unwrap_err();
    assert!(error.is_not_found() && error.code().is_none(), "{error}");
    assert!(client.tenant("nobody").usage().await.unwrap_err().is_not_found());

    let announced = client.tenant("u").files().upload_url("a.txt").await.unwrap();
    let error = client.file(&announced.file_path).download_url().await.unwrap_err();
    assert_eq!((error.is_not_found(), error.code()), (true, Some(NOT_IN_STORAGE)), "{error}");
    assert!(error.hint().is_some());

    // Gone between the two steps: the storage says it in its own words.
    let done = client.tenant("u").files().upload(vec![1; 1 << 20]).await.unwrap();
    let gone = Fault::status(404).header("content-type", "application/xml");
    let gone = gone.body("<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>");
    server.inject_storage(gone.on("GET", ""));
    let error = client.file(&done.file_path).download().await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, Some("NoSuchKey")), "{error}");
}

#[tokio::test]
async fn errors_of_a_storage_show_no_signature() {
    let server = server().await;
    let client = builder(&server).retry(RetryPolicy::never()).build().unwrap();
    let files = client.tenant("u").files();
    let done = files.upload("hello".as_bytes()).await.unwrap();
    // A gateway that repeats what it was asked for.
    let signed = |url: &str| url.split("X-Amz-Signature=").nth(1).map(str::to_owned);
    let repeats = Fault::status(502).body("<html>no way to /tenantbox/k?X-Amz-Signature=0123456789abcdef</html>");
    server.inject_storage(repeats.times(2));
    let mut errors = vec![
        files.upload("hello".as_bytes()).await.unwrap_err(),
        client.file(&done.file_path).download().await.unwrap_err(),
    ];
    server.inject_storage(Fault::reset().times(2));
    errors.push(files.upload("hello".as_bytes()).await.unwrap_err());
    errors.push(client.file(&done.file_path).download().await.unwrap_err());
    server.inject_storage(Fault::reset_response_after(2));
    errors.push(client.file(&done.file_path).download().await.unwrap().bytes(9).await.unwrap_err());
    let signatures: Vec<_> = server.storage_requests().iter().filter_map(|seen| signed(&seen.path)).collect();
    assert_eq!(signatures.len(), 6);
    for error in errors {
        let shown = printed(&error);
        let storage = server.storage_url();
        assert!(error.url().unwrap().starts_with(storage) && !error.url().unwrap().contains('?'), "{shown}");
        assert!(!shown.contains("X-Amz") && !signatures.iter().any(|secret| shown.contains(secret)), "{shown}");
    }
    let shown = format!("{:?}", files.upload_url("a").await.unwrap());
    assert!(!shown.contains("X-Amz"), "{shown}");
}

#[tokio::test]
async fn bodies_without_a_detail_give_typed_errors() {
    let server = server().await;
    let client = client(&server);
    for (status, kind) in [
        (400, ErrorKind::InvalidInput),
        (401, ErrorKind::Unauthenticated),
        (404, ErrorKind::NotFound),
        (500, ErrorKind::Server),
    ] {
        for body in ["", "<html>", "[1]", r#"{"error":1}"#] {
            server.inject(Fault::status(status).body(body));
            let error = client.tenant("u").files().upload_url("a").await.unwrap_err();
            assert_eq!((error.kind(), error.status().unwrap().as_u16()), (kind, status), "{body}");
            assert!(!error.message().is_empty());
        }
    }
}

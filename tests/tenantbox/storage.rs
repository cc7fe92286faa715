//! The storage of the test server refuses what an S3 refuses: else the other tests would show little.

use std::time::Duration;

use crate::{client, server};

async fn put(url: &str, content_type: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.put(url).header("content-type", content_type).body("hello").send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn what_was_signed_must_be_sent() {
    let server = server().await;
    let client = client(&server);
    let url = client.tenant("u").files().upload_url("a.txt").await.unwrap();
    let signed = url.presigned_url.expose();
    let (before, signature) = signed.split_at(signed.find("X-Amz-Signature=").unwrap() + "X-Amz-Signature=".len());
    let tampered = format!("{before}{}", signature.chars().rev().collect::<String>());
    for (url, content_type) in [
        (signed.to_owned(), "text/html"),
        (signed.replace("a.txt", "b.txt"), "text/plain"),
        (signed.replace("X-Amz-Expires=3600", "X-Amz-Expires=7200"), "text/plain"),
        (tampered, "text/plain"),
    ] {
        let (status, said) = put(&url, content_type).await;
        assert!(status == 403 && said.contains("<Code>SignatureDoesNotMatch</Code>"), "{status} {said}");
    }
    assert_eq!(server.objects(), 0);
    assert_eq!(put(signed, "text/plain").await.0, 200);
    assert_eq!(put(signed, "text/plain").await.0, 200, "a replay is safe");
}

#[tokio::test]
async fn expired_urls_are_refused() {
    let server = server().await;
    server.sign_in_the_past(1, Duration::from_secs(7200));
    let url = client(&server).tenant("u").files().upload_url("a.txt").await.unwrap();
    let (status, said) = put(url.presigned_url.expose(), "text/plain").await;
    assert!(status == 403 && said.contains("<Message>Request has expired</Message>"), "{status} {said}");
}

#[tokio::test]
async fn bodies_need_a_length() {
    let server = server().await;
    let url = client(&server).tenant("u").files().upload_url("a.txt").await.unwrap();
    let chunks = futures::stream::iter([Ok::<_, std::io::Error>("hello")]);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.put(url.presigned_url.expose()).header("content-type", "text/plain");
    let answer = request.body(reqwest::Body::wrap_stream(chunks)).send().await.unwrap();
    assert_eq!(answer.status(), 411);
}

#[tokio::test]
async fn browsers_may_put() {
    let server = server().await;
    let url = client(&server).tenant("u").files().upload_url("a.txt").await.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let asked = http
        .request(http::Method::OPTIONS, url.presigned_url.expose())
        .header("origin", "http://page.example.com")
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", "content-type");
    let allowed = asked.send().await.unwrap();
    assert!(allowed.status().is_success());
    assert_eq!(allowed.headers()["access-control-allow-origin"], "*");
    assert_eq!(allowed.headers()["access-control-allow-methods"], "PUT");
}

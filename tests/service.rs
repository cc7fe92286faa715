//! The example service passes on what the server behind says.

mod support;

#[allow(dead_code, reason = "its main is not run here")]
#[path = "../examples/service.rs"]
mod service;

use carbonfiles_testserver::{Fault, TestServer};
use reqwest::{Client, StatusCode};
use support::{admin, bucket, server};
use tokio::net::TcpListener;

async fn start() -> (TestServer, carbonfiles::Bucket, String, Client) {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/files", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, service::router(bucket.clone())).into_future());
    (server, bucket, url, Client::builder().no_proxy().build().unwrap())
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect()
}

#[tokio::test]
async fn uploads_and_downloads_pass_through() {
    let (server, bucket, url, http) = start().await;
    let data = pattern(3_000_000);
    let name = format!("{url}/docs/%C3%BC%20%25%2B%23.bin");
    let put = http.put(&name).body(data.clone()).send().await.unwrap();
    assert_eq!(put.status(), StatusCode::CREATED);
    let sent = server.requests().into_iter().find(|request| request.path.contains("/upload")).unwrap();
    assert!(sent.body_bytes >= 3_000_000);
    let etag = put.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(bucket.file("docs/ü %+#.bin").head().await.unwrap().etag.as_deref(), Some(etag.as_str()));

    for head in [true, false] {
        let answer = if head { http.head(&name) } else { http.get(&name) }.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!((header("content-length"), header("etag")), ("3000000".into(), etag.clone()));
        assert_eq!(header("content-type"), "application/octet-stream");
        assert_eq!(header("accept-ranges"), "bytes");
        assert_eq!(
            (header("x-content-type-options"), header("content-disposition")),
            ("nosniff".into(), "attachment".into())
        );
        assert!(header("last-modified").ends_with("GMT"));
        assert!(head || answer.bytes().await.unwrap() == data);
    }

    let ranged = async |range: &str, name: &str, value: &str| {
        let answer = http.get(format!("{url}/docs/%C3%BC%20%25%2B%23.bin")).header("range", range);
        let answer = if name.is_empty() { answer } else { answer.header(name, value) };
        let answer = answer.send().await.unwrap();
        let came = answer.headers().get("content-range").map(|v| v.to_str().unwrap().to_owned());
        (answer.status().as_u16(), came, answer.bytes().await.unwrap())
    };
    let part = |status, range: &str, bytes: &[u8]| (status, Some(range.to_owned()), bytes.to_vec().into());
    assert_eq!(ranged("bytes=5-9", "", "").await, part(206, "bytes 5-9/3000000", &data[5..10]));
    assert_eq!(ranged("bytes=2999999-", "", "").await, part(206, "bytes 2999999-2999999/3000000", &data[2_999_999..]));
    assert_eq!(ranged("bytes=-3", "", "").await, part(206, "bytes 2999997-2999999/3000000", &data[2_999_997..]));
    assert_eq!(ranged("bytes=5-9", "if-range", &etag).await, part(206, "bytes 5-9/3000000", &data[5..10]));
    assert_eq!(ranged("bytes=5-9", "if-range", "\"other\"").await, (200, None, data.clone().into()));
    assert_eq!(ranged("bytes=1-2,5-6", "", "").await, (200, None, data.clone().into()));
    for none in ["bytes=3000000-", "bytes=-0"] {
        assert_eq!(ranged(none, "", "").await, part(416, "bytes */3000000", b""));
    }
    assert_eq!(ranged("bytes=5-9", "if-match", "\"other\"").await.0, 412);

    let known = http.get(&name).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!((known.status(), known.headers()["etag"].to_str().unwrap()), (StatusCode::NOT_MODIFIED, etag.as_str()));
    let other = http.get(&name).header("if-none-match", "\"other\"").send().await.unwrap();
    assert_eq!(other.bytes().await.unwrap(), data);
}

#[tokio::test]
async fn errors_pass_through_as_what_they_mean_here() {
    let (server, bucket, url, http) = start().await;
    let status = async |path: &str| http.get(format!("{url}/{path}")).send().await.unwrap().status().as_u16();
    assert_eq!((status("none").await, status("a%5Cb").await), (404, 400));
    bucket.file("x").upload(pattern(2_000_000)).await.unwrap();
    server.inject(Fault::status(403).on("GET", "/content"));
    assert_eq!(status("x").await, 502, "the user can't help it");
    // Longer than the crate itself waits.
    server.inject(Fault::status(503).header("retry-after", "700").on("GET", "/content"));
    let busy = http.get(format!("{url}/x")).send().await.unwrap();
    assert_eq!((busy.status().as_u16(), busy.headers()["retry-after"].to_str().unwrap()), (503, "700"));

    // A body that breaks off is not a whole one.
    server.inject(Fault::reset_response_after(1_000_000).on("GET", "/content"));
    server.inject(Fault::status(404).on("GET", "/content").forever());
    let broken = http.get(format!("{url}/x")).send().await.unwrap();
    assert_eq!(broken.status(), 200);
    assert!(broken.bytes().await.is_err());

    // An upload that breaks off leaves nothing.
    let chunks = futures::stream::iter([Ok(vec![1; 100_000]), Err(std::io::Error::other("gone"))]);
    assert!(http.put(format!("{url}/y")).body(reqwest::Body::wrap_stream(chunks)).send().await.is_err());
    assert!(bucket.file("y").get_opt().await.unwrap().is_none());
}

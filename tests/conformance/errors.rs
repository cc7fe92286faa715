//! L: errors.

use std::net::TcpListener;

use carbonfiles::{Client, ErrorKind, RetryPolicy};

use crate::bench::{Bench, builder};
use crate::content::random;
use crate::operation::{Operation, Outcome, ensure, failed, operations, refused, same};
use crate::proxy::Rule;

pub(crate) const OPERATIONS: &[Operation] = operations!["errors":
    L1 no_bucket "404 bucket: typed, server's message";
    L2 no_file "404 file: typed, server's message";
    L3 no_credential "403 without credentials: message and hint";
    L4 not_the_owner "403 on another owner's bucket";
    L5 empty_name "400 empty name: server's message";
    L6 me_without_token "401 on me with no token";
    L7 empty_body "404 with an empty body (unknown short code): typed, message not empty";
    L8 html_page "502 with an HTML page: typed, status kept";
    L9 nobody_listens "network failure (nothing listens) is the SDK's own error type";
];

async fn no_bucket(bench: Bench) -> Outcome {
    let error = refused(bench.admin().bucket("nothere000").get().await, ErrorKind::NotFound, 404)?;
    same!(error.message(), "Bucket not found", "the server's words");
    let url = format!("{}/api/buckets/nothere000", bench.url());
    same!((error.method().map(http::Method::as_str), error.url()), (Some("GET"), Some(url.as_str())), "request");
    Ok(error.to_string())
}

async fn no_file(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let error = refused(bucket.file("docs/none.txt").get().await, ErrorKind::NotFound, 404)?;
    same!(error.message(), "File not found", "the server's words");
    refused(bucket.file("docs/none.txt").download().await, ErrorKind::NotFound, 404)?;
    refused(bucket.file("docs/none.txt").verify().await, ErrorKind::NotFound, 404)?;
    Ok(error.to_string())
}

async fn no_credential(bench: Bench) -> Outcome {
    // With none, and with one that the server does not know, which it treats the same.
    for client in [bench.anonymous()?, bench.with_token("cf4_00000000_00000000000000000000000000000000")?] {
        let error = refused(client.buckets().create(bench.name("none")).await, ErrorKind::Unauthenticated, 403)?;
        same!(error.message(), "Authentication required", "the server's words");
        same!(error.hint(), Some("Use an API key or admin key."), "the server's hint");
    }
    let bucket = bench.bucket().await?;
    let upload = bench.anonymous()?.bucket(bucket.id()).file("x.txt").upload(random(10)).await;
    let error = refused(upload, ErrorKind::Unauthenticated, 403)?;
    same!(error.hint(), Some("Use an API key, admin key, or upload token."), "the server's hint");
    Ok(error.to_string())
}

async fn not_the_owner(bench: Bench) -> Outcome {
    let (owner, other) = (bench.key().await?, bench.key().await?);
    let bucket = bench.bucket_of(&owner.client).await?;
    let theirs = other.client.bucket(bucket.id());
    let error = refused(theirs.update().name("mine").await, ErrorKind::PermissionDenied, 403)?;
    same!(error.message(), "Access denied", "the server's words");
    refused(theirs.delete().await, ErrorKind::PermissionDenied, 403)?;
    ensure!(bucket.get_opt().await?.is_some(), "it has gone all the same");
    Ok(error.to_string())
}

async fn empty_name(bench: Bench) -> Outcome {
    let error = refused(bench.admin().buckets().create("").await, ErrorKind::InvalidInput, 400)?;
    same!(error.message(), "Name is required", "the server's words");
    refused(bench.admin().keys().create(" ").await, ErrorKind::InvalidInput, 400)?;
    Ok(error.to_string())
}

async fn me_without_token(bench: Bench) -> Outcome {
    let error = refused(bench.anonymous()?.dashboard().me().await, ErrorKind::Unauthenticated, 401)?;
    same!(error.message(), "No token provided", "the server's words");
    Ok(error.to_string())
}

async fn empty_body(bench: Bench) -> Outcome {
    let error = refused(bench.admin().short_url("zzzzz0").resolve().await, ErrorKind::NotFound, 404)?;
    ensure!(error.to_string().contains("404"), "the status is not in '{error}'");
    Ok(error.to_string())
}

async fn html_page(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let (proxy, client) = bench.proxy().await?;
    let page = "<html>\r\n<head><title>502</title></head>\r\n<body><h1>Bad Gateway</h1></body></html>";
    let rule = Rule::answer(502, "Content-Type: text/html\r\nServer: nginx\r\n", page);
    let fault = proxy.add(rule.on("GET", "/api/").times(2));
    let never = RetryPolicy::never;
    let error = refused(client.bucket(bucket.id()).get().retry(never()).await, ErrorKind::Server, 502)?;
    ensure!(error.message().contains("Bad Gateway") && !error.to_string().contains('\n'), "it says '{error}'");
    ensure!(error.is_retryable(), "it is not worth another try");
    refused(client.bucket(bucket.id()).file("x").download().retry(never()).await, ErrorKind::Server, 502)?;
    same!(fault.fired(), 2, "pages sent");
    same!(client.bucket(bucket.id()).get().await?.id, bucket.id(), "the bucket, once the page is gone");
    Ok(error.to_string())
}

async fn nobody_listens(_bench: Bench) -> Outcome {
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let client: Client = builder(&format!("http://{nobody}")).token("cf4_secret").build()?;
    let error = failed(client.health().await, ErrorKind::Connect)?;
    ensure!(error.is_connect() && error.is_retryable() && error.status().is_none(), "it is {error:?}");
    ensure!(std::error::Error::source(&error).is_some(), "it has no cause");
    ensure!(!format!("{error:?}").contains("secret"), "it shows the credential");
    // Nothing was sent, so even what must not happen twice was tried again.
    let error = failed(client.buckets().create("x").await, ErrorKind::Connect)?;
    same!(error.attempts(), 4, "attempts");
    Ok(error.to_string())
}

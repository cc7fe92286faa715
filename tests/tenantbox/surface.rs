//! Every call, as documented.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use carbonfiles::tenantbox::{Client, MB, human_readable};
use carbonfiles::{ErrorKind, Phase, Source};
use carbonfiles_testserver::Fault;
use futures::StreamExt;
use sha2::{Digest, Sha256};

use crate::support::within;
use crate::{builder, client, header, pattern, seen, server};

#[tokio::test]
async fn a_file_goes_up_comes_down_and_is_deleted() {
    let server = server().await;
    let client = client(&server);
    let content = pattern(700_000);
    let tenants = client.tenants();
    let files = tenants["ada@example.com"].files();
    let done = files
        .upload(content.clone())
        .filename("ü %+#?.bin")
        .content_type("application/x-mine; v=1")
        .email("ada@example.com")
        .await
        .unwrap();
    assert_eq!((done.size, done.is_new_tenant, &*done.tenant_id), (700_000, true, "ada@example.com"));
    assert_eq!(done.content_type, "application/x-mine; v=1");
    assert_eq!(server.stored(&done.file_path).await.unwrap(), content);
    assert_eq!(seen(&server.requests()), ["POST /api/storage/upload/"]);

    let file = client.file(&done.file_path);
    let download = file.download().await.unwrap();
    assert_eq!(download.info().length, Some(700_000));
    assert_eq!(download.info().content_type.as_deref(), Some("application/x-mine; v=1"));
    let disposition = download.info().content_disposition.clone().unwrap();
    assert!(
        disposition.starts_with("attachment") && disposition.contains("%C3%BC%20%25%2B%23%3F.bin"),
        "{disposition}"
    );
    assert_eq!(download.bytes(1 << 20).await.unwrap(), content);
    assert_eq!(file.download().range(5..9).await.unwrap().bytes(9).await.unwrap(), content[5..9]);
    assert_eq!(file.download().last(3).await.unwrap().bytes(9).await.unwrap(), content[699_997..]);
    let error = file.download().range(700_000..).await.unwrap_err();
    assert_eq!(error.kind(), carbonfiles::ErrorKind::RangeNotSatisfiable, "{error}");

    let folder = tempfile::tempdir().unwrap();
    let saved = file.download_to(folder.path().join("copy.bin")).await.unwrap();
    assert_eq!((saved.size, saved.verified_sha256), (700_000, None));
    assert_eq!(std::fs::read(folder.path().join("copy.bin")).unwrap(), content);

    let saved = file.download_to(folder.path().join("ranges.bin")).parallel(3).await.unwrap();
    assert_eq!(std::fs::read(&saved.path).unwrap(), content);

    let link = file.download_url().expires_in(Duration::from_secs(300)).await.unwrap();
    assert_eq!((link.expires_in, &*link.filename, link.size_bytes), (300, "ü %+#?.bin", 700_000));
    assert_eq!(link.content_type, "application/x-mine; v=1");

    assert_eq!(file.delete().await.unwrap().detail, "File deleted successfully");
    assert!(file.delete().await.unwrap_err().is_not_found());
    assert_eq!(server.objects(), 0);
}

#[tokio::test]
async fn nothing_of_the_client_goes_to_the_storage() {
    let server = server().await;
    let client = builder(&server).default_header("X-Mine", "secret").build().unwrap();
    let done = client.tenant("u").files().upload("hello".as_bytes()).header("X-Call", "secret").await.unwrap();
    client.file(&done.file_path).download().header("X-Call", "secret").await.unwrap().bytes(9).await.unwrap();
    let requests = server.storage_requests();
    assert_eq!(requests.len(), 2);
    for request in &requests {
        for name in ["authorization", "x-mine", "x-call", "cookie", "referer"] {
            assert_eq!(header(request, name), None, "{name}");
        }
        assert!(header(request, "user-agent").unwrap().starts_with("carbonfiles-rust/"));
    }
    assert_eq!(header(&requests[0], "content-length"), Some("5"));
    assert_eq!(header(&requests[0], "transfer-encoding"), None);
    assert_eq!(header(&requests[0], "content-type"), Some("application/octet-stream"));
    for request in server.requests() {
        assert_eq!((header(&request, "x-mine"), header(&request, "x-call")), (Some("secret"), Some("secret")));
        assert_eq!(header(&request, "authorization").map(|key| &key[..7]), Some("Bearer "));
    }
}

#[tokio::test]
async fn names_and_types_come_from_the_source_where_they_can() {
    let server = server().await;
    let files = client(&server).tenant("u").files();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.pdf");
    std::fs::write(&path, b"%PDF").unwrap();
    let done = files.upload(path.as_path()).await.unwrap();
    assert!(done.file_path.ends_with("/report.pdf") && done.content_type == "application/pdf", "{done:?}");
    let done = files.upload(tokio::fs::File::open(&path).await.unwrap()).await.unwrap();
    assert!(done.file_path.ends_with("/upload") && done.content_type == "application/octet-stream", "{done:?}");
    let done = files.upload(Vec::new()).filename("empty.txt").await.unwrap();
    assert!(done.size == 0 && done.content_type == "text/plain");
    assert_eq!(server.stored(&done.file_path).await.unwrap(), b"");
    assert_eq!(client(&server).file(&done.file_path).download().await.unwrap().bytes(0).await.unwrap(), b""[..]);
}

#[tokio::test]
async fn sources_of_unknown_length_are_spooled() {
    let server = server().await;
    let files = client(&server).tenant("u").files();
    let content = pattern(3 << 20);
    let phases = Arc::new(Mutex::new(Vec::new()));
    let noted = phases.clone();
    let reader = Source::reader(&content[..]);
    let done = files
        .upload(reader)
        .progress(move |p| noted.lock().unwrap().push(p.phase))
        .progress_interval(Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(server.stored(&done.file_path).await.unwrap(), content);
    assert_eq!(header(&server.storage_requests()[0], "content-length"), Some("3145728"));
    let phases = phases.lock().unwrap().clone();
    assert!(phases.first() == Some(&Phase::Spooling) && phases.last() == Some(&Phase::Done), "{phases:?}");

    let before = server.requests().len();
    let error = files.upload(Source::reader(&content[..])).spool_limit(MB(2)).await.unwrap_err();
    assert_eq!(error.kind(), carbonfiles::ErrorKind::PayloadTooLarge);
    assert!(error.hint().is_some() && server.requests().len() == before, "{error}");
    // With its size it is not kept.
    let known = Source::reader(&content[..]).size(content.len() as u64);
    assert_eq!(files.upload(known).spool_limit(0).await.unwrap().size, 3 << 20);
}

#[tokio::test]
async fn a_url_can_be_handed_on() {
    let server = server().await;
    let client = client(&server);
    let url = client.tenant("u").files().upload_url("avatar.png").email("a@b.c").await.unwrap();
    assert_eq!((&*url.content_type, url.expires_in, url.is_new_tenant), ("image/png", 3600, true));
    let page: serde_json::Value = serde_json::to_value(&url).unwrap();
    let browser = reqwest::Client::builder().no_proxy().build().unwrap();
    let put = browser.put(page["presigned_url"].as_str().unwrap());
    let answer =
        put.header("content-type", page["content_type"].as_str().unwrap()).body("pixels").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let link = client.file(&url.file_path).download_url().await.unwrap();
    let got = browser.get(link.download_url.expose()).send().await.unwrap();
    assert_eq!(got.text().await.unwrap(), "pixels");
}

#[tokio::test]
async fn usage_and_limits() {
    let server = server().await;
    let client = client(&server);
    let tenant = client.tenant("a/b ü@x");
    tenant.files().upload(pattern(1_234_567)).email("x@y.z").await.unwrap();
    let usage = tenant.usage().await.unwrap();
    assert_eq!((&*usage.tenant_id, usage.email.as_deref(), usage.total_files), ("a/b ü@x", Some("x@y.z"), 1));
    assert_eq!((usage.storage_used_bytes, usage.storage_used_mb(), usage.is_unlimited()), (1_234_567, 1.177, true));
    let limit = tenant.set_limit(MB(5)).await.unwrap();
    assert_eq!((limit.storage_limit_bytes, limit.is_unlimited()), (Some(5_242_880), false));
    let usage = tenant.usage().await.unwrap();
    assert_eq!((usage.storage_limit_mb(), usage.usage_percentage()), (Some(5.0), Some(23.55)));
    assert_eq!(human_readable(usage.storage_limit_bytes.unwrap()), "5.0 MB");
    assert!(tenant.remove_limit().await.unwrap().is_unlimited());
    assert!(tenant.usage().await.unwrap().is_unlimited());
}

#[tokio::test]
async fn many_usages_come_a_few_at_a_time() {
    let server = server().await;
    let client = client(&server);
    for id in 0..20 {
        client.tenant(id.to_string()).files().upload(pattern(id)).await.unwrap();
    }
    let ids = (0..20).map(|id| id.to_string()).chain(["nobody".to_owned(), String::new()]);
    let mut all: Vec<_> = within(client.usage_of(ids).concurrency(3).collect()).await;
    all.sort_by(|a, b| (a.tenant_id.len(), &a.tenant_id).cmp(&(b.tenant_id.len(), &b.tenant_id)));
    assert_eq!(all.len(), 22);
    assert!(all[0].usage.as_ref().unwrap_err().is_invalid_input());
    assert!(all[21].usage.as_ref().unwrap_err().is_not_found());
    for (id, of) in all[1..21].iter().enumerate() {
        assert_eq!(of.usage.as_ref().unwrap().storage_used_bytes, id as u64);
    }
    crate::support::ends(&mut client.usage_of(["1", "2"])).await;
    let connections: std::collections::HashSet<_> = server.requests().iter().map(|seen| seen.connection).collect();
    assert!(connections.len() <= 4, "{connections:?}");
}

#[tokio::test]
async fn usages_take_what_other_calls_take() {
    let server = server().await;
    let client = client(&server);
    let usages = || client.usage_of(["a", "b"]).header("x-job", "42").retry(carbonfiles::RetryPolicy::never());
    let all: Vec<_> = within(usages().collect()).await;
    assert!(all.iter().all(|of| of.usage.as_ref().unwrap_err().is_not_found()), "{all:?}");
    assert!(server.requests().len() == 2 && server.requests().iter().all(|seen| header(seen, "x-job") == Some("42")));
    let fault = server.inject(Fault::status(503).on("GET", "usage").forever());
    within(usages().collect::<Vec<_>>()).await;
    assert_eq!(fault.fired(), 2, "once each");
}

#[tokio::test]
async fn usages_none_at_a_time_are_refused() {
    let server = server().await;
    let all: Vec<_> = within(client(&server).usage_of(["a", "b", "c"]).concurrency(0).collect()).await;
    assert_eq!(all.iter().map(|of| of.tenant_id.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    for of in &all {
        let error = of.usage.as_ref().unwrap_err();
        assert!(error.is_invalid_input() && error.attempts() == 0, "{error}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_raw_request_has_the_key() {
    let server = server().await;
    let answer = client(&server).request(http::Method::GET, "/api/storage/nothing/").await.unwrap_err();
    assert_eq!(answer.status().unwrap(), 404);
}

#[test]
fn handles_are_send_sync_and_static() {
    fn check<T: Clone + Send + Sync + 'static>() {}
    check::<Client>();
    check::<carbonfiles::tenantbox::Tenants>();
    check::<carbonfiles::tenantbox::Tenant>();
    check::<carbonfiles::tenantbox::Files>();
    check::<carbonfiles::tenantbox::File>();
}

#[tokio::test]
async fn downloads_take_conditions() {
    let server = server().await;
    let client = client(&server);
    let done = client.tenant("u").files().upload("hello".as_bytes()).await.unwrap();
    let file = client.file(&done.file_path);
    let etag = file.download().await.unwrap().info().etag.clone().unwrap();
    assert!(file.download().if_none_match(&etag).await.unwrap().is_none());
    let folder = tempfile::tempdir().unwrap();
    assert!(file.download_to(folder.path().join("x")).if_none_match(&etag).await.unwrap().is_none());
    assert_eq!(file.download_to(folder.path().join("x")).if_none_match("other").await.unwrap().unwrap().size, 5);
    let other = file.download().if_none_match("other").await.unwrap().unwrap();
    assert_eq!(other.bytes(9).await.unwrap(), "hello");
    assert_eq!(file.download().if_match(&etag).await.unwrap().bytes(9).await.unwrap(), "hello");
    let error = file.download().if_match("other").await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::PreconditionFailed, Some("PreconditionFailed")), "{error}");
    assert!(file.download().if_match("a\nb").await.unwrap_err().is_invalid_input());
}

#[tokio::test]
async fn downloads_come_in_parallel() {
    let server = server().await;
    let client = client(&server);
    let content = pattern(9 << 20);
    let done = client.tenant("u").files().upload(content.clone()).await.unwrap();
    let file = client.file(&done.file_path);
    let (api, storage) = (server.requests().len(), server.storage_requests().len());
    assert_eq!(file.download().parallel(3).await.unwrap().bytes(10 << 20).await.unwrap(), content);
    // One URL for all of them; 2 MiB each.
    assert_eq!((server.requests().len() - api, server.storage_requests().len() - storage), (1, 5));
    let folder = tempfile::tempdir().unwrap();
    file.download_to(folder.path().join("x")).parallel(3).await.unwrap();
    assert_eq!(std::fs::read(folder.path().join("x")).unwrap(), content);
}

#[tokio::test]
async fn downloads_are_compared_with_a_hash_that_one_knows() {
    let server = server().await;
    let client = client(&server);
    let content = pattern(3 << 20);
    let hash: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02X}")).collect();
    let done = client.tenant("u").files().upload(content.clone()).await.unwrap();
    let (file, folder) = (client.file(&done.file_path), tempfile::tempdir().unwrap());
    for parallel in [1, 3] {
        let download = file.download().expect_sha256(&hash).parallel(parallel).await.unwrap();
        assert_eq!(download.bytes(4 << 20).await.unwrap(), content);
        let download = file.download().expect_sha256("0".repeat(64)).parallel(parallel).await.unwrap();
        assert_eq!(download.bytes(4 << 20).await.unwrap_err().kind(), ErrorKind::IntegrityMismatch);

        let target = folder.path().join("x");
        let to = file.download_to(&target).parallel(parallel).expect_sha256("0".repeat(64));
        assert_eq!(to.await.unwrap_err().kind(), ErrorKind::IntegrityMismatch);
        assert!(!target.exists());
    }
    let saved = file.download_to(folder.path().join("y")).expect_sha256(&hash).await.unwrap();
    assert_eq!(saved.verified_sha256, Some(hash.to_lowercase()));
    assert!(file.download_to(folder.path().join("z")).await.unwrap().verified_sha256.is_none());
    assert!(file.download().expect_sha256("x").await.unwrap_err().is_invalid_input());
    // Only if it is still the same.
    let etag = file.download().await.unwrap().info().etag.clone().unwrap();
    let target = folder.path().join("y");
    std::fs::write(&target, "old").unwrap();
    let error = file.download_to(&target).if_match("\"other\"").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PreconditionFailed);
    assert_eq!(std::fs::read(&target).unwrap(), b"old");
    file.download_to(&target).if_match(&etag).await.unwrap();
    assert!(std::fs::read(&target).unwrap() == content);
}

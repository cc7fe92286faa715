//! Every resource, as a user would use it, on the test server.

mod support;

use std::time::Duration;

use bytes::Bytes;
use carbonfiles::models::{BucketSort, HealthStatus, KeySort, Order};
use carbonfiles::{Access, Client, ErrorKind, Expiry};
use carbonfiles_testserver::{Defects, TestServer};
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, TryStreamExt};
use http::Method;
use support::{admin, answer, assert_now, bucket, builder, client, seen, server, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A time that the server's clock gave during this test, whether it was written with a zone or without.
#[track_caller]
fn assert_in(time: Option<DateTime<Utc>>, from_now: TimeDelta) {
    assert_now(time.expect("it expires") - from_now);
}

#[tokio::test]
async fn health() {
    let server = server().await;
    let health = Client::anonymous(server.url()).unwrap().health().await.unwrap();
    assert_eq!((health.status, health.db.as_str()), (HealthStatus::Healthy, "ok"));
}

#[tokio::test]
async fn keys() {
    let server = server().await;
    let admin = admin(&server);
    let keys = admin.keys();
    let made = keys.create("alice").await.unwrap();
    assert!(made.key.expose().starts_with(&made.prefix) && made.name == "alice");
    assert_now(made.created_at);
    for name in ["bob", "carol", "dave"] {
        keys.create(name).await.unwrap();
    }
    let alice = client(&server, &made.key);
    let bucket = alice.buckets().create("hers").await.unwrap();
    alice.bucket(&bucket.id).file("a.txt").upload("hello".as_bytes()).await.unwrap();

    let page = keys.list().sort(KeySort::Name).order(Order::Asc).limit(2).offset(1).await.unwrap();
    let names: Vec<_> = page.items.iter().map(|key| key.name.as_str()).collect();
    assert_eq!((names, page.total, page.offset, page.has_more()), (vec!["bob", "carol"], 4, 1, true));
    let all: Vec<_> = keys.list_all().limit(2).sort(KeySort::CreatedAt).items().try_collect().await.unwrap();
    assert_eq!(all.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["dave", "carol", "bob", "alice"]);
    let by_size = keys.list().sort(KeySort::TotalSize).await.unwrap().items;
    assert_eq!((by_size[0].name.as_str(), by_size[0].total_size, by_size[0].file_count), ("alice", 5, 1));
    let by_use = keys.list().sort(KeySort::LastUsedAt).await.unwrap().items;
    assert_eq!(by_use[0].name, "alice");
    assert_now(by_use[0].last_used_at.unwrap());
    assert_now(by_use[0].created_at);

    let usage = keys[&made.prefix].usage().await.unwrap();
    assert_eq!(
        (usage.name.as_str(), usage.bucket_count, usage.buckets[0].id.as_str()),
        ("alice", 1, bucket.id.as_str())
    );
    assert_eq!(usage.total_downloads, 0);

    let error = alice.keys().list().await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::PermissionDenied, "Admin access required"));
    assert!(error.hint().unwrap().contains("admin key"));

    admin.key(&made.prefix).revoke().await.unwrap();
    assert!(admin.key(&made.prefix).usage().await.unwrap_err().is_not_found());
    assert_eq!(admin.key(&made.prefix).prefix(), made.prefix);
    // It dies when the server's cache forgets it; its buckets stay.
    server.clock().advance(Duration::from_secs(31));
    assert_eq!(alice.buckets().list().await.unwrap_err().kind(), ErrorKind::Unauthenticated);
    assert_eq!(admin.bucket(&bucket.id).get().await.unwrap().owner, "alice");
}

#[tokio::test]
async fn dashboard_tokens() {
    let server = server().await;
    let admin = admin(&server);
    let made = admin.dashboard().create_token().await.unwrap();
    assert_in(Some(made.expires_at), TimeDelta::hours(1));
    let made = admin.dashboard().create_token().expires(Duration::from_secs(2 * 3600)).await.unwrap();
    assert_in(Some(made.expires_at), TimeDelta::hours(2));
    let dashboard = client(&server, &made.token);
    let me = dashboard.dashboard().me().await.unwrap();
    assert_eq!((me.scope.as_str(), me.expires_at.timestamp()), ("admin", made.expires_at.timestamp()));
    assert_eq!(dashboard.keys().list().await.unwrap().total, 0);
    let error = admin.dashboard().me().await.unwrap_err();
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Unauthenticated, 401));
    // Once it has expired, its bearer is anybody: on the routes of the admin the server says only that.
    server.clock().advance(Duration::from_secs(3 * 3600));
    assert_eq!(dashboard.keys().list().await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert_eq!(dashboard.buckets().list().await.unwrap_err().kind(), ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn stats() {
    let server = server().await;
    let admin = admin(&server);
    let bucket = bucket(&admin).await;
    bucket.file("a.txt").upload("hello".as_bytes()).await.unwrap();
    let stats = admin.stats().await.unwrap();
    assert_eq!((stats.total_buckets, stats.total_files, stats.total_size), (1, 1, 5));
    assert_eq!((stats.storage_by_owner[0].owner.as_str(), stats.storage_by_owner[0].total_size), ("admin", 5));
}

#[tokio::test]
async fn buckets() {
    let server = server().await;
    let admin = admin(&server);
    let plain = admin.buckets().create("plain").await.unwrap();
    assert_eq!((plain.owner.as_str(), plain.description, plain.file_count), ("admin", None, 0));
    assert_now(plain.created_at);
    assert_in(plain.expires_at, TimeDelta::days(7));
    let made = admin.buckets().create("Assets & Ünïcode").description("for <all>").expires("30d").await.unwrap();
    assert_eq!((made.name.as_str(), made.description.as_deref()), ("Assets & Ünïcode", Some("for <all>")));
    assert_in(made.expires_at, TimeDelta::days(30));
    let ever = admin.buckets().create("ever").expires(Expiry::never()).await.unwrap();
    assert_eq!(ever.expires_at, None);
    let exact: DateTime<Utc> = "2123-04-05T06:07:08.123456Z".parse().unwrap();
    assert_eq!(admin.buckets().create("exact").expires(exact).await.unwrap().expires_at, Some(exact));

    let bucket = admin.bucket(&made.id);
    let got = bucket.get().await.unwrap();
    assert_eq!(
        (&got.name, got.created_at, got.expires_at),
        (&made.name, made.created_at, made.expires_at),
        "bare is UTC"
    );
    assert_eq!((got.unique_content_count, got.unique_content_size, &got.files), (0, 0, &None));
    assert_eq!(admin.buckets()[&made.id].get().await.unwrap(), got);

    // Read by anybody, changed by the owner.
    let anybody = Client::anonymous(server.url()).unwrap();
    assert_eq!(anybody.bucket(&made.id).get().await.unwrap().id, made.id);
    let error = anybody.bucket(&made.id).update().name("x").await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Unauthenticated, "Authentication required"));

    let changed = bucket.update().name("New").description("").expires("2w").await.unwrap();
    assert_eq!((changed.name.as_str(), changed.description.as_deref()), ("New", Some("")));
    assert_in(changed.expires_at, TimeDelta::weeks(2));
    assert_eq!(changed.created_at, made.created_at);
    assert_eq!(bucket.update().expires(Expiry::never()).await.unwrap().expires_at, None);
    assert_eq!(bucket.get().await.unwrap().name, "New");

    assert!(bucket.get_opt().await.unwrap().is_some());
    bucket.delete().await.unwrap();
    assert!(bucket.get_opt().await.unwrap().is_none());
    assert!(bucket.get().await.unwrap_err().is_not_found());
    assert_eq!(bucket.delete().await.unwrap_err().message(), "Bucket not found");
}

#[tokio::test]
async fn bucket_listings() {
    let server = server().await;
    let admin = admin(&server);
    let key = admin.keys().create("alice").await.unwrap();
    let alice = client(&server, &key.key);
    for (name, expiry, size) in [("b", "3d", 30), ("C", "1d", 10), ("a", "2d", 20)] {
        let made = alice.buckets().create(name).expires(expiry).await.unwrap();
        alice.bucket(&made.id).file("x").upload(vec![7; size]).await.unwrap();
    }
    admin.buckets().create("admin's").expires(Expiry::never()).await.unwrap();
    let names = async |sort, order| {
        let page = alice.buckets().list().sort(sort).order(order).await.unwrap();
        page.into_iter().map(|bucket| bucket.name).collect::<Vec<_>>()
    };
    assert_eq!(names(BucketSort::Name, Order::Asc).await, ["C", "a", "b"]);
    assert_eq!(names(BucketSort::Name, Order::Desc).await, ["b", "a", "C"]);
    assert_eq!(names(BucketSort::ExpiresAt, Order::Asc).await, ["C", "a", "b"]);
    assert_eq!(names(BucketSort::TotalSize, Order::Desc).await, ["b", "a", "C"]);
    assert_eq!(names(BucketSort::CreatedAt, Order::Asc).await, ["b", "C", "a"]);
    assert_eq!(names(BucketSort::LastUsedAt, Order::Asc).await, ["b", "C", "a"]);
    assert_eq!(admin.buckets().list().await.unwrap().total, 4, "the admin sees all");
    let all: Vec<_> = alice.buckets().list_all().limit(2).items().map_ok(|b| b.name).try_collect().await.unwrap();
    assert_eq!(all, ["a", "C", "b"], "newest first");
    let pages: Vec<_> = alice.buckets().list_all().limit(2).try_collect().await.unwrap();
    assert!(pages.len() >= 2 && pages.iter().all(|page| page.total == 3));

    server.clock().advance(Duration::from_secs(36 * 3600));
    assert_eq!(alice.buckets().list().await.unwrap().total, 2);
    assert_eq!(alice.buckets().list().include_expired(true).await.unwrap().total, 2, "only the admin's wish counts");
    assert_eq!(admin.buckets().list().include_expired(true).await.unwrap().total, 4);
    assert_eq!(admin.buckets().list().include_expired(false).await.unwrap().total, 3);
    let all: Vec<_> = admin.buckets().list_all().include_expired(true).items().try_collect().await.unwrap();
    let expired = all.iter().find(|bucket| bucket.name == "C").unwrap();
    // The owner can bring it back.
    alice.bucket(&expired.id).update().expires("30d").await.unwrap();
    assert_eq!(alice.bucket(&expired.id).get().await.unwrap().file_count, 1);
}

#[tokio::test]
async fn a_bucket_with_its_files_whoever_asked_before() {
    let server = server().await;
    let admin = admin(&server);
    let bucket = bucket(&admin).await;
    for path in ["b.txt", "a/c.txt", "d.txt"] {
        bucket.file(path).upload(Bytes::from(path)).await.unwrap();
    }
    // The server's cache mixes up the two forms; whichever was asked for first, both come out right.
    for round in 0..2 {
        if round == 1 {
            bucket.update().name("new").await.unwrap();
            let asked = || admin.request(Method::GET, format!("/api/buckets/{}", bucket.id()));
            asked().query("include", "files").await.unwrap();
            let mixed_up = asked().await.unwrap();
            assert!(String::from_utf8_lossy(mixed_up.body()).contains("has_more_files"), "the defect is there");
        }
        let plain = bucket.get().await.unwrap();
        assert!(plain.files.is_none() && plain.has_more_files.is_none(), "{round}");
        let full = bucket.get().with_files().await.unwrap();
        let paths: Vec<_> = full.files.as_ref().unwrap().iter().map(|file| file.path.as_str()).collect();
        assert_eq!((paths, full.has_more_files, full.file_count), (vec!["a/c.txt", "b.txt", "d.txt"], Some(false), 3));
        assert_eq!(bucket.get_opt().with_files().await.unwrap().unwrap().files, full.files);
        assert!(bucket.get().await.unwrap().files.is_none());
    }
    for n in 0..98 {
        bucket.file(format!("e/{n}")).upload(format!("{n}").into_bytes()).await.unwrap();
    }
    let full = bucket.get().with_files().await.unwrap();
    assert_eq!((full.files.as_ref().unwrap().len(), full.has_more_files), (100, Some(true)));
}

#[tokio::test]
async fn summaries_and_archives() {
    let server = server().await;
    let admin = admin(&server);
    let made = admin.buckets().create("My Bucket").await.unwrap();
    let bucket = admin.bucket(&made.id);
    bucket.file("docs/ü.txt").upload("hello".as_bytes()).await.unwrap();
    let summary = bucket.summary().await.unwrap();
    assert!(summary.starts_with("Bucket: My Bucket\n") && summary.contains("docs/ü.txt (5 B)"), "{summary}");

    let head = bucket.head_zip().await.unwrap();
    assert_eq!((head.content_type.as_deref(), head.length), (Some("application/zip"), None));
    assert!(head.content_disposition.unwrap().contains("My Bucket.zip"));
    let zip = bucket.zip().await.unwrap();
    assert_eq!(zip.info().content_type.as_deref(), Some("application/zip"));
    let bytes = zip.bytes(1 << 20).await.unwrap();
    assert!(bytes.starts_with(b"PK") && bytes.windows(10).any(|w| w == "docs/ü.tx".as_bytes()));
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("all.zip");
    let saved = bucket.zip().download_to(&target).await.unwrap();
    let again = bucket.zip().download_to(&target).overwrite(false).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict, "it is there");
    assert_eq!((saved.size, std::fs::read(&target).unwrap().len() as u64), (bytes.len() as u64, bytes.len() as u64));

    // The server can't name such an archive; the error says what to do, and is not tried for again.
    bucket.update().name("Büro").await.unwrap();
    server.clear_requests();
    for error in [bucket.zip().await.unwrap_err(), bucket.head_zip().await.unwrap_err()] {
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Server, 1));
        assert!(error.hint().unwrap().contains("rename"), "{error}");
    }
    assert_eq!(server.requests().len(), 2);
    bucket.update().name("Buero").await.unwrap();
    bucket.zip().await.unwrap();
}

#[tokio::test]
async fn upload_tokens() {
    let server = server().await;
    let admin = admin(&server);
    let bucket = bucket(&admin).await;
    let made = bucket.upload_tokens().create().await.unwrap();
    assert_eq!((made.bucket_id.as_str(), made.max_uploads, made.uploads_used), (bucket.id(), None, 0));
    assert_in(Some(made.expires_at), TimeDelta::days(1));
    let made = bucket.upload_tokens().create().expires("2h").max_uploads(2).await.unwrap();
    assert_in(Some(made.expires_at), TimeDelta::hours(2));
    assert_eq!(made.max_uploads, Some(2));

    let guest = client(&server, &made.token);
    let theirs = guest.bucket(bucket.id());
    theirs.file("a.txt").upload("one".as_bytes()).await.unwrap();
    assert_eq!(theirs.file("a.txt").append("+".as_bytes()).await.unwrap().size, 4, "not counted");
    assert_eq!(theirs.files().list().await.unwrap().total, 1, "what is public can be read");
    // Beside the admin key it counts too, because it is sent alone.
    bucket.file("ö.txt").upload("two".as_bytes()).upload_token(&made.token).await.unwrap();
    for error in [
        theirs.file("c.txt").upload("three".as_bytes()).await.unwrap_err(),
        bucket.file("c.txt").upload("three".as_bytes()).upload_token(&made.token).await.unwrap_err(),
        bucket.files().upload_multipart().file("c", "x".as_bytes()).upload_token(&made.token).await.unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.message()), (ErrorKind::PermissionDenied, "Invalid or expired upload token"));
    }
    for request in server.requests() {
        let has_token = request.path.contains("token=cfu_");
        assert!(!(has_token && request.header("authorization").is_some()), "never both: {request:?}");
    }
}

#[tokio::test]
async fn short_urls_and_links() {
    let server = server().await;
    let admin = admin(&server);
    let bucket = bucket(&admin).await;
    for path in ["a.txt", "docs/naïve +#?%.txt", "docs/content"] {
        let done = bucket.file(path).upload(Bytes::from(path.to_owned())).await.unwrap();
        let code = done.short_code.clone().unwrap();
        let short = admin.short_url(&code);
        assert_eq!((short.code(), short.url().unwrap().as_str()), (&*code, &*format!("{}/s/{code}", server.url())));
        assert_eq!(done.short_link(&admin), Some(short.url().unwrap()));
        let target = Client::anonymous(server.url()).unwrap().short_urls()[&code].resolve().await.unwrap();
        assert_eq!((target.bucket_id.as_str(), target.path.as_str()), (bucket.id(), path));
        assert_eq!(target.url, bucket.file(path).url().unwrap());

        // The links work for anybody.
        let plain = reqwest::Client::builder().no_proxy().build().unwrap();
        for link in [bucket.file(path).url().unwrap(), done.short_link(&admin).unwrap()] {
            assert_eq!(plain.get(link).send().await.unwrap().bytes().await.unwrap(), path);
        }
        let saved = plain.get(bucket.file(path).attachment_url().unwrap()).send().await.unwrap();
        assert!(saved.headers()["content-disposition"].to_str().unwrap().starts_with("attachment"));

        short.delete().await.unwrap();
        assert!(short.resolve().await.unwrap_err().is_not_found());
        assert!(short.delete().await.unwrap_err().is_not_found());
        assert_eq!(bucket.file(path).get().await.unwrap().short_code, Some(code), "the file goes on showing it");
    }
    // Resolving does not follow.
    assert!(seen(&server).iter().filter(|request| request.contains("/s/")).count() > 3);
}

#[tokio::test]
async fn what_a_credential_is_good_for() {
    let server = server().await;
    let admin = admin(&server);
    let check = async |client: Client| client.check().await.unwrap();
    assert_eq!(check(Client::anonymous(server.url()).unwrap()).await, Access::Anonymous);
    assert!(check(admin.clone()).await.is_admin());
    assert_eq!(check(admin.clone()).await, Access::Admin);
    let key = admin.keys().create("k").await.unwrap();
    assert_eq!(check(client(&server, &key.key)).await, Access::ApiKey);
    let token = admin.dashboard().create_token().await.unwrap();
    let access = check(client(&server, &token.token)).await;
    let Access::Dashboard { expires_at, .. } = access else { panic!("{access:?}") };
    assert!(access.is_admin() && expires_at.timestamp() == token.expires_at.timestamp());
    assert_eq!(check(client(&server, "cfu_0123456789")).await, Access::UploadToken);
    for bad in ["wrong", "cf4_00000000_00000000000000000000000000000000", "a.b.c"] {
        assert_eq!(check(client(&server, bad)).await, Access::Rejected, "{bad}");
    }
    server.clock().advance(Duration::from_secs(2 * 3600));
    assert_eq!(check(client(&server, &token.token)).await, Access::Rejected);
    // What is no verdict is no answer.
    let error = client(&server, "x").check().retry(carbonfiles::RetryPolicy::never());
    server.inject(carbonfiles_testserver::Fault::status(503));
    assert_eq!(error.await.unwrap_err().kind(), ErrorKind::Server);
}

#[tokio::test]
async fn credentials_of_all_sorts() {
    let server = server().await;
    let key = server.admin_key().to_owned();
    let provided =
        builder(server.url()).token_provider(move || std::future::ready(Ok::<_, std::io::Error>(key.clone())));
    provided.build().unwrap().keys().list().await.unwrap();
    let failing = || std::future::ready(Err::<String, _>(std::io::Error::other("vault is sealed")));
    let error = builder(server.url()).token_provider(failing).build().unwrap().keys().list().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("sealed"));
    assert_eq!(server.requests().len(), 1);
    builder(server.url()).maybe_token(None::<&str>).build().unwrap().health().await.unwrap();

    server.clear_requests();
    let client = builder(server.url()).default_header("X-Team", "a").user_agent("app/1").build().unwrap();
    client.health().header("x-request", "7").await.unwrap();
    client.health().header("X-TEAM", "b").await.unwrap();
    let requests = server.requests();
    assert_eq!((requests[0].header("x-team"), requests[0].header("x-request")), (Some("a"), Some("7")));
    assert_eq!((requests[1].header("x-team"), requests[1].header("user-agent")), (Some("b"), Some("app/1")));
    assert!(requests[0].header("authorization").is_none() && requests[0].header("accept-encoding").is_none());
}

#[tokio::test]
async fn raw_requests() {
    let server = server().await;
    let admin = admin(&server);
    let body = serde_json::json!({"name": "raw"});
    let made = admin.request(Method::POST, "/api/buckets").json(&body).await.unwrap();
    assert_eq!((made.status().as_u16(), made.headers().contains_key("location")), (201, true));
    let made: serde_json::Value = serde_json::from_slice(made.body()).unwrap();
    let list = admin.request(Method::GET, "/api/buckets").query("limit", "1").query("sort", "name").await.unwrap();
    let list: serde_json::Value = serde_json::from_slice(list.body()).unwrap();
    assert_eq!((&list["limit"], &list["items"][0]["id"]), (&1.into(), &made["id"]));
    let id = made["id"].as_str().unwrap();
    let put = admin.request(Method::PUT, format!("/api/buckets/{id}/upload/stream")).query("filename", "a &+b.txt");
    assert_eq!(put.body("raw bytes").await.unwrap().status().as_u16(), 201);
    assert_eq!(admin.bucket(id).file("a &+b.txt").get().await.unwrap().size, 9);
    let head = admin.request(Method::HEAD, format!("/api/buckets/{id}/files/a%20&%2Bb.txt/content")).await.unwrap();
    assert_eq!((head.headers()["content-length"].to_str().unwrap(), head.body().len()), ("9", 0));
    let error = admin.request(Method::GET, "/api/nothing").await.unwrap_err();
    assert!(error.is_not_found() && !error.message().is_empty());
    let error = admin.request(Method::GET, "/s/none").await.unwrap_err();
    assert!(error.is_not_found());
}

/// The address of a proxy that forwards to `server` what comes below `/cf`; anything else is somebody else's.
async fn below_a_path(server: &TestServer) -> String {
    let address = server.address();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let inner = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await?);
                }
                let head = String::from_utf8(head).unwrap();
                let (method, rest) = head.split_once(' ').unwrap();
                let Some(rest) = rest.strip_prefix("/cf/") else {
                    return client.write_all(&answer(410, "Connection: close\r\n", b"")).await;
                };
                // One request a connection, so that only its head has to be understood.
                let mut server = TcpStream::connect(address).await?;
                let head = format!("{method} /{rest}").replacen("\r\n", "\r\nConnection: close\r\n", 1);
                server.write_all(head.as_bytes()).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
            });
        }
    });
    format!("http://{inner}")
}

#[tokio::test]
async fn a_base_url_with_a_path() {
    let server = server().await;
    let proxy = below_a_path(&server).await;
    for base in [format!("{}/cf", proxy), format!("{}/cf/", proxy), format!("{}/cf//", proxy)] {
        let client = builder(&base).token(server.admin_key()).build().unwrap();
        assert_eq!(client.base_url(), format!("{}/cf", proxy));
        within(client.health().send()).await.unwrap();
        let made = within(client.buckets().create("b").send()).await.unwrap();
        let bucket = client.bucket(&made.id);
        let file = bucket.file("docs/a b.txt");
        let done = within(file.upload("hello".as_bytes()).send()).await.unwrap();
        assert_eq!(within(file.download().await.unwrap().bytes(10)).await.unwrap(), "hello");
        assert_eq!(within(bucket.files().list_all().items().try_collect::<Vec<_>>()).await.unwrap().len(), 1);
        assert_eq!(within(client.request(Method::GET, "/healthz").send()).await.unwrap().status().as_u16(), 200);
        let prefix = format!("{}/cf/", proxy);
        let target = within(client.short_url(done.short_code.as_deref().unwrap()).resolve().send()).await.unwrap();
        assert_eq!(target.path, "docs/a b.txt");
        for link in [file.url().unwrap(), file.attachment_url().unwrap(), done.short_link(&client).unwrap(), target.url]
        {
            assert!(link.as_str().starts_with(&prefix) && !link.path().contains("//"), "{link}");
        }
        within(bucket.delete().send()).await.unwrap();
    }
    // Without the path, it is the wrong place.
    let error = within(builder(&proxy).build().unwrap().health().send()).await.unwrap_err();
    assert_eq!(error.status().unwrap().as_u16(), 410);
}

#[tokio::test]
async fn handles_by_index() {
    let server = server().await;
    let client = admin(&server);
    let made = client.buckets().create("b").await.unwrap();
    let buckets = client.buckets();
    buckets[&made.id].files()["a/b"].upload("x".as_bytes()).await.unwrap();
    assert_eq!(client.buckets()[&made.id].files()["a/b"].get().await.unwrap().path, "a/b");
    assert_eq!(client.buckets()[made.id.as_str()].files()["a/b"].path(), "a/b");
    let files = buckets[&made.id].files();
    assert_eq!((files["a/b"].bucket().id(), files["a/b"].path()), (&*made.id, "a/b"));
    let owned = files["a/b"].clone();
    drop((files, buckets));
    assert_eq!(owned.get().await.unwrap().size, 1, "a clone outlives its collection");
    // A handle sends nothing; what is not there shows with the first call.
    let handle = client.buckets()["nosuchbuck"].clone();
    assert!(handle.get().await.unwrap_err().is_not_found());
}

/// A server without the defects is served as well.
#[tokio::test]
async fn a_server_as_it_was_meant() {
    let server = TestServer::builder().defects(Defects::none()).start().await.unwrap();
    let admin = admin(&server);
    let made = admin.buckets().create("Büro").await.unwrap();
    let bucket = admin.bucket(&made.id);
    bucket.file("docs/ü_%.txt").upload("x".as_bytes()).await.unwrap();
    assert!(bucket.zip().await.unwrap().bytes(1 << 20).await.unwrap().starts_with(b"PK"));
    assert_eq!(bucket.get().with_files().await.unwrap().files.unwrap().len(), 1);
    assert_eq!(bucket.files().tree().prefix("docs/ü_").entries().count().await, 1);
    let key = admin.keys().create("k").await.unwrap();
    let revoked = client(&server, &key.key);
    revoked.buckets().list().await.unwrap();
    admin.key(&key.prefix).revoke().await.unwrap();
    assert_eq!(revoked.buckets().list().await.unwrap_err().kind(), ErrorKind::Unauthenticated);
}

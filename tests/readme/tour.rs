//! The blocks of docs/tour.md.

use crate::{Outcome, Place};

#[cfg(feature = "rustls")]
#[tokio::test]
async fn client() -> Outcome {
    async fn read_token() -> std::io::Result<String> {
        Ok("cf4_key".into())
    }

    // snippet: client
    use carbonfiles::{Client, RetryPolicy};
    use std::time::Duration;

    // An API key, the admin key, a dashboard token, or an upload token (which makes it a guest).
    let client = Client::new("https://files.example.com", "cf4_key")?;
    assert_eq!(client.base_url(), "https://files.example.com");

    // No credential: it reads what is public. A path before /api is kept.
    let reader = Client::anonymous("https://example.com/files/")?;
    assert_eq!(reader.base_url(), "https://example.com/files");

    let client = Client::builder("https://files.example.com")
        .token_provider(read_token) // async, asked before each attempt
        .connect_timeout(Duration::from_secs(3))
        .retry(RetryPolicy::default().max_attempts(6))
        .default_header("x-team", "assets")
        .http(|http| http.pool_max_idle_per_host(4)) // reqwest's own builder: proxies, certificates, …
        .build()?;
    // end
    drop(client);
    Ok(())
}

#[tokio::test]
async fn check() -> Outcome {
    let place = Place::new().await?;
    let client = place.client.clone();
    // snippet: check
    use carbonfiles::Access;

    match client.check().await? {
        Access::Admin => println!("everything is allowed"),
        Access::ApiKey => println!("the buckets of this key"),
        Access::Rejected => println!("mistyped, expired or revoked"),
        other => println!("{other:?}"),
    }
    let health = client.health().await?;
    println!("{}, up for {} s", health.status, health.uptime_seconds);
    // end
    assert_eq!(client.check().await?, Access::Admin);
    Ok(())
}

#[tokio::test]
async fn buckets() -> Outcome {
    let place = Place::new().await?;
    let client = place.client.clone();
    // snippet: buckets
    use carbonfiles::Expiry;
    use carbonfiles::models::{BucketSort, Order};

    let created = client.buckets().create("Assets").description("For the site").expires("30d").await?;
    let bucket = client.bucket(&created.id); // the same as client.buckets()[&created.id], by value

    let details = bucket.get().with_files().await?;
    println!("{} by {}: {} files", details.name, details.owner, details.file_count);
    assert!(client.bucket("nothere").get_opt().await?.is_none());

    bucket.update().name("Site assets").expires(Expiry::never()).await?;

    let newest = client.buckets().list().sort(BucketSort::CreatedAt).order(Order::Desc).limit(10).await?;
    for bucket in &newest {
        println!("{} {}", bucket.id, bucket.name);
    }

    println!("{}", bucket.summary().await?); // text for people and language models
    bucket.zip().download_to("assets.zip").await?;
    bucket.delete().await?;
    // end
    assert!(std::fs::metadata("assets.zip")?.len() > 0);
    assert!(bucket.get_opt().await?.is_none());
    Ok(())
}

#[tokio::test]
async fn uploads() -> Outcome {
    let place = Place::new().await?;
    let files = place.files();
    // snippet: uploads
    use std::path::Path;

    // A path: the name comes from it. A file of that name is overwritten.
    let done = files.upload("photo.jpg").await?;
    println!("{}, {} bytes, SHA-256 {:?}", done.path, done.size, done.sha256);

    // Anything, under a path that you choose.
    files["docs/hello.txt"].upload("hello".as_bytes()).await?;
    files["docs/naïve 日本 100%.jpg"].upload(Path::new("photo.jpg")).await?;
    files["docs/from.json"].upload(serde_json::to_vec(&["a", "b"])?).await?;
    // end
    assert_eq!(files.list().await?.total, 4);
    Ok(())
}

#[tokio::test]
async fn sources() -> Outcome {
    let place = Place::new().await?;
    let files = place.files();
    // snippet: sources
    use carbonfiles::{Phase, Source};

    let mut reader = tokio::io::AsyncReadExt::take(tokio::io::repeat(7), 3_000_000);
    let mut seen = 0;
    let done = files["sevens.bin"]
        .upload(Source::reader(&mut reader).size(3_000_000)) // without size(), it goes out chunked
        .progress(|p| match p.phase {
            Phase::Sending => seen = p.sent, // bytes handed to the transport, by this attempt
            Phase::Waiting => println!("all is sent; the server is working"),
            Phase::Retrying { after, .. } => println!("again in {after:?}"),
            Phase::Done => println!("stored"),
            _ => {}
        })
        .await?;
    assert_eq!(done.size, 3_000_000);

    // What can be read only once can be retried when it can be made again.
    let made = || async { tokio::fs::File::open("photo.jpg").await };
    files["again.jpg"].upload(Source::factory(made)).await?;
    // end
    assert!(seen <= 3_000_000);
    assert_eq!(files["again.jpg"].get().await?.size, 100_000);
    Ok(())
}

#[tokio::test]
async fn writers() -> Outcome {
    let place = Place::new().await?;
    let files = place.files();
    // snippet: writers
    use tokio::io::AsyncWriteExt;

    let mut writer = files["lines.txt"].upload_writer();
    writer.write_all(b"first\n").await?;
    writer.write_all(b"second\n").await?;
    let done = writer.finish().await?; // dropped before this, it leaves nothing
    assert_eq!(done.size, 13);

    let both = files.upload_multipart().file("a.txt", "one".as_bytes()).file("b/c.txt", "two".as_bytes()).await?;
    assert_eq!(both.len(), 2);
    // end
    Ok(())
}

#[tokio::test]
async fn downloads() -> Outcome {
    let place = Place::new().await?;
    let file = place.file("readme.md").await?;
    // snippet: downloads
    use futures::{StreamExt, TryStreamExt};

    // Into a file: beside it first, continued after a cut, checked, synced, renamed.
    let done = file.download_to("readme.md").progress(|p| println!("{} of {:?}", p.sent, p.total)).await?;
    assert!(done.verified_sha256.is_some());

    // A transfer that runs by itself: watch it, cancel it, go on with it another time.
    let transfer = file.download_to("copy.md").start();
    let mut watch = transfer.progress();
    while let Some(now) = watch.next().await {
        println!("{:?} %, {:?} B/s, {:?} left", now.percent(), now.rate, now.eta()); // transfer.cancel() stops it
    }
    let done = transfer.await?;
    println!("{} bytes, of which {} were here already", done.size, done.resumed);

    // Several ranges at once, for links that one connection does not fill. As a stream, too: file.download().parallel(4).
    file.download_to("copy.md").parallel(4).await?;

    // In memory, with a limit.
    let bytes = file.download().await?.bytes(10 << 20).await?;

    // As a stream, or with .reader() as an AsyncRead. What is known of the content comes first.
    let download = file.download().await?;
    println!("{:?}, {:?} bytes", download.info().content_type, download.info().length);
    let mut chunks = download.stream();
    while let Some(chunk) = chunks.try_next().await? {
        println!("{} bytes", chunk.len());
    }

    // A part, and only what has changed.
    let head = file.download().range(..4).await?.bytes(4).await?;
    assert_eq!(head, bytes[..4]);
    let known = file.head().await?.etag.unwrap_or_default();
    assert!(file.download().if_none_match(&known).await?.is_none());
    // end
    assert_eq!(std::fs::read("readme.md")?, bytes);
    assert_eq!(std::fs::read("copy.md")?, bytes);
    Ok(())
}

#[tokio::test]
async fn folders() -> Outcome {
    let place = Place::new().await?;
    let files = place.files();
    std::fs::create_dir_all("site/docs")?;
    std::fs::write("site/index.html", "<p>hello")?;
    std::fs::write("site/docs/a.txt", "a")?;
    // snippet: folders
    use std::collections::HashMap;

    use carbonfiles::files::OnFailure;
    use futures::StreamExt;

    // A folder, several files at once, with one progress for all of it.
    let batch = files
        .upload_dir("site")
        .prefix("v1")
        .exclude("**/*.tmp")
        .on_failure(OnFailure::GoOn) // by default, the first failure stops the rest
        .progress(|p| println!("{} files, {:.0} %", p.files, p.percent().unwrap_or(0.0)))
        .await?;
    for (path, error) in batch.failed() {
        eprintln!("{path:?}: {error}"); // a name may hold anything, for a terminal too
    }
    let stored = batch.into_result()?; // or the first error

    // Any sources, each under its path.
    let notes = (0..100).map(|n| (format!("notes/{n}.txt"), format!("note {n}").into_bytes()));
    files.upload_many(notes).concurrency(16).await?.into_result()?;

    files.download_dir("site-copy").prefix("v1").await?.into_result()?;

    // A list: each file to a place of its own, and told what it must be.
    let hashes: HashMap<_, _> = stored.iter().filter_map(|file| Some((&*file.path, file.sha256.as_deref()?))).collect();
    let wanted = [("v1/index.html", "pinned/index.html"), ("v1/docs/a.txt", "pinned/a.txt")];
    let down = files.download_many(wanted).each(|path, download| match hashes.get(path) {
        Some(sha256) => download.expect_sha256(*sha256), // another content would not become the target
        None => download,
    });
    down.await?.into_result()?;
    files.delete_many(["notes/0.txt", "notes/1.txt"]).await?.into_result()?;

    // By itself, as single transfers do: watch it, cancel it.
    let transfer = files.download_dir("site-copy").prefix("v1").start();
    let mut watch = transfer.progress();
    while let Some(now) = watch.next().await {
        println!("{} of {:?} files, {:?} left", now.files, now.files_total, now.eta()); // transfer.cancel() ends it
    }
    transfer.await?.into_result()?; // of one that was cancelled, the outcome says what was done by then

    // Only what differs by SHA-256, either way. A plan changes nothing, and is data.
    let plan = files.sync_up("site").prefix("v1").delete_extra(true).plan().await?;
    assert!(plan.is_empty());
    let done = files.sync_down("site-copy").prefix("v1").await?;
    println!("{} copied, {} unchanged", done.copied.done().count(), done.unchanged);
    // end
    assert_eq!((stored.len(), done.unchanged), (2, 2));
    Ok(())
}

#[tokio::test]
async fn listings() -> Outcome {
    let place = Place::new().await?;
    let files = place.files();
    place.file("docs/sub/b.txt").await?;
    place.file("docs/a.txt").await?;
    place.file("c.txt").await?;
    // snippet: listings
    use carbonfiles::files::TreeEntry;
    use carbonfiles::models::{FileSort, Order};
    use futures::TryStreamExt;

    // One page.
    let page = files.list().sort(FileSort::Name).order(Order::Asc).limit(20).await?;
    println!("{} of {} files", page.items.len(), page.total);

    // All of them, page by page in the background.
    let mut all = files.list_all().items();
    while let Some(file) = all.try_next().await? {
        println!("{} {}", file.path, file.updated_at);
    }

    // All of them, by path, each exactly once although others add and delete meanwhile.
    let paths: Vec<_> = files.list_all().stable().prefix("docs/").items().try_collect().await?;

    // One directory, or a tree: its entries come once, however many pages the server makes.
    let docs = files.directory("docs").await?;
    println!("{} files, folders {:?}", docs.total_files, docs.folders);
    let mut tree = files.tree().prefix("docs/").entries();
    while let Some(entry) = tree.try_next().await? {
        match entry {
            TreeEntry::Directory(path) => println!("{path}"),
            TreeEntry::File(file) => println!("{} {}", file.path, file.size),
            _ => {}
        }
    }
    // end
    assert_eq!(page.total, 3);
    assert_eq!(paths.len(), 2);
    assert_eq!((docs.total_files, docs.folders.len()), (1, 1));
    Ok(())
}

#[tokio::test]
async fn one_file() -> Outcome {
    let place = Place::new().await?;
    let client = place.client.clone();
    let (files, file) = (place.files(), place.file("docs/notes.txt").await?);
    // snippet: one_file
    use tokio::io::AsyncWriteExt;

    let info = file.get().await?; // or get_opt(), which gives None where there is no such file
    println!("{} {} {}", info.path, info.mime_type, info.created_at);

    file.append("three\n".as_bytes()).await?; // never sent twice
    let end = file.head().await?.length.unwrap_or(0);
    file.append_at(end, "four\n".as_bytes()).await?; // only if the file ends there: safe to repeat, by you too
    file.patch(0, "ONE".as_bytes()).await?; // over what is there, from byte 0 on

    let verified = file.verify().await?; // the server hashes what it has stored
    assert!(verified.valid);

    println!("{}", file.url()?); // public, absolute
    println!("{}", file.attachment_url()?); // browsers save it
    println!("{:?}", info.short_link(&client));

    // For logs: an AsyncWrite that gathers what is written, and appends it now and then, each byte once.
    let mut log = files["app.log"].log_writer().await?;
    log.write_all(b"started\n").await?;
    log.shutdown().await?; // what is not flushed yet goes with a crash

    file.delete().await?;
    // end
    assert!(file.get_opt().await?.is_none());
    assert_eq!(files["app.log"].get().await?.size, 8);
    Ok(())
}

#[tokio::test]
async fn guests() -> Outcome {
    let place = Place::new().await?;
    let (client, bucket) = (place.client.clone(), place.bucket.clone());
    // snippet: guests
    let token = bucket.upload_tokens().create().max_uploads(2).expires("1h").await?;

    // A client that can do nothing but upload here, and read what is public.
    let guest = client.with_token(token.token);
    guest.bucket(bucket.id()).file("from-guest.txt").upload("hi".as_bytes()).await?;
    assert!(guest.buckets().list().await.is_err());
    // end
    assert_eq!(bucket.file("from-guest.txt").get().await?.size, 2);
    Ok(())
}

#[tokio::test]
async fn admin() -> Outcome {
    let place = Place::new().await?;
    let client = place.client.clone();
    let store = |key: &str| assert!(key.starts_with("cf4_"));
    // snippet: admin
    let key = client.keys().create("build server").await?;
    store(key.key.expose()); // the only time that it is shown; Debug never shows it

    let key = client.key(&key.prefix); // the same as client.keys()[&prefix], by value
    println!("{} bytes", key.usage().await?.total_size);
    key.revoke().await?;

    let token = client.dashboard().create_token().expires("8h").await?;
    let dashboard = client.with_token(&token.token);
    println!("{} until {}", dashboard.dashboard().me().await?.scope, token.expires_at);

    let stats = client.stats().await?;
    println!("{} files in {} buckets", stats.total_files, stats.total_buckets);
    // end
    Ok(())
}

#[tokio::test]
async fn short_urls() -> Outcome {
    let place = Place::new().await?;
    let client = place.client.clone();
    let file = place.file("docs/short.txt").await?;
    let info = file.get().await?;
    // snippet: short_urls
    if let Some(code) = &info.short_code {
        let short = client.short_url(code);
        let target = short.resolve().await?; // without going there
        println!("{} is {} in {}", short.url()?, target.path, target.bucket_id);
        short.delete().await?; // the file stays
    }
    // end
    let code = info.short_code.ok_or("no short code")?;
    assert!(client.short_url(code).resolve().await.is_err());
    Ok(())
}

#[cfg(feature = "events")]
#[tokio::test]
async fn live_events() -> Outcome {
    let place = Place::new().await?;
    let (bucket, file) = (place.bucket.clone(), place.file("docs/readme.md").await?);
    // snippet: events
    use carbonfiles::events::{Event, Overflow};
    use futures::TryStreamExt;

    let mut events = bucket.events().prefix("docs/").overflow(Overflow::CoalesceByPath).await?; // now in force
    file.upload("new".as_bytes()).await?;
    while let Some(event) = events.try_next().await? {
        match event {
            Event::FileCreated { file, .. } | Event::FileUpdated { file, .. } => {
                println!("{:?} has {} bytes", file.path, file.size);
                break;
            }
            Event::Disconnected { reason, .. } => println!("the connection is lost: {reason}"),
            Event::Reconnected { .. } => println!("events may be missing: list again, and compare"),
            Event::Lagged(n) => println!("read too slowly: {n} events are missing"),
            other => println!("{other:?}"),
        }
    }

    // A view that is right after every gap: the listing, and what becomes of it.
    let mirror = bucket.mirror().await?;
    println!("{} files, {} bytes", mirror.len(), mirror.total_size());
    let page = serde_json::to_string(&mirror.changes_since(0))?; // for a browser
    // end
    assert!(page.contains("docs/readme.md"));
    Ok(())
}

#[tokio::test]
async fn raw() -> Outcome {
    let place = Place::new().await?;
    let client = place.client.clone();
    // snippet: raw
    use carbonfiles::Method;

    let answer = client.request(Method::GET, "/api/buckets").query("limit", "1").header("x-request-id", "42").await?;
    println!("{} {}", answer.status(), String::from_utf8_lossy(answer.body()));
    // end
    assert_eq!(answer.status(), 200);
    Ok(())
}

#[cfg(feature = "tenantbox")]
#[tokio::test]
async fn tenantbox() -> Outcome {
    let (_server, client) = crate::tenantbox().await?;
    // snippet: tenantbox
    use carbonfiles::tenantbox::MB;
    use std::{path::Path, time::Duration};

    // client: carbonfiles::tenantbox::Client::from_env()?, or Client::new("tbx_key")?
    let tenant = client.tenant("user_123"); // or client.tenants()["user_123"]

    let done = tenant.files().upload(Path::new("photo.jpg")).email("ada@example.com").await?;
    let file = client.file(&done.file_path); // keep the path: the service lists no files

    let url = tenant.files().upload_url("avatar.png").await?; // for a browser: see examples/tenantbox_web
    println!("{} {} {}", url.file_path, url.content_type, serde_json::to_string(&url)?);

    file.download_to("copy-of-photo.jpg").await?; // resumed, with a fresh URL where the old one expired
    let link = file.download_url().expires_in(Duration::from_secs(300)).await?;
    println!("{} bytes at {:?}", link.size_bytes, link.download_url); // hidden; .expose() gives it, to hand on

    tenant.set_limit(MB(500)).await?;
    println!("{:?} % used", tenant.usage().await?.usage_percentage());
    println!("{}", file.delete().await?.detail);
    // end
    assert_eq!(done.size, 100_000);
    Ok(())
}

#[cfg(feature = "file-storage")]
#[tokio::test]
async fn file_storage() -> Outcome {
    let Some((url, token)) = crate::file_storage() else { return Ok(()) };
    // snippet: file_storage
    use carbonfiles::file_storage::Client;
    use std::path::Path;

    // A personal access token or a service key; or a login, renewed by itself: Client::builder(url).login(email, password).
    let client = Client::new(&url, &token)?; // or Client::from_env()?
    let files = client.files();

    let photo = files.upload(Path::new("photo.jpg")).progress(|p| println!("{} bytes", p.sent)).await?;
    let note = files.upload("hello".as_bytes()).filename("hello.txt").public(true).await?;
    println!("{} {:?}", photo.id, note.public_link(&client));

    let page = files.list().search("photo").per_page(50).await?; // list_all() gives all pages
    println!("{} of {}", page.items.len(), page.total);

    let done = client.file(&photo.id).download_to("copy.jpg").await?; // from the bucket, where there is one
    assert_eq!(done.verified_sha256, photo.checksum_sha256);

    // In parts, side by side; keep the session's id, and another run of the program can go on with what is missing.
    let session = client.uploads().create("big.bin", 100_000).await?;
    let done = client.upload_session(&session.id).resume(Path::new("photo.jpg")).parallel(4).await?;
    println!("{} compared by {:?}", done.file.id, done.checked);

    files.bulk_delete([&photo.id, &note.id, &done.file.id]).await?;
    // end
    Ok(())
}

#[tokio::test]
async fn errors() -> Outcome {
    let place = Place::new().await?;
    let client = place.client.clone();
    // snippet: errors
    use carbonfiles::{ErrorKind, RetryPolicy};
    use std::time::Duration;

    let result = client.bucket("nothere").get().retry(RetryPolicy::never()).timeout(Duration::from_secs(5)).await;
    if let Err(error) = result {
        match error.kind() {
            ErrorKind::NotFound => println!("no such bucket"),
            ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => println!("{:?}", error.hint()),
            ErrorKind::Timeout(phase) => println!("too slow: {phase:?}"),
            _ if error.is_retryable() => println!("later, perhaps: {error}"),
            _ => println!("{error}"),
        }
        // Bucket not found (status 404, GET https://files.example.com/api/buckets/nothere)
        assert_eq!(error.status().map(|status| status.as_u16()), Some(404));
        assert_eq!(error.message(), "Bucket not found");
    }
    // end
    assert_eq!(client.bucket("nothere").get().await.unwrap_err().kind(), ErrorKind::NotFound);
    Ok(())
}

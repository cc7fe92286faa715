//! The Rust of docs/from-python.md, run against the test server. What stands there in Rust blocks stands here between
//! `// snippet` and `// end`, word for word.

mod support;

use std::error::Error;
use std::path::Path;
use std::sync::OnceLock;

use carbonfiles::{Bucket, Client, ErrorKind};
use carbonfiles_testserver::TestServer;
use support::snippets;

type Outcome = Result<(), Box<dyn Error>>;

/// What the snippets start from. All of them run in one folder, where some files are.
async fn start() -> (TestServer, Client, Bucket) {
    static FOLDER: OnceLock<()> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/from-python"));
        std::fs::create_dir_all(folder).expect("a folder for the snippets");
        for name in ["photo.jpg", "file.txt", "report.pdf", "large-file.zip"] {
            std::fs::write(folder.join(name), name.repeat(10_000)).expect("a file to upload");
        }
        std::env::set_current_dir(folder).expect("a folder that can be worked in");
    });
    let server = support::server().await;
    let client = support::admin(&server);
    let bucket = support::bucket(&client).await;
    (server, client, bucket)
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn client() -> Outcome {
    // snippet: client
    use carbonfiles::Client;

    let client = Client::new("https://files.example.com", "cf4_your_api_key")?;
    // There is nothing to close: connections go with the last clone of the client.
    // end
    assert_eq!(client.base_url(), "https://files.example.com");
    Ok(())
}

#[tokio::test]
async fn quick_start() -> Outcome {
    let (_server, client, _) = start().await;
    // snippet: quick start
    let bucket = client.buckets().create("my-project").description("Assets").expires("30d").await?;
    println!("Created bucket: {}", bucket.id);

    let uploaded = client.buckets()[&bucket.id].files().upload("photo.jpg").await?;
    println!("Uploaded: {} ({} bytes)", uploaded.name, uploaded.size);

    let page = client.buckets()[&bucket.id].files().list().limit(20).await?;
    for file in &page.items {
        println!("  {} ({} bytes)", file.name, file.size);
    }

    let health = client.health().await?;
    // end
    assert_eq!((page.items.len(), health.db.as_str()), (1, "ok"));
    Ok(())
}

#[tokio::test]
async fn buckets() -> Outcome {
    let (_server, client, bucket) = start().await;
    let id = bucket.id().to_owned();
    // snippet: buckets
    use carbonfiles::models::{BucketSort, Order};

    let created = client.buckets().create("my-project").description("Assets").expires("30d").await?;

    let page = client.buckets().list().limit(20).sort(BucketSort::CreatedAt).order(Order::Desc).await?;
    let page_with_expired = client.buckets().list().include_expired(true).await?;

    let bucket = client.bucket(&id); // client.buckets()[&id], by value
    let detail = bucket.get().await?;
    let with_files = bucket.get().with_files().await?;

    let updated = bucket.update().name("new-name").description("Updated").await?;

    let summary = bucket.summary().await?;

    bucket.zip().download_to("bucket.zip").await?; // any size, in a few chunks of memory
    let zip_bytes = bucket.zip().await?.bytes(100 << 20).await?; // or in memory, at most 100 MiB

    bucket.delete().await?;
    // end
    assert_eq!((created.name.as_str(), page.total, page_with_expired.total), ("my-project", 2, 2));
    assert_eq!((detail.id.as_str(), with_files.files.map(|files| files.len())), (id.as_str(), Some(0)));
    assert!(updated.name == "new-name" && summary.contains("new-name") && zip_bytes.starts_with(b"PK"));
    assert_eq!(std::fs::read("bucket.zip")?.len(), zip_bytes.len());
    Ok(())
}

#[tokio::test]
async fn files() -> Outcome {
    let (_server, _, bucket) = start().await;
    for (path, content) in [("readme.md", "read me"), ("docs/a.txt", "a"), ("docs/sub/b.txt", "b")] {
        bucket.file(path).upload(content.as_bytes()).await?;
    }
    for path in ["old-file.txt", "log.txt", "data.bin"] {
        bucket.file(path).upload(vec![1; 1000]).await?;
    }
    // snippet: files
    use carbonfiles::models::{FileSort, Order};

    let files = bucket.files();

    let page = files.list().limit(50).sort(FileSort::Name).order(Order::Asc).await?;

    let tree = files.tree().delimiter("/").prefix("docs/").await?;
    for directory in &tree.directories {
        println!("  {} ({} files, {} bytes)", directory.path, directory.file_count, directory.total_size);
    }

    let listing = files.directory("docs/").await?;

    let data = files["readme.md"].download().await?.bytes(1 << 20).await?; // at most 1 MiB in memory
    files["readme.md"].download_to("readme.md").await?;

    let metadata = files["readme.md"].get().await?;
    println!("Valid: {}", files["readme.md"].verify().await?.valid);

    files["old-file.txt"].delete().await?;

    files["log.txt"].append("new log line\n".as_bytes()).await?;
    // Only the start is needed: the length of the bytes says the rest.
    files["data.bin"].patch(0, vec![0; 100]).await?;
    // end
    assert_eq!((page.total, tree.directories.len(), listing.folders.len()), (6, 1, 1));
    assert_eq!((&data[..], &std::fs::read("readme.md")?[..], metadata.size), (&b"read me"[..], &b"read me"[..], 7));
    assert_eq!((files["log.txt"].get().await?.size, files["data.bin"].get().await?.size), (1013, 1000));
    Ok(())
}

#[tokio::test]
async fn uploads() -> Outcome {
    let (_server, _, bucket) = start().await;
    // snippet: uploads
    let files = bucket.files();

    let done = files.upload("photo.jpg").await?;
    let renamed = files.upload("photo.jpg").named("renamed.jpg").await?;

    let from_bytes = files["hello.txt"].upload("hello world".as_bytes()).await?;

    // An open file; any AsyncRead by Source::reader, any stream by Source::stream.
    let open = tokio::fs::File::open("report.pdf").await?;
    let from_open = files["report.pdf"].upload(open).await?;

    let on_progress = |p: carbonfiles::Progress| {
        if let (Some(percent), Some(total)) = (p.percent(), p.total) {
            println!("{percent:.1}% ({}/{total} bytes)", p.sent);
        }
    };
    files.upload("large-file.zip").progress(on_progress).await?;
    // end
    assert_eq!((done.name.as_str(), renamed.name.as_str(), from_bytes.size), ("photo.jpg", "renamed.jpg", 11));
    assert_eq!(from_open.size, std::fs::metadata("report.pdf")?.len());
    Ok(())
}

#[tokio::test]
async fn pages() -> Outcome {
    let (_server, client, bucket) = start().await;
    bucket.file("a.txt").upload("a".as_bytes()).await?;
    let mut names = Vec::new();
    // snippet: pages
    use futures::TryStreamExt;

    let page = client.buckets().list().limit(20).offset(0).await?;
    println!("Showing {} of {} buckets", page.items.len(), page.total);

    let mut pages = client.buckets().list_all().limit(50);
    while let Some(page) = pages.try_next().await? {
        for bucket in &page.items {
            println!("{}", bucket.name);
        }
    }

    // Or one by one, whatever the pages.
    let mut all = bucket.files().list_all().limit(100).items();
    while let Some(file) = all.try_next().await? {
        names.push(file.name);
    }
    // end
    assert_eq!(names, ["a.txt"]);
    Ok(())
}

#[tokio::test]
async fn administration() -> Outcome {
    let (_server, client, bucket) = start().await;
    bucket.file("a.txt").upload("a".as_bytes()).await?;
    // snippet: administration
    let key = client.keys().create("ci-agent").await?;
    println!("Prefix: {}, key: {}", key.prefix, key.key.expose()); // only shown on request

    for key in &client.keys().list().limit(20).await? {
        println!("  {}: {}", key.prefix, key.name);
    }
    let usage = client.keys()[&key.prefix].usage().await?;
    client.keys()[&key.prefix].revoke().await?;

    let token = client.dashboard().create_token().expires("24h").await?;
    let dashboard = Client::new(client.base_url(), &token.token)?;
    let info = dashboard.dashboard().me().await?;

    let stats = client.stats().await?;
    println!("{} buckets, {} files, {} bytes", stats.total_buckets, stats.total_files, stats.total_size);
    // end
    assert_eq!((usage.bucket_count, info.scope.as_str(), stats.total_files), (0, "admin", 1));
    Ok(())
}

#[tokio::test]
async fn upload_tokens() -> Outcome {
    let (_server, _, bucket) = start().await;
    // snippet: upload tokens
    let token = bucket.upload_tokens().create().expires("1h").max_uploads(10).await?;
    println!("Token: {}", token.token.expose());

    // Sent alone, so that the use is counted.
    bucket.files().upload("file.txt").upload_token(&token.token).await?;
    // end
    assert_eq!(bucket.files().list().await?.total, 1);
    Ok(())
}

#[tokio::test]
async fn short_urls() -> Outcome {
    let (_server, client, bucket) = start().await;
    let code = bucket.file("a.txt").upload("a".as_bytes()).await?.short_code.clone().unwrap_or_default();
    // snippet: short urls
    let target = client.short_urls()[&code].resolve().await?; // Python has none of this
    client.short_urls()[&code].delete().await?;
    // end
    assert_eq!(target.path, "a.txt");
    Ok(())
}

#[cfg(feature = "events")]
#[tokio::test]
async fn events() -> Outcome {
    let (_server, client, bucket) = start().await;
    let id = bucket.id().to_owned();
    // snippet: events
    use futures::TryStreamExt;

    // The connection is made with the first of them, and comes back by itself when it is lost.
    let bucket = client.bucket(&id);
    let created = bucket.on_file_created(|file| println!("File created: {}", file.path)).await?;
    let deleted = bucket.on_file_deleted(|path| println!("File deleted: {path}")).await?;
    let of_one_file = bucket.file("path/to/file.txt").on_file_updated(|file| println!("{}", file.size)).await?;
    let of_all = client.events().on_bucket_created(|bucket| println!("Bucket created: {}", bucket.name)).await?; // admin

    drop(created); // not called any more; created.detach() would keep it for good

    // Or as a stream, which also tells when the connection was lost, and when it is back.
    let mut events = bucket.events().await?;
    bucket.file("a.txt").upload("a".as_bytes()).await?;
    if let Some(event) = events.try_next().await? {
        println!("{event:?}");
    }
    // end
    drop((deleted, of_one_file, of_all));
    Ok(())
}

#[tokio::test]
async fn errors() -> Outcome {
    let (_server, client, _) = start().await;
    // snippet: errors
    if let Err(error) = client.buckets()["nonexistent"].get().await {
        println!("HTTP {:?}: {}", error.status(), error.message());
        if let Some(hint) = error.hint() {
            println!("Hint: {hint}");
        }
        assert!(error.is_not_found()); // and error.kind(), for everything else
    }
    // end
    assert_eq!(client.bucket("nonexistent").get().await.unwrap_err().kind(), ErrorKind::NotFound);
    Ok(())
}

#[test]
fn every_rust_block_of_the_document_is_run_here() {
    snippets::assert_all_run(&[include_str!("../docs/from-python.md")], include_str!("from_python.rs"));
}

#[test]
fn every_call_of_the_python_client_has_a_translation() {
    let document = include_str!("../docs/from-python.md");
    let python: String =
        document.split("```python\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)).collect();
    for call in [
        "CarbonFiles(",
        ".close()",
        "AsyncCarbonFiles(",
        ".health()",
        "buckets.create(",
        "buckets.list(",
        "include_expired=",
        "buckets.list_all(",
        ".get()",
        ".get(include_files=",
        ".update(",
        ".summary()",
        ".download_zip()",
        "files.list(",
        "files.list_tree(",
        "files.list_directory(",
        "files.list_all(",
        "files.upload(",
        "filename=",
        "progress=",
        "upload_token=",
        ".download()",
        ".download_to(",
        ".metadata()",
        ".verify()",
        ".delete()",
        ".append(",
        ".patch(",
        "range_start=",
        "range_end=",
        "total_size=",
        "keys.create(",
        "keys.list(",
        ".usage()",
        "dashboard.create_token(",
        "dashboard.current_user()",
        "tokens.create(",
        "max_uploads=",
        "stats.get()",
        "short_urls[",
        "CarbonFilesEvents(",
        ".connect()",
        ".on_file_created(",
        ".on_file_updated(",
        ".on_file_deleted(",
        ".on_bucket_created(",
        ".on_bucket_updated(",
        ".on_bucket_deleted(",
        ".subscribe_bucket(",
        ".subscribe_file(",
        ".subscribe_all()",
        ".disconnect()",
        "CarbonFilesError",
        "e.status_code",
        "e.error",
        "e.hint",
    ] {
        assert!(python.contains(call), "{call} is not translated");
    }
}

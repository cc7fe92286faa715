//! Single files and listings of them against the test server, as a user would meet them.

mod support;

use std::collections::BTreeSet;

use bytes::Bytes;
use carbonfiles::models::{FileSort, Order};
use carbonfiles::{ErrorKind, Source};
use carbonfiles_testserver::Fault;
use futures::{StreamExt, TryStreamExt};
use support::{admin, assert_now, bucket, server};

#[tokio::test]
async fn files() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let file = bucket.file("docs/hello.txt");
    let done = file.upload("hello".as_bytes()).await.unwrap();
    assert!(!done.deduplicated);
    assert_now(done.created_at);
    let got = file.get().await.unwrap();
    assert_eq!(got, done.file, "the same, though one had a zone and the other had none");
    assert_eq!((got.name.as_str(), got.mime_type.as_str(), got.size), ("hello.txt", "text/plain", 5));
    assert!(bucket.file("docs").get_opt().await.unwrap().is_none());
    assert_eq!(bucket.file("docs").get().await.unwrap_err().message(), "File not found");

    let again = file.upload("hello, again".as_bytes()).await.unwrap();
    assert_eq!((again.created_at, &again.short_code), (done.created_at, &done.short_code));
    assert!(again.updated_at > done.updated_at);
    let head = file.head().await.unwrap();
    assert_eq!((head.length, head.total, head.sha256()), (Some(12), Some(12), again.sha256.as_deref()));
    assert_eq!(head.content_type.as_deref(), Some("text/plain; charset=utf-8"));
    assert_now(head.last_modified.unwrap());

    let verified = file.verify().await.unwrap();
    assert!(verified.valid && verified.stored_hash == verified.computed_hash);
    assert!(server.tamper(bucket.id(), "docs/hello.txt", Some(b"hullo, again")).await);
    let verified = file.verify().await.unwrap();
    assert!(!verified.valid && verified.stored_hash != verified.computed_hash);
    assert!(server.tamper(bucket.id(), "docs/hello.txt", None).await);
    let verified = file.verify().await.unwrap();
    assert!(!verified.valid && verified.computed_hash.is_empty());

    file.delete().await.unwrap();
    assert!(file.get_opt().await.unwrap().is_none());
    for error in [file.delete().await.unwrap_err(), file.head().await.unwrap_err(), file.download().await.unwrap_err()]
    {
        assert!(error.is_not_found(), "{error:?}");
    }
}

#[tokio::test]
async fn patches_and_appends() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let file = bucket.file("log 1.txt");
    let error = file.append("x".as_bytes()).await.unwrap_err();
    assert!(error.is_not_found() && error.hint().is_some());
    file.upload("0123456789".as_bytes()).await.unwrap();
    assert_eq!(file.patch(2, "AB".as_bytes()).await.unwrap().size, 10);
    assert_eq!(file.patch(9, "XYZ".as_bytes()).await.unwrap().size, 12);
    let info = file.append("!".as_bytes()).await.unwrap();
    assert_eq!(info.size, 13);
    assert_now(info.updated_at);
    let chunks = ["one", "two", "three"].map(|chunk| Ok::<_, std::io::Error>(Bytes::from(chunk)));
    file.append(Source::stream(futures::stream::iter(chunks))).await.unwrap();
    let mut last = 0;
    let reader = Source::reader(std::io::Cursor::new(b"-end".to_vec()));
    file.append(reader).progress(|progress| last = progress.sent).await.unwrap();
    assert_eq!(last, 4);
    file.append(Bytes::new()).await.unwrap();
    let content = file.download().await.unwrap().bytes(1 << 20).await.unwrap();
    assert_eq!(content, "01AB45678XYZ!onetwothree-end");
    assert!(file.verify().await.unwrap().valid);
    let error = file.patch(1000, "x".as_bytes()).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::RangeNotSatisfiable, "Range not satisfiable"));
    let past = file.download().range(1000..).await.unwrap_err();
    assert_eq!(past.kind(), ErrorKind::RangeNotSatisfiable);
    let changed = file.download().if_match("0".repeat(64)).await.unwrap_err();
    assert_eq!(changed.kind(), ErrorKind::PreconditionFailed);
    let tag = file.head().await.unwrap().etag.unwrap();
    assert!(file.download().if_none_match(&tag).await.unwrap().is_none());
}

#[tokio::test]
async fn files_whose_name_is_an_operation() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    for path in ["a/content", "a/verify", "A/Content", "content", "verify", "ls", "upload/stream", "zip"] {
        let file = bucket.file(path);
        file.upload(Bytes::from(path)).await.unwrap();
        assert_eq!(file.get().await.unwrap().path, path);
        assert_eq!(file.download().await.unwrap().bytes(100).await.unwrap(), path);
        assert!(file.verify().await.unwrap().valid, "{path}");
        assert_eq!(file.append("+".as_bytes()).await.unwrap().path, path);
    }
    assert!(bucket.file("none/content").get_opt().await.unwrap().is_none());
    let paths: BTreeSet<_> = bucket.files().list_all().items().map_ok(|file| file.path).try_collect().await.unwrap();
    assert_eq!(paths.len(), 8);
    for path in paths {
        bucket.file(&path).delete().await.unwrap();
    }
}

/// A route that is missing for a while, during a roll-out: who makes what is not there would make it once more.
#[tokio::test]
async fn a_404_of_something_on_the_way_does_not_say_that_nothing_is_there() {
    let server = server().await;
    let client = admin(&server);
    let bucket = bucket(&client).await;
    let file = bucket.file("a/content");
    file.upload("x".as_bytes()).await.unwrap();
    for (status, body) in [(404, ""), (404, "<html>"), (404, r#"{"error":"Not Found"}"#), (410, "gone")] {
        let gateway = server.inject(Fault::status(status).body(body).on("GET", "").times(3));
        for error in [
            bucket.get_opt().await.unwrap_err(),
            bucket.file("b").get_opt().await.unwrap_err(),
            // Asked of the listing.
            file.get_opt().await.unwrap_err(),
        ] {
            assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::NotFound, status), "{error}");
        }
        server.inject(Fault::status(status).body(body).on("GET", "").skip(1));
        let error = bucket.get_opt().with_files().await.unwrap_err();
        assert!(error.is_not_found() && gateway.fired() == 3, "{error}");
    }
    let none = client.bucket("nosuchbuck");
    assert!(none.get_opt().await.unwrap().is_none() && none.get_opt().with_files().await.unwrap().is_none());
    for path in ["a", "a/content"] {
        assert!(none.file(path).get_opt().await.unwrap().is_none(), "{path}");
    }
}

#[tokio::test]
async fn file_listings() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    for (path, size) in [("b.txt", 3), ("a.json", 1), ("docs/c.txt", 2), ("docs/sub/d.txt", 4)] {
        bucket.file(path).upload(vec![b'x'; size]).await.unwrap();
    }
    let files = bucket.files();
    let paths = async |sort, order| {
        let page = files.list().sort(sort).order(order).await.unwrap();
        page.into_iter().map(|file| file.path).collect::<Vec<_>>()
    };
    assert_eq!(paths(FileSort::Path, Order::Asc).await, ["a.json", "b.txt", "docs/c.txt", "docs/sub/d.txt"]);
    assert_eq!(paths(FileSort::Name, Order::Desc).await, ["docs/sub/d.txt", "docs/c.txt", "b.txt", "a.json"]);
    assert_eq!(paths(FileSort::Size, Order::Asc).await, ["a.json", "docs/c.txt", "b.txt", "docs/sub/d.txt"]);
    assert_eq!(paths(FileSort::CreatedAt, Order::Asc).await, ["b.txt", "a.json", "docs/c.txt", "docs/sub/d.txt"]);
    assert_eq!(paths(FileSort::UpdatedAt, Order::Desc).await, ["docs/sub/d.txt", "docs/c.txt", "a.json", "b.txt"]);
    assert_eq!(paths(FileSort::MimeType, Order::Asc).await[0], "a.json");
    let page = files.list().limit(1).offset(1).sort(FileSort::Path).order(Order::Asc).await.unwrap();
    assert_eq!((page.items[0].path.as_str(), page.total, page.limit, page.offset), ("b.txt", 4, 1, 1));

    let tree = files.tree().prefix("docs/").await.unwrap();
    assert_eq!((tree.files[0].path.as_str(), tree.directories[0].path.as_str()), ("docs/c.txt", "docs/sub/"));
    assert_eq!(files.tree().entries().count().await, 3);
    let directory = files.directory("/docs/").await.unwrap();
    assert_eq!((directory.files[0].name.as_str(), directory.folders), ("c.txt", vec!["sub".to_owned()]));
    assert!(files.directory("none").await.unwrap().files.is_empty());
    let stable: Vec<_> = files.list_all().stable().items().map_ok(|file| file.path).try_collect().await.unwrap();
    assert_eq!(stable, ["a.json", "b.txt", "docs/c.txt", "docs/sub/d.txt"]);
}

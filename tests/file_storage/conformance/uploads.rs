//! Uploads in one request.

use std::sync::{Arc, Mutex};

use carbonfiles::{ErrorKind, Phase, Source};
use sha2::{Digest, Sha256};

use super::{Context, noise, operations, unique};

async fn gone(context: &Context, name: &str) {
    let page = context.client.files().list().search(name).await.unwrap();
    assert_eq!(page.total, 0, "{name} is stored");
}

async fn keeps_name(context: &Context, name: &str) {
    let stored = context.client.files().upload("x".as_bytes()).filename(name).await.unwrap();
    assert_eq!(stored.filename, name);
    assert_eq!(context.client.file(&stored.id).download().await.unwrap().bytes(10).await.unwrap(), "x");
    context.client.file(&stored.id).delete().await.unwrap();
}

operations! {
    upload_bytes => |context| {
        let stored = context.file("hello", ".txt").await;
        assert_eq!((stored.size_bytes, stored.content_type.as_str()), (5, "text/plain"));
        assert_eq!(stored.backend, if context.host.s3 { "s3" } else { "filesystem" });
        assert!(!stored.public && stored.public_url.is_none() && stored.extra.is_empty());
        crate::support::assert_now(stored.created_at.unwrap());
    }
    upload_is_compared_with_its_hash => |context| {
        let content = noise(3_000_000);
        let stored = context.file(content.clone(), ".bin").await;
        let hash: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(stored.checksum_sha256, Some(hash));
    }
    upload_a_path => |context| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(unique(".png"));
        std::fs::write(&path, noise(100_000)).unwrap();
        let stored = context.client.files().upload(&path).await.unwrap();
        assert_eq!(stored.filename, path.file_name().unwrap().to_str().unwrap());
        assert_eq!((stored.content_type.as_str(), stored.size_bytes), ("image/png", 100_000));
    }
    upload_an_open_file => |context| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x"), "content").unwrap();
        let file = tokio::fs::File::open(folder.path().join("x")).await.unwrap();
        let stored = context.client.files().upload(file).filename(unique("")).await.unwrap();
        assert_eq!(stored.size_bytes, 7);
    }
    upload_of_unknown_length => |context| {
        let source = Source::reader(tokio::io::AsyncReadExt::take(tokio::io::repeat(7), 700_000));
        let stored = context.client.files().upload(source).filename(unique(".bin")).await.unwrap();
        assert_eq!(stored.size_bytes, 700_000);
    }
    upload_of_a_stream_with_a_size => |context| {
        let chunks = (0..10).map(|n| Ok::<_, std::io::Error>(vec![n; 1000]));
        let source = Source::stream(futures::stream::iter(chunks)).size(10_000);
        let stored = context.client.files().upload(source).filename(unique(".bin")).await.unwrap();
        assert_eq!(stored.size_bytes, 10_000);
    }
    upload_nothing => |context| {
        let stored = context.file("", ".txt").await;
        assert_eq!(stored.size_bytes, 0);
        assert!(context.client.file(&stored.id).download().await.unwrap().bytes(0).await.unwrap().is_empty());
    }
    upload_for_everybody => |context| {
        let upload = context.client.files().upload("x".as_bytes()).filename(unique(".txt")).public(true);
        let stored = upload.await.unwrap();
        assert!(stored.public && stored.public_url.is_some());
        let private = context.client.files().upload("x".as_bytes()).filename(unique(".txt")).public(false).await.unwrap();
        assert!(!private.public);
    }
    upload_with_a_type => |context| {
        let media_type = "application/vnd.x+json; v=\"1\"; Q=B";
        let upload = context.client.files().upload("{}".as_bytes()).filename(unique(".json")).content_type(media_type);
        assert_eq!(upload.await.unwrap().content_type, media_type);
    }
    names_that_other_clients_lose => |context| {
        for name in ["ü %+#?.txt", "日本語.pdf", "a/b/../c.txt", "a;b\"c;\\d\\.txt", "'single' = x", "%22.txt", " lead and trail "] {
            keeps_name(&context, &format!("{}{name}", unique("-"))).await;
        }
    }
    a_name_of_255_characters => |context| {
        keeps_name(&context, &format!("{}{}.txt", unique(""), "ü".repeat(235))).await;
    }
    names_that_can_not_be_carried_are_refused => |context| {
        for name in ["", "a\r\nX-Evil: 1", "tab\t", r"C:\x.txt", r"\\server\share"] {
            let error = context.client.files().upload("x".as_bytes()).filename(name).await.unwrap_err();
            assert!(error.is_invalid_input() && error.attempts() == 0, "{name:?}: {error}");
        }
        assert!(context.client.files().upload("x".as_bytes()).await.unwrap_err().is_invalid_input(), "no name");
    }
    progress_of_an_upload => |context| {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let reports = seen.clone();
        let upload = context.client.files().upload(noise(2_000_000)).filename(unique(".bin"));
        upload.progress(move |p| reports.lock().unwrap().push(p)).await.unwrap();
        let seen = seen.lock().unwrap();
        assert_eq!((seen[0].sent, seen[0].total), (0, Some(2_000_000)));
        let last = seen.last().unwrap();
        assert_eq!((last.sent, last.phase, last.percent()), (2_000_000, Phase::Done, Some(100.0)));
    }
    an_upload_that_is_started => |context| {
        let transfer = context.client.files().upload(noise(500_000)).filename(unique(".bin")).start();
        assert_eq!(transfer.await.unwrap().size_bytes, 500_000);
    }
    another_hash_than_expected_stores_nothing => |context| {
        let name = unique(".bin");
        let upload = context.client.files().upload(noise(300_000)).filename(&name).expect_sha256("0".repeat(64));
        assert_eq!(upload.await.unwrap_err().kind(), ErrorKind::IntegrityMismatch);
        gone(&context, &name).await;
    }
    a_source_that_fails_stores_nothing => |context| {
        let name = unique(".bin");
        let chunks = [Ok(vec![1; 100_000]), Err(std::io::Error::other("broken"))];
        let upload = context.client.files().upload(Source::stream(futures::stream::iter(chunks))).filename(&name);
        assert_eq!(upload.await.unwrap_err().kind(), ErrorKind::Io);
        gone(&context, &name).await;
    }
    a_dropped_upload_stores_nothing => |context| {
        let name = unique(".bin");
        let endless = Source::reader(tokio::io::repeat(1));
        let (sender, moving) = tokio::sync::oneshot::channel();
        let mut sender = Some(sender);
        let upload = context.client.files().upload(endless).filename(&name).progress(move |p| {
            if p.sent > 1_000_000 && let Some(sender) = sender.take() {
                let _ = sender.send(());
            }
        });
        tokio::select! {
            outcome = upload.send() => panic!("{outcome:?}"),
            _ = moving => {}
        }
        gone(&context, &name).await;
    }
    equal_uploads_are_two_files => |context| {
        let name = unique(".txt");
        let upload = || context.client.files().upload("same".as_bytes()).filename(&name).send();
        let (one, two) = tokio::join!(upload(), upload());
        assert_ne!(one.unwrap().id, two.unwrap().id);
    }
    too_large => |context| {
        context.set(serde_json::json!({ "max_file_size_bytes": 1000 })).await;
        let own = context.client.files().upload(noise(2000)).filename(unique("")).send().await;
        let guard = context.client.files().upload(noise(8 << 20)).filename(unique("")).send().await;
        let exact = context.client.files().upload(noise(1000)).filename(unique("")).send().await;
        let (own, guard) = (own.unwrap_err(), guard.unwrap_err());
        assert_eq!((own.kind(), own.max_bytes()), (ErrorKind::PayloadTooLarge, Some(1000)));
        assert_eq!(own.code(), Some("file_storage.too_large"));
        // 8 MiB went out against an answer that came before they were read.
        assert_eq!((guard.kind(), guard.max_bytes()), (ErrorKind::PayloadTooLarge, Some(1000 + (1 << 20))), "{guard:?}");
        exact.unwrap();
    }
    over_the_quota => |context| {
        context.set(serde_json::json!({ "quota_bytes": 1 })).await;
        let refused = context.client.files().upload(noise(2000)).filename(unique("")).send().await;
        let error = refused.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::QuotaExceeded, Some("file_storage.quota_exceeded")));
    }
    a_type_that_is_not_allowed => |context| {
        context.set(serde_json::json!({ "allowed_content_types": ["text/plain"] })).await;
        let refused = context.client.files().upload("{}".as_bytes()).filename(unique(".json")).send().await;
        let taken = context.client.files().upload("x".as_bytes()).filename(unique(".txt")).send().await;
        let error = refused.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::InvalidInput, Some("file_storage.bad_type")));
        taken.unwrap();
    }
}

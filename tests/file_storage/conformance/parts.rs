//! Uploads in parts. A part has 5 MiB here.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use carbonfiles::file_storage::models::SessionStatus;
use carbonfiles::file_storage::uploads::Checked;
use carbonfiles::{ErrorKind, Phase, Source};

use super::{Context, noise, operations, unique};
use crate::support::within;

const PART: usize = 5 << 20;

async fn content_of(context: &Context, id: &str) -> Bytes {
    context.client.file(id).download().await.unwrap().bytes(100 << 20).await.unwrap()
}

operations! {
    open_a_session => |context| {
        let name = unique(".iso");
        let session = context.client.uploads().create(&name, 3 * PART as u64).public(true).await.unwrap();
        assert_eq!((session.part_size, session.total_parts), (PART as u64, 3));
        assert_eq!(session.status, SessionStatus::Active);
        assert_eq!((session.filename.as_str(), session.public, session.parts.len()), (name.as_str(), true, 0));
        assert!(session.extra.is_empty());
        let upload = context.client.upload_session(&session.id);
        assert_eq!(upload.get().await.unwrap(), session);
        upload.abort().await.unwrap();
    }
    bad_sessions_are_refused => |context| {
        let uploads = context.client.uploads();
        assert!(uploads.create("x", 0).await.unwrap_err().is_invalid_input());
        assert!(uploads.create("", 1).await.unwrap_err().is_invalid_input());
        assert!(uploads.create("a\nb", 1).await.unwrap_err().is_invalid_input());
        let error = uploads.upload(Source::reader(tokio::io::empty())).filename("x").await.unwrap_err();
        assert!(error.is_invalid_input() && error.attempts() == 0);
        let error = uploads.create("x", 1 << 40).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::PayloadTooLarge, Some("file_storage.too_large")));
    }
    a_session_that_is_not_there => |context| {
        let upload = context.client.upload_session("ed3fdba2-4810-4db0-803e-d4c6402dfb9b");
        assert!(upload.get().await.unwrap_err().is_not_found());
        assert!(context.client.upload_session("7").get().await.unwrap_err().is_invalid_input());
    }
    part_by_part => |context| {
        let content = noise(PART + 10);
        let session = context.client.uploads().create(unique(".bin"), content.len() as u64).await.unwrap();
        let upload = context.client.upload_session(&session.id);
        let second = upload.upload_part(2, content.slice(PART..)).await.unwrap();
        let first = upload.upload_part(1, content.slice(..PART)).await.unwrap();
        assert_eq!((first.no, first.size, second.size), (1, PART as u64, 10));
        assert_eq!(upload.get().await.unwrap().parts.len(), 2);
        let done = upload.complete([&first, &second]).await.unwrap();
        assert_eq!(done.status, SessionStatus::Completed);
        let file = done.file.unwrap();
        assert_eq!(file.checksum_sha256, None);
        assert!(content_of(&context, &file.id).await == content);
        assert_eq!(upload.complete([]).await.unwrap().file.unwrap().id, file.id, "again, the same");
    }
    places_for_parts => |context| {
        let session = context.client.uploads().create(unique(".bin"), 3 * PART as u64).await.unwrap();
        let urls = context.client.upload_session(&session.id).part_urls([1, 3]).await.unwrap();
        assert_eq!((urls.direct, urls.urls.len()), (context.host.s3, 2));
        assert!(!format!("{urls:?}").contains("X-Amz"));
        let error = context.client.upload_session(&session.id).part_urls([4]).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::InvalidInput, Some("file_storage.bad_part")));
        context.client.upload_session(&session.id).abort().await.unwrap();
    }
    completing_too_early => |context| {
        let content = noise(PART + 10);
        let session = context.client.uploads().create(unique(".bin"), content.len() as u64).await.unwrap();
        let upload = context.client.upload_session(&session.id);
        let second = upload.upload_part(2, content.slice(PART..)).await.unwrap();
        let error = upload.complete([&second]).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, Some("file_storage.parts_mismatch")));
        assert!(error.hint().unwrap().contains("missing parts: [1]"), "{error}");
        upload.abort().await.unwrap();
    }
    a_file_in_parts => |context| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(unique(".bin"));
        let content = noise(3 * PART + 7);
        std::fs::write(&path, &content).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let reports = seen.clone();
        let mut opened = None;
        let upload = context.client.uploads().upload(&path).parallel(3).on_opened(|session| opened = Some(session.id.clone()));
        let done = upload.progress(move |p| reports.lock().unwrap().push(p)).await.unwrap();
        assert_eq!((done.file.size_bytes, done.sent, done.checked), (content.len() as u64, content.len() as u64, Checked::Parts));
        assert_eq!(done.file.filename, path.file_name().unwrap().to_str().unwrap());
        assert!(opened.is_some());
        {
            let seen = seen.lock().unwrap();
            assert!(seen.iter().all(|p| p.total == Some(content.len() as u64) && p.sent <= content.len() as u64));
            assert_eq!(seen.last().unwrap().phase, Phase::Done);
        }
        assert!(content_of(&context, &done.file.id).await == content);
    }
    a_stream_in_parts => |context| {
        let content = noise(2 * PART + 3);
        let pieces: Vec<_> = content.chunks(1 << 20).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
        let source = Source::stream(futures::stream::iter(pieces));
        let upload = context.client.uploads().upload(source).filename(unique(".bin")).spool(content.len() as u64);
        let done = upload.await.unwrap();
        assert_eq!((done.file.size_bytes, done.sent), (content.len() as u64, content.len() as u64));
        assert!(content_of(&context, &done.file.id).await == content);
    }
    more_places_than_the_service_gives_at_once => |context| {
        let session = context.client.uploads().create(unique(".bin"), 101 * PART as u64).await.unwrap();
        let upload = context.client.upload_session(&session.id);
        let urls = upload.part_urls(1..=101).await.unwrap();
        assert_eq!((urls.direct, urls.urls.len()), (context.host.s3, 101));
        upload.abort().await.unwrap();
    }
    bytes_in_parts => |context| {
        let content = noise(2 * PART);
        let upload = context.client.uploads().upload(content.clone()).filename(unique(".bin")).content_type("x/y").public(true);
        let done = upload.verify(false).await.unwrap();
        assert_eq!((done.checked, done.file.public, done.file.content_type.as_str()), (Checked::Nothing, true, "x/y"));
        assert!(content_of(&context, &done.file.id).await == content);
    }
    going_on_after_a_restart => |context| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big.bin");
        let content = noise(3 * PART + 7);
        std::fs::write(&path, &content).unwrap();
        let session = context.client.uploads().create(unique(".bin"), content.len() as u64).await.unwrap();
        let upload = context.client.upload_session(&session.id);
        upload.upload_part(2, content.slice(PART..2 * PART)).await.unwrap();
        // Another client, as after a restart: it knows the id and the file.
        let done = context.host.client().upload_session(&session.id).resume(&path).await.unwrap();
        assert_eq!((done.sent, done.checked), (2 * PART as u64 + 7, Checked::Parts));
        assert!(content_of(&context, &done.file.id).await == content);
        let again = context.host.client().upload_session(&session.id).resume(&path).await.unwrap();
        assert_eq!((again.sent, again.file.id), (0, done.file.id));
    }
    going_on_with_a_part_that_differs => |context| {
        let content = noise(PART + 7);
        let session = context.client.uploads().create(unique(".bin"), content.len() as u64).await.unwrap();
        let upload = context.client.upload_session(&session.id);
        upload.upload_part(1, Bytes::from(vec![0; PART])).await.unwrap();
        let done = upload.resume(content.clone()).await.unwrap();
        assert_eq!(done.sent, content.len() as u64);
        assert!(content_of(&context, &done.file.id).await == content);
    }
    going_on_after_a_part_that_was_too_short => |context| {
        let content = noise(PART + 7);
        let session = context.client.uploads().create(unique(".bin"), content.len() as u64).await.unwrap();
        let upload = context.client.upload_session(&session.id);
        let short = upload.upload_part(1, Bytes::from_static(b"short")).await;
        if !context.host.s3 {
            assert_eq!(short.unwrap_err().code(), Some("file_storage.bad_part"));
        }
        // It stays stored all the same.
        assert_eq!(upload.get().await.unwrap().parts.len(), 1);
        assert!(content_of(&context, &upload.resume(content.clone()).await.unwrap().file.id).await == content);
    }
    a_source_of_another_size => |context| {
        let session = context.client.uploads().create(unique(".bin"), 100).await.unwrap();
        let upload = context.client.upload_session(&session.id);
        assert!(upload.resume(noise(99)).await.unwrap_err().is_invalid_input());
        assert_eq!(upload.resume(noise(100)).await.unwrap().file.size_bytes, 100);
    }
    expired => |context| {
        context.set(serde_json::json!({ "upload_session_ttl_seconds": 1 })).await;
        let session = context.client.uploads().create(unique(".bin"), 100).await.unwrap();
        let upload = context.client.upload_session(session.id);
        // The service tells nobody: it is asked until it says so.
        within(async {
            while upload.part_urls([1]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        let error = upload.resume(noise(100)).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Conflict && error.hint().unwrap().contains("begin anew"), "{error:?}");
    }
    given_up => |context| {
        let session = context.client.uploads().create(unique(".bin"), 100).await.unwrap();
        let upload = context.client.upload_session(&session.id);
        upload.abort().await.unwrap();
        upload.abort().await.unwrap();
        assert_eq!(upload.get().await.unwrap().status, SessionStatus::Aborted);
        assert_eq!(upload.resume(noise(100)).await.unwrap_err().kind(), ErrorKind::Conflict);
        let error = upload.complete([]).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, Some("file_storage.upload_session_closed")));
    }
}

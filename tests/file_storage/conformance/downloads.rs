//! Downloads, thumbnails and what is public.

use carbonfiles::ErrorKind;
use carbonfiles::file_storage::Client;
use futures::TryStreamExt;
use tokio::io::AsyncReadExt;

use super::{Context, noise, operations, unique};

const UNKNOWN: &str = "ed3fdba2-4810-4db0-803e-d4c6402dfb9b";

async fn public_file(
    context: &Context,
    content: bytes::Bytes,
    suffix: &str,
) -> carbonfiles::file_storage::models::StoredFile {
    context.client.files().upload(content).filename(unique(suffix)).public(true).await.unwrap()
}

/// A PNG of one colour.
fn picture() -> Vec<u8> {
    include_bytes!("../../data/file-storage/picture.png").to_vec()
}

operations! {
    download_in_memory => |context| {
        let content = noise(1_500_000);
        let stored = context.file(content.clone(), ".bin").await;
        let download = context.client.file(&stored.id).download().await.unwrap();
        assert_eq!((download.info().length, download.info().total), (Some(1_500_000), Some(1_500_000)));
        assert!(download.bytes(2_000_000).await.unwrap() == content);
    }
    download_as_a_stream => |context| {
        let stored = context.file(noise(700_000), ".bin").await;
        let chunks = context.client.file(&stored.id).download().await.unwrap().stream();
        let length = chunks.try_fold(0, |sum, chunk| async move { Ok(sum + chunk.len()) }).await.unwrap();
        assert_eq!(length, 700_000);
    }
    download_as_a_reader => |context| {
        let stored = context.file("read me", ".txt").await;
        let mut text = String::new();
        context.client.file(&stored.id).download().await.unwrap().reader().read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "read me");
    }
    download_tells_type_and_name => |context| {
        let stored = context.file("x", " ü.txt").await;
        let download = context.client.file(&stored.id).download().await.unwrap();
        assert!(download.info().content_type.as_ref().unwrap().starts_with("text/plain"));
        assert!(download.info().content_disposition.as_ref().unwrap().contains("filename*=UTF-8''"));
    }
    text_is_not_compressed => |context| {
        let text = "the same again and again\n".repeat(10_000);
        let stored = context.file(text.clone(), ".txt").await;
        let download = context.client.file(&stored.id).download().await.unwrap();
        assert_eq!(download.info().length, Some(250_000));
        assert!(download.bytes(250_000).await.unwrap() == text);
    }
    download_more_than_the_limit => |context| {
        let stored = context.file("12345", ".txt").await;
        let error = context.client.file(&stored.id).download().await.unwrap().bytes(4).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
    }
    range_from_to => |context| {
        let stored = context.file("0123456789", ".txt").await;
        let file = context.client.file(&stored.id);
        let download = file.download().range(2..5).await.unwrap();
        assert_eq!((download.info().start, download.info().length, download.info().total), (2, Some(3), Some(10)));
        assert_eq!(download.bytes(10).await.unwrap(), "234");
        assert_eq!(file.download().range(8..100).await.unwrap().bytes(10).await.unwrap(), "89");
    }
    range_to_the_end => |context| {
        let stored = context.file("0123456789", ".txt").await;
        assert_eq!(context.client.file(&stored.id).download().range(7..).await.unwrap().bytes(10).await.unwrap(), "789");
    }
    the_last_bytes => |context| {
        let stored = context.file("0123456789", ".txt").await;
        assert_eq!(context.client.file(&stored.id).download().last(3).await.unwrap().bytes(10).await.unwrap(), "789");
    }
    several_ranges_at_once => |context| {
        let content = noise((5 << 20) + 3);
        let stored = public_file(&context, content.clone(), ".bin").await;
        let file = context.client.file(&stored.id);
        for download in [
            file.download().parallel(3).await.unwrap(),
            file.public().download().parallel(3).await.unwrap(),
            file.public().download().if_none_match("v0").parallel(3).await.unwrap().unwrap(),
        ] {
            assert_eq!((download.info().length, download.info().sha256()), (Some(content.len() as u64), stored.checksum_sha256.as_deref()));
            assert!(download.bytes(content.len()).await.unwrap() == content);
        }
        let part = file.download().parallel(2).range(3 << 20..).await.unwrap().bytes(content.len()).await.unwrap();
        assert!(part == content[3 << 20..]);
    }
    range_past_the_end => |context| {
        let stored = context.file("0123456789", ".txt").await;
        let error = context.client.file(&stored.id).download().range(10..).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RangeNotSatisfiable);
    }
    an_empty_range_is_refused => |context| {
        let stored = context.file("x", ".txt").await;
        assert!(context.client.file(&stored.id).download().range(3..3).await.unwrap_err().is_invalid_input());
    }
    download_to_a_file => |context| {
        let folder = tempfile::tempdir().unwrap();
        let content = noise(2_345_678);
        let stored = context.file(content.clone(), ".bin").await;
        let target = folder.path().join("copy");
        let done = context.client.file(&stored.id).download_to(&target).await.unwrap();
        assert_eq!((done.size, &done.verified_sha256), (2_345_678, &stored.checksum_sha256));
        assert!(done.verified_sha256.is_some() && std::fs::read(&target).unwrap() == content);
    }
    download_to_keeps_what_is_there => |context| {
        let folder = tempfile::tempdir().unwrap();
        let stored = context.file("new", ".txt").await;
        let target = folder.path().join("copy");
        std::fs::write(&target, "old").unwrap();
        let error = context.client.file(&stored.id).download_to(&target).overwrite(false).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(context.client.file(UNKNOWN).download_to(&target).await.unwrap_err().is_not_found());
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
    progress_of_a_download => |context| {
        let stored = context.file(noise(900_000), ".bin").await;
        let mut last = None;
        let download = context.client.file(&stored.id).download().progress(|p| last = Some(p));
        download.await.unwrap().bytes(1_000_000).await.unwrap();
        assert_eq!(last.unwrap().percent(), Some(100.0));
    }
    download_unchecked => |context| {
        let folder = tempfile::tempdir().unwrap();
        let stored = context.file("x", ".txt").await;
        let done = context.client.file(&stored.id).download_to(folder.path().join("x")).verify(false).await.unwrap();
        assert_eq!(done.verified_sha256, None);
    }
    download_passed_on => |context| {
        let stored = context.file("pass me on", ".txt").await;
        let answer = context.client.file(&stored.id).download().await.unwrap().into_http_response();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-length"], "10");
    }
    download_of_nothing_that_is_there => |context| {
        let error = context.client.file(UNKNOWN).download().await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, Some("file_storage.not_found")));
    }
    a_presigned_url => |context| {
        let stored = context.file("by the bucket", ".txt").await;
        let outcome = context.client.file(&stored.id).download_url().await;
        if !context.host.s3 {
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unsupported);
            return;
        }
        let link = outcome.unwrap();
        assert!(link.expires_at.unwrap() > chrono::Utc::now());
        assert!(!format!("{link:?}").contains("X-Amz"));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        assert_eq!(http.get(link.url.expose()).send().await.unwrap().text().await.unwrap(), "by the bucket");
    }
    public_and_back => |context| {
        let stored = context.file("news", ".txt").await;
        let file = context.client.file(&stored.id);
        assert!(file.public().download().await.unwrap_err().is_not_found(), "private, for its owner too");
        assert!(file.set_public(true).await.unwrap().public);
        assert_eq!(file.public().download().await.unwrap().bytes(10).await.unwrap(), "news");
        assert!(!file.set_public(false).await.unwrap().public);
        assert!(file.public().download().await.unwrap_err().is_not_found());
    }
    public_link => |context| {
        let stored = public_file(&context, "for all".into(), " ü%.txt").await;
        let link = stored.public_link(&context.client).unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        assert_eq!(http.get(link).send().await.unwrap().text().await.unwrap(), "for all");
        let bare = context.client.public_file(&stored.id).url().unwrap();
        assert_eq!(http.get(bare).send().await.unwrap().text().await.unwrap(), "for all");
    }
    public_without_a_credential => |context| {
        let stored = public_file(&context, "for all".into(), ".txt").await;
        let anonymous = context.host.builder().build().unwrap();
        assert_eq!(anonymous.public_file(&stored.id).download().await.unwrap().bytes(10).await.unwrap(), "for all");
        assert_eq!(anonymous.file(&stored.id).get().await.unwrap_err().kind(), ErrorKind::Unauthenticated);
    }
    public_only_when_changed => |context| {
        let stored = public_file(&context, "known".into(), ".txt").await;
        let (file, hash) = (context.client.public_file(&stored.id), stored.checksum_sha256.unwrap());
        assert!(file.download().if_none_match(&hash).await.unwrap().is_none());
        assert!(file.download().if_none_match("0".repeat(64)).await.unwrap().is_some());
        let folder = tempfile::tempdir().unwrap();
        assert!(file.download_to(folder.path().join("x")).if_none_match(&hash).await.unwrap().is_none());
        assert_eq!(file.download_to(folder.path().join("x")).if_none_match("other").await.unwrap().unwrap().size, 5);
    }
    public_range => |context| {
        let stored = public_file(&context, "0123456789".into(), ".txt").await;
        let part = context.client.public_file(&stored.id).download().range(4..6).await.unwrap();
        assert_eq!(part.bytes(10).await.unwrap(), "45");
    }
    public_page_of_an_active_type => |context| {
        let stored = public_file(&context, "<h1>x</h1>".into(), ".html").await;
        let download = context.client.public_file(&stored.id).download().await.unwrap();
        assert!(download.info().content_disposition.as_ref().unwrap().starts_with("attachment"));
        assert_eq!(download.bytes(100).await.unwrap(), "<h1>x</h1>");
    }
    thumbnail => |context| {
        let stored = context.file(picture(), ".png").await;
        let small = context.client.file(&stored.id).thumbnail().width(64).await.unwrap();
        assert_eq!(small.info().content_type.as_deref(), Some("image/webp"));
        assert!(small.bytes(100_000).await.unwrap().starts_with(b"RIFF"));
        assert!(context.client.file(&stored.id).thumbnail().await.is_ok());
    }
    thumbnail_for_everybody => |context| {
        let stored = public_file(&context, picture().into(), ".png").await;
        let anonymous = Client::builder(&context.host.url).http(reqwest::ClientBuilder::no_proxy).build().unwrap();
        assert!(anonymous.public_file(&stored.id).thumbnail().width(64).await.is_ok());
    }
    thumbnail_of_what_is_no_picture => |context| {
        let text = context.file("no picture", ".txt").await;
        assert!(context.client.file(&text.id).thumbnail().await.unwrap_err().is_not_found());
        let broken = context.file("no picture", ".png").await;
        let error = context.client.file(&broken.id).thumbnail().await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::InvalidInput, Some("file_storage.bad_image")));
    }
}

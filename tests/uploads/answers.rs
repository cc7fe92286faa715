//! Uploads whose answer says something else than what was sent.

use super::support::{sha256, within};
use super::*;

/// What the server says of these files: path, size and hash.
fn stored(files: &[(&str, usize, &str)]) -> Fault {
    let rows: Vec<_> = files
        .iter()
        .map(|(path, size, sha256)| {
            serde_json::json!({"path": path, "name": path, "size": size, "mime_type": "a/b", "sha256": sha256,
                "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "deduplicated": false})
        })
        .collect();
    Fault::replace_body(serde_json::json!({ "uploaded": rows }).to_string())
}

#[tokio::test]
async fn another_hash_than_was_sent_is_a_mismatch_whichever_file_it_is_of() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let (one, two, wrong) = (sha256(b"one"), sha256(b"two"), "0".repeat(64));
    for (hashes, is_right) in [([&one, &two], true), ([&one, &wrong], false), ([&wrong, &two], false)] {
        let answer = server.inject(stored(&[("1", 3, hashes[0]), ("2", 3, hashes[1])]).on("POST", "/upload"));
        let files = bucket.files().upload_multipart().file("1", "one".as_bytes()).file("2", "two".as_bytes());
        let outcome = within(files.send()).await;
        assert_eq!((answer.fired(), outcome.is_ok()), (1, is_right), "{outcome:?}");
        if let Err(error) = outcome {
            assert_eq!(error.kind(), ErrorKind::IntegrityMismatch, "{error}");
            let sent = if hashes[0] == &wrong { &one } else { &two };
            assert!(error.message().contains(sent) && error.message().contains(&wrong), "{error}");
        }
    }
    let answer = server.inject(stored(&[("1", 3, &wrong)]).on("PUT", "/upload/stream"));
    let error = within(bucket.file("1").upload("one".as_bytes()).send()).await.unwrap_err();
    assert_eq!((error.kind(), answer.fired()), (ErrorKind::IntegrityMismatch, 1), "{error}");
    assert!(error.message().contains(&one) && error.message().contains(&wrong), "{error}");
}

#[tokio::test]
async fn another_size_is_a_mismatch_even_where_nothing_is_hashed() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    for size in [2, 4] {
        let row = ("1", size, "0".repeat(64));
        let row = [(row.0, row.1, row.2.as_str())];
        server.inject(stored(&row).on("PUT", "/upload/stream"));
        let one = bucket.file("1").upload("one".as_bytes()).verify(false);
        server.inject(stored(&row).on("POST", "/upload"));
        let several = bucket.files().upload_multipart().file("1", "one".as_bytes()).verify(false);
        for error in [within(one.send()).await.unwrap_err(), within(several.send()).await.unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::IntegrityMismatch, "{error}");
            assert!(error.message().contains(&format!("stored {size}")), "{error}");
        }
    }
}

#[tokio::test]
async fn an_answer_without_a_row_for_each_file_is_none() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let (one, two) = (sha256(b"one"), sha256(b"two"));
    let rows = [("1", 3, one.as_str()), ("2", 3, two.as_str()), ("3", 3, two.as_str())];
    for count in [0, 1, 3] {
        server.inject(stored(&rows[..count]).on("POST", "/upload"));
        let files = bucket.files().upload_multipart().file("1", "one".as_bytes()).file("2", "two".as_bytes());
        assert_eq!(within(files.send()).await.unwrap_err().kind(), ErrorKind::Decode, "{count}");
    }
    server.inject(stored(&[]).on("PUT", "/upload/stream"));
    assert_eq!(within(bucket.file("1").upload("one".as_bytes()).send()).await.unwrap_err().kind(), ErrorKind::Decode);
}

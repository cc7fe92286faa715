//! Several files in one request.

use super::*;

#[tokio::test]
async fn several_files_whose_answer_was_lost_are_looked_for() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let token = bucket.upload_tokens().create().max_uploads(2).await.unwrap().token;
    server.clear_requests();
    server.inject(Fault::lose_reply().on("POST", "/upload"));
    let both = bucket.files().upload_multipart().file("a", "1".as_bytes()).file("b", "2".as_bytes());
    let done = both.upload_token(&token).await.unwrap();
    assert_eq!(done.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(server.requests().iter().filter(|request| request.method == "POST").count(), 1);
}

#[tokio::test]
async fn several_files_in_one_request() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let data = pattern(1_000_000);
    server.clear_requests();
    let done = bucket
        .files()
        .upload_multipart()
        .file("a.txt", "one".as_bytes())
        .file("docs/ü \"q\".txt", data.clone())
        .file("empty", &b""[..])
        .file("unsized", Source::reader(std::io::Cursor::new(data.clone())))
        .await
        .unwrap();
    assert_eq!(server.requests().len(), 1);
    assert_eq!(
        done.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(),
        ["a.txt", "docs/ü \"q\".txt", "empty", "unsized"]
    );
    assert!(content(&bucket, "docs/ü \"q\".txt").await == data);
    assert!(content(&bucket, "unsized").await == data);
    let twice = bucket.files().upload_multipart().file("a", vec![]).file("a", vec![]).await.unwrap_err();
    assert!(twice.is_invalid_input());
    assert!(bucket.files().upload_multipart().await.unwrap_err().is_invalid_input());
    assert!(bucket.files().upload_multipart().file("../x", vec![]).await.unwrap_err().is_invalid_input());
}

#[tokio::test]
async fn one_of_several_files_that_has_another_hash_is_not_stored() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    // More than fits between the source and the connection.
    let data = pattern(8_000_000);
    let hash = bucket.file("first").upload(data.clone()).await.unwrap().sha256.clone().unwrap();
    let several = |hash: &str| {
        let several = bucket.files().upload_multipart().file("a", "one".as_bytes());
        several.file_with_sha256("b", data.clone(), hash).file("c", "three".as_bytes())
    };
    let error = several(&"0".repeat(64)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IntegrityMismatch);
    assert!(error.message().contains(&hash), "{error}");
    assert!(error.may_have_been_done(), "the first file is there");
    assert!(bucket.file("b").get_opt().await.unwrap().is_none() && bucket.file("c").get_opt().await.unwrap().is_none());
    assert_eq!(several(&hash.to_uppercase()).await.unwrap().len(), 3);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn files_of_one_request_are_opened_one_after_another() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    let in_folder = |fd: std::fs::DirEntry| std::fs::read_link(fd.path()).is_ok_and(|to| to.starts_with(folder.path()));
    let mut most = 0;
    let mut upload = bucket.files().upload_multipart().progress(|_| {
        let open =
            std::fs::read_dir("/proc/self/fd").unwrap().flatten().filter_map(|fd| in_folder(fd).then_some(())).count();
        most = most.max(open);
    });
    for n in 0..50 {
        let path = folder.path().join(format!("{n:02}"));
        std::fs::write(&path, vec![n; 10_000]).unwrap();
        upload = upload.file(format!("{n:02}"), path);
    }
    let stored = upload.await.unwrap();
    assert_eq!(stored.len(), 50);
    assert!(most < 5, "{most} were open at once");
    assert_eq!(content(&bucket, "49").await, vec![49; 10_000]);
}

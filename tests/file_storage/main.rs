//! The file_storage client: against the real service on both back ends, against what was recorded of it, and against
//! servers that misbehave.

mod conformance;
mod faults;
mod host;
#[allow(dead_code, unused_imports, reason = "it is for other servers as well")]
#[path = "../conformance/proxy/mod.rs"]
mod proxy;
mod recordings;
mod requests;
mod retries;
mod secrets;
mod sessions;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/table.rs"]
mod table;

/// Handles are cheap to pass around, and calls can be spawned. It need not run: it compiles.
#[test]
fn handles_and_calls_go_anywhere() {
    use carbonfiles::file_storage::{Client, File, Files, PublicFile, ResumableUpload, Uploads};

    fn handle<T: Clone + Send + Sync + std::fmt::Debug + 'static>() {}
    handle::<Client>();
    handle::<Files>();
    handle::<File>();
    handle::<PublicFile>();
    handle::<Uploads>();
    handle::<ResumableUpload>();

    fn sent<T: Send + 'static>(_: T) {}
    let client = Client::anonymous("http://127.0.0.1:9").unwrap();
    let files = client.files();
    sent(files.upload("x".as_bytes()).filename("x").send());
    sent(files.list().send());
    sent(files.list_all().items());
    sent(files.watch());
    sent(files.file("x").download().send());
    sent(files.file("x").download_to("x").send());
    sent(client.public_file("x").download().if_none_match("x").send());
    sent(client.uploads().upload("x".as_bytes()).send());
    sent(client.upload_session("x").resume("x".as_bytes()).send());
}

/// What is wrong with an argument comes out before anything is sent: nothing listens there.
#[tokio::test]
async fn bad_input_is_refused_before_anything_is_sent() {
    use carbonfiles::Source;
    use carbonfiles::file_storage::Client;

    let client = Client::anonymous("http://127.0.0.1:9").unwrap();
    let (files, file) = (client.files(), client.file("no-uuid"));
    let id = "3b53bad0-8223-48db-81fb-d6600ae05a40";
    let refused = [
        files.upload("x".as_bytes()).await.err(),
        files.upload("x".as_bytes()).filename("a\r\nb").await.err(),
        files.upload("x".as_bytes()).filename("x").content_type("a\r\nb: c/d").await.err(),
        files.upload("x".as_bytes()).filename("x").expect_sha256("12").await.err(),
        files.upload("x".as_bytes()).filename("x").header("content-length", "1").await.err(),
        files.list().per_page(0).await.err(),
        files.list().page(1_000_001).await.err(),
        files.bulk_delete(["x"]).await.err(),
        file.get().await.err(),
        file.delete().await.err(),
        file.set_public(true).await.err(),
        file.download().await.err(),
        file.download_to("x").await.err(),
        file.download_url().await.err(),
        file.thumbnail().await.err(),
        file.public().download().await.err(),
        file.public().thumbnail().width(64).await.err(),
        file.public().url().err(),
        client.file(id).download().range(5..5).await.err(),
        client.file(id).download().last(0).await.err(),
        client.file(id).download().parallel(0).await.err(),
        client.file(id).download().parallel(2).last(5).await.err(),
        client.file(id).download_to("x").parallel(0).await.err(),
        client.file(id).download().expect_sha256("12").await.err(),
        client.file(id).download_to("x").expect_sha256("12").await.err(),
        client.public_file(id).download().expect_sha256("12").await.err(),
        client.public_file(id).download_to("x").expect_sha256("12").await.err(),
        client.file(id).download_to("/no/such/folder/x").await.err(),
        client.public_file(id).download().parallel(0).await.err(),
        client.uploads().upload("x".as_bytes()).filename("x").parallel(0).await.err(),
        client.upload_session(id).resume("x".as_bytes()).parallel(0).await.err(),
        client.uploads().create("x", 0).await.err(),
        client.uploads().create("", 1).await.err(),
        client.uploads().upload(Source::reader(tokio::io::empty())).filename("x").await.err(),
        client.uploads().upload("".as_bytes()).filename("x").await.err(),
        client.uploads().upload(Source::from("xy".as_bytes()).size(1)).filename("x").await.err(),
        client.upload_session(id).resume(Source::from("xy".as_bytes()).size(1)).await.err(),
        client.upload_session(id).upload_part(1, Source::from("xy".as_bytes()).size(3)).await.err(),
        client.upload_session("x").get().await.err(),
        client.upload_session("x").abort().await.err(),
    ];
    let unpaused = futures::TryStreamExt::try_next(&mut files.watch().relist_every(std::time::Duration::ZERO)).await;
    assert!(unpaused.unwrap_err().is_invalid_input());
    for (at, error) in refused.into_iter().enumerate() {
        let error = error.unwrap_or_else(|| panic!("{at} was not refused"));
        assert!(error.is_invalid_input() && error.attempts() == 0, "{at}: {error}");
    }
}

//! What bad input gets: `InvalidInput` that names the argument, before anything is sent.

mod support;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use carbonfiles::models::Order;
use carbonfiles::{Access, Client, Error, ErrorKind, Expiry, FilePath, Source};
use carbonfiles_testserver::TestServer;
use futures::StreamExt;
use http::Method;
use support::{admin, bucket, builder, server, within};

/// A server that must not hear of it.
struct Quiet {
    server: TestServer,
    client: Client,
}

impl Quiet {
    async fn new() -> Self {
        let server = server().await;
        Self { client: admin(&server), server }
    }

    /// The call is refused here, for this argument.
    #[track_caller]
    fn refused<T>(&self, argument: &str, given: &str, outcome: Result<T, Error>) {
        let Err(error) = outcome else { panic!("{argument} {given:?} was accepted") };
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{given:?}: {error:?}");
        assert!(error.is_invalid_input() && !error.is_retryable());
        let message = error.message();
        assert!(message.starts_with(&format!("invalid {argument}: ")), "{given:?}: {message}");
        assert!(message.len() > "invalid : ".len() + argument.len() && !error.to_string().contains('\n'), "{message}");
        assert_eq!((error.status(), error.bytes_sent()), (None, 0), "{given:?}: {error:?}");
        assert_eq!(self.server.requests(), [], "{given:?}");
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.server.connections(), 0, "not even a connection was made");
        }
    }
}

/// The first error of a stream.
async fn first<T>(mut stream: impl futures::Stream<Item = Result<T, Error>> + Unpin) -> Result<T, Error> {
    let first = within(stream.next()).await.expect("it gives something");
    assert!(first.is_ok() || within(stream.next()).await.is_none(), "nothing comes after an error");
    first
}

const BAD_IDS: [&str; 10] = ["", " ", "\t", "/", "//", "///", ".", "..", "a\0b", "a\nb"];

#[tokio::test]
async fn ids() {
    let quiet = Quiet::new().await;
    let client = &quiet.client;
    for bad in BAD_IDS {
        let bucket = client.bucket(bad);
        let check = |outcome: Result<(), Error>| quiet.refused("bucket id", bad, outcome);
        check(bucket.get().await.map(drop));
        check(bucket.get().with_files().await.map(drop));
        check(bucket.get_opt().await.map(drop));
        check(bucket.update().name("x").await.map(drop));
        check(bucket.delete().await);
        check(bucket.summary().await.map(drop));
        check(bucket.zip().await.map(drop));
        check(bucket.head_zip().await.map(drop));
        check(bucket.upload_tokens().create().await.map(drop));
        check(client.buckets()[bad].get().await.map(drop));
        let files = bucket.files();
        check(files.list().await.map(drop));
        check(files.tree().await.map(drop));
        check(files.directory("").await.map(drop));
        check(first(files.list_all()).await.map(drop));
        check(first(files.list_all().items()).await.map(drop));
        check(first(files.list_all().stable()).await.map(drop));
        check(first(files.tree().entries()).await.map(drop));
        check(files.upload_multipart().file("a", "x".as_bytes()).await.map(drop));
        let file = bucket.file("a.txt");
        check(file.get().await.map(drop));
        check(file.upload("x".as_bytes()).await.map(drop));
        check(file.download().await.map(drop));
        check(file.delete().await);
        check(file.url().map(drop));
        check(file.attachment_url().map(drop));

        quiet.refused("prefix", bad, client.key(bad).usage().await);
        quiet.refused("prefix", bad, client.keys()[bad].revoke().await);
        quiet.refused("code", bad, client.short_url(bad).resolve().await);
        quiet.refused("code", bad, client.short_urls()[bad].delete().await);
        quiet.refused("code", bad, client.short_url(bad).url());
    }
}

#[tokio::test]
async fn file_paths() {
    let quiet = Quiet::new().await;
    let bucket = quiet.client.bucket("b");
    let paths = [
        "",
        " ",
        "/",
        "//",
        "/a",
        "a/",
        "a//b",
        "a/ /b",
        "\u{3000}/a",
        ".",
        "..",
        "a/./b",
        "../a",
        "a/..",
        "a\\b",
        "\\",
        "a\0b",
    ];
    for bad in paths {
        let file = bucket.file(bad);
        let check = |outcome: Result<(), Error>| quiet.refused("path", bad, outcome);
        check(file.get().await.map(drop));
        check(file.get_opt().await.map(drop));
        check(file.head().await.map(drop));
        check(file.download().await.map(drop));
        check(file.download_to("/nonexistent/target").await.map(drop));
        check(file.verify().await.map(drop));
        check(file.delete().await);
        check(file.upload("x".as_bytes()).await.map(drop));
        check(file.append("x".as_bytes()).await.map(drop));
        check(file.patch(0, "x".as_bytes()).await.map(drop));
        check(file.upload_writer().finish().await.map(drop));
        check(file.url().map(drop));
        check(file.attachment_url().map(drop));
        check(bucket.files()[bad].get().await.map(drop));
        check(bucket.files().upload(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).named(bad).await.map(drop));
        check(bucket.files().upload_multipart().file("good", "x".as_bytes()).file(bad, "x".as_bytes()).await.map(drop));
        check(FilePath::try_from(bad).map(drop));
    }
    quiet.refused("path", "no name", bucket.files().upload("/").await);
    quiet.refused("path", "no name", bucket.files().upload("..").await);
}

#[tokio::test]
async fn limits() {
    let quiet = Quiet::new().await;
    let client = &quiet.client;
    let files = client.bucket("b").files();
    quiet.refused("limit", "0", client.buckets().list().limit(0).await);
    quiet.refused("limit", "0", client.keys().list().limit(0).await);
    quiet.refused("limit", "0", files.list().limit(0).await);
    quiet.refused("limit", "0", files.tree().limit(0).await);
    quiet.refused("limit", "0", files.directory("d").limit(0).await);
    quiet.refused("limit", "0", files.directory("with_wildcard").limit(0).order(Order::Asc).await);
    quiet.refused("limit", "0", first(client.buckets().list_all().limit(0)).await);
    quiet.refused("limit", "0", first(client.buckets().list_all().limit(0).items()).await);
    quiet.refused("limit", "0", first(client.keys().list_all().limit(0)).await);
    quiet.refused("limit", "0", first(files.list_all().limit(0)).await);
    quiet.refused("limit", "0", first(files.list_all().limit(0).stable()).await);
    quiet.refused("limit", "0", first(files.list_all().stable().limit(0)).await);
    quiet.refused("limit", "0", first(files.tree().limit(0).entries()).await);
    quiet.refused("limit or offset", "2^40", client.buckets().list().limit(1 << 40).await);
    quiet.refused("limit or offset", "2^40", client.buckets().list().offset(1 << 40).await);
    quiet.refused("delimiter", "", files.tree().delimiter("").await);
    quiet.refused("max_uploads", "0", client.bucket("b").upload_tokens().create().max_uploads(0).await);
    quiet.refused("max_uploads", "2^32-1", client.bucket("b").upload_tokens().create().max_uploads(u32::MAX).await);
}

#[tokio::test]
async fn expiries() {
    let quiet = Quiet::new().await;
    let client = &quiet.client;
    let past = SystemTime::now() - Duration::from_secs(60);
    let garbled = [
        "",
        " ",
        "soon",
        "30",
        "30 d",
        "30D",
        "1y",
        "-1d",
        "1.5h",
        "1d2h",
        "0s",
        "Never",
        "NEVER",
        "2030-01-02",
        "2030-13-01T00:00:00Z",
        "2030-01-02t00:00:00z",
        "2030-01-02 00:00:00",
        "1893553445123",
        "999999999d",
        "99999999999999999999d",
        "99999999999999999999",
        "١d",
        "2001-01-01T00:00:00Z",
        "0",
        "-5",
    ];
    let expiries = garbled.map(|text| (text, Expiry::from(text)));
    let others = [
        ("a past time", Expiry::from(past)),
        ("a past date", chrono::DateTime::<chrono::Utc>::UNIX_EPOCH.into()),
        ("no time at all", Duration::ZERO.into()),
        ("for ever and a day", Duration::MAX.into()),
        ("the end of time", chrono::DateTime::<chrono::Utc>::MAX_UTC.into()),
    ];
    for (given, expiry) in expiries.into_iter().chain(others) {
        quiet.refused("expires", given, client.buckets().create("b").expires(expiry.clone()).await);
        quiet.refused("expires", given, client.bucket("b").update().expires(expiry.clone()).await);
        quiet.refused("expires", given, client.bucket("b").upload_tokens().create().expires(expiry.clone()).await);
        quiet.refused("expires", given, client.dashboard().create_token().expires(expiry).await);
    }
    quiet.refused("expires", "never", client.bucket("b").upload_tokens().create().expires("never").await);
    quiet.refused("expires", "never", client.dashboard().create_token().expires(Expiry::never()).await);
    quiet.refused("update", "nothing", client.bucket("b").update().await);
}

#[tokio::test]
async fn a_past_expiry_is_sent_when_it_is_meant() {
    let server = server().await;
    let client = admin(&server);
    let past = Expiry::from(SystemTime::now() - Duration::from_secs(60)).allow_past();
    let made = client.buckets().create("gone").expires(past).await.unwrap();
    assert!(made.expires_at.unwrap() < made.created_at);
    assert!(client.bucket(&made.id).get_opt().await.unwrap().is_none());
}

#[test]
fn base_urls_and_settings() {
    let bad_urls = [
        "",
        " ",
        "example.com",
        "//example.com",
        "ftp://example.com",
        "file:///etc/passwd",
        "ws://example.com",
        "http://",
        "https://",
        "http://exa mple.com",
        "http://example.com:99999",
        "http://u:p@example.com",
        "http://example.com?x=1",
        "http://example.com#x",
        "mailto:x@y",
    ];
    let refused = |argument: &str, given: &str, outcome: Result<Client, Error>| {
        let error = outcome.expect_err(given);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{given:?}");
        assert!(error.message().starts_with(&format!("invalid {argument}: ")), "{given:?}: {error}");
    };
    for bad in bad_urls {
        refused("url", bad, Client::anonymous(bad));
        refused("url", bad, Client::new(bad, "cf4_key"));
    }
    for bad in ["", " ", "a b", "a\nb", "a\0b", "schlüssel", "cf4_key\r\n"] {
        refused("token", bad, Client::new("http://h", bad));
    }
    for (name, value) in [
        ("", "x"),
        ("a b", "x"),
        ("a:", "x"),
        ("x", "a\nb"),
        ("x", "a\0b"),
        ("content-length", "5"),
        ("Transfer-Encoding", "x"),
    ] {
        refused("default_header", name, Client::builder("http://h").default_header(name, value).build());
    }
    let admin_and =
        |name: &str, value: &str| Client::builder("http://h").token("key").default_header(name, value).build();
    refused("default_header", "authorization", admin_and("Authorization", "Basic dTpw"));
    refused("user_agent", "a\nb", Client::builder("http://h").user_agent("a\nb").build());
}

#[tokio::test]
async fn headers_and_raw_requests() {
    let quiet = Quiet::new().await;
    for (name, value) in [("", "x"), ("a b", "x"), ("x", "a\nb"), ("connection", "close"), ("Content-Length", "0")] {
        quiet.refused("header", name, quiet.client.health().header(name, value).await);
        quiet.refused(
            "header",
            name,
            quiet.client.bucket("b").file("f").upload("x".as_bytes()).header(name, value).await,
        );
        quiet.refused("header", name, quiet.client.bucket("b").file("f").download().header(name, value).await);
        quiet.refused("header", name, first(quiet.client.buckets().list_all().header(name, value)).await);
    }
    // A call that says who it is for is not made as somebody else.
    for call in [quiet.client.health(), quiet.client.health().retry(support::quick())] {
        let error = call.header("Authorization", "Bearer cf4_another").await.unwrap_err();
        assert!(error.hint().is_some_and(|hint| hint.contains("token_provider")), "{error}");
        quiet.refused("header", "authorization", Err::<(), _>(error));
    }
    let guest = builder(quiet.server.url()).token("cfu_0123456789abcdef").build().unwrap();
    let upload = guest.bucket("b").file("f").upload("x".as_bytes()).header("authorization", "Bearer cf4_another");
    quiet.refused("header", "authorization", upload.await);
    for bad in ["", "api", "http://other.example/", "/a b", "/ä", "/a?b=c", "/a#b", "/a\\b", "/a\nb"] {
        quiet.refused("path", bad, quiet.client.request(Method::GET, bad).await);
    }
    let unwritable = std::collections::HashMap::from([((1, 2), 3)]);
    quiet.refused("body", "a map of pairs", quiet.client.request(Method::POST, "/x").json(&unwritable).await);
}

#[tokio::test]
async fn ranges_and_hashes() {
    let quiet = Quiet::new().await;
    let file = quiet.client.bucket("b").file("f");
    #[expect(clippy::reversed_empty_ranges, reason = "what a caller may compute")]
    for (given, range) in [("0..0", 0..0), ("5..5", 5..5), ("7..5", 7..5)] {
        quiet.refused("range", given, file.download().range(range).await);
    }
    quiet.refused("range", "last 0", file.download().last(0).await);
    quiet.refused("etag", "a\nb", file.download().if_match("a\nb").await);
    quiet.refused("etag", "a\nb", file.download().if_none_match("a\nb").await);
    quiet.refused("etag", "a\nb", file.download_to("x").if_none_match("a\nb").await);
    for bad in ["", "abc", "zz"] {
        quiet.refused("expect_sha256", bad, file.upload("x".as_bytes()).expect_sha256(bad).await);
        quiet.refused("expect_sha256", bad, file.download().expect_sha256(bad).await);
        quiet.refused("expect_sha256", bad, file.download_to("x").expect_sha256(bad).await);
        let several = quiet.client.bucket("b").files().upload_multipart();
        quiet.refused("expect_sha256", bad, several.file_with_sha256("f", "x".as_bytes(), bad).await);
    }
    let files = quiet.client.bucket("b").files();
    quiet.refused("files", "none", files.upload_multipart().await);
    let twice = files.upload_multipart().file("a", "x".as_bytes()).file("a", "y".as_bytes());
    quiet.refused("files", "twice", twice.await);
}

/// What a source that can't be read gets, by every way it can be given.
async fn refused_source(quiet: &Quiet, argument: &str, path: &Path) {
    let file = quiet.client.bucket("b").file("f");
    let given = path.display().to_string();
    let check = |outcome: Result<(), Error>| {
        let shown = outcome.as_ref().err().map(ToString::to_string);
        quiet.refused(argument, &given, outcome);
        assert!(shown.unwrap().contains(&given), "it says which file");
    };
    check(quiet.client.bucket("b").files().upload(path).await.map(drop));
    check(file.upload(path).await.map(drop));
    check(file.append(path).await.map(drop));
    check(file.patch(0, path).await.map(drop));
    check(quiet.client.bucket("b").files().upload_multipart().file("f", path).await.map(drop));
}

#[tokio::test]
async fn sources_that_cannot_be_read() {
    let quiet = Quiet::new().await;
    let directory = tempfile::tempdir().unwrap();
    for path in
        [PathBuf::from(directory.path()), directory.path().join("missing"), directory.path().join("missing/file")]
    {
        refused_source(&quiet, "source", &path).await;
    }
}

async fn in_the_servers_words<T: std::fmt::Debug>(call: impl Future<Output = Result<T, Error>>, words: &str) {
    let error = within(call).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::InvalidInput, words));
    assert_eq!((error.status().unwrap().as_u16(), error.attempts()), (400, 1));
}

#[tokio::test]
async fn what_only_the_server_can_judge_comes_back_in_its_words() {
    let server = server().await;
    let client = admin(&server);
    in_the_servers_words(client.buckets().create("").send(), "Name is required").await;
    in_the_servers_words(client.buckets().create("   ").send(), "Name is required").await;
    in_the_servers_words(client.keys().create(" ").send(), "Name is required").await;
    let long = client.dashboard().create_token().expires("25h");
    in_the_servers_words(long.send(), "Dashboard token expiry cannot exceed 24 hours").await;
}

#[tokio::test]
async fn large_file_pages_are_clamped_as_the_server_does() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    server.clear_requests();
    let files = bucket.files();
    assert_eq!(files.list().limit(1001).await.unwrap().limit, 1000);
    files.list().limit(i32::MAX as u64).await.unwrap();
    files.tree().limit(5000).await.unwrap();
    first(files.list_all().limit(5000)).await.unwrap();
    first(files.list_all().stable().limit(5000)).await.unwrap();
    let requests = support::seen(&server);
    assert_eq!(requests.len(), 5);
    assert!(requests.iter().all(|request| request.contains("limit=1000")), "{requests:?}");
}

#[tokio::test]
async fn a_guest_is_refused_what_it_cannot_do_without_asking() {
    let server = server().await;
    let guest = builder(server.url()).token("cfu_x").build().unwrap();
    for error in [
        guest.buckets().create("b").await.unwrap_err(),
        guest.buckets().list().await.unwrap_err(),
        guest.bucket("b").delete().await.unwrap_err(),
        guest.bucket("b").file("f").delete().await.unwrap_err(),
        guest.stats().await.unwrap_err(),
        guest.keys().list().await.unwrap_err(),
    ] {
        assert!(error.kind() == ErrorKind::PermissionDenied && error.is_denied(), "{error:?}");
        assert!(error.message().contains("upload token") && error.hint().is_some(), "{error}");
    }
    assert_eq!(server.requests(), []);
}

#[tokio::test]
async fn a_reader_of_another_size_than_said() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    for said in [0, 4, 6] {
        let source = Source::reader(&b"hello"[..]).size(said);
        let error = within(bucket.file("f").upload(source).send()).await.unwrap_err();
        assert!(error.is_invalid_input() && error.message().starts_with("invalid size: "), "{said}: {error:?}");
        assert!(bucket.file("f").get_opt().await.unwrap().is_none(), "nothing is visible");
    }
}

#[tokio::test]
async fn of_nothing_nothing_comes() {
    let server = support::server().await;
    let client = support::admin(&server);
    let file = client.bucket("b").file("a");
    server.clear_requests();
    let target = std::env::temp_dir().join("carbonfiles-nothing");
    let nothing = carbonfiles::RetryPolicy::default().max_attempts(0);
    let errors = [
        file.download().parallel(0).await.err(),
        file.download_to(&target).parallel(0).await.err(),
        client.health().retry(nothing.clone()).await.err(),
        client.bucket("b").files().download_dir(&target).concurrency(0).await.err(),
        support::builder(server.url()).retry(nothing).build().err(),
    ];
    for (at, error) in errors.into_iter().enumerate() {
        assert!(error.expect("it is refused").is_invalid_input(), "{at}");
    }
    let named = |build: carbonfiles::ClientBuilder| build.build().unwrap_err().to_string();
    assert!(named(support::builder(server.url()).max_transfers(0)).contains("max_transfers"));
    assert!(named(support::builder(server.url()).max_buffered_bytes(0)).contains("max_buffered_bytes"));
    assert!(named(support::builder(server.url()).default_header("a b", "c")).contains("default_header"));
    #[cfg(feature = "events")]
    {
        let never = carbonfiles::events::EventSettings::default().max_attempts(0);
        assert!(named(support::builder(server.url()).events(never)).contains("max_attempts"));
    }
    assert!(server.requests().is_empty());
}

/// Such as the name and password that a proxy before the server asks for.
#[tokio::test]
async fn a_client_without_a_credential_may_be_told_one_by_a_header() {
    let server = server().await;
    let guest = builder(server.url()).default_header("authorization", "Basic dTpw").build().unwrap();
    guest.health().await.unwrap();
    let named = format!("Bearer {}", server.admin_key());
    guest.stats().header("Authorization", &named).await.unwrap();
    let seen: Vec<_> = server.requests().iter().map(|r| r.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(seen, ["Basic dTpw", &named]);
    // A token of the call's own goes alone.
    let bucket = bucket(&admin(&server)).await;
    let token = bucket.upload_tokens().create().await.unwrap().token;
    guest.bucket(bucket.id()).file("x").upload("x".as_bytes()).upload_token(&token).await.unwrap();
    assert_eq!(server.requests().last().unwrap().header("authorization"), None);
    // What it is good for is asked about like a token.
    assert_eq!(guest.check().header("authorization", &named).await.unwrap(), Access::Admin);
    assert_eq!(guest.check().await.unwrap(), Access::Rejected);
    server.clear_requests();
    assert_eq!(builder(server.url()).build().unwrap().check().await.unwrap(), Access::Anonymous);
    assert!(server.requests().is_empty());
}

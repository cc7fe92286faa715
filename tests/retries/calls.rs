//! The calls of the root API, and what each of them does when it meets trouble.

use std::sync::Arc;
#[cfg(feature = "events")]
use std::time::Duration;

use carbonfiles::models::NewUploadToken;
use carbonfiles::{Bucket, Client, ErrorKind, Expiry, File};
use carbonfiles_testserver::{Fault, TestServer};
use chrono::Datelike;
use futures::{TryFutureExt, TryStreamExt};

use crate::support::{admin, bucket, builder, local, server, within};
use crate::table::{self, Kind, Names, Sent, Trouble, kind, meet_all};

#[derive(Clone)]
struct Place {
    server: Arc<TestServer>,
    client: Client,
    bucket: Bucket,
    /// Holds `one\n`.
    file: File,
    /// For two files of `bucket`.
    token: NewUploadToken,
    /// Of a key, and of the short URL of `file`.
    prefix: String,
    code: String,
    /// For looking at the server afterwards.
    admin: Client,
}

impl Place {
    /// The size of a file, as another client sees it.
    async fn size(&self, path: &str) -> u64 {
        let info = self.admin.bucket(self.bucket.id()).file(path).get_opt().await.unwrap();
        info.map_or(0, |info| info.size)
    }
}

impl table::Place for Place {
    async fn start(dead_at_first: bool) -> Self {
        let server = Arc::new(server().await);
        let admin = admin(&server);
        let bucket = bucket(&admin).await;
        let done = bucket.file("old.txt").upload("one\n".as_bytes()).await.unwrap();
        let token = bucket.upload_tokens().create().max_uploads(2).await.unwrap();
        let prefix = admin.keys().create("old").await.unwrap().prefix;
        let client = builder(&format!("http://files.test:{}", server.address().port()))
            .token(server.admin_key())
            .http(move |http| local(http).dns_resolver(Names::new(dead_at_first)));
        #[cfg(feature = "events")]
        let client = client
            .events(carbonfiles::events::EventSettings::default().base_delay(Duration::from_millis(1)).negotiate(true));
        let client = client.build().unwrap();
        let bucket = client.bucket(bucket.id());
        let file = bucket.file("old.txt");
        server.clear_requests();
        Self { server, client, bucket, file, token, prefix, code: done.short_code.clone().unwrap(), admin }
    }

    fn strike(&self, kind: &Kind<Self>, trouble: Trouble) -> Box<dyn Fn() -> u64 + Send> {
        let struck = self.server.inject(trouble.fault().unwrap().on(kind.method, kind.target));
        Box::new(move || struck.fired())
    }

    fn sent(&self) -> Vec<Sent> {
        self.server.requests().into_iter().map(Sent::from).collect()
    }
}

fn new_content() -> Vec<u8> {
    vec![b'n'; 100_000]
}

fn is_new(size: u64) -> u64 {
    u64::from(size == 100_000)
}

fn kinds() -> Vec<Kind<Place>> {
    vec![
        kind!("health", Safe, "GET" "/healthz", (false, true), |p| p.client.health().send()),
        kind!("stats", Safe, "GET" "/api/stats", (false, true), |p| p.client.stats().send()),
        kind!("list of buckets", Safe, "GET" "/api/buckets", (false, true), |p| p.client.buckets().list().send()),
        kind!("bucket", Safe, "GET" "/api/buckets/", (false, true), |p| p.bucket.get().send()),
        kind!("summary", Safe, "GET" "/summary", (false, true), |p| p.bucket.summary().send()),
        kind!("list of files", Safe, "GET" "/files", (false, true), |p| p.bucket.files().list().send()),
        kind!("tree", Safe, "GET" "/files", (false, true), |p| p.bucket.files().tree().send()),
        kind!("directory", Safe, "GET" "/ls", (false, true), |p| p.bucket.files().directory("").send()),
        kind!("metadata", Safe, "GET" "/files/old.txt", (false, true), |p| p.file.get().send()),
        kind!("head", Safe, "HEAD" "/content", (false, false), |p| p.file.head().send()),
        kind!("verify", Safe, "GET" "/verify", (false, true), |p| p.file.verify().send()),
        kind!("download", Safe, "GET" "/content", (false, true), |p| p
            .file
            .download()
            .send()
            .and_then(|download| download.bytes(100))),
        kind!("download into a file", Safe, "GET" "/content", (false, true), |p| async move {
            let folder = tempfile::tempdir().unwrap();
            p.file.download_to(folder.path().join("copy")).await
        }),
        // Its answer has a body, but neither a length nor an ETag that half of it could be gone on with by.
        kind!("archive", SafeBut500, "GET" "/zip", (false, false), |p| p
            .bucket
            .zip()
            .send()
            .and_then(|archive| archive.bytes(10_000))),
        kind!("head of an archive", SafeBut500, "HEAD" "/zip", (false, false), |p| p.bucket.head_zip().send()),
        kind!("stable listing", Safe, "GET" "/files", (false, true), |p| p
            .bucket
            .files()
            .list_all()
            .stable()
            .items()
            .try_collect::<Vec<_>>()),
        kind!("what a credential is good for", Safe, "GET" "/api/keys", (false, true), |p| p.client.check().send()),
        kind!("short URL", Safe, "GET" "/s/", (false, false), |p| p.client.short_url(&p.code).resolve().send()),
        kind!("list of keys", Safe, "GET" "/api/keys", (false, true), |p| p.client.keys().list().send()),
        kind!("usage of a key", Safe, "GET" "/usage", (false, true), |p| p.client.key(&p.prefix).usage().send()),
        kind!(
            "creation of a bucket",
            Once,
            "POST" "/api/buckets",
            (true, true),
            |p| p.client.buckets().create("new").send(),
            p.admin.buckets().list().await.unwrap().items.iter().filter(|b| b.name == "new").count() as u64
        ),
        kind!(
            "update",
            Safe,
            "PATCH" "/api/buckets",
            (true, true),
            |p| p.bucket.update().description("new").send(),
            u64::from(p.admin.bucket(p.bucket.id()).get().await.unwrap().description.as_deref() == Some("new"))
        ),
        kind!(
            "update with an expiry from now on",
            Once,
            "PATCH" "/api/buckets",
            (true, true),
            |p| p.bucket.update().description("new").expires("30d").send(),
            u64::from(p.admin.bucket(p.bucket.id()).get().await.unwrap().description.as_deref() == Some("new"))
        ),
        kind!(
            "update with an expiry at a time",
            Safe,
            "PATCH" "/api/buckets",
            (true, true),
            |p| p.bucket.update().description("new").expires("2100-01-01T00:00:00Z").send(),
            u64::from(p.admin.bucket(p.bucket.id()).get().await.unwrap().expires_at.unwrap().year() == 2100)
        ),
        kind!(
            "update without an expiry",
            Safe,
            "PATCH" "/api/buckets",
            (true, true),
            |p| p.bucket.update().expires(Expiry::never()).send(),
            u64::from(p.admin.bucket(p.bucket.id()).get().await.unwrap().expires_at.is_none())
        ),
        kind!(
            "deletion of a bucket",
            Deletion,
            "DELETE" "/api/buckets",
            (false, false),
            |p| p.bucket.delete().send(),
            u64::from(p.admin.bucket(p.bucket.id()).get_opt().await.unwrap().is_none())
        ),
        kind!(
            "deletion of a file",
            Deletion,
            "DELETE" "/files/old.txt",
            (false, false),
            |p| p.file.delete().send(),
            u64::from(p.size("old.txt").await == 0)
        ),
        kind!(
            "deletion of a short URL",
            Deletion,
            "DELETE" "/api/short",
            (false, false),
            |p| p.client.short_url(&p.code).delete().send(),
            u64::from(p.admin.short_url(&p.code).resolve().await.is_err())
        ),
        kind!(
            "revocation of a key",
            Deletion,
            "DELETE" "/api/keys",
            (false, false),
            |p| p.client.key(&p.prefix).revoke().send(),
            u64::from(p.admin.key(&p.prefix).usage().await.is_err())
        ),
        kind!(
            "creation of a key",
            Once,
            "POST" "/api/keys",
            (true, true),
            |p| p.client.keys().create("new").send(),
            p.admin.keys().list().await.unwrap().items.iter().filter(|key| key.name == "new").count() as u64
        ),
        kind!("creation of an upload token", Once, "POST" "/tokens", (true, true), |p| p
            .bucket
            .upload_tokens()
            .create()
            .send()),
        kind!("creation of a dashboard token", Once, "POST" "/tokens/dashboard", (true, true), |p| p
            .client
            .dashboard()
            .create_token()
            .send()),
        kind!(
            "upload",
            Safe,
            "PUT" "/upload/stream",
            (true, true),
            |p| p.bucket.file("new.txt").upload(new_content()).send(),
            is_new(p.size("new.txt").await)
        ),
        kind!(
            "overwriting upload",
            Safe,
            "PUT" "/upload/stream",
            (true, true),
            |p| p.file.upload(new_content()).send(),
            is_new(p.size("old.txt").await)
        ),
        kind!(
            "upload of a name that needs multipart",
            Safe,
            "POST" "/upload",
            (true, true),
            |p| p.bucket.file("neü.txt").upload(new_content()).send(),
            is_new(p.size("neü.txt").await)
        ),
        kind!(
            "upload of several files",
            Safe,
            "POST" "/upload",
            (true, true),
            |p| p.bucket.files().upload_multipart().file("a", new_content()).file("b", "b".as_bytes()).send(),
            is_new(p.size("a").await)
        ),
        kind!(
            "one of many uploads",
            Safe,
            "PUT" "new.txt",
            (true, true),
            |p| async move {
                let files = [("new.txt", new_content()), ("other.txt", b"other".to_vec())];
                p.bucket.files().upload_many(files).await?.into_result()
            },
            is_new(p.size("new.txt").await)
        ),
        kind!(
            "one of the uploads of a sync",
            Safe,
            "PUT" "new.txt",
            (true, true),
            |p| async move {
                let folder = tempfile::tempdir().unwrap();
                std::fs::write(folder.path().join("new.txt"), new_content()).unwrap();
                std::fs::write(folder.path().join("other.txt"), "other").unwrap();
                p.bucket.files().sync_up(folder.path()).await?.into_result()
            },
            is_new(p.size("new.txt").await)
        ),
        kind!(
            "upload with a token",
            Counted,
            "PUT" "/upload/stream",
            (true, true),
            |p| p.bucket.file("new.txt").upload(new_content()).upload_token(&p.token.token).send(),
            is_new(p.size("new.txt").await)
        ),
        kind!(
            "append",
            Once,
            "PATCH" "/content",
            (true, true),
            |p| p.file.append("two\n".as_bytes()).send(),
            (p.size("old.txt").await - 4) / 4
        ),
        kind!(
            "append with a token",
            Once,
            "PATCH" "/content",
            (true, true),
            |p| p.file.append("two\n".as_bytes()).upload_token(&p.token.token).send(),
            (p.size("old.txt").await - 4) / 4
        ),
        kind!(
            "patch",
            Safe,
            "PATCH" "/content",
            (true, true),
            |p| p.file.patch(4, "two\n".as_bytes()).send(),
            u64::from(p.size("old.txt").await == 8)
        ),
        kind!("raw GET", Safe, "GET" "/api/stats", (false, true), |p| p
            .client
            .request(http::Method::GET, "/api/stats")
            .send()),
        kind!("raw POST", Once, "POST" "/api/keys", (true, true), |p| p
            .client
            .request(http::Method::POST, "/api/keys")
            .json(&serde_json::json!({"name": "new"}))
            .send()),
        kind!("raw PATCH that is called idempotent", Safe, "PATCH" "/api/buckets", (true, true), |p| p
            .client
            .request(http::Method::PATCH, format!("/api/buckets/{}", p.bucket.id()))
            .idempotent()
            .json(&serde_json::json!({"name": "new"}))
            .send()),
    ]
}

/// A connection for events is asked for until it is there.
#[cfg(feature = "events")]
fn kinds_of_events() -> Vec<Kind<Place>> {
    vec![
        kind!("connection for events", Safe, "GET" "/hub/files", (false, false), |p| p.bucket.events().send()),
        kind!("negotiation of one", Safe, "POST" "/negotiate", (false, true), |p| p.bucket.events().send()),
    ]
}

#[cfg(feature = "events")]
#[tokio::test]
async fn connections_for_events_meet_every_fault() {
    let met = meet_all(kinds_of_events()).await;
    assert!(met > 15, "{met}");
}

#[tokio::test]
async fn every_call_meets_every_fault() {
    let met = meet_all(kinds()).await;
    assert!(met > 350, "{met}");
}

#[tokio::test]
async fn uses_of_a_token_are_counted_once_whatever_happened() {
    let troubles = [Fault::reset(), Fault::reset_request_after(1), Fault::lose_reply(), Fault::status(500)];
    for trouble in troubles {
        let place = <Place as table::Place>::start(false).await;
        place.server.inject(trouble.clone().on("PUT", "/upload/stream"));
        let upload = |name: &str| {
            let content = name.as_bytes().to_vec();
            within(place.bucket.file(name).upload(content).upload_token(&place.token.token).send())
        };
        upload("first").await.unwrap();
        upload("second").await.unwrap();
        let error = upload("third").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{trouble:?}");
    }
}

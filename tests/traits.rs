//! What the compiler can promise: calls that can be spawned, handles that can be kept anywhere, nothing that grows.

mod support;

use std::sync::Arc;

use carbonfiles::buckets::{
    CreateBucket, DeleteBucket, DownloadZip, DownloadZipTo, GetBucket, GetBucketOpt, GetSummary, HeadZip,
    ListAllBuckets, ListBuckets, UpdateBucket,
};
use carbonfiles::files::{
    Append, AppendAt, Batch, BatchProgress, BatchStream, DeleteFile, DeleteMany, DownloadDir, DownloadFile,
    DownloadFileTo, DownloadMany, GetFile, GetFileOpt, HeadFile, ListAllFiles, ListDirectory, ListFiles, ListStable,
    ListTree, ListTreeEntries, LogWriter, OpenLog, Patch, Skipped, TreeEntry, Upload, UploadDir, UploadItem,
    UploadMany, UploadMultipart, UploadWriter, VerifyFile,
};
use carbonfiles::keys::{CreateKey, GetKeyUsage, ListAllKeys, ListKeys, RevokeKey};
use carbonfiles::models::{
    BucketDetails, BucketInfo, BucketSort, DashboardUser, DirectoryInfo, DirectoryListing, Extra, FileInfo, FileSort,
    Health, HealthStatus, KeyInfo, KeySort, KeyUsage, NewDashboardToken, NewKey, NewUploadToken, Order, OwnerStats,
    Secret, Stats, TreePage, UploadedFile, Verification,
};
use carbonfiles::sync::{Reported, SyncAction, SyncDown, SyncOutcome, SyncPlan, SyncStream, SyncTotals, SyncUp};
use carbonfiles::{
    Access, Bucket, Buckets, Call, Canceller, Check, Client, ClientBuilder, ContentInfo, CreateDashboardToken,
    CreateUploadToken, Dashboard, DeleteShortUrl, Download, DownloadReader, DownloadStream, Downloaded, Error,
    ErrorKind, Expiry, FieldError, File, FilePath, Files, GetDashboardUser, GetHealth, GetStats, Items, Key, Keys,
    Page, Phase, Progress, ProgressWatch, RawRequest, ResolveShortUrl, RetryPolicy, ShortUrl, ShortUrlTarget,
    ShortUrls, Source, TimeoutPhase, Timeouts, Token, Transfer, UploadTokens,
};
use futures::stream::FusedStream;
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use tokio::io::{AsyncRead, AsyncWrite};

const fn handle<T: Clone + Debug + Send + Sync + Unpin + 'static>() {}
const fn model<T: Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + Unpin + 'static>() {}
/// What can be shown as JSON, and does not come from there.
const fn told<T: Clone + Debug + PartialEq + Serialize + Send + Sync + Unpin + 'static>() {}
const fn value<T: Clone + Debug + PartialEq + Send + Sync + Unpin + 'static>() {}
const fn builder<T: IntoFuture<IntoFuture: Send + 'static> + Debug + Send + Sync + Unpin + 'static>() {}
/// One that may own a reader, a stream or a callback, which need not be `Sync`.
const fn transfer<T: IntoFuture<IntoFuture: Send + 'static> + Debug + Send + Unpin + 'static>() {}
const fn stream<T: FusedStream + Debug + Send + Unpin + 'static>() {}
const fn send<T: Debug + Send + Unpin + 'static>() {}

const _: () = {
    handle::<Client>();
    handle::<Buckets>();
    handle::<Bucket>();
    handle::<Files>();
    handle::<File>();
    handle::<Keys>();
    handle::<Key>();
    handle::<UploadTokens>();
    handle::<Dashboard>();
    handle::<ShortUrls>();
    handle::<ShortUrl>();

    builder::<CreateBucket>();
    builder::<DeleteBucket>();
    builder::<GetBucket>();
    builder::<GetBucketOpt>();
    builder::<GetSummary>();
    builder::<HeadZip>();
    builder::<ListBuckets>();
    builder::<UpdateBucket>();
    builder::<DeleteFile>();
    builder::<GetFile>();
    builder::<GetFileOpt>();
    builder::<HeadFile>();
    builder::<ListDirectory>();
    builder::<ListFiles>();
    builder::<ListTree>();
    builder::<VerifyFile>();
    builder::<CreateKey>();
    builder::<GetKeyUsage>();
    builder::<ListKeys>();
    builder::<RevokeKey>();
    builder::<Check>();
    builder::<CreateDashboardToken>();
    builder::<GetDashboardUser>();
    builder::<GetHealth>();
    builder::<GetStats>();
    builder::<CreateUploadToken>();
    builder::<ResolveShortUrl>();
    builder::<DeleteShortUrl>();
    builder::<RawRequest>();
    transfer::<Upload<'static>>();
    transfer::<UploadMany<'static>>();
    transfer::<UploadDir<'static>>();
    transfer::<DownloadDir<'static>>();
    transfer::<DownloadMany<'static>>();
    transfer::<DeleteMany<'static>>();
    stream::<SyncStream<'static, UploadedFile>>();
    transfer::<SyncUp<'static>>();
    transfer::<SyncDown<'static>>();
    model::<SyncPlan>();
    model::<SyncAction>();
    stream::<BatchStream<'static, UploadedFile>>();
    value::<BatchProgress>();
    transfer::<UploadMultipart<'static>>();
    transfer::<Append<'static>>();
    transfer::<AppendAt<'static>>();
    builder::<OpenLog>();
    send::<LogWriter>();
    send::<Transfer<FileInfo>>();
    send::<Canceller>();
    send::<ProgressWatch>();
    stream::<ProgressWatch>();
    send::<Transfer<Batch<UploadedFile>, BatchProgress>>();
    send::<Transfer<SyncOutcome<Downloaded>, BatchProgress>>();
    stream::<ProgressWatch<BatchProgress>>();
    send::<Batch<UploadedFile>>();
    send::<SyncOutcome<UploadedFile>>();
    transfer::<DownloadZipTo<'static>>();
    transfer::<Patch<'static>>();
    transfer::<DownloadFile<'static>>();
    transfer::<DownloadFile<'static, Option<Download<'static>>>>();
    transfer::<DownloadFileTo<'static>>();
    transfer::<DownloadFileTo<'static, Option<Downloaded>>>();
    transfer::<DownloadZip<'static>>();

    stream::<ListAllBuckets>();
    stream::<ListAllFiles>();
    stream::<ListAllKeys>();
    stream::<ListStable>();
    stream::<ListTreeEntries>();
    stream::<Items<FileInfo>>();
    stream::<DownloadStream<'static>>();

    send::<Call<'static, FileInfo>>();
    send::<Download<'static>>();
    send::<DownloadReader<'static>>();
    send::<Source<'static>>();
    send::<UploadWriter>();
    send::<ClientBuilder>();

    model::<BucketInfo>();
    model::<BucketDetails>();
    model::<DashboardUser>();
    model::<DirectoryInfo>();
    model::<DirectoryListing>();
    model::<Extra>();
    model::<FileInfo>();
    model::<Health>();
    model::<HealthStatus>();
    model::<KeyInfo>();
    model::<KeyUsage>();
    model::<NewDashboardToken>();
    model::<NewKey>();
    model::<NewUploadToken>();
    model::<OwnerStats>();
    model::<Secret>();
    model::<Stats>();
    model::<TreePage>();
    model::<UploadedFile>();
    model::<Verification>();
    model::<Page<FileInfo>>();
    model::<FilePath>();

    value::<Access>();
    value::<BucketSort>();
    value::<FileSort>();
    value::<KeySort>();
    value::<Order>();
    value::<ContentInfo>();
    told::<Downloaded>();
    value::<ErrorKind>();
    value::<TimeoutPhase>();
    value::<Expiry>();
    value::<Phase>();
    value::<Progress>();
    value::<RetryPolicy>();
    told::<FieldError>();
    told::<Reported>();
    told::<ShortUrlTarget>();
    told::<Skipped>();
    told::<SyncTotals>();
    value::<Timeouts>();
    value::<Token>();
    told::<TreeEntry>();
    #[cfg(feature = "zip")]
    told::<carbonfiles::buckets::Unpacked>();

    #[cfg(feature = "events")]
    {
        use carbonfiles::events::{
            BucketChanges, ConnectionState, Event, EventGuard, EventKind, EventSettings, EventStream, Events, Mirror,
            MirrorChanges, Overflow, StartMirror, StateWatch, Subscribe, WatchBuckets, WatchEvent, WatchFiles,
        };
        handle::<Events>();
        handle::<Mirror>();
        builder::<Subscribe>();
        transfer::<StartMirror>();
        stream::<EventStream>();
        stream::<MirrorChanges>();
        stream::<StateWatch>();
        stream::<WatchBuckets>();
        stream::<WatchFiles>();
        model::<BucketChanges>();
        model::<Event>();
        model::<EventKind>();
        model::<WatchEvent<BucketInfo>>();
        model::<WatchEvent<FileInfo>>();
        value::<ConnectionState>();
        value::<EventSettings>();
        value::<Overflow>();
        send::<EventGuard>();
        send::<Call<'static, EventGuard>>();
    }

    // Whatever can be had from a handle, its client can.
    const fn client<T, C>(_: fn(&T) -> &C) {}
    client::<_, Client>(Buckets::client);
    client::<_, Client>(Bucket::client);
    client::<_, Client>(Files::client);
    client::<_, Client>(File::client);
    client::<_, Client>(Keys::client);
    client::<_, Client>(Key::client);
    client::<_, Client>(UploadTokens::client);
    client::<_, Client>(Dashboard::client);
    client::<_, Client>(ShortUrls::client);
    client::<_, Client>(ShortUrl::client);
    #[cfg(feature = "events")]
    client::<_, Client>(carbonfiles::Events::client);
    #[cfg(feature = "tenantbox")]
    {
        use carbonfiles::tenantbox::{Client, DownloadUrl, File, Files, Tenant, Tenants, Uploaded, UsageOf};
        client::<_, Client>(Tenants::client);
        client::<_, Client>(Tenant::client);
        client::<_, Client>(Files::client);
        client::<_, Client>(File::client);
        stream::<UsageOf>();
        model::<DownloadUrl>();
        model::<Uploaded>();
    }
    #[cfg(feature = "file-storage")]
    {
        use carbonfiles::file_storage::files::{File, Files, PublicFile, StoredEvent, WatchStored};
        use carbonfiles::file_storage::uploads::{Checked, CompletedUpload, ResumableUpload, Uploads};
        use carbonfiles::file_storage::{Client, models};
        client::<_, Client>(Files::client);
        client::<_, Client>(File::client);
        client::<_, Client>(PublicFile::client);
        client::<_, Client>(Uploads::client);
        client::<_, Client>(ResumableUpload::client);
        stream::<WatchStored>();
        model::<StoredEvent>();
        told::<Checked>();
        told::<CompletedUpload>();
        model::<models::BulkDeleted>();
        model::<models::DownloadUrl>();
        model::<models::UploadSession>();
        model::<models::PartUrls>();
    }

    const fn error<T: std::error::Error + Send + Sync + Unpin + 'static>() {}
    error::<Error>();
    const fn reads<T: AsyncRead>() {}
    reads::<DownloadReader<'static>>();
    const fn writes<T: AsyncWrite>() {}
    writes::<UploadWriter>();
};

/// A result should cost as little as what it holds.
#[test]
fn errors_and_handles_are_small() {
    let word = size_of::<usize>();
    assert_eq!(size_of::<Error>(), word);
    assert_eq!(size_of::<carbonfiles::Result<()>>(), word);
    // Pointers to what is shared, not copies of it.
    assert!(size_of::<Client>() <= 4 * word && size_of::<Bucket>() <= 6 * word && size_of::<File>() <= 8 * word);
    assert_eq!(size_of::<Call<'static, FileInfo>>(), 2 * word);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_can_be_spawned() {
    let server = support::server().await;
    let client = support::admin(&server);
    let bucket = support::bucket(&client).await;
    let file = bucket.file("a.txt");
    tokio::spawn(file.upload("hello".as_bytes()).progress(|_| {}).send()).await.unwrap().unwrap();
    tokio::spawn(file.append(tokio::io::empty().pipe()).send()).await.unwrap().unwrap();
    let got = tokio::spawn(file.get().into_future()).await.unwrap().unwrap();
    assert_eq!(got.size, 5);
    let (items, bytes) = tokio::join!(
        tokio::spawn(bucket.files().list_all().items().try_collect::<Vec<_>>()),
        tokio::spawn(async move { file.download().await?.bytes(10).await }),
    );
    assert_eq!((items.unwrap().unwrap().len(), bytes.unwrap().unwrap()), (1, "hello".into()));
    let mut set = tokio::task::JoinSet::new();
    for n in 0..64 {
        let client = client.clone();
        set.spawn(async move { client.buckets().create(format!("b{n}")).send().await });
    }
    assert!(set.join_all().await.iter().all(Result::is_ok));
}

trait Pipe: AsyncRead + Send + Unpin + Sized + 'static {
    fn pipe(self) -> Source<'static> {
        Source::reader(self)
    }
}

impl<R: AsyncRead + Send + Unpin + 'static> Pipe for R {}

#[tokio::test]
async fn sources_and_callbacks_may_borrow() {
    let server = support::server().await;
    let bucket = support::bucket(&support::admin(&server)).await;
    let mut reader = std::io::Cursor::new(b"borrowed".to_vec());
    let mut last = 0;
    let upload = bucket.file("a.txt").upload(Source::reader(&mut reader)).progress(|progress| last = progress.sent);
    upload.await.unwrap();
    assert_eq!((last, reader.position()), (8, 8));
}

/// Clones share one pool, and nothing of a call is left when it is done or dropped.
#[tokio::test]
async fn nothing_piles_up() {
    let server = support::server().await;
    let client = support::admin(&server);
    let bucket = support::bucket(&client).await;
    bucket.file("a.txt").upload("x".as_bytes()).await.unwrap();
    let before = server.connections();
    for _ in 0..200 {
        let client = client.clone();
        let file = client.buckets()[bucket.id()].files()["a.txt"].clone();
        file.get().await.unwrap();
    }
    assert!(server.connections() <= before + 1, "{} connections", server.connections());

    // A call that is not polled, or dropped half way, is not there.
    server.clear_requests();
    drop(client.buckets().create("never").send());
    assert_eq!(server.requests(), []);
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    drop(bucket.files().list_all().limit(1).next().await);
    let few = tasks();
    for _ in 0..50 {
        bucket.files().list_all().limit(1).next().await.unwrap().unwrap();
        bucket.file("a.txt").download().await.unwrap();
    }
    // Connections of downloads that were not read end with them, soon.
    support::until(|| tasks() <= few + 5).await;

    // A collection lends each handle once, however often it is asked for.
    let buckets = client.buckets();
    let first: *const Bucket = &buckets["one"];
    assert!((0..1000).all(|_| std::ptr::eq(first, &buckets["one"])));
    assert!(!std::ptr::eq(first, &buckets.clone()["one"]));
    // Handles of one client, from many threads.
    let shared = Arc::new(buckets);
    let threads: Vec<_> = (0..8)
        .map(|n| {
            let shared = shared.clone();
            std::thread::spawn(move || {
                (0..1000).all(|i| shared[&format!("{}", (i + n) % 50)].id() == format!("{}", (i + n) % 50))
            })
        })
        .collect();
    assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
}

/// Whichever it is: what has to look first and what has not.
#[tokio::test]
async fn batches_and_syncs_are_streamed_alike() {
    let files = Client::anonymous("http://127.0.0.1:1").unwrap().bucket("b").files();
    let none = tempfile::tempdir().unwrap();
    async fn ends(stream: impl Future<Output = carbonfiles::Result<impl futures::Stream>>) {
        assert_eq!(stream.await.unwrap().count().await, 0);
    }
    ends(files.upload_many([] as [UploadItem<'_>; 0]).stream()).await;
    ends(files.download_many([] as [(&str, &str); 0]).stream()).await;
    ends(files.delete_many([] as [&str; 0]).stream()).await;
    ends(files.upload_dir(none.path()).stream()).await;
}

#[test]
fn what_is_told_has_words() {
    use serde_json::{json, to_value};
    let entry = TreeEntry::Directory("docs/".into());
    assert_eq!(to_value(entry).unwrap(), json!({"type": "directory", "data": "docs/"}));
    #[cfg(feature = "file-storage")]
    {
        use carbonfiles::file_storage::uploads::Checked;
        let all = [Checked::Sha256, Checked::Parts, Checked::Nothing];
        assert_eq!(to_value(all).unwrap(), json!(["sha256", "parts", "nothing"]));
    }
}

#[test]
fn arguments_take_what_is_at_hand() {
    let (local, utc) = (chrono::Local::now(), chrono::Utc::now());
    assert_eq!(Expiry::from(local), Expiry::from(local.to_utc()));
    assert_eq!(Expiry::from(utc), Expiry::from(utc.fixed_offset()));
    let files = Client::anonymous("http://127.0.0.1:1").unwrap().bucket("b").files();
    drop(files.upload_many(["a.jpg", "b.jpg"]));
    let month = chrono::Duration::days(30);
    assert_eq!(Expiry::from(month), Expiry::from(month.to_std().unwrap()));
    let text = "a/b.txt".to_owned();
    #[cfg(feature = "file-storage")]
    drop(carbonfiles::file_storage::Client::builder("http://127.0.0.1:1").login(&text, &text));
    assert_eq!(Expiry::from(&text), Expiry::from(text.as_str()));
    assert_eq!(Secret::from(&text), Secret::from(text.as_str()));
    let path = std::path::PathBuf::from(&text);
    let items: [UploadItem<'_>; 6] = [
        (&path).into(),
        path.as_path().into(),
        path.clone().into(),
        "a/b.txt".into(),
        (&text).into(),
        text.clone().into(),
    ];
    assert!(items.iter().all(|item| format!("{item:?}") == format!("{:?}", items[0])), "{items:?}");
}

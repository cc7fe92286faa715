//! What an operation works with: clients, names of its own, what several operations share, and the cleaning up.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use carbonfiles::models::{BucketInfo, FileInfo, NewKey};
use carbonfiles::{Bucket, Client, ClientBuilder, Token};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::OnceCell;

use crate::content::{self, Large};
use crate::operation::{Trouble, ensure};
use crate::proxy::Proxy;
use crate::secrets;

/// The servers to use.
pub(crate) struct Servers {
    pub(crate) url: String,
    pub(crate) admin_key: String,
    /// The second one, with a small `MaxUploadSize`.
    pub(crate) limited: Option<String>,
}

/// What all operations of a run share.
pub(crate) struct World {
    servers: Servers,
    /// Every bucket and key of this run has a name that begins with it.
    run: String,
    admin: Client,
    directory: tempfile::TempDir,
    names: AtomicU64,
    large: OnceCell<Large>,
    large_bucket: OnceCell<Bucket>,
    library: OnceCell<Library>,
    crowd: OnceCell<Crowd>,
    /// What shared things have made; it goes at the end.
    made: Arc<Mutex<Made>>,
}

/// What is to be deleted.
#[derive(Default)]
struct Made {
    buckets: Vec<Bucket>,
    keys: Vec<String>,
}

/// 2,500 files: 300 at the root, the others in 30 directories. Each has a size of its own.
pub(crate) struct Library {
    pub(crate) bucket: Bucket,
    /// Paths with their sizes, by path.
    pub(crate) files: Vec<(String, u64)>,
}

/// 250 buckets of one key.
pub(crate) struct Crowd {
    pub(crate) client: Client,
    /// By id.
    pub(crate) names: std::collections::BTreeMap<String, String>,
}

/// A key and a client that has it. The key's name is its own, and so are its buckets.
pub(crate) struct Keyed {
    pub(crate) client: Client,
    pub(crate) key: NewKey,
}

impl World {
    pub(crate) fn new(servers: Servers) -> Result<Arc<Self>, Trouble> {
        // A short word could be part of anything.
        if servers.admin_key.len() >= 8 {
            secrets::keep(&servers.admin_key);
        }
        let admin = builder(&servers.url).token(servers.admin_key.as_str()).build()?;
        Ok(Arc::new(Self {
            servers,
            run: format!("cf-conformance-{:08x}", fastrand::u32(..)),
            admin,
            directory: tempfile::tempdir()?,
            names: AtomicU64::new(0),
            large: OnceCell::new(),
            large_bucket: OnceCell::new(),
            library: OnceCell::new(),
            crowd: OnceCell::new(),
            made: Arc::default(),
        }))
    }

    /// Deletes what is left of this run, on the first server: what operations share, and what had no time to go.
    pub(crate) async fn clean_up(&self) {
        clean_up(&self.admin, &self.made).await;
        let buckets = self.admin.buckets().list_all().include_expired(true).items();
        let buckets: Vec<BucketInfo> = buckets.try_collect().await.unwrap_or_default();
        for left in buckets.iter().filter(|bucket| bucket.name.starts_with(&self.run)) {
            let _ = self.admin.bucket(&left.id).delete().await;
        }
        let keys: Vec<_> = self.admin.keys().list_all().items().try_collect().await.unwrap_or_default();
        for left in keys.iter().filter(|key| key.name.starts_with(&self.run)) {
            let _ = self.admin.key(&left.prefix).revoke().await;
        }
    }
}

async fn clean_up(admin: &Client, made: &Mutex<Made>) {
    let Made { buckets, keys } = std::mem::take(&mut *made.lock().unwrap_or_else(PoisonError::into_inner));
    stream::iter(buckets).for_each_concurrent(8, async |bucket| drop(bucket.delete().await)).await;
    for prefix in keys {
        let _ = admin.key(prefix).revoke().await;
    }
}

/// A client of a server, as a user would make it. A proxy that the environment names is not for this machine.
pub(crate) fn builder(url: &str) -> ClientBuilder {
    let builder = Client::builder(url);
    match url.starts_with("http://127.0.0.1") || url.starts_with("http://localhost") {
        true => builder.http(reqwest::ClientBuilder::no_proxy),
        false => builder,
    }
}

/// What one operation works with. What it makes is deleted when it is over, however it ends.
#[derive(Clone)]
pub(crate) struct Bench {
    world: Arc<World>,
    id: &'static str,
    made: Arc<Mutex<Made>>,
}

impl Bench {
    pub(crate) fn new(world: &Arc<World>, id: &'static str) -> Self {
        Self { world: world.clone(), id, made: Arc::default() }
    }

    /// The client with the admin key.
    pub(crate) fn admin(&self) -> &Client {
        &self.world.admin
    }

    pub(crate) fn anonymous(&self) -> Result<Client, Trouble> {
        Ok(builder(&self.world.servers.url).build()?)
    }

    pub(crate) fn with_token(&self, token: impl Into<Token>) -> Result<Client, Trouble> {
        Ok(builder(&self.world.servers.url).token(token).build()?)
    }

    /// The base URL of the server, without a slash at its end.
    pub(crate) fn url(&self) -> &str {
        self.admin().base_url()
    }

    pub(crate) fn admin_key(&self) -> &str {
        &self.world.servers.admin_key
    }

    /// An admin's client of the server that takes 1 MiB at most.
    pub(crate) fn limited(&self) -> Result<Client, Trouble> {
        let reason = "CARBONFILES_LIMITED_URL is not set: a second server with MaxUploadSize 1048576 is needed";
        let url = self.world.servers.limited.as_ref().ok_or_else(|| Trouble::Skipped(reason.to_owned()))?;
        Ok(builder(url).token(self.admin_key()).build()?)
    }

    /// A name that nothing else has.
    pub(crate) fn name(&self, what: &str) -> String {
        let number = self.world.names.fetch_add(1, Ordering::Relaxed);
        format!("{}-{}-{number} {what}", self.world.run, self.id)
    }

    /// Has a bucket deleted when the operation is over.
    pub(crate) fn made(&self, client: &Client, bucket: BucketInfo) -> BucketInfo {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.buckets.push(client.bucket(&bucket.id));
        bucket
    }

    /// A bucket of the admin.
    pub(crate) async fn bucket(&self) -> Result<Bucket, Trouble> {
        self.bucket_of(self.admin()).await
    }

    /// A bucket of a client. Should the cleaning up not happen, the server does it after a few hours.
    pub(crate) async fn bucket_of(&self, client: &Client) -> Result<Bucket, Trouble> {
        let made = self.made(client, client.buckets().create(self.name("bucket")).expires("6h").await?);
        ensure!(!made.id.is_empty(), "the new bucket has no id");
        Ok(client.bucket(&made.id))
    }

    /// A key whose name is its own, so that it sees nothing of what others do on the server.
    pub(crate) async fn key(&self) -> Result<Keyed, Trouble> {
        let key = self.admin().keys().create(self.name("key")).await?;
        self.made.lock().unwrap_or_else(PoisonError::into_inner).keys.push(key.prefix.clone());
        Ok(Keyed { client: self.with_token(key.key.expose())?, key })
    }

    /// Has a key revoked when the operation is over.
    pub(crate) fn made_key(&self, key: NewKey) -> NewKey {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).keys.push(key.prefix.clone());
        key
    }

    /// A proxy before the server, and an admin's client behind it.
    pub(crate) async fn proxy(&self) -> Result<(Proxy, Client), Trouble> {
        let proxy = self.bare_proxy("").await?;
        let client = builder(proxy.url()).token(self.admin_key()).build()?;
        Ok((proxy, client))
    }

    /// A proxy that shows the server below a path.
    pub(crate) async fn bare_proxy(&self, below: &str) -> Result<Proxy, Trouble> {
        Ok(Proxy::before(self.plain_url()?, below).await?)
    }

    /// The base URL of a server that can have a proxy of this program before it.
    pub(crate) fn plain_url(&self) -> Result<&str, Trouble> {
        let reason = "the proxy of this program speaks no TLS: name the server by http://";
        let plain = self.url().starts_with("http://");
        plain.then(|| self.url()).ok_or_else(|| Trouble::Skipped(reason.to_owned()))
    }

    /// A path on disk that nothing else uses; it goes with the run.
    pub(crate) fn scratch(&self, name: &str) -> Result<PathBuf, Trouble> {
        let number = self.world.names.fetch_add(1, Ordering::Relaxed);
        let directory = self.world.directory.path().join(format!("{}-{number}", self.id));
        std::fs::create_dir(&directory)?;
        Ok(directory.join(name))
    }

    /// 256 MiB on disk.
    pub(crate) async fn large(&self) -> Result<&Large, Trouble> {
        const MIB: u64 = 256;
        let write = async || {
            let path = self.world.directory.path().join("large.bin");
            tokio::task::spawn_blocking(|| Large::write(path, MIB)).await?.map_err(Trouble::from)
        };
        self.world.large.get_or_try_init(write).await
    }

    /// A bucket in which 256 MiB are stored, as `large.bin`.
    pub(crate) async fn large_bucket(&self) -> Result<&Bucket, Trouble> {
        let store = async || {
            let large = self.large().await?;
            let bucket = self.shared().bucket().await?;
            bucket.files().upload(&large.path).await?;
            Ok::<_, Trouble>(bucket)
        };
        self.world.large_bucket.get_or_try_init(store).await
    }

    pub(crate) async fn library(&self) -> Result<&Library, Trouble> {
        let fill = async || {
            let bucket = self.shared().bucket().await?;
            let root = (0..300).map(|n| format!("r-{n:03}.txt"));
            let rest = (0..2200).map(|n| format!("d{:02}/f-{n:04}.txt", n % 30));
            // Sizes in another order than paths.
            let files = root.chain(rest).enumerate().map(|(n, path)| (path, 1 + n as u64 * 1009 % 2500));
            let mut files: Vec<(String, u64)> = files.collect();
            fill(&bucket, files.iter().map(|(path, size)| (path.clone(), content::random(*size as usize)))).await?;
            files.sort();
            Ok::<_, Trouble>(Library { bucket, files })
        };
        self.world.library.get_or_try_init(fill).await
    }

    pub(crate) async fn crowd(&self) -> Result<&Crowd, Trouble> {
        let make = async || {
            let shared = self.shared();
            let client = shared.key().await?.client;
            let names = shared.buckets(&client, 250).await?;
            Ok::<_, Trouble>(Crowd { client, names })
        };
        self.world.crowd.get_or_try_init(make).await
    }

    /// So many buckets of a client: their names, by id.
    pub(crate) async fn buckets(
        &self,
        client: &Client,
        count: usize,
    ) -> Result<std::collections::BTreeMap<String, String>, Trouble> {
        let made = stream::iter(0..count).map(|n| async move {
            let name = self.name(&format!("{:03}", n * 7 % count));
            let made = self.made(client, client.buckets().create(name).expires("6h").await?);
            Ok::<_, Trouble>((made.id, made.name))
        });
        made.buffer_unordered(8).try_collect().await
    }

    /// A bench whose things stay until the end of the run.
    fn shared(&self) -> Self {
        Self { made: self.world.made.clone(), ..self.clone() }
    }

    /// What another HTTP client gets from a path of the server, without a credential.
    pub(crate) async fn fetch(&self, path: &str) -> Result<(u16, Vec<u8>), Trouble> {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let http = if self.url().starts_with("https") { http } else { http.no_proxy() };
        let answer = http.build()?.get(format!("{}{path}", self.url())).send().await?;
        Ok((answer.status().as_u16(), answer.bytes().await?.to_vec()))
    }

    /// Deletes what the operation has made.
    pub(crate) async fn clean_up(&self) {
        clean_up(self.admin(), &self.made).await;
    }
}

/// Uploads many files, some at a time.
pub(crate) async fn fill(
    bucket: &Bucket,
    files: impl IntoIterator<Item = (String, Vec<u8>)>,
) -> Result<(), carbonfiles::Error> {
    let uploads = files.into_iter().map(|(path, bytes)| bucket.file(path).upload(bytes).send());
    let uploads: Vec<_> = uploads.collect();
    stream::iter(uploads).buffer_unordered(16).try_for_each(async |_| Ok(())).await
}

/// The content of a file, through the crate.
pub(crate) async fn read(bucket: &Bucket, path: &str) -> Result<Vec<u8>, carbonfiles::Error> {
    Ok(bucket.file(path).download().await?.bytes(64 << 20).await?.to_vec())
}

/// Fails unless what the server shows of a file is these bytes.
pub(crate) fn holds(info: &FileInfo, path: &str, bytes: &[u8]) -> Result<(), Trouble> {
    let sha256 = content::sha256(bytes);
    let found = (info.path.as_str(), info.size, info.sha256.as_deref());
    ensure!(
        found == (path, bytes.len() as u64, Some(sha256.as_str())),
        "the server shows {found:?} for {path:?} of {} bytes with {sha256}",
        bytes.len()
    );
    let name = path.rsplit('/').next().unwrap_or_default();
    ensure!(info.name == name, "{path:?} has the name {:?}", info.name);
    Ok(())
}

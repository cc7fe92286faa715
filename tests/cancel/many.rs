//! Many files: each is as it was, absent, or whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use carbonfiles::Bucket;
use carbonfiles_testserver::Fault;
use futures::TryStreamExt;
use futures::future::BoxFuture;

use crate::support::{admin, bucket, server, within};
use crate::{OLD, content, dropped_at, on_the_way_down, on_the_way_up, pattern};

/// What is in a folder.
fn in_folder(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap())).collect()
}

/// What is in a bucket.
async fn in_bucket(bucket: &Bucket) -> BTreeMap<String, Vec<u8>> {
    let rows: Vec<_> = bucket.files().list_all().items().try_collect().await.unwrap();
    let mut files = BTreeMap::new();
    for row in rows {
        files.insert(row.path.clone(), content(bucket, &row.path).await.unwrap());
    }
    files
}

/// How many files are brought from one side to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Many {
    SyncUp,
    SyncDown,
    UploadList,
    UploadDir,
    DownloadDir,
}

impl Many {
    fn is_up(self) -> bool {
        matches!(self, Self::SyncUp | Self::UploadList | Self::UploadDir)
    }

    fn deletes(self) -> bool {
        matches!(self, Self::SyncUp | Self::SyncDown)
    }

    fn holds(self) -> Vec<(String, Fault)> {
        let mut holds = Vec::new();
        if self.deletes() || !self.is_up() {
            holds.push(("the head of the listing".to_owned(), Fault::stall_headers().on("GET", "delimiter=")));
            holds.push(("the listing".to_owned(), Fault::stall_response_after(100).on("GET", "delimiter=")));
        }
        if self.is_up() {
            let first = || on_the_way_up("PUT", "/upload", 200_001);
            holds.extend(first());
            holds.extend(first().into_iter().map(|(name, hold)| (format!("the other {name}"), hold.skip(1))));
        } else {
            holds.extend(on_the_way_down("/content", 200_001, 0));
            holds.extend(on_the_way_down("/content", 200_001, 1));
        }
        if self == Self::SyncUp {
            holds.push(("the deletion".into(), Fault::stall_headers().on("DELETE", "/extra")));
        }
        holds
    }

    async fn run(self, bucket: Bucket, folder: PathBuf, giving: BTreeMap<String, Vec<u8>>) {
        let files = bucket.files();
        match self {
            Self::SyncUp => drop(files.sync_up(folder).delete_extra(true).await),
            Self::SyncDown => drop(files.sync_down(folder).delete_extra(true).await),
            Self::UploadList => drop(files.upload_many(giving).await),
            Self::UploadDir => drop(files.upload_dir(folder).await),
            Self::DownloadDir => drop(files.download_dir(folder).await),
        }
    }
}

async fn each_is_as_it_was_or_whole(many: Many) {
    let server = server().await;
    let named = |files: &[(&str, &[u8])]| files.iter().map(|(n, c)| ((*n).to_owned(), c.to_vec())).collect();
    let (changed, missing) = (pattern(300_000), pattern(200_001));
    let giving: BTreeMap<String, Vec<u8>> = named(&[("changed", &changed), ("missing", &missing)]);
    let before: BTreeMap<String, Vec<u8>> = named(&[("changed", OLD), ("extra", b"is deleted last, or stays")]);
    let mut after = giving.clone();
    if !many.deletes() {
        after.insert("extra".into(), before["extra"].clone());
    }
    let up = many.is_up();
    for (name, hold) in many.holds() {
        let at = format!("{many:?}, {name}");
        let (bucket, folder) = (bucket(&admin(&server)).await, tempfile::tempdir().unwrap());
        let (local, remote) = if up { (&giving, &before) } else { (&before, &giving) };
        for (name, content) in local {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        for (name, content) in remote {
            bucket.file(name).upload(content.clone()).await.unwrap();
        }
        let start = |bucket: Bucket| -> BoxFuture<'static, ()> {
            Box::pin(many.run(bucket, folder.path().to_owned(), giving.clone()))
        };
        assert!(dropped_at(&server, &bucket, hold, &start).await, "{at}: it was not held");
        let receiving = if up { in_bucket(&bucket).await } else { in_folder(folder.path()) };
        for (name, content) in &receiving {
            let whole = [before.get(name), giving.get(name)].contains(&Some(content));
            // What is not whole has a name of its own.
            assert!(whole || !up && name.contains(".part"), "{at}: {name}");
        }
        assert!(receiving.contains_key("changed"), "{at}: gone");
        if !receiving.contains_key("extra") {
            let done = giving.iter().all(|file| receiving.iter().any(|other| other == file));
            assert!(many.deletes() && done, "{at}: deleted too soon");
        }
        within(start(admin(&server).bucket(bucket.id()))).await;
        let (remote, local) = (in_bucket(&bucket).await, in_folder(folder.path()));
        let (given, received) = if up { (local, remote) } else { (remote, local) };
        assert!(given == giving && received == after, "{at}: {:?} {:?}", given.keys(), received.keys());
    }
}

#[tokio::test]
async fn a_sync_up_leaves_each_file_as_it_was_or_whole() {
    each_is_as_it_was_or_whole(Many::SyncUp).await;
}

#[tokio::test]
async fn a_sync_down_leaves_each_file_as_it_was_or_whole() {
    each_is_as_it_was_or_whole(Many::SyncDown).await;
}

#[tokio::test]
async fn an_upload_of_many_leaves_each_file_as_it_was_or_whole() {
    each_is_as_it_was_or_whole(Many::UploadList).await;
}

#[tokio::test]
async fn an_upload_of_a_folder_leaves_each_file_as_it_was_or_whole() {
    each_is_as_it_was_or_whole(Many::UploadDir).await;
}

#[tokio::test]
async fn a_download_of_a_folder_leaves_each_file_as_it_was_or_whole() {
    each_is_as_it_was_or_whole(Many::DownloadDir).await;
}

/// Of a folder that is older than a cache has to mistrust.
#[tokio::test]
async fn a_sync_that_is_dropped_remembers_no_hash_that_is_not_so() {
    let server = server().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testserver/src/hub");
    let files = in_folder(&folder);
    let (first, content) = files.first_key_value().unwrap();
    let mut holds = on_the_way_up("PUT", &format!("filename={first}"), content.len() as u64);
    holds.push(("the listing".to_owned(), Fault::stall_response_after(100).on("GET", "delimiter=")));
    holds.push(("the deletion".into(), Fault::stall_headers().on("DELETE", "/extra")));
    for (name, hold) in holds {
        let (bucket, place) = (bucket(&admin(&server)).await, tempfile::tempdir().unwrap());
        // As long as ours, so that all of them have to be read.
        for (name, content) in &files {
            bucket.file(name).upload(content.iter().map(|byte| byte ^ 1).collect::<Vec<_>>()).await.unwrap();
        }
        bucket.file("extra").upload(OLD).await.unwrap();
        let cache = place.path().join("hashes.json");
        let start = |bucket: Bucket| -> BoxFuture<'static, ()> {
            let sync = bucket.files().sync_up(&folder).delete_extra(true).hash_cache(&cache).concurrency(1).send();
            Box::pin(async { drop(sync.await) })
        };
        assert!(dropped_at(&server, &bucket, hold, &start).await, "{name}: it was not held");
        assert!(cache.exists() || name == "the listing", "{name}: what was read is remembered");
        within(start(admin(&server).bucket(bucket.id()))).await;
        assert!(in_bucket(&bucket).await == files, "{name}");
    }
}

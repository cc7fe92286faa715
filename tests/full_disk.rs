//! A disk that fills up half way, or can't be written at all: an error, what was there as it was, and success once there is
//! room.
//!
//! The test runs itself again in a mount namespace of its own, with a small file system in memory. Where that is not
//! allowed it says so, except in CI, where that is a failure.

#![cfg(target_os = "linux")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use carbonfiles::{Bucket, Error, ErrorKind, Source};
use support::{admin, bucket, grow_old, read_folder, server};

const DISK: usize = 8 << 20;
const LENGTH: usize = 4 << 20;

#[test]
fn a_disk_that_is_full_spoils_nothing() {
    let place = tempfile::tempdir().unwrap();
    let mount = format!("mount -t tmpfs -o size={DISK} tmpfs \"$0\" && exec \"$@\"");
    let inside = |command: &[&std::ffi::OsStr]| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", &mount]).arg(place.path()).args(command);
        unshare.env("FULL_DISK", place.path()).env("TMPDIR", place.path()).output()
    };
    let mounted = inside(&["true".as_ref()]).is_ok_and(|tried| tried.status.success());
    if !support::is_possible("full_disk", mounted, "no file system can be mounted here") {
        return;
    }
    let this = std::env::current_exe().unwrap();
    let ran = inside(&[this.as_os_str(), "--exact".as_ref(), "the_child".as_ref(), "--nocapture".as_ref()]).unwrap();
    let words = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && words.contains("all was tried"), "{words}");
}

/// Does nothing unless it was started by the test above.
#[tokio::test]
async fn the_child() {
    let Some(disk) = std::env::var_os("FULL_DISK").map(PathBuf::from) else { return };
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    // An archive of it is not shorter.
    let mut random = fastrand::Rng::with_seed(7);
    let data: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(LENGTH).collect();
    bucket.file("x.bin").upload(data.clone()).await.unwrap();
    let folder = disk.join("folder");
    std::fs::create_dir(&folder).unwrap();
    let target = folder.join("x.bin");

    for how in ["one stream", "ranges", "folder", "sync"] {
        std::fs::write(&target, "old").unwrap();
        let fetch = async || -> Result<u64, Error> {
            let files = bucket.files();
            Ok(match how {
                "one stream" => bucket.file("x.bin").download_to(&target).await?.resumed,
                "ranges" => bucket.file("x.bin").download_to(&target).parallel(2).await?.resumed,
                "folder" => files.download_dir(&folder).await?.into_result()?[0].resumed,
                _ => files.sync_down(&folder).await?.copied.into_result()?[0].resumed,
            })
        };
        fill(&disk, 2 << 20);
        no_room(&fetch().await.unwrap_err(), how);
        assert_eq!(std::fs::read(&target).unwrap(), b"old", "{how}");
        empty(&disk);
        let resumed = fetch().await.unwrap_or_else(|e| panic!("{how}: {e:?}"));
        // Of a range that was not whole nothing is kept.
        assert!(std::fs::read(&target).unwrap() == data && (resumed > 0 || how == "ranges"), "{how}: {resumed}");
        assert_eq!(read_folder(&folder).len(), 1, "{how}");
    }

    std::fs::write(&target, "old").unwrap();
    fill(&disk, 2 << 20);
    no_room(&bucket.zip().download_to(folder.join("all.zip")).await.unwrap_err(), "zip");
    #[cfg(feature = "zip")]
    no_room(&bucket.zip().unpack(&folder).await.unwrap_err(), "unpack");
    assert_eq!(std::fs::read(&target).unwrap(), b"old");
    assert_eq!(read_folder(&folder).len(), 1, "nothing of the archive is left");

    server.clear_requests();
    let source = Source::reader(std::io::Cursor::new(data.clone()));
    no_room(&bucket.file("spooled").upload(source).spool(1 << 30).await.unwrap_err(), "spool");
    assert!(server.requests().is_empty(), "nothing was sent");
    spoilt_cache(&bucket, &folder, &disk).await;
    read_only(&bucket, &folder, &disk).await;
    println!("all was tried");
}

/// A file of hashes that can't be written is told. What was uploaded before is there, and what is only looked at is not touched.
async fn spoilt_cache(bucket: &Bucket, folder: &Path, disk: &Path) {
    fill(disk, 0);
    let cache = disk.join("hashes.json");
    let twin = bucket.file("in/x.bin");
    let sync = || bucket.files().sync_up(folder).prefix("in").hash_cache(&cache);
    grow_old().await;
    // One of the same length has to be read first, one of another is replaced unread.
    for (before, after) in [("odd", "odd"), ("longer", "old")] {
        twin.upload(before.as_bytes()).await.unwrap();
        no_room(&sync().await.unwrap_err(), "hashes");
        assert_eq!(twin.download().await.unwrap().bytes(10).await.unwrap(), after);
    }
    empty(disk);
    assert_eq!(support::totals(sync().await.unwrap()), (0, 0));
    assert!(cache.exists());
    std::fs::remove_file(cache).unwrap();
}

/// Nothing can be written: that is told as what it is, and what can be read goes up all the same.
async fn read_only(bucket: &Bucket, folder: &Path, disk: &Path) {
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(disk).status().unwrap();
    assert!(remounted.success());
    let target = folder.join("x.bin");
    for error in [
        bucket.file("x.bin").download_to(&target).await.unwrap_err(),
        bucket.file("x.bin").download_to(folder.join("new")).parallel(2).await.unwrap_err(),
        bucket.zip().download_to(folder.join("all.zip")).await.unwrap_err(),
        #[cfg(feature = "zip")]
        bucket.zip().unpack(folder).await.unwrap_err(),
    ] {
        assert!(error.is_invalid_input(), "{error:?}");
    }
    let down = bucket.files().download_dir(folder.join("deep")).await.unwrap();
    assert!(down.failed().all(|(_, error)| error.kind() == ErrorKind::Io) && down.done().count() == 0);
    let down = bucket.files().sync_down(folder).delete_extra(true).await.unwrap();
    assert!(down.copied.done().count() == 0 && down.deleted.done().count() == 0);
    let up = bucket.files().sync_up(folder).prefix("up").await.unwrap();
    assert_eq!(support::totals(up), (1, 0));
    assert_eq!(std::fs::read(&target).unwrap(), b"old");
}

/// Takes up the disk but for so many bytes.
fn fill(disk: &Path, left: usize) {
    use std::io::Write;
    let mut filler = std::fs::File::create(disk.join("filler")).unwrap();
    let page = vec![1; 4096];
    while filler.write_all(&page).is_ok() {}
    let length = filler.metadata().unwrap().len();
    filler.set_len(length.saturating_sub(left as u64)).unwrap();
}

fn empty(disk: &Path) {
    std::fs::remove_file(disk.join("filler")).unwrap();
}

#[track_caller]
fn no_room(error: &Error, what: &str) {
    let full = std::error::Error::source(error)
        .and_then(|cause| cause.downcast_ref::<std::io::Error>())
        .is_some_and(|cause| cause.kind() == std::io::ErrorKind::StorageFull);
    assert!(error.kind() == ErrorKind::Io && full, "{what}: {error:?}");
}

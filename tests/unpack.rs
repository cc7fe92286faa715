//! Archives unpacked: a bucket's own, and hostile ones.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::time::Duration;

use carbonfiles::buckets::UnpackZip;
use carbonfiles::{ErrorKind, Phase};
use carbonfiles_testserver::Fault;
use futures::TryFutureExt;
use support::{Answer, RawServer, admin, answer, bucket, builder, read_folder, server, until, within};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

type Files = BTreeMap<String, Vec<u8>>;

fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        if name.ends_with('/') {
            writer.add_directory(*name, SimpleFileOptions::default()).unwrap();
        } else {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(content).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

/// What a server does that answers with this archive.
async fn unpacked(
    archive: Vec<u8>,
    folder: &Path,
    limits: impl FnOnce(UnpackZip<'static>) -> UnpackZip<'static>,
) -> carbonfiles::Result<u64> {
    let server =
        RawServer::start(move |_| Answer::Bytes(answer(200, "Content-Type: application/zip\r\n", &archive))).await;
    let client = builder(&server.url).build().unwrap();
    let done = within(limits(client.bucket("b").zip().unpack(folder)).send()).await?;
    assert_eq!(done.files.len(), read_folder(folder).len());
    Ok(done.bytes)
}

#[tokio::test]
async fn a_bucket_comes_out_as_it_is() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let mut files = Files::new();
    for (name, length) in [("a", 0), ("deep/er/b", 1), ("deep/ü %+#?", 300_000), (".hidden", 5), ("x.bin", 3_000_000)]
    {
        let content: Vec<u8> = (0..length).map(|i: usize| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
        bucket.file(name).upload(content.clone()).await.unwrap();
        files.insert(name.to_owned(), content);
    }
    let around = tempfile::tempdir().unwrap();
    let folder = around.path().join("new/folder");
    let done = bucket.zip().unpack(&folder).await.unwrap();
    assert_eq!((done.files.len(), done.bytes), (5, 3_300_006));
    assert_eq!(read_folder(&folder), files);
    // Over what is there, and beside it.
    fs::write(folder.join("a"), "old").unwrap();
    fs::write(folder.join("mine"), "mine").unwrap();
    bucket.zip().unpack(&folder).await.unwrap();
    files.insert("mine".into(), b"mine".to_vec());
    assert_eq!(read_folder(&folder), files);
}

#[tokio::test]
async fn hostile_archives_are_refused_as_a_whole() {
    let hostile: Vec<(&str, Vec<u8>)> = vec![
        ("traversal", archive(&[("good", b"g"), ("../evil", b"x")])),
        ("deep traversal", archive(&[("good", b"g"), ("a/../../evil", b"x")])),
        ("absolute", archive(&[("good", b"g"), ("/tmp/evil", b"x")])),
        ("backslash", archive(&[("good", b"g"), ("..\\evil", b"x")])),
        ("dot", archive(&[("good", b"g"), ("./x", b"x")])),
        ("no name", archive(&[("good", b"g"), ("a//b", b"x")])),
        ("NUL", archive(&[("good", b"g"), ("a\0b", b"x")])),
        ("too long", archive(&[("good", b"g"), (&"n".repeat(300), b"x")])),
        ("letter case", archive(&[("good", b"g"), ("GOOD", b"x")])),
        ("Unicode form", archive(&[("\u{e9}", b"g"), ("e\u{301}", b"x")])),
        ("file and folder", archive(&[("good", b"g"), ("good/x", b"x")])),
        ("file and empty folder", archive(&[("good", b"g"), ("good/", b"")])),
        ("folder outside", archive(&[("good", b"g"), ("../evil/", b"")])),
        ("twice", twice()),
        ("twice, in two encodings", twice_in_two_encodings()),
        ("link", link()),
        ("device", device()),
        ("overlap", overlapping()),
        ("encrypted", encrypted()),
        ("empty folders in two spellings", archive(&[("good", b"g"), ("a/", b""), ("A/", b"")])),
        ("a folder with content", replaced(archive(&[("good", b"g"), ("folder1", b"x")]), b"folder1", b"folder/")),
        ("no entries, it says", miscounted(0)),
        ("fewer entries, it says", miscounted(1)),
        ("more entries, it says", miscounted(3)),
        ("a part of a download", archive(&[("good", b"g"), ("x.0123456789ABCDEF.carbonfiles.part", b"x")])),
        ("no archive", b"<html>not an archive</html>".to_vec()),
        ("cut off", archive(&[("good", b"g")])[..60].to_vec()),
    ];
    for (what, archive) in hostile {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("folder");
        let error = unpacked(archive, &folder, |unpack| unpack).await.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Decode, "{what}: {error:?}");
        assert_eq!(read_folder(around.path()), Files::new(), "{what}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn names_that_differ_in_letter_case_are_unpacked_where_they_are_kept_apart() {
    let folder = tempfile::tempdir().unwrap();
    let entries = archive(&[("good", b"g"), ("GOOD", b"x"), ("\u{e9}", b"1"), ("e\u{301}", b"2")]);
    assert_eq!(unpacked(entries.clone(), folder.path(), |unpack| unpack.case_sensitive(true)).await.unwrap(), 4);
    let (upper, lower) = (b"x".to_vec(), b"g".to_vec());
    let found = read_folder(folder.path());
    assert_eq!((found.len(), &found["GOOD"], &found["good"]), (4, &upper, &lower));
    let error = unpacked(entries, folder.path(), |unpack| unpack.case_sensitive(false)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
}

#[tokio::test]
async fn an_unpacking_has_the_options_of_a_call() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    bucket.file("x").upload(vec![7; 1000]).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    // Those of the download it is made from, and its own.
    let asked = bucket.zip().header("x-one", "1").unpack(folder.path()).header("x-two", "2");
    assert_eq!(within(asked.send()).await.unwrap().bytes, 1000);
    let sent = server.requests().pop().unwrap();
    assert_eq!((sent.header("x-one"), sent.header("x-two")), (Some("1"), Some("2")));

    let held = server.inject(Fault::stall_response_after(10).on("GET", "/zip"));
    let error =
        within(bucket.zip().unpack(folder.path()).timeout(Duration::from_millis(500)).send()).await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    held.release();
    let never = server.inject(Fault::status(503).on("GET", "/zip").forever());
    let once = bucket.zip().unpack(folder.path()).retry(carbonfiles::RetryPolicy::never());
    assert_eq!(within(once.send()).await.unwrap_err().kind(), ErrorKind::Server);
    assert_eq!(never.fired(), 1);
}

#[tokio::test]
async fn an_unpacking_is_started_watched_and_cancelled() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    bucket.file("x").upload(vec![7; 1_000_000]).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let transfer = bucket.zip().unpack(folder.path()).start();
    let progress = transfer.progress();
    assert_eq!(within(transfer).await.unwrap().bytes, 1_000_000);
    let archive = bucket.zip().await.unwrap().bytes(2_000_000).await.unwrap().len() as u64;
    assert_eq!((progress.current().phase, progress.current().sent), (Phase::Done, archive));

    // An archive that is refused was not done, though all of it had come.
    let mut phases = Vec::new();
    let refused = bucket.zip().unpack(folder.path()).max_bytes(10).progress(|now| phases.push(now.phase));
    assert_eq!(within(refused.send()).await.unwrap_err().kind(), ErrorKind::PayloadTooLarge);
    assert!(phases.contains(&Phase::Sending) && !phases.contains(&Phase::Done), "{phases:?}");

    let held = server.inject(Fault::stall_response_after(10).on("GET", "/zip"));
    let transfer = bucket.zip().unpack(folder.path()).start();
    within(held.fired_at_least(1)).await;
    transfer.cancel();
    assert_eq!(within(transfer).await.unwrap_err().kind(), ErrorKind::Cancelled);
    held.release();
}

/// Two names of one length, one written over the other.
fn twice() -> Vec<u8> {
    replaced(archive(&[("good1", b"g"), ("good2", b"x")]), b"good2", b"good1")
}

/// One name in UTF-8 and in code page 437: other bytes, and the same file.
fn twice_in_two_encodings() -> Vec<u8> {
    replaced(archive(&[("\u{e9}1234", b"g"), ("@1234", b"x")]), b"@1234", b"\x821234")
}

fn replaced(mut archive: Vec<u8>, old: &[u8], new: &[u8]) -> Vec<u8> {
    for at in 0..=archive.len() - old.len() {
        if archive[at..].starts_with(old) {
            archive[at..at + old.len()].copy_from_slice(new);
        }
    }
    archive
}

/// Two entries, of which the end says that they are another number.
fn miscounted(entries: u8) -> Vec<u8> {
    let mut bytes = archive(&[("good", b"g"), ("other", b"x")]);
    let end = bytes.windows(4).rposition(|w| w == b"PK\x05\x06").unwrap();
    bytes[end + 8..end + 12].copy_from_slice(&[entries, 0, entries, 0]);
    bytes
}

fn link() -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.add_symlink("link", "/etc", SimpleFileOptions::default()).unwrap();
    writer.start_file("link/passwd", SimpleFileOptions::default()).unwrap();
    writer.finish().unwrap().into_inner()
}

fn device() -> Vec<u8> {
    let bytes = archive(&[("pipe", b"")]);
    // The mode is in the upper half of the external attributes of the central directory: S_IFREG becomes S_IFIFO.
    let at = bytes.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap() + 38;
    let mut bytes = bytes;
    bytes[at + 3] = 0o010 << 1;
    bytes
}

/// The second of two entries says that it is.
fn encrypted() -> Vec<u8> {
    let mut bytes = archive(&[("good", b"g"), ("secret", b"x")]);
    for (record, flags) in [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)] {
        let at = bytes.windows(4).rposition(|w| w == record).unwrap() + flags;
        bytes[at] |= 1;
    }
    bytes
}

/// Both entries of the central directory point at the bytes of the first.
fn overlapping() -> Vec<u8> {
    let mut bytes = archive(&[("a", &[1; 50]), ("b", &[1; 50])]);
    let second = bytes.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap() + 42;
    bytes[second..second + 4].fill(0);
    replaced(bytes, b"\0\0\0\0bUT", b"\0\0\0\0bUT")
}

#[tokio::test]
async fn bombs_do_not_go_off() {
    let zeros = vec![0; 64 << 20];
    let bomb = archive(&[("good", b"g"), ("zeros", &zeros)]);
    assert!(bomb.len() < 1 << 20);
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path();
    for error in [
        unpacked(bomb.clone(), into, |unpack| unpack).await.unwrap_err(),
        unpacked(bomb.clone(), into, |unpack| unpack.max_ratio(u64::MAX).max_bytes(1 << 20)).await.unwrap_err(),
        unpacked(archive(&[("a", b"x")]), into, |unpack| unpack.max_archive_bytes(50)).await.unwrap_err(),
        unpacked(archive(&[("a", b""), ("b", b""), ("c/", b"")]), into, |unpack| unpack.max_entries(2))
            .await
            .unwrap_err(),
        unpacked(lying(&bomb, zeros.len() as u32), into, |unpack| unpack).await.unwrap_err(),
    ] {
        assert!(matches!(error.kind(), ErrorKind::PayloadTooLarge | ErrorKind::Decode), "{error:?}");
        assert_eq!(read_folder(into), Files::new(), "{error}");
    }
    assert_eq!(unpacked(bomb, into, |unpack| unpack.max_ratio(2000)).await.unwrap(), (64 << 20) + 1);
}

#[tokio::test]
async fn a_small_archive_may_have_any_ratio_and_a_folder_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let zeros = archive(&[("zeros", &[0; 1 << 20])]);
    assert!(zeros.len() < 5000);
    assert_eq!(unpacked(zeros.clone(), folder.path(), |unpack| unpack.max_ratio(1)).await.unwrap(), 1 << 20);
    fs::remove_file(folder.path().join("zeros")).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("zeros")).unwrap();
    assert_eq!(unpacked(zeros.clone(), folder.path(), |unpack| unpack).await.unwrap_err().kind(), ErrorKind::Io);
    #[cfg(unix)]
    {
        fs::remove_dir(folder.path().join("zeros")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("zeros")).unwrap();
        assert_eq!(unpacked(zeros, folder.path(), |unpack| unpack).await.unwrap_err().kind(), ErrorKind::Io);
        assert!(folder.path().join("zeros").is_symlink());
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    drop(elsewhere);
}

#[tokio::test]
async fn more_entries_than_allowed_are_refused_before_they_are_read() {
    let folder = tempfile::tempdir().unwrap();
    // The end says so; the directory holds one.
    let mut bytes = archive(&[("a", b"x")]);
    let end = bytes.windows(4).rposition(|w| w == b"PK\x05\x06").unwrap();
    bytes[end + 8..end + 12].copy_from_slice(&[50, 0, 50, 0]);
    let error = unpacked(bytes, folder.path(), |unpack| unpack.max_entries(10)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PayloadTooLarge, "{error:?}");
    // What is said of each entry has a limit too.
    let long = archive(&[(&format!("{}/", "n".repeat(250)).repeat(5), b"")]);
    let error = unpacked(long.clone(), folder.path(), |unpack| unpack.max_entries(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PayloadTooLarge, "{error:?}");
    assert_eq!(unpacked(long, folder.path(), |unpack| unpack.max_entries(5)).await.unwrap(), 0);
    // Folders count that are only in the names of others.
    let deep = archive(&[("a/b/c/d/e/f", b"x")]);
    let error = unpacked(deep, folder.path(), |unpack| unpack.max_entries(5)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PayloadTooLarge, "{error:?}");
    // Behind other records than the last one there may be another directory.
    let mut bytes = archive(&[("a", b"x")]);
    bytes.extend_from_slice(b"behind");
    assert_eq!(unpacked(bytes, folder.path(), |unpack| unpack).await.unwrap_err().kind(), ErrorKind::Decode);
    assert_eq!(read_folder(folder.path()), Files::new());
}

/// Says everywhere that the content has ten bytes.
fn lying(bomb: &[u8], length: u32) -> Vec<u8> {
    replaced(bomb.to_vec(), &length.to_le_bytes(), &10u32.to_le_bytes())
}

#[tokio::test]
async fn bytes_that_are_not_what_the_archive_says_are_refused() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    writer.start_file("file", stored).unwrap();
    writer.write_all(b"some content").unwrap();
    let evil = replaced(writer.finish().unwrap().into_inner(), b"some content", b"evil content");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "as it was").unwrap();
    let error = unpacked(evil, folder.path(), |unpack| unpack).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode, "{error:?}");
    assert_eq!(read_folder(folder.path()), Files::from([("file".into(), b"as it was".to_vec())]));
    // The right bytes, and another number of them than is said.
    for said in [10u32, 1000] {
        let bytes = replaced(archive(&[("file", &[7; 555])]), &555u32.to_le_bytes(), &said.to_le_bytes());
        let error = unpacked(bytes, folder.path(), |unpack| unpack).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode, "{said}: {error:?}");
        assert_eq!(read_folder(folder.path()), Files::from([("file".into(), b"as it was".to_vec())]));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_in_the_folder_does_not_lead_out_of_it() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::os::unix::fs::symlink(outside.path(), folder.path().join("link")).unwrap();
    let error = unpacked(archive(&[("link/x", b"x")]), folder.path(), |unpack| unpack).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error:?}");
    assert!(read_folder(outside.path()).is_empty());
}

/// The server's own surprise 7.
#[tokio::test]
async fn a_bucket_that_the_server_can_not_pack_is_told_with_what_to_do() {
    let server = server().await;
    let client = admin(&server);
    let bucket = client.bucket(&client.buckets().create("grün").await.unwrap().id);
    bucket.file("x").upload(vec![7]).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    for error in [
        bucket.zip().await.map(drop).unwrap_err(),
        bucket.zip().download_to(folder.path().join("all.zip")).await.unwrap_err(),
        bucket.zip().unpack(folder.path()).await.unwrap_err(),
        bucket.head_zip().await.unwrap_err(),
    ] {
        assert!(error.kind() == ErrorKind::Server && error.hint().unwrap().contains("rename it"), "{error:?}");
    }
    let zips = server.requests().into_iter().filter(|request| request.path.ends_with("/zip")).count();
    assert_eq!(zips, 4, "what can't pass is not tried again");
}

/// Wherever a server can hold it.
#[tokio::test]
async fn dropping_it_leaves_what_was_there_and_no_temporary_file() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    bucket.file("x").upload(vec![7; 1000]).await.unwrap();
    let length = bucket.zip().await.unwrap().bytes(1 << 20).await.unwrap().len() as u64;
    let folder = tempfile::tempdir().unwrap();
    let old = Files::from([("all.zip".to_owned(), b"old".to_vec()), ("x".to_owned(), b"old".to_vec())]);
    old.iter().for_each(|(name, content)| fs::write(folder.path().join(name), content).unwrap());
    for unpack in [true, false] {
        let holds = [0, 1, length / 2, length - 1].map(Fault::stall_response_after);
        for hold in holds.into_iter().chain([Fault::stall_headers()]) {
            let held = server.inject(hold.on("GET", "/zip"));
            let call = match unpack {
                true => tokio::spawn(bucket.zip().unpack(folder.path()).send().map_ok(drop)),
                false => tokio::spawn(bucket.zip().download_to(folder.path().join("all.zip")).send().map_ok(drop)),
            };
            within(held.fired_at_least(1)).await;
            call.abort();
            assert!(call.await.unwrap_err().is_cancelled());
            held.release();
            // A step that was under way ends first.
            until(|| read_folder(folder.path()) == old).await;
        }
    }
    bucket.zip().download_to(folder.path().join("all.zip")).await.unwrap();
    bucket.zip().unpack(folder.path()).await.unwrap();
    assert_eq!(read_folder(folder.path())["x"], [7; 1000]);
}

/// It is a job on a thread of its own, which nothing but its own look at whether anybody waits ends.
#[tokio::test]
async fn dropping_it_while_it_unpacks_ends_it() {
    // Where all was unpacked before the test got its turn, it is done again with more.
    for files in [2000, 8000, 32_000] {
        let names: Vec<String> = (0..files).map(|number| format!("{number:05}")).collect();
        let entries: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"content"[..])).collect();
        let (archive, folder) = (archive(&entries), tempfile::tempdir().unwrap());
        let server =
            RawServer::start(move |_| Answer::Bytes(answer(200, "Content-Type: application/zip\r\n", &archive))).await;
        let client = builder(&server.url).build().unwrap();
        let mut unpack = client.bucket("b").zip().unpack(folder.path()).send();
        let first = folder.path().join(&names[0]);
        tokio::select! {
            done = &mut unpack => drop(done.unwrap()),
            () = until(|| first.exists()) => {}
        }
        drop(unpack);
        // The archive goes last.
        let temporary = || read_folder(folder.path()).keys().any(|name| name.ends_with(".part"));
        until(|| !temporary()).await;
        let unpacked = read_folder(folder.path());
        assert!(unpacked.values().all(|content| content == b"content"), "each is whole");
        if unpacked.len() < names.len() {
            return;
        }
    }
    panic!("it went on to its end");
}

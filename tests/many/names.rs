//! Names, links, and what must not be written outside the folder.

use super::*;

#[cfg(unix)]
#[tokio::test]
async fn links_and_names_that_can_not_be_are_told_before_anything_is_sent() {
    use std::os::unix::fs::symlink;
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("good"), "x").unwrap();
    for name in ["the\\last", "the\\very last"] {
        fs::write(folder.path().join(name), "x").unwrap();
    }
    symlink("good", folder.path().join("link")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
    server.clear_requests();
    let mut last = None;
    let upload = bucket.files().upload_dir(folder.path()).prefix("p").progress(|progress| last = Some(progress));
    let batch = upload.await.unwrap();
    assert!(batch.stopped && server.requests().is_empty());
    let failed: Vec<_> = batch.failed().map(|(path, error)| (path, error.kind())).collect();
    assert_eq!(failed, ["p/the\\last", "p/the\\very last"].map(|path| (path, ErrorKind::InvalidInput)));
    assert_eq!(last.map(|last| (last.failed, last.finished)), Some((2, true)));
    let skipped = [("p/link", Skipped::Symlink), ("p/socket", Skipped::NotAFile), ("p/good", Skipped::NotStarted)];
    assert_eq!(batch.skipped().collect::<Vec<_>>(), skipped);
    assert!(batch.into_result().unwrap_err().is_invalid_input());

    let upload = bucket.files().upload_dir(folder.path()).on_failure(OnFailure::GoOn).symlinks(Symlinks::Follow);
    let mut seen = Vec::new();
    let batch = upload.progress(|progress| seen.push(progress)).await.unwrap();
    let (first, last) = (seen[0], seen[seen.len() - 1]);
    // What is not even tried has no bytes, and what is no file is not counted.
    assert_eq!((first.files_total, first.bytes_total), (Some(4), Some(2)));
    assert_eq!((last.files_total, last.bytes_total, last.files, last.failed), (Some(4), Some(2), 2, 2));
    assert_eq!((batch.done().count(), batch.failed().count(), batch.skipped().count()), (2, 2, 1));
    // What comes after the failure is told for what it is.
    let batch = bucket.files().upload_dir(folder.path()).symlinks(Symlinks::Refuse).await.unwrap();
    assert_eq!((batch.failed().count(), batch.skipped().next()), (3, Some(("socket", Skipped::NotAFile))));
}

#[tokio::test]
async fn nothing_is_written_outside_the_folder() {
    let long = "n".repeat(300);
    let names =
        ["good", "../evil", "/tmp/evil", "a/../../evil", "..", "a//b", "nul\0", "", &long, "dir", "dir/x", "ok/good"];
    let server = listing(&names).await;
    let around = tempfile::tempdir().unwrap();
    let folder = around.path().join("folder");
    let client = builder(&server.url).build().unwrap();
    let stops = client.bucket("b").files().download_dir(&folder).concurrency(1).await.unwrap();
    assert!(stops.stopped && stops.done().count() == 0 && !folder.exists());
    let batch = client.bucket("b").files().download_dir(&folder).on_failure(OnFailure::GoOn).await.unwrap();
    assert_eq!(batch.done().map(|(path, _)| path).collect::<Vec<_>>(), ["good", "ok/good"]);
    assert_eq!(batch.failed().count(), 10);
    let both: Vec<_> = batch.failed().filter(|(_, error)| error.kind() == ErrorKind::Conflict).collect();
    assert!(
        both.len() == 2 && both.iter().all(|(_, error)| error.hint().is_none()),
        "case is not what is wrong: {both:?}"
    );
    assert_eq!(read_folder(around.path()).keys().collect::<Vec<_>>(), ["folder/good", "folder/ok/good"]);
}

#[tokio::test]
async fn names_that_some_file_systems_take_for_one_are_told() {
    let server = listing(&["A.txt", "a.txt", "\u{e9}", "e\u{301}", "Dir/x", "dir/y", "z"]).await;
    let folder = tempfile::tempdir().unwrap();
    let client = builder(&server.url).build().unwrap();
    let download = || client.bucket("b").files().download_dir(folder.path()).on_failure(OnFailure::GoOn);
    let batch = download().await.unwrap();
    assert_eq!(batch.done().map(|(path, _)| path).collect::<Vec<_>>(), ["z"]);
    assert!(batch.failed().all(|(_, error)| error.kind() == ErrorKind::Conflict && error.hint().is_some()));
    if cfg!(target_os = "linux") {
        assert_eq!(download().case_sensitive(true).await.unwrap().into_result().unwrap().len(), 7);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_in_the_folder_does_not_lead_out_of_it() {
    let server = listing(&["link/x", "deep/link/x"]).await;
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(folder.path().join("deep")).unwrap();
    for link in ["link", "deep/link"] {
        std::os::unix::fs::symlink(outside.path(), folder.path().join(link)).unwrap();
    }
    let client = builder(&server.url).build().unwrap();
    let batch = client.bucket("b").files().download_dir(folder.path()).on_failure(OnFailure::GoOn).await.unwrap();
    assert_eq!(batch.failed().map(|(_, error)| error.kind()).collect::<Vec<_>>(), [ErrorKind::Io; 2]);
    assert!(batch.failed().all(|(_, error)| error.to_string().contains("is a symbolic link")), "it says why");
    assert!(read_folder(outside.path()).is_empty());
}

/// What becomes of two files of one folder to which this happens when the second is to be asked for, or while it is.
#[cfg(unix)]
async fn downloaded_while(happens: fn(&Path), root: &Path, while_asked_for: bool) -> Vec<Option<ErrorKind>> {
    let (page, asked, of_server) = (listing_page(&["d/a", "d/b"]), AtomicU64::new(0), root.to_owned());
    let server = RawServer::start(move |head| {
        if !head.target.contains("/content") {
            return Answer::Bytes(answer(200, "Content-Type: application/json\r\n", &page));
        }
        if asked.fetch_add(1, Ordering::SeqCst) == 1 && while_asked_for {
            happens(&of_server);
        }
        Answer::Bytes(answer(200, &format!("ETag: \"{SHA}\"\r\n"), b"x"))
    })
    .await;
    let files = builder(&server.url).build().unwrap().bucket("b").files();
    let down = files.download_dir(root).concurrency(1).on_failure(OnFailure::GoOn).each(|path, download| {
        if path == "d/b" && !while_asked_for {
            happens(root);
        }
        download
    });
    let kind = |file: carbonfiles::files::BatchFile<_>| match file.outcome {
        FileOutcome::Failed(error) => Some(error.kind()),
        _ => None,
    };
    within(down.send()).await.unwrap().files.into_iter().map(kind).collect()
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_becomes_a_link_on_the_way_leads_no_file_out() {
    for while_asked_for in [false, true] {
        let around = tempfile::tempdir().unwrap();
        let (folder, outside) = (around.path().join("folder"), around.path().join("outside"));
        fs::create_dir(&outside).unwrap();
        let happens = |folder: &Path| {
            fs::rename(folder.join("d"), folder.join("before")).unwrap();
            std::os::unix::fs::symlink("../outside", folder.join("d")).unwrap();
        };
        let kinds = downloaded_while(happens, &folder, while_asked_for).await;
        assert_eq!(kinds, [None, Some(ErrorKind::Io)], "{while_asked_for}");
        assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
        assert_eq!(read_folder(&folder.join("before")).into_keys().collect::<Vec<_>>(), ["a"]);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_is_gone_on_the_way_is_made_again() {
    for while_asked_for in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        // As another process does whose sync deletes what it takes for extra.
        let happens = |folder: &Path| fs::remove_dir_all(folder.join("d")).unwrap();
        let kinds = downloaded_while(happens, folder.path(), while_asked_for).await;
        assert_eq!(kinds, [None, None], "{while_asked_for}");
        assert_eq!(read_folder(folder.path()).into_keys().collect::<Vec<_>>(), ["d/b"]);
    }
}

#[tokio::test]
async fn what_is_named_like_a_part_is_told_as_skipped_both_ways() {
    let parts = ["deep/x.0123456789abcdef.carbonfiles.part", "x.0123456789abcdef-once.carbonfiles.part.json"];
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    for name in parts.into_iter().chain(["good", "x.carbonfiles.part"]) {
        bucket.file(name).upload(name.as_bytes().to_vec()).await.unwrap();
    }
    let told = parts.map(|name| (name, Skipped::Part));
    let down = bucket.files().download_dir(folder.path()).await.unwrap();
    assert_eq!(down.skipped().collect::<Vec<_>>(), told);
    assert_eq!(down.into_result().unwrap().len(), 2);
    assert_eq!(read_folder(folder.path()).into_keys().collect::<Vec<_>>(), ["good", "x.carbonfiles.part"]);
    // What is not meant is not told.
    let down = bucket.files().download_dir(folder.path()).exclude("deep").include("**/*.part").await.unwrap();
    assert_eq!(down.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["x.carbonfiles.part"]);

    fs::create_dir(folder.path().join("deep")).unwrap();
    parts.iter().for_each(|name| fs::write(folder.path().join(name), "a part").unwrap());
    let up = bucket.files().upload_dir(folder.path()).prefix("up").await.unwrap();
    let skipped: Vec<_> = up.skipped().map(|(path, why)| (path.trim_start_matches("up/"), why)).collect();
    assert_eq!(skipped, told);
    assert_eq!(up.into_result().unwrap().len(), 2);
}

#[cfg(unix)]
#[tokio::test]
async fn what_has_become_a_link_or_a_pipe_since_the_folder_was_looked_through_is_not_opened() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "s").unwrap();
    for symlinks in [Symlinks::Skip, Symlinks::Refuse, Symlinks::Follow] {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("d")).unwrap();
        ["a", "b", "c", "d/secret"].iter().for_each(|name| std::fs::write(at(name), "x").unwrap());
        let upload = bucket.files().upload_dir(folder.path()).symlinks(symlinks).concurrency(1);
        let mut files = upload.on_failure(OnFailure::GoOn).stream().await.unwrap();
        assert!(matches!(files.next().await.unwrap().outcome, FileOutcome::Done(_)));
        ["b", "c"].iter().for_each(|name| std::fs::remove_file(at(name)).unwrap());
        std::os::unix::fs::symlink(outside.path().join("secret"), at("b")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(at("c")).status().unwrap().success());
        std::fs::remove_dir_all(at("d")).unwrap();
        std::os::unix::fs::symlink(outside.path(), at("d")).unwrap();
        for _ in ["b", "c", "d/secret"] {
            let file = support::within(files.next()).await.unwrap();
            let FileOutcome::Failed(error) = &file.outcome else { panic!("{file:?}") };
            assert!(error.is_invalid_input(), "{error}");
        }
    }
    assert_eq!(bucket.files().list_all().items().count().await, 1);
}

//! Plans: data that is kept, and carried out later.

use carbonfiles::sync::Reported;

use super::*;

#[tokio::test]
async fn a_plan_is_data_and_can_be_carried_out_later() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &tree(&[("a", "1"), ("b", "2")]));
    fill(&bucket, &tree(&[("c", "3"), ("d", "4")])).await;
    let sync = || bucket.files().sync_up(folder.path());
    let plan = sync().delete_extra(true).plan().await.unwrap();
    let json = serde_json::to_string(&plan).unwrap();
    assert!(json.contains(r#"{"action":"copy","path":"a","size":1,"replaces":false}"#), "{json}");
    let mut plan: SyncPlan = serde_json::from_str(&json).unwrap();
    plan.actions.retain(|action| !matches!(action.path(), "b" | "d"));

    assert!(sync().apply(plan.clone()).await.unwrap_err().is_invalid_input(), "it deletes, and nobody said so");
    assert!(sync().delete_extra(true).prefix("x").apply(plan.clone()).await.unwrap_err().is_invalid_input());
    let down = bucket.files().sync_down(folder.path()).delete_extra(true);
    assert!(down.apply(plan.clone()).await.unwrap_err().is_invalid_input());
    assert_eq!(support::totals(sync().delete_extra(true).apply(plan).await.unwrap()), (1, 1));
    assert_eq!(stored(&bucket).await, tree(&[("a", "1"), ("d", "4")]));
}

#[tokio::test]
async fn what_the_filters_leave_out_stays_whatever_the_plan_says() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let (folder, cache) = (tempfile::tempdir().unwrap(), "hashes.json");
    write(folder.path(), &tree(&[("new", "1"), (cache, "{}")]));
    fill(&bucket, &tree(&[("extra", "2")])).await;
    let (up, down) = (|| bucket.files().sync_up(folder.path()), || bucket.files().sync_down(folder.path()));
    let (to_bucket, to_folder) =
        (up().delete_extra(true).plan().await.unwrap(), down().delete_extra(true).plan().await.unwrap());
    assert_eq!(lines(&to_bucket), ["-extra", "+hashes.json", "+new"]);
    assert_eq!(lines(&to_folder), ["+extra", "-hashes.json", "-new"]);
    server.clear_requests();
    let refused = |error: carbonfiles::Error, name: &str| {
        assert!(error.is_invalid_input() && error.message().contains(name), "{error}");
    };
    let up = || up().delete_extra(true).apply(to_bucket.clone());
    let down = || down().delete_extra(true).apply(to_folder.clone());
    refused(up().exclude("extra").await.unwrap_err(), "extra");
    refused(up().filter(|name| name != "new").await.unwrap_err(), "new");
    refused(up().include("a***").await.unwrap_err(), "a***");
    refused(up().hash_cache(folder.path().join(cache)).await.unwrap_err(), cache);
    refused(down().include("extra").await.unwrap_err(), cache);
    refused(down().hash_cache(folder.path().join(cache)).await.unwrap_err(), cache);
    assert!(server.requests().is_empty());
    assert_eq!(read(folder.path()), tree(&[("new", "1"), (cache, "{}")]));
    // Filters that leave nothing of it out are no reason.
    assert_eq!(support::totals(up().exclude("other").await.unwrap()), (2, 1));
}

/// Tests run in the folder of the crate.
#[tokio::test]
async fn an_empty_folder_is_the_one_that_the_program_is_in() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let up = bucket.files().upload_dir("").include("Cargo.toml").exclude("target");
    assert_eq!(up.await.unwrap().into_result().unwrap().len(), 1);
    let (up, down) = (bucket.files().sync_up(""), bucket.files().sync_down(""));
    for plan in
        [up.include("Cargo.*").exclude("target").plan().await, down.include("Cargo.*").exclude("target").plan().await]
    {
        let plan = plan.unwrap();
        assert_eq!(plan.unchanged, 1, "{plan:?}");
    }
    let shown = [
        format!("{:?}", bucket.files().download_dir("")),
        #[cfg(feature = "zip")]
        format!("{:?}", bucket.zip().unpack("")),
    ];
    assert!(shown.iter().all(|shown| shown.contains("folder: \".\"")), "{shown:?}");
}

#[tokio::test]
async fn a_plan_that_leads_outside_does_not() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let around = tempfile::tempdir().unwrap();
    let folder = around.path().join("in");
    write(&folder, &tree(&[("x", "x")]));
    write(around.path(), &tree(&[("secret", "s")]));
    let hostile = |direction: &str, actions: &str| -> SyncPlan {
        let json = format!(r#"{{"direction":"{direction}","prefix":"","actions":[{actions}],"unchanged":0}}"#);
        serde_json::from_str(&json).unwrap()
    };
    let (copy, delete) = (
        r#"{"action":"copy","path":"../secret","size":1,"replaces":false}"#,
        r#"{"action":"delete","path":"../secret"}"#,
    );
    let endless = copy.replace(":1,", ":18446744073709551615,");
    assert_eq!(hostile("up", &format!("{endless},{copy}")).bytes(), u64::MAX);
    for actions in [copy, delete] {
        let up = bucket.files().sync_up(&folder).delete_extra(true).apply(hostile("up", actions)).await.unwrap();
        assert!(up.into_result().unwrap_err().is_invalid_input());
        let down = bucket.files().sync_down(&folder).delete_extra(true).apply(hostile("down", actions)).await.unwrap();
        assert!(down.into_result().unwrap_err().is_invalid_input());
    }
    assert_eq!(read(around.path()), tree(&[("in/x", "x"), ("secret", "s")]));
    assert!(stored(&bucket).await.is_empty());
}

#[cfg(unix)]
#[tokio::test]
async fn a_plan_does_not_lead_outside_by_a_link_either() {
    use std::os::unix::fs::symlink;
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(folder.path(), &tree(&[("x", "x")]));
    write(outside.path(), &tree(&[("secret", "s")]));
    symlink(outside.path(), folder.path().join("link")).unwrap();
    symlink("x", folder.path().join("to-x")).unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(pipe).status().unwrap().success());
    let plan = |direction: &str, action: &str| -> SyncPlan {
        let json = format!(r#"{{"direction":"{direction}","prefix":"","actions":[{action}],"unchanged":0}}"#);
        serde_json::from_str(&json).unwrap()
    };
    // A pipe that nobody writes to would never be open.
    for path in ["link/secret", "link", "pipe"] {
        let up = plan("up", &format!(r#"{{"action":"copy","path":"{path}","size":1,"replaces":false}}"#));
        let up = support::within(bucket.files().sync_up(folder.path()).apply(up).send()).await.unwrap();
        assert!(up.into_result().unwrap_err().is_invalid_input(), "{path}");
    }
    assert!(stored(&bucket).await.is_empty());
    for path in ["link/secret", "to-x"] {
        let down = plan("down", &format!(r#"{{"action":"delete","path":"{path}"}}"#));
        let down = bucket.files().sync_down(folder.path()).delete_extra(true).apply(down).await.unwrap();
        assert_eq!(down.into_result().unwrap_err().kind(), ErrorKind::Io, "{path}");
        assert!(folder.path().join(path).symlink_metadata().is_ok(), "{path}");
    }
}

#[tokio::test]
async fn a_file_that_is_gone_when_a_plan_is_carried_out_is_told_as_such() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &tree(&[("a", "1")]));
    let sync = || bucket.files().sync_up(folder.path());
    let plan = sync().plan().await.unwrap();
    fs::remove_file(folder.path().join("a")).unwrap();
    let error = sync().apply(plan).await.unwrap().into_result().unwrap_err();
    assert!(error.is_invalid_input() && error.message().contains("can't be read"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_no_file_is_told_where_a_file_of_its_name_would_be_meant() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &tree(&[("a.md", "1")]));
    let _sockets =
        ["b.md", "socket"].map(|name| std::os::unix::net::UnixListener::bind(folder.path().join(name)).unwrap());
    let sync = || bucket.files().sync_up(folder.path());
    assert_eq!(lines(&sync().plan().await.unwrap()), ["+a.md", "?b.md", "?socket"]);
    assert_eq!(lines(&sync().include("*.md").plan().await.unwrap()), ["+a.md", "?b.md"]);
    assert_eq!(support::totals(sync().include("a*").await.unwrap()), (1, 0));
}

#[tokio::test]
async fn what_is_named_like_a_part_is_told_and_neither_copied_nor_deleted() {
    let part = "deep/x.0123456789abcdef.carbonfiles.part";
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    fill(&bucket, &tree(&[(part, "1"), ("extra", "2")])).await;
    let (up, down) = (|| bucket.files().sync_up(folder.path()), || bucket.files().sync_down(folder.path()));
    // Nothing is to be done to it there.
    assert_eq!(lines(&up().plan().await.unwrap()), [format!("~{part}"), "~extra".into()]);
    assert_eq!(lines(&up().delete_extra(true).plan().await.unwrap()), [format!("?{part}"), "-extra".into()]);
    assert_eq!(lines(&down().include("**/*.part").plan().await.unwrap()), [format!("?{part}")]);
    assert_eq!(lines(&down().exclude("deep").plan().await.unwrap()), ["+extra"]);

    // Nor to what a download has left here, of which there is nothing to tell.
    let own = "x.fedcba9876543210.carbonfiles.part";
    write(folder.path(), &tree(&[(part, "3"), (own, "4")]));
    let done = down().delete_extra(true).await.unwrap();
    let [Reported { path, reason, .. }] = &done.reported[..] else { panic!("{:?}", done.reported) };
    assert!(path == part && reason.contains("named as parts of downloads"), "{reason}");
    assert_eq!(done.copied.done().count(), 1);
    assert_eq!(read(folder.path()), tree(&[(part, "3"), (own, "4"), ("extra", "2")]));
    assert_eq!(done.into_result().unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(stored(&bucket).await, tree(&[(part, "1"), ("extra", "2")]));
}

#[tokio::test]
async fn an_empty_folder_makes_way_for_a_file_and_any_other_is_told() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let made = || {
        fs::create_dir_all(at("in/empty")).unwrap();
        fs::create_dir_all(at("nest/deep")).unwrap();
        write(folder.path(), &tree(&[("logs/kept.log", "k"), ("full/x", "x")]));
    };
    let files = tree(&[("new", "1"), ("in/empty", "2"), ("nest", "3"), ("logs", "4"), ("full", "5")]);
    fill(&bucket, &files).await;
    made();
    let sync = || bucket.files().sync_down(folder.path()).exclude("**/*.log").delete_extra(true);
    let plan = sync().plan().await.unwrap();
    assert_eq!(lines(&plan), ["?full", "?full/x", "+in/empty", "?logs", "?nest", "+new"]);

    // What fails leaves it, and so does who forbids it.
    server.inject(Fault::status(403).on("GET", "empty/content"));
    let failed = sync().on_failure(OnFailure::GoOn).await.unwrap();
    assert_eq!(failed.copied.failed().map(|(path, _)| path).collect::<Vec<_>>(), ["in/empty"]);
    assert!(at("in/empty").is_dir());
    let failed = sync().each(|_, download| download.overwrite(false)).await.unwrap();
    assert!(failed.copied.failed().count() == 1 && at("in/empty").is_dir());
    // Nor is it taken for empty because it was.
    fs::write(at("in/empty/late"), "late").unwrap();
    server.clear_requests();
    let late = sync().apply(plan).await.unwrap();
    let (path, error) = late.copied.failed().next().unwrap();
    assert!(path == "in/empty" && error.message().contains("a folder that is not empty"), "{error}");
    assert!(!server.requests().iter().any(|request| request.path.contains("empty")), "it is not even asked for");
    fs::remove_file(at("in/empty/late")).unwrap();

    let done = sync().await.unwrap();
    let reported: Vec<_> = done.reported.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(reported, ["full", "full/x", "logs", "nest"]);
    assert!(done.reported.iter().all(|file| file.reason.contains("both a file and a folder")), "{:?}", done.reported);
    assert_eq!(done.copied.done().map(|(path, _)| path).collect::<Vec<_>>(), ["in/empty"]);
    let left = tree(&[("new", "1"), ("in/empty", "2"), ("logs/kept.log", "k"), ("full/x", "x")]);
    assert_eq!(read(folder.path()), left);
    assert!(at("nest/deep").is_dir());
    // A download by itself never removes a folder.
    fs::create_dir(at("alone")).unwrap();
    assert!(bucket.file("new").download_to(at("alone")).await.unwrap_err().is_invalid_input());
}

#[tokio::test]
async fn a_folder_in_another_spelling_of_a_file_is_told_too() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &tree(&[("Logs/kept.log", "k"), ("other/kept.log", "k")]));
    fs::create_dir(folder.path().join("Empty")).unwrap();
    fill(&bucket, &tree(&[("logs", "1"), ("empty", "2"), ("new", "3")])).await;
    let sync = || bucket.files().sync_down(folder.path()).exclude("**/*.log");
    assert_eq!(lines(&sync().plan().await.unwrap()), ["?Logs", "+empty", "?logs", "+new"]);
    assert_eq!(lines(&sync().case_sensitive(true).plan().await.unwrap()), ["+empty", "+logs", "+new"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_too_deep_is_reported_by_the_plan() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &tree(&[("a", "1"), (&("d/".repeat(300) + "x"), "2")]));
    let plan = bucket.files().sync_up(folder.path()).plan().await.unwrap();
    let [SyncAction::Copy { path, .. }, SyncAction::Report { reason, .. }] = &plan.actions[..] else {
        panic!("{plan:?}")
    };
    assert!(path == "a" && reason.contains("256 folders deep"), "{reason}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_path_that_could_never_be_asked_for_is_reported_by_the_plan() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let folder = tempfile::tempdir().unwrap();
    let long = vec!["日".repeat(80); 11].join("/");
    write(folder.path(), &tree(&[("a", "1"), (&long, "2")]));
    let prefixed = bucket.files().sync_up(folder.path()).prefix("日".repeat(80));
    assert_eq!(lines(&prefixed.plan().await.unwrap()), ["+a".to_owned(), format!("?{long}")]);
    assert_eq!(support::totals(bucket.files().sync_up(folder.path()).await.unwrap()), (2, 0));
}

/// Between the look at the folder and the reading of a file, it may become something else.
#[cfg(unix)]
#[tokio::test]
async fn what_became_a_link_before_it_was_hashed_is_not_followed() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::NamedTempFile::new().unwrap());
    let files = tree(&[("a", "content")]);
    write(folder.path(), &files);
    fs::write(outside.path(), "content").unwrap();
    fill(&bucket, &files).await;
    // The folder is looked at first, then the bucket.
    let held = server.inject(Fault::stall_headers().on("GET", "delimiter"));
    let plan = tokio::spawn(bucket.files().sync_up(folder.path()).plan());
    support::within(held.fired_at_least(1)).await;
    fs::remove_file(folder.path().join("a")).unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("a")).unwrap();
    held.release();
    let plan = support::within(plan).await.unwrap().unwrap();
    assert_eq!(lines(&plan), ["?a"], "what is behind the link is not compared");
}

/// Of a hundred thousand files it takes a while, in which others have their turns.
#[test]
fn a_plan_is_not_made_where_others_wait() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let server = server().await;
        let bucket = bucket(&admin(&server)).await;
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &tree(&[("a", "1")]));
        let held = server.inject(Fault::stall_headers().on("GET", "delimiter"));
        let mut plan = Box::pin(support::within(bucket.files().sync_up(folder.path()).plan()));
        tokio::select! {
            done = &mut plan => panic!("{done:?}"),
            () = held.fired_at_least(1) => {}
        }
        // From here on the only thread for what blocks has something else to do.
        let (free, taken) = std::sync::mpsc::channel::<()>();
        let job = tokio::task::spawn_blocking(move || taken.recv());
        held.release();
        for _ in 0..20 {
            tokio::select! {
                done = &mut plan => panic!("made by the thread of the runtime: {done:?}"),
                other = bucket.get() => drop(other.unwrap()),
            }
        }
        free.send(()).unwrap();
        assert_eq!(lines(&plan.await.unwrap()), ["+a"]);
        job.await.unwrap().unwrap();
    });
}

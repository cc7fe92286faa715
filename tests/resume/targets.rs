//! What stands at a target or beside it, and whose it is.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};

use super::*;

fn uid(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().uid()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn what_another_user_has_left_beside_the_target_never_becomes_it() {
    const OTHER: u32 = 54_321;
    let scene = Scene::new(5 * MIB).await;
    let us = uid(scene.target.parent().unwrap());
    let probe = tempfile::NamedTempFile::new().unwrap();
    if chown(probe.path(), Some(OTHER), None).is_err() {
        // Only root may give files away.
        return;
    }
    // Of a content that is still there, and of one that isn't: then what was found would be written over.
    for source in [scene.bucket.file("other"), scene.file.clone()] {
        source.upload(scene.data.clone()).await.unwrap();
        scene.interrupted(3 * MIB as u64).await;
        let left = beside(&scene.target);
        let before = left.iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>();
        left.iter().for_each(|path| chown(path, Some(OTHER), None).unwrap());
        let done = source.download_to(&scene.target).await.unwrap();
        assert_eq!((done.resumed, uid(&scene.target)), (0, us));
        assert!(fs::read(&scene.target).unwrap() == scene.data);
        assert!(!discard_partial(&scene.target).await.unwrap());
        assert_eq!(beside(&scene.target), left, "nothing more, and nothing less");
        assert!(left.iter().zip(before).all(|(path, before)| uid(path) == OTHER && fs::read(path).unwrap() == before));
        left.iter().chain([&scene.target]).for_each(|path| fs::remove_file(path).unwrap());
    }
    // The part alone: its record is ours, and goes.
    for discard in [false, true] {
        scene.interrupted(3 * MIB as u64).await;
        let part = beside(&scene.target)[0].clone();
        chown(&part, Some(OTHER), None).unwrap();
        match discard {
            true => assert!(discard_partial(&scene.target).await.unwrap()),
            false => {
                assert_eq!(scene.file.download_to(&scene.target).await.unwrap().resumed, 0);
                assert_eq!(uid(&scene.target), us);
                fs::remove_file(&scene.target).unwrap();
            }
        }
        assert_eq!((beside(&scene.target), uid(&part)), (vec![part.clone()], OTHER));
        fs::remove_file(part).unwrap();
    }
}

#[tokio::test]
async fn a_pipe_in_the_place_of_a_target_stays_one() {
    let scene = Scene::new(2 * MIB).await;
    assert!(std::process::Command::new("mkfifo").arg(&scene.target).status().unwrap().success());
    let link = scene.target.with_file_name("link");
    std::os::unix::fs::symlink(&scene.target, &link).unwrap();
    let name = "ü %+#?.bin";
    scene.bucket.file(name).upload(&b"x"[..]).await.unwrap();
    for error in [
        scene.file.download_to(&scene.target).await.unwrap_err(),
        scene.file.download_to(&scene.target).parallel(2).await.unwrap_err(),
        scene.file.download_to(&link).await.unwrap_err(),
        scene.bucket.zip().download_to(&scene.target).await.unwrap_err(),
    ] {
        assert!(error.is_invalid_input(), "{error:?}");
        assert!(error.message().ends_with("is no file"), "{error:?}");
    }
    let folder = scene.target.parent().unwrap();
    let batch = scene.bucket.files().download_dir(folder).await.unwrap();
    assert_eq!(batch.failed().map(|(path, _)| path.to_owned()).collect::<Vec<_>>(), [name]);
    #[cfg(feature = "zip")]
    assert_eq!(scene.bucket.zip().unpack(folder).await.unwrap_err().kind(), ErrorKind::Io);
    assert!(scene.target.symlink_metadata().unwrap().file_type().is_fifo() && link.is_symlink());
}

#[tokio::test]
async fn a_file_that_is_replaced_keeps_its_permissions() {
    let scene = Scene::new(10).await;
    let bucket = &scene.bucket;
    for name in ["secret", "script"] {
        bucket.file(name).upload(&b"new"[..]).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let (secret, script) = (folder.path().join("secret"), folder.path().join("script"));
    let old = || {
        for (path, mode) in [(&secret, 0o600), (&script, 0o755)] {
            fs::write(path, "older").unwrap();
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
    };
    let check = |how: &str| {
        assert_eq!((mode(&secret), mode(&script)), (0o600, 0o755), "{how}");
        assert!([&secret, &script].iter().all(|path| fs::read(path).unwrap() == b"new"), "{how}");
    };
    old();
    for path in [&secret, &script] {
        bucket.file(path.file_name().unwrap().to_str().unwrap()).download_to(path).await.unwrap();
    }
    check("download_to");
    old();
    bucket.files().download_dir(folder.path()).await.unwrap().into_result().unwrap();
    check("download_dir");
    old();
    bucket.files().sync_down(folder.path()).await.unwrap().into_result().unwrap();
    check("sync_down");
    #[cfg(feature = "zip")]
    {
        old();
        bucket.zip().unpack(folder.path()).await.unwrap();
        check("unpack");
    }
    // A link is replaced itself, and what it leads to says nothing.
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&script, &link).unwrap();
    bucket.file("secret").download_to(&link).await.unwrap();
    assert_eq!((link.is_symlink(), mode(&link)), (false, mode(&folder.path().join("docs/ü %+#?.bin"))));
}

#[tokio::test]
async fn a_part_whose_record_would_be_too_long_leaves_nothing() {
    let data = pattern(5 * MIB);
    let etag = format!("\"{}\"", "v".repeat(100 << 10));
    let server = RawServer::start({
        let data = data.clone();
        move |_| {
            let mut cut = answer(200, &format!("ETag: {etag}\r\n"), &data);
            cut.truncate(cut.len() - 3 * MIB);
            Answer::ThenClose(cut)
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("x");
    let file = builder(&server.url).build().unwrap().bucket("b").file("x");
    for _ in 0..2 {
        let error = within(file.download_to(&target).retry(RetryPolicy::never())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{error:?}");
        assert!(beside(&target).is_empty());
    }
}

#[tokio::test]
async fn what_comes_in_the_place_of_a_private_file_is_private_all_along() {
    let scene = Scene::new(5 * MIB).await;
    fs::write(&scene.target, "old").unwrap();
    let interrupted = async |after: u64| {
        scene.server.inject(Fault::close_response_after(after).on("GET", CONTENT));
        scene.file.download_to(&scene.target).retry(RetryPolicy::never()).await.unwrap_err();
        mode(&beside(&scene.target)[0]) & 0o077
    };
    for (old, others) in [(0o600, 0), (0o640, 0), (0o644, 0o044)] {
        fs::set_permissions(&scene.target, Permissions::from_mode(old)).unwrap();
        assert_eq!(interrupted(2 * MIB as u64).await, others, "{old:o}");
        if others == 0 {
            discard_partial(&scene.target).await.unwrap();
        }
    }
    // That one was begun when everybody could read the target.
    fs::set_permissions(&scene.target, Permissions::from_mode(0o640)).unwrap();
    assert_eq!(interrupted(MIB as u64).await, 0);
    assert!(scene.file.download_to(&scene.target).await.unwrap().resumed > 0);
    assert_eq!(mode(&scene.target), 0o640);
}

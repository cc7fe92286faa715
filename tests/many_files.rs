//! Ten thousand files with few file descriptors. Alone in its process, whose limit it lowers.

#![cfg(unix)]

mod support;

use std::fs;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use support::{admin, bucket, server};

#[tokio::test]
async fn ten_thousand_files_do_not_exhaust_file_descriptors() {
    const FILES: usize = 10_000;
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for n in 0..FILES {
        let folder = from.path().join(format!("{}", n % 100));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{n}")), format!("content {}", n % 9000)).unwrap();
    }
    // Server and client are in here: both ends of each connection, a file for each, and what the runtime has.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 80, hard).unwrap();
    let up = bucket.files().upload_dir(from.path()).await.unwrap();
    assert_eq!(up.into_result().unwrap().len(), FILES);
    let down = bucket.files().download_dir(to.path()).await.unwrap();
    assert_eq!(down.into_result().unwrap().len(), FILES);
    for n in [0, 99, 9_999] {
        let content = fs::read_to_string(to.path().join(format!("{}/{n}", n % 100))).unwrap();
        assert_eq!(content, format!("content {}", n % 9000));
    }
}

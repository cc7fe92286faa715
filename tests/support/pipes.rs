//! Pipes with a name.

use std::path::{Path, PathBuf};

use tokio::net::unix::pipe::{OpenOptions, Sender};

use super::within;

pub(crate) fn fifo(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

/// Opens a pipe for writing, which is refused until somebody has opened it for reading.
pub(crate) async fn writer(path: &Path) -> Sender {
    within(async {
        loop {
            match OpenOptions::new().open_sender(path) {
                Ok(sender) => return sender,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await
}

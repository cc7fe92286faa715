//! A file to file_storage and back: in one request, or in parts that survive a restart.
//!
//! ```console
//! FILE_STORAGE_URL=https://app.example.com FILE_STORAGE_TOKEN=smpat_… cargo run --example file_storage --features file-storage -- FILE
//! … -- --parts FILE          # in parts; after Ctrl-C it says how to go on
//! … -- --resume ID FILE      # goes on
//! ```
//!
//! Without a service of your own, start the real one on this machine: `tests/file_storage/host.sh up target/file-storage/host`,
//! then `. target/file-storage/host/env` and take `FILE_STORAGE_TEST_DISK` and `FILE_STORAGE_TEST_DISK_TOKEN`.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::process::ExitCode;

use carbonfiles::Progress;
use carbonfiles::file_storage::Client;
use carbonfiles::file_storage::models::StoredFile;
use futures::TryStreamExt;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

type Failure = Box<dyn StdError + Send + Sync>;

const USAGE: &str = "usage: file_storage [--parts | --resume ID] FILE
FILE_STORAGE_URL names the service; FILE_STORAGE_TOKEN, or FILE_STORAGE_EMAIL and FILE_STORAGE_PASSWORD, the credential.";

enum How {
    AtOnce,
    InParts,
    Resume(String),
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    let how = match arguments.next_if(|argument| argument.starts_with("--")).as_deref() {
        None => Some(How::AtOnce),
        Some("--parts") => Some(How::InParts),
        Some("--resume") => arguments.next().map(How::Resume),
        Some(_) => None,
    };
    let (Some(how), Some(path), None) = (how, arguments.next(), arguments.next()) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(how, path.into()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(how: How, path: PathBuf) -> Result<(), Failure> {
    let client = Client::from_env()?;
    let bar = ProgressBar::new(0)
        .with_style(ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {msg}")?);
    let stored = tokio::select! {
        stored = upload(&client, how, path, &bar) => stored?,
        _ = tokio::signal::ctrl_c() => return Err("interrupted".into()),
    };
    bar.finish_and_clear();
    println!("uploaded   {:?} as {}, {}", stored.filename, stored.id, HumanBytes(stored.size_bytes));
    println!(
        "SHA-256    {}",
        stored.checksum_sha256.as_deref().unwrap_or("(the service has none of an upload in parts)")
    );

    let file = client.file(&stored.id);
    let link = file.set_public(true).await?.public_link(&client);
    println!("public     {}", link.map_or_else(|| "no".into(), String::from));

    let mut newest = client.files().list_all().search(&stored.filename).items();
    while let Some(found) = newest.try_next().await? {
        println!("listed     {} {:?} {:?}", found.id, found.filename, found.created_at);
    }

    let target = std::env::temp_dir().join(format!("{}.download", stored.id));
    let done = file.download_to(&target).await?;
    println!("downloaded {} bytes, compared by SHA-256: {}", done.size, done.verified_sha256.is_some());
    tokio::fs::remove_file(&target).await?;

    file.delete().await?;
    println!("deleted");
    Ok(())
}

async fn upload(client: &Client, how: How, path: PathBuf, bar: &ProgressBar) -> Result<StoredFile, Failure> {
    let show = |progress: Progress| {
        bar.set_length(progress.total.unwrap_or(0));
        bar.set_position(progress.sent);
        bar.set_message(format!("{:?}", progress.phase));
    };
    Ok(match how {
        How::AtOnce => client.files().upload(path).progress(show).await?,
        How::InParts => {
            let tell =
                |id: &str| bar.suspend(|| println!("session    {id}: once interrupted, go on with --resume {id}"));
            let upload = client.uploads().upload(path).on_opened(|session| tell(&session.id));
            upload.progress(show).await?.file
        }
        How::Resume(id) => {
            let done = client.upload_session(id).resume(path).progress(show).await?;
            bar.suspend(|| println!("{} were missing, compared by {:?}", HumanBytes(done.sent), done.checked));
            done.file
        }
    })
}

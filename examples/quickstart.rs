//! A tour in one minute: a bucket, an upload with a progress bar, a listing, a download that is checked.
//!
//! ```console
//! cargo run --example quickstart             # on a server inside this process, with this program as the file
//! cargo run --example quickstart -- FILE     # with a file of yours
//! CARBONFILES_URL=https://files.example.com CARBONFILES_TOKEN=cf4_… cargo run --example quickstart
//! ```

#[allow(dead_code, reason = "each example uses a part of it")]
mod common;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use carbonfiles::{Bucket, Client, FilePath};
use common::{Argument, Arguments, Failure, Service};
use futures::TryStreamExt;
use indicatif::HumanBytes;

const USAGE: &str = "\
usage: quickstart [FILE]

Uploads FILE (or this program) to a new bucket, lists it, downloads and checks it, and deletes the bucket.
CARBONFILES_URL and CARBONFILES_TOKEN name a server; without them, one is started in this process.";

#[tokio::main]
async fn main() -> ExitCode {
    common::exit(run().await)
}

async fn run() -> Result<(), Failure> {
    let Some(path) = file_to_upload()? else {
        println!("{USAGE}");
        return Ok(());
    };

    let service = match Service::from_env()? {
        Some(service) => service,
        None => Service::in_process().await?,
    };
    let client = &service.client;
    match service.in_process {
        Some(_) => say("server", format!("{}, started in this process", client.base_url())),
        None => say("server", format!("{}, from CARBONFILES_URL", client.base_url())),
    }
    service.check_token().await?;

    let created = client
        .buckets()
        .create("quickstart")
        .description("Made by the quickstart example")
        .expires("1h") // in case that it can't be deleted below
        .await?;
    say("bucket", format!("{} created, named {:?}", created.id, created.name));

    let bucket = client.bucket(&created.id);
    let outcome = tokio::select! {
        outcome = upload_and_download(client, &bucket, &path) => outcome,
        interrupted = common::interrupted() => Err(interrupted),
    };
    // Whatever happened, nothing is left behind.
    let deleted = bucket.delete().timeout(Duration::from_secs(10)).await;
    outcome?;
    deleted?;
    say("cleaned up", format!("bucket {} deleted, with its file", created.id));
    Ok(())
}

async fn upload_and_download(client: &Client, bucket: &Bucket, path: &Path) -> Result<(), Failure> {
    let files = bucket.files();

    // The name in the bucket comes from the path; `files["docs/a.txt"].upload(…)` chooses one.
    let bar = common::bar(FilePath::from_local_name(path)?.as_str());
    let start = Instant::now();
    let uploaded = files.upload(path).progress(|progress| common::show(&bar, progress)).await?;
    let seconds = start.elapsed().as_secs_f64();
    say("uploaded", format!("{}, {} in {seconds:.2} s", uploaded.path, HumanBytes(uploaded.size)));
    say("", format!("SHA-256 {}", uploaded.sha256.as_deref().unwrap_or("unknown")));

    let file = files.file(&uploaded.path);
    say("links", file.url()?);
    if let Some(short) = uploaded.short_link(client) {
        say("", short);
    }

    let mut listing = files.list_all().items();
    while let Some(found) = listing.try_next().await? {
        say("listed", format!("{}, {}, {}", found.path, HumanBytes(found.size), found.mime_type));
    }

    let folder = tempfile::tempdir()?;
    let bar = common::bar(&uploaded.name);
    let start = Instant::now();
    let target = folder.path().join("downloaded");
    let downloaded = file.download_to(target).progress(|progress| common::show(&bar, progress)).await?;
    let seconds = start.elapsed().as_secs_f64();
    say("downloaded", format!("{} to {} in {seconds:.2} s", HumanBytes(downloaded.size), downloaded.path.display()));

    // The download was compared with the hash of the server on the way. Is it that of the upload?
    if downloaded.verified_sha256.is_none() || downloaded.verified_sha256 != uploaded.sha256 {
        return Err("the downloaded file is not the uploaded one".into());
    }
    say("verified", "the SHA-256 of the downloaded file is that of the uploaded one");
    Ok(())
}

fn say(what: &str, text: impl std::fmt::Display) {
    println!("{what:<11} {text}");
}

/// The argument, or this program; `None` where help is wanted.
fn file_to_upload() -> Result<Option<PathBuf>, Failure> {
    let mut arguments = Arguments::of_process();
    let mut files = Vec::new();
    while let Some(argument) = arguments.next() {
        match argument {
            Argument::Option(option) if option == "--help" || option == "-h" => return Ok(None),
            Argument::Option(option) => return Err(format!("there is no option {option}\n\n{USAGE}").into()),
            Argument::Plain(file) => files.push(file),
            Argument::Rest(rest) => files.extend(rest),
        }
    }
    match files.len() {
        0 => Ok(Some(std::env::current_exe()?)),
        1 => Ok(files.pop().map(PathBuf::from)),
        _ => Err(format!("one file at most; see the example `upload` for several\n\n{USAGE}").into()),
    }
}

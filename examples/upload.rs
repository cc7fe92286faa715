//! Uploads several files at once, with a bar for each and one for all.
//!
//! ```console
//! CARBONFILES_URL=https://files.example.com CARBONFILES_TOKEN=cf4_… cargo run --example upload -- FILE…
//! cargo run --example upload -- --demo FILE…
//! cargo run --example upload -- --demo --dir FOLDER
//! ```

#[allow(dead_code, reason = "each example uses a part of it")]
mod common;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use carbonfiles::files::OnFailure;
use carbonfiles::models::UploadedFile;
use carbonfiles::{Bucket, Client, FilePath, Files};
use common::{Argument, Arguments, Bars, Failure, Service};
use futures::{StreamExt, stream};
use indicatif::HumanBytes;

const USAGE: &str = "\
usage: upload [--bucket ID] [--demo] FILE…
       upload [--bucket ID] [--demo] --dir FOLDER

Uploads the files, or all files of a folder, several at once, and prints their links.
  --bucket ID  into this bucket; without it, a new one is created
  --demo       on a server inside this process, which forgets everything at the end
CARBONFILES_URL and CARBONFILES_TOKEN name the server and the credential.";

/// Uploads under way at any time.
const AT_ONCE: usize = 4;

#[tokio::main]
async fn main() -> ExitCode {
    common::exit(run().await)
}

async fn run() -> Result<(), Failure> {
    let Some(options) = Options::of_process()? else {
        println!("{USAGE}");
        return Ok(());
    };
    let jobs = jobs(options.files)?;
    let folder = options.folder;
    let service = Service::find(options.demo).await?;
    service.check_token().await?;

    let created = options.bucket.is_none();
    let bucket = bucket(&service.client, options.bucket).await?;
    let files = bucket.files();
    if let Some(folder) = folder {
        return upload_dir(&files, &folder).await;
    }
    let results = tokio::select! {
        results = upload_all(&files, jobs) => results,
        interrupted = common::interrupted() => {
            return Err(format!("{interrupted}; what was complete by then is in bucket {}", bucket.id()).into());
        }
    };

    let mut failed = 0;
    for (path, result) in &results {
        match result {
            Ok(done) => {
                let known = if done.deduplicated { ", known to the server before" } else { "" };
                println!("{:?} ({}{known})", done.path, HumanBytes(done.size));
                println!("  {}", files.file(&done.path).url()?);
                if let Some(short) = done.short_link(&service.client) {
                    println!("  {short}");
                }
            }
            Err(error) => {
                failed += 1;
                eprintln!("{}", path.display());
                common::tell(error);
            }
        }
    }
    if failed == results.len() && created {
        // Nobody needs an empty bucket. That the uploads failed is the news, whatever becomes of this.
        match bucket.delete().await {
            Ok(()) => println!("bucket {} deleted again", bucket.id()),
            Err(error) => common::tell(&error),
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(format!("{failed} of {} files were not uploaded", results.len()).into()),
    }
}

/// The bucket of an id, if it is there, or a new one.
async fn bucket(client: &Client, id: Option<String>) -> Result<Bucket, Failure> {
    let (id, name) = match id {
        Some(id) => {
            let there = client.bucket(id).get().await?;
            (there.id.clone(), there.name.clone())
        }
        None => {
            let created = client.buckets().create("uploads").await?;
            (created.id, created.name)
        }
    };
    println!("bucket {id} ({name})");
    Ok(client.bucket(id))
}

struct Job {
    local: PathBuf,
    name: FilePath,
}

/// What is to be done: each file under its own name, which no two may share.
fn jobs(files: Vec<PathBuf>) -> Result<Vec<Job>, Failure> {
    let mut names = HashMap::new();
    let mut jobs = Vec::new();
    for local in files {
        let name = FilePath::from_local_name(&local)?;
        if let Some(other) = names.insert(name.clone(), local.clone()) {
            let (a, b) = (other.display(), local.display());
            return Err(format!("{a} and {b} would both be stored as {name}: upload them to two buckets").into());
        }
        jobs.push(Job { local, name });
    }
    Ok(jobs)
}

/// Uploads everything; the results are in the order of the jobs. One that fails does not stop the others.
async fn upload_all(files: &Files, jobs: Vec<Job>) -> Vec<(PathBuf, carbonfiles::Result<UploadedFile>)> {
    let bars = Bars::new();
    for job in &jobs {
        // What can't be looked at can't be read either: the upload will say so.
        bars.expect(std::fs::metadata(&job.local).map_or(0, |found| found.len()));
    }
    let results = stream::iter(jobs).map(|job| upload(files, job, &bars)).buffered(AT_ONCE).collect().await;
    bars.finish();
    results
}

/// Uploads a folder, with one bar for all of it. What fails does not stop the others.
async fn upload_dir(files: &Files, folder: &Path) -> Result<(), Failure> {
    let bar = common::bar("total");
    let started = Instant::now();
    let upload = files.upload_dir(folder).on_failure(OnFailure::GoOn).cancel_when(tokio::signal::ctrl_c());
    let batch = upload
        .progress(|progress| {
            bar.set_length(progress.bytes_total.unwrap_or(progress.bytes));
            bar.set_position(progress.bytes);
            bar.set_message(format!("{} of {} files", progress.files, progress.files_total.unwrap_or(0)));
        })
        .await?;
    bar.finish_and_clear();
    for (path, error) in batch.failed() {
        eprintln!("{path:?}");
        common::tell(error);
    }
    for (path, why) in batch.skipped() {
        eprintln!("{path:?} was skipped: {why:?}");
    }
    let bytes = batch.done().map(|(_, file)| file.size).sum();
    let (done, seconds) = (batch.done().count(), started.elapsed().as_secs_f64());
    println!("{done} files, {} in {seconds:.2} s", HumanBytes(bytes));
    batch.into_result().map(drop).map_err(|error| format!("not everything was uploaded: {error}").into())
}

async fn upload(files: &Files, job: Job, bars: &Bars) -> (PathBuf, carbonfiles::Result<UploadedFile>) {
    let mut bar = bars.start(job.name.as_str());
    let result = files.upload(&job.local).named(&job.name).progress(|progress| bar.show(progress)).await;
    if result.is_err() {
        bar.fail();
    }
    (job.local, result)
}

struct Options {
    bucket: Option<String>,
    demo: bool,
    folder: Option<PathBuf>,
    files: Vec<PathBuf>,
}

impl Options {
    /// `None` where help is wanted.
    fn of_process() -> Result<Option<Self>, Failure> {
        let mut options = Self { bucket: None, demo: false, folder: None, files: Vec::new() };
        let mut arguments = Arguments::of_process();
        while let Some(argument) = arguments.next() {
            match argument {
                Argument::Option(option) => match option.as_str() {
                    "--help" | "-h" => return Ok(None),
                    "--demo" => options.demo = true,
                    "--dir" => options.folder = Some(arguments.value("--dir")?.into()),
                    "--bucket" => options.bucket = Some(common::text(arguments.value("--bucket")?)?),
                    _ => return Err(format!("there is no option {option}\n\n{USAGE}").into()),
                },
                Argument::Plain(file) => options.files.push(file.into()),
                Argument::Rest(rest) => options.files.extend(rest.into_iter().map(PathBuf::from)),
            }
        }
        if options.files.is_empty() != options.folder.is_some() {
            return Err(format!("name the files to upload, or one --dir\n\n{USAGE}").into());
        }
        if options.demo && options.bucket.is_some() {
            return Err("a --demo server is new, so it has no --bucket yet: leave one of them out".into());
        }
        Ok(Some(options))
    }
}

//! Keeps a local folder and a bucket equal, in one direction.
//!
//! ```console
//! CARBONFILES_URL=https://files.example.com CARBONFILES_TOKEN=cf4_… cargo run --example sync -- up FOLDER
//! cargo run --example sync -- up --demo FOLDER
//! ```

#[allow(dead_code, reason = "each example uses a part of it")]
mod common;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use carbonfiles::Files;
use carbonfiles::files::{BatchProgress, OnFailure};
use carbonfiles::sync::{SyncAction, SyncOutcome, SyncPlan};
use common::{Argument, Arguments, Failure, Service};
use indicatif::{HumanBytes, ProgressBar};

const USAGE: &str = "\
usage: sync up|down [OPTION]… FOLDER

Makes the bucket like the folder (up), or the folder like the bucket (down): only what differs is copied.
  --bucket ID    the bucket; without it, up creates a new one
  --prefix PATH  only this folder of the bucket
  --exclude GLOB leaves files out, on both sides; may be given several times
  --delete       deletes what only the other side has
  --cache FILE   remembers the hashes of local files here
  --dry-run      says what would be done, and does nothing
  --demo         on a server inside this process: up, up again, and down into FOLDER.copy
CARBONFILES_URL and CARBONFILES_TOKEN name the server and the credential.";

#[tokio::main]
async fn main() -> ExitCode {
    common::exit(run().await)
}

async fn run() -> Result<(), Failure> {
    let Some(options) = Options::of_process()? else {
        println!("{USAGE}");
        return Ok(());
    };
    let service = Service::find(options.demo).await?;
    service.check_token().await?;
    let id = match (&options.bucket, options.up) {
        (Some(id), _) => service.client.bucket(id).get().await?.id.clone(),
        (None, true) => service.client.buckets().create("sync").await?.id,
        (None, false) => return Err("name the bucket to sync from with --bucket".into()),
    };
    println!("bucket {id}");
    let files = service.client.bucket(id).files();
    if !options.demo {
        return sync(&files, &options).await;
    }
    let copy = beside(&options.folder)?;
    sync(&files, &options).await?;
    sync(&files, &options).await?;
    sync(&files, &Options { up: false, folder: copy, ..options }).await
}

/// The folder with `.copy` behind its name: beside it, also for `folder/` and `.`.
fn beside(folder: &Path) -> Result<PathBuf, Failure> {
    let folder = std::path::absolute(folder)?;
    let Some(name) = folder.file_name() else {
        return Err(format!("{} has no name that .copy could be put behind", folder.display()).into());
    };
    let mut copy = name.to_owned();
    copy.push(".copy");
    Ok(folder.with_file_name(copy))
}

async fn sync(files: &Files, options: &Options) -> Result<(), Failure> {
    let started = Instant::now();
    let bar = common::bar(if options.up { "up" } else { "down" });
    // The two directions are of different types, and take the same settings.
    macro_rules! sync {
        ($sync:expr) => {{
            let mut sync = $sync.prefix(&options.prefix).delete_extra(options.delete).on_failure(OnFailure::GoOn);
            sync = options.exclude.iter().fold(sync, |sync, glob| sync.exclude(glob));
            if let Some(cache) = &options.cache {
                sync = sync.hash_cache(cache);
            }
            if options.dry_run {
                show(&sync.plan().await?);
                return Ok(());
            }
            let ended = sync.progress(|progress| advance(&bar, progress)).cancel_when(tokio::signal::ctrl_c()).await?;
            bar.finish_and_clear();
            tell(ended, started)
        }};
    }
    if options.up { sync!(files.sync_up(&options.folder)) } else { sync!(files.sync_down(&options.folder)) }
}

fn advance(bar: &ProgressBar, progress: BatchProgress) {
    if let Some(total) = progress.bytes_total {
        bar.set_length(total);
    }
    bar.set_position(progress.bytes);
    bar.set_message(match progress.files_total {
        Some(total) => format!("{} of {total} files", progress.files),
        None => format!("{} files", progress.files),
    });
}

fn show(plan: &SyncPlan) {
    for action in &plan.actions {
        match action {
            SyncAction::Copy { path, size, replaces, .. } => {
                println!("{} {path:?} ({})", if *replaces { "replace" } else { "copy   " }, HumanBytes(*size));
            }
            SyncAction::Delete { path, .. } => println!("delete  {path:?}"),
            SyncAction::Keep { path, .. } => println!("keep    {path:?}"),
            SyncAction::Report { path, reason, .. } => println!("leave   {path:?}: {reason}"),
            _ => {}
        }
    }
    println!("{} to copy, {} files are equal", HumanBytes(plan.bytes()), plan.unchanged);
}

/// Says what was done. One that did not do everything is a failure.
fn tell<T>(outcome: SyncOutcome<T>, started: Instant) -> Result<(), Failure> {
    println!(
        "{} copied, {} deleted, {} equal, {} only on the other side, in {:.2} s",
        outcome.copied.done().count(),
        outcome.deleted.done().count(),
        outcome.unchanged,
        outcome.kept.len(),
        started.elapsed().as_secs_f64()
    );
    for file in &outcome.reported {
        eprintln!("{:?}: {}", file.path, file.reason);
    }
    for (path, error) in outcome.copied.failed().chain(outcome.deleted.failed()) {
        eprintln!("{path:?}");
        common::tell(error);
    }
    outcome.into_result().map(drop).map_err(|error| format!("not everything was done: {error}").into())
}

struct Options {
    up: bool,
    bucket: Option<String>,
    prefix: String,
    exclude: Vec<String>,
    delete: bool,
    cache: Option<PathBuf>,
    dry_run: bool,
    demo: bool,
    folder: PathBuf,
}

impl Options {
    /// `None` where help is wanted.
    fn of_process() -> Result<Option<Self>, Failure> {
        let mut options = Self {
            up: true,
            bucket: None,
            prefix: String::new(),
            exclude: Vec::new(),
            delete: false,
            cache: None,
            dry_run: false,
            demo: false,
            folder: PathBuf::new(),
        };
        let mut plain = Vec::new();
        let mut arguments = Arguments::of_process();
        while let Some(argument) = arguments.next() {
            match argument {
                Argument::Option(option) => match option.as_str() {
                    "--help" | "-h" => return Ok(None),
                    "--bucket" => options.bucket = Some(common::text(arguments.value("--bucket")?)?),
                    "--prefix" => options.prefix = common::text(arguments.value("--prefix")?)?,
                    "--exclude" => options.exclude.push(common::text(arguments.value("--exclude")?)?),
                    "--cache" => options.cache = Some(arguments.value("--cache")?.into()),
                    "--delete" => options.delete = true,
                    "--dry-run" => options.dry_run = true,
                    "--demo" => options.demo = true,
                    _ => return Err(format!("there is no option {option}\n\n{USAGE}").into()),
                },
                Argument::Plain(argument) => plain.push(argument),
                Argument::Rest(rest) => plain.extend(rest),
            }
        }
        match <[_; 2]>::try_from(plain) {
            Ok([direction, folder]) if direction == "up" || direction == "down" => {
                options.up = direction == "up";
                options.folder = folder.into();
            }
            _ => return Err(format!("say up or down, and name one folder\n\n{USAGE}").into()),
        }
        if options.demo && (options.bucket.is_some() || !options.up) {
            return Err("a --demo server is new: it starts with up, and has no --bucket yet".into());
        }
        Ok(Some(options))
    }
}

//! Downloads several files at once, with a bar for each and one for all.
//!
//! ```console
//! CARBONFILES_URL=https://files.example.com cargo run --example download -- BUCKET PATH… --to DIR
//! cargo run --example download -- --demo
//! ```

#[allow(dead_code, reason = "each example uses a part of it")]
mod common;

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use carbonfiles::files::{Batch, DownloadItem, OnFailure};
use carbonfiles::{Client, Downloaded, FilePath, Files, Progress};
use common::{Argument, Arguments, Bars, Failure, Service};
use indicatif::HumanBytes;

const USAGE: &str = "\
usage: download BUCKET PATH… [--to DIR]
       download --demo [--to DIR]

Downloads the files of a bucket, several at once. Files that exist here are replaced, once the new ones are complete.
  --to DIR  into this folder, which is made if need be; without it, the current one
  --demo    some files from a server inside this process
CARBONFILES_URL names the server. Reading needs no credential.";

/// Downloads under way at any time.
const AT_ONCE: usize = 4;

#[tokio::main]
async fn main() -> ExitCode {
    common::exit(run().await)
}

async fn run() -> Result<(), Failure> {
    let Some(mut options) = Options::of_process()? else {
        println!("{USAGE}");
        return Ok(());
    };
    let service = Service::find(options.demo).await?;
    if options.demo {
        (options.bucket, options.paths) = fill(&service.client).await?;
    }
    let items = items(&options.paths, &options.to)?;
    let bucket = service.client.bucket(options.bucket);
    // A bucket that is not there is one error, not one for each file.
    bucket.get().await?;

    let files = bucket.files();
    let batch = tokio::select! {
        batch = download_all(&files, items) => batch?,
        interrupted = common::interrupted() => return Err(interrupted),
    };

    for (_, done) in batch.done() {
        let checked = if done.verified_sha256.is_some() { "checked" } else { "not checked" };
        let resumed = match done.resumed {
            0 => String::new(),
            bytes => format!(", {} of it were here already", HumanBytes(bytes)),
        };
        println!("{:?} ({}{resumed}, {checked})", done.path, HumanBytes(done.size));
    }
    for (path, error) in batch.failed() {
        eprintln!("{path:?}");
        common::tell(error);
    }
    match batch.failed().count() {
        0 => Ok(()),
        failed => Err(format!("{failed} of {} files were not downloaded", batch.files.len()).into()),
    }
}

/// What is to be done: each file into its folder below `folder`.
fn items(paths: &[String], folder: &Path) -> Result<Vec<DownloadItem>, Failure> {
    let mut seen = HashSet::new();
    let mut items = Vec::new();
    for path in paths {
        let path = FilePath::try_from(path.as_str())?;
        if !seen.insert(path.clone()) {
            return Err(format!("{path} is named twice").into());
        }
        let mut target = folder.to_owned();
        for segment in path.segments() {
            // A path of a bucket has no `..`, but a segment may mean more to this system, such as `C:`.
            let mut parts = Path::new(segment).components();
            match (parts.next(), parts.next()) {
                (Some(Component::Normal(name)), None) => target.push(name),
                _ => return Err(format!("{path} can't be a file on this system").into()),
            }
        }
        items.push(DownloadItem::new(path, target));
    }
    Ok(items)
}

/// Downloads everything. One that fails does not stop the others.
async fn download_all(files: &Files, items: Vec<DownloadItem>) -> carbonfiles::Result<Batch<Downloaded>> {
    let (bars, mut shown) = (Bars::new(), HashMap::new());
    let report = |path: &str, progress: Progress| {
        let bar = shown.entry(path.to_owned()).or_insert_with(|| {
            bars.expect(progress.total.unwrap_or(0));
            bars.start(path)
        });
        bar.show(progress);
    };
    let batch =
        files.download_many(items).concurrency(AT_ONCE).on_failure(OnFailure::GoOn).file_progress(report).await?;
    for (path, _) in batch.failed() {
        if let Some(bar) = shown.get(path) {
            bar.fail();
        }
    }
    bars.finish();
    Ok(batch)
}

/// A bucket with something to download in it.
async fn fill(client: &Client) -> Result<(String, Vec<String>), Failure> {
    let bucket = client.buckets().create("demo").await?;
    let files = client.bucket(&bucket.id).files();
    let mut paths = Vec::new();
    let sizes = [("readme.txt", 0), ("photos/large.bin", 96), ("photos/small.bin", 24), ("video/clip.bin", 192)];
    for (path, mib) in sizes {
        let content = format!("{path}\n").repeat(mib * (1 << 20) / (path.len() + 1) + 1);
        files[path].upload(content.into_bytes()).await?;
        paths.push(path.to_owned());
    }
    Ok((bucket.id, paths))
}

struct Options {
    bucket: String,
    paths: Vec<String>,
    to: PathBuf,
    demo: bool,
}

impl Options {
    /// `None` where help is wanted.
    fn of_process() -> Result<Option<Self>, Failure> {
        let (mut to, mut demo, mut plain) = (PathBuf::from("."), false, Vec::new());
        let mut arguments = Arguments::of_process();
        while let Some(argument) = arguments.next() {
            match argument {
                Argument::Option(option) => match option.as_str() {
                    "--help" | "-h" => return Ok(None),
                    "--demo" => demo = true,
                    "--to" => to = arguments.value("--to")?.into(),
                    _ => return Err(format!("there is no option {option}\n\n{USAGE}").into()),
                },
                Argument::Plain(argument) => plain.push(argument),
                Argument::Rest(rest) => plain.extend(rest),
            }
        }
        let mut plain = plain.into_iter().map(common::text).collect::<Result<Vec<_>, _>>()?.into_iter();
        let (bucket, paths) = (plain.next().unwrap_or_default(), plain.collect::<Vec<_>>());
        match (demo, bucket.is_empty(), paths.is_empty()) {
            (true, false, _) => Err("--demo brings its own bucket and files: leave yours out".into()),
            (false, _, true) => Err(format!("name a bucket and the files to download from it\n\n{USAGE}").into()),
            _ => Ok(Some(Self { bucket, paths, to, demo })),
        }
    }
}

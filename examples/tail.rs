//! Prints what happens in a bucket, as it happens, until Ctrl-C.
//!
//! ```console
//! cargo run --example tail --features events -- --demo            # on a server inside this process, for a few seconds
//! CARBONFILES_URL=https://files.example.com cargo run --example tail --features events -- BUCKET docs/
//! CARBONFILES_URL=https://files.example.com cargo run --example tail --features events -- --json BUCKET | jq .
//! ```

#[allow(dead_code, reason = "each example uses a part of it")]
mod common;

use std::process::ExitCode;
use std::time::Duration;

use carbonfiles::Bucket;
use carbonfiles::events::Event;
use carbonfiles_testserver::TestServer;
use chrono::Local;
use common::{Argument, Arguments, Failure, Service};
use futures::TryStreamExt;
use indicatif::HumanBytes;

const USAGE: &str = "\
usage: tail [--json] BUCKET [PREFIX]
       tail [--json] --demo

Prints the events of BUCKET, or of its files whose path begins with PREFIX. CARBONFILES_URL names the server; listening
needs no credential. --demo starts a server in this process, and somebody who uses it.";

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
    let bucket = match &service.in_process {
        Some(_) => service.client.bucket(&service.client.buckets().create("demo").await?.id),
        None => service.client.bucket(&options.bucket),
    };
    tokio::select! {
        told = tell(&bucket, &options) => told,
        used = use_it(&bucket, service.in_process.as_ref()) => used,
        interrupted = common::interrupted() => Err(interrupted),
    }
}

async fn tell(bucket: &Bucket, options: &Options) -> Result<(), Failure> {
    // From here on nothing is missed, except while the connection is lost; and then the stream says so.
    let mut events = bucket.events().prefix(&options.prefix).await?;
    while let Some(event) = events.try_next().await? {
        if options.json {
            println!("{}", serde_json::to_string(&event)?);
        } else {
            println!("{}  {}", Local::now().format("%H:%M:%S"), words(&event));
        }
    }
    Ok(())
}

fn words(event: &Event) -> String {
    match event {
        Event::FileCreated { file, .. } => format!("created  {}  {}", shown(&file.path), HumanBytes(file.size)),
        Event::FileUpdated { file, .. } => format!("updated  {}  {}", shown(&file.path), HumanBytes(file.size)),
        Event::FileDeleted { path, .. } => format!("deleted  {}", shown(path)),
        Event::BucketUpdated { changes, .. } => match &changes.name {
            Some(name) => format!("the bucket is now named {}", shown(name)),
            None => "the bucket was changed".to_owned(),
        },
        Event::BucketDeleted { .. } => "the bucket was deleted".to_owned(),
        Event::Disconnected { reason, .. } => format!("-- the connection is lost: {}", shown(reason)),
        Event::Reconnected { missed_since, .. } => {
            format!("-- it is back; nothing was told since {}", missed_since.with_timezone(&Local).format("%H:%M:%S"))
        }
        Event::Lagged(events) => format!("-- too slow: {events} events were dropped"),
        other => shown(&format!("{other:?}")),
    }
}

/// Names may hold anything, also what would move a terminal's cursor.
fn shown(text: &str) -> String {
    let escape = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    text.chars().map(escape).collect()
}

/// Somebody who uses the bucket for a few seconds, in which the hub restarts once. On a real server: nobody.
async fn use_it(bucket: &Bucket, server: Option<&TestServer>) -> Result<(), Failure> {
    let Some(server) = server else {
        return std::future::pending().await;
    };
    let pause = || tokio::time::sleep(Duration::from_millis(400));
    pause().await;
    let file = bucket.file("docs/grüße.txt");
    file.upload("hello".as_bytes()).await?;
    pause().await;
    file.upload("hello, world".as_bytes()).await?;
    server.hub().restart();
    tokio::time::sleep(Duration::from_secs(3)).await;
    bucket.update().name("renamed").await?;
    pause().await;
    file.delete().await?;
    pause().await;
    bucket.delete().await?;
    pause().await;
    Ok(())
}

struct Options {
    bucket: String,
    prefix: String,
    json: bool,
    demo: bool,
}

impl Options {
    /// `None` where help is wanted.
    fn of_process() -> Result<Option<Self>, Failure> {
        let (mut json, mut demo, mut plain) = (false, false, Vec::new());
        let mut arguments = Arguments::of_process();
        while let Some(argument) = arguments.next() {
            match argument {
                Argument::Option(option) => match option.as_str() {
                    "--help" | "-h" => return Ok(None),
                    "--json" => json = true,
                    "--demo" => demo = true,
                    _ => return Err(format!("there is no option {option}\n\n{USAGE}").into()),
                },
                Argument::Plain(argument) => plain.push(argument),
                Argument::Rest(rest) => plain.extend(rest),
            }
        }
        let mut plain = plain.into_iter().map(common::text).collect::<Result<Vec<_>, _>>()?.into_iter();
        let (bucket, prefix) = (plain.next().unwrap_or_default(), plain.next().unwrap_or_default());
        match (demo, bucket.is_empty(), plain.next()) {
            (true, false, _) => Err("--demo brings its own bucket: leave yours out".into()),
            (false, true, _) => Err(format!("name a bucket\n\n{USAGE}").into()),
            (_, _, Some(extra)) => Err(format!("{extra:?} is one argument too many\n\n{USAGE}").into()),
            _ => Ok(Some(Self { bucket, prefix, json, demo })),
        }
    }
}

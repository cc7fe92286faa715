//! A dashboard of one bucket: its files, live, with uploads by drag and drop.
//!
//! ```console
//! cargo run --example dashboard --features events                     # on a server inside this process
//! CARBONFILES_URL=https://files.example.com CARBONFILES_TOKEN=cf4_… \
//!     cargo run --example dashboard --features events -- BUCKET       # a bucket of yours
//! ```
//!
//! Behind it is a `Mirror`: the bucket's files in memory, kept right by live events, whatever happens to the connection.
//! Each browser follows the mirror; one that comes back is told what it has missed.

#[allow(dead_code, reason = "each example uses a part of it")]
#[path = "../common/mod.rs"]
mod common;
mod service;

use std::net::Ipv4Addr;
use std::process::ExitCode;

use carbonfiles::{Bucket, Client};
use common::{Argument, Arguments, Failure, Service, text};
use tokio::net::TcpListener;

const USAGE: &str = "\
usage: dashboard [--port PORT] [BUCKET]

Shows a bucket's files on http://127.0.0.1:PORT (8322). CARBONFILES_URL and CARBONFILES_TOKEN name a server; without
them, one is started in this process, with a bucket to play with.";

struct Wanted {
    port: u16,
    bucket: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    common::exit(run().await)
}

async fn run() -> Result<(), Failure> {
    let Some(wanted) = wanted()? else {
        println!("{USAGE}");
        return Ok(());
    };
    let service = match Service::from_env()? {
        Some(service) => service,
        None => Service::in_process().await?,
    };
    service.check_token().await?;
    let bucket = match wanted.bucket {
        Some(id) => id,
        None if service.in_process.is_some() => playground(&service.client).await?,
        None => return Err(format!("which bucket?\n\n{USAGE}").into()),
    };
    let router = service::router(service.client.clone(), &bucket).await?;
    // No other machine is to reach it: there are no accounts.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted.port)).await?;
    println!(
        "http://{} shows bucket {bucket} of {}; Ctrl-C ends it",
        listener.local_addr()?,
        service.client.base_url()
    );
    tokio::select! {
        served = async { axum::serve(listener, router).await } => Ok(served?),
        interrupted = common::interrupted() => Err(interrupted),
    }
}

fn wanted() -> Result<Option<Wanted>, Failure> {
    let mut wanted = Wanted { port: 8322, bucket: None };
    let mut arguments = Arguments::of_process();
    while let Some(argument) = arguments.next() {
        match argument {
            Argument::Option(option) if option == "-h" || option == "--help" => return Ok(None),
            Argument::Option(option) if option == "--port" => {
                let port = text(arguments.value(&option)?)?;
                wanted.port = port.parse().map_err(|_| format!("{port:?} is no port"))?;
            }
            Argument::Option(option) => return Err(format!("unknown option {option}\n\n{USAGE}").into()),
            Argument::Plain(bucket) if wanted.bucket.is_none() => wanted.bucket = Some(text(bucket)?),
            Argument::Plain(_) | Argument::Rest(_) => return Err(USAGE.into()),
        }
    }
    Ok(Some(wanted))
}

/// A bucket with a few files in it.
async fn playground(client: &Client) -> Result<String, Failure> {
    let made = client.buckets().create("playground").await?;
    let bucket: Bucket = client.bucket(&made.id);
    for (name, content) in
        [("welcome.txt", "Drop files on the page.\n"), ("docs/ü <b> & 100%.md", "# Names are text\n")]
    {
        bucket.file(name).upload(content.as_bytes()).await?;
    }
    Ok(made.id)
}

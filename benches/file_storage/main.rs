//! Transfers to and from the real file_storage, beside curl: wall time, CPU time of the client, its peak memory over idle.
//!
//! `tests/file_storage/host.sh up target/file-storage/host`, then
//! `cargo bench --bench file_storage --features file-storage [-- --mib 1024 --rounds 3 --s3]`
//!
//! The service is one Python process: what it can do is the ceiling, and curl shows it. With `--s3`, its back end is a bucket.

#[path = "../transfers/measure.rs"]
#[allow(dead_code, reason = "this bench uses a part of it")]
mod measure;

use std::io::Write;
use std::path::Path;
use std::process::Command;

use carbonfiles::file_storage::Client;
use futures::TryStreamExt;

use measure::{Figures, Meter, Table};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("client") => client(&args[1..]),
        Some("watch") => measure::watch(&args[1..]),
        _ => compare(&args),
    }
}

fn setting(name: &str) -> Option<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/file-storage/host/env");
    let text = std::fs::read_to_string(file).ok()?;
    text.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

fn connect(url: &str, token: &str) -> Client {
    Client::builder(url).token(token).http(reqwest::ClientBuilder::no_proxy).build().expect("a client")
}

fn compare(args: &[String]) {
    let back_end = if args.iter().any(|a| a == "--s3") { "FILE_STORAGE_TEST_S3" } else { "FILE_STORAGE_TEST_DISK" };
    let (Some(url), Some(token)) = (setting(back_end), setting(&format!("{back_end}_TOKEN"))) else {
        println!("SKIPPED: no real file_storage service: start tests/file_storage/host.sh up target/file-storage/host");
        return;
    };
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|at| args.get(at + 1)?.parse().ok());
    // `cargo test --benches` runs every bench once, for a look.
    let look = args.iter().any(|a| a == "--test");
    let (mib, rounds): (u64, u64) =
        if look { (4, 1) } else { (value("--mib").unwrap_or(1024), value("--rounds").unwrap_or(3)) };
    let scratch = tempfile::tempdir().expect("a folder");
    let (source, target) = (scratch.path().join("source.bin"), scratch.path().join("target.bin"));
    fill(&source, mib);
    let client = connect(&url, &token);
    let stored = runtime().block_on(async { client.files().upload(&source).await.expect("uploaded").id });

    let run = |name: &str| {
        let _ = std::fs::remove_file(&target);
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        let authorization = format!("Authorization: Bearer {token}");
        let download = format!("{url}/api/file-storage/files/{stored}/download");
        match name {
            "curl, upload" => command
                .args([
                    "watch",
                    "curl",
                    "-sSf",
                    "--noproxy",
                    "*",
                    "-o",
                    "/dev/null",
                    "-H",
                    "Expect:",
                    "-H",
                    &authorization,
                    "-F",
                ])
                .arg(format!("file=@{};filename=bench.bin", source.display()))
                .arg(format!("{url}/api/file-storage/upload")),
            "curl, to nothing" => command.args([
                "watch",
                "curl",
                "-sSfL",
                "--noproxy",
                "*",
                "-o",
                "/dev/null",
                "-H",
                &authorization,
                &download,
            ]),
            "curl, to a file" => command
                .args(["watch", "curl", "-sSfL", "--noproxy", "*", "-H", &authorization, &download, "-o"])
                .arg(&target),
            _ => command.args(["client", name, &url, &token, &stored]).arg(&source).arg(&target),
        };
        let figures = Figures::of(command);
        runtime().block_on(clean_up(&client, &stored));
        figures
    };
    println!("{mib} MiB, best of {rounds} (median)");
    for (title, clients) in [
        ("upload", &["curl, upload", "upload, unchecked", "upload", "upload in parts"][..]),
        ("download to nothing", &["curl, to nothing", "to nothing, unchecked", "to nothing"]),
        ("download to a file", &["curl, to a file", "to a file, unchecked", "to a file"]),
    ] {
        let mut table = Table::new(title, clients);
        for _ in 0..rounds {
            clients.iter().for_each(|client| table.add(client, run(client)));
        }
        println!("{table}");
    }
    runtime().block_on(async { client.file(&stored).delete().await.expect("deleted") });
}

/// Deletes what an upload has made.
async fn clean_up(client: &Client, but: &str) {
    let all = client.files().list_all().search("bench.bin").items();
    let made: Vec<_> =
        all.map_ok(|file| file.id).try_filter(|id| std::future::ready(id != but)).try_collect().await.expect("listed");
    client.files().bulk_delete(made).await.expect("deleted");
}

fn fill(path: &Path, mib: u64) {
    let mut file = std::fs::File::create(path).expect("the source can be written");
    let mut block = vec![0; 1 << 20];
    let mut random = fastrand::Rng::with_seed(mib);
    for _ in 0..mib {
        random.fill(&mut block);
        file.write_all(&block).expect("the source can be written");
    }
}

/// `client NAME URL TOKEN STORED SOURCE TARGET`
fn client(args: &[String]) {
    let [name, url, token, stored, source, target] = args else { panic!("usage: see the code") };
    runtime().block_on(async {
        let client = connect(url, token);
        client.file(stored).get().await.expect("stored");
        let verify = !name.ends_with("unchecked");
        let meter = Meter::start();
        match name.trim_end_matches(", unchecked") {
            "upload" => drop(
                client.files().upload(Path::new(source)).filename("bench.bin").verify(verify).await.expect("uploaded"),
            ),
            "upload in parts" => {
                drop(client.uploads().upload(Path::new(source)).filename("bench.bin").await.expect("uploaded"));
            }
            "to nothing" => {
                let mut body = client.file(stored).download().verify(verify).await.expect("found").stream();
                while body.try_next().await.expect("whole").is_some() {}
            }
            "to a file" => {
                drop(client.file(stored).download_to(target).verify(verify).resume(false).await.expect("downloaded"));
            }
            other => panic!("no such client: {other}"),
        }
        meter.stop().print();
    });
}

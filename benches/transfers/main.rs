//! Transfers beside a bare reqwest and curl: wall time, CPU time of the client, its peak memory over idle.
//!
//! `cargo bench --bench transfers [-- --mib 1024 --files 10000 --rounds 5 --only upload]`
//!
//! The server and each client are processes of their own, and take turns. Figures are the best and the median of the
//! rounds. Sources and targets are on a memory-backed file system where there is one.

mod client;
mod link;
mod many;
mod measure;
mod sink;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use measure::{Figures, Table};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("serve") => serve(),
        Some("client") => client::run(&args[1..]),
        Some("link") => link::run(&args[1..]),
        Some("sink") => sink::run(),
        Some("watch") => measure::watch(&args[1..]),
        // `cargo test --benches` runs every bench once, for a look.
        _ if args.iter().any(|a| a == "--test") => compare(&Options { mib: 4, files: 40, rounds: 1, only: None }),
        _ => compare(&Options::parse(&args)),
    }
}

/// MiB a second of a link that is slower than the machine.
const WIDTH: &str = "400";

struct Options {
    mib: u64,
    files: u64,
    rounds: usize,
    only: Option<String>,
}

impl Options {
    fn parse(args: &[String]) -> Self {
        let value = |name: &str| args.iter().position(|a| a == name).and_then(|at| args.get(at + 1)).cloned();
        Self {
            mib: value("--mib").and_then(|v| v.parse().ok()).unwrap_or(1024),
            files: value("--files").and_then(|v| v.parse().ok()).unwrap_or(10_000),
            rounds: value("--rounds").and_then(|v| v.parse().ok()).unwrap_or(5),
            only: value("--only"),
        }
    }
}

fn serve() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let server = carbonfiles_testserver::TestServer::start().await.expect("the server starts");
        println!("{}", server.url());
        // Until the parent closes its end.
        let _ = std::io::stdin().read_line(&mut String::new());
    });
}

/// A process that says its URL and runs until this is dropped.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start(arguments: &[&str], scratch: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this program has a path"))
            .args(arguments)
            .env("TMPDIR", scratch)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server process starts");
        let mut url = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut url).expect("the server says its URL");
        Self { process, url: url.trim().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn compare(options: &Options) {
    let memory = Path::new("/dev/shm");
    // The server keeps what it has while it takes the next: more than 4 GiB of both would not fit into memory.
    let fits = memory.is_dir() && options.mib <= 4096;
    let scratch = tempfile::tempdir_in(if fits { memory.into() } else { std::env::temp_dir() }).expect("a folder");
    let server = Server::start(&["serve"], scratch.path());
    let bucket = client::create_bucket(&server.url);
    let source = scratch.path().join("source.bin");
    let bench = Bench { options, server: &server, bucket: &bucket, source: &source, scratch: scratch.path() };

    println!("{} MiB, best of {} (median)", options.mib, options.rounds);
    bench.table(
        "upload from a file",
        "upload",
        &["reqwest-file", "ours-file-unverified", "ours-file", "ours-file-progress", "curl"],
    );
    bench.sink(&Server::start(&["sink"], scratch.path()).url);
    bench.table("upload of unknown length", "stream", &["reqwest-stream", "ours-stream-unverified", "ours-stream"]);
    bench.table(
        "download to nothing",
        "drain",
        &["reqwest-drain", "ours-drain-unverified", "ours-drain", "curl-drain"],
    );
    bench.table(
        "download to a file",
        "file",
        &["reqwest-to-file", "ours-to-file-unverified", "ours-to-file", "ours-to-file-parallel", "curl-to-file"],
    );
    bench.table("20,000 metadata calls, 64 in flight", "calls", &["reqwest-calls", "limited-calls", "ours-calls"]);
    bench.small(options.files, &server.url, "");
    let link = |milliseconds, mib| {
        Server::start(&["link", server.url.trim_start_matches("http://"), milliseconds, mib], scratch.path())
    };
    bench.small((options.files / 10).max(20), &link("50", "100000").url, ", over a link of 50 ms");
    bench.wide(&link("0", WIDTH).url);
}

struct Bench<'a> {
    options: &'a Options,
    server: &'a Server,
    bucket: &'a str,
    source: &'a Path,
    scratch: &'a Path,
}

impl Bench<'_> {
    fn table(&self, title: &str, group: &str, clients: &[&str]) {
        if self.options.only.as_deref().is_some_and(|only| only != group) {
            return;
        }
        let mut table = Table::new(title, clients);
        if matches!(group, "drain" | "file") {
            self.fresh_source(0);
            self.run("ours-file-unverified");
        }
        for round in 0..self.options.rounds {
            for (at, client) in clients.iter().enumerate() {
                // New bytes each time: the server stores equal contents once.
                if matches!(group, "upload") {
                    self.fresh_source((round * clients.len() + at + 1) as u64);
                }
                table.add(client, self.run(client));
            }
        }
        println!("{table}");
    }

    /// To a server that only counts.
    fn sink(&self, url: &str) {
        if self.options.only.as_deref().is_some_and(|only| only != "sink") {
            return;
        }
        self.fresh_source(0);
        let clients = ["reqwest-file", "ours-file-unverified", "ours-file", "ours-file-progress", "curl"];
        let mut table = Table::new("upload from a file, to a server that only counts", &clients);
        for _ in 0..self.options.rounds {
            for client in clients {
                table.add(client, self.run_at(client, url, self.bucket, self.options.mib));
            }
        }
        println!("{table}");
    }

    /// Over a link that leaves a core free.
    fn wide(&self, url: &str) {
        if self.options.only.as_deref().is_some_and(|only| only != "wide") {
            return;
        }
        for (title, clients) in [
            ("upload from a file", ["curl", "ours-file-unverified", "ours-file"]),
            ("download to nothing", ["curl-drain", "ours-drain-unverified", "ours-drain"]),
            ("download to a file", ["curl-to-file", "ours-to-file-unverified", "ours-to-file"]),
        ] {
            let mut table = Table::new(&format!("{title}, over a link of {WIDTH} MiB/s"), &clients);
            for round in 0..self.options.rounds {
                for (at, client) in clients.iter().enumerate() {
                    self.fresh_source(((round + 100) * clients.len() + at) as u64);
                    if !title.starts_with("upload") {
                        self.run("ours-file-unverified");
                    }
                    table.add(client, self.run_at(client, url, self.bucket, self.options.mib));
                }
            }
            println!("{table}");
        }
    }

    /// Many small files, in buckets of their own.
    fn small(&self, files: u64, url: &str, how: &str) {
        if self.options.only.as_deref().is_some_and(|only| only != "small") {
            return;
        }
        for (title, what) in [
            ("files of 4 KiB up", "many-up"),
            ("files of 4 KiB down", "many-down"),
            ("files of 4 KiB of a folder up", "many-from-files"),
            ("files of 4 KiB down into a folder", "many-to-files"),
            ("rows in pages of 10", "pages"),
        ] {
            let mut clients = vec![format!("reqwest-{what}"), format!("limited-{what}"), format!("ours-{what}")];
            if what != "pages" {
                clients.insert(2, format!("ours-{what}-unverified"));
            }
            let names: Vec<&str> = clients.iter().map(String::as_str).collect();
            let mut table = Table::new(&format!("{files} {title}{how}"), &names);
            for _ in 0..self.options.rounds {
                for name in &clients {
                    let bucket = client::create_bucket(&self.server.url);
                    if !matches!(what, "many-up" | "many-from-files") {
                        self.run_at("reqwest-many-up", &self.server.url, &bucket, files);
                    }
                    table.add(name, self.run_at(name, url, &bucket, files));
                }
            }
            println!("{table}");
        }
    }

    fn run(&self, client: &str) -> Figures {
        self.run_at(client, &self.server.url, self.bucket, self.options.mib)
    }

    fn run_at(&self, client: &str, url: &str, bucket: &str, count: u64) -> Figures {
        let target: PathBuf = self.scratch.join("target.bin");
        let _ = std::fs::remove_file(&target).or_else(|_| std::fs::remove_dir_all(&target));
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        match client.strip_prefix("curl") {
            Some(what) => {
                command.args(["watch", "curl", "-s", "-S", "-f", "-H", "Authorization: Bearer admin-test-key"]);
                let bucket = format!("{url}/api/buckets/{bucket}");
                match what {
                    "-drain" => command.args(["-o", "/dev/null"]).arg(format!("{bucket}/files/big.bin/content")),
                    "-to-file" => command.arg("-o").arg(&target).arg(format!("{bucket}/files/big.bin/content")),
                    _ => command
                        .args(["-H", "Expect:", "-o", "/dev/null", "-T"])
                        .arg(self.source)
                        .arg(format!("{bucket}/upload/stream?filename=big.bin")),
                };
            }
            None => {
                command.args(["client", client, url, bucket, &count.to_string()]).arg(self.source).arg(&target);
            }
        }
        Figures::of(command)
    }

    fn fresh_source(&self, seed: u64) {
        let mut file = std::fs::File::create(self.source).expect("the source can be written");
        let block: Vec<u8> =
            (0..1u64 << 20).map(|i| ((i ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        for index in 0..self.options.mib {
            let mut block = block.clone();
            block[..8].copy_from_slice(&(index << 32 | seed).to_le_bytes());
            file.write_all(&block).expect("the source can be written");
        }
    }
}

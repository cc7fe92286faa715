//! 1 GiB up and down through Tenantbox, beside curl on presigned URLs of the same server.
//!
//! `cargo bench --bench tenantbox --features tenantbox [-- --mib 1024 --rounds 3]`
//!
//! The server and each client are processes of their own, and take turns. The storage is the test server's: its speed is
//! the ceiling. Sources and targets are on a memory-backed file system where there is one.

#[path = "../transfers/measure.rs"]
mod measure;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use carbonfiles::tenantbox::Client;
use carbonfiles_testserver::Tenantbox;
use measure::{Figures, Meter, Table};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| -> Option<u64> {
        args.iter().position(|a| a == name).and_then(|at| args.get(at + 1)?.parse().ok())
    };
    match args.first().map(String::as_str) {
        Some("serve") => serve(),
        Some("client") => client(&args[1..]),
        Some("watch") => measure::watch(&args[1..]),
        // `cargo test --benches` runs every bench once, for a look.
        _ if args.iter().any(|a| a == "--test") => compare(4, 1),
        _ => compare(value("--mib").unwrap_or(1024), value("--rounds").unwrap_or(3)),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

fn serve() {
    runtime().block_on(async {
        let server = Tenantbox::start().await.expect("the server starts");
        println!("{} {}", server.url(), server.api_key());
        // Until the parent closes its end.
        let _ = std::io::stdin().read_line(&mut String::new());
    });
}

fn client_of(url: &str, key: &str) -> Client {
    Client::builder(key).base_url(url).http(reqwest::ClientBuilder::no_proxy).build().expect("a client")
}

/// `client up|down URL KEY FILE FILE_PATH`
fn client(args: &[String]) {
    let [what, url, key, file, file_path] = args else { panic!("usage: see the code") };
    runtime().block_on(async {
        let client = client_of(url, key);
        let meter = Meter::start();
        match what.as_str() {
            "up" => drop(client.tenant("bench").files().upload(Path::new(file)).await.expect("uploaded")),
            _ => drop(client.file(file_path).download_to(file).await.expect("downloaded")),
        }
        meter.stop().print();
    });
}

struct Server {
    process: Child,
    url: String,
    key: String,
}

impl Server {
    fn start(scratch: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this program has a path"))
            .arg("serve")
            .env("TMPDIR", scratch)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server process starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut line).expect("the server says its URL");
        let (url, key) = line.trim().split_once(' ').expect("a URL and a key");
        Self { process, url: url.to_owned(), key: key.to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn compare(mib: u64, rounds: u64) {
    let memory = Path::new("/dev/shm");
    let scratch = if memory.is_dir() { memory.into() } else { std::env::temp_dir() };
    let scratch = tempfile::tempdir_in(scratch).expect("a folder");
    let server = Server::start(scratch.path());
    let (source, target) = (scratch.path().join("source.bin"), scratch.path().join("target.bin"));
    write_source(&source, mib);
    let (runtime, asking) = (runtime(), client_of(&server.url, &server.key));
    let ours = |what: &str, file: &Path, file_path: &str| {
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        Figures::of(command_with(command.args(["client", what, &server.url, &server.key]).arg(file).arg(file_path)))
    };
    let curl = |arguments: &[&str], file: &Path, url: &str| {
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        command.args(["watch", "curl", "-s", "-S", "-f", "--noproxy", "*"]).args(arguments).arg(file).arg(url);
        Figures::of(command)
    };

    println!("{mib} MiB, best of {rounds} (median)");
    let mut table = Table::new("upload through Tenantbox from a file", &["tenantbox", "curl"]);
    for _ in 0..rounds {
        table.add("tenantbox", ours("up", &source, ""));
        let url = runtime.block_on(async { asking.tenant("bench").files().upload_url("b").await }).expect("a URL");
        let content_type = format!("Content-Type: {}", url.content_type);
        let put = ["-H", "Expect:", "-H", &content_type, "-o", "/dev/null", "-T"];
        table.add("curl", curl(&put, &source, url.presigned_url.expose()));
        runtime.block_on(async { asking.file(&url.file_path).delete().await }).expect("deleted");
    }
    println!("{table}");

    let upload = async { asking.tenant("bench").files().upload(source.as_path()).await };
    let stored = runtime.block_on(upload).expect("uploaded").file_path;
    let mut table = Table::new("download through Tenantbox to a file", &["tenantbox", "curl"]);
    for _ in 0..rounds {
        let _ = std::fs::remove_file(&target);
        table.add("tenantbox", ours("down", &target, &stored));
        let _ = std::fs::remove_file(&target);
        let link = runtime.block_on(async { asking.file(&stored).download_url().await }).expect("a link");
        table.add("curl", curl(&["-o"], &target, link.download_url.expose()));
    }
    println!("{table}");
}

/// What was built up by reference, by value.
fn command_with(command: &mut Command) -> Command {
    std::mem::replace(command, Command::new(""))
}

fn write_source(path: &Path, mib: u64) {
    let mut file = std::fs::File::create(path).expect("the source can be written");
    let mut block: Vec<u8> = (0..1u64 << 20).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    for index in 0..mib {
        block[..8].copy_from_slice(&index.to_le_bytes());
        file.write_all(&block).expect("the source can be written");
    }
}

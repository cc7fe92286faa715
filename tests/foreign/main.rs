//! Other makers' SignalR clients on the test server's hub: if they are content, so is the hub's protocol.
//!
//! `tests/foreign/install.sh` installs them; without it these tests say that they are skipped, except in CI.

#[path = "../support/script.rs"]
mod script;

use std::time::Duration;

use carbonfiles_testserver::{HubTimes, TestServer};
use serde_json::json;
use tokio::process::Command;

const INSTALLER: &str = "tests/foreign/install.sh";

/// Short enough that a client which does not ping, or does not take the server's pings, is found out.
const TIMES: HubTimes = HubTimes {
    ping: Duration::from_millis(300),
    client_timeout: Duration::from_secs(4),
    handshake: Duration::from_secs(15),
    negotiated_id: Duration::from_secs(15),
    slow_reader: Duration::from_secs(10),
};

/// A server with a bucket, and what a script may ask to be done with them.
struct Scene {
    server: TestServer,
    http: reqwest::Client,
    bucket: String,
}

impl Scene {
    async fn new() -> Self {
        let server = TestServer::builder().hub_times(TIMES).start().await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let made = http.post(format!("{}/api/buckets", server.url())).bearer_auth(server.admin_key());
        let made: serde_json::Value =
            made.json(&json!({"name": "foreign"})).send().await.unwrap().json().await.unwrap();
        let bucket = made["id"].as_str().unwrap().to_owned();
        Self { server, http, bucket }
    }

    async fn act(&self, words: &str) -> String {
        let (verb, name) = words.split_once(' ').unwrap_or((words, ""));
        let api = format!("{}/api/buckets/{}", self.server.url(), self.bucket);
        let request = match verb {
            "upload" => self.http.put(format!("{api}/upload/stream?filename={name}")).body(name.to_owned()),
            "delete" => self.http.delete(format!("{api}/files/{name}")),
            "restart" => {
                self.server.hub().restart();
                return "done".to_owned();
            }
            "times" => {
                return json!({"ping": TIMES.ping.as_millis(), "timeout": TIMES.client_timeout.as_millis()})
                    .to_string();
            }
            other => panic!("the script asks for {other:?}"),
        };
        let answer = request.bearer_auth(self.server.admin_key()).send().await.unwrap();
        answer.status().as_u16().to_string()
    }

    async fn run(&self, name: &str, program: &mut Command) {
        let program = program
            .arg(script::file("tests/foreign").join(name))
            .env("HUB", format!("{}/hub/files", self.server.url()))
            .env("BUCKET", &self.bucket)
            .env("ADMIN_KEY", self.server.admin_key());
        script::run(name, program, async |words: &str| self.act(words).await).await;
        // Each of them has connected three times: at first, after the restart, and as an administrator.
        let handshakes = self.server.hub().seen().iter().filter(|seen| seen.record.contains("protocol")).count();
        let is_ping = |record: &str| serde_json::from_str(record).ok() == Some(json!({"type": 6}));
        let pings = self.server.hub().seen().iter().filter(|seen| is_ping(&seen.record)).count();
        assert!(handshakes >= 3 && pings >= 3, "{handshakes} handshakes and {pings} pings");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn microsofts_javascript_client() {
    let modules = script::installed("foreign");
    let needs = [
        (script::on_path("node"), "node"),
        (modules.join("node_modules/@microsoft/signalr").is_dir(), "@microsoft/signalr"),
    ];
    if script::is_ready("signalr.mjs", &needs, INSTALLER) {
        Scene::new().await.run("signalr.mjs", Command::new("node").env("MODULES", modules)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pysignalr() {
    let python = script::installed("foreign").join("python/bin/python");
    if script::is_ready("client.py", &[(python.is_file(), "pysignalr")], INSTALLER) {
        Scene::new().await.run("client.py", &mut Command::new(python)).await;
    }
}

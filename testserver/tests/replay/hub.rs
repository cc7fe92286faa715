//! Replays what was recorded of the hub: requests and records go out in the recorded order, each after what had come
//! before it has come again, and what comes is compared record by record (pings aside).
//!
//! In scenario 54 the last subscription is answered before the first upload is sent, not while: the recording has a race there.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use carbonfiles_testserver::{HubTimes, TestServer};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_websockets::{ClientBuilder, CloseCode, Message, WebSocketStream};

use crate::compare::compare_json;
use crate::live::Live;
use crate::wire;

/// A guard: what was recorded and does not come within it will not come.
const GUARD: Duration = Duration::from_secs(60);

/// A scenario: its number, what it is about, and how it differed.
pub(crate) struct Outcome {
    pub(crate) number: u64,
    pub(crate) name: String,
    pub(crate) differences: Vec<String>,
}

/// All scenarios, each on a server of its own, side by side.
pub(crate) async fn replay_all() -> Vec<Outcome> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/carbonfiles/events-recordings.json");
    let text = std::fs::read_to_string(path).expect("the recordings");
    let scenarios: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let replays = scenarios.into_iter().map(|scenario| async move {
        // Only one scenario waits for a time-out; in all others a machine under load must not meet one.
        let handshake = if scenario["name"] == "handshake never sent" { 1 } else { 600 };
        let long = Duration::from_secs(600);
        let times = HubTimes {
            handshake: Duration::from_secs(handshake),
            negotiated_id: long,
            slow_reader: long,
            ..HubTimes::default()
        };
        let server = TestServer::builder().hub_times(times).start().await.expect("a free port");
        let differences = Replay::new(&server).run(&scenario).await;
        let name = scenario["name"].as_str().unwrap_or_default().to_owned();
        Outcome { number: scenario["n"].as_u64().unwrap_or_default(), name, differences }
    });
    futures_util::future::join_all(replays).await
}

struct Replay {
    live: Live,
    open: HashMap<String, Connection>,
    /// Answers that are still to be compared.
    answers: HashMap<String, (u64, Vec<u8>)>,
    differences: Vec<String>,
}

/// A WebSocket, what has come over it, and what had come over the recorded one by now.
struct Connection {
    sink: SplitSink<WebSocketStream<TcpStream>, Message>,
    stream: SplitStream<WebSocketStream<TcpStream>>,
    unfinished: String,
    records: Vec<String>,
    closed: Option<u16>,
    recorded: Vec<String>,
    recorded_close: Option<u16>,
    /// Something did not come: it is not waited for again.
    missed: bool,
}

fn records(text: &str) -> impl Iterator<Item = String> {
    text.split('\x1e').filter(|record| !record.is_empty() && *record != r#"{"type":6}"#).map(str::to_owned)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Connection {
    fn take(&mut self, message: &Message) {
        if let Some((code, _)) = message.as_close() {
            self.closed = Some(code.into());
        } else if let Some(text) = message.as_text() {
            self.unfinished += text;
            if let Some((whole, rest)) = self.unfinished.rsplit_once('\x1e') {
                self.records.extend(records(whole));
                self.unfinished = rest.to_owned();
            }
        }
    }

    /// Waits until everything has come that had come.
    async fn settle(&mut self) {
        let guard = if self.missed { Duration::from_millis(10) } else { GUARD };
        while self.records.len() < self.recorded.len() || (self.recorded_close.is_some() && self.closed.is_none()) {
            match timeout(guard, self.stream.next()).await {
                Ok(Some(Ok(message))) => self.take(&message),
                _ => {
                    self.missed = true;
                    return;
                }
            }
        }
    }
}

impl Replay {
    fn new(server: &TestServer) -> Self {
        let live = Live::new(server.address());
        Self { live, open: HashMap::new(), answers: HashMap::new(), differences: Vec::new() }
    }

    async fn run(mut self, scenario: &Value) -> Vec<String> {
        self.provide(&scenario["needs"]).await;
        for step in scenario["steps"].as_array().into_iter().flatten() {
            let on = text(&step["on"]);
            self.step(on, step).await;
        }
        self.settle().await;
        for name in self.open.keys().cloned().collect::<Vec<_>>() {
            self.finish(&name);
        }
        self.differences
    }

    /// What the scenario uses without having made it.
    async fn provide(&mut self, needs: &Value) {
        let each = |of: &str| needs[of].as_array().cloned().unwrap_or_default();
        for old in each("buckets") {
            let made = self.post("/api/buckets", r#"{"name":"replay"}"#).await;
            self.live.learn(&old, &made["id"], "id");
        }
        for old in each("dashboard_tokens") {
            let made = self.post("/api/tokens/dashboard", "{}").await;
            self.live.learn(&old, &made["token"], "token");
        }
        for old in each("keys") {
            let made = self.post("/api/keys", r#"{"name":"owner-key"}"#).await;
            let member = if text(&old).len() > 12 { "key" } else { "prefix" };
            self.live.learn(&old, &made[member], member);
        }
        for old in each("ids") {
            let made = self.post("/hub/files/negotiate", "").await;
            self.live.learn(&old, &made["connectionId"], "id");
        }
    }

    async fn post(&self, path: &str, body: &str) -> Value {
        let headers = json!({"Authorization": "Bearer admin-test-key", "Content-Type": "application/json"});
        let step = json!({"request": "POST", "path": path, "headers": headers, "body": body});
        serde_json::from_slice(&self.request(&step).await.1).expect("JSON")
    }

    async fn step(&mut self, on: String, step: &Value) {
        let sends = ["request", "open", "say", "close"].iter().any(|sends| step.get(sends).is_some());
        if sends {
            self.settle().await;
        }
        if step.get("request").is_some() {
            let answer = self.request(step).await;
            self.answers.insert(on, answer);
        } else if step.get("open").is_some() {
            self.finish(&on);
            self.open(on, step).await;
        } else if step.get("status").is_some() {
            self.compare_answer(&on, step);
        } else if let Some(connection) = self.open.get_mut(&on) {
            let say = |member: &str| self.live.text(step[member].as_str().unwrap_or_default());
            // What can't be sent any more will be missed when what comes is compared.
            if step.get("say").is_some() {
                let said = say("say");
                let binary = step["binary"] == true;
                let said = if binary { Message::binary(said.into_bytes()) } else { Message::text(said) };
                let _ = connection.sink.send(said).await;
            } else if let Some(code) = step.get("close") {
                let code = code.as_u64().and_then(|code| u16::try_from(code).ok());
                let code = code.and_then(|code| CloseCode::try_from(code).ok());
                let _ = connection.sink.send(Message::close(code, "")).await;
            } else if let Some(heard) = step["heard"].as_str() {
                connection.recorded.extend(records(heard));
            } else if let Some(code) = step["closed"].as_u64() {
                connection.recorded_close = u16::try_from(code).ok();
            }
        }
    }

    async fn request(&self, step: &Value) -> (u64, Vec<u8>) {
        let body = self.live.text(step["body"].as_str().unwrap_or_default());
        let (method, head) = (text(&step["request"]), self.head(step, &text(&step["request"]), "path"));
        let length = if body.is_empty() && method == "GET" {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        let request = format!("{head}{length}\r\n{body}").into_bytes();
        let address = self.live.address;
        let answer = tokio::task::spawn_blocking(move || wire::send(address, &request, &method)).await;
        let answer = answer.expect("a request that ends").expect("an answer");
        (answer.status, answer.body)
    }

    fn head(&self, step: &Value, method: &str, target: &str) -> String {
        let target = self.live.text(step[target].as_str().unwrap_or_default());
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.live.address);
        for (name, value) in step["headers"].as_object().into_iter().flatten() {
            head += &format!("{name}: {}\r\n", self.live.text(value.as_str().unwrap_or_default()));
        }
        head
    }

    async fn open(&mut self, on: String, step: &Value) {
        let mut socket = TcpStream::connect(self.live.address).await.expect("a server that listens");
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let head = self.head(step, "GET", "open") + upgrade;
        socket.write_all(head.as_bytes()).await.expect("a server that reads");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(timeout(GUARD, socket.read_u8()).await.expect("an answer").expect("a head"));
        }
        let status = String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.expect("a status");
        self.answers.insert(on.clone(), (status, Vec::new()));
        if status == 101 {
            let (sink, stream) = ClientBuilder::new().take_over(socket).split();
            let connection = Connection {
                sink,
                stream,
                unfinished: String::new(),
                records: Vec::new(),
                closed: None,
                recorded: Vec::new(),
                recorded_close: None,
                missed: false,
            };
            self.open.insert(on, connection);
        }
    }

    fn compare_answer(&mut self, on: &str, step: &Value) {
        let Some((status, body)) = self.answers.remove(on) else {
            return;
        };
        if Some(status) != step["status"].as_u64() {
            self.differences.push(format!("status {status}, recorded {}", step["status"]));
            return;
        }
        let old = serde_json::from_str::<Value>(step["body"].as_str().unwrap_or_default());
        if let (Ok(old), Ok(new)) = (old, serde_json::from_slice::<Value>(&body)) {
            self.live.learn(&old, &new, "");
            let mut differences = Vec::new();
            compare_json(&self.live, &old, &new, &mut differences);
            // Whether bytes are known depends on what the recorded server had been sent before.
            self.differences.extend(differences.into_iter().filter(|found| !found.contains(".deduplicated = ")));
        }
    }

    async fn settle(&mut self) {
        for connection in self.open.values_mut() {
            connection.settle().await;
        }
    }

    /// Compares what has come with what was recorded.
    fn finish(&mut self, name: &str) {
        let Some(connection) = self.open.remove(name) else {
            return;
        };
        let (recorded, records) = (&connection.recorded, &connection.records);
        if recorded.len() != records.len() || connection.recorded_close.is_some_and(|_| connection.closed.is_none()) {
            self.differences.push(format!(
                "{name}: {} records, close {:?}; recorded {}, close {:?}",
                records.len(),
                connection.closed,
                recorded.len(),
                connection.recorded_close
            ));
        }
        if connection.recorded_close.is_some() && connection.closed != connection.recorded_close {
            let (new, old) = (connection.closed, connection.recorded_close);
            self.differences.push(format!("{name}: close {new:?}, recorded {old:?}"));
        }
        for (old, new) in recorded.iter().zip(records) {
            match (serde_json::from_str(old), serde_json::from_str(new)) {
                (Ok(old), Ok(new)) => {
                    self.live.learn(&old, &new, "");
                    compare_json(&self.live, &old, &new, &mut self.differences);
                }
                _ if old == new => {}
                _ => self.differences.push(format!("{name}: {new:?}, recorded {old:?}")),
            }
            // The order of members counts too: text by text, but for what differs from run to run.
            let (old, new) = (members(old), members(new));
            if old != new {
                self.differences.push(format!("{name}: members {new:?}, recorded {old:?}"));
            }
        }
    }
}

/// The names of members as they stand in the text, quotes and colon.
fn members(record: &str) -> Vec<&str> {
    record.match_indices("\":").filter_map(|(end, _)| record[..end].rsplit('"').next()).collect()
}

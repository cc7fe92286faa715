//! A client of the hub that says what it is told and keeps what it gets.

use std::collections::VecDeque;
use std::time::Duration;

use carbonfiles_testserver::TestServer;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_websockets::{ClientBuilder, Error, MaybeTlsStream, Message, WebSocketStream};

/// A guard against tests that hang, never a measure.
const GUARD: Duration = Duration::from_secs(60);

pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, work).await.expect("it ends long before the guard does")
}

/// How a connection has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With a close frame of this code.
    Closed(u16),
    /// Without one: FIN.
    Gone,
    /// RST.
    Reset,
}

/// One WebSocket.
pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    records: VecDeque<String>,
    unfinished: String,
    /// Records a message, of the messages so far.
    pub(crate) sizes: Vec<usize>,
}

impl Client {
    /// A WebSocket without a handshake yet.
    pub(crate) async fn open(server: &TestServer, query: &str) -> Self {
        let uri = http::Uri::try_from(format!("ws://{}/hub/files{query}", server.address())).expect("a good URL");
        let (socket, _) = within(ClientBuilder::from_uri(uri).connect()).await.expect("a WebSocket");
        Self { socket, records: VecDeque::new(), unfinished: String::new(), sizes: Vec::new() }
    }

    /// Connected and handshaken.
    pub(crate) async fn connect(server: &TestServer, query: &str) -> Self {
        let mut client = Self::open(server, query).await;
        client.say(r#"{"protocol":"json","version":1}"#).await;
        assert_eq!(client.record().await, "{}");
        client
    }

    pub(crate) async fn subscribed(server: &TestServer, method: &str, arguments: Value) -> Self {
        let mut client = Self::connect(server, &format!("?access_token={}", server.admin_key())).await;
        assert_eq!(client.call(method, arguments).await["result"], Value::Null);
        client
    }

    pub(crate) async fn say(&mut self, record: &str) {
        self.socket.send(Message::text(format!("{record}\x1e"))).await.expect("a connection that takes it");
    }

    pub(crate) async fn raw(&mut self, text: &str) {
        self.socket.send(Message::text(text.to_owned())).await.expect("a connection that takes it");
    }

    /// Invokes a method and waits for its completion.
    pub(crate) async fn call(&mut self, method: &str, arguments: Value) -> Value {
        let call = serde_json::json!({"type": 1, "invocationId": "c", "target": method, "arguments": arguments});
        self.say(&call.to_string()).await;
        let answer = self.json().await;
        assert_eq!(answer["type"], 3, "{answer}");
        answer
    }

    /// The next record; pings are records too.
    pub(crate) async fn record(&mut self) -> String {
        match within(self.next()).await {
            Ok(record) => record,
            Err(end) => panic!("the connection has ended: {end:?}"),
        }
    }

    pub(crate) async fn json(&mut self) -> Value {
        let record = self.record().await;
        serde_json::from_str(&record).unwrap_or_else(|_| panic!("no JSON: {record:?}"))
    }

    /// The next record's target and first argument that is an object with a path, or a text.
    pub(crate) async fn event(&mut self) -> (String, String) {
        let record = self.json().await;
        let arguments = record["arguments"].as_array().unwrap_or_else(|| panic!("no event: {record}"));
        let about = arguments.last().map_or("", |last| last["path"].as_str().or(last.as_str()).unwrap_or_default());
        (record["target"].as_str().unwrap_or_default().to_owned(), about.to_owned())
    }

    /// How the connection ends, whatever still comes before.
    pub(crate) async fn end(&mut self) -> End {
        loop {
            if let Err(end) = within(self.next()).await {
                return end;
            }
        }
    }

    async fn next(&mut self) -> Result<String, End> {
        loop {
            if let Some(record) = self.records.pop_front() {
                return Ok(record);
            }
            match self.socket.next().await {
                Some(Ok(message)) if message.is_close() => {
                    return Err(End::Closed(message.as_close().map_or(1005, |(code, _)| code.into())));
                }
                Some(Ok(message)) => {
                    self.unfinished += message.as_text().expect("text only");
                    let mut records: Vec<String> = self.unfinished.split('\x1e').map(str::to_owned).collect();
                    self.unfinished = records.pop().unwrap_or_default();
                    self.sizes.push(records.len());
                    self.records.extend(records);
                }
                Some(Err(Error::Io(broken))) if broken.kind() == std::io::ErrorKind::ConnectionReset => {
                    return Err(End::Reset);
                }
                None | Some(Err(Error::Io(_))) => return Err(End::Gone),
                Some(Err(other)) => panic!("{other}"),
            }
        }
    }
}

/// A request of its own connection: status and body.
pub(crate) async fn request(server: &TestServer, method: &str, target: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.address()).await.expect("a server that listens");
    let (key, length) = (server.admin_key(), body.len());
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.expect("a server that reads");
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.expect("a whole answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

pub(crate) async fn bucket(server: &TestServer) -> String {
    let (status, body) = request(server, "POST", "/api/buckets", r#"{"name":"live"}"#).await;
    assert_eq!(status, 201, "{body}");
    let id = body.split("\"id\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("an id");
    id.to_owned()
}

pub(crate) async fn upload(server: &TestServer, bucket: &str, name: &str) -> u16 {
    request(server, "PUT", &format!("/api/buckets/{bucket}/upload/stream?filename={name}"), name).await.0
}

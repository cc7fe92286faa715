//! A client that sends exactly what it is told.

use std::io;

use carbonfiles_testserver::TestServer;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Empty, and the last on its connection.
    pub(crate) fn assert_closing(&self, status: u16) {
        assert_eq!((self.status, self.body.len()), (status, 0));
        assert_eq!(self.header("connection"), Some("close"));
        assert_eq!(self.header("content-length"), Some("0"));
    }
}

/// The header every test needs.
pub(crate) const ADMIN: &str = "Authorization: Bearer admin-test-key";

/// The head of a request.
pub(crate) fn head(method: &str, target: &str, headers: &[&str]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: test\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

impl Client {
    pub(crate) async fn connect(server: &TestServer) -> Self {
        let stream = TcpStream::connect(server.address()).await.expect("a server that listens");
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends a request with a body (and its length) and reads the answer.
    pub(crate) async fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[&str],
        body: &[u8],
    ) -> io::Result<Answer> {
        let length = format!("Content-Length: {}", body.len());
        let mut headers = headers.to_vec();
        headers.push(&length);
        let mut request = head(method, target, &headers);
        request.extend_from_slice(body);
        // Who is refused early may find the pipe broken before the answer is read.
        let written = self.write(&request).await;
        match self.answer(method).await {
            Err(_) if written.is_err() => Err(written.unwrap_err()),
            answer => answer,
        }
    }

    /// Reads an answer to its end.
    pub(crate) async fn answer(&mut self, method: &str) -> io::Result<Answer> {
        let mut answer = self.answer_head().await?;
        if method == "HEAD" || matches!(answer.status, 100 | 204 | 304) {
            return Ok(answer);
        }
        if let Some(length) = answer.header("content-length") {
            answer.body = self.take(length.parse().expect("a length")).await?;
            return Ok(answer);
        }
        loop {
            let size = usize::from_str_radix(&self.line().await?, 16).expect("a chunk size");
            let chunk = self.take(size).await?;
            answer.body.extend(chunk);
            self.take(2).await?;
            if size == 0 {
                return Ok(answer);
            }
        }
    }

    pub(crate) async fn answer_head(&mut self) -> io::Result<Answer> {
        let first = self.line().await?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(':') else {
                return Ok(Answer { status, headers, body: Vec::new() });
            };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// Reads until the server ends the connection: what came, and how it ended.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, io::Result<()>) {
        loop {
            match self.more().await {
                Ok(()) => {}
                Err(end) if end.kind() == io::ErrorKind::UnexpectedEof => {
                    return (std::mem::take(&mut self.buffer), Ok(()));
                }
                Err(broken) => return (std::mem::take(&mut self.buffer), Err(broken)),
            }
        }
    }

    /// The connection is reset, with nothing more to read.
    pub(crate) async fn assert_reset(&mut self) {
        let (rest, end) = self.rest().await;
        assert_eq!(String::from_utf8_lossy(&rest), "");
        assert_eq!(end.expect_err("a reset").kind(), io::ErrorKind::ConnectionReset);
    }

    pub(crate) async fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.more().await?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.take(at).await?;
                self.take(2).await?;
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> io::Result<()> {
        let mut piece = vec![0; 65536];
        match self.stream.read(&mut piece).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.buffer.extend_from_slice(&piece[..read]);
                Ok(())
            }
        }
    }
}

/// One request on a connection of its own.
pub(crate) async fn once(server: &TestServer, method: &str, target: &str, headers: &[&str], body: &[u8]) -> Answer {
    let mut client = Client::connect(server).await;
    client.request(method, target, headers, body).await.unwrap_or_else(|failed| panic!("{method} {target}: {failed}"))
}

/// A GET by the admin.
pub(crate) async fn get(server: &TestServer, target: &str) -> Answer {
    once(server, "GET", target, &[ADMIN], b"").await
}

/// A JSON POST by the admin, which succeeds.
pub(crate) async fn post(server: &TestServer, target: &str, json: &str) -> Value {
    let answer = once(server, "POST", target, &[ADMIN, "Content-Type: application/json"], json.as_bytes()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

/// The path of a new bucket.
pub(crate) async fn bucket(server: &TestServer, expires_in: &str) -> String {
    let made = post(server, "/api/buckets", &format!(r#"{{"name":"b","expires_in":"{expires_in}"}}"#)).await;
    format!("/api/buckets/{}", made["id"].as_str().expect("an id"))
}

/// Where a file is streamed to.
pub(crate) fn upload(bucket: &str, name: &str) -> String {
    format!("{bucket}/upload/stream?filename={name}")
}

/// An upload by the admin.
pub(crate) async fn put(server: &TestServer, bucket: &str, name: &str, bytes: &[u8]) -> Answer {
    once(server, "PUT", &upload(bucket, name), &[ADMIN], bytes).await
}

/// An upload whose body is under way: the server has read some of it and waits for the rest.
pub(crate) async fn started(server: &TestServer, method: &str, target: &str, length: usize, first: &[u8]) -> Client {
    let mut client = Client::connect(server).await;
    let length = format!("Content-Length: {length}");
    let before = server.requests().len();
    let mut request = head(method, target, &[ADMIN, "X-Append: true", &length]);
    request.extend_from_slice(first);
    client.write(&request).await.expect("a server that reads");
    // The handler counts what it reads; this waits for it, not for a time.
    loop {
        if server.requests().get(before).is_some_and(|seen| seen.body_bytes == first.len() as u64) {
            return client;
        }
        tokio::task::yield_now().await;
    }
}

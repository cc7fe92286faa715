//! A server that answers `200 {}` to everything: what passes here proves nothing.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::proxy::{BodyEnd, Head};

/// It stops when it is dropped.
pub(crate) struct DullServer {
    pub(crate) url: String,
    _accepting: JoinSet<()>,
}

impl DullServer {
    pub(crate) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(serve(socket));
            }
        });
        Ok(Self { url, _accepting: accepting })
    }
}

/// Request after request, until the client goes.
async fn serve(socket: TcpStream) -> io::Result<()> {
    let mut socket = BufReader::new(socket);
    while let Some(head) = Head::read(&mut socket).await? {
        let mut end = BodyEnd::of_request(&head);
        while !end.is_reached() {
            let bytes = socket.fill_buf().await?;
            if bytes.is_empty() {
                return Ok(());
            }
            let taken = end.advance(bytes, |_| {});
            socket.consume(taken);
        }
        let body = if head.method() == "HEAD" { "" } else { "{}" };
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{body}");
        socket.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

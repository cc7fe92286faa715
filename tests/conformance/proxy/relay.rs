//! Passes connections on whole, also those that become something other than HTTP, until it is told to cut them.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Head, Server};

/// A relay on a port of its own, until it is dropped.
pub(crate) struct Relay {
    url: String,
    shared: Arc<Shared>,
    _accepting: JoinSet<()>,
}

struct Shared {
    server: Server,
    /// Whether nobody is let in; every message ends those who are in.
    away: watch::Sender<bool>,
    /// What the server has sent, on all connections.
    said: Mutex<Vec<u8>>,
}

impl Relay {
    /// A relay before the server of a base URL.
    pub(crate) async fn before(url: &str) -> io::Result<Self> {
        let server = Server::of(url)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}{}", listener.local_addr()?, server.base);
        let shared = Arc::new(Shared { server, away: watch::Sender::new(false), said: Mutex::default() });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, shared.clone()));
        Ok(Self { url, shared, _accepting: accepting })
    }

    /// The base URL to give to clients.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Whether the server has sent this text to a client. Frames of a WebSocket's server carry text as it is.
    pub(crate) fn has_passed(&self, text: &str) -> bool {
        let said = self.shared.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.windows(text.len()).any(|bytes| bytes == text.as_bytes())
    }

    /// Ends every connection without a word.
    pub(crate) fn cut(&self) {
        self.shared.away.send_modify(|_| {});
    }

    /// Ends every connection, and lets nobody in until it is told `false`.
    pub(crate) fn away(&self, away: bool) {
        self.shared.away.send_replace(away);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let mut messages = shared.away.subscribe();
        if *messages.borrow_and_update() {
            continue;
        }
        let shared = shared.clone();
        connections.spawn(async move {
            tokio::select! {
                _ = pass(client, &shared) => {}
                _ = messages.changed() => {}
            }
        });
    }
}

/// Passes a connection on, until one side has ended it.
async fn pass(client: TcpStream, shared: &Shared) -> io::Result<()> {
    let (from_client, mut to_client) = client.into_split();
    let mut from_client = BufReader::new(from_client);
    let Some(mut head) = Head::read(&mut from_client).await? else { return Ok(()) };
    head.set("Host", Some(shared.server.host.clone()));
    if head.get("upgrade").is_none() {
        // Only the first head is read here: the next request comes on another connection.
        head.set("Connection", Some("close".to_owned()));
    }
    let (mut from_server, mut to_server) = TcpStream::connect(&shared.server.authority).await?.into_split();
    to_server.write_all(&head.bytes()).await?;
    let up = tokio::io::copy(&mut from_client, &mut to_server);
    let down = async {
        let mut bytes = vec![0; 16 << 10];
        loop {
            let read = from_server.read(&mut bytes).await?;
            if read == 0 {
                return Ok(());
            }
            shared.said.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&bytes[..read]);
            to_client.write_all(&bytes[..read]).await?;
        }
    };
    tokio::select! {
        done = up => done.map(drop),
        done = down => done,
    }
}

//! A scriptable HTTP/1.1 proxy, to be put before any server: it passes requests on as they are, except where a
//! [`Rule`] says otherwise, and remembers what it saw.
//!
//! It knows as much of HTTP as it must: where a head and a body end. Bodies pass through in pieces, early answers
//! overtake the rest of a request, and a client that goes takes its request to the server with it.

mod exchange;
#[cfg_attr(not(feature = "events"), allow(dead_code, reason = "only live events need it"))]
pub(crate) mod relay;
mod rule;
mod seen;
mod wire;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use rule::{Firing, Handle, Rule};
pub(crate) use seen::Seen;
pub(crate) use wire::{BodyEnd, Head};

use rule::Active;

/// A proxy on a port of its own, until it is dropped.
pub(crate) struct Proxy {
    url: String,
    shared: Arc<Shared>,
    _accepting: JoinSet<()>,
}

/// What the base URL of a server says.
pub(crate) struct Server {
    /// The server's name, as its own clients would give it.
    pub(crate) host: String,
    /// Where to connect to: `host:port`.
    pub(crate) authority: String,
    /// What the URL has for a path.
    pub(crate) base: String,
}

impl Server {
    pub(crate) fn of(url: &str) -> io::Result<Self> {
        let unfit = || io::Error::other("the proxy needs a server at http://…: put one that speaks TLS behind it");
        let server = url.strip_prefix("http://").ok_or_else(unfit)?.trim_end_matches('/');
        let (host, base) = server.find('/').map_or((server, ""), |at| server.split_at(at));
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { host.to_owned() } else { format!("{host}:80") };
        Ok(Self { host: host.to_owned(), authority, base: base.to_owned() })
    }
}

struct Shared {
    server: Server,
    /// What clients have for a path before the server's.
    below: String,
    rules: Mutex<Vec<Active>>,
    seen: watch::Sender<Vec<Seen>>,
    connections: AtomicU64,
}

impl Proxy {
    /// A proxy before the server of a base URL, which clients see below a path such as `/cf`, or none.
    pub(crate) async fn before(url: &str, path: &str) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            server: Server::of(url)?,
            below: path.to_owned(),
            rules: Mutex::default(),
            seen: watch::Sender::new(Vec::new()),
            connections: AtomicU64::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}{path}", listener.local_addr()?);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, shared.clone()));
        Ok(Self { url, shared, _accepting: accepting })
    }

    /// The base URL to give to clients.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Adds a rule. Of several that match a request, the first added strikes.
    pub(crate) fn add(&self, rule: Rule) -> Handle {
        let (active, handle) = rule.activate();
        self.shared.rules().push(active);
        handle
    }

    /// The requests so far, in the order in which their heads came.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.shared.seen.borrow().clone()
    }

    /// The requests of a method whose target contains a text, without those that carry none of a body they announce:
    /// these ask what a broken upload would have been told.
    pub(crate) fn requests_of(&self, method: &str, target: &str) -> Vec<Seen> {
        let mut seen = self.requests();
        seen.retain(|seen| seen.method == method && seen.target.contains(target) && !seen.is_probe());
        seen
    }

    /// Waits until the requests are as they should be.
    pub(crate) async fn until(&self, mut holds: impl FnMut(&[Seen]) -> bool) {
        // It can't fail: the sender is in `shared`.
        let _ = self.shared.seen.subscribe().wait_for(|seen| holds(seen)).await;
    }

    /// How many connections clients have made.
    pub(crate) fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn rules(&self) -> std::sync::MutexGuard<'_, Vec<Active>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to go wrong with a request, if anything.
    fn strike(&self, head: &Head) -> Option<Firing> {
        self.rules().iter_mut().find_map(|rule| rule.strike(head))
    }

    /// The target on the server; `None` where it is not below the path that clients should have.
    fn target(&self, target: &str) -> Option<String> {
        let rest = target.strip_prefix(self.below.as_str())?;
        rest.starts_with('/').then(|| format!("{}{rest}", self.server.base))
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        shared.connections.fetch_add(1, Ordering::SeqCst);
        connections.spawn(exchange::serve(client, shared.clone()));
        // Those that have ended.
        while connections.try_join_next().is_some() {}
    }
}

/// Makes the peer see `ECONNRESET` when the stream is dropped.
fn reset_on_drop(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO));
}

//! Accepting connections and running HTTP/1 on them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::exchange;
use super::link::{Link, Wire};
use super::site::Site;
use super::unsent;
use crate::hub::session;

/// What running connections are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Running,
    /// Finish running requests, close idle connections, take no new ones.
    Finishing,
    /// Drop everything.
    Stopped,
}

/// Big enough for a megabyte at a time, which is what makes large transfers quick.
const BUFFER: usize = 1 << 20;

/// How long Kestrel keeps a connection on which nothing is asked.
const KEEP_ALIVE: Duration = Duration::from_secs(130);

/// Accepts connections until told to stop; then waits for those that may finish.
pub(crate) async fn accept<S: Site>(listener: TcpListener, site: Arc<S>, mut stage: watch::Receiver<Stage>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            changed = stage.changed() => {
                if changed.is_err() || *stage.borrow() != Stage::Running {
                    break;
                }
            }
            accepted = listener.accept() => {
                // An error here is a connection that died in the queue; the next one may be fine.
                if let Ok((stream, _)) = accepted {
                    let id = site.connections().fetch_add(1, Ordering::SeqCst) + 1;
                    open.spawn(serve(stream, id, Arc::clone(&site), stage.clone()));
                }
            }
            Some(_) = open.join_next(), if !open.is_empty() => {}
        }
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

async fn serve<S: Site>(stream: TcpStream, id: u64, site: Arc<S>, mut stage: watch::Receiver<Stage>) {
    // Small answers must not wait for the peer's acknowledgement.
    let _ = stream.set_nodelay(true);
    let addresses = stream.local_addr().ok().zip(stream.peer_addr().ok());
    let link = Arc::new(Link::new(id));
    let wire = TokioIo::new(Wire::new(stream, Arc::clone(&link)));
    let service = service_fn(|request| exchange::answer(Arc::clone(&site), Arc::clone(&link), request));
    let connection = http1::Builder::new()
        .max_buf_size(BUFFER)
        .title_case_headers(true)
        .serve_connection(wire, service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    loop {
        tokio::select! {
            // A cut comes first: hyper, seeing its body dropped, would end the connection in its own, politer way.
            biased;
            () = link.cut() => {
                if let (true, Some((local, peer))) = (link.is_to_be_sent(), addresses) {
                    unsent::all_sent(local, peer).await;
                }
                return;
            }
            changed = stage.changed() => match *stage.borrow() {
                _ if changed.is_err() => return,
                Stage::Running => {}
                Stage::Finishing => connection.as_mut().graceful_shutdown(),
                Stage::Stopped => return,
            },
            () = link.idle_for(KEEP_ALIVE) => return,
            // A connection that broke is the peer's business.
            _ = connection.as_mut() => break,
        }
    }
    if let Some(entrance) = link.successor() {
        session::run(entrance, &link, stage).await;
    }
}

//! A server's listener and connections.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::http::connection::{self, Stage};
use crate::http::site::Site;

/// A server that could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct StartError {
    address: SocketAddr,
    source: std::io::Error,
}

/// The part of a server that a restart replaces.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) stage: watch::Sender<Stage>,
    accepting: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn on<S: Site>(address: SocketAddr, site: &Arc<S>) -> Result<Self, StartError> {
        let failed = |source| StartError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (stage, told) = watch::channel(Stage::Running);
        let accepting = tokio::spawn(connection::accept(listener, Arc::clone(site), told));
        Ok(Self { address, stage, accepting })
    }

    pub(crate) async fn stop(self, stage: Stage) {
        self.stage.send_replace(stage);
        // It ends by itself once all connections have.
        let _ = self.accepting.await;
    }
}

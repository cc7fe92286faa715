//! Starting, steering and stopping a server.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::clock::Clock;
use crate::content::{BlobWriter, Vault};
use crate::defects::Defects;
use crate::fault::{Fault, FaultHandle};
use crate::http::connection::Stage;
use crate::http::cors::Origins;
use crate::hub::{Hub, HubTimes};
use crate::running::{Running, StartError};
use crate::seen::SeenRequest;
use crate::shared::{Config, Shared};

/// How a server is to be; made by [`TestServer::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct Builder {
    config: Config,
    address: SocketAddr,
    memory_limit: u64,
    directory: PathBuf,
    now: Option<SystemTime>,
    faults_must_fire: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            config: Config {
                admin_key: "admin-test-key".to_owned(),
                jwt_secret: None,
                max_upload_size: 0,
                slow_body_grace: Duration::from_secs(5),
                commit_time: Duration::from_millis(2),
                cleanup_interval: None,
                defects: Defects::default(),
                origins: Origins::Any,
                hub_times: HubTimes::default(),
            },
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            memory_limit: 64 << 20,
            directory: std::env::temp_dir(),
            now: None,
            faults_must_fire: false,
        }
    }
}

impl Builder {
    /// The admin key; `admin-test-key` unless told otherwise.
    pub fn admin_key(mut self, key: impl Into<String>) -> Self {
        self.config.admin_key = key.into();
        self
    }

    /// What dashboard tokens are signed with; the admin key unless told otherwise.
    pub fn jwt_secret(mut self, secret: impl Into<String>) -> Self {
        self.config.jwt_secret = Some(secret.into());
        self
    }

    /// The largest request body in bytes, whatever the route; 0, the default, is no limit.
    pub fn max_upload_size(mut self, bytes: u64) -> Self {
        self.config.max_upload_size = bytes;
        self
    }

    /// Which defects of the real server this one has; all, unless told otherwise.
    pub fn defects(mut self, defects: Defects) -> Self {
        self.config.defects = defects;
        self
    }

    /// Lets only these origins read answers, instead of any. The server keeps them in lower case, as browsers send them.
    pub fn cors_origins<O: Into<String>>(mut self, origins: impl IntoIterator<Item = O>) -> Self {
        self.config.origins = Origins::Listed(origins.into_iter().map(|origin| origin.into().to_lowercase()).collect());
        self
    }

    /// How long a body may be slow before it is a 408; 5 seconds, unless told otherwise.
    pub fn slow_body_grace(mut self, grace: Duration) -> Self {
        self.config.slow_body_grace = grace;
        self
    }

    /// How long an upload takes from its last byte to its being stored, while others are under way: the time in which
    /// they race. 2 milliseconds, as the real server, unless told otherwise.
    pub fn commit_time(mut self, time: Duration) -> Self {
        self.config.commit_time = time;
        self
    }

    /// The moment at which its clock begins; the machine's, unless told otherwise. See [`TestServer::clock`].
    pub fn now(mut self, now: SystemTime) -> Self {
        self.now = Some(now);
        self
    }

    /// Really deletes expired buckets 30 seconds after the start, and then so often; the real server does it every hour.
    /// Never, unless told so: see [`TestServer::cleanup`].
    pub fn cleanup_interval(mut self, interval: Duration) -> Self {
        self.config.cleanup_interval = Some(interval);
        self
    }

    /// How long the hub waits for what; as the real server, unless told otherwise.
    pub fn hub_times(mut self, times: HubTimes) -> Self {
        self.config.hub_times = times;
        self
    }

    /// When the server is dropped, each fault must have taken effect, but for those that
    /// [may miss](crate::Fault::may_miss): a fault that waits for byte 100,000 of a body of ten tests nothing. Else the drop
    /// panics. They need not, unless told so.
    pub fn faults_must_fire(mut self) -> Self {
        self.faults_must_fire = true;
        self
    }

    /// Where to listen; a free port of `127.0.0.1`, unless told otherwise.
    pub fn address(mut self, address: impl Into<SocketAddr>) -> Self {
        self.address = address.into();
        self
    }

    /// How many bytes of content are kept in memory, 64 MiB unless told otherwise; the rest goes to temporary files.
    /// One file has at most an eighth of it.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = bytes;
        self
    }

    /// Where temporary files go; the system's place for them, unless told otherwise.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = directory.into();
        self
    }

    /// Starts the server on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn start(self) -> Result<TestServer, StartError> {
        let clock = Clock::default();
        if let Some(now) = self.now {
            clock.set(now);
        }
        let vault = Vault::new(self.memory_limit, self.directory);
        let shared = Shared::new(self.config, clock, vault);
        let running = Running::on(self.address, &shared).await?;
        clean_up_while_running(&shared, &running);
        let address = running.address;
        Ok(TestServer {
            shared,
            url: format!("http://{address}"),
            address,
            running: Mutex::new(Some(running)),
            faults_must_fire: self.faults_must_fire,
        })
    }
}

/// A running server. Stops at once when dropped.
pub struct TestServer {
    shared: Arc<Shared>,
    url: String,
    address: SocketAddr,
    running: Mutex<Option<Running>>,
    faults_must_fire: bool,
}

impl std::fmt::Debug for TestServer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TestServer").field("url", &self.url).finish_non_exhaustive()
    }
}

/// When a server that cleans up does so for the first time.
const FIRST_CLEANUP: Duration = Duration::from_secs(30);

fn clean_up_while_running(shared: &Arc<Shared>, running: &Running) {
    let Some(interval) = shared.config.cleanup_interval else {
        return;
    };
    let (shared, mut stage) = (Arc::clone(shared), running.stage.subscribe());
    tokio::spawn(async move {
        let mut wait = FIRST_CLEANUP;
        while tokio::time::timeout(wait, stage.wait_for(|stage| *stage != Stage::Running)).await.is_err() {
            shared.clean_up();
            wait = interval;
        }
    });
}

/// How long requests may go on after a graceful stop.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(30);

impl TestServer {
    /// Starts a server on a free port of `127.0.0.1`, with the admin key `admin-test-key` and all defects.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub async fn start() -> Result<Self, StartError> {
        Self::builder().start().await
    }

    /// Sets a server up before it is started.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The admin key.
    #[must_use]
    pub fn admin_key(&self) -> &str {
        &self.shared.config.admin_key
    }

    /// Its clock, which a test can move.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Really deletes expired buckets, as the clean-up job of the real server does 30 seconds after its start and then
    /// every hour.
    pub fn cleanup(&self) {
        self.shared.clean_up();
    }

    /// Every request seen so far, in the order in which they came, with what has become of each.
    #[must_use]
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.shared.seen.report()
    }

    /// Forgets the requests seen so far.
    pub fn clear_requests(&self) {
        self.shared.seen.clear();
    }

    /// TCP connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The hub of live events.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.shared.hub
    }

    /// Lets something go wrong.
    pub fn inject(&self, fault: Fault) -> FaultHandle {
        self.shared.script.add(fault)
    }

    /// Takes back all faults that are still to strike.
    pub fn clear_faults(&self) {
        self.shared.script.clear();
    }

    /// Bytes of content in memory now.
    #[must_use]
    pub fn bytes_in_memory(&self) -> u64 {
        self.shared.vault.in_memory()
    }

    /// Bytes in temporary files now. Small contents share a file, which goes with the last of them.
    #[must_use]
    pub fn bytes_in_files(&self) -> u64 {
        self.shared.vault.in_files()
    }

    /// Puts other bytes where a file's content is stored, or takes them away (`None`), behind the server's back:
    /// as if its disk had done it. All files with the same content are hit. Returns whether there is such a file.
    pub async fn tamper(&self, bucket_id: &str, path: &str, bytes: Option<&[u8]>) -> bool {
        let hash = self.shared.state().bucket(bucket_id).and_then(|bucket| bucket.file(path)).map(|file| file.hash);
        let Some(hash) = hash else {
            return false;
        };
        let blob = match bytes {
            None => None,
            Some(bytes) => {
                let mut writer = BlobWriter::new(&self.shared.vault);
                if writer.write(bytes).await.is_err() {
                    return false;
                }
                writer.finish().await.ok().map(|(_, blob)| blob)
            }
        };
        self.shared.state().contents.tamper(&hash, blob);
        true
    }

    fn take_running(&self) -> Option<Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Stops at once, as SIGKILL would: connections just end. What is stored stays, for [`restart`](Self::restart).
    pub async fn shutdown(&self) {
        if let Some(running) = self.take_running() {
            running.stop(Stage::Stopped).await;
        }
    }

    /// Stops as SIGTERM would: no new connections, idle ones close, running requests finish, for at most 30 seconds.
    pub async fn shutdown_gracefully(&self) {
        let Some(running) = self.take_running() else {
            return;
        };
        let stage = running.stage.clone();
        if tokio::time::timeout(SHUTDOWN_LIMIT, running.stop(Stage::Finishing)).await.is_err() {
            stage.send_replace(Stage::Stopped);
        }
    }

    /// Stops at once, if it has not been stopped, and starts again on the same address, with what was stored; only the
    /// caches are empty, and nobody is subscribed to anything.
    ///
    /// # Errors
    ///
    /// When somebody else has taken the port meanwhile.
    pub async fn restart(&self) -> Result<(), StartError> {
        self.shutdown().await;
        self.shared.state().caches = Default::default();
        self.shared.hub.restart();
        *self.shared.started.lock().unwrap_or_else(PoisonError::into_inner) = self.shared.now();
        let running = Running::on(self.address, &self.shared).await?;
        clean_up_while_running(&self.shared, &running);
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
        Ok(())
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(running) = self.take_running() {
            // Connections see it and drop their sockets; nothing has to be waited for.
            running.stage.send_replace(Stage::Stopped);
        }
        // What a test complains of itself comes first.
        if self.faults_must_fire && !std::thread::panicking() {
            let misses = self.shared.script.misses();
            assert!(misses.is_empty(), "faults that never took effect: {misses:#?}");
        }
    }
}

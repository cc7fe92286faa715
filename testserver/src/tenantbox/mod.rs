//! A Tenantbox: its API, and on another port the S3 that its presigned URLs lead to.
//!
//! The API is written from the service's public reference and its official client, since the service is hosted only. The
//! S3 checks signatures, expiry and signed headers by the `s3s` crate, which shares nothing with what signs here.

mod api;
mod presign;
mod state;
mod storage;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::content::Vault;
use crate::fault::{Fault, FaultHandle};
use crate::http::connection::Stage;
use crate::http::site::Site;
use crate::running::{Running, StartError};
use crate::seen::SeenRequest;
use api::Api;
use presign::Signer;
use state::State;
use storage::Storage;

/// The project API key of every [`Tenantbox`].
const API_KEY: &str = "tbx_test_key";

/// A running Tenantbox. Stops at once when dropped.
///
/// ```
/// # async fn test() -> Result<(), Box<dyn std::error::Error>> {
/// use carbonfiles_testserver::{Fault, Tenantbox};
///
/// let server = Tenantbox::start().await?;
/// let cut = server.inject_storage(Fault::reset_response_after(10).on("GET", ""));
/// // … point a client at `server.url()` with the key `server.api_key()` …
/// # Ok(()) }
/// ```
pub struct Tenantbox {
    api: Arc<Api>,
    storage: Arc<Storage>,
    running: Mutex<Option<[Running; 2]>>,
    url: String,
    storage_url: String,
    faults_must_fire: bool,
}

impl Tenantbox {
    /// Starts one on free ports of `127.0.0.1`.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub async fn start() -> Result<Self, StartError> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0)).await
    }

    /// Starts one whose API listens at this address; its storage takes a free port of the same host.
    ///
    /// # Errors
    ///
    /// When an address can't be listened on.
    pub async fn start_at(address: impl Into<SocketAddr>) -> Result<Self, StartError> {
        let address = address.into();
        let state = Arc::new(State::default());
        let signer = Signer::new();
        let vault = Vault::new(64 << 20, std::env::temp_dir());
        let storage = Arc::new(Storage::new(Arc::clone(&state), &signer, vault));
        let storing = Running::on((address.ip(), 0).into(), &storage).await?;
        let storage_url = format!("http://{}", storing.address);
        let api = Arc::new(Api::new(state, signer, &storage_url));
        let running = Running::on(address, &api).await?;
        let url = format!("http://{}", running.address);
        let running = Mutex::new(Some([running, storing]));
        Ok(Self { api, storage, running, url, storage_url, faults_must_fire: false })
    }

    /// When it is dropped, each fault of either site must have taken effect, but for those that
    /// [may miss](crate::Fault::may_miss). Else the drop panics.
    #[must_use]
    pub fn faults_must_fire(mut self) -> Self {
        self.faults_must_fire = true;
        self
    }

    /// `http://127.0.0.1:PORT` of the API, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `http://127.0.0.1:PORT` of the storage: another origin.
    #[must_use]
    pub fn storage_url(&self) -> &str {
        &self.storage_url
    }

    /// The project's API key.
    #[must_use]
    pub fn api_key(&self) -> &str {
        API_KEY
    }

    /// Every request that the API has seen so far.
    #[must_use]
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.api.seen().report()
    }

    /// Every request that the storage has seen so far.
    #[must_use]
    pub fn storage_requests(&self) -> Vec<SeenRequest> {
        self.storage.seen().report()
    }

    /// Lets something go wrong at the API.
    pub fn inject(&self, fault: Fault) -> FaultHandle {
        self.api.script().add(fault)
    }

    /// Lets something go wrong at the storage.
    pub fn inject_storage(&self, fault: Fault) -> FaultHandle {
        self.storage.script().add(fault)
    }

    /// The next so many presigned URLs are signed as if so long ago: what is longer than their life makes them expired,
    /// as on the storage's own clock.
    pub fn sign_in_the_past(&self, urls: u64, age: Duration) {
        self.api.sign_in_the_past(urls, age);
    }

    /// How long a URL to upload to is said to live, and lives. One hour unless told otherwise.
    pub fn upload_urls_live(&self, time: Duration) {
        self.api.upload_urls_live(time);
    }

    /// With which status the API says that a quota is used up: 403, which the official client expects, unless told 413,
    /// which the reference says.
    pub fn quota_status(&self, status: u16) {
        self.api.quota_status(status);
    }

    /// The bytes stored under a path, if there are any.
    pub async fn stored(&self, file_path: &str) -> Option<Vec<u8>> {
        self.storage.bytes(file_path).await
    }

    /// How many objects the storage has.
    #[must_use]
    pub fn objects(&self) -> usize {
        self.storage.objects()
    }

    /// Takes an object out of the storage behind the API's back.
    pub fn lose(&self, file_path: &str) -> bool {
        self.storage.lose(file_path)
    }
}

impl Drop for Tenantbox {
    fn drop(&mut self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        for site in running.into_iter().flatten() {
            // Connections see it and drop their sockets; nothing has to be waited for.
            site.stage.send_replace(Stage::Stopped);
        }
        // What a test complains of itself comes first.
        if self.faults_must_fire && !std::thread::panicking() {
            let misses = [self.api.script().misses(), self.storage.script().misses()].concat();
            assert!(misses.is_empty(), "faults that never took effect: {misses:#?}");
        }
    }
}

impl std::fmt::Debug for Tenantbox {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tenantbox").field("url", &self.url).finish_non_exhaustive()
    }
}

//! What requests the server has seen.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// One request, as far as it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenRequest {
    /// `GET`, `PUT`…
    pub method: String,
    /// The request target as it was sent: not decoded, with its query.
    pub path: String,
    /// Names in lower case, values as sent (bytes outside ASCII replaced), in the order sent.
    pub headers: Vec<(String, String)>,
    /// How many bytes of its body the server has read so far.
    pub body_bytes: u64,
    /// The status it was answered with; `None` while it is not, or when it never was.
    pub status: Option<u16>,
    /// Which connection it came on, counted from 1.
    pub connection: u64,
}

impl SeenRequest {
    /// The first header of this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// A request that is being seen.
#[derive(Debug)]
pub(crate) struct Sighting {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    connection: u64,
    body_bytes: AtomicU64,
    status: OnceLock<u16>,
}

impl Sighting {
    pub(crate) fn body_read(&self, bytes: u64) {
        self.body_bytes.fetch_add(bytes, Ordering::SeqCst);
    }

    pub(crate) fn answered(&self, status: u16) {
        let _ = self.status.set(status);
    }

    fn report(&self) -> SeenRequest {
        SeenRequest {
            method: self.method.clone(),
            path: self.path.clone(),
            headers: self.headers.clone(),
            body_bytes: self.body_bytes.load(Ordering::SeqCst),
            status: self.status.get().copied(),
            connection: self.connection,
        }
    }
}

/// All of them, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct SeenLog {
    seen: Mutex<Vec<Arc<Sighting>>>,
}

impl SeenLog {
    pub(crate) fn add(&self, head: &hyper::http::request::Parts, connection: u64) -> Arc<Sighting> {
        let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let sighting = Arc::new(Sighting {
            method: head.method.to_string(),
            path: head.uri.path_and_query().map_or_else(|| head.uri.to_string(), ToString::to_string),
            headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            connection,
            body_bytes: AtomicU64::new(0),
            status: OnceLock::new(),
        });
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&sighting));
        sighting
    }

    pub(crate) fn report(&self) -> Vec<SeenRequest> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().map(|sighting| sighting.report()).collect()
    }

    pub(crate) fn clear(&self) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

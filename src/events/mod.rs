//! Live events of buckets and files (feature `events`).
//!
//! ```no_run
//! use carbonfiles::events::Event;
//! use futures::TryStreamExt;
//!
//! # async fn f(client: carbonfiles::Client) -> carbonfiles::Result<()> {
//! let mut events = client.bucket("OPb4f1fdsX").events().await?; // now in force
//! while let Some(event) = events.try_next().await? {
//!     match event {
//!         Event::FileCreated { file, .. } => println!("new: {} ({} bytes)", file.path, file.size),
//!         Event::Disconnected { reason, .. } => println!("the connection is lost: {reason}"),
//!         Event::Reconnected { .. } => println!("it is back; list again, and compare with what you have"),
//!         other => println!("{other:?}"),
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! A client has one connection for all its subscriptions, made with the first one and closed with the last one; only
//! [`Events::all`] has one of its own, since its credential has to be in the URL. The connection is kept up: it is made
//! again as often as it takes, everything is subscribed to again, and then the streams are told.
//!
//! The server keeps no history, and says nothing of some changes. For a view that is right all the same, use
//! [`Bucket::watch`](crate::Bucket::watch) or [`Bucket::mirror`](crate::Bucket::mirror).
//!
//! It is looked after in the Tokio runtime of one who has subscribed; when that ends, in that of another. Where none is
//! left, the streams end with `Interrupted`, and so they do when it panics, such as in a token provider.
//!
//! The connection is always read, whatever its readers do: a subscriber that is not read would hold up everybody's
//! uploads on the server. Each stream has a buffer and an [`Overflow`] policy of its own.

mod callbacks;
mod connection;
mod event;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod heard;
mod interest;
mod line;
mod mirror;
mod parcel;
mod protocol;
mod queue;
mod registry;
mod session;
mod settings;
mod socket;
mod state;
mod subscribe;
mod wait;
mod watch;

use std::sync::Arc;

pub use callbacks::EventGuard;
pub use event::{BucketChanges, Event, EventKind};
pub use mirror::{Changes, Mirror, MirrorChanges, StartMirror};
pub use queue::Overflow;
pub use settings::EventSettings;
pub use state::{ConnectionState, StateWatch};
pub use subscribe::{EventStream, Subscribe};
pub use watch::{WatchBuckets, WatchEvent, WatchFiles};

use self::interest::Interest;
use self::line::Line;
use crate::buckets::Bucket;
use crate::client::Client;
use crate::file_path::check_id;
use crate::files::File;
use crate::http::Transport;

/// A client's two connections to the hub, neither of which is made before it is needed.
#[derive(Clone)]
pub(crate) struct Lines {
    shared: Arc<Line>,
    all: Arc<Line>,
}

impl Lines {
    pub(crate) fn new(transport: &Transport, settings: EventSettings) -> Self {
        Self {
            shared: Line::new(transport.clone(), settings.clone(), false),
            all: Line::new(transport.clone(), settings, true),
        }
    }

    /// Those of a client with another credential: only the connection of its own carries it.
    pub(crate) fn with_transport(&self, transport: &Transport) -> Self {
        Self { shared: self.shared.clone(), all: Line::new(transport.clone(), self.settings().clone(), true) }
    }

    fn settings(&self) -> &EventSettings {
        self.shared.settings()
    }
}

/// The events of a whole server, and the state of the client's connections. Made by [`Client::events`].
#[derive(Debug, Clone)]
pub struct Events {
    client: Client,
}

impl Events {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// The client that this handle was made by.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// All events of all buckets (admin key or dashboard token).
    ///
    /// The server wants the credential in the URL of the connection, where logs of proxies keep it; so this has a
    /// connection of its own, and others carry none.
    ///
    /// A token provider is asked before each attempt to connect, and once more where the hub refuses what it gave; one that
    /// fails, or takes longer than [`EventSettings::handshake_timeout`], is asked again later.
    ///
    /// # Errors
    /// `Unauthenticated` or `PermissionDenied` in the hub's words; `InvalidInput` for a token that can't be one.
    pub fn all(&self) -> Subscribe {
        Subscribe::new(self.client.lines.all.clone(), Ok(Interest::All))
    }

    /// The state of the connection that buckets and files share.
    pub fn state(&self) -> StateWatch {
        self.client.lines.shared.state()
    }

    /// The state of the connection of [`Events::all`].
    pub fn state_of_all(&self) -> StateWatch {
        self.client.lines.all.state()
    }
}

impl Bucket {
    /// The events of this bucket and its files (public: the hub asks for no credential, and does not check the id).
    ///
    /// # Errors
    /// `InvalidInput` for an id that can't be one, or is longer than the hub takes (some 32 KiB); `Unsupported`, `NotFound`
    /// or `Decode` where there is no hub, or a proxy before it does not pass WebSockets on. Faults that may pass are waited
    /// out, and so is that once this client has been connected; see [`Subscribe::timeout`].
    pub fn events(&self) -> Subscribe {
        let interest = check_id("bucket id", self.id()).and_then(|()| Interest::Bucket(self.id().into()).sayable());
        Subscribe::new(self.client().lines.shared.clone(), interest)
    }
}

impl File {
    /// The events of this one file: created, updated, deleted (public). Of its bucket's own there are none, not even
    /// that of its deletion.
    ///
    /// # Errors
    /// As [`Bucket::events`], and `InvalidInput` for a path that can't be one or is longer than the hub takes.
    pub fn events(&self) -> Subscribe {
        let id = self.bucket().id();
        let interest = check_id("bucket id", id)
            .and_then(|()| self.checked_path())
            .and_then(|path| Interest::File(id.into(), path.as_str().into()).sayable());
        Subscribe::new(self.bucket().client().lines.shared.clone(), interest)
    }
}

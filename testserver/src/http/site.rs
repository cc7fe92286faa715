//! What answers the requests of a server, and what its connections need of it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use hyper::http::request::Parts;

use super::body::{BodyRules, RequestBody};
use super::link::Link;
use super::reply::Reply;
use crate::fault::Script;
use crate::seen::SeenLog;
use crate::shared::Reading;

/// A request that no handler has seen yet.
pub(crate) struct Asked {
    pub(crate) link: Arc<Link>,
    pub(crate) head: Parts,
    pub(crate) body: RequestBody,
}

/// One of the servers of this crate, behind its sockets.
pub(crate) trait Site: Send + Sync + 'static {
    fn seen(&self) -> &SeenLog;
    fn script(&self) -> &Script;
    /// Counts the connections accepted so far.
    fn connections(&self) -> &AtomicU64;
    fn body_rules(&self) -> BodyRules;

    /// Runs the handler. What is left of the request comes back, to be drained.
    fn answer(self: Arc<Self>, asked: Asked) -> impl Future<Output = (Reply, Asked)> + Send;

    /// What was read for an answer that is held back, as long as it is.
    fn reading(self: &Arc<Self>, _: &Reply) -> Option<Reading> {
        None
    }

    /// What every answer has, those of faults included.
    fn finish(&self, _: &Parts, reply: Reply) -> Reply {
        reply
    }
}

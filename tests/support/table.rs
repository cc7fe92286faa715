//! Every kind of call against every kind of trouble: how often it was sent, what came of it, and what the server holds.
//! The tables of the services say what their calls are; this is what is right to do with each.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use carbonfiles::{Error, ErrorKind};
use carbonfiles_testserver::Fault;
use futures::future::BoxFuture;
use futures::{StreamExt, stream};

use crate::support::within;

/// What is right to do with a call whose attempt failed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Class {
    /// Doing it twice is the same as doing it once.
    Safe,
    /// As `Safe`; but a 500 of it is no passing one.
    #[allow(dead_code, reason = "each service has some of them")]
    SafeBut500,
    /// As `Safe`, and what is gone the second time has been deleted by the first.
    Deletion,
    /// Sent again only if it never arrived.
    Once,
    /// An upload that costs a use of a token: sent again when the server is seen not to have it.
    #[allow(dead_code, reason = "each service has some of them")]
    Counted,
    /// An upload that makes another file each time: never sent again when all of it was sent, but looked for; and sent
    /// again when it was turned away.
    #[allow(dead_code, reason = "each service has some of them")]
    Looked,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Trouble {
    /// Nobody listens at first.
    Refused,
    /// Reset when the head has arrived.
    ResetBefore,
    /// Reset in the middle of the request's body.
    ResetWithin,
    Status(u16),
    /// A 503 that asks for a second.
    Busy,
    /// Carried out, and reset before the answer.
    LostReply,
    /// Carried out, and reset in the middle of the answer's body.
    HalfReply,
}

impl Trouble {
    /// As the test servers have it. Nobody listens by the resolver's doing.
    #[allow(dead_code, reason = "one service has no test server")]
    pub(crate) fn fault(self) -> Option<Fault> {
        Some(match self {
            Self::Refused => return None,
            Self::ResetBefore => Fault::reset(),
            Self::ResetWithin => Fault::reset_request_after(1),
            Self::Status(status) => Fault::status(status),
            Self::Busy => Fault::status(503).header("retry-after", "1"),
            Self::LostReply => Fault::lose_reply(),
            Self::HalfReply => Fault::reset_response_after(1),
        })
    }
}

const TROUBLES: [Trouble; 11] = [
    Trouble::Refused,
    Trouble::ResetBefore,
    Trouble::ResetWithin,
    Trouble::Status(429),
    Trouble::Status(500),
    Trouble::Status(502),
    Trouble::Status(503),
    Trouble::Status(504),
    Trouble::Busy,
    Trouble::LostReply,
    Trouble::HalfReply,
];

/// Whether the call succeeds, how often it was sent, and how often it was carried out.
fn expected(class: Class, trouble: Trouble) -> (bool, usize, u64) {
    use Class::{Counted, Deletion, Looked, Once, Safe, SafeBut500};
    use Trouble::{Busy, HalfReply, LostReply, Refused, ResetBefore, ResetWithin, Status};
    match (class, trouble) {
        (_, Refused) => (true, 1, 1),
        (Once, LostReply | HalfReply) => (false, 1, 1),
        (Counted | Looked, LostReply | HalfReply) => (true, 1, 1),
        (Counted, ResetBefore | ResetWithin | Status(500)) => (true, 2, 1),
        (Looked, Status(429 | 503) | Busy) => (true, 2, 1),
        (Once | Counted | Looked, _) | (SafeBut500, Status(500)) => (false, 1, 0),
        (Safe | SafeBut500 | Deletion, _) => (true, 2, 1),
    }
}

/// Knows one name. The port is that of the URL, and at 127.0.0.2 nobody listens on it.
pub(crate) struct Names {
    dead_at_first: AtomicBool,
}

impl Names {
    pub(crate) fn new(dead_at_first: bool) -> Self {
        Self { dead_at_first: AtomicBool::new(dead_at_first) }
    }
}

impl reqwest::dns::Resolve for Names {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let last = if self.dead_at_first.swap(false, Ordering::SeqCst) { 2 } else { 1 };
        let addresses: reqwest::dns::Addrs = Box::new([SocketAddr::from(([127, 0, 0, last], 0))].into_iter());
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// A kind of call.
pub(crate) struct Kind<P> {
    pub(crate) name: &'static str,
    pub(crate) class: Class,
    /// Which requests are those of the call, and not of what goes with it.
    pub(crate) method: &'static str,
    pub(crate) target: &'static str,
    /// Its requests, and its answers, have a body.
    pub(crate) bodies: (bool, bool),
    pub(crate) call: fn(P) -> BoxFuture<'static, Result<(), Error>>,
    /// How often it has been carried out, as the server shows; for reads there is nothing to see.
    pub(crate) seen: Option<fn(P) -> BoxFuture<'static, u64>>,
}

/// A request that came.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) method: String,
    pub(crate) target: String,
    /// It announced a body and brought none: the question what a server that broke off had to say.
    pub(crate) asks: bool,
}

impl From<carbonfiles_testserver::SeenRequest> for Sent {
    fn from(seen: carbonfiles_testserver::SeenRequest) -> Self {
        let asks = seen.body_bytes == 0 && seen.header("content-length").is_some_and(|length| length != "0");
        Self { method: seen.method, target: seen.path, asks }
    }
}

/// A server of its own, and what calls are made on, by a client without connections.
pub(crate) trait Place: Clone + Send + Sync + 'static {
    /// Whether nobody is to listen when the client first connects.
    fn start(dead_at_first: bool) -> impl Future<Output = Self> + Send;

    /// Has the trouble strike the next request of a kind. What it gives tells how often it did.
    fn strike(&self, kind: &Kind<Self>, trouble: Trouble) -> Box<dyn Fn() -> u64 + Send>;

    /// What came since the start.
    fn sent(&self) -> Vec<Sent>;
}

/// A row of a table, for calls on a `Place`: `kind!("name", Class, "METHOD" "part of the target", (its requests, its
/// answers have bodies), |p| call, how often it has been carried out, as the server shows)`.
macro_rules! kind {
    ($name:literal, $class:ident, $method:literal $target:literal, $bodies:expr, |$p:ident| $call:expr) => {
        kind!(@ $name, $class, $method $target, $bodies, |$p| $call, None)
    };
    ($name:literal, $class:ident, $method:literal $target:literal, $bodies:expr, |$p:ident| $call:expr, $seen:expr) => {
        kind!(@ $name, $class, $method $target, $bodies, |$p| $call, Some(|$p: Place| ::std::boxed::Box::pin(async move { $seen })))
    };
    (@ $name:literal, $class:ident, $method:literal $target:literal, $bodies:expr, |$p:ident| $call:expr, $seen:expr) => {
        $crate::table::Kind {
            name: $name,
            class: $crate::table::Class::$class,
            method: $method,
            target: $target,
            bodies: $bodies,
            call: |$p: Place| ::std::boxed::Box::pin(async move { $call.await.map(drop) }),
            seen: $seen,
        }
    };
}

pub(crate) use kind;

async fn meet<P: Place>(kind: &Kind<P>, trouble: Trouble) {
    let name = format!("{} × {trouble:?}", kind.name);
    let place = P::start(trouble == Trouble::Refused).await;
    let struck = (trouble != Trouble::Refused).then(|| place.strike(kind, trouble));

    let start = Instant::now();
    let outcome = within((kind.call)(place.clone())).await;
    let took = start.elapsed();

    let (succeeds, sent, done) = expected(kind.class, trouble);
    assert_eq!(outcome.is_ok(), succeeds, "{name}: {outcome:?}");
    assert_eq!(struck.map_or(1, |struck| struck()), 1, "{name}");
    let requests = place.sent();
    let of_call = requests.iter().filter(|seen| seen.method == kind.method && seen.target.contains(kind.target));
    let sends = of_call.enumerate().filter(|(at, seen)| *at == 0 || !seen.asks).count();
    assert_eq!(sends, sent, "{name}: {requests:#?}");
    if let Some(seen) = kind.seen {
        // The place stays, and its server with it.
        assert_eq!(seen(place.clone()).await, done, "{name}: what the server holds");
    }
    if let Err(error) = outcome {
        let wanted = match trouble {
            Trouble::Status(429) => ErrorKind::RateLimited,
            Trouble::Status(_) | Trouble::Busy => ErrorKind::Server,
            _ => ErrorKind::Interrupted,
        };
        assert_eq!((error.kind(), error.attempts()), (wanted, 1), "{name}: {error:?}");
        // A gateway that says 503 may have passed it on.
        assert_eq!(error.may_have_been_done(), trouble != Trouble::Status(429), "{name}: {error:?}");
    } else if trouble == Trouble::Busy {
        assert!(took >= Duration::from_secs(1), "{name}: sent again after {took:?}");
    }
}

/// All of a table, together, since some wait for a second. Gives the number of its cells.
pub(crate) async fn meet_all<P: Place>(kinds: Vec<Kind<P>>) -> usize {
    let cells = kinds.iter().flat_map(|kind| TROUBLES.map(|trouble| (kind, trouble)));
    let cells = cells.filter(|(kind, trouble)| match trouble {
        // Whether all of a small body had been handed over by then is a matter of luck, and decides. Tests of its own show it.
        Trouble::ResetBefore | Trouble::ResetWithin if kind.class == Class::Looked => false,
        Trouble::ResetWithin => kind.bodies.0,
        Trouble::HalfReply => kind.bodies.1,
        _ => true,
    });
    stream::iter(cells).map(|(kind, trouble)| meet(kind, trouble)).buffer_unordered(64).count().await
}

//! A WebSocket of the hub, from the end of its upgrade to its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::{Stream, StreamExt as _};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_websockets::{Config, Error, Message, ServerBuilder};

use super::call::{carry_out, completion};
use super::event::SEPARATOR;
use super::member::{Member, Membership};
use super::outbox::Item;
use super::protocol::{self, Call, Malformed, Said, Splitter};
use super::upgrade::Entrance;
use super::{HubTimes, SeenRecord, writer};
use crate::fault::{Action, Firing, Subject};
use crate::http::connection::Stage;
use crate::http::link::{Cut, Link, Wire};
use crate::http::reply::relaxed_json;
use crate::shared::Shared;

const HANDSHAKEN: &[u8] = b"{}\x1e";
const PING: &[u8] = b"{\"type\":6}\x1e";
const GOODBYE: &[u8] = b"{\"type\":7}\x1e";
const CANCELED: &str = "Handshake was canceled.";

/// Written at once at most; also what makes a reader slow.
const FLUSH: usize = 64 * 1024;

/// Serves a connection that has become a WebSocket, until either side ends it.
pub(crate) async fn run(entrance: Entrance, link: &Link, mut stage: watch::Receiver<Stage>) {
    let Entrance { shared, on_upgrade, membership } = entrance;
    let Some(wire) = take_over(on_upgrade).await else {
        return;
    };
    let Membership { member, .. } = &membership;
    let inner = &shared.hub.inner;
    let frame_size = inner.switches.borrow().frame_size.unwrap_or(usize::MAX);
    let config = Config::default().frame_size(frame_size).flush_threshold(FLUSH);
    let (sink, stream) = ServerBuilder::new().config(config).serve(wire).split();
    let (heard, hearing) = watch::channel(None);
    let conversation = Conversation::new(&shared, member, heard);
    // They own the socket, and the way in which it is to end must be known before they are dropped.
    let mut reading = std::pin::pin!(read(stream, conversation, inner.times));
    let mut writing = std::pin::pin!(writer::run(sink, member, inner));
    let ending = tokio::select! {
        biased;
        ending = told_to_stop(&mut stage) => ending,
        () = link.cut() => None,
        cut = member.cut() => Some(cut),
        () = &mut reading => None,
        ending = &mut writing => ending,
        never = send_pings(member, inner) => never,
        never = time_out(member, hearing, inner.times) => never,
    };
    if let Some(cut) = ending {
        link.cut_now(cut);
    }
}

/// The bare connection again, with what the client has sent too early.
async fn take_over(on_upgrade: OnUpgrade) -> Option<Wire> {
    let parts = on_upgrade.await.ok()?.downcast::<TokioIo<Wire>>().ok()?;
    let mut wire = parts.io.into_inner();
    wire.put_back(parts.read_buf);
    Some(wire)
}

/// SIGTERM resets every WebSocket without a word; SIGKILL leaves the end of the stream.
async fn told_to_stop(stage: &mut watch::Receiver<Stage>) -> Option<Cut> {
    match stage.wait_for(|stage| *stage != Stage::Running).await.map(|stage| *stage) {
        Ok(Stage::Finishing) => Some(Cut::Reset),
        _ => None,
    }
}

async fn send_pings(member: &Member, inner: &super::Inner) -> Option<Cut> {
    loop {
        tokio::time::sleep(inner.times.ping).await;
        if member.handshaken.load(Ordering::SeqCst) && inner.switches.borrow().pings {
            member.push(PING);
        }
    }
}

/// Ends the connection when nothing was heard for too long; begins with the client's first ping.
async fn time_out(member: &Member, mut hearing: watch::Receiver<Option<Instant>>, times: HubTimes) -> Option<Cut> {
    loop {
        let heard = hearing.wait_for(Option::is_some).await.ok().and_then(|heard| *heard);
        let Some(heard) = heard else {
            return std::future::pending().await;
        };
        let due = heard + times.client_timeout;
        if due <= Instant::now() {
            member.close_with_an_error();
            return std::future::pending().await;
        }
        tokio::time::sleep_until(due).await;
    }
}

/// Reads until the peer has gone.
async fn read(
    mut stream: impl Stream<Item = Result<Message, Error>> + Unpin,
    mut conversation: Conversation<'_>,
    times: HubTimes,
) {
    let mut patience = std::pin::pin!(tokio::time::sleep(times.handshake));
    loop {
        let message = tokio::select! {
            message = stream.next() => message,
            () = &mut patience, if conversation.phase == Phase::Handshake => {
                conversation.refuse_handshake(CANCELED);
                continue;
            }
        };
        match message {
            Some(Ok(message)) if message.is_text() || message.is_binary() => {
                conversation.message(message.as_payload());
            }
            // After a breach of the protocol the stream still has its close frame to send.
            Some(Ok(_) | Err(Error::Protocol(_) | Error::PayloadTooLong { .. })) => {}
            Some(Err(_)) | None => return,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Handshake,
    Open,
    /// An unknown type was said: nothing is listened to any more.
    Frozen,
    Closing,
}

/// What the hub makes of what a client says.
struct Conversation<'a> {
    shared: &'a Arc<Shared>,
    member: &'a Arc<Member>,
    heard: watch::Sender<Option<Instant>>,
    splitter: Splitter,
    phase: Phase,
}

impl<'a> Conversation<'a> {
    fn new(shared: &'a Arc<Shared>, member: &'a Arc<Member>, heard: watch::Sender<Option<Instant>>) -> Self {
        Self { shared, member, heard, splitter: Splitter::default(), phase: Phase::Handshake }
    }

    fn message(&mut self, bytes: &[u8]) {
        self.splitter.add(bytes);
        loop {
            match self.phase {
                Phase::Closing => return,
                Phase::Frozen => {
                    if self.splitter.is_overfull() {
                        self.fail();
                    }
                    return;
                }
                Phase::Handshake | Phase::Open => match self.splitter.next() {
                    Ok(None) => return,
                    Ok(Some(record)) => self.record(&record),
                    Err(Malformed) if self.phase == Phase::Handshake => self.refuse_handshake(CANCELED),
                    Err(Malformed) => self.fail(),
                },
            }
        }
    }

    fn record(&mut self, record: &[u8]) {
        let text = String::from_utf8_lossy(record).into_owned();
        if self.phase == Phase::Handshake {
            self.handshake(record, &text);
        } else {
            match protocol::parse(record) {
                Ok(said) => self.said(said, &text),
                Err(Malformed) => self.fail(),
            }
        }
        self.shared.hub.saw(SeenRecord { connection: self.member.number, record: text });
    }

    fn handshake(&mut self, record: &[u8], text: &str) {
        let struck = self.shared.script.strike(Subject::Call, "handshake", text);
        struck.iter().for_each(Firing::fire);
        match (struck.as_ref().map(Firing::action), protocol::handshake(record)) {
            (Some(Action::ResetCall), _) => self.member.cut_now(Cut::Reset),
            (Some(Action::FailCall(error)), _) => self.refuse_handshake(error),
            (Some(Action::LoseCompletion), _) => self.phase = Phase::Open,
            (_, Ok(())) => {
                self.phase = Phase::Open;
                self.member.push(HANDSHAKEN);
                self.member.handshaken.store(true, Ordering::SeqCst);
            }
            (_, Err(error)) => self.refuse_handshake(&error),
        }
    }

    fn refuse_handshake(&mut self, error: &str) {
        #[derive(Serialize)]
        struct Refusal<'a> {
            error: &'a str,
        }
        let mut record = relaxed_json(&Refusal { error });
        record.push(SEPARATOR);
        self.member.push(record);
        self.close();
    }

    fn said(&mut self, said: Said, text: &str) {
        match said {
            Said::Ping => {
                self.heard.send_replace(Some(Instant::now()));
            }
            Said::Close => {
                self.member.push(GOODBYE);
                self.close();
            }
            Said::Unknown => self.phase = Phase::Frozen,
            Said::Nothing => self.heard_again(),
            Said::Call(call) => {
                self.heard_again();
                self.call(&call, text);
            }
        }
    }

    /// Any whole record counts, but only once there was a ping.
    fn heard_again(&self) {
        self.heard.send_modify(|heard| {
            if let Some(heard) = heard {
                *heard = Instant::now();
            }
        });
    }

    fn call(&self, call: &Call, text: &str) {
        let struck = self.shared.script.strike(Subject::Call, &call.target, text);
        struck.iter().for_each(Firing::fire);
        let carry_out = || {
            let is_admin = || self.member.token.as_deref().is_some_and(|token| self.shared.is_admin(token));
            carry_out(&self.shared.hub, self.member.number, call, is_admin)
        };
        let done = match struck.as_ref().map(Firing::action) {
            Some(Action::ResetCall) => return self.member.cut_now(Cut::Reset),
            Some(Action::FailCall(error)) => Err(error.clone()),
            Some(Action::LoseCompletion) => {
                let _ = carry_out();
                return;
            }
            _ => carry_out(),
        };
        if let Some(id) = &call.id {
            self.member.push(completion(id, &done));
        }
    }

    fn fail(&mut self) {
        self.phase = Phase::Closing;
        self.member.close_with_an_error();
    }

    fn close(&mut self) {
        self.phase = Phase::Closing;
        self.member.outbox.push(Item::Close);
    }
}

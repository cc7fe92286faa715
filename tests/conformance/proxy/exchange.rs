//! One connection of a client: request after request, each to the server and back.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::rule::{Act, Firing, Tap};
use super::seen::Seen;
use super::wire::{BodyEnd, Head};
use super::{Shared, reset_on_drop};

/// Both halves of a connection, the reading one buffered.
struct Peer {
    from: BufReader<OwnedReadHalf>,
    to: OwnedWriteHalf,
}

impl Peer {
    fn new(stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true);
        let (from, to) = stream.into_split();
        Self { from: BufReader::with_capacity(64 << 10, from), to }
    }

    /// Drops it so that the other side sees `ECONNRESET`.
    fn reset(self) {
        if let Ok(stream) = self.from.into_inner().reunite(self.to) {
            reset_on_drop(&stream);
        }
    }
}

/// What becomes of a connection after a request.
enum Then {
    NextRequest,
    Close,
    /// Closed for writing, and read to its end: else what was written could be lost.
    CloseGently,
    Reset,
}

/// Why a body did not get through.
enum Broken {
    /// Its source ended or failed.
    Source,
    /// Its target takes no more.
    Target,
    /// A rule says so: a reset, or an end in good order.
    Cut { reset: bool },
}

pub(super) async fn serve(client: TcpStream, shared: Arc<Shared>) {
    let mut client = Peer::new(client);
    let mut server = None;
    while let Ok(Some(head)) = Head::read(&mut client.from).await {
        let record = Record::start(&shared, &head);
        let then = exchange(&mut client, &mut server, head, &shared, &record).await;
        drop(record);
        match then {
            Then::NextRequest => {}
            Then::Close => return,
            Then::Reset => return client.reset(),
            Then::CloseGently => {
                drop(server);
                let _ = client.to.shutdown().await;
                let rest = async { while client.from.read(&mut [0; 16 << 10]).await.is_ok_and(|read| read > 0) {} };
                let _ = timeout(Duration::from_secs(5), rest).await;
                return;
            }
        }
    }
}

/// The place of a request among those that the proxy has seen.
struct Record<'a> {
    shared: &'a Shared,
    at: usize,
}

impl<'a> Record<'a> {
    fn start(shared: &'a Shared, head: &Head) -> Self {
        let mut at = 0;
        shared.seen.send_modify(|seen| {
            at = seen.len();
            seen.push(Seen::new(head));
        });
        Self { shared, at }
    }

    fn note(&self, change: impl FnOnce(&mut Seen)) {
        self.shared.seen.send_modify(|seen| {
            if let Some(seen) = seen.get_mut(self.at) {
                change(seen);
            }
        });
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        self.note(|seen| seen.ended = true);
    }
}

async fn exchange(
    client: &mut Peer,
    server: &mut Option<Peer>,
    mut head: Head,
    shared: &Shared,
    record: &Record<'_>,
) -> Then {
    let firing = shared.strike(&head);
    let firing = firing.as_ref();
    let mut end = BodyEnd::of_request(&head);
    let method = head.method().to_owned();
    let Some(target) = shared.target(head.target()) else {
        let nothing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        return answer_alone(client, &mut end, nothing, record).await;
    };
    match firing.map(|firing| &firing.act) {
        Some(Act::Answer(bytes)) => {
            if let Some(firing) = firing {
                firing.fired();
            }
            return answer_alone(client, &mut end, bytes, record).await;
        }
        Some(Act::Reset) => {
            if let Some(firing) = firing {
                firing.fired();
            }
            return Then::Reset;
        }
        _ => {}
    }
    let server = match server {
        Some(server) => server,
        None => match TcpStream::connect(&shared.server.authority).await {
            Ok(stream) => server.insert(Peer::new(stream)),
            Err(_) => return Then::Reset,
        },
    };
    head.first = head.first.replacen(&head.target().to_owned(), &target, 1);
    head.set("Host", Some(shared.server.host.clone()));

    let sent = AtomicBool::new(false);
    let request = async {
        let mut pipe = Pipe::new(firing.and_then(|f| f.tap_of_request().map(|tap| (tap, f))));
        let moved = async {
            server.to.write_all(&head.bytes()).await.map_err(|_| Broken::Target)?;
            pipe.run(&mut client.from, &mut server.to, &mut end, |moved| record.note(|seen| seen.body += moved)).await
        };
        match moved.await {
            // Who takes no more may have answered already.
            Ok(()) | Err(Broken::Target) => {}
            Err(broken) => return broken,
        }
        sent.store(true, Ordering::SeqCst);
        // Nothing comes before the answer, but for the end of a client that does not wait for it.
        match client.from.fill_buf().await {
            Ok(bytes) if !bytes.is_empty() => std::future::pending().await,
            _ => Broken::Source,
        }
    };
    let reply = reply(&mut server.from, &mut client.to, &method, firing, record);
    let (mut request, mut reply) = (std::pin::pin!(request), std::pin::pin!(reply));
    let outcome = tokio::select! {
        biased;
        broken = &mut request => Err(broken),
        outcome = &mut reply => outcome,
    };
    match outcome {
        Ok(true) if sent.load(Ordering::SeqCst) => Then::NextRequest,
        Ok(_) | Err(Broken::Cut { reset: false }) => Then::CloseGently,
        Err(Broken::Cut { reset: true }) => Then::Reset,
        Err(Broken::Source | Broken::Target) => Then::Close,
    }
}

/// Reads the rest of the request and answers without the server.
async fn answer_alone(client: &mut Peer, end: &mut BodyEnd, answer: &[u8], record: &Record<'_>) -> Then {
    let mut nowhere = tokio::io::sink();
    let count = |moved| record.note(|seen| seen.body += moved);
    if Pipe::new(None).run(&mut client.from, &mut nowhere, end, count).await.is_err() {
        return Then::Close;
    }
    let status = Head::read(&mut &answer[..]).await.ok().flatten().map(|head| head.status());
    record.note(|seen| seen.status = status);
    match client.to.write_all(answer).await {
        Ok(()) => Then::NextRequest,
        Err(_) => Then::Close,
    }
}

/// The answer, from the server to the client. Whether the connection can be used again.
async fn reply(
    server: &mut BufReader<OwnedReadHalf>,
    client: &mut OwnedWriteHalf,
    method: &str,
    firing: Option<&Firing>,
    record: &Record<'_>,
) -> Result<bool, Broken> {
    let target = |_: io::Error| Broken::Target;
    let mut head = loop {
        let head = Head::read(server).await.ok().flatten().ok_or(Broken::Source)?;
        if !(100..200).contains(&head.status()) {
            break head;
        }
        client.write_all(&head.bytes()).await.map_err(target)?;
    };
    let mut end = BodyEnd::of_reply(&head, method);
    let keeps_alive = head.keeps_alive() && end != BodyEnd::Close;
    let count = |moved| record.note(|seen| seen.reply += moved);
    if let Some(firing) = firing {
        match &firing.act {
            Act::LoseReply => {
                let _ = Pipe::new(None).run(server, &mut tokio::io::sink(), &mut end, |_| {}).await;
                firing.fired();
                return Err(Broken::Cut { reset: true });
            }
            Act::HoldReply => {
                firing.fired();
                firing.released().await;
            }
            Act::DelayReply(time) => {
                firing.fired();
                sleep(*time).await;
            }
            Act::AddFields if head.get("content-type").is_some_and(|kind| kind.contains("json")) => {
                let mut body = Vec::new();
                collect(server, &mut end, &mut body).await?;
                let mut value: Value = serde_json::from_slice(&body).map_err(|_| Broken::Source)?;
                add_fields(&mut value);
                let body = value.to_string();
                head.set("Transfer-Encoding", None);
                head.set("Content-Length", Some(body.len().to_string()));
                firing.fired();
                record.note(|seen| seen.status = Some(head.status()));
                client.write_all(&head.bytes()).await.map_err(target)?;
                client.write_all(body.as_bytes()).await.map_err(target)?;
                return Ok(keeps_alive);
            }
            _ => {}
        }
    }
    record.note(|seen| seen.status = Some(head.status()));
    client.write_all(&head.bytes()).await.map_err(target)?;
    let tap = firing.and_then(|firing| firing.tap_of_reply().map(|tap| (tap, firing)));
    Pipe::new(tap).run(server, client, &mut end, count).await?;
    Ok(keeps_alive)
}

async fn collect(from: &mut BufReader<OwnedReadHalf>, end: &mut BodyEnd, into: &mut Vec<u8>) -> Result<(), Broken> {
    while !end.is_reached() {
        let bytes = from.fill_buf().await.map_err(|_| Broken::Source)?;
        if bytes.is_empty() {
            return if *end == BodyEnd::Close { Ok(()) } else { Err(Broken::Source) };
        }
        let taken = end.advance(bytes, |content| into.extend_from_slice(content));
        from.consume(taken);
    }
    Ok(())
}

/// Members of every shape that no version of the API has.
fn add_fields(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(add_fields);
            members.insert("zz_new_number".into(), 1.5.into());
            members.insert("zz_new_null".into(), Value::Null);
            members.insert("zz_new_object".into(), serde_json::json!({ "deep": [1, null, { "a": "b" }] }));
        }
        Value::Array(values) => values.iter_mut().for_each(add_fields),
        _ => {}
    }
}

impl Firing {
    fn tap_of_request(&self) -> Option<Tap> {
        if let Act::Request(tap) = self.act { Some(tap) } else { None }
    }

    fn tap_of_reply(&self) -> Option<Tap> {
        if let Act::Reply(tap) = self.act { Some(tap) } else { None }
    }
}

/// Moves a body, and does to it what a rule says.
struct Pipe<'a> {
    tap: Option<(Tap, &'a Firing)>,
    start: Instant,
    moved: u64,
}

impl<'a> Pipe<'a> {
    fn new(tap: Option<(Tap, &'a Firing)>) -> Self {
        Self { tap, start: Instant::now(), moved: 0 }
    }

    async fn run(
        &mut self,
        from: &mut BufReader<OwnedReadHalf>,
        to: &mut (impl AsyncWrite + Unpin),
        end: &mut BodyEnd,
        count: impl Fn(u64),
    ) -> Result<(), Broken> {
        loop {
            let room = self.room().await?;
            if end.is_reached() {
                return Ok(());
            }
            let bytes = from.fill_buf().await.map_err(|_| Broken::Source)?;
            if bytes.is_empty() {
                return if *end == BodyEnd::Close { Ok(()) } else { Err(Broken::Source) };
            }
            let bytes = &bytes[..bytes.len().min(room)];
            let taken = end.advance(bytes, |_| {});
            let written = match self.corrupted(&bytes[..taken]) {
                Some(other) => to.write_all(&other).await,
                None => to.write_all(&bytes[..taken]).await,
            };
            written.map_err(|_| Broken::Target)?;
            from.consume(taken);
            self.moved += taken as u64;
            count(taken as u64);
        }
    }

    /// How many bytes may move next. Waits where the rule says so.
    async fn room(&mut self) -> Result<usize, Broken> {
        let Some((tap, firing)) = self.tap else { return Ok(usize::MAX) };
        let left = |limit: u64| usize::try_from(limit - self.moved).unwrap_or(usize::MAX);
        match tap {
            Tap::Reset(limit) | Tap::Close(limit) if self.moved >= limit => {
                firing.fired();
                Err(Broken::Cut { reset: matches!(tap, Tap::Reset(_)) })
            }
            Tap::Stall(limit) if self.moved >= limit => {
                firing.fired();
                firing.released().await;
                self.tap = None;
                Ok(usize::MAX)
            }
            Tap::Reset(limit) | Tap::Close(limit) | Tap::Stall(limit) => Ok(left(limit)),
            Tap::Slow(rate) => {
                if self.moved == 0 {
                    firing.fired();
                }
                sleep_until(self.start + Duration::from_secs_f64(self.moved as f64 / rate as f64)).await;
                // A twentieth of a second's worth.
                Ok(usize::try_from(rate / 20).unwrap_or(usize::MAX).max(1))
            }
            Tap::Corrupt(_) => Ok(usize::MAX),
        }
    }

    /// The bytes with one of them changed, if it is among them.
    fn corrupted(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let Some((Tap::Corrupt(offset), firing)) = self.tap else { return None };
        let at = usize::try_from(offset.checked_sub(self.moved)?).ok()?;
        let mut other = bytes.to_vec();
        *other.get_mut(at)? ^= 0x20;
        firing.fired();
        Some(other)
    }
}

//! What machine and hub take by themselves: a WebSocket that one thread reads, and does nothing with. Prints the same line
//! of figures as `client`.

use std::net::TcpStream;
use std::time::Instant;

use memchr::{memchr_iter, memmem};
use tokio_tungstenite::tungstenite::{Message, client};

use crate::figures::{Course, clock, cpu, is_time};

/// Takes `count` events as they come.
pub(crate) fn take(url: &str, count: u64) {
    let address = url.strip_prefix("http://").expect("the hub's address");
    let stream = TcpStream::connect(address).expect("the hub is there");
    stream.set_nodelay(true).expect("an option");
    let (mut socket, _) = client(format!("ws://{address}/hub/files"), stream).expect("a WebSocket");
    for record in [
        "{\"protocol\":\"json\",\"version\":1}\u{1e}",
        "{\"type\":1,\"invocationId\":\"1\",\"target\":\"SubscribeToBucket\",\"arguments\":[\"flood00000\"]}\u{1e}",
    ] {
        socket.send(Message::text(record)).expect("it is taken");
        let _answer = socket.read().expect("an answer");
    }
    let (mut taken, mut timed, mut delays) = (0, true, Vec::new());
    let mut start = None;
    while taken < count {
        let Message::Text(text) = socket.read().expect("a message") else { continue };
        let came = clock();
        start.get_or_insert_with(|| (Instant::now(), cpu()));
        taken += memchr_iter(0x1e, text.as_bytes()).count() as u64;
        if timed {
            let size = size(&text);
            timed = is_time(size);
            delays.extend(timed.then(|| came.saturating_sub(size)));
        }
    }
    let (start, before) = start.expect("an event");
    Course { count, took: start.elapsed(), spent: cpu() - before, lagged: 0, disorder: 0, delays }.print();
}

/// That of the first event of a message.
fn size(text: &str) -> u64 {
    let at = memmem::find(text.as_bytes(), b"\"size\":").expect("a file") + 7;
    let digits = text[at..].split(',').next().unwrap_or_default();
    digits.parse().expect("a number")
}

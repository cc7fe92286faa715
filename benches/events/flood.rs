//! A hub that pushes events as fast as the socket takes them, or at a rate; and nothing else.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::{Message, WebSocket, accept};

use crate::figures::clock;

/// What to send to each connection, after its first subscription.
#[derive(Clone, Copy)]
pub(crate) struct Flood {
    pub(crate) count: u64,
    /// Records a message.
    pub(crate) batch: u64,
    /// Events a second; 0 is as fast as they are taken.
    pub(crate) rate: u64,
}

/// The byte that ends a record.
const END: char = '\u{1e}';

/// Serves for ever on a port of its own, which it prints.
pub(crate) fn serve(flood: Flood) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    println!("http://{}", listener.local_addr().expect("an address"));
    // Made before anybody's clock starts: the same bytes for all.
    let ready = if flood.rate == 0 { frames(flood) } else { Vec::new() };
    std::thread::scope(|scope| {
        for stream in listener.incoming().flatten() {
            let ready = &ready;
            scope.spawn(move || {
                let _ = stream.set_nodelay(true);
                let _ = talk(stream, flood, ready);
            });
        }
    });
}

fn talk(stream: TcpStream, flood: Flood, ready: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    let mut socket = accept(stream).map_err(|error| error.to_string())?;
    let mut shaken = false;
    loop {
        let Message::Text(text) = socket.read()? else { continue };
        for record in text.split(END).filter(|record| !record.is_empty()) {
            if !std::mem::replace(&mut shaken, true) {
                socket.send(Message::text(format!("{{}}{END}")))?;
                continue;
            }
            let record: serde_json::Value = serde_json::from_str(record)?;
            let Some(id) = record["invocationId"].as_str() else { continue };
            socket.send(Message::text(format!(r#"{{"type":3,"invocationId":"{id}","result":null}}{END}"#)))?;
            // Those who want many subscriptions and no event say so.
            if flood.count > 0 && record["target"] == "SubscribeToBucket" {
                std::thread::sleep(Duration::from_millis(200));
                pour(&mut socket, flood, ready)?;
            }
        }
    }
}

fn pour(socket: &mut WebSocket<TcpStream>, flood: Flood, ready: &[u8]) -> std::io::Result<()> {
    let stream = socket.get_mut();
    if flood.rate == 0 {
        return stream.write_all(ready);
    }
    let start = Instant::now();
    for number in 0..flood.count {
        let due = Duration::from_nanos(number * 1_000_000_000 / flood.rate);
        if let Some(early) = due.checked_sub(start.elapsed()) {
            std::thread::sleep(early);
        }
        let mut frame = Vec::with_capacity(400);
        push_frame(&mut frame, record(number, clock()).as_bytes());
        stream.write_all(&frame)?;
    }
    Ok(())
}

fn frames(flood: Flood) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(flood.count as usize * 360);
    let mut number = 0;
    while number < flood.count {
        let end = (number + flood.batch).min(flood.count);
        let message: String = (number..end).map(|number| record(number, number)).collect();
        push_frame(&mut bytes, message.as_bytes());
        number = end;
    }
    bytes
}

/// Whole messages, as a server sends them.
fn push_frame(out: &mut Vec<u8>, payload: &[u8]) {
    out.push(0x81);
    match payload.len() {
        length @ ..126 => out.push(length as u8),
        length @ ..0x1_0000 => {
            out.push(126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// 349 bytes where the size has seven digits; the members, their order and their forms are the real server's.
fn record(number: u64, size: u64) -> String {
    format!(
        concat!(
            r#"{{"type":1,"target":"FileCreated","arguments":["flood00000",{{"path":"f{:07}.txt","name":"f{:07}.txt","#,
            r#""size":{},"mimeType":"text/plain","shortCode":"aB3xY9","shortUrl":"/s/aB3xY9","#,
            r#""sha256":"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881","#,
            r#""createdAt":"2026-11-21T09:33:20.4893094Z","updatedAt":"2026-11-21T09:33:20.4893094Z"}}]}}{}"#
        ),
        number, number, size, END
    )
}

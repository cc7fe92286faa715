//! A server that only counts what is uploaded, as a process of its own: what the clients can do when the server is not what
//! holds them up.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// `sink`: answers health checks, and uploads whose length is announced.
pub(crate) fn run() {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("http://{}", listener.local_addr().expect("an address"));
        loop {
            let Ok((client, _)) = listener.accept().await else { return };
            tokio::spawn(serve(client));
        }
    });
}

async fn serve(mut client: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 512 << 10];
    loop {
        let (mut filled, mut head) = (0, None);
        while head.is_none() {
            match client.read(&mut buffer[filled..]).await? {
                0 => return Ok(()),
                read => filled += read,
            }
            head = buffer[..filled].windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4);
        }
        let head = head.unwrap_or(filled);
        let length = length(&String::from_utf8_lossy(&buffer[..head]));
        let mut received = (filled - head) as u64;
        while received < length {
            match client.read(&mut buffer).await? {
                0 => return Ok(()),
                read => received += read as u64,
            }
        }
        let (status, body) = match length {
            0 => ("200 OK", r#"{"status":"healthy","uptime_seconds":1,"db":"ok"}"#.to_owned()),
            size => ("201 Created", format!(r#"{{"uploaded":[{}]}}"#, stored(size))),
        };
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        client.write_all([head, body].concat().as_bytes()).await?;
    }
}

fn length(head: &str) -> u64 {
    let value = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    value.and_then(|(_, length)| length.trim().parse().ok()).unwrap_or(0)
}

fn stored(size: u64) -> String {
    let time = "2026-01-01T00:00:00Z";
    format!(
        r#"{{"path":"big.bin","name":"big.bin","size":{size},"mime_type":"application/octet-stream","created_at":"{time}","updated_at":"{time}","deduplicated":false}}"#
    )
}

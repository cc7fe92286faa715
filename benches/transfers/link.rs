//! A link with latency or of a certain width, as a process of its own.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// `link HOST:PORT MILLISECONDS MIB`: passes connections on, each byte late by half of the round trip, and so many MiB a second
/// of each connection, either way.
pub(crate) fn run(args: &[String]) {
    let [to, milliseconds, mib] = args else { panic!("usage: see the code") };
    let late = Duration::from_millis(milliseconds.parse().expect("a number")) / 2;
    let byte = 1.0 / (mib.parse::<f64>().expect("a number") * f64::from(1 << 20));
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("http://{}", listener.local_addr().expect("an address"));
        loop {
            let Ok((client, _)) = listener.accept().await else { return };
            let to = to.clone();
            tokio::spawn(async move {
                // The connection itself takes a round trip.
                sleep_until(Instant::now() + 2 * late).await;
                let Ok(server) = TcpStream::connect(to).await else { return };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let ((client_in, client_out), (server_in, server_out)) = (client.into_split(), server.into_split());
                tokio::join!(delayed(client_in, server_out, late, byte), delayed(server_in, client_out, late, byte));
            });
        }
    });
}

/// `byte` is how many seconds one takes.
async fn delayed(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, late: Duration, byte: f64) {
    let (sender, mut waiting) = mpsc::channel::<(Instant, Vec<u8>)>(256);
    let read = async move {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            if sender.send((Instant::now() + late, buffer[..read].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        let mut free = Instant::now();
        while let Some((due, bytes)) = waiting.recv().await {
            let due = due.max(free);
            free = due + Duration::from_secs_f64(byte * bytes.len() as f64);
            sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}

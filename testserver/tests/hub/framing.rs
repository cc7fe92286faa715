//! How records become messages and frames.

use carbonfiles_testserver::{Framing, TestServer};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{Client, bucket, upload, within};

#[tokio::test]
async fn records_are_cut_over_messages_or_share_one() {
    let server = TestServer::start().await.unwrap();
    let id = bucket(&server).await;
    let mut client = Client::subscribed(&server, "SubscribeToBucket", json!([id])).await;
    client.sizes.clear();
    server.hub().framing(Framing::Cut);
    upload(&server, &id, "a").await;
    assert_eq!(client.event().await.1, "a");
    assert_eq!(client.sizes, [0, 1]);
    client.sizes.clear();
    server.hub().framing(Framing::Records(2));
    server.hub().stall(true);
    // Each waits for the slow reader, but its event is queued.
    let uploads = async {
        let names = ["b", "c", "d", "e", "f"];
        futures_util::future::join_all(names.map(|name| upload(&server, &id, name))).await
    };
    let go_on = async {
        let connection = server.hub().connections()[0].number;
        server.hub().until(|hub| hub.waiting(connection) == 5).await;
        server.hub().stall(false);
    };
    within(async { tokio::join!(uploads, go_on) }).await;
    for _ in 0..5 {
        client.event().await;
    }
    assert_eq!(client.sizes.iter().max(), Some(&2), "{:?}", client.sizes);
    client.sizes.clear();
    server.hub().send_text("{\"type\":6}\u{1e}{\"type\":6}\u{1e}{\"ty").await;
    server.hub().send_text("pe\":6}\u{1e}").await;
    for _ in 0..3 {
        assert_eq!(client.record().await, r#"{"type":6}"#);
    }
    assert_eq!(client.sizes, [2, 1]);
}

#[tokio::test]
async fn messages_come_in_fragments_when_asked_for() {
    let server = TestServer::start().await.unwrap();
    server.hub().frame_size(Some(4));
    let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let upgrade = "GET /hub/files HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    // The first frame comes with the request: masked with zeros, a ping of the WebSocket.
    let mut bytes = upgrade.as_bytes().to_vec();
    bytes.extend([0x89, 0x80, 0, 0, 0, 0]);
    stream.write_all(&bytes).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(String::from_utf8_lossy(&head).contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!((stream.read_u8().await.unwrap(), stream.read_u8().await.unwrap()), (0x8a, 0));
    let handshake = b"{\"protocol\":\"json\",\"version\":3}\x1e";
    let mut frame = vec![0x81, 0x80 | u8::try_from(handshake.len()).unwrap(), 0, 0, 0, 0];
    frame.extend(handshake);
    stream.write_all(&frame).await.unwrap();
    let mut text = Vec::new();
    let mut fragments = 0;
    loop {
        let (first, length) = (stream.read_u8().await.unwrap(), stream.read_u8().await.unwrap());
        if first == 0x88 {
            break;
        }
        assert!(length <= 4 && (first & 0x0f == u8::from(fragments == 0)));
        let mut part = vec![0; length.into()];
        stream.read_exact(&mut part).await.unwrap();
        text.extend(part);
        fragments += 1;
    }
    assert!(fragments > 10);
    assert!(String::from_utf8(text).unwrap().starts_with("{\"error\":\"The server does not support version 3"));
}

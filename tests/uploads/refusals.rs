//! Uploads that a server refuses before it has read them.

use bytes::Bytes;
use carbonfiles::{Client, ErrorKind, RetryPolicy, Source};
use carbonfiles_testserver::TestServer;
use futures::stream;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::bucket;
use super::support::{admin, answer, builder, server, within};

#[tokio::test]
async fn early_refusals_arrive_typed_fifty_times_out_of_fifty() {
    let server = server().await;
    let limited = TestServer::builder().max_upload_size(1 << 20).start().await.unwrap();
    let anonymous = Client::anonymous(server.url()).unwrap();
    let open = bucket(&admin(&server)).await;
    let small = bucket(&admin(&limited)).await;
    let big = Bytes::from(vec![7u8; 64 << 20]);
    let endless =
        || Source::stream(stream::iter((0..256).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![7u8; 256 << 10])))));
    for round in 0..50 {
        for (file, kind) in [
            (small.file("x"), ErrorKind::PayloadTooLarge),
            (anonymous.bucket(open.id()).file("x"), ErrorKind::Unauthenticated),
            (admin(&server).bucket("nosuch1234").file("x"), ErrorKind::NotFound),
        ] {
            for source in [Source::from(big.clone()), endless()] {
                let error = file.upload(source).verify(false).await.unwrap_err();
                assert_eq!(error.kind(), kind, "round {round}: {error:?}");
                assert!(error.status().is_some());
            }
        }
    }
    assert!(small.files().list().await.unwrap().items.is_empty());
}

/// Takes a whole upload and loses what is answered, as a relay does whose other side was reset; what comes after that is
/// answered by its head. Gives its URL.
async fn loses_the_first_answer(then: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for first in [true, false] {
            let mut socket = BufReader::new(listener.accept().await.unwrap().0);
            let (mut line, mut length) = (String::new(), 0);
            while socket.read_line(&mut line).await.unwrap() > 2 {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            if first {
                socket.read_exact(&mut vec![0; length]).await.unwrap();
            } else {
                socket.write_all(&then).await.unwrap();
            }
        }
    });
    url
}

#[tokio::test]
async fn a_limit_is_told_where_the_way_took_all_and_lost_the_answer() {
    let upload = async |status| {
        let url = loses_the_first_answer(answer(status, "Connection: close\r\n", b"")).await;
        let client = builder(&url).token("cf4_x").retry(RetryPolicy::never()).build().unwrap();
        within(client.bucket("b").file("x.bin").upload(vec![7; 100_000]).send()).await.unwrap_err()
    };
    let error = upload(413).await;
    assert_eq!((error.kind(), error.may_have_been_done()), (ErrorKind::PayloadTooLarge, false), "{error}");
    // The first may have been stored, and have changed what a second is answered.
    for status in [403, 404, 500] {
        let error = upload(status).await;
        assert_eq!((error.kind(), error.may_have_been_done()), (ErrorKind::Interrupted, true), "{error}");
    }
}

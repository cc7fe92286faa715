//! The limit for a call as a whole, whatever it does in it.

use std::time::{Duration, Instant};

use carbonfiles::{ErrorKind, RetryPolicy, TimeoutPhase};
use carbonfiles_testserver::Fault;
use tokio::net::TcpListener;

use super::support::{self, Answer, RawServer, admin, bucket, builder, server, within};
use super::{SHORT, impatient, times_out};

#[tokio::test]
async fn a_call_as_a_whole() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let file = bucket.file("a.bin");
    file.upload(vec![7; 1 << 20]).await.unwrap();

    // A slow answer: every piece comes in time, the whole does not.
    let slow = server.inject(Fault::slow(100_000).on("GET", "").forever());
    let mut limit = SHORT;
    let (start, download) = loop {
        let start = Instant::now();
        match within(file.download().timeout(limit).send()).await {
            Ok(download) => break (start, download),
            // The machine has not come to its head.
            Err(error) => assert!(error.is_timeout(), "{error:?}"),
        }
        limit *= 2;
    };
    let error = within(download.bytes(2 << 20)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutPhase::Total), "{error:?}");
    assert!(start.elapsed() >= limit && error.elapsed().is_some() && slow.fired() >= 1);
    server.clear_faults();

    // A slow request body.
    server.inject(Fault::slow(100_000).on("PUT", "").forever());
    let hasty = impatient(&server, |t| t.total = Some(SHORT));
    times_out(hasty.bucket(bucket.id()).file("b.bin").upload(vec![7; 8 << 20]), TimeoutPhase::Total, SHORT).await;
    server.clear_faults();

    // No answer at all, and one that goes on for ever.
    server.inject(Fault::stall_headers());
    times_out(hasty.health(), TimeoutPhase::Total, SHORT).await;
    let endless = RawServer::start(|_| {
        Answer::ThenEndless(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(), b"1\r\n \r\n".to_vec())
    })
    .await;
    let call = builder(&endless.url).build().unwrap().health().timeout(SHORT);
    times_out(call, TimeoutPhase::Total, SHORT).await;
}

#[tokio::test]
async fn the_total_includes_retries() {
    let server = server().await;
    server.inject(Fault::status(503).forever());
    let policy = RetryPolicy::default()
        .max_attempts(1_000_000)
        .base_delay(Duration::from_millis(20))
        .max_delay(Duration::from_millis(20));
    let (mut limit, start) = (SHORT, Instant::now());
    let error = loop {
        let error = within(admin(&server).health().retry(policy.clone()).timeout(limit).send()).await.unwrap_err();
        if error.attempts() > 1 || limit > support::GUARD / 8 {
            break error;
        }
        limit *= 2;
    };
    // The server's own words are worth more than the limit that ended the trying.
    assert!(matches!(error.kind(), ErrorKind::Server | ErrorKind::Timeout(TimeoutPhase::Total)), "{error:?}");
    assert!(error.attempts() > 1 && start.elapsed() < support::GUARD, "{error:?}");
}

#[tokio::test]
async fn the_total_includes_the_wait_for_a_token() {
    let server = server().await;
    let never = || builder(server.url()).token_provider(std::future::pending::<std::io::Result<String>>);
    let (client, impatient) = (never().build().unwrap(), never().total_timeout(SHORT).build().unwrap());
    let total = ErrorKind::Timeout(TimeoutPhase::Total);
    let (file, other) = (client.bucket("b").file("a.txt"), impatient.bucket("b").file("a.txt"));
    assert_eq!(within(client.buckets().list().timeout(SHORT).send()).await.unwrap_err().kind(), total);
    assert_eq!(within(file.upload("x".as_bytes()).timeout(SHORT).send()).await.unwrap_err().kind(), total);
    assert_eq!(within(file.append("x".as_bytes()).timeout(SHORT).send()).await.unwrap_err().kind(), total);
    let target = std::env::temp_dir().join("carbonfiles-never");
    assert_eq!(within(file.download_to(&target).timeout(SHORT).send()).await.unwrap_err().kind(), total);
    assert_eq!(within(other.upload("x".as_bytes()).send()).await.unwrap_err().kind(), total);
    assert_eq!(within(other.append("x".as_bytes()).send()).await.unwrap_err().kind(), total);
    assert_eq!(within(impatient.check().send()).await.unwrap_err().kind(), total);
    let both = impatient.bucket("b").files().upload_multipart().file("a", "x".as_bytes());
    assert_eq!(within(both.send()).await.unwrap_err().kind(), total);
}

#[tokio::test]
async fn the_total_includes_looking_and_second_tries() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    server.inject(Fault::status(500).on("PUT", "upload/stream").forever());
    let looking = server.inject(Fault::stall_headers().on("GET", "a.txt").forever());
    let mut limit = SHORT;
    let error = loop {
        let error = within(bucket.file("a.txt").upload("x".as_bytes()).timeout(limit).send()).await.unwrap_err();
        if looking.fired() > 0 || limit > support::GUARD / 8 {
            break error;
        }
        limit *= 2;
    };
    // The limit ends the look-up; what the server said of the upload is the error.
    assert_eq!((error.kind(), looking.fired()), (ErrorKind::Server, 1));
    // A part of another call ends with that: two requests, each quicker than the limit.
    let details = bucket.get().with_files().timeout(SHORT);
    server.inject(Fault::stall_headers().on("GET", "/files").forever());
    assert!(within(details.send()).await.unwrap_err().is_timeout());
}

/// Each of its requests is answered at once, and says that there is more.
#[tokio::test]
async fn the_total_of_a_client_ends_a_call_that_never_ends_by_itself() {
    let rows = std::sync::atomic::AtomicU64::new(0);
    let server = RawServer::start(move |head| {
        let row = rows.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        // Of the one file that is looked for all are before it.
        let stem = if head.target.contains("content") { "a/contens\u{10ffff}" } else { "a_b/" };
        let row = format!("{stem}{row:012}");
        let file = serde_json::json!({
            "path": row, "name": "x", "size": 1, "mime_type": "text/plain",
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        });
        let offset = head.target.split("offset=").nth(1).and_then(|rest| rest.split('&').next());
        let offset: u64 = offset.map_or(0, |offset| offset.parse().unwrap());
        let page = serde_json::json!({
            "delimiter": "/", "directories": [], "folders": [], "files": [file], "total_files": 1_u64 << 40,
            "total_directories": 0, "total_folders": 0, "cursor": row, "limit": 1, "offset": offset,
        });
        Answer::Bytes(support::answer(200, "", page.to_string().as_bytes()))
    })
    .await;
    let client = builder(&server.url).total_timeout(SHORT).build().unwrap();
    let (files, total) = (client.bucket("b").files(), ErrorKind::Timeout(TimeoutPhase::Total));
    assert_eq!(within(files.tree().prefix("a_b").send()).await.unwrap_err().kind(), total);
    assert_eq!(within(files.directory("a_b").send()).await.unwrap_err().kind(), total);
    assert_eq!(within(files.file("a/content").get().send()).await.unwrap_err().kind(), total);
    assert_eq!(within(files.file("a/content").get_opt().send()).await.unwrap_err().kind(), total);
}

/// Answers the first request of each connection as late as this, as paused time goes; `None` never.
async fn late(answer: impl Fn(&str) -> Option<(Duration, Vec<u8>)> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = std::sync::Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut head = vec![0; 4096];
                let length = tokio::io::AsyncReadExt::read(&mut socket, &mut head).await.unwrap_or(0);
                match answer(&String::from_utf8_lossy(&head[..length])) {
                    Some((after, answer)) => {
                        tokio::time::sleep(after).await;
                        let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, &answer).await;
                    }
                    None => std::future::pending().await,
                }
            });
        }
    });
    url
}

#[tokio::test(start_paused = true)]
async fn the_total_of_a_client_is_one_for_all_that_a_call_does() {
    const TOTAL: Duration = Duration::from_secs(10);
    let total = ErrorKind::Timeout(TimeoutPhase::Total);
    let patient = |url: &str| builder(url).total_timeout(TOTAL).retry(RetryPolicy::never());
    let silent = late(|_| None).await;
    for parallel in [1, 2] {
        let client = patient(&silent).max_transfers(2).build().unwrap();
        let file = client.bucket("b").file("x");
        // They take up the client's room for most of the limit of the last.
        let others = || file.download().timeout(TOTAL * 9 / 10);
        let started = tokio::time::Instant::now();
        let last = async {
            tokio::task::yield_now().await;
            file.download().parallel(parallel).await
        };
        let (one, two, last) = tokio::join!(others().send(), others().send(), last);
        assert_eq!([one, two, last].map(|ended| ended.err().unwrap().kind()), [total; 3]);
        assert_eq!(started.elapsed().as_secs(), TOTAL.as_secs(), "{parallel}");
    }
    // There are no ranges, which is told late.
    let url = late(|head| {
        let refused = b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        head.to_ascii_lowercase().contains("range:").then(|| (TOTAL * 9 / 10, refused.to_vec()))
    });
    let file = patient(&url.await).build().unwrap().bucket("b").file("x");
    let started = tokio::time::Instant::now();
    assert_eq!(file.download().parallel(2).await.unwrap_err().kind(), total);
    assert_eq!(started.elapsed().as_secs(), TOTAL.as_secs());
    // There is no log yet, which is told late.
    let url = late(|head| {
        let none = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        head.starts_with("HEAD").then(|| (TOTAL * 9 / 10, none.to_vec()))
    });
    let file = patient(&url.await).build().unwrap().bucket("b").file("x");
    let started = tokio::time::Instant::now();
    assert_eq!(file.log_writer().await.unwrap_err().kind(), total);
    assert_eq!(started.elapsed().as_secs(), TOTAL.as_secs());
}

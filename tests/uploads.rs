//! Uploads, as a user would make them, on the test server.

#[path = "uploads/answers.rs"]
mod answers;
#[path = "uploads/refusals.rs"]
mod refusals;
#[path = "uploads/several.rs"]
mod several;
mod support;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use carbonfiles::{Bucket, Client, ErrorKind, Phase, Progress, RetryPolicy, Source};
use carbonfiles_testserver::{Fault, TestServer};
use futures::{StreamExt, TryStreamExt, stream};
use support::{admin, server, sha256};
use tokio::io::AsyncWriteExt;

async fn bucket(client: &Client) -> Bucket {
    let bucket = client.buckets().create("uploads").await.unwrap();
    client.bucket(&bucket.id)
}

async fn content(bucket: &Bucket, path: &str) -> Bytes {
    bucket.file(path).download().await.unwrap().bytes(256 << 20).await.unwrap()
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect()
}

#[tokio::test]
async fn every_kind_of_source_arrives_whole() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    for length in [0, 1, 1000, 262_144, 3_000_001] {
        let data = pattern(length);
        let disk = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(disk.path(), &data).unwrap();
        let chunks = |size: usize| {
            stream::iter(data.chunks(size).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect::<Vec<_>>())
        };
        let mut lent = std::io::Cursor::new(data.clone());
        let sources: Vec<(&str, Source<'_>)> = vec![
            ("bytes", Bytes::from(data.clone()).into()),
            ("vec", data.clone().into()),
            ("path", disk.path().into()),
            ("file", tokio::fs::File::open(disk.path()).await.unwrap().into()),
            ("std-file", std::fs::File::open(disk.path()).unwrap().into()),
            ("reader", Source::reader(&mut lent)),
            ("sized-reader", Source::reader(std::io::Cursor::new(data.clone())).size(length as u64)),
            ("stream", Source::stream(chunks(1000))),
            ("sized-stream", Source::stream(chunks(700_000)).size(length as u64)),
            ("factory", Source::factory(|| std::future::ready(Ok::<_, std::io::Error>(data.clone())))),
        ];
        for (name, source) in sources {
            let path = format!("{length}/{name}.bin");
            server.clear_requests();
            let done = bucket.file(&path).upload(source).await.unwrap_or_else(|e| panic!("{path}: {e:?}"));
            assert_eq!((done.size, done.path.as_str()), (length as u64, path.as_str()));
            assert!(content(&bucket, &path).await == data, "{path}");
            let request = &server.requests()[0];
            let sized = request
                .headers
                .iter()
                .any(|(k, v)| k.as_str().eq_ignore_ascii_case("content-length") && v == length.to_string().as_str());
            assert_eq!(sized, !matches!(name, "reader" | "stream"), "{path}: {:?}", request.headers);
        }
    }
}

#[tokio::test]
async fn names_of_all_sorts_round_trip() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let deep = vec!["d"; 50].join("/");
    let long = "n".repeat(250);
    let names = [
        "a b.txt",
        "naïve 日本.txt",
        "100%.txt",
        "a+b#c?.txt",
        "x&y=z~'\".txt",
        "🦀/ü %+#?.bin",
        "e\u{301}.txt",
        "é.txt",
        "tab\there.txt",
        "docs/content",
        "docs/verify",
        "content",
        "ls",
        "list",
        "...",
        "%2F",
        "[x]{y}|z^`.txt",
        "a;b:c@d,e!$(f)*",
        &deep,
        &long,
        " lead",
        "trail ",
    ];
    for name in names {
        let file = bucket.file(name);
        let done = file.upload(name.as_bytes().to_vec()).await.unwrap_or_else(|e| panic!("{name:?}: {e:?}"));
        assert_eq!(done.path, name);
        assert_eq!(content(&bucket, name).await, name.as_bytes(), "{name:?}");
        assert_eq!(file.get().await.unwrap_or_else(|e| panic!("{name:?}: {e:?}")).path, name);
        assert!(file.verify().await.unwrap().valid);
        let got = reqwest::get(file.url().unwrap()).await.unwrap().bytes().await.unwrap();
        assert_eq!(got, name.as_bytes(), "{name:?}");
    }
    let listed: Vec<_> = bucket.files().list_all().items().map_ok(|f| f.path).try_collect().await.unwrap();
    assert_eq!(listed.len(), names.len());
    for name in names {
        bucket.file(name).delete().await.unwrap_or_else(|e| panic!("{name:?}: {e:?}"));
        assert!(bucket.file(name).get_opt().await.unwrap().is_none(), "{name:?}");
    }
}

/// Of a path that is only in a body, its length would not matter; but it has to go into a request line to be read or deleted.
#[tokio::test]
async fn a_path_that_could_never_be_asked_for_is_refused() {
    let server = server().await;
    let client = admin(&server);
    let bucket = bucket(&client).await;
    server.clear_requests();
    let long = vec!["日".repeat(80); 12].join("/");
    let files = bucket.files();
    let batch = files.upload_many([(long.clone(), b"x".to_vec())]).await.unwrap();
    for error in [
        bucket.file(&long).upload("x".as_bytes()).await.unwrap_err(),
        // This one takes up less room in the query of an upload than in a path.
        bucket.file("* ".repeat(1400) + "x").upload("x".as_bytes()).await.unwrap_err(),
        files.upload_multipart().file("short", vec![1]).file(&long, vec![1]).await.unwrap_err(),
        bucket.file(&long).upload_writer().finish().await.unwrap_err(),
        batch.into_result().unwrap_err(),
    ] {
        assert!(error.is_invalid_input() && error.message().contains("8192 bytes"), "{error}");
    }
    assert!(server.requests().is_empty());
    // The longest that can be asked for is taken, and can be read and deleted.
    let around = format!("GET /api/buckets/{}/files//content HTTP/1.1\r\n", bucket.id()).len();
    let longest = "n".repeat(8192 - around);
    for path in [longest.clone(), vec!["日".repeat(80); 7].join("/") + "/content"] {
        let file = bucket.file(&path);
        file.upload("x".as_bytes()).await.unwrap();
        assert_eq!(file.get().await.unwrap().size, 1);
        assert_eq!(content(&bucket, &path).await, "x");
        file.delete().await.unwrap();
    }
    assert!(bucket.file(longest + "n").upload("x".as_bytes()).await.unwrap_err().is_invalid_input());
}

#[tokio::test]
async fn progress_starts_at_nothing_and_ends_done() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let data = pattern(5 << 20);
    for (name, source) in [
        ("sized.bin", Source::from(data.clone())),
        ("unsized.bin", Source::reader(std::io::Cursor::new(data.clone()))),
        ("über.bin", Source::from(data.clone())),
    ] {
        let mut seen: Vec<Progress> = Vec::new();
        let sized = name != "unsized.bin";
        let upload = bucket.file(name).upload(source).progress_interval(std::time::Duration::ZERO);
        upload.progress(|p| seen.push(p)).await.unwrap();
        assert_eq!(seen[0].sent, 0);
        assert!(seen.windows(2).all(|w| w[0].sent <= w[1].sent), "{seen:?}");
        let last = seen.last().unwrap();
        assert_eq!((last.sent, last.total, last.phase), (5 << 20, Some(5 << 20), Phase::Done));
        assert!(!sized || seen.iter().all(|p| p.total == Some(5 << 20)), "{name}");
        assert!(seen.len() > 5, "{name}: {}", seen.len());
    }
}

#[tokio::test]
async fn a_body_that_stops_early_is_never_stored() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let broken = |after: usize| {
        let good = stream::iter((0..after).map(|_| Ok(Bytes::from(vec![1u8; 100_000]))));
        Source::stream(good.chain(stream::iter([Err(std::io::Error::other("the source broke"))])))
    };
    for name in ["ascii.bin", "ü.bin"] {
        for after in [0, 1, 30] {
            let error = bucket.file(name).upload(broken(after)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io, "{error:?}");
        }
        let short = Source::reader(std::io::Cursor::new(vec![1; 10])).size(11);
        assert!(bucket.file(name).upload(short).await.unwrap_err().is_invalid_input());
        let long = Source::reader(std::io::Cursor::new(vec![1; 12])).size(11);
        assert!(bucket.file(name).upload(long).await.unwrap_err().is_invalid_input());
        let none = Source::reader(std::io::Cursor::new(vec![1; 12])).size(0);
        assert!(bucket.file(name).upload(none).await.unwrap_err().is_invalid_input());
        let other = bucket.file(name).upload("x".as_bytes()).expect_sha256("0".repeat(64)).await.unwrap_err();
        assert_eq!(other.kind(), ErrorKind::IntegrityMismatch);
        assert!([&sha256(b"x"), &"0".repeat(64)].iter().all(|hash| other.message().contains(*hash)), "{other}");
        let empty = bucket.file(name).upload(&b""[..]).expect_sha256("0".repeat(64)).await.unwrap_err();
        assert_eq!(empty.kind(), ErrorKind::IntegrityMismatch);
        assert!([&sha256(b""), &"0".repeat(64)].iter().all(|hash| empty.message().contains(*hash)), "{empty}");
    }
    assert!(bucket.files().list().await.unwrap().items.is_empty(), "nothing may be visible");
}

#[tokio::test]
async fn a_dropped_upload_leaves_nothing() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    for name in ["known.bin", "ünknown.bin"] {
        let (started, start) = tokio::sync::oneshot::channel();
        let started = Mutex::new(Some(started));
        let source = Source::stream(stream::iter(0..).map(move |n| {
            if n == 20
                && let Some(started) = started.lock().unwrap().take()
            {
                let _ = started.send(());
            }
            Ok::<_, std::io::Error>(Bytes::from(vec![1u8; 100_000]))
        }));
        let upload = tokio::spawn(bucket.file(name).upload(source).send());
        start.await.unwrap();
        upload.abort();
        assert!(upload.await.unwrap_err().is_cancelled());
        assert!(bucket.file(name).get_opt().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_source_file_that_changes_is_an_error_and_nothing_is_stored() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let disk = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(disk.path(), pattern(30 << 20)).unwrap();
    let path = disk.path().to_owned();
    let mut changed = false;
    let error = bucket
        .file("x.bin")
        .upload(Path::new(disk.path()))
        .progress_interval(std::time::Duration::ZERO)
        .progress(|_| {
            if !std::mem::replace(&mut changed, true) {
                use std::io::Write;
                std::fs::File::options().append(true).open(&path).unwrap().write_all(b"more").unwrap();
            }
        })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContentChanged);
    assert!(bucket.file("x.bin").get_opt().await.unwrap().is_none());
}

#[tokio::test]
async fn sources_that_can_not_be_read_are_refused_before_anything_is_sent() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    server.clear_requests();
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("missing"), "/".into(), "".into()] {
        let error = bucket.files().upload(&path).named("x").await.unwrap_err();
        assert!(error.is_invalid_input(), "{path:?}: {error:?}");
        assert!(bucket.files().upload(&path).await.unwrap_err().is_invalid_input());
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn an_upload_token_is_used_alone_so_that_it_counts() {
    let server = server().await;
    let client = admin(&server);
    let bucket = bucket(&client).await;
    let token = bucket.upload_tokens().create().max_uploads(2).await.unwrap();
    bucket.file("1").upload("1".as_bytes()).upload_token(&token.token).await.unwrap();
    let guest = Client::new(server.url(), &token.token).unwrap();
    let files = guest.bucket(bucket.id()).files();
    files["2 ü"].upload("2".as_bytes()).await.unwrap();
    let error = files["3"].upload("3".as_bytes()).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::PermissionDenied, "Invalid or expired upload token"));
    assert_eq!(files["1"].get().await.unwrap().size, 1);
    let sent = server.requests().len();
    let error = files["1"].delete().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(server.requests().len(), sent, "a guest's call that needs more is not sent");
    assert!(!format!("{error:?} {error} {guest:?}").contains(token.token.expose()));
}

#[tokio::test]
async fn replayable_sources_survive_resets_and_others_say_why_not() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let data = pattern(3 << 20);
    server.inject(Fault::reset_request_after(1 << 20).on("PUT", "/upload/stream").times(2));
    let mut attempts = Vec::new();
    let upload = bucket.file("a.bin").upload(data.clone()).progress(|p| attempts.push(p.attempt));
    upload.await.unwrap();
    assert!(attempts.last() > Some(&1));
    assert!(content(&bucket, "a.bin").await == data);

    server.inject(Fault::status(503).on("PUT", "/upload/stream"));
    bucket.file("b.bin").upload(data.clone()).await.unwrap();

    server.inject(Fault::reset_request_after(1 << 20).on("PUT", "/upload/stream"));
    let error = bucket.file("c.bin").upload(Source::reader(std::io::Cursor::new(data.clone()))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    assert!(error.hint().unwrap().contains("factory"), "{error}");
    assert!(bucket.file("c.bin").get_opt().await.unwrap().is_none());

    // Of its one attempt it has the kind, and of a server that said more also the words.
    server.inject(Fault::status(503).body(r#"{"error":"busy"}"#).on("PUT", "/upload/stream"));
    let error = bucket.file("c.bin").upload(Source::reader(std::io::Cursor::new(data))).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts(), error.message()), (ErrorKind::Server, 1, "busy"), "{error:?}");
    assert!(error.hint().unwrap().contains("factory"), "{error}");
}

#[tokio::test]
async fn a_writer_uploads_what_is_written() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let data = pattern(2_000_003);
    let mut writer = bucket.file("w.bin").upload_writer();
    for chunk in data.chunks(70_001) {
        writer.write_all(chunk).await.unwrap();
    }
    assert!(bucket.file("w.bin").get_opt().await.unwrap().is_none(), "not visible before it is finished");
    let done = writer.finish().await.unwrap();
    assert_eq!(done.size, data.len() as u64);
    assert!(content(&bucket, "w.bin").await == data);

    let mut writer = bucket.file("dropped.bin").upload_writer();
    writer.write_all(&data).await.unwrap();
    writer.flush().await.unwrap();
    drop(writer);
    assert!(bucket.file("dropped.bin").get_opt().await.unwrap().is_none());

    let mut refused = admin(&server).bucket("nosuch1234").file("x").upload_writer();
    let mut failed = false;
    for _ in 0..100 {
        failed |= refused.write_all(&data).await.is_err();
    }
    assert!(failed);
    assert!(refused.finish().await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn an_attempt_after_a_500_is_told_as_one() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    server.inject(Fault::status(500).on("PUT", "/upload/stream"));
    let mut seen = Vec::new();
    let upload = bucket.file("a").upload("x".as_bytes()).progress_interval(Duration::ZERO);
    upload.progress(|p| seen.push((p.attempt, p.phase))).await.unwrap();
    let again = seen.iter().position(|(attempt, phase)| *attempt == 1 && matches!(phase, Phase::Retrying { .. }));
    let after = &seen[again.expect("it says that it tries again") + 1..];
    assert!(after.iter().all(|(attempt, _)| *attempt == 2) && after.last() == Some(&(2, Phase::Done)), "{seen:?}");

    server.inject(Fault::status(500).on("PUT", "/upload/stream").forever());
    assert_eq!(bucket.file("b").upload("x".as_bytes()).await.unwrap_err().attempts(), 2);
}

/// Wire description, section 13: together, equal first contents and equal new paths are 500s on this server, and appends are
/// lost.
#[tokio::test]
async fn uploads_of_one_client_do_not_race_each_other() {
    let server = TestServer::builder().commit_time(std::time::Duration::from_millis(20)).start().await.unwrap();
    let bucket = bucket(&admin(&server)).await;
    let upload = |i: usize| {
        let bucket = &bucket;
        // 60 equal, 40 empty, 40 to one path, 60 of their own.
        let (path, data) = match i % 10 {
            0..3 => (format!("equal/{i}"), b"equal".to_vec()),
            3..5 => (format!("empty/ü{i}"), Vec::new()),
            5..7 => ("one path".to_owned(), format!("version {i}").into_bytes()),
            _ => (format!("own/{i}"), format!("content {i}").into_bytes()),
        };
        async move {
            let source = if i.is_multiple_of(4) { Source::reader(std::io::Cursor::new(data)) } else { data.into() };
            bucket.file(&path).upload(source).await.map(drop)
        }
    };
    server.clear_requests();
    stream::iter(0..200).map(upload).buffer_unordered(32).try_collect::<()>().await.unwrap();
    let seen = server.requests();
    assert!(seen.iter().all(|r| r.status == Some(201.try_into().unwrap())), "{seen:?}");
    assert_eq!(seen.len(), 200);
    assert_eq!(bucket.files().list().await.unwrap().total, 60 + 40 + 1 + 60);

    let log = bucket.file("log");
    log.upload(&b""[..]).await.unwrap();
    let line = |i: usize| log.append(format!("line {i:03}\n").into_bytes()).send();
    stream::iter(0..50).map(line).buffer_unordered(16).try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(log.get().await.unwrap().size, 50 * 9);
}

#[tokio::test]
async fn a_server_that_works_on_it_is_waited_for_and_the_progress_says_so() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let stalled = server.inject(Fault::stall_headers().on("PUT", "/upload/stream"));
    let mut phases = Vec::new();
    let upload = bucket.file("x").upload(pattern(1_000_000)).progress(|p| {
        if p.phase == Phase::Waiting {
            assert_eq!(p.sent, 1_000_000);
            stalled.release();
        }
        phases.push(p.phase);
    });
    upload.await.unwrap();
    phases.dedup();
    assert_eq!(phases, [Phase::Sending, Phase::Waiting, Phase::Done]);
}

#[tokio::test]
async fn a_server_that_repeats_the_token_does_not_make_the_error_tell_it() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let token = bucket.upload_tokens().create().await.unwrap().token;
    let guest = Client::builder(server.url()).token(&token).retry(RetryPolicy::never()).build().unwrap();
    let told = format!("<p>cannot PUT /upload/stream?token={}</p>", token.expose());
    server.inject(Fault::status(502).body(told).on("PUT", "/upload/stream"));
    let error = guest.bucket(bucket.id()).file("x").upload(vec![1]).await.unwrap_err();
    assert!(error.message().contains("cannot PUT"), "{error}");
    assert!(!format!("{error} {error:?}").contains(token.expose()), "{error:?}");
}

/// Asking again with a head that announces no bytes would be an upload of nothing.
#[tokio::test]
async fn a_connection_that_breaks_before_the_first_byte_does_not_empty_the_file() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    let file = bucket.file("kept");
    file.upload("old content".as_bytes()).await.unwrap();
    let fault = server.inject(Fault::reset().on("PUT", "/upload/stream"));
    let fired = fault.clone();
    // It gives nothing until the connection has broken.
    let silent = stream::once(async move {
        fired.fired_at_least(1).await;
        std::future::pending::<Result<Bytes, std::io::Error>>().await
    });
    let error = file.upload(Source::stream(silent)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted, "{error:?}");
    assert_eq!(content(&bucket, "kept").await, "old content");
}

#[tokio::test]
async fn only_an_upload_token_goes_into_a_url() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    server.clear_requests();
    let error = bucket.file("x").upload(vec![1]).upload_token(server.admin_key()).await.unwrap_err();
    assert!(error.is_invalid_input() && server.requests().is_empty(), "{error:?}");
    let shown = format!("{:?}", admin(&server).request(carbonfiles::Method::GET, "/x").query("token", "cfu_5ec2e7"));
    assert!(!shown.contains("5ec2e7"), "{shown}");
    let above = admin(&server).request(carbonfiles::Method::GET, "/%2e%2E/x").await.unwrap_err();
    assert!(above.is_invalid_input());
}

#[tokio::test(start_paused = true)]
async fn an_empty_upload_that_was_never_sent_keeps_nobody_waiting() {
    let asked = AtomicU32::new(0);
    let provide = move || {
        // First it is asked what kind of credential it is, then for the request.
        let fails = asked.fetch_add(1, Ordering::Relaxed) % 2 == 1;
        async move { if fails { Err(std::io::Error::other("signed out")) } else { Ok("cf4_x") } }
    };
    let client = support::builder("http://127.0.0.1:9").token_provider(provide).build().unwrap();
    let file = client.bucket("b").file("empty");
    let started = tokio::time::Instant::now();
    for _ in 0..3 {
        let error = file.upload(Bytes::new()).await.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Unauthenticated, 1), "{error:?}");
    }
    assert_eq!(started.elapsed(), Duration::ZERO, "no turn lingers");
}

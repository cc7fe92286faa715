//! G: uploads.

use std::future::{Ready, ready};
use std::io::{Cursor, SeekFrom};
use std::time::Duration;

use bytes::Bytes;
use carbonfiles::models::UploadedFile;
use carbonfiles::{Bucket, Client, Error, ErrorKind, Phase, Progress, Source};
use futures::{StreamExt, stream};
use tokio::io::AsyncSeekExt;

use crate::bench::{Bench, holds, read};
use crate::content::{random, sha256};
use crate::memory::Watch;
use crate::operation::{Operation, Outcome, Trouble, ensure, operations, refused, same};
use crate::proxy::Rule;

pub(crate) const OPERATIONS: &[Operation] = operations!["upload":
    G1 from_a_path "from a path, name taken from it";
    G2 from_bytes "from bytes";
    G3 from_an_open_file "from an open file, blob or stream of known size";
    G4 from_a_stream "from an async stream or generator of unknown size";
    G5 nothing "0 bytes";
    G6 large "256 MiB from a file, no progress: memory flat (<64 MiB growth)";
    G7 large_with_progress "256 MiB with progress: memory flat, numbers right, last one 100 %";
    G8 length_with_progress "256 MiB with progress goes out with Content-Length";
    G9 progress_of_a_stream "progress on a stream of unknown size";
    G10 multipart "multipart: three files in one request";
    G11 nested "nested target path";
    G12 names "spaces, `%`, `+#?` names round trip";
    G13 unicode "unicode name: a result, not an exception (file is stored by the server)";
    G14 content_type "choose the content type";
    G15 with_a_token "with an upload token and no other credential";
    G16 with_a_token_and_a_key "with an upload token while the client has its own key: the token's use is counted";
    G17 with_a_spent_token "spent upload token: typed 403 with the server's message";
    G18 deduplicated "second copy reports deduplicated";
    G19 over_the_limit "2 MiB to a 1 MiB limit, bytes: typed 413";
    G20 stream_over_the_limit "64 MiB stream to a 1 MiB limit: typed 413";
    G21 bad_path "bad path `../x`: typed 400";
    G22 no_bucket "to a bucket that is not there: typed 404";
    G23 cancelled "cancelled half way: error or cancellation at once, nothing visible, no temp file left";
    G24 many_at_once "32 at once through one client";
];

/// The answer of an upload and what the server shows and gives back must be these bytes.
async fn arrived(bucket: &Bucket, done: &UploadedFile, path: &str, bytes: &[u8]) -> Result<(), Trouble> {
    holds(done, path, bytes)?;
    holds(&bucket.file(path).get().await?, path, bytes)?;
    ensure!(read(bucket, path).await? == bytes, "other bytes came back for {path:?}");
    Ok(())
}

async fn from_a_path(bench: Bench) -> Outcome {
    let (bucket, bytes) = (bench.bucket().await?, random(300_000));
    let local = bench.scratch("photo 1+2.jpg")?;
    std::fs::write(&local, &bytes)?;
    let done = bucket.files().upload(&local).await?;
    arrived(&bucket, &done, "photo 1+2.jpg", &bytes).await?;
    same!(done.mime_type, "image/jpeg", "type");
    let done = bucket.files().upload(&local).named("docs/other.jpg").await?;
    arrived(&bucket, &done, "docs/other.jpg", &bytes).await?;
    Ok(format!("{} and, named, {}", "photo 1+2.jpg", done.path))
}

async fn from_bytes(bench: Bench) -> Outcome {
    let (bucket, bytes) = (bench.bucket().await?, random(300_000));
    let done = bucket.file("bytes.bin").upload(bytes.clone()).await?;
    arrived(&bucket, &done, "bytes.bin", &bytes).await?;
    let done = bucket.file("text.txt").upload("hello".as_bytes()).await?;
    arrived(&bucket, &done, "text.txt", b"hello").await?;
    Ok("300,000 bytes".to_owned())
}

async fn from_an_open_file(bench: Bench) -> Outcome {
    let (bucket, bytes) = (bench.bucket().await?, random(300_000));
    let local = bench.scratch("open.bin")?;
    std::fs::write(&local, &bytes)?;
    let done = bucket.file("open.bin").upload(tokio::fs::File::open(&local).await?).await?;
    arrived(&bucket, &done, "open.bin", &bytes).await?;
    // From where it stands.
    let mut file = tokio::fs::File::open(&local).await?;
    file.seek(SeekFrom::Start(1000)).await?;
    let done = bucket.file("rest.bin").upload(file).await?;
    arrived(&bucket, &done, "rest.bin", &bytes[1000..]).await?;
    // A reader of known size, which is only lent, goes out with its length.
    let (proxy, client) = bench.proxy().await?;
    let mut reader = Cursor::new(&bytes);
    let upload =
        client.bucket(bucket.id()).file("reader.bin").upload(Source::reader(&mut reader).size(300_000)).await?;
    arrived(&bucket, &upload, "reader.bin", &bytes).await?;
    same!(reader.position(), 300_000, "where the reader stands");
    let length = proxy.requests()[0].header("content-length").map(str::to_owned);
    same!(length.as_deref(), Some("300000"), "Content-Length");
    Ok("from the start, from byte 1,000, and a reader with its size".to_owned())
}

fn pieces(bytes: &[u8]) -> Source<'static> {
    let pieces: Vec<_> = bytes.chunks(7_777).map(Bytes::copy_from_slice).collect();
    Source::stream(stream::iter(pieces).map(Ok::<_, std::io::Error>))
}

async fn from_a_stream(bench: Bench) -> Outcome {
    let (bucket, bytes) = (bench.bucket().await?, random(300_000));
    let (proxy, client) = bench.proxy().await?;
    let done = client.bucket(bucket.id()).file("docs/stream.bin").upload(pieces(&bytes)).await?;
    arrived(&bucket, &done, "docs/stream.bin", &bytes).await?;
    let sent = proxy.requests();
    same!(sent[0].header("transfer-encoding"), Some("chunked"), "Transfer-Encoding");
    Ok("300,000 bytes, chunked".to_owned())
}

async fn nothing(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let done = bucket.file("docs/empty.txt").upload(&b""[..]).await?;
    arrived(&bucket, &done, "docs/empty.txt", b"").await?;
    let done = bucket.file("docs/empty stream.txt").upload(pieces(b"")).await?;
    arrived(&bucket, &done, "docs/empty stream.txt", b"").await?;
    let done = bucket.file("docs/empty ü.txt").upload(&b""[..]).await?;
    arrived(&bucket, &done, "docs/empty ü.txt", b"").await?;
    Ok("bytes, stream and multipart".to_owned())
}

async fn large(bench: Bench) -> Outcome {
    let (bucket, large) = (bench.bucket().await?, bench.large().await?);
    let memory = Watch::start();
    let done = bucket.files().upload(&large.path).named("docs/large.bin").await?;
    let memory = memory.flat(64)?;
    same!((done.size, done.sha256.as_ref()), (large.size, Some(&large.sha256)), "size and hash");
    Ok(format!("256 MiB, {memory}"))
}

/// Reports of one attempt: they begin at 0, never go back, and end with all of it done.
fn reports_fit(reports: &[Progress], size: u64, total: Option<u64>) -> Result<(), Trouble> {
    ensure!(reports.is_sorted_by_key(|report| report.sent), "progress goes backwards");
    ensure!(reports.iter().all(|report| report.attempt == 1), "there was a second attempt");
    let early = |report: &&Progress| report.phase == Phase::Sending;
    ensure!(reports.iter().filter(early).all(|report| report.total == total), "a total other than {total:?}");
    let (first, last) = (reports.first(), reports.last());
    same!(first.map(|report| report.sent), Some(0), "the first report");
    let last = last.map(|report| (report.sent, report.percent(), report.phase));
    same!(last, Some((size, Some(100.0), Phase::Done)), "the last report");
    ensure!(reports.iter().any(|report| report.phase == Phase::Waiting), "nothing is said of the wait for the server");
    ensure!(reports.iter().any(|report| (1..size).contains(&report.sent)), "nothing between 0 and 100 %");
    Ok(())
}

async fn large_with_progress(bench: Bench) -> Outcome {
    let (bucket, large) = (bench.bucket().await?, bench.large().await?);
    let mut reports = Vec::new();
    let memory = Watch::start();
    let upload = bucket.files().upload(&large.path).named("docs/large.bin").progress(|report| reports.push(report));
    let done = upload.progress_interval(Duration::from_millis(1)).await?;
    let memory = memory.flat(64)?;
    same!((done.size, done.sha256.as_ref()), (large.size, Some(&large.sha256)), "size and hash");
    reports_fit(&reports, large.size, Some(large.size))?;
    Ok(format!("{} reports, the last one 100 %, {memory}", reports.len()))
}

async fn length_with_progress(bench: Bench) -> Outcome {
    let (bucket, large) = (bench.bucket().await?, bench.large().await?);
    let (proxy, client) = bench.proxy().await?;
    let mut count = 0;
    let upload = client.bucket(bucket.id()).files().upload(&large.path).named("docs/large.bin");
    let done = upload.progress(|_| count += 1).await?;
    same!((done.size, done.sha256.as_ref()), (large.size, Some(&large.sha256)), "size and hash");
    let sent = proxy.requests();
    let framing = (sent[0].header("content-length").map(str::to_owned), sent[0].header("transfer-encoding"));
    same!(framing, (Some(large.size.to_string()), None), "Content-Length and Transfer-Encoding");
    same!((sent.len(), sent[0].body), (1, large.size), "requests, and bytes of the first");
    ensure!(count > 2, "{count} reports");
    Ok(format!("Content-Length: {}", large.size))
}

async fn progress_of_a_stream(bench: Bench) -> Outcome {
    let (bucket, bytes) = (bench.bucket().await?, random(16 << 20));
    // Over a link that takes half a second for it.
    let (proxy, client) = bench.proxy().await?;
    proxy.add(Rule::slow_request(32 << 20).on("PUT", "/upload/stream"));
    let file = client.bucket(bucket.id()).file("docs/stream.bin");
    let mut reports = Vec::new();
    let upload = file.upload(pieces(&bytes)).progress(|report| reports.push(report));
    let done = upload.progress_interval(Duration::ZERO).await?;
    arrived(&bucket, &done, "docs/stream.bin", &bytes).await?;
    reports_fit(&reports, 16 << 20, None)?;
    Ok(format!("{} reports, the last one 16 MiB", reports.len()))
}

async fn multipart(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let (proxy, client) = bench.proxy().await?;
    let local = bench.scratch("c.bin")?;
    let files = [("a.txt", random(100)), ("docs/日本 \"+#?.bin", random(200_000)), ("c.bin", random(0))];
    std::fs::write(&local, &files[2].1)?;
    let upload = client.bucket(bucket.id()).files().upload_multipart();
    let upload = upload.file(files[0].0, files[0].1.clone()).file(files[1].0, pieces(&files[1].1));
    let done = upload.file(files[2].0, local.as_path()).await?;
    same!(done.len(), 3, "files in the answer");
    for (done, (path, bytes)) in done.iter().zip(&files) {
        arrived(&bucket, done, path, bytes).await?;
    }
    same!(proxy.requests().len(), 1, "requests");
    Ok("three files, one request".to_owned())
}

async fn round_trip(bench: &Bench, names: &[&str]) -> Outcome {
    let bucket = bench.bucket().await?;
    for name in names {
        let bytes = random(1000);
        let done = bucket.file(name).upload(bytes.clone()).await?;
        arrived(&bucket, &done, name, &bytes).await?;
    }
    let listed = bucket.files().list().limit(1000).await?;
    let mut paths: Vec<_> = listed.items.iter().map(|file| file.path.as_str()).collect();
    let mut expected = names.to_vec();
    paths.sort_unstable();
    expected.sort_unstable();
    same!(paths, expected, "paths in the listing");
    Ok(names.join(" | "))
}

async fn nested(bench: Bench) -> Outcome {
    round_trip(&bench, &["docs/a.txt", "docs/deep/er/b.txt", "docs"]).await
}

async fn names(bench: Bench) -> Outcome {
    round_trip(&bench, &["with  two spaces.txt", "100%.txt", "100%25.txt", "a+b#c?.txt", "d/a&b=c;d.txt"]).await
}

async fn unicode(bench: Bench) -> Outcome {
    let seen = round_trip(&bench, &["naïve 日本.txt", "ü/é/🎉.txt"]).await?;
    // Also for a second content, and for one that the server has already: no 500 becomes an error here.
    let bucket = bench.bucket().await?;
    let bytes = random(100);
    for path in ["naïve.txt", "naïve.txt", "auch naïve.txt"] {
        let done = bucket.file(path).upload(bytes.clone()).await?;
        arrived(&bucket, &done, path, &bytes).await?;
    }
    Ok(seen)
}

fn content_type(_bench: Bench) -> Ready<Outcome> {
    let reason = "the server takes the content type from the extension of the name, whatever it is sent";
    ready(Err(Trouble::Skipped(reason.to_owned())))
}

/// A bucket and an upload token for so many files.
async fn token(bench: &Bench, uploads: u32) -> Result<(Bucket, String), Trouble> {
    let bucket = bench.bucket().await?;
    let token = bucket.upload_tokens().create().max_uploads(uploads).expires("1h").await?;
    Ok((bucket, token.token.into_exposed()))
}

async fn with_a_token(bench: Bench) -> Outcome {
    let (bucket, token) = token(&bench, 2).await?;
    let guest = bench.with_token(token)?;
    let there = guest.bucket(bucket.id());
    let bytes = random(1000);
    let done = there.file("docs/guest.txt").upload(bytes.clone()).await?;
    arrived(&bucket, &done, "docs/guest.txt", &bytes).await?;
    // Multipart too, and nothing else.
    let done = there.file("docs/guest ü.txt").upload(bytes.clone()).await?;
    arrived(&bucket, &done, "docs/guest ü.txt", &bytes).await?;
    let error = there.file("docs/guest.txt").delete().await;
    ensure!(error.as_ref().is_err_and(Error::is_denied), "a guest's deletion: {error:?}");
    Ok("two files, and no deletion".to_owned())
}

async fn with_a_token_and_a_key(bench: Bench) -> Outcome {
    let (bucket, token) = token(&bench, 1).await?;
    let bytes = random(1000);
    let done = bucket.file("first.txt").upload(bytes.clone()).upload_token(token.as_str()).await?;
    arrived(&bucket, &done, "first.txt", &bytes).await?;
    let second = bucket.file("second.txt").upload(random(10)).upload_token(token.as_str()).await;
    refused(second, ErrorKind::PermissionDenied, 403)?;
    ensure!(bucket.file("second.txt").get_opt().await?.is_none(), "the second file is there");
    // The client's own key still serves.
    bucket.file("third.txt").upload(random(10)).await?;
    Ok("one use, counted".to_owned())
}

async fn with_a_spent_token(bench: Bench) -> Outcome {
    let (bucket, token) = token(&bench, 1).await?;
    let guest = bench.with_token(token)?.bucket(bucket.id());
    guest.file("first.txt").upload(random(10)).await?;
    for path in ["second.txt", "second ü.txt"] {
        let error = refused(guest.file(path).upload(random(10)).await, ErrorKind::PermissionDenied, 403)?;
        same!(error.message(), "Invalid or expired upload token", "the server's words");
        ensure!(bucket.file(path).get_opt().await?.is_none(), "{path} is there");
    }
    Ok("Invalid or expired upload token".to_owned())
}

async fn deduplicated(bench: Bench) -> Outcome {
    let (bucket, other, bytes) = (bench.bucket().await?, bench.bucket().await?, random(10_000));
    let first = bucket.file("first.bin").upload(bytes.clone()).await?;
    let second = bucket.file("docs/second.bin").upload(bytes.clone()).await?;
    let third = other.file("third.bin").upload(bytes.clone()).await?;
    let seen = (first.deduplicated, second.deduplicated, third.deduplicated);
    same!(seen, (false, true, true), "deduplicated: first, second, in another bucket");
    arrived(&bucket, &second, "docs/second.bin", &bytes).await?;
    Ok("the first is not, the second is".to_owned())
}

/// A bucket on the server that takes 1 MiB at most.
async fn limited(bench: &Bench) -> Result<(Client, Bucket), Trouble> {
    let client = bench.limited()?;
    let bucket = bench.bucket_of(&client).await?;
    Ok((client, bucket))
}

async fn over_the_limit(bench: Bench) -> Outcome {
    let (_, bucket) = limited(&bench).await?;
    // Whether the refusal is read before the pipe breaks is a matter of luck, so more than once.
    const TRIES: usize = 10;
    let bytes = random(2 << 20);
    for _ in 0..TRIES {
        let error = refused(bucket.file("large.bin").upload(bytes.clone()).await, ErrorKind::PayloadTooLarge, 413)?;
        same!(error.attempts(), 1, "attempts");
    }
    refused(bucket.file("large ü.bin").upload(bytes).await, ErrorKind::PayloadTooLarge, 413)?;
    ensure!(bucket.file("large.bin").get_opt().await?.is_none(), "it is there");
    // What fits is taken.
    let fits = random(1 << 20);
    let done = bucket.file("fits.bin").upload(fits.clone()).await?;
    arrived(&bucket, &done, "fits.bin", &fits).await?;
    Ok(format!("413 in {TRIES} of {TRIES}; 1 MiB fits"))
}

async fn stream_over_the_limit(bench: Bench) -> Outcome {
    let (_, bucket) = limited(&bench).await?;
    const TRIES: usize = 5;
    for _ in 0..TRIES {
        let block = Bytes::from(random(1 << 20));
        let blocks = stream::iter((0..64).map(move |_| Ok::<_, std::io::Error>(block.clone())));
        let error = bucket.file("large.bin").upload(Source::stream(blocks)).await;
        refused(error, ErrorKind::PayloadTooLarge, 413)?;
        ensure!(bucket.file("large.bin").get_opt().await?.is_none(), "it is there");
    }
    Ok(format!("413 in {TRIES} of {TRIES}"))
}

async fn bad_path(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    for path in ["../x", "a/../../x", "./x", "a//b", "/x", "x/", "", " "] {
        let error = bucket.file(path).upload(random(10)).await;
        ensure!(error.as_ref().is_err_and(Error::is_invalid_input), "{path:?}: {error:?}");
    }
    same!(bucket.get().await?.file_count, 0, "files");
    // What the server itself says, should anybody ask it.
    let path = format!("/api/buckets/{}/upload/stream", bucket.id());
    let raw = bench.admin().request(http::Method::PUT, path).query("filename", "../x").body("x").await;
    let error = refused(raw, ErrorKind::InvalidInput, 400)?;
    same!(error.message(), "Invalid file path", "the server's words");
    Ok("refused before anything is sent; the server's own 400 is typed".to_owned())
}

async fn no_bucket(bench: Bench) -> Outcome {
    // A bucket that was there, so that the id has the right form.
    let bucket = bench.bucket().await?;
    bucket.delete().await?;
    for length in [10, 2 << 20] {
        let error = refused(bucket.file("x.bin").upload(random(length)).await, ErrorKind::NotFound, 404)?;
        same!(error.message(), "Bucket not found", "the server's words");
    }
    refused(bucket.file("ü.bin").upload(random(10)).await, ErrorKind::NotFound, 404)?;
    Ok("Bucket not found".to_owned())
}

async fn cancelled(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let old = random(1000);
    bucket.file("old.bin").upload(old.clone()).await?;
    let (proxy, client) = bench.proxy().await?;
    let there = client.bucket(bucket.id());
    for (number, path) in ["new.bin", "old.bin", "new ü.bin"].into_iter().enumerate() {
        for size in [None, Some(8 << 20)] {
            let before = proxy.requests().len();
            // Half of it comes, and then nothing more.
            let half = stream::iter((0..4).map(|_| Ok::<_, std::io::Error>(random(1 << 20))));
            let source = Source::stream(half.chain(stream::pending()));
            let source = if let Some(size) = size { source.size(size) } else { source };
            let upload = tokio::spawn(there.file(path).upload(source).send());
            proxy.until(|seen| seen.get(before).is_some_and(|seen| seen.body > 1 << 20)).await;
            upload.abort();
            ensure!(upload.await.is_err_and(|error| error.is_cancelled()), "it was not cancelled");
            proxy.until(|seen| seen[before..].iter().all(|seen| seen.ended)).await;
            let answers: Vec<_> = proxy.requests()[before..].iter().map(|seen| seen.status).collect();
            same!(answers, [None], "answers to try {number}");
        }
    }
    // Another request and its answer, for the server to be done with them.
    bucket.file("last.bin").upload(random(10)).await?;
    let listed = bucket.files().list().await?;
    let mut paths: Vec<_> = listed.items.iter().map(|file| file.path.as_str()).collect();
    paths.sort_unstable();
    same!(paths, ["last.bin", "old.bin"], "files");
    ensure!(read(&bucket, "old.bin").await? == old, "the file that was there is another one");
    Ok("nothing is visible, and what was there stays".to_owned())
}

async fn many_at_once(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let files: Vec<_> = (0..32).map(|n| (format!("docs/{n}.bin"), random(100_000 + n))).collect();
    let uploads = files.iter().map(|(path, bytes)| bucket.file(path).upload(bytes.clone()).send());
    let done = futures::future::try_join_all(uploads).await?;
    for (done, (path, bytes)) in done.iter().zip(&files) {
        holds(done, path, bytes)?;
        same!(sha256(&read(&bucket, path).await?), sha256(bytes), "hash of what came back for {path}");
    }
    let details = bucket.get().await?;
    let sizes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    same!((details.file_count, details.total_size), (32, sizes as u64), "files and bytes in the bucket");
    Ok("32 of 32".to_owned())
}

//! Credentials that run out, and where they go.

use carbonfiles::{Access, Bucket, Error, ErrorKind};

use crate::bench::{Bench, builder, read};
use crate::content::random;
use crate::operation::{Operation, Outcome, Trouble, ensure, operations, refused, same};
use crate::proxy::Rule;

pub(crate) const OPERATIONS: &[Operation] = operations!["beyond":
    X20 tokens_to_the_last "upload tokens, used up to the last";
    X21 a_use_is_a_use "an upload with a token whose answer is lost costs one use";
    X22 revoked_keys "keys revoked, used and unused";
    X23 other_keys_uploads "an upload into somebody else's bucket, which this server allows";
    X24 where_they_go "a key goes into a header, an upload token alone into the query, and nothing else anywhere";
];

async fn token(bucket: &Bucket, uploads: u32) -> Result<String, Trouble> {
    Ok(bucket.upload_tokens().create().max_uploads(uploads).await?.token.into_exposed())
}

async fn tokens_to_the_last(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    const USES: u32 = 7;
    let token = token(&bucket, USES).await?;
    let guest = bench.with_token(token.as_str())?;
    let there = guest.bucket(bucket.id());
    same!(guest.check().await?, Access::UploadToken, "what it is");
    // Streams, a name that needs multipart, an overwrite, three files in one request; an append is free.
    there.file("1.txt").upload(random(10)).await?;
    there.file("ü.txt").upload(random(10)).await?;
    there.file("1.txt").upload(random(20)).await?;
    there.file("1.txt").append(random(5)).await?;
    let three = there.files().upload_multipart();
    three.file("3.txt", random(1)).file("4.txt", random(2)).file("5.txt", random(3)).await?;
    there.file("6.txt").upload(random(10)).await?;
    for path in ["7.txt", "7 ü.txt", "1.txt"] {
        let error = refused(there.file(path).upload(random(10)).await, ErrorKind::PermissionDenied, 403)?;
        same!(error.message(), "Invalid or expired upload token", "the server's words");
    }
    same!(bucket.get().await?.file_count, 6, "files");
    same!(read(&bucket, "1.txt").await?.len(), 25, "bytes of the file that was overwritten and appended to");
    Ok(format!("{USES} of {USES}, then 403"))
}

async fn a_use_is_a_use(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let token = token(&bucket, 2).await?;
    let (proxy, _) = bench.proxy().await?;
    let guest = builder(proxy.url()).token(token.as_str()).build()?;
    let fault = proxy.add(Rule::lose_reply().on("PUT", "/upload/stream"));
    let bytes = random(1000);
    let done = guest.bucket(bucket.id()).file("first.bin").upload(bytes.clone()).await?;
    same!((done.size, fault.fired()), (1000, 1), "size, and answers lost");
    ensure!(read(&bucket, "first.bin").await? == bytes, "other bytes are stored");
    guest.bucket(bucket.id()).file("second.bin").upload(random(10)).await?;
    let third = guest.bucket(bucket.id()).file("third.bin").upload(random(10)).await;
    refused(third, ErrorKind::PermissionDenied, 403)?;
    Ok("2 files, 2 uses".to_owned())
}

async fn revoked_keys(bench: Bench) -> Outcome {
    let (used, unused) = (bench.key().await?, bench.key().await?);
    let bucket = bench.bucket_of(&used.client).await?;
    bucket.file("a.txt").upload(random(10)).await?;
    for keyed in [&used, &unused] {
        bench.admin().key(&keyed.key.prefix).revoke().await?;
    }
    same!(unused.client.check().await?, Access::Rejected, "what an unused one is good for");
    refused(unused.client.buckets().create(bench.name("x")).await, ErrorKind::Unauthenticated, 403)?;
    // One that was just used works on for up to half a minute.
    let answer = used.client.buckets().list().await;
    let fits = answer.as_ref().is_ok_and(|page| page.total == 1) || answer.as_ref().is_err_and(Error::is_denied);
    ensure!(fits, "a used one: {answer:?}");
    // What it made stays, and the admin has it.
    same!(read(&bench.admin().bucket(bucket.id()), "a.txt").await?.len(), 10, "bytes");
    bench.admin().bucket(bucket.id()).delete().await?;
    Ok("refused at once, or after the server's half minute".to_owned())
}

async fn other_keys_uploads(bench: Bench) -> Outcome {
    let (owner, other) = (bench.key().await?, bench.key().await?);
    let bucket = bench.bucket_of(&owner.client).await?;
    let theirs = other.client.bucket(bucket.id());
    let bytes = random(10);
    theirs.file("guest.txt").upload(bytes.clone()).await?;
    ensure!(read(&bucket, "guest.txt").await? == bytes, "other bytes are stored");
    let error = refused(theirs.file("guest.txt").delete().await, ErrorKind::NotFound, 404)?;
    same!(error.message(), "File not found", "the server's words");
    same!(other.client.buckets().list().await?.total, 0, "buckets of the other");
    Ok("stored; its deletion is a 404".to_owned())
}

async fn where_they_go(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let token = token(&bucket, 9).await?;
    let (proxy, client) = bench.proxy().await?;
    let there = client.bucket(bucket.id());
    let file = there.file("docs/a b.txt");
    file.upload(random(10)).await?;
    there.file("ü.txt").upload(random(10)).await?;
    file.append(random(10)).await?;
    file.patch(0, random(10)).await?;
    file.get().await?;
    file.head().await?;
    file.verify().await?;
    read(&there, "docs/a b.txt").await?;
    there.files().list().await?;
    there.files().tree().await?;
    there.files().directory("docs").await?;
    there.update().description("new").await?;
    there.summary().await?;
    there.upload_tokens().create().await?;
    client.keys().list().limit(1).await?;
    client.stats().await?;
    client.check().await?;
    let by_key = proxy.requests();
    let bearer = format!("Bearer {}", bench.admin_key());
    for seen in &by_key {
        let (method, target) = (&seen.method, &seen.target);
        ensure!(seen.header("authorization") == Some(&*bearer), "the key is not with {method} {target}");
        ensure!(!target.contains("token="), "a credential is in the URL of {method}");
    }
    // Beside a valid key the server would not count the token's use.
    there.file("guest.txt").upload(random(10)).upload_token(token.as_str()).await?;
    there.file("guest ü.txt").upload(random(10)).upload_token(token.as_str()).await?;
    let guest = builder(proxy.url()).token(token.as_str()).build()?;
    guest.bucket(bucket.id()).file("guest.txt").append(random(10)).await?;
    guest.bucket(bucket.id()).file("guest.txt").get().await?;
    for seen in &proxy.requests()[by_key.len()..] {
        let expected = (seen.method != "GET").then_some(token.as_str());
        let found = seen.target.split(['?', '&']).find_map(|pair| pair.strip_prefix("token="));
        ensure!(found == expected, "{} is with the token: {}", seen.method, found.is_some());
        ensure!(seen.header("authorization").is_none(), "Authorization is beside a token");
    }
    Ok(format!("{} requests looked at", proxy.requests().len()))
}

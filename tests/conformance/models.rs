//! Q: what answers become.

use carbonfiles::models::FileInfo;
use chrono::{DateTime, NaiveDateTime, Utc};
use futures::TryStreamExt;
use serde_json::Value;

use crate::bench::{Bench, read};
use crate::content::random;
use crate::operation::{Operation, Outcome, Trouble, ensure, operations, same};
use crate::proxy::Rule;

pub(crate) const OPERATIONS: &[Operation] = operations!["models":
    Q1 created_now "create time of a new bucket is zone-aware";
    Q2 times "times from get, list and metadata are zone-aware and right";
    Q3 unknown_fields "unknown JSON fields are ignored";
];

/// A time as the server writes it, read by hand: with `Z` or without, it is UTC.
fn utc(value: &Value, member: &str) -> Result<DateTime<Utc>, Trouble> {
    let text = value[member].as_str().unwrap_or_default();
    Ok(text.trim_end_matches('Z').parse::<NaiveDateTime>()?.and_utc())
}

/// What another HTTP client gets from a path, as JSON.
async fn raw(bench: &Bench, path: String) -> Result<Value, Trouble> {
    let (status, bytes) = bench.fetch(&path).await?;
    same!(status, 200, "status of {path}");
    Ok(serde_json::from_slice(&bytes)?)
}

async fn created_now(bench: Bench) -> Outcome {
    let create = bench.admin().buckets().create(bench.name("new")).expires("6h");
    let made = bench.made(bench.admin(), create.await?);
    let text = serde_json::to_value(&made)?["created_at"].clone();
    ensure!(text.as_str().is_some_and(|text| text.ends_with('Z')), "it is written as {text}");
    let theirs = utc(&raw(&bench, format!("/api/buckets/{}", made.id)).await?, "created_at")?;
    same!(made.created_at, theirs, "creation");
    Ok(text.to_string())
}

async fn times(bench: Bench) -> Outcome {
    let keyed = bench.key().await?;
    let client = keyed.client;
    let create = client.buckets().create(bench.name("times")).expires("2040-01-02T03:04:05Z");
    let made = bench.made(&client, create.await?);
    let bucket = client.bucket(&made.id);
    let expected = (made.created_at, made.expires_at);
    let got = bucket.get().await?;
    same!((got.created_at, got.expires_at), expected, "get");
    let listed = client.buckets().list().await?.items;
    same!(listed.iter().map(|b| (b.created_at, b.expires_at)).collect::<Vec<_>>(), [expected], "list");
    let updated = bucket.update().name(bench.name("renamed")).await?;
    same!((updated.created_at, updated.expires_at), expected, "update");

    let file = bucket.file("docs/a.txt");
    let done = file.upload(random(10)).await?;
    let expected = (done.created_at, done.updated_at);
    let both = |file: &FileInfo| (file.created_at, file.updated_at);
    same!(both(&file.get().await?), expected, "metadata");
    same!(bucket.files().list().await?.items.iter().map(both).collect::<Vec<_>>(), [expected], "files");
    same!(bucket.files().directory("docs").await?.files.iter().map(both).collect::<Vec<_>>(), [expected], "ls");
    same!(bucket.files().tree().prefix("docs/").await?.files.iter().map(both).collect::<Vec<_>>(), [expected], "tree");
    // An overwrite answers with one bare time and one with a zone.
    let over = file.upload(random(20)).await?;
    same!(over.created_at, done.created_at, "creation after an overwrite");
    ensure!(over.updated_at > done.updated_at, "an overwrite goes back in time");
    same!(both(&file.get().await?), both(&over), "metadata after an overwrite");
    let appended = file.append(random(1)).await?;
    same!(both(&file.get().await?), both(&appended), "metadata after an append");
    ensure!(appended.updated_at > over.updated_at, "an append goes back in time");
    // And as another client reads it.
    let theirs = raw(&bench, format!("/api/buckets/{}/files/docs/a.txt", made.id)).await?;
    same!(both(&appended), (utc(&theirs, "created_at")?, utc(&theirs, "updated_at")?), "what the server says");
    let ours = serde_json::to_value(&appended)?;
    for member in ["created_at", "updated_at"] {
        let text = ours[member].as_str().unwrap_or_default();
        ensure!(text.ends_with('Z'), "{member} is written as {text:?}");
    }
    Ok(format!("ten answers agree on {}", made.created_at))
}

async fn unknown_fields(bench: Bench) -> Outcome {
    let (proxy, client) = bench.proxy().await?;
    let fault = proxy.add(Rule::add_fields().forever());
    same!(client.health().await?.db, "ok", "database");
    let bucket = bench.bucket_of(&client).await?;
    let bytes = random(1000);
    let done = bucket.file("docs/a.txt").upload(bytes.clone()).await?;
    same!(done.size, 1000, "size");
    bucket.files().upload_multipart().file("b.txt", "b".as_bytes()).await?;
    same!(bucket.file("docs/a.txt").get().await?.size, 1000, "size");
    same!(bucket.files().list().await?.total, 2, "files");
    same!(bucket.files().directory("docs").await?.files.len(), 1, "files in docs");
    same!(bucket.files().tree().await?.directories.len(), 1, "directories");
    same!(bucket.files().list_all().stable().items().try_collect::<Vec<_>>().await?.len(), 2, "files");
    ensure!(bucket.file("docs/a.txt").verify().await?.valid, "not valid");
    same!(bucket.file("b.txt").append("c".as_bytes()).await?.size, 2, "size");
    same!(bucket.get().with_files().await?.files.map(|files| files.len()), Some(2), "files");
    bucket.update().description("new").await?;
    bucket.upload_tokens().create().await?;
    let key = bench.made_key(client.keys().create(bench.name("key")).await?);
    same!(client.key(&key.prefix).usage().await?.bucket_count, 0, "buckets of the key");
    ensure!(client.keys().list().await?.total > 0 && client.buckets().list().await?.total > 0, "empty lists");
    let token = client.dashboard().create_token().await?;
    client.stats().await?;
    ensure!(!token.token.expose().is_empty(), "no token");
    // An error with more members than two is still an error in the server's words.
    let error = client.bucket("nothere000").get().await;
    ensure!(error.as_ref().is_err_and(|e| e.message() == "Bucket not found"), "{error:?}");
    ensure!(read(&bucket, "docs/a.txt").await? == bytes, "other bytes came");
    ensure!(fault.fired() >= 18, "only {} answers had more fields", fault.fired());
    Ok(format!("{} answers with fields that nobody knows", fault.fired()))
}

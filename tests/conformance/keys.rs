//! H: API keys.

use carbonfiles::{Access, ErrorKind};
use futures::TryStreamExt;

use crate::bench::{Bench, fill};
use crate::operation::{Operation, Outcome, ensure, operations, refused, same};

pub(crate) const OPERATIONS: &[Operation] = operations!["keys":
    H1 create "create";
    H2 list "list";
    H3 usage "usage";
    H4 revoke "revoke";
    H5 own_buckets "a client with a key sees its own buckets only";
];

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

async fn create(bench: Bench) -> Outcome {
    let name = bench.name("key ü");
    let key = bench.made_key(bench.admin().keys().create(&name).await?);
    same!(key.name, name, "name");
    let parts: Vec<_> = key.key.expose().split('_').collect();
    let fits = parts.len() == 3 && parts[0] == "cf4" && is_hex(parts[1], 8) && is_hex(parts[2], 32);
    ensure!(fits, "the key has another form");
    same!(key.prefix, format!("cf4_{}", parts[1]), "prefix");
    ensure!(!format!("{key:?}").contains(parts[2]), "Debug shows the key");
    same!(bench.with_token(key.key.expose())?.check().await?, Access::ApiKey, "what it is good for");
    Ok("good for an owner's buckets".to_owned())
}

async fn list(bench: Bench) -> Outcome {
    let (first, second) = (bench.key().await?, bench.key().await?);
    let keys: Vec<_> = bench.admin().keys().list_all().items().try_collect().await?;
    for made in [&first.key, &second.key] {
        let found: Vec<_> = keys.iter().filter(|key| key.prefix == made.prefix).collect();
        same!(found.len(), 1, "how often it is listed");
        same!((&found[0].name, found[0].created_at), (&made.name, made.created_at), "name and creation");
        same!((found[0].bucket_count, found[0].file_count, found[0].total_size), (0, 0, 0), "counts");
    }
    let page = bench.admin().keys().list().limit(1).await?;
    ensure!(page.items.len() == 1 && page.total >= 2, "{} of {} keys", page.items.len(), page.total);
    let refusal = first.client.keys().list().await;
    refused(refusal, ErrorKind::PermissionDenied, 403)?;
    Ok("both, with what they are".to_owned())
}

async fn usage(bench: Bench) -> Outcome {
    let keyed = bench.key().await?;
    let (full, empty) = (bench.bucket_of(&keyed.client).await?, bench.bucket_of(&keyed.client).await?);
    fill(&full, [("a.txt".to_owned(), b"12345".to_vec()), ("b/c.txt".to_owned(), b"678".to_vec())]).await?;
    let usage = bench.admin().key(&keyed.key.prefix).usage().await?;
    same!((usage.bucket_count, usage.file_count, usage.total_size), (2, 2, 8), "buckets, files, bytes");
    same!((&usage.name, &usage.prefix), (&keyed.key.name, &keyed.key.prefix), "name and prefix");
    let mut found: Vec<_> = usage.buckets.iter().map(|b| (b.id.as_str(), b.file_count, b.total_size)).collect();
    let mut expected = [(full.id(), 2, 8), (empty.id(), 0, 0)];
    found.sort_unstable();
    expected.sort_unstable();
    same!(found, expected, "buckets with their counts");
    Ok("2 buckets, 2 files, 8 bytes".to_owned())
}

async fn revoke(bench: Bench) -> Outcome {
    // A key that was used works on for a while, so this one is not.
    let keyed = bench.key().await?;
    let key = bench.admin().key(&keyed.key.prefix);
    key.revoke().await?;
    let keys: Vec<_> = bench.admin().keys().list_all().items().try_collect().await?;
    ensure!(keys.iter().all(|key| key.prefix != keyed.key.prefix), "it is still listed");
    refused(keyed.client.buckets().list().await, ErrorKind::Unauthenticated, 403)?;
    let error = refused(key.revoke().await, ErrorKind::NotFound, 404)?;
    same!(error.message(), "API key not found", "the server's words");
    refused(key.usage().await, ErrorKind::NotFound, 404)?;
    Ok("not listed, not accepted".to_owned())
}

async fn own_buckets(bench: Bench) -> Outcome {
    let (first, second) = (bench.key().await?, bench.key().await?);
    let (one, other) = (bench.bucket_of(&first.client).await?, bench.bucket_of(&second.client).await?);
    for (keyed, own) in [(&first, &one), (&second, &other)] {
        let page = keyed.client.buckets().list().include_expired(true).await?;
        same!(page.items.iter().map(|bucket| bucket.id.as_str()).collect::<Vec<_>>(), [own.id()], "buckets");
        same!((page.total, &page.items[0].owner), (1, &keyed.key.name), "total and owner");
    }
    Ok("1 of its own each".to_owned())
}

//! B: buckets.

use std::io;

use carbonfiles::models::{BucketInfo, BucketSort, Order};
use carbonfiles::{ErrorKind, Expiry};
use chrono::{DateTime, TimeDelta, Utc};
use futures::TryStreamExt;

use crate::bench::{Bench, fill};
use crate::content::{Hash, random};
use crate::memory::Watch;
use crate::operation::{Operation, Outcome, Trouble, ensure, failed, operations, refused, same};

pub(crate) const OPERATIONS: &[Operation] = operations!["buckets":
    B1 create_with_a_name "create with a name only";
    B2 create_with_a_duration "create with description and duration expiry (`1h`)";
    B3 create_with_times "create with ISO 8601, Unix and `never` expiry";
    B4 create_with_non_ascii "create with non-ASCII name and description";
    B5 list_first_page "list: first page and total";
    B6 list_limit_and_offset "list: limit and offset";
    B7 list_by_name "list: sort by name ascending";
    B8 list_expired "list: include_expired";
    B9 iterate "iterate all 250 buckets with the SDK's own iterator";
    B10 get "get one";
    B11 get_with_files "get one with its files (bucket not read before)";
    B12 get_with_files_after_get "get one with its files right after a plain get";
    B13 update "update name and description";
    B14 update_to_never "update expiry to `never`";
    B15 clear_description "clear a description";
    B16 update_nothing "update with nothing set: clear error";
    B17 delete "delete (a later get is a typed 404)";
    B18 summary "summary text";
    B19 zip "zip of a small bucket, valid archive";
    B20 large_zip "zip of 256 MiB straight to a file, memory flat (<64 MiB growth)";
];

/// How long after its creation a bucket expires must be what was asked for, by the server's own clock.
fn expires_after(bucket: &BucketInfo, expected: TimeDelta) -> Result<(), Trouble> {
    let Some(expires) = bucket.expires_at else {
        return Err(Trouble::Failed("the bucket never expires".to_owned()));
    };
    let after = expires - bucket.created_at;
    ensure!((after - expected).abs() < TimeDelta::minutes(1), "it expires {after} after its creation");
    Ok(())
}

async fn create_with_a_name(bench: Bench) -> Outcome {
    let name = bench.name("plain");
    let made = bench.made(bench.admin(), bench.admin().buckets().create(&name).await?);
    ensure!(made.id.len() == 10 && made.id.bytes().all(|b| b.is_ascii_alphanumeric()), "the id is {:?}", made.id);
    same!((made.name.as_str(), made.owner.as_str()), (name.as_str(), "admin"), "name and owner");
    same!((&made.description, made.file_count, made.total_size), (&None, 0, 0), "description and counts");
    expires_after(&made, TimeDelta::days(7))?;
    let got = bench.admin().bucket(&made.id).get().await?;
    same!(got.bucket, made, "what get shows");
    Ok(format!("{}, expires after 7 days", made.id))
}

async fn create_with_a_duration(bench: Bench) -> Outcome {
    let create = bench.admin().buckets().create(bench.name("1h")).description("Assets, 1 hour").expires("1h");
    let made = bench.made(bench.admin(), create.await?);
    same!(made.description.as_deref(), Some("Assets, 1 hour"), "description");
    expires_after(&made, TimeDelta::hours(1))?;
    same!(bench.admin().bucket(&made.id).get().await?.bucket, made, "what get shows");
    Ok("an hour after its creation".to_owned())
}

async fn create_with_times(bench: Bench) -> Outcome {
    let at: DateTime<Utc> = "2040-01-02T03:04:05Z".parse()?;
    let forms: [(Expiry, Option<DateTime<Utc>>); 6] = [
        ("2040-01-02T03:04:05Z".into(), Some(at)),
        ("2040-01-02T05:04:05+02:00".into(), Some(at)),
        (at.timestamp().to_string().into(), Some(at)),
        (at.into(), Some(at)),
        ("never".into(), None),
        (Expiry::never(), None),
    ];
    let count = forms.len();
    for (expiry, expected) in forms {
        let form = format!("{expiry:?}");
        let create = bench.admin().buckets().create(bench.name("times")).expires(expiry);
        let made = bench.made(bench.admin(), create.await?);
        same!(made.expires_at, expected, "expiry of {form}");
        same!(bench.admin().bucket(&made.id).get().await?.expires_at, expected, "expiry of {form}, read again");
    }
    Ok(format!("{count} forms, to the second"))
}

async fn create_with_non_ascii(bench: Bench) -> Outcome {
    let name = bench.name("naïve 日本 <&\"'> 🎉");
    let description = "zweite Zeile\nund ein \"Zitat\" \\ 💾";
    let made = bench.admin().buckets().create(&name).description(description).expires("6h").await?;
    let made = bench.made(bench.admin(), made);
    let got = bench.admin().bucket(&made.id).get().await?;
    for bucket in [&made, &got.bucket] {
        same!((&bucket.name, bucket.description.as_deref()), (&name, Some(description)), "name and description");
    }
    Ok("both as they were given".to_owned())
}

/// Three buckets of a key of their own.
async fn three(bench: &Bench) -> Result<(carbonfiles::Client, Vec<BucketInfo>), Trouble> {
    let client = bench.key().await?.client;
    let mut made = Vec::new();
    let name = bench.name("listed");
    for what in ["b", "C", "a"] {
        let name = format!("{name} {what}");
        made.push(bench.made(&client, client.buckets().create(name).expires("6h").await?));
    }
    Ok((client, made))
}

async fn list_first_page(bench: Bench) -> Outcome {
    let (client, mut made) = three(&bench).await?;
    let page = client.buckets().list().await?;
    same!((page.total, page.items.len(), page.limit, page.offset), (3, 3, 50, 0), "total, rows, limit, offset");
    made.reverse();
    same!(page.items, made, "the newest first");
    ensure!(!page.has_more(), "there is more behind the last row");
    let all = bench.admin().buckets().list().limit(1).await?;
    ensure!(all.total >= 3 && all.items.len() == 1, "the admin sees {} of {} buckets", all.items.len(), all.total);
    Ok(format!("3 of {}", page.total))
}

async fn list_limit_and_offset(bench: Bench) -> Outcome {
    let (client, mut made) = three(&bench).await?;
    made.reverse();
    let page = client.buckets().list().limit(1).offset(1).await?;
    same!((page.total, page.limit, page.offset), (3, 1, 1), "total, limit, offset");
    same!(page.items, made[1..2], "the second row");
    ensure!(page.has_more(), "nothing is said to come behind the second of three");
    let last = client.buckets().list().limit(2).offset(2).await?;
    same!(last.items, made[2..], "the last row");
    let behind = client.buckets().list().offset(3).await?;
    same!((behind.items.len(), behind.total), (0, 3), "rows and total behind the end");
    Ok("1 at 1, 1 at 2, 0 at 3".to_owned())
}

async fn list_by_name(bench: Bench) -> Outcome {
    let (client, _) = three(&bench).await?;
    let firsts = async |order| {
        let page = client.buckets().list().sort(BucketSort::Name).order(order).await?;
        Ok::<_, Trouble>(page.items.iter().filter_map(|bucket| bucket.name.chars().last()).collect::<String>())
    };
    same!(firsts(Order::Asc).await?, "Cab", "names, ascending by code point");
    same!(firsts(Order::Desc).await?, "baC", "names, descending");
    Ok("C a b".to_owned())
}

async fn list_expired(bench: Bench) -> Outcome {
    let past = || Expiry::from("2020-01-01T00:00:00Z").allow_past();
    // The server may clean up at any time, so more than one try.
    for _ in 0..3 {
        let create = bench.admin().buckets().create(bench.name("expired")).expires(past());
        let made = bench.made(bench.admin(), create.await?);
        let shown = async |expired| {
            let list = bench.admin().buckets().list_all().include_expired(expired).items();
            let found: Vec<_> =
                list.try_filter(|bucket| std::future::ready(bucket.id == made.id)).try_collect().await?;
            Ok::<_, Trouble>(found.len())
        };
        same!(shown(false).await?, 0, "how often an expired bucket is listed");
        if shown(true).await? == 1 {
            return Ok("listed only where asked for".to_owned());
        }
    }
    Err(Trouble::Failed("an expired bucket is not listed with include_expired".to_owned()))
}

async fn iterate(bench: Bench) -> Outcome {
    let crowd = bench.crowd().await?;
    let list = crowd.client.buckets().list_all().sort(BucketSort::Name).order(Order::Asc).limit(60);
    let rows: Vec<BucketInfo> = list.items().try_collect().await?;
    ensure!(rows.is_sorted_by_key(|bucket| &bucket.name), "they are not sorted by name");
    let mut seen: Vec<(String, String)> = rows.into_iter().map(|bucket| (bucket.id, bucket.name)).collect();
    seen.sort();
    let expected: Vec<_> = crowd.names.clone().into_iter().collect();
    same!(seen, expected, "ids and names");
    Ok(format!("{} of {}", seen.len(), expected.len()))
}

async fn get(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    fill(&bucket, [("a.txt", "one"), ("b/c.txt", "one"), ("d.txt", "three")].map(named)).await?;
    let got = bucket.get().await?;
    same!(got.id, bucket.id(), "id");
    same!((got.file_count, got.total_size), (3, 11), "files and bytes");
    same!((got.unique_content_count, got.unique_content_size), (2, 8), "distinct contents and their bytes");
    ensure!(bench.admin().bucket("nothere000").get_opt().await?.is_none(), "a bucket that is not there is shown");
    same!(bucket.get_opt().await?.map(|bucket| bucket.file_count), Some(3), "files by get_opt");
    Ok("3 files, 11 bytes, 2 distinct contents".to_owned())
}

fn named((path, text): (&str, &str)) -> (String, Vec<u8>) {
    (path.to_owned(), text.as_bytes().to_vec())
}

async fn files_are_there(bucket: &carbonfiles::Bucket) -> Outcome {
    let got = bucket.get().with_files().await?;
    let files = got.files.as_deref().unwrap_or_default();
    let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
    same!(paths, ["a.txt", "b/c.txt", "d.txt"], "files");
    same!(got.has_more_files, Some(false), "whether there are more");
    Ok(format!("{} files", paths.len()))
}

async fn get_with_files(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    fill(&bucket, [("a.txt", "one"), ("b/c.txt", "two"), ("d.txt", "three")].map(named)).await?;
    files_are_there(&bucket).await
}

async fn get_with_files_after_get(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    fill(&bucket, [("a.txt", "one"), ("b/c.txt", "two"), ("d.txt", "three")].map(named)).await?;
    same!(bucket.get().await?.files, None, "files of a plain get");
    let seen = files_are_there(&bucket).await?;
    same!(bucket.get().await?.files, None, "files of a plain get after that");
    Ok(seen)
}

async fn update(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let before = bucket.get().await?;
    let name = bench.name("renamed ü");
    let answer = bucket.update().name(&name).description("new").await?;
    let after = bucket.get().await?;
    for bucket in [&answer, &after.bucket] {
        same!((&bucket.name, bucket.description.as_deref()), (&name, Some("new")), "name and description");
        same!((bucket.expires_at, bucket.created_at), (before.expires_at, before.created_at), "times");
    }
    // The one keeps what the other changes.
    bucket.update().description("newer").await?;
    same!(bucket.get().await?.name, name, "name after the description was changed");
    Ok("both, and nothing else".to_owned())
}

async fn update_to_never(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    ensure!(bucket.get().await?.expires_at.is_some(), "the new bucket never expires");
    same!(bucket.update().expires(Expiry::never()).await?.expires_at, None, "expiry in the answer");
    same!(bucket.get().await?.expires_at, None, "expiry, read again");
    let back = bucket.update().expires("2h").await?.expires_at;
    same!(bucket.get().await?.expires_at, back, "expiry after `2h`");
    Ok("never, and back to 2h".to_owned())
}

async fn clear_description(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    bucket.update().description("to go").await?;
    same!(bucket.get().await?.description.as_deref(), Some("to go"), "description");
    bucket.update().description("").await?;
    same!(bucket.get().await?.description.as_deref().unwrap_or_default(), "", "description");
    Ok("empty".to_owned())
}

async fn update_nothing(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let error = failed(bucket.update().await, ErrorKind::InvalidInput)?;
    // What the server itself says, should anybody ask it.
    let raw = bench.admin().request(http::Method::PATCH, format!("/api/buckets/{}", bucket.id())).body("{}");
    let theirs = refused(raw.header("content-type", "application/json").await, ErrorKind::InvalidInput, 400)?;
    same!(theirs.message(), "At least one field is required", "the server's words");
    Ok(error.message().to_owned())
}

async fn delete(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    fill(&bucket, [named(("a.txt", "one"))]).await?;
    bucket.delete().await?;
    let error = refused(bucket.get().await, ErrorKind::NotFound, 404)?;
    same!(error.message(), "Bucket not found", "the server's words");
    ensure!(bucket.get_opt().await?.is_none(), "get_opt still shows it");
    refused(bucket.file("a.txt").get().await, ErrorKind::NotFound, 404)?;
    refused(bucket.delete().await, ErrorKind::NotFound, 404)?;
    Ok(error.message().to_owned())
}

async fn summary(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let name = bench.name("Zusammenfassung ü");
    bucket.update().name(&name).await?;
    fill(&bucket, [named(("docs/naïve.txt", "1234")), ("big.bin".to_owned(), random(1536))]).await?;
    let text = bucket.summary().await?;
    for line in [format!("Bucket: {name}"), "Owner: admin".to_owned()] {
        ensure!(text.lines().any(|l| l == line), "no line {line:?} in {text:?}");
    }
    for (path, size) in [("docs/naïve.txt", "4 B"), ("big.bin", "1.5 KB")] {
        ensure!(text.lines().any(|l| l.trim() == format!("{path} ({size})")), "no {path} with {size} in {text:?}");
    }
    Ok(format!("{} lines", text.lines().count()))
}

async fn zip(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let files = [("a.txt", "one"), ("docs/日本 %.txt", "two"), ("docs/empty", "")].map(named);
    fill(&bucket, files.clone()).await?;
    let head = bucket.head_zip().await?;
    same!(head.content_type.as_deref(), Some("application/zip"), "content type");
    let bytes = bucket.zip().await?.bytes(1 << 20).await?;
    let mut archive = zip::ZipArchive::new(io::Cursor::new(bytes))?;
    for (path, bytes) in &files {
        let mut entry = archive.by_name(path)?;
        let mut read = Vec::new();
        io::copy(&mut entry, &mut read)?;
        same!(read, *bytes, "content of {path}");
    }
    let names = archive.file_names().collect::<Result<Vec<_>, _>>()?;
    let names: Vec<_> = names.iter().filter(|name| !name.ends_with('/')).collect();
    same!(names.len(), files.len(), "entries {names:?}");
    Ok(format!("{} entries, as they were stored", names.len()))
}

async fn large_zip(bench: Bench) -> Outcome {
    let (bucket, large) = (bench.large_bucket().await?, bench.large().await?);
    let target = bench.scratch("large.zip")?;
    let memory = Watch::start();
    let done = bucket.zip().download_to(&target).await?;
    let memory = memory.flat(64)?;
    ensure!(done.size >= large.size, "the archive has {} bytes", done.size);
    let unpack = move || {
        let mut archive = zip::ZipArchive::new(std::fs::File::open(&target)?)?;
        let found = Hash::of_reader(archive.by_name("large.bin")?)?;
        std::fs::remove_file(&target)?;
        Ok::<_, Trouble>(found)
    };
    same!(
        tokio::task::spawn_blocking(unpack).await??,
        (large.size, large.sha256.clone()),
        "size and hash of its entry"
    );
    Ok(format!("{} MiB, {memory}", done.size >> 20))
}

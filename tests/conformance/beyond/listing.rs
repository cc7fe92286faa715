//! Listings that are long, sorted in every way, or read while others write.

use std::collections::BTreeSet;

use carbonfiles::Bucket;
use carbonfiles::models::{BucketInfo, BucketSort, FileInfo, FileSort, KeyInfo, KeySort, Order};
use futures::{TryStreamExt, stream};

use crate::bench::{Bench, fill};
use crate::content::random;
use crate::operation::{Operation, Outcome, Trouble, ensure, operations, same};

pub(crate) const OPERATIONS: &[Operation] = operations!["beyond":
    X9 many_buckets "300 buckets, by pages of every kind of size";
    X10 sorted_buckets "buckets by every sort, both ways";
    X11 sorted_files "files by every sort, both ways";
    X12 sorted_keys "keys by every sort, both ways";
    X13 while_others_write "the stable listing, while others add and delete";
    X14 while_others_delete "the listing in the order asked for, while a few are deleted";
];

async fn many_buckets(bench: Bench) -> Outcome {
    const COUNT: usize = 300;
    let client = bench.key().await?.client;
    let made = bench.buckets(&client, COUNT).await?;
    let expected: BTreeSet<_> = made.into_keys().collect();
    for limit in [7, 50, 299, 300, 1000] {
        let ids: Vec<_> = client.buckets().list_all().limit(limit).items().map_ok(|b| b.id).try_collect().await?;
        same!(ids.len(), COUNT, "rows by pages of {limit}");
        same!(ids.into_iter().collect::<BTreeSet<_>>(), expected, "ids by pages of {limit}");
    }
    Ok(format!("{COUNT} of {COUNT}, five times"))
}

/// Whether rows are in an order by what they are sorted by.
fn in_order<T, K: Ord>(rows: &[T], order: Order, key: impl Fn(&T) -> K) -> bool {
    match order {
        Order::Asc => rows.is_sorted_by_key(key),
        _ => rows.is_sorted_by(|a, b| key(a) >= key(b)),
    }
}

async fn sorted_buckets(bench: Bench) -> Outcome {
    let client = bench.key().await?.client;
    bench.buckets(&client, 20).await?;
    let buckets: Vec<BucketInfo> = client.buckets().list_all().items().try_collect().await?;
    for (n, bucket) in buckets.iter().enumerate().step_by(3) {
        client.bucket(&bucket.id).file("a.bin").upload(random(n * 10 + 1)).await?;
        client.bucket(&bucket.id).update().expires(format!("{}h", 30 - n)).await?;
    }
    client.bucket(&buckets[1].id).update().expires("never").await?;
    let sorts =
        [BucketSort::Name, BucketSort::ExpiresAt, BucketSort::LastUsedAt, BucketSort::TotalSize, BucketSort::CreatedAt];
    for (sort, order) in sorts.into_iter().flat_map(|sort| [(sort, Order::Asc), (sort, Order::Desc)]) {
        let rows: Vec<BucketInfo> =
            client.buckets().list_all().sort(sort).order(order).limit(6).items().try_collect().await?;
        let ids: BTreeSet<_> = rows.iter().map(|bucket| &bucket.id).collect();
        same!(ids, buckets.iter().map(|bucket| &bucket.id).collect(), "ids by {sort:?} {order:?}");
        let fits = match sort {
            BucketSort::Name => in_order(&rows, order, |b| b.name.clone()),
            BucketSort::ExpiresAt => in_order(&rows, order, |b| b.expires_at),
            BucketSort::LastUsedAt => in_order(&rows, order, |b| b.last_used_at),
            BucketSort::TotalSize => in_order(&rows, order, |b| b.total_size),
            _ => in_order(&rows, order, |b| b.created_at),
        };
        ensure!(fits, "{sort:?} {order:?} is not in order");
    }
    Ok(format!("{} sorts", sorts.len()))
}

async fn sorted_files(bench: Bench) -> Outcome {
    let library = bench.library().await?;
    let sorts =
        [FileSort::Name, FileSort::Path, FileSort::Size, FileSort::MimeType, FileSort::CreatedAt, FileSort::UpdatedAt];
    for (sort, order) in sorts.into_iter().flat_map(|sort| [(sort, Order::Asc), (sort, Order::Desc)]) {
        let list = library.bucket.files().list_all().sort(sort).order(order);
        let rows: Vec<FileInfo> = list.items().try_collect().await?;
        let mut paths: Vec<_> = rows.iter().map(|file| file.path.as_str()).collect();
        paths.sort_unstable();
        same!(paths, library.files.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), "{sort:?} {order:?}");
        let fits = match sort {
            FileSort::Name => in_order(&rows, order, |f| f.name.clone()),
            FileSort::Path => in_order(&rows, order, |f| f.path.clone()),
            FileSort::Size => in_order(&rows, order, |f| f.size),
            FileSort::MimeType => in_order(&rows, order, |f| f.mime_type.clone()),
            FileSort::CreatedAt => in_order(&rows, order, |f| f.created_at),
            _ => in_order(&rows, order, |f| f.updated_at),
        };
        ensure!(fits, "{sort:?} {order:?} is not in order");
    }
    Ok(format!("{} sorts of 2,500 files", sorts.len()))
}

async fn sorted_keys(bench: Bench) -> Outcome {
    let mut made = BTreeSet::new();
    for n in 0..5 {
        let keyed = bench.key().await?;
        let bucket = bench.bucket_of(&keyed.client).await?;
        bucket.file("a.bin").upload(random(n * 100)).await?;
        made.insert(keyed.key.prefix);
    }
    let sorts = [KeySort::Name, KeySort::LastUsedAt, KeySort::TotalSize, KeySort::CreatedAt];
    for (sort, order) in sorts.into_iter().flat_map(|sort| [(sort, Order::Asc), (sort, Order::Desc)]) {
        let rows: Vec<KeyInfo> = bench.admin().keys().list_all().sort(sort).order(order).items().try_collect().await?;
        let own: BTreeSet<_> = rows.iter().map(|key| key.prefix.clone()).filter(|key| made.contains(key)).collect();
        same!(own, made, "keys by {sort:?} {order:?}");
        // Those of others may change while they are listed.
        let rows: Vec<_> = rows.into_iter().filter(|key| made.contains(&key.prefix)).collect();
        let fits = match sort {
            KeySort::Name => in_order(&rows, order, |k| k.name.clone()),
            KeySort::LastUsedAt => in_order(&rows, order, |k| k.last_used_at),
            KeySort::TotalSize => in_order(&rows, order, |k| k.total_size),
            _ => in_order(&rows, order, |k| k.created_at),
        };
        ensure!(fits, "{sort:?} {order:?} is not in order");
    }
    Ok(format!("{} sorts", sorts.len()))
}

/// A bucket with so many small files.
async fn filled(bench: &Bench, count: usize) -> Result<Bucket, Trouble> {
    let bucket = bench.bucket().await?;
    fill(&bucket, (0..count).map(|n| (format!("d{}/f{n:04}", n % 5), random(16)))).await?;
    Ok(bucket)
}

async fn while_others_write(bench: Bench) -> Outcome {
    const COUNT: usize = 1000;
    let bucket = filled(&bench, COUNT).await?;
    let goes = |n: &usize| n.is_multiple_of(4);
    let path = |n: usize| format!("d{}/f{n:04}", n % 5);
    let others = async {
        let changes = stream::iter((0..COUNT).filter(goes).map(Ok::<_, Trouble>));
        let change = async |n| {
            bucket.file(path(n)).delete().await?;
            bucket.file(format!("d{}/a{n:04}", n % 5)).upload(random(16)).await?;
            Ok(())
        };
        changes.try_for_each_concurrent(4, change).await
    };
    let lists = async {
        let mut lists = Vec::new();
        for limit in [20, 50, 100, 20] {
            let items = bucket.files().list_all().stable().limit(limit).items();
            lists.push(items.map_ok(|file| file.path).try_collect::<Vec<_>>().await?);
        }
        Ok::<_, Trouble>(lists)
    };
    let ((), lists) = futures::try_join!(others, lists)?;
    for list in &lists {
        let unique: BTreeSet<_> = list.iter().cloned().collect();
        same!(unique.len(), list.len(), "different paths, of those listed");
        let missing: Vec<_> = (0..COUNT).filter(|n| !goes(n)).map(path).filter(|path| !unique.contains(path)).collect();
        ensure!(missing.is_empty(), "{} files that were there all the time are missing", missing.len());
    }
    Ok(format!("{} listings, nothing missed, nothing twice", lists.len()))
}

async fn while_others_delete(bench: Bench) -> Outcome {
    const COUNT: usize = 500;
    let bucket = filled(&bench, COUNT).await?;
    let mut pages = bucket.files().list_all().sort(FileSort::Path).order(Order::Asc).limit(50);
    let (mut seen, mut gone) = (Vec::new(), 0);
    while let Some(page) = pages.try_next().await? {
        // Some of those that were just shown: all behind them move up.
        for file in page.items.iter().take(10) {
            bucket.file(&file.path).delete().await?;
            gone += 1;
        }
        seen.extend(page.items.into_iter().map(|file| file.path));
    }
    let unique: BTreeSet<_> = seen.iter().collect();
    same!((unique.len(), seen.len()), (COUNT, COUNT), "different paths, and rows");
    Ok(format!("{COUNT} of {COUNT}, while {gone} were deleted"))
}

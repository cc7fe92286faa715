//! Listings, as a user would read them, while nobody and while somebody else writes.

mod support;

use std::collections::HashSet;

use carbonfiles::files::TreeEntry;
use carbonfiles::models::{FileSort, Order};
use carbonfiles::{Bucket, Error, ErrorKind};
use carbonfiles_testserver::TestServer;
use futures::{StreamExt, TryStreamExt, stream};
use support::{Answer, RawServer, answer, builder, within};

async fn setup() -> (TestServer, Bucket) {
    let server = support::server().await;
    let client = support::admin(&server);
    let bucket = client.buckets().create("listings").await.unwrap();
    (server, client.bucket(&bucket.id))
}

async fn fill(bucket: &Bucket, paths: impl IntoIterator<Item = String>) {
    stream::iter(paths)
        .map(|path| async move {
            // Distinct contents: equal ones in flight together are a race on this server.
            bucket.file(&path).upload(path.clone().into_bytes()).verify(false).await.map(drop)
        })
        .buffer_unordered(16)
        .try_collect::<()>()
        .await
        .unwrap();
}

async fn entries(bucket: &Bucket, prefix: &str, delimiter: &str, limit: u64) -> Vec<String> {
    let tree = bucket.files().tree().prefix(prefix).delimiter(delimiter).limit(limit);
    let mut paths: Vec<_> = tree.entries().map_ok(|e| e.path().to_owned()).try_collect().await.unwrap();
    paths.sort();
    paths
}

#[tokio::test]
async fn ten_thousand_files_come_once_each_in_order() {
    let (server, bucket) = setup().await;
    let mut expected: Vec<String> = (0..10_000).map(|i| format!("d{:02}/f{i:05}.txt", i % 37)).collect();
    fill(&bucket, expected.clone()).await;
    expected.sort();
    server.clear_requests();
    let by_path = bucket.files().list_all().sort(FileSort::Path).order(Order::Asc);
    let offset: Vec<String> = by_path.items().map_ok(|f| f.path).try_collect().await.unwrap();
    assert!(offset == expected);
    assert_eq!(server.requests().len(), 11, "windows of 1,000 that overlap by a row");
    let stable: Vec<String> =
        bucket.files().list_all().stable().items().map_ok(|f| f.path).try_collect().await.unwrap();
    assert!(stable == expected);
    let pages: Vec<_> = bucket.files().list_all().limit(3000).try_collect().await.unwrap();
    assert_eq!(pages.iter().map(|p| p.items.len()).sum::<usize>(), 10_000);
    assert!(pages.iter().all(|p| p.total == 10_000));
    let seen: HashSet<_> = pages.iter().flatten().map(|f| &f.path).collect();
    assert_eq!(seen.len(), 10_000);
    for some in [bucket.files().list_all().stable().prefix("d07/"), bucket.files().list_all().limit(9).prefix("d07/")] {
        let some: Vec<String> = some.items().map_ok(|f| f.path).try_collect().await.unwrap();
        assert!(some.iter().eq(expected.iter().filter(|p| p.starts_with("d07/"))));
    }
}

#[tokio::test]
async fn the_stable_listing_misses_no_file_that_was_there_throughout() {
    let (_server, bucket) = setup().await;
    fill(&bucket, (0..3000).map(|i| format!("f{i:05}"))).await;
    let doomed: Vec<String> = (0..3000).step_by(7).map(|i| format!("f{i:05}")).collect();
    let kept: HashSet<String> = (0..3000).map(|i| format!("f{i:05}")).filter(|p| !doomed.contains(p)).collect();
    let mut pages = bucket.files().list_all().stable().limit(100);
    let mut seen = Vec::new();
    let mut doomed = doomed.into_iter();
    let mut round = 0;
    while let Some(page) = pages.try_next().await.unwrap() {
        seen.extend(page.items.into_iter().map(|f| f.path));
        for path in doomed.by_ref().take(15) {
            bucket.file(path).delete().await.unwrap();
        }
        fill(&bucket, [format!("a{round}"), format!("f0000{round}x"), format!("z{round}")]).await;
        round += 1;
    }
    let unique: HashSet<_> = seen.iter().cloned().collect();
    assert_eq!(unique.len(), seen.len(), "nothing twice");
    assert!(kept.is_subset(&unique), "{:?}", kept.difference(&unique).take(5).collect::<Vec<_>>());
    assert!(seen.is_sorted());
}

#[tokio::test]
async fn an_offset_listing_keeps_up_with_a_few_deletions() {
    let (_server, bucket) = setup().await;
    fill(&bucket, (0..1000).map(|i| format!("f{i:05}"))).await;
    let mut pages = bucket.files().list_all().sort(FileSort::Path).order(Order::Asc).limit(100);
    let (mut seen, mut deleted) = (Vec::new(), HashSet::new());
    while let Some(page) = pages.try_next().await.unwrap() {
        for file in page.items.iter().take(20) {
            bucket.file(&file.path).delete().await.unwrap();
            deleted.insert(file.path.clone());
        }
        seen.extend(page.items.into_iter().map(|f| f.path));
    }
    let unique: HashSet<_> = seen.iter().cloned().collect();
    assert_eq!((unique.len(), seen.len()), (1000, 1000));
}

#[tokio::test]
async fn a_tree_is_read_to_its_end_each_entry_once() {
    let (_server, bucket) = setup().await;
    let directories = (0..30).flat_map(|d| (0..40).map(move |f| format!("d{d:02}/{f}.txt")));
    fill(&bucket, (0..300).map(|i| format!("r{i:03}.txt")).chain(directories)).await;
    for limit in [1, 7, 100, 1000] {
        let root = entries(&bucket, "", "/", limit).await;
        assert_eq!(root.len(), 330, "{limit}");
        assert_eq!(root.iter().filter(|p| p.ends_with('/')).count(), 30);
        assert_eq!(entries(&bucket, "d07/", "/", limit).await.len(), 40);
    }
    let page = bucket.files().tree().prefix("d07/").limit(7).await.unwrap();
    assert_eq!((page.files.len(), page.cursor.is_some()), (7, true));
    let next = bucket.files().tree().prefix("d07/").limit(7).cursor(page.cursor.unwrap()).await.unwrap();
    assert!(next.files[0].path > page.files[6].path);
    assert_eq!(entries(&bucket, "nothing/", "/", 10).await.len(), 0);
}

#[tokio::test]
async fn prefixes_that_the_server_cannot_match_are_found_all_the_same() {
    let (_server, bucket) = setup().await;
    let paths =
        ["a_b%c/1", "a_b%c/2/x", "a_b%cd", "axb%c/1", "A_B%C/1", "_k/1", "k%/1", "docs/a", "DOCS/b", "docs/sub/c"];
    fill(&bucket, paths.map(str::to_owned)).await;
    assert_eq!(entries(&bucket, "a_b%c", "/", 10).await, ["a_b%c/", "a_b%cd"]);
    assert_eq!(entries(&bucket, "a_b%c/", "/", 10).await, ["a_b%c/1", "a_b%c/2/"]);
    let kinds = bucket.files().tree().prefix("_k/").entries().try_collect::<Vec<_>>().await.unwrap();
    assert!(matches!(&kinds[..], [TreeEntry::File(f)] if f.path == "_k/1"));
    // One page is right as well, and leads to the next.
    let page = bucket.files().tree().prefix("a_b%c/").await.unwrap();
    let directories: Vec<_> = page.directories.iter().map(|d| (d.path.as_str(), d.file_count, d.total_size)).collect();
    assert_eq!((directories, page.total_directories), (vec![("a_b%c/2/", 1, 9)], 1));
    assert_eq!((page.files[0].path.as_str(), page.total_files, page.cursor), ("a_b%c/1", 1, None));
    fill(&bucket, ["a_b%c/3", "a_b%c/4"].map(str::to_owned)).await;
    let page = bucket.files().tree().prefix("a_b%c/").limit(2).await.unwrap();
    assert_eq!((page.files.len(), page.total_files, page.cursor.as_deref()), (2, 3, Some("a_b%c/3")));
    let page = bucket.files().tree().prefix("a_b%c/").limit(2).cursor("a_b%c/3").await.unwrap();
    assert_eq!((page.files[0].path.as_str(), page.total_files, page.cursor), ("a_b%c/4", 1, None));
    bucket.file("a_b%c/3").delete().await.unwrap();
    bucket.file("a_b%c/4").delete().await.unwrap();
    let folder = bucket.files().directory("a_b%c").await.unwrap();
    assert_eq!((folder.files.len(), folder.folders, folder.total_files), (1, vec!["2".to_owned()], 1));
    let docs = bucket.files().directory("docs").await.unwrap();
    assert_eq!(docs.files.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["docs/a"]);
    assert_eq!(entries(&bucket, "docs/", "/", 10).await, ["docs/a", "docs/sub/"]);
    assert_eq!(entries(&bucket, "a", "_", 10).await, ["a_", "axb%c/1"]);
}

/// The server measures a directory's name in UTF-16 units and takes as many characters off.
#[tokio::test]
async fn folders_below_names_beyond_the_first_plane() {
    let (_server, bucket) = setup().await;
    fill(&bucket, ["😀/sub/x.txt", "😀/y.txt", "😀😀/s/b"].map(str::to_owned)).await;
    for (path, folder, count) in [("😀", "sub", 1), ("😀😀", "s", 0)] {
        let here = bucket.files().directory(path).await.unwrap();
        assert_eq!((here.folders, here.total_files), (vec![folder.to_owned()], count), "{path}");
        assert_eq!(here.files.len() as u64, count, "{path}");
    }
    assert_eq!(bucket.files().directory("").await.unwrap().folders, ["😀", "😀😀"]);
}

#[tokio::test]
async fn sorts_limits_and_offsets() {
    let (_server, bucket) = setup().await;
    for (i, name) in ["b.txt", "a.bin", "c.json"].iter().enumerate() {
        bucket.file(name).upload(vec![b'x'; i + 1]).await.unwrap();
    }
    let names = |sort, order| {
        let list = bucket.files().list().sort(sort).order(order);
        async move { list.await.unwrap().items.into_iter().map(|f| f.name).collect::<Vec<_>>() }
    };
    assert_eq!(names(FileSort::Name, Order::Asc).await, ["a.bin", "b.txt", "c.json"]);
    assert_eq!(names(FileSort::Size, Order::Desc).await, ["c.json", "a.bin", "b.txt"]);
    assert_eq!(names(FileSort::CreatedAt, Order::Asc).await, ["b.txt", "a.bin", "c.json"]);
    assert_eq!(names(FileSort::MimeType, Order::Asc).await, ["c.json", "a.bin", "b.txt"]);
    // Without an order: texts from `A`, the largest and newest first.
    for (sort, expected) in [
        (FileSort::Name, ["a.bin", "b.txt", "c.json"]),
        (FileSort::Size, ["c.json", "a.bin", "b.txt"]),
        (FileSort::CreatedAt, ["c.json", "a.bin", "b.txt"]),
    ] {
        let page = bucket.files().list().sort(sort).await.unwrap();
        assert_eq!(page.items.into_iter().map(|file| file.name).collect::<Vec<_>>(), expected, "{sort}");
        let folder = bucket.files().directory("").sort(sort).await.unwrap();
        assert_eq!(folder.files.into_iter().map(|file| file.name).collect::<Vec<_>>(), expected, "{sort}");
    }
    let page = bucket.files().list().sort(FileSort::Name).order(Order::Asc).limit(1).offset(1).await.unwrap();
    assert_eq!((page.items[0].name.as_str(), page.total, page.limit, page.offset), ("b.txt", 3, 1, 1));
    assert!(page.has_more());
    for (offset, limit, more) in
        [(0, 2, true), (1, 1, true), (1, 2, false), (2, 1, false), (3, 1, false), (0, 9, false)]
    {
        let folder = bucket.files().directory("").offset(offset).limit(limit).await.unwrap();
        assert_eq!(folder.has_more(), more, "{limit} from {offset} on");
    }
    for more in [1001, 50_000, u64::MAX] {
        assert_eq!(bucket.files().list().limit(more).await.unwrap().limit, 1000);
    }
    assert!(bucket.files().list().limit(0).await.unwrap_err().is_invalid_input());
    assert!(bucket.files().list_all().limit(0).try_next().await.unwrap_err().is_invalid_input());
    assert!(bucket.files().list_all().stable().limit(0).try_next().await.unwrap_err().is_invalid_input());
    assert!(bucket.files().tree().limit(0).await.unwrap_err().is_invalid_input());
    assert!(bucket.files().directory("").limit(0).await.unwrap_err().is_invalid_input());
    let mut items = bucket.files().list_all().limit(0).items();
    assert!(items.next().await.unwrap().is_err());
    assert!(items.next().await.is_none(), "a stream ends after its error");
}

/// What a cache in front of the server does that ignores the query of a URL: the first window, whatever is asked for.
async fn always(window: impl AsRef<[u8]>) -> (RawServer, Bucket) {
    let answer = answer(200, "Content-Type: application/json\r\n", window.as_ref());
    let server = RawServer::start(move |_| Answer::Bytes(answer.clone())).await;
    let client = builder(&server.url).build().unwrap();
    let bucket = client.bucket("b");
    (server, bucket)
}

macro_rules! file {
    ($path:literal) => {
        concat!(
            r#"{"path":""#,
            $path,
            r#"","name":"x","size":1,"mime_type":"text/plain","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}"#
        )
    };
}

macro_rules! tree {
    ($($file:literal),* => $left:literal, $cursor:literal) => {
        concat!(
            r#"{"delimiter":"//","directories":[],"total_directories":0,"files":["#, tree!(@files $($file),*),
            r#"],"total_files":"#, $left, r#","cursor":""#, $cursor, r#""}"#
        )
    };
    (@files) => { "" };
    (@files $first:literal $(, $file:literal)*) => { concat!(file!($first) $(, ",", file!($file))*) };
}

fn makes_no_headway(error: &Error) {
    assert!(error.kind() == ErrorKind::Decode && error.message().contains("makes no headway"), "{error:?}");
}

#[tokio::test]
async fn a_listing_that_begins_again_is_not_complete() {
    for window in [tree!("a", "b" => 10, "b"), tree!("a", "b" => 10, "a"), tree!("b", "a" => 2, "b"), tree!(=> 10, "b")]
    {
        let (_server, bucket) = always(window).await;
        makes_no_headway(
            &within(bucket.files().list_all().stable().items().try_collect::<Vec<_>>()).await.unwrap_err(),
        );
        makes_no_headway(&within(bucket.files().tree().entries().try_collect::<Vec<_>>()).await.unwrap_err());
    }
    let page = concat!(r#"{"items":["#, file!("a"), ",", file!("b"), r#"],"total":3,"limit":2,"offset":0}"#);
    let (_server, bucket) = always(page).await;
    makes_no_headway(&within(bucket.files().list_all().limit(2).items().try_collect::<Vec<_>>()).await.unwrap_err());
    let (_server, bucket) = always(tree!("a/b" => 2, "a/b")).await;
    makes_no_headway(&within(bucket.file("a/content").get().send()).await.unwrap_err());
}

#[tokio::test]
async fn an_empty_page_before_the_end_is_not_complete() {
    let (server, bucket) = always(r#"{"items":[],"total":5000,"limit":1000,"offset":0}"#).await;
    makes_no_headway(&within(bucket.files().list_all().items().try_collect::<Vec<_>>()).await.unwrap_err());
    let admin = builder(&server.url).token("cf4_0123abcd_0123456789abcdef0123456789abcdef").build().unwrap();
    makes_no_headway(&within(admin.buckets().list_all().items().try_collect::<Vec<_>>()).await.unwrap_err());
}

/// A file that is overwritten while the newest come last moves behind all others.
#[tokio::test]
async fn an_overwritten_file_takes_no_others_along() {
    let (_server, bucket) = setup().await;
    for i in 0..40 {
        bucket.file(format!("f{i:02}")).upload(vec![i]).await.unwrap();
    }
    for moved in [2, 15] {
        let mut pages = bucket.files().list_all().sort(FileSort::UpdatedAt).order(Order::Asc).limit(10);
        let mut seen: Vec<_> = pages.try_next().await.unwrap().unwrap().into_iter().map(|file| file.path).collect();
        let moved = seen.get(moved).cloned().unwrap_or_else(|| "f16".to_owned());
        bucket.file(&moved).upload(moved.clone().into_bytes()).await.unwrap();
        seen.extend(pages.items().map_ok(|file| file.path).try_collect::<Vec<_>>().await.unwrap());
        let unique: HashSet<_> = seen.iter().collect();
        assert_eq!((unique.len(), seen.len()), (40, 40), "{moved}");
    }
}

#[tokio::test]
async fn what_a_listing_left_out_is_not_deleted() {
    let (_server, bucket) = always(tree!("a" => 2, "a")).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("b"), "only the second page has its twin").unwrap();
    let sync = bucket.files().sync_down(folder.path()).delete_extra(true);
    makes_no_headway(&within(sync.send()).await.unwrap_err());
    assert!(folder.path().join("b").exists());
}

#[tokio::test]
async fn a_bucket_may_claim_any_size() {
    let window = r#"{"delimiter":"/","directories":[],"total_directories":0,"files":[
        {"path":"d_/a","name":"a","size":18446744073709551615,"mime_type":"x/y","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"},
        {"path":"d_/b","name":"b","size":18446744073709551615,"mime_type":"x/y","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}
        ],"total_files":18446744073709551615}"#;
    let (_server, bucket) = always(window).await;
    let page = bucket.files().tree().prefix("d_").await.unwrap();
    assert_eq!((page.directories[0].file_count, page.directories[0].total_size), (2, u64::MAX));
}

/// It has no pages, so it is as long as there are buckets.
#[tokio::test]
async fn the_usage_of_a_key_may_be_long() {
    let bucket = serde_json::json!({
        "id": "b", "name": "of an owner who has many", "owner": "o", "description": "one of thousands of buckets",
        "created_at": "2026-01-01T00:00:00Z", "file_count": 1, "total_size": 1,
    });
    let usage = serde_json::json!({
        "prefix": "cf4_01234567", "name": "o", "created_at": "2026-01-01T00:00:00Z", "bucket_count": 9000,
        "file_count": 9000, "total_size": 9000, "total_downloads": 0, "buckets": vec![bucket; 9000],
    });
    let usage = usage.to_string();
    assert!(usage.len() > 1 << 20);
    let (_server, bucket) = always(usage).await;
    let usage = within(bucket.client().key("cf4_01234567").usage().send()).await.unwrap();
    assert_eq!(usage.buckets.len(), 9000);
}

/// What the server takes for the same, whatever its case, is left out of a page, and may be all of it.
#[tokio::test]
async fn a_page_of_another_case_is_not_the_end_of_a_tree() {
    let (_server, bucket) = setup().await;
    fill(&bucket, ["DOCS/a", "DOCS/b", "docs/c"].map(str::to_owned)).await;
    assert_eq!(entries(&bucket, "docs/", "/", 1).await, ["docs/c"]);
}

/// A page that is gathered is short, not the requests that it is gathered by.
#[tokio::test]
async fn a_small_page_is_not_gathered_one_file_at_a_time() {
    let (server, bucket) = setup().await;
    fill(&bucket, (0..30).map(|i| format!("a_b{i:02}"))).await;
    server.clear_requests();
    let page = bucket.files().tree().prefix("a_b").limit(1).await.unwrap();
    assert_eq!((page.files.len(), page.total_files, page.cursor.as_deref()), (1, 30, Some("a_b00")));
    assert_eq!(server.requests().len(), 1);
    assert_eq!(entries(&bucket, "a_b", "/", 1).await.len(), 30);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_tree_may_be_polled_after_its_end() {
    let (_server, bucket) = setup().await;
    bucket.file("a/b").upload("1".as_bytes()).await.unwrap();
    for prefix in ["", "a/", "_"] {
        support::ends(&mut bucket.files().tree().prefix(prefix).entries()).await;
    }
}

/// One after another, and many at once.
#[tokio::test]
async fn what_a_listing_gives_may_be_deleted_as_it_comes() {
    let server = support::server().await;
    let client = support::admin(&server);
    for at_once in [1, 16] {
        for name in 0..60 {
            client.buckets().create(name.to_string()).await.unwrap();
            client.keys().create(name.to_string()).await.unwrap();
        }
        let buckets = client.buckets().list_all().limit(20).items();
        let deletions = buckets.map_ok(|row| client.bucket(&row.id).delete().send());
        within(deletions.try_buffer_unordered(at_once).try_collect::<Vec<_>>()).await.unwrap();
        let keys = client.keys().list_all().limit(20).items();
        let revocations = keys.map_ok(|row| client.key(&row.prefix).revoke().send());
        within(revocations.try_buffer_unordered(at_once).try_collect::<Vec<_>>()).await.unwrap();
        let left = (client.buckets().list().await.unwrap().total, client.keys().list().await.unwrap().total);
        assert_eq!(left, (0, 0), "{at_once} at once");
    }
}

/// Another client has stored it by multipart. As the cursor of the next window it is over the 8 KiB of a request line.
#[tokio::test]
async fn a_path_that_is_too_long_for_a_cursor_is_no_end_of_a_window() {
    let (server, bucket) = setup().await;
    let long = format!("b/{}", vec!["日".repeat(80); 12].join("/"));
    fill(&bucket, ["a", "c", "d"].map(str::to_owned)).await;
    let form =
        format!("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{long}\"\r\n\r\n1\r\n--x--\r\n");
    let stored = support::admin(&server)
        .request(carbonfiles::Method::POST, format!("/api/buckets/{}/upload", bucket.id()))
        .header("content-type", "multipart/form-data; boundary=x")
        .body(form);
    stored.await.unwrap();
    let listing = |limit| bucket.files().list_all().stable().limit(limit);
    let paths = |limit| listing(limit).items().map_ok(|file| file.path).try_collect::<Vec<_>>();
    for limit in [2, 3, 4, 1000] {
        assert_eq!(paths(limit).await.unwrap(), ["a", &long, "c", "d"], "{limit}");
    }
    // There is no shorter one to go on behind.
    let error = paths(1).await.unwrap_err();
    assert!(error.is_invalid_input() && error.message().contains(&long), "{error}");
    assert!(bucket.files().tree().cursor(&long).await.unwrap_err().message().contains(&long));
}

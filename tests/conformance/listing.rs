//! C: listings of files.

use std::collections::{BTreeMap, BTreeSet};

use carbonfiles::files::TreeEntry;
use carbonfiles::models::{FileSort, Order};
use futures::TryStreamExt;

use crate::bench::{Bench, Library, fill};
use crate::operation::{Operation, Outcome, ensure, operations, same};

pub(crate) const OPERATIONS: &[Operation] = operations!["listing":
    C1 limit_and_offset "files: limit and offset";
    C2 by_size "files: sort by size descending";
    C3 iterate "iterate all 2,500 files page by page with the SDK's own iterator, each once";
    C4 tree_at_the_root "tree at the root: directories and files";
    C5 tree_under_a_prefix "tree under a prefix (`d07/`)";
    C6 tree_with_another_delimiter "tree with another delimiter (`-`)";
    C7 tree_by_hand "tree by hand-written cursor loop: 300 root files, 30 directories, ends";
    C8 tree_to_the_end "tree to the end with an SDK iterator";
    C9 ls_at_the_root "ls at the root";
    C10 ls_of_a_directory "ls of a directory with limit, offset, sort, order";
    C11 tree_with_wildcards "tree with prefix `a_b%c` finds both files";
    C12 iterate_nothing "iterate an empty bucket";
    C13 iterate_with_large_pages "iterate with a page size above the server's maximum: nothing lost";
];

impl Library {
    fn paths(&self) -> Vec<&str> {
        self.files.iter().map(|(path, _)| path.as_str()).collect()
    }

    /// Paths with their sizes, in the order of a comparison.
    fn sorted_by_size(&self, below: &str) -> Vec<(String, u64)> {
        let mut files: Vec<_> = self.files.iter().filter(|(path, _)| path.starts_with(below)).cloned().collect();
        files.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        files
    }

    fn root(&self) -> BTreeSet<String> {
        self.files.iter().map(|(path, _)| path.clone()).filter(|path| !path.contains('/')).collect()
    }

    /// Directories up to a delimiter, with the number and the bytes of their files.
    fn directories(&self, delimiter: char) -> BTreeMap<String, (u64, u64)> {
        let mut directories = BTreeMap::new();
        for (path, size) in &self.files {
            if let Some(at) = path.find(delimiter) {
                let directory: &mut (u64, u64) = directories.entry(path[..=at].to_owned()).or_default();
                *directory = (directory.0 + 1, directory.1 + size);
            }
        }
        directories
    }
}

fn pairs(files: &[carbonfiles::models::FileInfo]) -> Vec<(String, u64)> {
    files.iter().map(|file| (file.path.clone(), file.size)).collect()
}

async fn limit_and_offset(bench: Bench) -> Outcome {
    let library = bench.library().await?;
    let list = library.bucket.files().list().sort(FileSort::Path).order(Order::Asc);
    let page = list.limit(10).offset(1995).await?;
    same!((page.total, page.limit, page.offset), (2500, 10, 1995), "total, limit, offset");
    same!(pairs(&page.items), library.files[1995..2005], "rows");
    ensure!(page.has_more(), "nothing is said to come behind them");
    Ok(format!("{} rows at 1995 of {}", page.items.len(), page.total))
}

async fn by_size(bench: Bench) -> Outcome {
    let library = bench.library().await?;
    let page = library.bucket.files().list().sort(FileSort::Size).order(Order::Desc).limit(100).await?;
    same!(pairs(&page.items), library.sorted_by_size("")[..100], "the largest");
    Ok(format!("{} down to {} bytes", page.items[0].size, page.items[99].size))
}

async fn iterate(bench: Bench) -> Outcome {
    let library = bench.library().await?;
    let mut pages = library.bucket.files().list_all().limit(300);
    let (mut paths, mut count) = (Vec::new(), 0);
    while let Some(page) = pages.try_next().await? {
        same!(page.total, 2500, "total");
        paths.extend(page.items.into_iter().map(|file| file.path));
        count += 1;
    }
    paths.sort();
    same!(paths, library.paths(), "paths");
    Ok(format!("{} of 2,500 on {count} pages", paths.len()))
}

async fn tree_at_the_root(bench: Bench) -> Outcome {
    let library = bench.library().await?;
    let page = library.bucket.files().tree().limit(1000).await?;
    let files: BTreeSet<_> = page.files.iter().map(|file| file.path.clone()).collect();
    same!(files, library.root(), "files");
    let directories = page.directories.iter().map(|d| (d.path.clone(), (d.file_count, d.total_size)));
    same!(directories.collect::<BTreeMap<_, _>>(), library.directories('/'), "directories with their counts");
    same!(page.cursor, None, "cursor of the only page");
    Ok(format!("{} directories, {} files", page.directories.len(), files.len()))
}

async fn tree_under_a_prefix(bench: Bench) -> Outcome {
    let library = bench.library().await?;
    let page = library.bucket.files().tree().prefix("d07/").limit(1000).await?;
    let expected: Vec<_> = library.files.iter().filter(|(path, _)| path.starts_with("d07/")).cloned().collect();
    same!(pairs(&page.files), expected, "files");
    same!(page.directories.len(), 0, "directories");
    let middle = library.bucket.files().tree().prefix("d07/f-00").limit(1000).await?;
    let expected = expected.iter().filter(|(path, _)| path.starts_with("d07/f-00")).count();
    same!(middle.files.len(), expected, "files below `d07/f-00`");
    Ok(format!("{} files", page.files.len()))
}

async fn tree_with_another_delimiter(bench: Bench) -> Outcome {
    let library = bench.library().await?;
    let page = library.bucket.files().tree().delimiter("-").limit(1000).await?;
    let directories = page.directories.iter().map(|d| (d.path.clone(), (d.file_count, d.total_size)));
    same!(directories.collect::<BTreeMap<_, _>>(), library.directories('-'), "directories with their counts");
    same!(page.files.len(), 0, "files");
    Ok(format!("{} directories such as {:?}", page.directories.len(), page.directories[0].path))
}

async fn tree_by_hand(bench: Bench) -> Outcome {
    let library = bench.library().await?;
    let (mut files, mut directories, mut pages) = (Vec::new(), BTreeSet::new(), 0);
    let mut cursor = None;
    loop {
        let mut tree = library.bucket.files().tree().limit(100);
        if let Some(cursor) = cursor {
            tree = tree.cursor(cursor);
        }
        let page = tree.await?;
        files.extend(page.files.into_iter().map(|file| file.path));
        directories.extend(page.directories.into_iter().map(|directory| directory.path));
        pages += 1;
        ensure!(pages < 50, "the cursor does not end");
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    same!(files.len(), 300, "files");
    same!(files.into_iter().collect::<BTreeSet<_>>(), library.root(), "files");
    same!(directories.len(), 30, "directories {directories:?}");
    Ok(format!("300 files, 30 directories on {pages} pages"))
}

async fn tree_to_the_end(bench: Bench) -> Outcome {
    let library = bench.library().await?;
    let mut expected: Vec<_> = library.root().into_iter().chain(library.directories('/').into_keys()).collect();
    expected.sort();
    for limit in [7, 100, 1000] {
        let entries = library.bucket.files().tree().limit(limit).entries();
        let mut paths: Vec<_> = entries.map_ok(|entry| entry.path().to_owned()).try_collect().await?;
        paths.sort();
        same!(paths, expected, "entries by pages of {limit}");
    }
    Ok("300 files, 30 directories, each once, by pages of 7, 100 and 1,000".to_owned())
}

async fn ls_at_the_root(bench: Bench) -> Outcome {
    let library = bench.library().await?;
    let listing = library.bucket.files().directory("").await?;
    same!((listing.total_files, listing.total_folders), (300, 30), "files and folders in all");
    let root: Vec<_> = library.root().into_iter().take(200).collect();
    same!(listing.files.iter().map(|file| &file.path).collect::<Vec<_>>(), root.iter().collect::<Vec<_>>(), "files");
    let folders: BTreeSet<_> = listing.folders.iter().map(|folder| format!("{folder}/")).collect();
    same!(folders, library.directories('/').into_keys().collect::<BTreeSet<_>>(), "folders");
    Ok(format!("{} of {} files, {} folders", listing.files.len(), listing.total_files, listing.folders.len()))
}

async fn ls_of_a_directory(bench: Bench) -> Outcome {
    let library = bench.library().await?;
    let listing = library.bucket.files().directory("d07").limit(5).offset(10);
    let listing = listing.sort(FileSort::Size).order(Order::Desc).await?;
    let expected = library.sorted_by_size("d07/");
    same!(pairs(&listing.files), expected[10..15], "rows");
    same!((listing.total_files, listing.total_folders), (expected.len() as u64, 0), "files and folders in all");
    Ok(format!("5 of {} files", listing.total_files))
}

async fn tree_with_wildcards(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let paths = ["a_b%c one.txt", "a_b%c/two.txt", "axbyc three.txt", "A_B%C four.txt", "a_b%", "axb%c/five.txt"];
    fill(&bucket, paths.map(|path| (path.to_owned(), path.as_bytes().to_vec()))).await?;
    let files = bucket.files();
    let entries: Vec<_> = files.tree().prefix("a_b%c").entries().try_collect().await?;
    let mut found: Vec<_> = entries.iter().map(TreeEntry::path).collect();
    found.sort_unstable();
    same!(found, ["a_b%c one.txt", "a_b%c/"], "entries below `a_b%c`");
    let flat = files.tree().prefix("a_b%c").delimiter("//").entries();
    let mut flat: Vec<_> = flat.map_ok(|entry| entry.path().to_owned()).try_collect().await?;
    flat.sort();
    same!(flat, ["a_b%c one.txt", "a_b%c/two.txt"], "files below `a_b%c`");
    let folder = files.directory("a_b%c").await?;
    let inside: Vec<_> = folder.files.iter().map(|file| file.path.as_str()).collect();
    same!(inside, ["a_b%c/two.txt"], "files in the folder");
    Ok("both, and nothing that only looks like them".to_owned())
}

async fn iterate_nothing(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let files = bucket.files();
    same!(files.list_all().items().try_collect::<Vec<_>>().await?.len(), 0, "files");
    same!(files.list_all().stable().items().try_collect::<Vec<_>>().await?.len(), 0, "files of the stable listing");
    same!(files.tree().entries().try_collect::<Vec<_>>().await?.len(), 0, "entries of the tree");
    let root = files.directory("").await?;
    same!((root.files.len(), root.folders.len()), (0, 0), "files and folders at the root");
    Ok("nothing, and no error".to_owned())
}

async fn iterate_with_large_pages(bench: Bench) -> Outcome {
    let library = bench.library().await?;
    let mut paths: Vec<_> =
        library.bucket.files().list_all().limit(2000).items().map_ok(|file| file.path).try_collect().await?;
    paths.sort();
    same!(paths, library.paths(), "paths by pages of 2,000");
    let stable = library.bucket.files().list_all().stable().limit(2000).items();
    let stable: Vec<_> = stable.map_ok(|file| file.path).try_collect().await?;
    same!(stable, library.paths(), "paths of the stable listing");
    let crowd = bench.crowd().await?;
    let mut ids: Vec<_> =
        crowd.client.buckets().list_all().limit(240).items().map_ok(|bucket| bucket.id).try_collect().await?;
    ids.sort();
    same!(ids, crowd.names.keys().cloned().collect::<Vec<_>>(), "ids by pages of 240");
    Ok("2,500 of 2,500 files, 250 of 250 buckets".to_owned())
}

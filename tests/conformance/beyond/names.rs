//! Names that break clients. Each file lives a whole life under its name.

use crate::bench::{Bench, holds, read};
use crate::content::random;
use crate::operation::{Operation, Outcome, Trouble, ensure, operations, same};

pub(crate) const OPERATIONS: &[Operation] = operations!["beyond":
    X1 spaces "names with spaces";
    X2 punctuation "names with ü 日本 %+#?&=~'\" and other punctuation";
    X3 emoji "names of emoji";
    X4 forms_and_cases "NFC beside NFD, upper case beside lower";
    X5 control_characters "names with control characters";
    X6 depth "50 folders deep";
    X7 length "250 bytes long";
    X8 operations_as_names "paths that end in /content and /verify";
];

/// Everything that a client can do with a file, with these files beside each other.
async fn live(bench: &Bench, paths: &[String]) -> Outcome {
    let bucket = bench.bucket().await?;
    let mut files = Vec::new();
    for path in paths {
        let bytes = random(500);
        let at = |what: &str| format!("{what} of {path:?}");
        let file = bucket.file(path);
        let named = |trouble: Trouble| match trouble {
            Trouble::Failed(text) => Trouble::Failed(format!("{path:?}: {text}")),
            skipped @ Trouble::Skipped(_) => skipped,
        };
        holds(&file.upload(bytes.clone()).await.map_err(|error| named(error.into()))?.file, path, &bytes)?;
        holds(&file.get().await.map_err(|error| named(error.into()))?, path, &bytes)?;
        same!(file.head().await.map_err(|error| named(error.into()))?.length, Some(500), "{}", at("length"));
        ensure!(file.verify().await.map_err(|error| named(error.into()))?.valid, "{path:?} is not valid");
        files.push((path.clone(), bytes));
    }
    // Each has kept its own bytes beside the others.
    for (path, bytes) in &mut files {
        ensure!(read(&bucket, path).await? == *bytes, "other bytes came back for {path:?}");
        let more = random(100);
        bytes.extend_from_slice(&more);
        holds(&bucket.file(&*path).append(more).await?, path, bytes)?;
        bytes[..3].copy_from_slice(b"new");
        holds(&bucket.file(&*path).patch(0, &b"new"[..]).await?, path, bytes)?;
        // The link that is given to people.
        let url = bucket.file(&*path).url()?;
        let (status, fetched) = bench.fetch(&url.as_str()[bench.url().len()..]).await?;
        same!((status, fetched == *bytes), (200, true), "status and bytes of {url}");
        let code = bucket.file(&*path).get().await?.short_code.unwrap_or_default();
        same!(bench.admin().short_url(code).resolve().await?.path, *path, "where the short URL leads");
        let target = bench.scratch("copy")?;
        bucket.file(&*path).download_to(&target).await?;
        ensure!(std::fs::read(&target)? == *bytes, "other bytes are in the copy of {path:?}");
    }
    let page = bucket.files().list().limit(1000).await?;
    let mut listed: Vec<_> = page.items.into_iter().map(|file| file.path).collect();
    let mut expected = paths.to_vec();
    listed.sort();
    expected.sort();
    same!(listed, expected, "paths in the listing");
    for (path, _) in &files {
        bucket.file(path).delete().await?;
        same!(bucket.file(path).get_opt().await?, None, "{path:?}, after its deletion");
    }
    same!(bucket.get().await?.file_count, 0, "files in the end");
    Ok(format!("{} names", paths.len()))
}

fn owned(paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| (*path).to_owned()).collect()
}

async fn spaces(bench: Bench) -> Outcome {
    live(&bench, &owned(&["a b.txt", "a  b.txt", " before.txt", "x/ y /z.txt", "a+b.txt", "a%20b.txt"])).await
}

async fn punctuation(bench: Bench) -> Outcome {
    let all = "ü 日本 %+#?&=~'\".txt";
    let names =
        [all, "x/ü 日本 %+#?&=~'\"/y.txt", "!$&'()*,;=:@[]{}|^`<>.txt", "%41.txt", "A.txt", "%2F.txt", "%", "..."];
    live(&bench, &owned(&names)).await
}

async fn emoji(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    for path in ["😀/sub/x.txt", "😀😀/s/b"] {
        bucket.file(path).upload(random(10)).await?;
    }
    for (path, folder) in [("😀", "sub"), ("😀😀", "s")] {
        let here = bucket.files().directory(path).await?;
        same!((here.folders, here.total_files), (vec![folder.to_owned()], 0), "what lies in {path:?}");
    }
    live(&bench, &owned(&["🎉.txt", "👩‍👩‍👧‍👦/🏳️‍🌈.png", "\u{10ffff}.txt", "e\u{200d}.txt"])).await
}

async fn forms_and_cases(bench: Bench) -> Outcome {
    live(
        &bench,
        &owned(&["caf\u{e9}.txt", "cafe\u{301}.txt", "Caf\u{e9}.txt", "docs/A.txt", "docs/a.txt", "Docs/a.txt"]),
    )
    .await
}

async fn control_characters(bench: Bench) -> Outcome {
    live(&bench, &owned(&["tab\there.txt", "line\nfeed.txt", "return\rhere.txt", "bell\u{7}.txt", "del\u{7f}.txt"]))
        .await
}

async fn depth(bench: Bench) -> Outcome {
    let folders: Vec<_> = (0..49).map(|n| format!("d{n}")).collect();
    let deep = format!("{}/leaf.txt", folders.join("/"));
    live(&bench, &[deep.clone(), format!("{deep}/below/a file.txt"), "d0/d1".to_owned()]).await
}

async fn length(bench: Bench) -> Outcome {
    let of = |letter: &str| letter.repeat(250 / letter.len());
    live(&bench, &[of("a"), of("ü"), of("日"), format!("{}/{}", of("b"), of("%")), of("x/y")]).await
}

async fn operations_as_names(bench: Bench) -> Outcome {
    let paths = [
        "x/content",
        "x/verify",
        "x/Content",
        "x/y/verify",
        "content",
        "verify",
        "x/content/content",
        "x/upload/stream",
    ];
    live(&bench, &owned(&paths)).await
}

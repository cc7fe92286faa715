//! D: what a file is.

use crate::bench::{Bench, holds};
use crate::content::random;
use crate::operation::{Operation, Outcome, Trouble, ensure, operations, same};

pub(crate) const OPERATIONS: &[Operation] = operations!["metadata":
    D1 flat "flat name";
    D2 nested "nested `docs/a.txt`";
    D3 spaces "spaces";
    D4 unicode "unicode `naïve 日本.txt`";
    D5 percent "`100%.txt`";
    D6 reserved "`a+b#c?.txt`";
    D7 names_of_members "files named `list`, `constructor`, `then` are reachable";
];

async fn metadata(bench: &Bench, path: &str) -> Outcome {
    let bucket = bench.bucket().await?;
    let bytes = random(1000);
    bucket.file(path).upload(bytes.clone()).await?;
    let info = bucket.file(path).get().await?;
    holds(&info, path, &bytes)?;
    let kind = if path.ends_with(".txt") { "text/plain" } else { "application/octet-stream" };
    same!(info.mime_type, kind, "type");
    let code = info.short_code.clone().unwrap_or_default();
    ensure!(code.len() == 6 && code.bytes().all(|b| b.is_ascii_alphanumeric()), "the short code is {code:?}");
    same!(info.short_url, Some(format!("/s/{code}")), "short URL");
    same!(info.updated_at, info.created_at, "when it changed");
    same!(bucket.files()[path].get_opt().await?, Some(info), "what get_opt shows");
    // A name that only looks like it is another one.
    let other = bucket.file(format!("{path}x"));
    same!(other.get_opt().await?, None, "what get_opt shows of {:?}", other.path());
    Ok(format!("{kind}, 1,000 bytes, its own hash"))
}

async fn flat(bench: Bench) -> Outcome {
    metadata(&bench, "flat.txt").await
}

async fn nested(bench: Bench) -> Outcome {
    metadata(&bench, "docs/a.txt").await
}

async fn spaces(bench: Bench) -> Outcome {
    metadata(&bench, "with  two spaces .txt").await
}

async fn unicode(bench: Bench) -> Outcome {
    metadata(&bench, "naïve 日本.txt").await
}

async fn percent(bench: Bench) -> Outcome {
    metadata(&bench, "100%.txt").await?;
    metadata(&bench, "100%25.txt").await
}

async fn reserved(bench: Bench) -> Outcome {
    metadata(&bench, "a+b#c?.txt").await
}

async fn names_of_members(bench: Bench) -> Outcome {
    let names = ["list", "constructor", "then", "upload", "content", "verify", "ls"];
    for name in names {
        metadata(&bench, name).await.map_err(|trouble| match trouble {
            Trouble::Failed(text) => Trouble::Failed(format!("{name}: {text}")),
            skipped @ Trouble::Skipped(_) => skipped,
        })?;
    }
    Ok(names.join(" "))
}

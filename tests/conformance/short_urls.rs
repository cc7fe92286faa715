//! K: short URLs.

use carbonfiles::ErrorKind;

use crate::bench::Bench;
use crate::operation::{Operation, Outcome, Trouble, ensure, operations, refused, same};

pub(crate) const OPERATIONS: &[Operation] = operations!["short urls":
    K1 resolve "resolve to its target without following";
    K2 delete "delete (and it no longer resolves)";
];

fn code(info: &carbonfiles::models::FileInfo) -> Result<&str, Trouble> {
    info.short_code.as_deref().ok_or_else(|| Trouble::Failed("the file has no short code".to_owned()))
}

async fn resolve(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    for path in ["flat.txt", "docs/naïve 日本 100%+#?.txt"] {
        let file = bucket.file(path);
        let done = file.upload(path.as_bytes().to_vec()).await?;
        let target = bench.anonymous()?.short_url(code(&done)?).resolve().await?;
        same!((target.bucket_id.as_str(), target.path.as_str()), (bucket.id(), path), "bucket and path");
        // The address that it gives leads there, whoever goes.
        let (status, bytes) = bench.fetch(&target.url.as_str()[bench.url().len()..]).await?;
        same!((status, bytes.as_slice()), (200, path.as_bytes()), "status and bytes of {}", target.url);
        let link = done.short_link(bench.admin()).map(String::from);
        same!(link, Some(format!("{}/s/{}", bench.url(), code(&done)?)), "absolute link");
    }
    Ok("bucket, path and address".to_owned())
}

async fn delete(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let done = bucket.file("docs/short.txt").upload("x".as_bytes()).await?;
    let short = bench.admin().short_url(code(&done)?);
    short.resolve().await?;
    // Somebody else's can't be deleted.
    refused(bench.key().await?.client.short_url(short.code()).delete().await, ErrorKind::NotFound, 404)?;
    short.delete().await?;
    refused(short.resolve().await, ErrorKind::NotFound, 404)?;
    refused(short.delete().await, ErrorKind::NotFound, 404)?;
    ensure!(bucket.file("docs/short.txt").get_opt().await?.is_some(), "the file has gone, too");
    Ok("gone; the file stays".to_owned())
}

//! O: connections and base URLs.

use carbonfiles::{Client, ErrorKind};

use crate::bench::{Bench, builder, read};
use crate::content::random;
use crate::operation::{Operation, Outcome, Trouble, operations, refused, same};

pub(crate) const OPERATIONS: &[Operation] = operations!["connection":
    O1 one_connection "50 calls use one connection";
    O2 reused_after_errors "reused after error answers (20 × 404)";
    O3 trailing_slash "base URL with a trailing slash";
    O4 sub_path "base URL with a sub-path (`/cf`)";
];

/// Makes calls, one after another, on a thread of their own.
///
/// A connection goes back to hyper's pool by a task that runs beside the caller. With several threads that is a race: a
/// caller that is faster opens a second connection. On one thread there is none, so the number is certain.
async fn on_one_thread<F>(calls: impl FnOnce() -> F + Send + 'static) -> Result<(), Trouble>
where
    F: Future<Output = Result<(), Trouble>>,
{
    let run = move || tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(calls());
    tokio::task::spawn_blocking(run).await?
}

async fn one_connection(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let (proxy, client) = bench.proxy().await?;
    let there = client.bucket(bucket.id());
    let calls = async move || {
        for n in 0..10 {
            let path = format!("docs/{n}.txt");
            there.file(&path).upload(random(1000)).await?;
            same!(there.file(&path).get().await?.size, 1000, "size");
            same!(read(&there, &path).await?.len(), 1000, "bytes");
            there.file(&path).head().await?;
            there.files().list().await?;
        }
        Ok(())
    };
    on_one_thread(calls).await?;
    same!((proxy.requests().len(), proxy.connections()), (50, 1), "calls and connections");
    Ok("50 calls, 1 connection".to_owned())
}

async fn reused_after_errors(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let (proxy, client) = bench.proxy().await?;
    let there = client.bucket(bucket.id());
    let calls = async move || {
        for n in 0..10 {
            refused(there.file(format!("none/{n}.txt")).get().await, ErrorKind::NotFound, 404)?;
            // With an empty body.
            refused(client.short_url("zzzzz0").resolve().await, ErrorKind::NotFound, 404)?;
        }
        same!(there.get().await?.id, there.id(), "the bucket");
        Ok(())
    };
    on_one_thread(calls).await?;
    same!((proxy.requests().len(), proxy.connections()), (21, 1), "calls and connections");
    Ok("20 errors and 1 answer, 1 connection".to_owned())
}

/// A client does all that makes URLs.
async fn works(bench: &Bench, client: &Client) -> Result<(), Trouble> {
    let bucket = bench.bucket_of(client).await?;
    client.health().await?;
    for path in ["docs/ü %+#?.txt", "docs/plain.txt"] {
        let file = bucket.file(path);
        let (base, bytes) = (client.base_url(), random(1000));
        let done = file.upload(bytes.clone()).await?;
        same!(read(&bucket, path).await?, bytes, "bytes");
        let url = file.url()?.to_string();
        same!(url.strip_prefix(base).is_some_and(|rest| rest.starts_with("/api/buckets/")), true, "{url} below {base}");
        let code = done.short_code.clone().unwrap_or_default();
        same!(done.short_link(client).map(String::from), Some(format!("{base}/s/{code}")), "short link");
        let target = client.short_url(code).resolve().await?;
        same!((target.path.as_str(), target.url.as_str()), (path, url.as_str()), "where the short link leads");
    }
    same!(bucket.files().list().await?.total, 2, "files");
    Ok(())
}

async fn trailing_slash(bench: Bench) -> Outcome {
    for url in [format!("{}/", bench.url()), bench.url().to_owned()] {
        works(&bench, &builder(&url).token(bench.admin_key()).build()?).await?;
    }
    Ok("with and without".to_owned())
}

async fn sub_path(bench: Bench) -> Outcome {
    let proxy = bench.bare_proxy("/cf").await?;
    for url in [proxy.url().to_owned(), format!("{}/", proxy.url())] {
        works(&bench, &builder(&url).token(bench.admin_key()).build()?).await?;
    }
    let targets = proxy.requests();
    same!(targets.iter().all(|seen| seen.target.starts_with("/cf/")), true, "all below /cf/");
    Ok(format!("{} requests below /cf", targets.len()))
}

//! I: upload tokens and dashboard tokens.

use carbonfiles::{Access, Client, ErrorKind};
use chrono::{DateTime, TimeDelta, Utc};

use crate::bench::Bench;
use crate::operation::{Operation, Outcome, Trouble, ensure, operations, refused, same};

pub(crate) const OPERATIONS: &[Operation] = operations!["tokens":
    I1 upload_token "create an upload token with expiry and limit";
    I2 upload_token_with_defaults "create an upload token with defaults";
    I3 dashboard_token "create a dashboard token with expiry, and with defaults";
    I4 me "me: scope and expiry with the dashboard token";
    I5 dashboard_token_over_a_day "dashboard expiry over 24 h: the server's answer arrives typed";
];

/// That a token expires so long after the server's present time, which a new bucket tells.
async fn expires_in(bench: &Bench, at: DateTime<Utc>, expected: TimeDelta) -> Result<(), Trouble> {
    let now = bench.bucket().await?.get().await?.created_at;
    ensure!((at - now - expected).abs() < TimeDelta::minutes(2), "it expires {} from now", at - now);
    Ok(())
}

async fn upload_token(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let token = bucket.upload_tokens().create().expires("2h").max_uploads(5).await?;
    same!(token.bucket_id, bucket.id(), "bucket");
    same!((token.max_uploads, token.uploads_used), (Some(5), 0), "limit and uses");
    ensure!(token.token.expose().starts_with("cfu_") && token.token.expose().len() == 52, "it has another form");
    expires_in(&bench, token.expires_at, TimeDelta::hours(2)).await?;
    bench.with_token(token.token.expose())?.bucket(bucket.id()).file("a.txt").upload("x".as_bytes()).await?;
    Ok("5 uploads, 2 hours".to_owned())
}

async fn upload_token_with_defaults(bench: Bench) -> Outcome {
    let bucket = bench.bucket().await?;
    let token = bucket.upload_tokens().create().await?;
    same!((token.max_uploads, token.uploads_used), (None, 0), "limit and uses");
    expires_in(&bench, token.expires_at, TimeDelta::days(1)).await?;
    let other = bench.key().await?.client.bucket(bucket.id());
    refused(other.upload_tokens().create().await, ErrorKind::NotFound, 404)?;
    Ok("any number, a day".to_owned())
}

async fn dashboard_token(bench: Bench) -> Outcome {
    for (expires, expected) in [(Some("8h"), 8), (None, 1)] {
        let mut create = bench.admin().dashboard().create_token();
        if let Some(expires) = expires {
            create = create.expires(expires);
        }
        let token = create.await?;
        expires_in(&bench, token.expires_at, TimeDelta::hours(expected)).await?;
        let client = bench.with_token(token.token.expose())?;
        ensure!(client.check().await?.is_admin(), "it is not good for everything");
        ensure!(client.keys().list().limit(1).await?.total < u64::MAX, "no keys");
    }
    let refusal = bench.key().await?.client.dashboard().create_token().await;
    refused(refusal, ErrorKind::PermissionDenied, 403)?;
    Ok("8 hours; 1 hour unless told otherwise".to_owned())
}

async fn me(bench: Bench) -> Outcome {
    let token = bench.admin().dashboard().create_token().expires("2h").await?;
    let client: Client = bench.with_token(token.token.expose())?;
    let me = client.dashboard().me().await?;
    same!(me.scope, "admin", "scope");
    // It is in whole seconds.
    let difference = (me.expires_at - token.expires_at).abs();
    ensure!(difference <= TimeDelta::seconds(1), "it expires {difference} from when it should");
    let access = client.check().await?;
    let until = matches!(access, Access::Dashboard { expires_at, .. } if expires_at == me.expires_at);
    ensure!(until, "{access:?} is not what it is good for");
    refused(bench.admin().dashboard().me().await, ErrorKind::Unauthenticated, 401)?;
    Ok("admin, for 2 hours".to_owned())
}

async fn dashboard_token_over_a_day(bench: Bench) -> Outcome {
    let create = bench.admin().dashboard().create_token();
    let error = refused(create.expires("25h").await, ErrorKind::InvalidInput, 400)?;
    same!(error.message(), "Dashboard token expiry cannot exceed 24 hours", "the server's words");
    bench.admin().dashboard().create_token().expires("24h").await?;
    Ok(error.message().to_owned())
}

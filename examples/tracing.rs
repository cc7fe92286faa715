//! What the feature `tracing` tells, on a server inside this process that fails twice: every span as it closes, with the
//! time it took, and the events in between.
//!
//! ```console
//! cargo run --example tracing --features tracing
//! ```
//!
//! For OpenTelemetry, give the subscriber a layer of the crate `tracing-opentelemetry` instead: the fields have the names
//! that it expects.

use std::error::Error;

use carbonfiles::Client;
use carbonfiles_testserver::{Fault, TestServer};
use tracing::Instrument;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // Each program decides what it wants to see, and of whom.
    let wanted = Targets::new().with_target("carbonfiles", LevelFilter::INFO).with_target("tracing", LevelFilter::INFO);
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_span_events(FmtSpan::CLOSE);
    tracing_subscriber::registry().with(lines.with_filter(wanted)).init();

    let server = TestServer::start().await?;
    let client = Client::new(server.url(), server.admin_key())?;

    // The spans of the crate are within those of the program.
    async {
        let bucket = client.bucket(client.buckets().create("traced").await?.id);
        let token = bucket.upload_tokens().create().await?.token;

        server.inject(Fault::status(503).on("PUT", "/upload/stream"));
        bucket.file("report.txt").upload("all is well".as_bytes()).await?;
        bucket.file("guest.txt").upload("no token is shown".as_bytes()).upload_token(&token).await?;

        server.inject(Fault::reset_response_after(5).on("GET", "/content"));
        bucket.file("report.txt").download().await?.bytes(1 << 10).await?;

        let missing = bucket.file("none.txt").get_opt().await?;
        tracing::info!(found = missing.is_some(), "looked for a file that is not there");
        Ok(())
    }
    .instrument(tracing::info_span!("job", id = 7))
    .await
}

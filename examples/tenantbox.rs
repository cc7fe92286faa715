//! A tour of the Tenantbox client in one minute: an upload with a progress bar, a link, a download, the usage.
//!
//! ```console
//! cargo run --example tenantbox --features tenantbox             # on a Tenantbox inside this process
//! cargo run --example tenantbox --features tenantbox -- FILE     # with a file of yours
//! TENANTBOX_API_KEY=… cargo run --example tenantbox --features tenantbox    # on the hosted service
//! ```

#[allow(dead_code, reason = "each example uses a part of it")]
mod common;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use carbonfiles::tenantbox::{Client, MB, Tenant, human_readable};
use carbonfiles_testserver::Tenantbox;
use common::Failure;

/// A tenant is any id of yours.
const TENANT: &str = "carbonfiles-example";

#[tokio::main]
async fn main() -> ExitCode {
    common::exit(run().await)
}

async fn run() -> Result<(), Failure> {
    let (client, _server) = match std::env::var_os("TENANTBOX_API_KEY") {
        Some(_) => (Client::from_env()?, None),
        None => {
            let server = Tenantbox::start().await?;
            let client = Client::builder(server.api_key()).base_url(server.url()).build()?;
            (client, Some(server))
        }
    };
    println!("service   {}", client.base_url());
    let path = match std::env::args_os().nth(1) {
        Some(path) => PathBuf::from(path),
        None => std::env::current_exe()?,
    };
    let tenant = client.tenant(TENANT);

    let bar = common::bar("upload");
    let done = tenant.files().upload(path).email("ada@example.com").progress(|p| common::show(&bar, p)).await?;
    bar.finish();
    println!("uploaded  {} as {}", human_readable(done.size), done.file_path);

    let outcome = look_at(&client, &tenant, &done.file_path).await;
    println!("deleted   {}", client.file(&done.file_path).delete().await?.detail);
    outcome
}

async fn look_at(client: &Client, tenant: &Tenant, file_path: &str) -> Result<(), Failure> {
    let file = client.file(file_path);
    let link = file.download_url().expires_in(Duration::from_secs(300)).await?;
    // Whoever has it can read the file, so only its length is shown.
    println!("link      {} characters, good for {} s", link.download_url.expose().len(), link.expires_in);

    let folder = tempfile::tempdir()?;
    let saved = file.download_to(folder.path().join("copy")).await?;
    println!("fetched   {} bytes of {}", saved.size, link.size_bytes);

    tenant.set_limit(MB(500)).await?;
    let usage = tenant.usage().await?;
    let (used, limit) = (usage.storage_used_mb(), usage.storage_limit_mb().unwrap_or(f64::INFINITY));
    println!("usage     {used} MB of {limit} MB, {} %", usage.usage_percentage().unwrap_or(0.0));
    tenant.remove_limit().await?;
    Ok(())
}

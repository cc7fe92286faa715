//! A web service whose visitors upload files straight to Tenantbox's storage: the bytes never pass through here.
//!
//! ```console
//! cargo run --example tenantbox_web --features tenantbox    # on a Tenantbox inside this process
//! TENANTBOX_API_KEY=… cargo run --example tenantbox_web --features tenantbox    # on the hosted service
//! ```
//!
//! 1. The page asks this service for a place to upload to (`POST /uploads`), which asks Tenantbox.
//! 2. The page sends the file to the presigned URL.
//! 3. The page tells this service that it has done so (`POST /uploads/{id}`), which keeps the file's path.
//!
//! Downloads are redirections to a link that is good for a minute.

mod app;

use std::error::Error;

use carbonfiles::tenantbox::Client;
use carbonfiles_testserver::Tenantbox;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (client, _server) = match std::env::var_os("TENANTBOX_API_KEY") {
        Some(_) => (Client::from_env()?, None),
        None => {
            let server = Tenantbox::start().await?;
            (Client::builder(server.api_key()).base_url(server.url()).build()?, Some(server))
        }
    };
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://{} on {}", listener.local_addr()?, client.base_url());
    axum::serve(listener, app::router(client)).await?;
    Ok(())
}

//! Tenantbox as a user meets it, over an in-process one whose storage checks signatures as an S3 does.

#[path = "../support/mod.rs"]
mod support;

mod errors;
mod faults;
mod hosted;
mod official;
mod retries;
mod secrets;
mod storage;
mod surface;
#[path = "../support/table.rs"]
mod table;

use carbonfiles::tenantbox::{Client, ClientBuilder};
use carbonfiles_testserver::{SeenRequest, Tenantbox};

async fn server() -> Tenantbox {
    support::secrets::watch();
    let server = Tenantbox::start().await.expect("the server starts").faults_must_fire();
    support::secrets::keep(server.api_key());
    server
}

/// A client of a server on this machine: whatever proxy the environment names is not for it.
fn builder(server: &Tenantbox) -> ClientBuilder {
    Client::builder(server.api_key())
        .base_url(server.url())
        .retry(support::quick())
        .http(reqwest::ClientBuilder::no_proxy)
}

fn client(server: &Tenantbox) -> Client {
    builder(server).build().unwrap()
}

fn header<'a>(request: &'a SeenRequest, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
}

/// `METHOD path`, without the query.
fn seen(requests: &[SeenRequest]) -> Vec<String> {
    let line = |r: &SeenRequest| format!("{} {}", r.method, r.path.split('?').next().unwrap_or_default());
    requests.iter().map(line).collect()
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

//! The calls of the Tenantbox client, and what each of them does when it meets trouble: on the API, and on the storage
//! that a signed URL leads to.

use std::sync::Arc;

use carbonfiles::tenantbox::{Client, File, Tenant};
use carbonfiles_testserver::Tenantbox;
use futures::TryFutureExt;

use crate::support::{local, quick};
use crate::table::{self, Kind, Names, Sent, Trouble, kind, meet_all};
use crate::{client, pattern, server};

#[derive(Clone)]
struct Place {
    server: Arc<Tenantbox>,
    client: Client,
    tenant: Tenant,
    /// Holds `one\n`.
    file: File,
    /// What came before.
    earlier: (usize, usize),
}

impl Place {
    /// How many objects there are besides the first.
    fn more(&self) -> u64 {
        self.server.objects() as u64 - 1
    }
}

impl table::Place for Place {
    async fn start(dead_at_first: bool) -> Self {
        let server = Arc::new(server().await);
        let done = client(&server).tenant("u").files().upload("one\n".as_bytes()).await.unwrap();
        let port = server.url().rsplit(':').next().unwrap().to_owned();
        let client = Client::builder(server.api_key())
            .base_url(format!("http://files.test:{port}"))
            .retry(quick())
            .http(move |http| local(http).dns_resolver(Names::new(dead_at_first)))
            .build()
            .unwrap();
        let earlier = (server.requests().len(), server.storage_requests().len());
        let (tenant, file) = (client.tenant("u"), client.file(&done.file_path));
        Self { server, client, tenant, file, earlier }
    }

    fn strike(&self, kind: &Kind<Self>, trouble: Trouble) -> Box<dyn Fn() -> u64 + Send> {
        let fault = trouble.fault().unwrap().on(kind.method, kind.target);
        let of_api = kind.target.starts_with("/api/");
        let struck = if of_api { self.server.inject(fault) } else { self.server.inject_storage(fault) };
        Box::new(move || struck.fired())
    }

    fn sent(&self) -> Vec<Sent> {
        let (api, storage) = self.earlier;
        let requests = self.server.requests().into_iter().skip(api);
        requests.chain(self.server.storage_requests().into_iter().skip(storage)).map(Sent::from).collect()
    }
}

fn kinds() -> Vec<Kind<Place>> {
    vec![
        kind!("usage", Safe, "GET" "/api/storage/tenants", (false, true), |p| p.tenant.usage().send()),
        kind!(
            "limit",
            Safe,
            "PATCH" "/api/storage/tenants",
            (true, true),
            |p| p.tenant.set_limit(100).send(),
            u64::from(p.tenant.usage().await.unwrap().storage_limit_bytes == Some(100))
        ),
        kind!("address of an upload", Once, "POST" "/api/storage/upload/", (true, true), |p| p
            .tenant
            .files()
            .upload_url("new.bin")
            .send()),
        kind!("announcement of an upload", Once, "POST" "/api/storage/upload/", (true, true), |p| p
            .tenant
            .files()
            .upload(pattern(1000))
            .send()),
        kind!(
            "upload",
            Safe,
            "PUT" "/",
            (true, false),
            |p| p.tenant.files().upload(pattern(100_000)).send(),
            p.more()
        ),
        kind!("address of a download", Safe, "POST" "/api/storage/download/", (true, true), |p| p
            .file
            .download_url()
            .send()),
        kind!("download", Safe, "GET" "/", (false, true), |p| p
            .file
            .download()
            .send()
            .and_then(|download| download.bytes(100))),
        kind!("download into a file", Safe, "GET" "/", (false, true), |p| async move {
            let folder = tempfile::tempdir().unwrap();
            p.file.download_to(folder.path().join("copy")).await
        }),
        kind!(
            "deletion",
            Deletion,
            "DELETE" "/api/storage/files",
            (true, true),
            |p| p.file.delete().send(),
            u64::from(p.server.objects() == 0)
        ),
        kind!("raw GET", Safe, "GET" "/api/storage/tenants", (false, true), |p| p
            .client
            .request(http::Method::GET, "/api/storage/tenants/u/usage/")
            .send()),
        kind!("raw POST", Once, "POST" "/api/storage/upload/", (true, true), |p| p
            .client
            .request(http::Method::POST, "/api/storage/upload/")
            .json(&serde_json::json!({"tenant_id": "u", "filename": "a", "content_type": "text/plain"}))
            .send()),
    ]
}

#[tokio::test]
async fn every_call_meets_every_fault() {
    let met = meet_all(kinds()).await;
    assert!(met > 90, "{met}");
}

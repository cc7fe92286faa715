//! The calls of the file_storage client, and what each of them does when it meets trouble: a scripted service that answers
//! as the real one, behind a proxy that makes the trouble.

use std::sync::{Arc, Mutex};

use carbonfiles::file_storage::{Client, File, ResumableUpload};
use chrono::{TimeDelta, Utc};
use futures::TryFutureExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::proxy::{Proxy, Rule};
use crate::support::{Answer, Head, RawServer, answer, local, part_or_whole, quick, secrets};
use crate::table::{self, Kind, Names, Sent, Trouble, kind, meet_all};

const ID: &str = "3b53bad0-8223-48db-81fb-d6600ae05a40";
const CONTENT: &[u8] = b"content";

#[derive(Clone)]
struct Place {
    /// What reached the service, as `METHOD target`.
    carried_out: Arc<Mutex<Vec<String>>>,
    proxy: Arc<Proxy>,
    _service: Arc<RawServer>,
    client: Client,
    file: File,
    upload: ResumableUpload,
}

impl Place {
    /// How often the service has done it. Done twice is what done once is, where the table says that it may be repeated.
    fn done(&self, line: &str) -> u64 {
        self.carried_out.lock().unwrap().iter().filter(|seen| seen.contains(line)).count() as u64
    }

    fn is_done(&self, line: &str) -> u64 {
        self.done(line).min(1)
    }
}

fn file() -> Value {
    let hash: String = Sha256::digest(CONTENT).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "id": ID, "key": "k", "filename": "x.txt", "content_type": "text/plain", "size_bytes": CONTENT.len(),
        "backend": "disk", "checksum_sha256": hash, "uploaded_by": null,
        "created_at": Utc::now().format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(), "public": false, "public_url": null,
    })
}

fn session() -> Value {
    json!({
        "id": ID, "filename": "x.txt", "content_type": "text/plain", "total_size": CONTENT.len(),
        "part_size": CONTENT.len(), "total_parts": 1, "status": "active", "public": false,
        "expires_at": (Utc::now() + TimeDelta::hours(1)).to_rfc3339(), "parts": [], "file": null,
    })
}

/// All of it, or from where the request says.
fn content(head: &Head) -> Vec<u8> {
    let headers = "Content-Type: text/plain\r\nETag: \"e\"\r\nAccept-Ranges: bytes\r\n";
    part_or_whole(head, headers, CONTENT, usize::MAX)
}

/// What it answers after these requests.
fn respond(head: &Head, earlier: &[String]) -> Answer {
    let deleted = earlier.iter().any(|line| line.starts_with("DELETE"));
    let uploaded = earlier.iter().any(|line| line == "POST /api/file-storage/upload");
    let target = head.target.split('?').next().unwrap_or_default().trim_start_matches("/api/file-storage").to_owned();
    let of_file = format!("/files/{ID}");
    let date = format!("Date: {}\r\n", httpdate::fmt_http_date(std::time::SystemTime::now()));
    let known = |status, body: Value| answer(status, &date, body.to_string().as_bytes());
    Answer::Bytes(match (head.method.as_str(), target.as_str()) {
        ("GET", "/files") => {
            let items = if uploaded { vec![file()] } else { Vec::new() };
            known(200, json!({"items": items, "total": items.len(), "page": 1, "per_page": 20}))
        }
        ("GET", path) if path.ends_with("/download") || path.starts_with("/public") => content(head),
        ("DELETE", path) if path == of_file && deleted => {
            known(404, json!({"detail": {"code": "file_storage.not_found", "message": "File not found"}}))
        }
        ("DELETE", _) => answer(204, "", b""),
        (_, path) if path == of_file => known(200, file()),
        ("POST", "/files/bulk-delete") => known(200, json!({"deleted": 1, "ids": [ID]})),
        ("POST", "/upload") => known(201, file()),
        ("POST", "/uploads") => known(201, session()),
        ("POST", path) if path.ends_with("/part-urls") => known(200, json!({"urls": {}, "direct": false})),
        ("PUT", _) => {
            let tag = "9a0364b9e99bb480dd25e1f0284c8555"; // MD5 of `content`
            known(200, json!({"no": 1, "etag": tag, "size": CONTENT.len()}))
        }
        _ => known(200, session()),
    })
}

impl table::Place for Place {
    async fn start(dead_at_first: bool) -> Self {
        secrets::keep("smpat_secret");
        let carried_out = Arc::new(Mutex::new(Vec::<String>::new()));
        let noted = carried_out.clone();
        let service = RawServer::start(move |head| {
            let mut noted = noted.lock().unwrap();
            let answer = respond(head, &noted);
            noted.push(format!("{} {}", head.method, head.target));
            answer
        })
        .await;
        let proxy = Proxy::before(&service.url, "").await.unwrap();
        let port = proxy.url().rsplit(':').next().unwrap().to_owned();
        let client = Client::builder(format!("http://files.test:{port}"))
            .token("smpat_secret")
            .retry(quick())
            .http(move |http| local(http).dns_resolver(Names::new(dead_at_first)))
            .build()
            .unwrap();
        let (file, upload) = (client.file(ID), client.upload_session(ID));
        Self { carried_out, proxy: Arc::new(proxy), _service: Arc::new(service), client, file, upload }
    }

    fn strike(&self, kind: &Kind<Self>, trouble: Trouble) -> Box<dyn Fn() -> u64 + Send> {
        let rule = match trouble {
            Trouble::Refused | Trouble::ResetBefore => Rule::reset(),
            Trouble::ResetWithin => Rule::reset_request_after(1),
            Trouble::Status(status) => Rule::answer(status, "", ""),
            Trouble::Busy => Rule::answer(503, "Retry-After: 1\r\n", ""),
            Trouble::LostReply => Rule::lose_reply(),
            Trouble::HalfReply => Rule::reset_reply_after(1),
        };
        let struck = self.proxy.add(rule.on(kind.method, kind.target));
        Box::new(move || struck.fired())
    }

    fn sent(&self) -> Vec<Sent> {
        let sent = |seen: crate::proxy::Seen| Sent { asks: seen.is_probe(), method: seen.method, target: seen.target };
        self.proxy.requests().into_iter().map(sent).collect()
    }
}

fn kinds() -> Vec<Kind<Place>> {
    vec![
        kind!("list of files", Safe, "GET" "/files", (false, true), |p| p.client.files().list().send()),
        kind!("metadata", Safe, "GET" "/files/", (false, true), |p| p.file.get().send()),
        kind!("download", Safe, "GET" "/download", (false, true), |p| p
            .file
            .download()
            .send()
            .and_then(|download| download.bytes(100))),
        kind!("download of a public file", Safe, "GET" "/public", (false, true), |p| p
            .file
            .public()
            .download()
            .send()
            .and_then(|download| download.bytes(100))),
        kind!(
            "upload",
            Looked,
            "POST" "/upload",
            (true, true),
            |p| p.client.files().upload(CONTENT).filename("x.txt").send(),
            p.done("POST /api/file-storage/upload")
        ),
        kind!(
            "change of who may read",
            Safe,
            "PATCH" "/files/",
            (true, true),
            |p| p.file.set_public(true).send(),
            p.is_done("PATCH")
        ),
        kind!("deletion", Deletion, "DELETE" "/files/", (false, false), |p| p.file.delete().send(), p.is_done("DELETE")),
        kind!(
            "deletion of several",
            Safe,
            "POST" "/bulk-delete",
            (true, true),
            |p| p.client.files().bulk_delete([ID]).send(),
            p.is_done("bulk-delete")
        ),
        kind!(
            "start of an upload in parts",
            Once,
            "POST" "/uploads",
            (true, true),
            |p| p.client.uploads().create("x.txt", CONTENT.len() as u64).send(),
            p.done("POST /api/file-storage/uploads")
        ),
        kind!("state of an upload in parts", Safe, "GET" "/uploads/", (false, true), |p| p.upload.get().send()),
        kind!("addresses of parts", Safe, "POST" "/part-urls", (true, true), |p| p.upload.part_urls([1]).send()),
        kind!(
            "part of an upload",
            Safe,
            "PUT" "/parts/1",
            (true, true),
            |p| p.upload.upload_part(1, CONTENT).send(),
            p.is_done("PUT")
        ),
        kind!(
            "end of an upload in parts",
            Safe,
            "POST" "/complete",
            (true, true),
            |p| p.upload.complete([]).send(),
            p.is_done("/complete")
        ),
        kind!(
            "abort of an upload in parts",
            Safe,
            "DELETE" "/uploads/",
            (false, false),
            |p| p.upload.abort().send(),
            p.is_done("DELETE")
        ),
        kind!("raw POST", Once, "POST" "/api/file-storage/uploads", (true, true), |p| p
            .client
            .request(http::Method::POST, "/api/file-storage/uploads")
            .json(&json!({}))
            .send()),
    ]
}

#[tokio::test]
async fn every_call_meets_every_fault() {
    let met = meet_all(kinds()).await;
    assert!(met > 130, "{met}");
}

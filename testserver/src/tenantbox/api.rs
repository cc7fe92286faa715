//! The API, as its public reference and its official client have it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use chrono::Utc;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::API_KEY;
use super::presign::{Signed, Signer};
use super::state::{File, State};
use crate::fault::Script;
use crate::http::body::BodyRules;
use crate::http::reply::{self, Reply};
use crate::http::reply_body::ReplyBody;
use crate::http::site::{Asked, Site};
use crate::seen::SeenLog;

const HOUR: u64 = 3600;

/// The site of the API.
pub(super) struct Api {
    state: Arc<State>,
    signer: Signer,
    storage: String,
    /// How many URLs are still to be signed in the past, and how long ago.
    past: AtomicU64,
    age: AtomicU64,
    upload_seconds: AtomicU64,
    quota_status: AtomicU16,
    seen: SeenLog,
    script: Script,
    connections: AtomicU64,
}

/// `{"detail": "text"}` with a status.
struct Refusal(StatusCode, String);

fn refused<T>(status: StatusCode, detail: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(status, detail.into()))
}

impl Api {
    pub(super) fn new(state: Arc<State>, signer: Signer, storage: &str) -> Self {
        Self {
            state,
            signer,
            storage: storage.to_owned(),
            past: AtomicU64::new(0),
            age: AtomicU64::new(0),
            upload_seconds: AtomicU64::new(HOUR),
            quota_status: AtomicU16::new(403),
            seen: SeenLog::default(),
            script: Script::default(),
            connections: AtomicU64::new(0),
        }
    }

    pub(super) fn sign_in_the_past(&self, urls: u64, age: Duration) {
        self.age.store(age.as_secs(), Ordering::SeqCst);
        self.past.store(urls, Ordering::SeqCst);
    }

    pub(super) fn upload_urls_live(&self, time: Duration) {
        self.upload_seconds.store(time.as_secs(), Ordering::SeqCst);
    }

    pub(super) fn quota_status(&self, status: u16) {
        self.quota_status.store(status, Ordering::SeqCst);
    }

    /// Calls are authenticated first, then routed.
    async fn handle(&self, asked: &mut Asked) -> Result<Value, Refusal> {
        let bearer = asked.head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        if bearer.and_then(|value| value.strip_prefix("Bearer ")) != Some(API_KEY) {
            return refused(StatusCode::UNAUTHORIZED, "Invalid or inactive API key.");
        }
        let path = asked.head.uri.path().to_owned();
        let method = asked.head.method.clone();
        let body = asked.body.collect().await.unwrap_or_default();
        let tenant = path.strip_prefix("/api/storage/tenants/").and_then(|rest| rest.split_once('/'));
        match (method, path.as_str(), tenant) {
            (Method::POST, "/api/storage/upload/", _) => self.upload(&parse(&body)?),
            (Method::POST, "/api/storage/download/", _) => self.download(&parse(&body)?),
            (Method::DELETE, "/api/storage/files/", _) => self.delete(&parse(&body)?),
            (Method::GET, _, Some((id, "usage/"))) => self.usage(&decoded(id)),
            (Method::PATCH, _, Some((id, "limit/"))) => self.limit(&decoded(id), &parse(&body)?),
            (_, "/api/storage/upload/" | "/api/storage/download/" | "/api/storage/files/", _)
            | (_, _, Some((_, "usage/" | "limit/"))) => refused(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed."),
            _ => refused(StatusCode::NOT_FOUND, "Not found."),
        }
    }

    fn upload(&self, body: &Value) -> Result<Value, Refusal> {
        #[derive(Deserialize)]
        struct Announced {
            #[serde(default)]
            tenant_id: String,
            #[serde(default)]
            filename: String,
            content_type: Option<String>,
            tenant_email: Option<String>,
        }
        let asked: Announced = typed(body)?;
        for (name, value) in [("tenant_id", &asked.tenant_id), ("filename", &asked.filename)] {
            if value.is_empty() {
                return refused(StatusCode::BAD_REQUEST, format!("{name} is required"));
            }
        }
        let content_type = asked.content_type.unwrap_or_else(|| "application/octet-stream".to_owned());
        let mut known = self.state.lock();
        let is_new = !known.tenants.contains_key(&asked.tenant_id);
        let (used, _) = known.usage(&asked.tenant_id);
        let tenant = known.tenants.entry(asked.tenant_id.clone()).or_default();
        if asked.tenant_email.is_some() {
            tenant.email = asked.tenant_email;
        }
        if tenant.limit.is_some_and(|limit| used >= limit) {
            let status =
                StatusCode::from_u16(self.quota_status.load(Ordering::SeqCst)).unwrap_or(StatusCode::FORBIDDEN);
            return refused(status, "Tenant has exceeded storage quota.");
        }
        let file_path = format!("projects/test/{:016x}/{}", fastrand::u64(..), asked.filename);
        let file =
            File { tenant: asked.tenant_id.clone(), filename: asked.filename, content_type: content_type.clone() };
        known.files.insert(file_path.clone(), file);
        let lives = self.upload_seconds.load(Ordering::SeqCst);
        let url = self.sign("PUT", &file_path, Some(&content_type), &[], lives);
        Ok(json!({
            "presigned_url": url, "file_path": file_path, "tenant_id": asked.tenant_id, "is_new_tenant": is_new, "expires_in": lives,
        }))
    }

    fn download(&self, body: &Value) -> Result<Value, Refusal> {
        let path = required(body, "file_path")?;
        let lives = match body.get("expires_in") {
            None | Some(Value::Null) => HOUR,
            Some(given) => match given.as_u64() {
                Some(seconds @ 1..=86_400) => seconds,
                _ => return refused(StatusCode::BAD_REQUEST, "expires_in must be between 1 and 86400"),
            },
        };
        let known = self.state.lock();
        let Some(file) = known.files.get(path) else {
            return refused(StatusCode::NOT_FOUND, "File not found");
        };
        let Some(object) = known.objects.get(path) else {
            return refused(StatusCode::NOT_FOUND, "File not found in storage");
        };
        let disposition =
            format!("attachment; filename*=UTF-8''{}", crate::http::target::escape_segment(&file.filename));
        let url = self.sign("GET", path, None, &[("response-content-disposition", disposition)], lives);
        Ok(json!({
            "download_url": url, "filename": file.filename, "content_type": file.content_type, "size_bytes": object.blob.length(), "expires_in": lives,
        }))
    }

    fn delete(&self, body: &Value) -> Result<Value, Refusal> {
        let path = required(body, "file_path")?;
        let mut known = self.state.lock();
        if known.files.remove(path).is_none() {
            return refused(StatusCode::NOT_FOUND, "File not found");
        }
        known.objects.remove(path);
        Ok(json!({"detail": "File deleted successfully"}))
    }

    fn usage(&self, id: &str) -> Result<Value, Refusal> {
        let known = self.state.lock();
        let Some(tenant) = known.tenants.get(id) else {
            return refused(StatusCode::NOT_FOUND, "Tenant not found");
        };
        let (used, files) = known.usage(id);
        Ok(json!({
            "tenant_id": id, "email": tenant.email, "storage_used_bytes": used, "storage_limit_bytes": tenant.limit, "total_files": files,
        }))
    }

    fn limit(&self, id: &str, body: &Value) -> Result<Value, Refusal> {
        let limit = match body.get("storage_limit_bytes") {
            Some(Value::Null) => None,
            Some(given) if given.is_u64() => given.as_u64(),
            _ => return refused(StatusCode::BAD_REQUEST, "storage_limit_bytes must be a whole number or null"),
        };
        let mut known = self.state.lock();
        let Some(tenant) = known.tenants.get_mut(id) else {
            return refused(StatusCode::NOT_FOUND, "Tenant not found");
        };
        tenant.limit = limit;
        let detail = if limit.is_some() { "Storage limit updated." } else { "Storage limit removed." };
        Ok(json!({"tenant_id": id, "storage_limit_bytes": limit, "detail": detail}))
    }

    fn sign(
        &self,
        method: &str,
        key: &str,
        content_type: Option<&str>,
        query: &[(&str, String)],
        lives: u64,
    ) -> String {
        let one_less = |left: u64| left.checked_sub(1);
        let past = self.past.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok();
        let age = if past { self.age.load(Ordering::SeqCst) } else { 0 };
        let at = Utc::now() - Duration::from_secs(age);
        let lives = Duration::from_secs(lives);
        self.signer.url(&self.storage, &Signed { method, key, content_type, query, at, lives })
    }
}

impl Site for Api {
    fn seen(&self) -> &SeenLog {
        &self.seen
    }

    fn script(&self) -> &Script {
        &self.script
    }

    fn connections(&self) -> &AtomicU64 {
        &self.connections
    }

    fn body_rules(&self) -> BodyRules {
        BodyRules { limit: 0, grace: None }
    }

    async fn answer(self: Arc<Self>, mut asked: Asked) -> (Reply, Asked) {
        let (status, body) = match self.handle(&mut asked).await {
            Ok(body) => (StatusCode::OK, body),
            Err(Refusal(status, detail)) => (status, json!({"detail": detail})),
        };
        let mut reply = Reply::new(ReplyBody::whole(body.to_string()));
        *reply.status_mut() = status;
        reply.headers_mut().insert(CONTENT_TYPE, reply::text("application/json"));
        (reply, asked)
    }
}

fn parse(body: &[u8]) -> Result<Value, Refusal> {
    match serde_json::from_slice(body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        _ => refused(StatusCode::BAD_REQUEST, "JSON parse error"),
    }
}

fn typed<T: serde::de::DeserializeOwned>(body: &Value) -> Result<T, Refusal> {
    T::deserialize(body).map_err(|wrong| Refusal(StatusCode::BAD_REQUEST, wrong.to_string()))
}

fn required<'a>(body: &'a Value, name: &str) -> Result<&'a str, Refusal> {
    match body.get(name).and_then(Value::as_str) {
        Some(text) if !text.is_empty() => Ok(text),
        _ => refused(StatusCode::BAD_REQUEST, format!("{name} is required")),
    }
}

fn decoded(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

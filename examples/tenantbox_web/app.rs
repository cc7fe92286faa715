//! The service: routes, and what it keeps of files.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use carbonfiles::ErrorKind;
use carbonfiles::tenantbox::{Client, Tenant};
use serde_json::{Value, json};

/// How long a link to download from is good: long enough to be followed at once.
const LINK: Duration = Duration::from_secs(60);

/// The routes of the service.
pub(crate) fn router(client: Client) -> Router {
    Router::new()
        .route("/", get(async || Html(include_str!("page.html"))))
        .route("/uploads", post(announce))
        .route("/uploads/{id}", post(complete))
        .route("/files", get(list))
        .route("/files/{id}", get(download).delete(delete))
        .with_state(Arc::new(App { client, kept: Mutex::default() }))
}

struct App {
    client: Client,
    kept: Mutex<Kept>,
}

/// A service of your own has this in its database. Visitors are told ids, never paths: who knows a path could have it
/// taken for an upload of theirs.
#[derive(Default)]
struct Kept {
    last_id: u64,
    announced: BTreeMap<u64, File>,
    files: BTreeMap<u64, File>,
}

#[derive(Clone)]
struct File {
    name: String,
    path: String,
}

impl App {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A service of your own takes it from the session.
    fn visitor(&self) -> Tenant {
        self.client.tenant("visitor")
    }

    fn file(&self, id: u64) -> Result<File, Failed> {
        self.kept().files.get(&id).cloned().ok_or(Failed(StatusCode::NOT_FOUND, "there is no such file".into()))
    }
}

/// Step 1: a place to upload one file to.
async fn announce(State(app): State<Arc<App>>, Json(asked): Json<Value>) -> Result<Json<Value>, Failed> {
    let name = asked["name"].as_str().unwrap_or_default();
    let mut announced = app.visitor().files().upload_url(name);
    if let Some(content_type) = asked["type"].as_str().filter(|given| !given.is_empty()) {
        announced = announced.content_type(content_type);
    }
    let url = announced.await?;
    let mut kept = app.kept();
    kept.last_id += 1;
    let id = kept.last_id;
    kept.announced.insert(id, File { name: name.to_owned(), path: url.file_path });
    Ok(Json(json!({"id": id, "url": url.presigned_url, "type": url.content_type})))
}

/// Step 3: the page says that it has uploaded; the storage is asked.
async fn complete(State(app): State<Arc<App>>, Path(id): Path<u64>) -> Result<StatusCode, Failed> {
    let announced = app.kept().announced.get(&id).cloned();
    let file = announced.ok_or(Failed(StatusCode::NOT_FOUND, "nothing was announced under this id".into()))?;
    app.client.file(&file.path).download_url().await?;
    let mut kept = app.kept();
    kept.announced.remove(&id);
    kept.files.insert(id, file);
    Ok(StatusCode::CREATED)
}

async fn list(State(app): State<Arc<App>>) -> Json<Value> {
    let files = app.kept().files.iter().map(|(id, file)| json!({"id": id, "name": file.name})).collect();
    Json(Value::Array(files))
}

/// The bytes come from the storage.
async fn download(State(app): State<Arc<App>>, Path(id): Path<u64>) -> Result<Response, Failed> {
    let link = app.client.file(app.file(id)?.path).download_url().expires_in(LINK).await?;
    // What is redirected to is a secret, and good for a minute only.
    Ok(([(header::CACHE_CONTROL, "no-store")], Redirect::to(link.download_url.expose())).into_response())
}

async fn delete(State(app): State<Arc<App>>, Path(id): Path<u64>) -> Result<StatusCode, Failed> {
    match app.client.file(app.file(id)?.path).delete().await {
        Ok(_) => {}
        // Gone already is as good.
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.into()),
    }
    app.kept().files.remove(&id);
    Ok(StatusCode::NO_CONTENT)
}

/// What the page is told when something fails.
struct Failed(StatusCode, String);

impl From<carbonfiles::Error> for Failed {
    fn from(error: carbonfiles::Error) -> Self {
        let status = match error.kind() {
            ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
            ErrorKind::QuotaExceeded => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            // Everything else is between this service and Tenantbox.
            _ => {
                eprintln!("{error}");
                return Self(StatusCode::BAD_GATEWAY, "the storage service has failed".into());
            }
        };
        Self(status, error.message().to_owned())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

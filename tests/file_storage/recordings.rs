//! Everything that was recorded of the real service is understood.

use std::collections::BTreeMap;

use carbonfiles::file_storage::Client;
use carbonfiles::file_storage::models::{BulkDeleted, StoredFile, UploadSession, UploadedPart};
use carbonfiles::{Error, ErrorKind};
use serde::Deserialize;
use serde_json::Value;

use crate::support::{Answer, RawServer, answer, quick, secrets};

#[derive(Deserialize)]
struct Exchange {
    n: u32,
    request: Request,
    response: Response,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    path: String,
}

#[derive(Deserialize)]
struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: Value,
    body_encoding: String,
}

impl Exchange {
    /// The body, where it is JSON: some are recorded as text.
    fn json(&self) -> Option<Value> {
        match (self.response.body_encoding.as_str(), &self.response.body) {
            ("json", Value::String(text)) => serde_json::from_str(text).ok().or_else(|| Some(text.clone().into())),
            ("json", body) => Some(body.clone()),
            ("utf-8", Value::String(text)) if text.starts_with('{') => serde_json::from_str(text).ok(),
            _ => None,
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.response.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

fn recordings() -> Vec<Exchange> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/file-storage/recordings.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// Reads a body as a model and writes it again: nothing is lost, nothing unknown.
fn round_trip<T: serde::de::DeserializeOwned + serde::Serialize>(n: u32, body: &Value) -> T {
    let model: T = serde_json::from_value(body.clone()).unwrap_or_else(|e| panic!("exchange {n}: {e}: {body}"));
    assert_eq!(serde_json::to_value(&model).unwrap(), *body, "exchange {n}");
    model
}

fn known_file(n: u32, body: &Value) {
    let file: StoredFile = round_trip(n, body);
    assert!(file.extra.is_empty(), "exchange {n}: {:?}", file.extra);
}

#[test]
fn every_body_of_a_success_is_a_model() {
    let mut counts = BTreeMap::new();
    for exchange in recordings() {
        let (n, path) = (exchange.n, exchange.request.path.split('?').next().unwrap().to_owned());
        let Some(body) = exchange.json().filter(|_| exchange.response.status < 300) else { continue };
        let Some(path) = path.strip_prefix("/api/file-storage") else { continue };
        let what = match body.as_object().map(|object| object.keys().map(String::as_str).collect::<Vec<_>>()) {
            Some(keys) if keys.contains(&"size_bytes") => {
                known_file(n, &body);
                "file"
            }
            Some(keys) if keys.contains(&"items") => {
                for item in body["items"].as_array().unwrap() {
                    known_file(n, item);
                }
                "page"
            }
            Some(keys) if keys.contains(&"total_parts") => {
                let session: UploadSession = round_trip(n, &body);
                assert!(session.extra.is_empty(), "exchange {n}");
                "session"
            }
            Some(keys) if keys.contains(&"deleted") => {
                round_trip::<BulkDeleted>(n, &body);
                "bulk"
            }
            Some(keys) if keys.contains(&"etag") => {
                round_trip::<UploadedPart>(n, &body);
                "part"
            }
            Some(keys) if keys.contains(&"direct") => {
                serde_json::from_value::<carbonfiles::file_storage::models::PartUrls>(body.clone()).unwrap();
                "part urls"
            }
            // Contents of files that are JSON themselves.
            _ if path.contains("/download") || path.contains("/public/") => "content",
            keys => panic!("exchange {n}: {path} {keys:?}"),
        };
        *counts.entry(what).or_insert(0) += 1;
    }
    println!("{counts:?}");
    for what in ["file", "page", "session", "bulk", "part", "part urls"] {
        assert!(counts.contains_key(what), "no {what} in the recordings: {counts:?}");
    }
}

/// The recorded refusal of an exchange, as a client gets it.
async fn refused(exchange: &Exchange) -> Error {
    let body = match &exchange.response.body {
        Value::String(text) => text.clone().into_bytes(),
        Value::Null => Vec::new(),
        body => serde_json::to_vec(body).unwrap(),
    };
    let headers: String = exchange
        .response
        .headers
        .iter()
        .filter(|(name, _)| !matches!(&*name.to_lowercase(), "content-length" | "transfer-encoding" | "connection"))
        // Of headers that hold them, signs that the wire has in another encoding.
        .filter(|(_, value)| value.is_ascii())
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let answer = answer(exchange.response.status, &headers, &body);
    let server = RawServer::start(move |_| Answer::ThenClose(answer.clone())).await;
    secrets::keep("smpat_secret");
    let client = Client::builder(&server.url).token("smpat_secret").http(reqwest::ClientBuilder::no_proxy);
    let client = client.retry(quick().max_attempts(1)).build().unwrap();
    let error = client.request(http::Method::GET, "/api/file-storage/files").await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("smpat_secret"));
    error
}

#[tokio::test]
async fn every_refusal_has_a_kind_and_words() {
    let mut kinds = BTreeMap::new();
    for exchange in recordings() {
        let (n, status) = (exchange.n, exchange.response.status);
        if status < 300 || status == 304 || exchange.request.method == "HEAD" {
            continue;
        }
        let error = refused(&exchange).await;
        assert_eq!(error.status().unwrap().as_u16(), status, "exchange {n}");
        assert!(!error.message().is_empty() && error.message().len() < 2500, "exchange {n}: {error}");
        let detail = exchange.json().map(|body| body["detail"].clone()).unwrap_or_default();
        let expected = match (status, detail["code"].as_str()) {
            (413, Some("file_storage.quota_exceeded")) => ErrorKind::QuotaExceeded,
            (302, _) if exchange.header("location").unwrap().contains("/setup") => ErrorKind::Server,
            (301..=399, _) => ErrorKind::Decode,
            (400 | 415 | 422, _) => ErrorKind::InvalidInput,
            (401, _) => ErrorKind::Unauthenticated,
            (403, _) => ErrorKind::PermissionDenied,
            (404, _) => ErrorKind::NotFound,
            (405 | 501, _) => ErrorKind::Unsupported,
            (409, _) => ErrorKind::Conflict,
            (413, _) => ErrorKind::PayloadTooLarge,
            (416, _) => ErrorKind::RangeNotSatisfiable,
            (429, _) => ErrorKind::RateLimited,
            (500..=599, _) => ErrorKind::Server,
            other => panic!("exchange {n}: {other:?}"),
        };
        assert_eq!(error.kind(), expected, "exchange {n}: {error}");
        match &detail {
            Value::Object(own) => {
                assert_eq!(error.code(), own["code"].as_str(), "exchange {n}");
                assert_eq!(error.message(), own["message"], "exchange {n}");
                assert_eq!(error.max_bytes(), own.get("max_bytes").and_then(Value::as_u64), "exchange {n}");
            }
            Value::Array(fields) => assert_eq!(error.field_errors().len(), fields.len(), "exchange {n}"),
            Value::String(text) => {
                assert_eq!(error.message(), text, "exchange {n}");
                let permission = text.strip_prefix("Permission required: ");
                assert_eq!(error.missing_permission(), permission, "exchange {n}");
            }
            _ => assert!(!error.message().contains('<'), "exchange {n}: {error}"),
        }
        let wait = exchange.header("retry-after").map(|seconds| seconds.parse().unwrap());
        assert_eq!(error.retry_after().map(|wait| wait.as_secs()), wait, "exchange {n}");
        *kinds.entry(format!("{:?}", error.kind())).or_insert(0) += 1;
    }
    println!("{kinds:?}");
    assert!(kinds.values().sum::<i32>() > 150, "{kinds:?}");
}

//! The models against what the real service sent: every recorded JSON body is read, written again and compared.

#[path = "models/recordings.rs"]
mod recordings;
#[path = "models/semantic.rs"]
mod semantic;

use std::process::Command;

use carbonfiles::models::{
    BucketDetails, BucketInfo, BucketSort, FileInfo, FileSort, Health, HealthStatus, KeySort, KeyUsage,
    NewDashboardToken, NewKey, NewUploadToken, Order, Secret, UploadedFile,
};
use serde_json::{Value, json};

use semantic::difference;

fn file() -> Value {
    json!({
        "path": "docs/a.txt", "name": "a.txt", "size": 5, "mime_type": "text/plain", "short_code": "mfuZNb",
        "short_url": "/s/mfuZNb", "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        "created_at": "2026-11-21T10:22:05.1899469", "updated_at": "2026-11-21T10:22:05.1899469Z",
    })
}

#[test]
fn unknown_members_are_kept_readable_and_written_back() {
    let mut body = file();
    body["deduplicated"] = json!(true);
    body["tags"] = json!(["a", null, {"b": 1.5}]);
    body["later_at"] = json!(null);
    let done: UploadedFile = serde_json::from_value(body.clone()).unwrap();
    assert!(done.deduplicated);
    assert_eq!(done.extra.names().collect::<Vec<_>>(), ["later_at", "tags"]);
    assert_eq!(done.extra.len(), 2);
    assert_eq!(done.extra.get::<Value>("tags"), Some(body["tags"].clone()));
    assert_eq!(done.extra.get::<Vec<u8>>("tags"), None, "another shape");
    assert_eq!(done.extra.get::<Value>("none"), None);
    let again = serde_json::to_value(&done).unwrap();
    assert_eq!(again["tags"], body["tags"]);
    assert!(again.as_object().unwrap().contains_key("later_at"), "an unknown null is kept as well");
}

#[test]
fn embedded_models_are_reached_both_ways() {
    let mut body = file();
    body["deduplicated"] = json!(false);
    let done: UploadedFile = serde_json::from_value(body).unwrap();
    assert_eq!(done.path, done.file.path);
    assert_eq!(serde_json::to_value(&done.file).unwrap().get("deduplicated"), None);
    let usage: KeyUsage = serde_json::from_value(json!({
        "prefix": "cf4_a22fc4b8", "name": "bob", "created_at": "2026-11-21T10:22:05", "bucket_count": 0, "file_count": 0,
        "total_size": 0, "total_downloads": 0, "buckets": [],
    }))
    .unwrap();
    assert_eq!((usage.name.as_str(), usage.last_used_at), ("bob", None));
}

#[test]
fn a_missing_required_member_is_an_error_and_an_optional_one_is_none() {
    for required in ["path", "name", "size", "mime_type", "created_at", "updated_at"] {
        let mut body = file();
        body.as_object_mut().unwrap().remove(required);
        let error = serde_json::from_value::<FileInfo>(body).unwrap_err().to_string();
        assert!(error.contains(required), "{error}");
    }
    for optional in ["short_code", "short_url", "sha256"] {
        let mut body = file();
        body.as_object_mut().unwrap().remove(optional);
        let missing: FileInfo = serde_json::from_value(body.clone()).unwrap();
        body[optional] = Value::Null;
        let null: FileInfo = serde_json::from_value(body).unwrap();
        assert_eq!(missing, null);
        assert_eq!(serde_json::to_value(&null).unwrap().get(optional), None);
    }
    let negative = serde_json::from_value::<FileInfo>({
        let mut body = file();
        body["size"] = json!(-1);
        body
    });
    assert!(negative.is_err());
}

#[test]
fn the_hub_spelling_is_read_too() {
    let file: FileInfo = serde_json::from_str(
        r#"{"path":"t.txt","name":"t.txt","size":5,"mimeType":"text/plain","shortCode":"ctCK8V","shortUrl":"/s/ctCK8V",
            "sha256":null,"createdAt":"2026-11-21T10:00:29.1313818Z","updatedAt":"2026-11-21T10:00:29.1313818"}"#,
    )
    .unwrap();
    assert!(file.extra.is_empty(), "{:?}", file.extra);
    assert_eq!(file.created_at, file.updated_at);
    assert_eq!(serde_json::to_value(&file).unwrap()["mime_type"], "text/plain");

    let bucket: BucketInfo = serde_json::from_str(
        r#"{"id":"2qi93C7lVH","name":"cs","owner":"admin","description":null,"createdAt":"2026-11-21T10:00:25.5350374Z",
            "expiresAt":"2026-11-28T10:00:25.5350364Z","lastUsedAt":null,"fileCount":0,"totalSize":0}"#,
    )
    .unwrap();
    assert!(bucket.extra.is_empty(), "{:?}", bucket.extra);
    assert!(bucket.expires_at.is_some() && bucket.last_used_at.is_none() && bucket.description.is_none());
}

#[test]
fn new_words_of_open_enums_are_kept() {
    for (word, status) in [
        ("healthy", HealthStatus::Healthy),
        ("unhealthy", HealthStatus::Unhealthy),
        ("Degraded", HealthStatus::Other("Degraded".into())),
    ] {
        let body = json!({"status": word, "uptime_seconds": 1, "db": "ok"});
        let health: Health = serde_json::from_value(body.clone()).unwrap();
        assert_eq!(health.status, status);
        assert_eq!(health.status.as_str(), word);
        assert_eq!(serde_json::to_value(&health).unwrap(), body);
    }
}

#[test]
fn secrets_are_written_but_not_shown() {
    let secret = "cf4_a22fc4b8_7b1eca4ac63f3358ebb95727640687e7";
    let time = "2026-11-21T10:22:05Z";
    let key: NewKey = serde_json::from_value(json!({
        "key": secret, "prefix": "cf4_a22fc4b8", "name": "bob", "created_at": time, "recovery": secret,
    }))
    .unwrap();
    let upload: NewUploadToken =
        serde_json::from_value(json!({"token": secret, "bucket_id": "b", "expires_at": time, "uploads_used": 0}))
            .unwrap();
    let dashboard: NewDashboardToken = serde_json::from_value(json!({"token": secret, "expires_at": time})).unwrap();
    let shown = format!("{key:?} {key:#?} {upload:?} {dashboard:?} {:?}", Secret::from(secret));
    assert!(!shown.contains("7b1eca4ac63f3358"), "{shown}");
    assert_eq!(shown.matches("[redacted]").count(), 5, "{shown}");
    assert_eq!(key.key.expose(), secret);
    assert_eq!(upload.token.clone().into_exposed(), secret);
    assert_eq!(serde_json::to_value(&dashboard).unwrap()["token"], secret);
}

#[test]
fn sort_words_are_those_of_the_wire_description() {
    use {BucketSort as B, FileSort as F, KeySort as K};
    assert_eq!(
        [F::Name, F::Path, F::Size, F::MimeType, F::CreatedAt, F::UpdatedAt].map(F::as_str),
        ["name", "path", "size", "mime_type", "created_at", "updated_at"]
    );
    assert_eq!(
        [B::Name, B::ExpiresAt, B::LastUsedAt, B::TotalSize, B::CreatedAt].map(B::as_str),
        ["name", "expires_at", "last_used_at", "total_size", "created_at"]
    );
    assert_eq!(
        [K::Name, K::LastUsedAt, K::TotalSize, K::CreatedAt].map(K::as_str),
        ["name", "last_used_at", "total_size", "created_at"]
    );
    assert_eq!([Order::Asc, Order::Desc].map(|order| order.to_string()), ["asc", "desc"]);
}

#[test]
fn details_without_files_and_with() {
    let plain = json!({
        "id": "I3kuFm88eW", "name": "n", "owner": "admin", "created_at": "2026-11-21T10:22:05.1899469", "file_count": 1,
        "total_size": 5, "unique_content_count": 1, "unique_content_size": 5,
    });
    let details: BucketDetails = serde_json::from_value(plain.clone()).unwrap();
    assert_eq!((&details.files, details.has_more_files), (&None, None));
    assert_eq!(difference(&plain, &serde_json::to_value(&details).unwrap()), None);
    let mut full = plain;
    full["files"] = json!([file()]);
    full["has_more_files"] = json!(false);
    let details: BucketDetails = serde_json::from_value(full.clone()).unwrap();
    assert_eq!(details.files.as_ref().map(Vec::len), Some(1));
    assert_eq!(difference(&full, &serde_json::to_value(&details).unwrap()), None);
}

/// Runs as part of the next test as well, once in each zone.
#[test]
fn a_bare_time_is_utc() {
    let created = |text: &str| {
        let mut body = file();
        body["created_at"] = json!(text);
        serde_json::from_value::<FileInfo>(body).map(|file| file.created_at)
    };
    let expected = created("2026-11-21T09:36:41.621363Z").unwrap();
    assert_eq!(expected.timestamp_micros(), 1_795_253_801_621_363);
    for same in ["2026-11-21T09:36:41.621363", "2026-11-21T09:36:41.6213630", "2026-11-21T10:36:41.621363+01:00"] {
        assert_eq!(created(same).unwrap(), expected, "{same}");
    }
    // an hour that does not exist, and one that comes twice, in zones with daylight saving time
    for text in ["2026-03-08T02:30:00", "2026-11-01T01:30:00.5", "2026-03-29T02:30:00", "2026-10-25T02:30:00"] {
        assert_eq!(created(text).unwrap(), created(&format!("{text}Z")).unwrap(), "{text}");
    }
    assert!(created("2026-11-21").is_err());
    assert!(created("yesterday").is_err());
}

#[test]
fn a_bare_time_is_utc_in_every_zone() {
    for zone in ["UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "EST5EDT", "<+14>-14"] {
        let run = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_bare_time_is_utc"])
            .env("TZ", zone)
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && printed.contains("1 passed"), "{zone}: {printed}");
    }
}

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::models::{
    BucketDetails, BucketInfo, DashboardUser, DirectoryListing, FileInfo, Health, KeyInfo, KeyUsage, NewDashboardToken,
    NewKey, NewUploadToken, Stats, TreePage, UploadResponse, Verification,
};
use crate::paging::Page;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[expect(dead_code, reason = "it is only read")]
enum Word {
    Known,
    Other { member: u8 },
}

#[test]
fn what_could_not_be_read_is_not_shown() {
    let told = |json: &str| Misread::from(serde_json::from_str::<u8>(json).unwrap_err()).to_string();
    assert_eq!(told(r#""cf4_secret""#), "invalid type: string \"…\", expected u8 at line 1 column 12");
    assert_eq!(told(r#""a \" quote \\""#), "invalid type: string \"…\", expected u8 at line 1 column 15");
    assert_eq!(told("[]"), "invalid type: sequence, expected u8 at line 1 column 0");
    assert!(told("{").starts_with("invalid type: map"));
    let told = |json: &str| Misread::from(serde_json::from_str::<Word>(json).unwrap_err()).to_string();
    assert_eq!(told(r#""cf4_secret""#), "unknown variant `…`, expected `known` or `other` at line 1 column 12");
    assert_eq!(told(r#"{"other":{"a`, expected `b":1}}"#), "unknown field `…`, expected `member` at line 1 column 27");
}

const MARK: &str = "MaRkEr";

/// A text with the mark, and around it what could be taken for the end of a text.
fn marked() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "",
        "\"",
        "\\",
        "`",
        "\"`",
        "\", expected ",
        "`, expected `",
        "`, there are no ",
        " at line 1 column 2",
        "string \"",
        "unknown variant `",
        "unknown field `",
        "ü",
    ]);
    (odd.clone(), odd).prop_map(|(before, after)| format!("{before}{MARK}{after}"))
}

/// Any JSON whose texts, names of members included, hold the mark.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        3 => marked().prop_map(Value::from),
        1 => prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), any::<i64>().prop_map(Value::from)],
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(marked(), inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The members of all models together, so that each can be read from it.
fn of_all_models() -> Value {
    const ALL: &str = r#"{
        "access_token": "t", "backend": "s3", "bucket_count": 1, "bucket_id": "b", "buckets": [], "computed_hash": "h",
        "content_type": "t/t", "created_at": "2026-11-21T10:22:05", "cursor": "c", "db": "ok", "deduplicated": false,
        "deleted": 1, "delimiter": "/", "description": "d", "detail": "d", "direct": true, "directories": [],
        "download_url": "u", "email": "e", "etag": "e", "expires_at": "2026-11-21T10:22:05Z", "expires_in": 1,
        "file": null, "file_count": 1, "file_path": "p", "filename": "f", "files": [], "folders": [],
        "has_more_files": true, "id": "i", "ids": [], "is_new_tenant": false, "items": [], "key": "k",
        "last_used_at": null, "limit": 1, "max_uploads": 1, "mime_type": "t/t", "name": "n", "no": 1, "offset": 0,
        "owner": "o", "page": 1, "part_size": 1, "parts": [], "path": "p", "per_page": 1, "prefix": "p",
        "presigned_url": "u", "public": false, "refresh_token": "t", "scope": "admin", "sha256": "h", "short_code": "c",
        "short_url": "u", "size": 1, "size_bytes": 1, "status": "active", "storage_by_owner": [],
        "storage_limit_bytes": 1, "storage_used_bytes": 1, "stored_hash": "h", "tenant_id": "t", "token": "t",
        "total": 1, "total_buckets": 1, "total_directories": 1, "total_downloads": 1, "total_files": 1,
        "total_folders": 1, "total_keys": 1, "total_parts": 1, "total_size": 1, "unique_content_count": 1,
        "unique_content_size": 1, "updated_at": "2026-11-21T10:22:05", "uploaded": [], "uploads_used": 0,
        "uptime_seconds": 1, "urls": {}, "valid": true
    }"#;
    let mut all: Value = serde_json::from_str(ALL).unwrap();
    // And each within others: of these kinds they are.
    let one = all.clone();
    for list in ["buckets", "directories", "files", "items", "parts", "storage_by_owner", "uploaded"] {
        all[list] = json!([one]);
    }
    all
}

/// Reads it as each model; what is told where it can't be.
fn told(body: &Value) -> Vec<String> {
    fn of<T: DeserializeOwned>(text: &str) -> Option<String> {
        serde_json::from_str::<T>(text).err().map(|error| Misread::from(error).to_string())
    }
    let text = body.to_string();
    #[cfg_attr(not(any(feature = "tenantbox", feature = "file-storage")), expect(unused_mut))]
    let mut told = vec![
        of::<BucketDetails>(&text),
        of::<DashboardUser>(&text),
        of::<DirectoryListing>(&text),
        of::<FileInfo>(&text),
        of::<Health>(&text),
        of::<KeyUsage>(&text),
        of::<NewDashboardToken>(&text),
        of::<NewKey>(&text),
        of::<NewUploadToken>(&text),
        of::<Page<BucketInfo>>(&text),
        of::<Page<FileInfo>>(&text),
        of::<Page<KeyInfo>>(&text),
        of::<Stats>(&text),
        of::<TreePage>(&text),
        of::<UploadResponse>(&text),
        of::<Verification>(&text),
        of::<Word>(&text),
    ];
    #[cfg(feature = "tenantbox")]
    {
        use crate::tenantbox::{Deleted, DownloadUrl, StorageLimit, TenantUsage, UploadUrl};
        told.extend([of::<Deleted>(&text), of::<DownloadUrl>(&text), of::<StorageLimit>(&text)]);
        told.extend([of::<TenantUsage>(&text), of::<UploadUrl>(&text)]);
    }
    #[cfg(feature = "file-storage")]
    {
        use crate::file_storage::models::{BulkDeleted, PartUrls, StoredFile, UploadSession, UploadedPart};
        told.extend([of::<BulkDeleted>(&text), of::<PartUrls>(&text), of::<StoredFile>(&text)]);
        told.extend([of::<UploadSession>(&text), of::<UploadedPart>(&text)]);
    }
    told.into_iter().flatten().collect()
}

#[test]
fn every_model_reads_the_members_of_all() {
    let told = told(&of_all_models());
    assert!(matches!(&told[..], [only] if only.starts_with("unknown variant `…`")), "{told:?}");
}

proptest! {
    // Each of them is read as all models.
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a server sends in place of what it should: one of the texts may be the key that was to be read.
    #[test]
    fn no_text_of_an_answer_is_shown(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), any_json()), 1..4),
    ) {
        let mut body = of_all_models();
        for (at, deep, other) in changes {
            let members = body.as_object_mut().unwrap();
            let name = members.keys().nth(at.index(members.len())).unwrap().clone();
            let member = &mut members[&name];
            match member.as_array_mut().filter(|_| deep).and_then(|list| list.first_mut()?.as_object_mut()) {
                Some(inner) => {
                    let name = inner.keys().nth(at.index(inner.len())).unwrap().clone();
                    inner[&name] = other;
                }
                None => *member = other,
            }
        }
        for told in told(&body) {
            prop_assert!(!told.contains(MARK), "{told}");
        }
    }

    #[test]
    fn no_text_of_another_shape_is_shown(body in any_json()) {
        for told in told(&body) {
            prop_assert!(!told.contains(MARK), "{told}");
        }
    }
}

/// A body of so many blanks, one in each `pause`.
fn dripping(blanks: usize, pause: Duration) -> reqwest::Response {
    let blanks = futures::stream::unfold(blanks, move |left| async move {
        tokio::time::sleep(pause).await;
        left.checked_sub(1).map(|left| (Ok::<_, std::io::Error>(" "), left))
    });
    http::Response::new(reqwest::Body::wrap_stream(Box::pin(blanks))).into()
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_read_whole_comes_within_a_time() {
    let seconds = Duration::from_secs;
    let limits = ReadLimits { idle: seconds(60), deadline: None };
    let read = async |blanks, pause, limit, limits: &ReadLimits| {
        let start = Instant::now();
        let read = read_whole(&mut dripping(blanks, seconds(pause)), limit, seconds(100), limits).await;
        (read.map(|body| body.len()).map_err(|error| error.kind()), start.elapsed().as_secs())
    };
    let over = |phase| Err(ErrorKind::Timeout(phase));
    assert_eq!(read(1_000_000, 50, SLOWEST, &limits).await, (over(TimeoutPhase::Receive), 101));
    assert_eq!(read(1_000_000, 50, 20 * SLOWEST, &limits).await, (over(TimeoutPhase::Receive), 120));
    assert_eq!(read(3, 20, SLOWEST, &limits).await, (Ok(3), 80));
    // What ends before is what the error tells of.
    assert_eq!(read(9, 70, SLOWEST, &limits).await, (over(TimeoutPhase::Receive), 60));
    let within = ReadLimits { deadline: Some(Instant::now() + seconds(30)), ..limits };
    assert_eq!(read(9, 50, SLOWEST, &within).await, (over(TimeoutPhase::Total), 30));
}

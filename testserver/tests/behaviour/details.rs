//! Small things in which the real server is not as one would guess. Few are recorded; the others are read in its source.

use std::time::Duration;

use carbonfiles_testserver::TestServer;
use serde_json::Value;

use crate::client::{ADMIN, Answer, Client, bucket, get, head, once, post, put, started, upload};

const JSON: &str = "Content-Type: application/json";

async fn with_files(files: &[(&str, &str)]) -> (TestServer, String) {
    let server = TestServer::start().await.unwrap();
    let bucket = bucket(&server, "1d").await;
    for (name, content) in files {
        let stored = put(&server, &bucket, name, content.as_bytes()).await;
        assert!(matches!(stored.status, 201 | 500), "{name}");
    }
    (server, bucket)
}

/// One member of all elements of a list.
fn each(list: &Value, member: &str) -> Vec<String> {
    let elements = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    elements.iter().map(|element| element[member].as_str().unwrap().to_owned()).collect()
}

/// The header by which somebody with a new API key of this name shows it.
async fn key(server: &TestServer, name: &str) -> String {
    let key = post(server, "/api/keys", &format!(r#"{{"name":"{name}"}}"#)).await;
    format!("Authorization: Bearer {}", key["key"].as_str().unwrap())
}

#[tokio::test]
async fn a_directory_lists_equals_by_age_and_descends_only_when_told() {
    let (server, bucket) = with_files(&[("z.txt", "1"), ("a.txt", "22"), ("m.txt", "3")]).await;
    for (query, paths) in [
        ("sort=size", ["z.txt", "m.txt", "a.txt"]),
        ("sort=size&order=desc", ["a.txt", "z.txt", "m.txt"]),
        ("sort=mime_type", ["z.txt", "a.txt", "m.txt"]),
        ("order=up", ["a.txt", "m.txt", "z.txt"]),
        ("order=", ["a.txt", "m.txt", "z.txt"]),
        ("order=Desc", ["z.txt", "m.txt", "a.txt"]),
    ] {
        let listed = get(&server, &format!("{bucket}/ls?{query}")).await.json();
        assert_eq!(each(&listed["files"], "path"), paths, "{query}");
    }
}

/// The path asked for is measured in UTF-16 units, the stored ones are cut by characters.
#[tokio::test]
async fn a_directory_of_an_emoji_loses_a_letter() {
    let (server, bucket) = with_files(&[("%F0%9F%98%80/sub/x.txt", "1")]).await;
    let listed = get(&server, &format!("{bucket}/ls?path=%F0%9F%98%80")).await.json();
    assert_eq!(listed["folders"], serde_json::json!(["ub"]));
}

#[tokio::test]
async fn a_tree_has_no_empty_prefix() {
    let (server, bucket) = with_files(&[]).await;
    let tree = get(&server, &format!("{bucket}/files?delimiter=/&prefix=")).await.json();
    assert_eq!(tree.get("prefix"), None);
}

#[tokio::test]
async fn equal_buckets_come_by_expiry_for_the_admin_and_by_age_for_a_key() {
    let server = TestServer::start().await.unwrap();
    for (name, expiry) in [("2d", "2d"), ("never", "never"), ("1d", "1d"), ("gone", "2020-01-01T00:00:00Z")] {
        post(&server, "/api/buckets", &format!(r#"{{"name":"{name}","expires_in":"{expiry}"}}"#)).await;
    }
    for (query, names) in [
        ("sort=total_size", vec!["never", "1d", "2d"]),
        ("sort=total_size&order=asc", vec!["never", "1d", "2d"]),
        ("sort=last_used_at", vec!["never", "1d", "2d"]),
        ("sort=total_size&include_expired=true", vec!["2d", "never", "1d", "gone"]),
        ("sort=created_at", vec!["1d", "never", "2d"]),
    ] {
        let listed = get(&server, &format!("/api/buckets?{query}")).await.json();
        assert_eq!(each(&listed["items"], "name"), names, "{query}");
    }
    let bearer = key(&server, "k").await;
    for name in ["n1", "n2", "n3"] {
        let body = format!(r#"{{"name":"{name}","expires_in":"never"}}"#);
        assert_eq!(once(&server, "POST", "/api/buckets", &[&bearer, JSON], body.as_bytes()).await.status, 201);
    }
    for query in ["sort=expires_at", "sort=expires_at&order=asc", "sort=total_size"] {
        let listed = once(&server, "GET", &format!("/api/buckets?{query}"), &[&bearer], b"").await.json();
        assert_eq!(each(&listed["items"], "name"), ["n1", "n2", "n3"], "{query}");
    }
}

/// On the way to 403 or 404 the detail is looked up: that fills the cache, or finds what has expired since in it.
#[tokio::test]
async fn a_refused_change_looks_at_the_cached_detail() {
    let (server, bucket) = with_files(&[("a.txt", "x")]).await;
    let stranger = key(&server, "stranger").await;
    let change = async |target: &str| {
        let patched = once(&server, "PATCH", target, &[&stranger, JSON], br#"{"name":"n"}"#).await;
        let deleted = once(&server, "DELETE", target, &[&stranger], b"").await;
        (patched.status, deleted.status)
    };
    assert_eq!(change(&bucket).await, (403, 403));
    assert_eq!(get(&server, &format!("{bucket}?include=files")).await.json().get("files"), None);

    let (seen, unseen) = (crate::client::bucket(&server, "1s").await, crate::client::bucket(&server, "1s").await);
    assert_eq!(get(&server, &seen).await.status, 200);
    server.clock().advance(Duration::from_secs(2));
    assert_eq!(change(&seen).await, (403, 403));
    assert_eq!(change(&unseen).await, (404, 404));
}

#[tokio::test]
async fn the_time_of_use_moves_whatever_the_later_conditions_come_to() {
    let (server, bucket) = with_files(&[("a.txt", "x")]).await;
    let content = format!("{bucket}/files/a.txt/content");
    let etag = get(&server, &content).await.header("etag").unwrap().to_owned();
    for (condition, status, moves) in [
        ("If-Match: \"x\"".to_owned(), 412, true),
        ("If-None-Match: *".to_owned(), 304, true),
        (format!("If-None-Match: \"x\", {etag}"), 304, true),
        (format!("If-None-Match: W/{etag}"), 304, true),
        (format!("If-None-Match: {etag}"), 304, false),
        ("If-Modified-Since: Wed, 01 Jan 2200 00:00:00 GMT".to_owned(), 304, false),
    ] {
        let used = async || get(&server, "/api/buckets").await.json()["items"][0]["last_used_at"].clone();
        let before = used().await;
        server.clock().advance(Duration::from_secs(1));
        assert_eq!(once(&server, "GET", &content, &[&condition], b"").await.status, status, "{condition}");
        assert_eq!(used().await != before, moves, "{condition}");
    }
}

/// The handler's own conditions come before it looks for the bytes.
#[tokio::test]
async fn what_is_not_modified_need_not_be_there() {
    let (server, bucket) = with_files(&[("a.txt", "x")]).await;
    let content = format!("{bucket}/files/a.txt/content");
    let condition = format!("If-None-Match: {}", get(&server, &content).await.header("etag").unwrap());
    let id = bucket.rsplit('/').next().unwrap();
    assert!(server.tamper(id, "a.txt", None).await);
    assert_eq!(once(&server, "GET", &content, &[&condition], b"").await.status, 304);
    assert_eq!(get(&server, &content).await.status, 404);
}

/// Only Kestrel's own answers, and a 416, have a length when asked by `HEAD`.
#[tokio::test]
async fn the_length_of_nothing_is_told_by_few() {
    let (server, bucket) = with_files(&[("a.txt", "x")]).await;
    let named = once(&server, "PATCH", &bucket, &[ADMIN, JSON], "{\"name\":\"zïp\"}".as_bytes()).await;
    assert_eq!(named.status, 200);
    let content = format!("{bucket}/files/a.txt/content");
    for (target, header, status, length) in [
        (content.as_str(), "If-Match: \"x\"", 412, None),
        (&content, "Range: bytes=9-", 416, Some("0")),
        (&format!("{bucket}/zip"), "X: y", 500, Some("0")),
        ("/a%00", "X: y", 400, Some("0")),
        ("/nothing", "X: y", 404, None),
        ("/healthz", "X: y", 405, None),
    ] {
        let mut client = Client::connect(&server).await;
        client.write(&head("HEAD", target, &[header])).await.unwrap();
        let answer = client.answer("HEAD").await.unwrap();
        assert_eq!((answer.status, answer.header("content-length")), (status, length), "{target}");
    }
}

/// `patch`, as browsers send it when it is written so.
#[tokio::test]
async fn methods_are_matched_in_any_case() {
    let (server, bucket) = with_files(&[("a.txt", "x")]).await;
    let target = format!("{bucket}/files/a.txt/content");
    for (method, header, status) in [("patch", "X-Append: true", 200), ("gEt", "X: y", 200), ("put", "X: y", 405)] {
        assert_eq!(once(&server, method, &target, &[ADMIN, header], b"").await.status, status, "{method}");
    }
}

#[tokio::test]
async fn origins_are_kept_in_lower_case() {
    let server = TestServer::builder().cors_origins(["https://A.example"]).start().await.unwrap();
    for (origin, allowed) in [("https://a.example", Some("https://a.example")), ("https://A.example", None)] {
        let answer = once(&server, "GET", "/healthz", &[&format!("Origin: {origin}")], b"").await;
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
    }
}

#[tokio::test]
async fn directories_are_ordered_by_their_units() {
    let (server, bucket) = with_files(&[("%EF%BD%9E/a", "1"), ("%F0%9F%98%80/a", "2")]).await;
    let tree = get(&server, &format!("{bucket}/files?delimiter=/")).await.json();
    assert_eq!(each(&tree["directories"], "path"), ["😀/", "～/"]);
}

#[tokio::test]
async fn only_several_origins_make_answers_vary() {
    for (origins, vary) in [(vec!["https://a.example"], None), (vec!["https://a.example", "https://b"], Some("Origin"))]
    {
        let server = TestServer::builder().cors_origins(origins).start().await.unwrap();
        let asked = "Access-Control-Request-Method: POST";
        for (method, headers) in
            [("GET", vec!["Origin: https://a.example"]), ("OPTIONS", vec![asked, "Origin: https://a.example"])]
        {
            let answer = once(&server, method, "/healthz", &headers, b"").await;
            assert_eq!(answer.header("access-control-allow-origin"), Some("https://a.example"));
            assert_eq!(answer.header("vary"), vary);
        }
    }
}

async fn multipart(server: &TestServer, bucket: &str, content_type: &str, body: &str) -> Answer {
    let content_type = format!("Content-Type: {content_type}");
    once(server, "POST", &format!("{bucket}/upload"), &[ADMIN, &content_type], body.as_bytes()).await
}

/// What an upload came to: its status, and the path or the text of the refusal.
fn outcome(answer: &Answer) -> (u16, String) {
    if answer.body.is_empty() {
        return (answer.status, String::new());
    }
    let body = answer.json();
    let text = body["error"].as_str().or(body["uploaded"][0]["path"].as_str()).unwrap_or_default();
    (answer.status, text.to_owned())
}

#[tokio::test]
async fn a_name_of_blanks_is_no_name() {
    let (server, bucket) = with_files(&[]).await;
    for disposition in ["name=\"file\"; filename=\"  \"", "name=\" \"; filename=\"a.txt\""] {
        let body = format!("--B\r\nContent-Disposition: form-data; {disposition}\r\n\r\nx\r\n--B--\r\n");
        let answer = multipart(&server, &bucket, "multipart/form-data; boundary=B", &body).await;
        assert_eq!(outcome(&answer), (400, "File path could not be determined".to_owned()), "{disposition}");
    }
}

#[tokio::test]
async fn a_patch_may_have_blanks_around_its_start() {
    let (server, bucket) = with_files(&[("a.txt", "abc")]).await;
    for (range, status) in [
        ("bytes 0 - 1/2", 200),
        ("bytes  0-1/2", 200),
        ("bytes +1-1/2", 200),
        ("bytes 9999999999999999999-/2", 400),
        ("bytes --1/2", 400),
        ("bytes 4-5/6", 416),
    ] {
        let range = format!("Content-Range: {range}");
        let answer = once(&server, "PATCH", &format!("{bucket}/files/a.txt/content"), &[ADMIN, &range], b"z").await;
        assert_eq!(answer.status, status, "{range}");
    }
}

#[tokio::test]
async fn bodies_of_json_are_bound_by_their_type_and_in_their_order() {
    let server = TestServer::start().await.unwrap();
    let named = r#"{"name":"x"}"#.to_owned();
    let nested = |arrays: usize| format!(r#"{{"name":"x","y":{}{}}}"#, "[".repeat(arrays), "]".repeat(arrays));
    for (content_type, body, status) in [
        ("text/x+json", &named, 201),
        ("application/json; charset=foo", &named, 500),
        ("application/json; charset=utf8", &named, 500),
        ("application/json; charset=UTF-8", &named, 201),
        ("application/json, text/plain", &named, 415),
        ("application/json", &nested(63), 201),
        ("application/json", &nested(64), 400),
        ("application/json", &r#"{"name":5,"name":"x"}"#.to_owned(), 400),
        ("application/json", &r#"{"name":null,"name":"x"}"#.to_owned(), 201),
    ] {
        let content_type = format!("Content-Type: {content_type}");
        let answer = once(&server, "POST", "/api/buckets", &[ADMIN, &content_type], body.as_bytes()).await;
        assert_eq!(answer.status, status, "{content_type} {body}");
    }
    let bucket = bucket(&server, "1d").await;
    for (max_uploads, status) in [("\"3\"", 201), ("\"+3\"", 201), ("\" 3 \"", 400)] {
        let body = format!(r#"{{"max_uploads":{max_uploads}}}"#);
        let answer = once(&server, "POST", &format!("{bucket}/tokens"), &[ADMIN, JSON], body.as_bytes()).await;
        assert_eq!(answer.status, status, "{body}");
    }
}

/// A token with two seconds to live, and uploads with it, by either route.
#[tokio::test]
async fn a_verdict_is_that_of_the_token_whatever_it_was_used_for() {
    let server = TestServer::start().await.unwrap();
    let (bucket, other) = (bucket(&server, "1d").await, bucket(&server, "1d").await);
    let token = async || {
        let made = post(&server, &format!("{bucket}/tokens"), r#"{"expires_in":"2s"}"#).await;
        made["token"].as_str().unwrap().to_owned()
    };
    let stream = async |bucket: &str, token: &str| {
        once(&server, "PUT", &format!("{bucket}/upload/stream?filename=a&token={token}"), &[], b"x").await.status
    };
    let nothing = async |bucket: &str, token: &str| {
        let target = format!("{bucket}/upload?token={token}");
        once(&server, "POST", &target, &["Content-Type: multipart/form-data; boundary=B"], b"--B--\r\n").await.status
    };

    let elsewhere = token().await;
    assert_eq!(stream(&other, &elsewhere).await, 403);
    let without_files = token().await;
    assert_eq!(nothing(&bucket, &without_files).await, 201);
    let unused = token().await;
    server.clock().advance(Duration::from_secs(3));
    for (token, status) in [(&elsewhere, 201), (&without_files, 201), (&unused, 403)] {
        assert_eq!(stream(&bucket, token).await, status);
    }
}

#[tokio::test]
async fn multipart_headers_are_parsed_whole() {
    let (server, bucket) = with_files(&[]).await;
    let good = "Content-Disposition: form-data; name=\"file\"; filename=\"g.txt\"";
    let sixteen: String = (1..16).map(|at| format!("X-{at}: y\r\n")).collect();
    let expected = "Expected multipart/form-data";
    for (boundary, header, outcome_of_it) in [
        ("B", good, (201, "g.txt")),
        ("a=b", good, (400, expected)),
        ("B/1", good, (400, expected)),
        ("\"a;b\"", good, (201, "g.txt")),
        ("\"\"", good, (400, "Missing multipart boundary")),
        ("B; charset=\"x;boundary=C\"", good, (201, "g.txt")),
        ("B", "Content-Disposition: form-data; foo; name=\"a.txt\"; filename=\"x\"", (201, "a.txt")),
        ("B", "Content-Disposition: form-data; name=file; filename=", (400, "File path could not be determined")),
        ("B", "Content-Disposition: form-data; name=\"file\"; filename=\"dir\\\"", (201, "dir")),
        ("B", "Content-Disposition: form-data; name=\"file\"; filename", (201, "")),
        ("B", &format!("{good}\r\n{good}"), (201, "")),
        ("B", "Content-Disposition : form-data; name=\"file\"; filename=\"g.txt\"", (201, "")),
        ("B", &format!("{good}\r\n: x"), (500, "")),
        ("B", &format!("{sixteen}X-1: again\r\n{good}"), (201, "g.txt")),
        ("B", &format!("{sixteen}X-16: y\r\n{good}"), (500, "")),
    ] {
        let written = boundary.split("; ").next().unwrap().trim_matches('"');
        let body = format!("--{written}\r\n{header}\r\n\r\nx\r\n--{written}--\r\n");
        let answer = multipart(&server, &bucket, &format!("multipart/form-data; boundary={boundary}"), &body).await;
        assert_eq!(outcome(&answer), (outcome_of_it.0, outcome_of_it.1.to_owned()), "{boundary} {header}");
    }
}

/// 16 KiB may stand around the parts.
#[tokio::test]
async fn there_is_a_limit_to_what_stands_around_the_parts() {
    let part = |name: &str| {
        format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"x\"\r\n\r\nx\r\n--B--\r\n")
    };
    for (before, after, status, stored) in [(16_000, 16_384, 201, 200), (16_385, 0, 500, 404), (0, 16_385, 500, 200)] {
        let (server, bucket) = with_files(&[]).await;
        let body = format!("{}{}{}", "p".repeat(before), part("a.txt"), "e".repeat(after));
        let answer = multipart(&server, &bucket, "multipart/form-data; boundary=B", &body).await;
        assert_eq!(answer.status, status, "{before} {after}");
        assert_eq!(get(&server, &format!("{bucket}/files/a.txt")).await.status, stored, "{before} {after}");
    }
}

/// Nobody looks at the bucket, or for the file, again.
#[tokio::test]
async fn what_goes_while_bytes_arrive_is_not_missed() {
    let (server, bucket) = with_files(&[("a.txt", "abc")]).await;
    let patch = format!("{bucket}/files/a.txt/content");
    let mut patching = started(&server, "PATCH", &patch, 4, b"12").await;
    assert_eq!(once(&server, "DELETE", &format!("{bucket}/files/a.txt"), &[ADMIN], b"").await.status, 204);
    patching.write(b"34").await.unwrap();
    let patched = patching.answer("PATCH").await.unwrap();
    assert_eq!((patched.status, patched.body.len()), (200, 0));

    let mut uploading = started(&server, "PUT", &upload(&bucket, "b.txt"), 4, b"12").await;
    assert_eq!(once(&server, "DELETE", &bucket, &[ADMIN], b"").await.status, 204);
    uploading.write(b"34").await.unwrap();
    let stored = uploading.answer("PUT").await.unwrap();
    assert_eq!(outcome(&stored), (201, "b.txt".to_owned()));
    assert_eq!(get(&server, &format!("{bucket}/files/b.txt")).await.status, 404);
    let short = stored.json()["uploaded"][0]["short_url"].as_str().unwrap().to_owned();
    assert_eq!(get(&server, &short).await.status, 404);
    assert_eq!(server.bytes_in_memory(), 0);
}

#[tokio::test]
async fn bytes_that_are_missing_cannot_be_patched() {
    let (server, bucket) = with_files(&[("a.txt", "abc")]).await;
    assert!(server.tamper(bucket.rsplit('/').next().unwrap(), "a.txt", None).await);
    let target = format!("{bucket}/files/a.txt/content");
    assert_eq!(once(&server, "PATCH", &target, &[ADMIN, "X-Append: true"], b"x").await.status, 500);
}

#[tokio::test]
async fn a_mere_name_is_no_target() {
    let server = TestServer::start().await.unwrap();
    for (target, status) in [("/healthz", 200), ("healthz", 400), ("*", 404)] {
        let mut client = Client::connect(&server).await;
        client.write(&head("GET", target, &[])).await.unwrap();
        assert_eq!(client.answer("GET").await.unwrap().status, status, "{target}");
    }
}

#[tokio::test]
async fn a_host_that_cannot_be_is_refused() {
    let server = TestServer::start().await.unwrap();
    for (target, host, status) in [
        ("/healthz", "a b", 400),
        ("/healthz", "a/b", 400),
        ("/healthz", "", 200),
        ("/healthz", "[::1]:80", 200),
        ("http://x/healthz", "y", 400),
        ("http://x/healthz", "x", 200),
    ] {
        let mut client = Client::connect(&server).await;
        client.write(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await.unwrap();
        let answer = client.answer("GET").await.unwrap();
        assert_eq!(
            (answer.status, answer.header("connection")),
            (status, (status == 400).then_some("close")),
            "{host}"
        );
    }
}

//! A service that refuses, passes on, or is away.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use carbonfiles::ErrorKind;
use carbonfiles::file_storage::Client;
use carbonfiles::file_storage::files::{StoredEvent, WatchStored};
use futures::TryStreamExt;

use super::{ID, builder, client, hash_of, noting, page, stored};
use crate::support::{Answer, Head, RawServer, answer, part_or_whole, quick, within};

#[tokio::test]
async fn too_many_requests_are_waited_for() {
    let (server, seen) = noting(|_, n| match n {
        0 => Answer::Bytes(answer(429, "Retry-After: 1\r\n", br#"{"detail":"Too many requests.","retry_after":1}"#)),
        _ => Answer::Bytes(page(b"")),
    })
    .await;
    let start = tokio::time::Instant::now();
    within(client(&server).files().list().send()).await.unwrap();
    assert!(start.elapsed().as_millis() >= 1000 && seen.lock().unwrap().len() == 2);
}

#[tokio::test]
async fn maintenance_is_not_waited_for() {
    let body = br#"{"detail":"Service temporarily unavailable"}"#;
    let (server, seen) = noting(|_, _| Answer::Bytes(answer(503, "Retry-After: 3600\r\n", body))).await;
    let error = within(client(&server).files().list().send()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after().unwrap().as_secs()), (ErrorKind::Server, 3600));
    assert_eq!((error.message(), seen.lock().unwrap().len()), ("Service temporarily unavailable", 1));
}

#[tokio::test]
async fn a_service_that_is_not_set_up() {
    let (server, _) = noting(|_, _| Answer::Bytes(answer(302, "Location: /setup\r\n", b""))).await;
    let login = Client::builder(&server.url).login("a@example.com", "x").http(reqwest::ClientBuilder::no_proxy);
    for error in [
        within(login.build().unwrap().files().list().send()).await.unwrap_err(),
        within(client(&server).file(ID).get().send()).await.unwrap_err(),
        within(client(&server).file(ID).download().send()).await.unwrap_err(),
        within(client(&server).file(ID).download_url().send()).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("not set up yet"), "{error}");
    }
    // By its public name, which is another origin than the one that was asked.
    let (elsewhere, asked) = noting(|_, _| Answer::Bytes(answer(200, "", b"<html>"))).await;
    let location = format!("Location: {}/setup?next=/\r\n", elsewhere.url);
    let (server, _) = noting(move |_, _| Answer::Bytes(answer(302, &location, b""))).await;
    for error in [
        within(client(&server).file(ID).download().send()).await.unwrap_err(),
        within(client(&server).public_file(ID).download().send()).await.unwrap_err(),
        within(client(&server).file(ID).download_url().send()).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("not set up yet"), "{error}");
    }
    assert!(asked.lock().unwrap().is_empty());
    // Nor is a page to log in on, or any other of the service, the place of a content.
    for location in [format!("{}/users/login?next=/", elsewhere.url), "/users/login?next=/".into(), "/x?y=1".into()] {
        let location = format!("Location: {location}\r\n");
        let (server, _) = noting(move |_, _| Answer::Bytes(answer(302, &location, b""))).await;
        let error = within(client(&server).file(ID).download_url().send()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
    }
}

#[tokio::test]
async fn a_page_for_browsers_is_not_shown() {
    let html = "<!DOCTYPE html>".to_owned() + &"x".repeat(70_000);
    let (server, seen) =
        noting(move |_, _| Answer::Bytes(answer(404, "Content-Type: text/html\r\n", html.as_bytes()))).await;
    let error = within(client(&server).file(ID).get().send()).await.unwrap_err();
    assert!(error.is_not_found() && !error.message().contains("DOCTYPE") && !error.message().contains("xxx"));
    assert!(seen.lock().unwrap()[0].to_lowercase().contains("accept: application/json"));
}

#[tokio::test]
async fn metadata_survives_what_passes() {
    for fault in [answer(500, "", b""), answer(502, "", b"<html>"), answer(503, "", b""), Vec::new()] {
        let (server, _) = noting(move |_, n| match n {
            0 | 1 => Answer::ThenClose(fault.clone()),
            _ => Answer::Bytes(answer(200, "", &stored("x", b"x"))),
        })
        .await;
        assert_eq!(within(client(&server).file(ID).get().send()).await.unwrap().id, ID);
    }
}

/// Gives the page that was asked for, of a listing of files with these numbers.
fn pages() -> impl Fn(&Head, &[u64]) -> Answer {
    // Made once: a file keeps its time.
    let one: serde_json::Value = serde_json::from_slice(&stored("x", b"x")).unwrap();
    move |head, numbers| {
        let of = |name: &str| head.target.split(['?', '&']).find_map(|pair| pair.strip_prefix(name)?.parse().ok());
        let (page, rows): (usize, usize) = (of("page=").unwrap(), of("per_page=").unwrap());
        let row = |n: &u64| {
            let mut row = one.clone();
            row["id"] = format!("00000000-0000-4000-8000-{n:012}").into();
            row
        };
        let items: Vec<_> = numbers.iter().skip((page - 1) * rows).take(rows).map(row).collect();
        let page = serde_json::json!({"items": items, "total": numbers.len(), "page": page, "per_page": rows});
        Answer::Bytes(answer(200, "", page.to_string().as_bytes()))
    }
}

#[tokio::test]
async fn a_listing_asks_for_no_page_in_vain() {
    const ROWS: u64 = 5000;
    let (numbers, page) = ((0..ROWS).collect::<Vec<_>>(), pages());
    let (server, seen) = noting(move |head, _| page(head, &numbers)).await;
    let pages: Vec<_> = within(client(&server).files().list_all().try_collect()).await.unwrap();
    assert_eq!(pages.iter().map(|page| page.items.len() as u64).sum::<u64>(), ROWS);
    // Each of them was used.
    assert_eq!(seen.lock().unwrap().len(), pages.len());
}

#[tokio::test]
async fn small_pages_of_a_listing_lose_nothing_to_what_goes_before_them() {
    for per_page in [1, 2, 3, 4] {
        let (all, page) = ((0..60).collect::<Vec<_>>(), pages());
        let (server, _) = noting(move |head, n| page(head, if n < 2 { &all } else { &all[2..] })).await;
        let mut pages = client(&server).files().list_all().per_page(per_page);
        let mut came = Vec::new();
        while let Some(page) = within(pages.try_next()).await.unwrap() {
            assert!(page.items.len() as u64 <= per_page);
            came.extend(page.into_iter().map(|file| file.id.rsplit('-').next().unwrap().parse::<u64>().unwrap()));
        }
        assert_eq!(came, (0..60).collect::<Vec<_>>(), "{per_page}");
    }
}

#[tokio::test]
async fn one_limit_is_for_all_requests_of_a_deletion() {
    // The first takes a second, by a retry; what the second asks for would fit into the limit alone.
    let (server, seen) = noting(|_, n| match n {
        0 => Answer::Bytes(answer(503, "Retry-After: 1\r\n", b"")),
        1 => Answer::Bytes(answer(200, "", br#"{"deleted":1,"ids":[]}"#)),
        _ => Answer::Bytes(answer(503, "Retry-After: 50\r\n", b"")),
    })
    .await;
    let client = builder(&server.url).total_timeout(Duration::from_millis(50_500)).build().unwrap();
    let error = within(client.files().bulk_delete(vec![ID; 201]).send()).await.unwrap_err();
    assert_eq!((error.status().map(|status| status.as_u16()), seen.lock().unwrap().len()), (Some(503), 3), "{error}");
}

#[tokio::test]
async fn a_deletion_that_is_refused_half_way_may_have_been_done() {
    for (deleted, done) in [(1, true), (0, false)] {
        let (server, _) = noting(move |_, n| match n {
            0 => Answer::Bytes(answer(200, "", format!(r#"{{"deleted":{deleted},"ids":[]}}"#).as_bytes())),
            _ => Answer::Bytes(answer(403, "", br#"{"detail":"no"}"#)),
        })
        .await;
        let error = within(client(&server).files().bulk_delete(vec![ID; 201]).send()).await.unwrap_err();
        assert_eq!((error.is_denied(), error.may_have_been_done()), (true, done), "{error}");
    }
}

#[tokio::test]
async fn a_thumbnail_that_is_cut_was_not_replaced() {
    // It has an ETag, and its route ignores ranges.
    let tag = "ETag: \"0-w256\"\r\nContent-Type: image/webp\r\n";
    let whole = answer(200, tag, b"0123456789");
    let cut = whole[..whole.len() - 5].to_vec();
    let (server, seen) = noting(move |_, n| match n {
        0 => Answer::ThenClose(cut.clone()),
        _ => Answer::Bytes(whole.clone()),
    })
    .await;
    let thumbnail = within(client(&server).file(ID).thumbnail().send()).await.unwrap();
    let error = within(thumbnail.bytes(10)).await.unwrap_err();
    assert_eq!((error.kind(), seen.lock().unwrap().len()), (ErrorKind::Interrupted, 2), "{error}");
}

#[tokio::test]
async fn a_deletion_whose_answer_was_lost_has_succeeded() {
    let (server, seen) = noting(|_, n| match n {
        0 => Answer::ThenClose(Vec::new()),
        _ => Answer::Bytes(answer(
            404,
            "",
            br#"{"detail":{"code":"file_storage.not_found","message":"File not found"}}"#,
        )),
    })
    .await;
    within(client(&server).file(ID).delete().send()).await.unwrap();
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_404_of_something_on_the_way_is_no_absence() {
    // A router that has lost the service knows no path, or says it as the service's host would.
    for (head, body) in
        [("Content-Type: text/plain\r\n", &b"404 page not found"[..]), ("", br#"{"detail":"Not Found"}"#)]
    {
        let (server, seen) = noting(move |head_of, n| match (head_of.method.as_str(), n) {
            ("DELETE", 0) => Answer::Bytes(answer(502, "", b"")),
            _ => Answer::Bytes(answer(404, head, body)),
        })
        .await;
        let file = client(&server).file(ID);
        let error = within(file.delete().send()).await.unwrap_err();
        assert_eq!((error.is_not_found(), error.may_have_been_done()), (true, true), "{error}");
        assert_eq!((error.attempts(), seen.lock().unwrap().len()), (2, 2));
        let error = within(file.get_opt().send()).await.unwrap_err();
        assert_eq!((error.kind(), error.may_have_been_done()), (ErrorKind::NotFound, false), "{error}");
    }
}

#[tokio::test]
async fn a_watch_goes_on_after_an_outage_and_ends_with_the_credential() {
    let (server, _) = noting(|_, n| match n {
        0 | 1 => Answer::Bytes(answer(200, "", br#"{"items":[],"total":0,"page":1,"per_page":200}"#)),
        2..=5 => Answer::Bytes(answer(502, "", b"")),
        6 | 7 => Answer::Bytes(page(&stored("x.txt", b"content"))),
        _ => Answer::Bytes(answer(401, "", br#"{"detail":"Not authenticated"}"#)),
    })
    .await;
    let mut watch = client(&server).files().watch().relist_every(Duration::from_millis(1));
    assert_eq!(told(&mut watch, 5).await, ["init", "init_done", "listing_failed", "uploaded", "listing_succeeded"]);
    assert_eq!(within(watch.try_next()).await.unwrap_err().kind(), ErrorKind::Unauthenticated);
    assert!(within(watch.try_next()).await.unwrap().is_none());
}

/// The words of the events, as they are serialised. They can be read again.
async fn told(watch: &mut WatchStored, count: usize) -> Vec<String> {
    let mut words = Vec::new();
    for _ in 0..count {
        let event = within(watch.try_next()).await.unwrap().unwrap();
        let json = serde_json::to_value(&event).unwrap();
        words.push(json["type"].as_str().unwrap().to_owned());
        assert_eq!(serde_json::from_value::<StoredEvent>(json).unwrap(), event);
    }
    words
}

/// Pages of an ingress, a 403 for a while: a watch that has begun outlives them, and one that has not does not begin.
#[tokio::test]
async fn a_watch_outlives_what_others_answer() {
    let empty = br#"{"items":[],"total":0,"page":1,"per_page":200}"#;
    for (status, body) in [(404, "<html>"), (200, "<html>"), (403, r#"{"detail":"Forbidden"}"#)] {
        let (server, _) = noting(move |_, n| match n {
            0 | 1 => Answer::Bytes(answer(200, "", empty)),
            2 => Answer::Bytes(answer(status, "", body.as_bytes())),
            _ => Answer::Bytes(page(&stored("x.txt", b"content"))),
        })
        .await;
        let mut watch = client(&server).files().watch().relist_every(Duration::from_millis(1));
        let words = told(&mut watch, 5).await;
        assert_eq!(words, ["init", "init_done", "listing_failed", "uploaded", "listing_succeeded"], "{status}");
        let (server, _) = noting(move |_, _| Answer::Bytes(answer(status, "", body.as_bytes()))).await;
        let mut watch = client(&server).files().watch().header("x-of", "each request");
        assert_eq!(told(&mut watch, 1).await, ["init"]);
        assert!(within(watch.try_next()).await.is_err());
        assert!(within(watch.try_next()).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_renewal_that_fails_is_not_sent_again() {
    for status in [429, 503] {
        let (server, seen) = noting(move |head, _| match head.target.as_str() {
            "/api/users/auth/token" => {
                let pair = br#"{"access_token":"one","refresh_token":"r","expires_in":0}"#;
                Answer::Bytes(answer(200, "", pair))
            }
            _ => Answer::Bytes(answer(status, "", b"")),
        })
        .await;
        let login = Client::builder(&server.url).login("a@example.com", "x").retry(quick());
        let client = login.http(reqwest::ClientBuilder::no_proxy).build().unwrap();
        let _ = within(client.files().list().send()).await;
        let before = seen.lock().unwrap().len();
        let refreshes = || seen.lock().unwrap()[before..].iter().filter(|head| head.contains("/refresh")).count();
        let _ = within(client.file(ID).delete().send()).await.unwrap_err();
        assert!(refreshes() <= 1, "{status}: {}", refreshes());
    }
}

#[tokio::test]
async fn a_content_may_get_its_hash_while_it_comes() {
    // Of a file that was uploaded in parts, by the job behind: its ETag is another one from then on.
    let content: Vec<u8> = (0..9 << 20).map(|n: u32| (n % 251) as u8).collect();
    let named = format!("\"{}-{}\"", ID.replace('-', ""), content.len());
    let hashed = format!("\"{}\"", hash_of(&content));
    for cut in [false, true] {
        for public in [false, true] {
            let (bytes, named, hashed) = (content.clone(), named.clone(), hashed.clone());
            let asked = AtomicU32::new(0);
            let server = RawServer::start(move |head| {
                if !head.target.ends_with("/download") && !head.target.contains("/public/") {
                    let unknown = String::from_utf8(stored("x", &bytes)).unwrap().replace(hashed.trim_matches('"'), "");
                    return Answer::Bytes(answer(200, "", unknown.replace("\"\"", "null").as_bytes()));
                }
                let first = asked.fetch_add(1, Ordering::SeqCst) == 0;
                let tag = if first { &named } else { &hashed };
                let lower = head.text.to_lowercase();
                let condition = lower.lines().find_map(|line| line.strip_prefix("if-range: "));
                let fields = format!("ETag: {tag}\r\n");
                if condition.is_some_and(|condition| condition.trim() != tag) {
                    return Answer::Bytes(answer(200, &fields, &bytes));
                }
                let mut came = part_or_whole(head, &fields, &bytes, usize::MAX);
                if !(cut && first) {
                    return Answer::Bytes(came);
                }
                came.truncate(came.len() - (1 << 20));
                Answer::ThenClose(came)
            })
            .await;
            let client = client(&server);
            let at_once = if cut { 1 } else { 2 };
            let target = tempfile::tempdir().unwrap();
            let target = target.path().join("x");
            match public {
                true => {
                    let file = client.public_file(ID).download_to(&target).parallel(at_once);
                    let done = within(file.send()).await.unwrap();
                    assert_eq!((done.verified_sha256, std::fs::read(&target).unwrap() == content), (None, true));
                }
                false => {
                    let download = within(client.file(ID).download().parallel(at_once).send()).await.unwrap();
                    assert!(within(download.bytes(10 << 20)).await.unwrap() == content);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_public_content_is_compared_unless_that_is_not_wanted() {
    let head = format!("ETag: \"{}\"\r\n", hash_of(b"content"));
    let (server, _) = noting(move |_, _| Answer::Bytes(answer(200, &head, b"CONTENT"))).await;
    let (file, folder) = (client(&server).public_file(ID), tempfile::tempdir().unwrap());
    for checked in [true, false] {
        let target = folder.path().join(checked.to_string());
        let saved = within(file.download_to(&target).verify(checked).send()).await;
        let download = within(file.download().verify(checked).send()).await.unwrap();
        let read = within(download.bytes(10)).await;
        match checked {
            true => {
                assert_eq!(saved.unwrap_err().kind(), ErrorKind::IntegrityMismatch);
                assert_eq!(read.unwrap_err().kind(), ErrorKind::IntegrityMismatch);
                assert!(!target.exists());
            }
            false => {
                assert_eq!((saved.unwrap().verified_sha256, &read.unwrap()[..]), (None, &b"CONTENT"[..]));
                assert_eq!(std::fs::read(target).unwrap(), b"CONTENT");
            }
        }
    }
}

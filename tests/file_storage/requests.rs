//! What the setters of a call make of its requests, by a service that notes them.

use std::sync::Mutex;

use carbonfiles::file_storage::files::StoredEvent;
use carbonfiles::file_storage::models::FileSort;
use carbonfiles::models::Order;
use futures::TryStreamExt;

use crate::faults::{ID, client, noting, page};
use crate::support::{Answer, answer, within};

/// A parameter of each request, `None` where it has none.
fn asked(seen: &Mutex<Vec<String>>, name: &str) -> Vec<Option<String>> {
    let of = |head: &String| {
        let target = head.split(' ').nth(1).unwrap();
        let pairs = target.split(['?', '&']).skip(1).filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next()
    };
    seen.lock().unwrap().iter().map(of).collect()
}

#[tokio::test]
async fn a_sort_has_the_order_of_its_kind() {
    let (server, seen) = noting(|_, _| Answer::Bytes(page(b""))).await;
    let files = client(&server).files();
    let list = || files.list();
    for call in [
        list(),
        list().sort(FileSort::Name),
        list().sort(FileSort::CreatedAt),
        list().sort(FileSort::Size),
        list().sort(FileSort::Name).order(Order::Desc),
        list().sort(FileSort::CreatedAt).order(Order::Asc),
        list().sort(FileSort::Size).order(Order::Asc),
        list().order(Order::Asc),
        list().order(Order::Desc),
    ] {
        within(call.send()).await.unwrap();
    }
    let words = ["", "name", "-created_at", "-size", "-name", "created_at", "size", "created_at", "-created_at"];
    let sorts: Vec<_> = asked(&seen, "sort").into_iter().map(Option::unwrap_or_default).collect();
    assert_eq!(sorts, words);

    seen.lock().unwrap().clear();
    let all: Vec<_> = within(files.list_all().sort(FileSort::Size).items().try_collect()).await.unwrap();
    assert!(all.is_empty() && asked(&seen, "sort") == [Some("-size".to_owned())]);
}

#[tokio::test]
async fn what_is_new_is_looked_for_among_the_newest_and_listed_from_the_oldest() {
    let empty = br#"{"items":[],"total":0,"page":1,"per_page":200}"#;
    let (server, seen) = noting(|_, _| Answer::Bytes(answer(200, "", empty))).await;
    let mut watch = client(&server).files().watch().header("x-of", "each request");
    for expected in [StoredEvent::Init, StoredEvent::InitDone] {
        assert_eq!(within(watch.try_next()).await.unwrap(), Some(expected));
    }
    assert_eq!(asked(&seen, "sort"), ["-created_at", "created_at"].map(|sort| Some(sort.to_owned())));
    assert!(seen.lock().unwrap().iter().all(|head| head.contains("x-of: each request")));
}

#[tokio::test]
async fn a_listing_of_all_takes_as_many_rows_as_there_are_at_once() {
    let (server, seen) = noting(|_, _| Answer::Bytes(page(b""))).await;
    let files = client(&server).files();
    for rows in [1000, 200, 7] {
        let all: Vec<_> = within(files.list_all().per_page(rows).items().try_collect()).await.unwrap();
        assert!(all.is_empty());
    }
    assert_eq!(asked(&seen, "per_page"), ["200", "200", "20"].map(|rows| Some(rows.to_owned())));
    // A page with a number is that of the size that was asked for, or of none.
    assert!(within(files.list().per_page(201).page(2).send()).await.unwrap_err().is_invalid_input());
    assert!(within(files.list_all().per_page(0).items().try_next()).await.unwrap_err().is_invalid_input());
    assert_eq!(seen.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_thumbnail_has_the_width_that_was_asked_for() {
    let (server, seen) = noting(|_, _| Answer::Bytes(answer(200, "Content-Type: image/webp\r\n", b"RIFF"))).await;
    let client = client(&server);
    within(client.file(ID).thumbnail().width(64).send()).await.unwrap();
    within(client.public_file(ID).thumbnail().width(512).send()).await.unwrap();
    within(client.file(ID).thumbnail().send()).await.unwrap();
    assert_eq!(asked(&seen, "w"), [Some("64".to_owned()), Some("512".to_owned()), None]);
}

#[tokio::test]
async fn places_of_parts_are_asked_for_by_the_hundred() {
    let (server, seen) = noting(|_, n| {
        let no = [7, 101][n as usize];
        Answer::Bytes(answer(200, "", format!(r#"{{"urls":{{"{no}":"/{no}"}},"direct":true}}"#).as_bytes()))
    })
    .await;
    let upload = client(&server).upload_session(ID);
    let places = within(upload.part_urls(1..=101).send()).await.unwrap();
    assert!(places.direct && places.urls.keys().copied().eq([7, 101]), "{places:?}");
    let lengths: Vec<_> = seen.lock().unwrap().iter().map(|head| length(head)).collect();
    // {"parts":[1,…,100]} and {"parts":[101]}
    assert_eq!(lengths, [11 + 291 + 1, 15]);

    let places = within(client(&server).uploads().session(ID).part_urls([]).send()).await.unwrap();
    assert!(places.urls.is_empty() && seen.lock().unwrap().len() == 2);
}

fn length(head: &str) -> usize {
    let lower = head.to_lowercase();
    lower.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap()
}

//! Requests whose handling overlaps. Each is held open by its own body, so what overtakes what is certain.

use std::time::Duration;

use carbonfiles_testserver::{Defects, TestServer};

use crate::client::{Client, bucket, get, post, put, started, upload};

async fn overlap(server: &TestServer, bucket: &str, names: [&str; 2], bodies: [&str; 2]) -> [u16; 2] {
    let mut open: Vec<Client> = Vec::new();
    for (name, body) in names.iter().zip(bodies) {
        open.push(started(server, "PUT", &upload(bucket, name), body.len(), &body.as_bytes()[..1]).await);
    }
    let mut statuses = [0; 2];
    for (at, client) in open.iter_mut().enumerate() {
        client.write(&bodies[at].as_bytes()[1..]).await.unwrap();
        statuses[at] = client.answer("PUT").await.unwrap().status;
    }
    statuses
}

async fn server() -> (TestServer, String) {
    let server = TestServer::start().await.unwrap();
    let bucket = bucket(&server, "1d").await;
    (server, bucket)
}

/// A server on which both bodies of [`race`] are whole before either is stored.
async fn slow_server(defects: Defects) -> (TestServer, String) {
    let server = TestServer::builder().commit_time(Duration::from_secs(1)).defects(defects).start().await.unwrap();
    let bucket = bucket(&server, "1d").await;
    (server, bucket)
}

/// Two uploads whose last bytes come together: their statuses. Which of them is stored first is not certain.
async fn race(server: &TestServer, bucket: &str, names: [&str; 2], bodies: [&str; 2]) -> [u16; 2] {
    let mut open: Vec<Client> = Vec::new();
    for (name, body) in names.iter().zip(bodies) {
        open.push(started(server, "PUT", &upload(bucket, name), body.len(), &body.as_bytes()[..1]).await);
    }
    for (client, body) in open.iter_mut().zip(bodies) {
        client.write(&body.as_bytes()[1..]).await.unwrap();
    }
    let mut statuses = [0; 2];
    for (status, client) in statuses.iter_mut().zip(&mut open) {
        *status = client.answer("PUT").await.unwrap().status;
    }
    statuses
}

/// Exchanges 882 to 884.
#[tokio::test]
async fn the_loser_of_a_new_path_has_its_bytes_poisoned() {
    let (server, bucket) = slow_server(Defects::all()).await;
    let bodies = ["first bytes", "other bytes"];
    let [stored, lost] = match race(&server, &bucket, ["same", "same"], bodies).await {
        [201, 500] => bodies,
        [500, 201] => [bodies[1], bodies[0]],
        statuses => panic!("{statuses:?}"),
    };
    assert_eq!(put(&server, &bucket, "elsewhere", lost.as_bytes()).await.status, 500);
    assert_eq!(put(&server, &bucket, "elsewhere", b"yet other bytes").await.status, 201);
    assert_eq!(get(&server, &format!("{bucket}/files/same/content")).await.body, stored.as_bytes());
}

/// Paths are looked for when the body has been read: one that is stored while the other is still coming is there by then.
#[tokio::test]
async fn a_long_upload_that_was_overtaken_overwrites() {
    let (server, bucket) = server().await;
    assert_eq!(overlap(&server, &bucket, ["same", "same"], ["first bytes", "other bytes"]).await, [201, 201]);
    assert_eq!(get(&server, &format!("{bucket}/files/same/content")).await.body, b"other bytes");
    assert_eq!(put(&server, &bucket, "elsewhere", b"other bytes").await.status, 201);
}

/// Exchanges 885 and 886.
#[tokio::test]
async fn the_loser_of_new_bytes_may_come_again() {
    let (server, bucket) = slow_server(Defects::all()).await;
    let mut statuses = race(&server, &bucket, ["x0", "x1"], ["same bytes", "same bytes"]).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 500]);
    let again = put(&server, &bucket, "x2", b"same bytes").await;
    assert_eq!((again.status, &again.json()["uploaded"][0]["deduplicated"]), (201, &true.into()));
}

/// Contents are compared when they have been read: one that is stored while the other is still coming is known by then.
#[tokio::test]
async fn equal_bytes_that_end_one_after_the_other_do_not_race() {
    let (server, bucket) = server().await;
    assert_eq!(overlap(&server, &bucket, ["x0", "x1"], ["same bytes", "same bytes"]).await, [201, 201]);
}

/// Exchanges 887 and 890.
#[tokio::test]
async fn overwrites_and_different_files_do_not_race() {
    let (server, bucket) = server().await;
    put(&server, &bucket, "old", b"old").await;
    assert_eq!(overlap(&server, &bucket, ["old", "old"], ["one", "two"]).await, [201, 201]);
    assert_eq!(get(&server, &format!("{bucket}/files/old/content")).await.body, b"two");
    assert_eq!(overlap(&server, &bucket, ["a", "b"], ["of a", "of b"]).await, [201, 201]);
}

/// Exchange 891.
#[tokio::test]
async fn a_token_is_only_checked_at_the_start() {
    let (server, bucket) = server().await;
    let token = post(&server, &format!("{bucket}/tokens"), r#"{"max_uploads":1}"#).await;
    let token = token["token"].as_str().unwrap();
    let names = [format!("a&token={token}"), format!("b&token={token}")];
    // The credentials beside it are not looked at by the token's count, so these uploads go without.
    let mut open = Vec::new();
    for name in &names {
        let mut client = Client::connect(&server).await;
        let before = server.requests().len();
        let mut request = crate::client::head("PUT", &upload(&bucket, name), &["Content-Length: 6"]);
        request.extend_from_slice(b"a");
        client.write(&request).await.unwrap();
        while server.requests().get(before).is_none_or(|seen| seen.body_bytes == 0) {
            tokio::task::yield_now().await;
        }
        open.push((client, name));
    }
    for (mut client, name) in open {
        client.write(&name.as_bytes()[..1]).await.unwrap();
        client.write(b"body").await.unwrap();
        assert_eq!(client.answer("PUT").await.unwrap().status, 201);
    }
    let spent = crate::client::once(&server, "PUT", &upload(&bucket, &names[0]), &[], b"x").await;
    assert_eq!(spent.json()["error"], "Invalid or expired upload token");
}

async fn two_appends(server: &TestServer, bucket: &str) -> u64 {
    put(server, bucket, "app.txt", b"0").await;
    let target = format!("{bucket}/files/app.txt/content");
    let mut open = [started(server, "PATCH", &target, 2, b"a").await, started(server, "PATCH", &target, 3, b"b").await];
    for (client, rest) in open.iter_mut().zip([&b"a"[..], b"bb"]) {
        client.write(rest).await.unwrap();
        assert_eq!(client.answer("PATCH").await.unwrap().status, 200);
    }
    get(server, &format!("{bucket}/files/app.txt")).await.json()["size"].as_u64().unwrap()
}

/// Exchanges 888 and 889.
#[tokio::test]
async fn of_two_appends_one_is_lost() {
    let (server, bucket) = server().await;
    assert_eq!(two_appends(&server, &bucket).await, 4);
}

#[tokio::test]
async fn without_defects_nobody_loses() {
    let (server, bucket) = slow_server(Defects::none()).await;
    assert_eq!(race(&server, &bucket, ["same", "same"], ["first bytes", "other bytes"]).await, [201, 201]);
    assert_eq!(race(&server, &bucket, ["x0", "x1"], ["same bytes", "same bytes"]).await, [201, 201]);
    assert_eq!(two_appends(&server, &bucket).await, 6);
}

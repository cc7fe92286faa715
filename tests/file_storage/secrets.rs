//! Nothing that is traced, logged or printed has a token, a password, or what makes a presigned URL one.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU32, Ordering};

use carbonfiles::file_storage::Client;
use carbonfiles::file_storage::models::SessionTokens;
use carbonfiles::{Result, RetryPolicy};
use chrono::Utc;

use crate::support::secrets::{keep, printed, shown, watch};
use crate::support::{Answer, RawServer, answer, quick, within};

const ID: &str = "3b53bad0-8223-48db-81fb-d6600ae05a40";
const SIGNED: &str = "X-Amz-Credential=testing%2Fs3&X-Amz-Expires=300&X-Amz-Signature=";
const SIGNATURE: &str = "5e7dfd2bd7a6f1d3a2b1c0ffee5e7dfd2bd7a6f1d3a2b1c0ffee";
const SECRETS: [&str; 7] = [
    r#"pass\"word-1"#,
    "pass\"word-1",
    "access-secret-",
    "refresh-secret-",
    SIGNATURE,
    "smpat_secretsecret",
    "team-secret",
];

#[track_caller]
fn look(what: impl Debug) {
    let text = format!("{what:?} {what:#?}");
    assert_eq!(shown(&text), None, "{text}");
}

#[track_caller]
fn look_at<T: Debug>(outcome: Result<T>) {
    let text = match outcome {
        Ok(value) => format!("{value:?} {value:#?}"),
        Err(error) => printed(&error),
    };
    assert_eq!(shown(&text), None, "{text}");
}

/// A service that repeats what it was sent, and a bucket that does so as well.
async fn echoing(status: u16) -> (RawServer, RawServer) {
    let bucket = RawServer::start(move |head| {
        let said = format!("<html>{} {}</html>", head.method, head.text);
        Answer::Bytes(answer(if status == 200 { 502 } else { status }, "", said.as_bytes()))
    })
    .await;
    let (url, n) = (bucket.url.clone(), AtomicU32::new(0));
    let service = RawServer::start(move |head| {
        let n = n.fetch_add(1, Ordering::SeqCst);
        let body = match head.target.as_str() {
            "/api/users/auth/token" | "/api/users/auth/token/refresh" if status == 200 => format!(
                r#"{{"access_token":"access-secret-{n}","refresh_token":"refresh-secret-{n}","expires_in":{}}}"#,
                n % 2 * 900
            ),
            target if target.ends_with("/download") => {
                let location = format!("Location: {url}/k?{SIGNED}{SIGNATURE}\r\n");
                return Answer::Bytes(answer(302, &location, b""));
            }
            target if target.ends_with("/part-urls") => {
                format!(r#"{{"urls":{{"1":"{url}/k?{SIGNED}{SIGNATURE}"}},"direct":true}}"#)
            }
            target => {
                let sent = match target {
                    "/api/users/auth/token" if head.method == "POST" => r#""password":"pass\"word-1""#,
                    "/api/users/auth/token/refresh" => "refresh-secret-x",
                    _ => "nothing",
                };
                let said = format!("{sent} was in {}", head.text);
                return Answer::Bytes(answer(if status == 200 { 403 } else { status }, "", said.as_bytes()));
            }
        };
        Answer::Bytes(answer(200, "", body.as_bytes()))
    })
    .await;
    (service, bucket)
}

/// The logs are watched while all of this happens: a secret that is shown ends the process.
#[tokio::test]
async fn no_credential_and_no_presigned_url_is_shown() {
    watch();
    SECRETS.into_iter().for_each(keep);
    let tokens = || SessionTokens::new("access-secret-x", "refresh-secret-x", Utc::now());
    for status in [200, 401, 403, 422, 502] {
        let (service, _bucket) = echoing(status).await;
        let at = || {
            let builder = Client::builder(&service.url).retry(quick()).http(reqwest::ClientBuilder::no_proxy);
            builder.default_header("x-team", "team-secret")
        };
        for builder in [
            at().token("smpat_secretsecret"),
            at().login("a@example.com", "pass\"word-1"),
            at().session(tokens()),
            at().session(tokens()).login("a@example.com", "pass\"word-1").on_session(|tokens| look(tokens)),
        ] {
            look(&builder);
            let client = builder.build().unwrap();
            let (file, upload) = (client.file(ID), client.upload_session(ID));
            look((&client, client.files(), &file, &upload, client.uploads(), client.public_file(ID)));
            let folder = tempfile::tempdir().unwrap();
            look_at(within(client.files().list().send()).await);
            look_at(within(client.files().upload("x".as_bytes()).filename("x").send()).await);
            look_at(within(file.get().send()).await);
            look_at(within(file.download_url().send()).await);
            look_at(within(file.download().retry(RetryPolicy::never()).send()).await);
            look_at(within(file.download_to(folder.path().join("x")).send()).await);
            look_at(within(upload.part_urls([1]).send()).await);
            look_at(within(upload.upload_part(1, "x".as_bytes()).send()).await);
            look_at(within(client.public_file(ID).download().send()).await);
            look_at(within(client.request(http::Method::GET, "/x").header("x-mine", "access-secret-").send()).await);
            look(client.session_tokens());
            look_at(within(client.log_out().send()).await);
        }
    }
}

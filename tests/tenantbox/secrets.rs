//! Nothing that is traced, logged or printed has the API key, or what makes a presigned URL one.

use std::fmt::Debug;
use std::time::Duration;

use carbonfiles::{Error, Result, RetryPolicy};
use carbonfiles_testserver::{Fault, Tenantbox};

use crate::support::secrets::{keep, printed, shown, watch};
use crate::support::within;
use crate::{builder, pattern};

const EXPIRED: &str = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";

#[track_caller]
fn look(what: impl Debug) {
    let text = format!("{what:?} {what:#?}");
    assert_eq!(shown(&text), None, "{text}");
}

#[track_caller]
fn look_at<T: Debug>(outcome: Result<T>) -> Option<Error> {
    let (text, error) = match outcome {
        Ok(value) => (format!("{value:?} {value:#?}"), None),
        Err(error) => (printed(&error), Some(error)),
    };
    assert_eq!(shown(&text), None, "{text}");
    error
}

/// What a presigned URL is signed with, from all that were used so far.
fn keep_signatures(server: &Tenantbox) -> usize {
    let signed = server.storage_requests().into_iter().filter_map(|request| {
        let query = request.path.split_once('?')?.1.to_owned();
        let of = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)).map(str::to_owned);
        Some([of("X-Amz-Signature=")?, of("X-Amz-Credential=")?])
    });
    signed.flatten().map(keep).count()
}

/// The logs are watched while all of this happens: a signature that is shown ends the process.
#[tokio::test]
async fn nothing_of_a_presigned_url_is_shown() {
    watch();
    let server = Tenantbox::start().await.unwrap().faults_must_fire();
    keep(server.api_key());
    let client = builder(&server).default_header("x-team", "team-secret").build().unwrap();
    let tenant = client.tenant("ada@example.com");
    let (files, folder) = (tenant.files(), tempfile::tempdir().unwrap());
    look((&client, &tenant, &files, client.tenants(), files.upload("x".as_bytes()), files.upload_url("a")));

    // What works, with a URL that has expired and one that leads on to another region.
    server.sign_in_the_past(1, Duration::from_secs(7200));
    let done = within(files.upload(pattern(1 << 20)).send()).await.unwrap();
    let url = files.upload_url("b").content_type("a/b").await.unwrap();
    look(&url);
    keep(url.presigned_url.expose());
    let on = Fault::status(307).header("location", url.presigned_url.expose());
    server.inject_storage(on.on("PUT", "").times(1));
    look_at(within(files.upload("b".as_bytes()).content_type("a/b").send()).await);
    let file = client.file(&done.file_path);
    look((&file, file.download(), file.download_to("x"), file.download_url()));
    let link = file.download_url().await.unwrap();
    look(&link);
    keep(link.download_url.expose());
    server.inject_storage(Fault::reset_response_after(1000).on("GET", ""));
    server.inject_storage(Fault::status(403).body(EXPIRED).on("GET", ""));
    let download = within(file.download().send()).await.unwrap();
    look(&download);
    look_at(within(download.bytes(2 << 20)).await);
    look_at(within(file.download_to(folder.path().join("x")).parallel(2).send()).await);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        look(entry.unwrap().file_name());
    }

    // What fails, at the storage and before it.
    let echo = "<html>no way to /tenantbox/k?X-Amz-Credential=A&X-Amz-Signature=0123456789abcdef</html>";
    for fault in [Fault::status(403).body(EXPIRED), Fault::status(502).body(echo), Fault::reset(), Fault::lose_reply()]
    {
        server.inject_storage(fault.times(4));
        look_at(within(files.upload(pattern(100_000)).retry(RetryPolicy::never()).send()).await).unwrap();
        look_at(within(file.download().retry(RetryPolicy::never()).send()).await).unwrap();
        look_at(within(file.download_to(folder.path().join("y")).retry(RetryPolicy::never()).send()).await);
    }
    assert!(keep_signatures(&server) > 10);
    // A URL that the API garbled, and an answer that is no JSON.
    for body in [
        r#"{"presigned_url":"no?X-Amz-Signature=0123456789abcdef","file_path":"p"}"#,
        r#"{"presigned_url":7,"file_path":"X-Amz-Signature=0123456789abcdef"}"#,
        r#"{"presigned_url":"ftp://h/k?X-Amz-Signature=0123456789abcdef","file_path":"p"}"#,
    ] {
        server.inject(Fault::status(200).body(body));
        look_at(within(files.upload("x".as_bytes()).send()).await).unwrap();
    }
    server.inject(Fault::status(401).body(format!("who is {}?", server.api_key())));
    look_at(within(tenant.usage().send()).await).unwrap();
    look_at(within(file.delete().send()).await);
}

//! Where the credential of [`Events::all`](carbonfiles::events::Events::all) comes from, and what becomes of a refusal.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use carbonfiles::events::{ConnectionState, EventSettings};
use carbonfiles::{Client, ErrorKind};
use carbonfiles_testserver::TestServer;
use futures::StreamExt;

use crate::support::{self, within};
use crate::{client, settings, some};

/// A client that asks for its token, how it is answered the `nth` time, and how often it has asked.
fn asking<T: Future<Output = io::Result<String>> + Send + 'static>(
    server: &TestServer,
    settings: EventSettings,
    answer: impl Fn(usize, String) -> T + Send + Sync + 'static,
) -> (Client, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let (count, key) = (asked.clone(), server.admin_key().to_owned());
    let provide = move || answer(count.fetch_add(1, Ordering::SeqCst), key.clone());
    let client = support::builder(server.url()).token_provider(provide).events(settings).build().unwrap();
    (client, asked)
}

#[tokio::test]
async fn a_token_is_asked_for_at_each_attempt_and_a_refusal_ends_it() {
    let server = support::server().await;
    let admin = client(&server);
    let answer = async |nth, key| Ok(if nth < 2 { key } else { "expired-token".to_owned() });
    let (client, asked) = asking(&server, settings(), answer);
    let mut all = client.events().all().await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    server.hub().restart();
    assert_eq!(some(&mut all, 2).await, ["disconnected", "reconnected"]);
    admin.buckets().create("b").await.unwrap();
    assert_eq!(some(&mut all, 1).await, ["BucketCreated"]);
    server.hub().restart();
    assert_eq!(some(&mut all, 1).await, ["disconnected"]);
    let error = within(all.next()).await.unwrap().unwrap_err();
    assert_eq!(error.message(), "Admin authentication required for global subscriptions");
    assert!(error.is_denied() && within(all.next()).await.is_none());
    assert_eq!(asked.load(Ordering::SeqCst), 4, "once more for another one than was refused");
}

/// As with calls: one that is refused is asked for once more, and no oftener.
#[tokio::test]
async fn another_token_is_tried_where_one_is_refused() {
    let server = support::server().await;
    let answer = async |nth, key| Ok(if matches!(nth, 0 | 2) { key } else { format!("expired-{nth}") });
    let (client, asked) = asking(&server, settings(), answer);
    let mut all = client.events().all().await.unwrap();
    server.hub().restart();
    assert_eq!(some(&mut all, 2).await, ["disconnected", "reconnected"]);
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    server.hub().restart();
    assert_eq!(some(&mut all, 1).await, ["disconnected"]);
    assert!(within(all.next()).await.unwrap().unwrap_err().is_denied());
    assert_eq!(asked.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn a_token_provider_that_hangs_is_asked_again() {
    let server = support::server().await;
    let impatient = settings().handshake_timeout(Duration::from_secs(1));
    let answer = async |nth, key| if nth == 1 { std::future::pending().await } else { Ok(key) };
    let (client, asked) = asking(&server, impatient, answer);
    let mut all = client.events().all().await.unwrap();
    server.hub().restart();
    assert_eq!(some(&mut all, 2).await, ["disconnected", "reconnected"]);
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_token_provider_that_fails_is_asked_again() {
    let server = support::server().await;
    let answer = async |nth, key| if nth < 2 { Err(io::Error::other("the vault is away")) } else { Ok(key) };
    let (client, asked) = asking(&server, settings(), answer);
    drop(within(client.events().all().send()).await.unwrap());
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

/// The other one is a part of the attempt.
#[tokio::test]
async fn another_token_is_no_further_attempt() {
    let server = support::server().await;
    let once = settings().max_attempts(1);
    let (client, asked) = asking(&server, once, async |nth, key| Ok(if nth == 0 { "expired".to_owned() } else { key }));
    drop(within(client.events().all().send()).await.unwrap());
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

/// That there is no other one just now is not that there is none.
#[tokio::test]
async fn a_provider_that_has_no_other_token_yet_is_asked_again() {
    let server = support::server().await;
    for hangs in [false, true] {
        let answer = move |nth, key| async move {
            match nth {
                0 => Ok("expired".to_owned()),
                1 if hangs => std::future::pending().await,
                1 => Err(io::Error::other("the vault is away")),
                _ => Ok(key),
            }
        };
        let impatient = settings().handshake_timeout(Duration::from_secs(1));
        let (client, asked) = asking(&server, impatient, answer);
        drop(within(client.events().all().send()).await.unwrap());
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    }
}

/// No hub was asked, so no fault on the way can have made it so.
#[tokio::test]
async fn a_token_that_is_none_ends_it_at_any_time() {
    let server = support::server().await;
    let guest = support::bucket(&client(&server)).await.upload_tokens().create().await.unwrap();
    for (wrong, kind) in [("not a token", ErrorKind::InvalidInput), (guest.token.expose(), ErrorKind::PermissionDenied)]
    {
        let wrong = wrong.to_owned();
        let answer = move |nth, key| std::future::ready(Ok(if nth == 0 { key } else { wrong.clone() }));
        let (client, _) = asking(&server, settings(), answer);
        drop(within(client.events().all().send()).await.unwrap());
        within(client.events().state_of_all().wait_for(|state| *state == ConnectionState::Closed)).await;
        assert_eq!(within(client.events().all().send()).await.unwrap_err().kind(), kind);
    }
}

/// It is told like a runtime that has ended, but it is no cause to begin anew where it would happen again.
#[tokio::test]
async fn a_provider_that_panics_ends_it() {
    let server = support::server().await;
    let answer = async |nth, key| if nth == 0 { panic!("as the test wants it") } else { Ok(key) };
    let (client, asked) = asking(&server, settings(), answer);
    let error = within(client.events().all().send()).await.unwrap_err();
    assert_eq!((error.kind(), asked.load(Ordering::SeqCst)), (ErrorKind::Interrupted, 1), "{error}");
    assert!(matches!(client.events().state_of_all().current(), ConnectionState::Refused { .. }));
    drop(within(client.events().all().send()).await.unwrap());
}

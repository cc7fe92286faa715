//! The dashboard example.

#[path = "../../examples/dashboard/service.rs"]
mod service;

use std::time::Duration;

use carbonfiles::events::ConnectionState;
use carbonfiles::{Bucket, Client, RetryPolicy};
use carbonfiles_testserver::{Fault, TestServer};
use tokio::net::TcpListener;

use crate::rig::{self, installed};

/// What a bucket may hold, so that the picture of the page shows one.
const FILES: &[(&str, usize)] = &[
    ("2026/Elba/cliffs.jpg", 3_412_004),
    ("2026/Elba/ferry at night.jpg", 2_871_330),
    ("2026/Elba/Strandläufer.mp4", 9_120_512),
    ("2026/itinerary.pdf", 184_221),
    ("notes & ideas.md", 2_310),
];

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("it ends long before that")
}

struct Scene {
    server: TestServer,
    /// Another client than the dashboard's.
    elsewhere: Bucket,
}

fn client(server: &TestServer) -> Client {
    let builder = Client::builder(server.url()).token(server.admin_key()).http(reqwest::ClientBuilder::no_proxy);
    builder.retry(RetryPolicy::default()).build().unwrap()
}

impl Scene {
    async fn act(&self, words: &str) -> String {
        let (verb, name) = words.split_once(' ').unwrap();
        let file = self.elsewhere.file(name);
        let refusing = || Fault::status(503).on("*", "/hub/files").forever();
        match (verb, name) {
            ("upload", _) => drop(file.upload(name.to_owned().into_bytes()).await.unwrap()),
            ("delete", _) => file.delete().await.unwrap(),
            ("hub", "down") => {
                self.server.inject(refusing());
                self.server.hub().restart();
            }
            ("hub", "up") => self.server.clear_faults(),
            ("server", "restart") => {
                self.server.shutdown_gracefully().await;
                self.server.restart().await.unwrap();
            }
            ("fill", _) => {
                for (name, size) in FILES {
                    self.elsewhere.file(*name).upload(vec![0; *size]).await.unwrap();
                }
            }
            ("uploads", "slow") => drop(self.server.inject(Fault::slow(16 << 20).on("*", "/upload"))),
            ("sha", _) => match file.get_opt().await.unwrap() {
                None => return "gone".to_owned(),
                Some(info) => {
                    let same = file.verify().await.unwrap().valid && info.size == 96 << 20;
                    return if same { "same" } else { "other" }.to_owned();
                }
            },
            _ => panic!("the script asks for {words:?}"),
        }
        "done".to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dashboard_is_live_and_right_whatever_happens_to_the_hub() {
    let server = TestServer::start().await.unwrap();
    let elsewhere = client(&server);
    let made = elsewhere.buckets().create("Holiday pictures").await.unwrap();
    let router = service::router(client(&server), &made.id).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let page = format!("http://{}/", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    let scene = Scene { server, elsewhere: elsewhere.bucket(&made.id) };
    let screenshot = installed("browser").join("dashboard.png");
    let variables = [("PAGE", page.as_str()), ("SCREENSHOT", screenshot.to_str().unwrap())];
    rig::run("dashboard.mjs", &variables, async |words: &str| scene.act(words).await).await;
    serving.abort();
}

/// A reason for there being no connection names the server's address, which is not the page's business.
#[tokio::test]
async fn the_page_is_not_told_where_the_server_is() {
    let server = TestServer::start().await.unwrap();
    let made = client(&server).buckets().create("b").await.unwrap();
    let shown = client(&server);
    let router = service::router(shown.clone(), &made.id).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let events = format!("http://{}/events", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    let address = server.url().trim_start_matches("http://").to_owned();
    server.shutdown().await;
    let is_named = |state: &_| matches!(state, ConnectionState::Waiting { reason, .. } if reason.contains(&address));
    within(shown.events().state().wait_for(is_named)).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut told = http.get(events).send().await.unwrap();
    let mut text = String::new();
    let waiting = async {
        while !text.contains("waiting") {
            text.push_str(&String::from_utf8_lossy(&told.chunk().await.unwrap().unwrap()));
        }
    };
    within(waiting).await;
    assert!(!text.contains(&address), "{text}");
    serving.abort();
}

//! A hub that says what it is told, whenever it is told.

use futures::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{self, within};
use crate::{settings, short};

/// The hub's end of a connection.
struct Line(WebSocketStream<TcpStream>);

impl Line {
    /// The next client, before its handshake is answered.
    async fn open(listener: &TcpListener) -> Self {
        let (stream, _) = within(listener.accept()).await.unwrap();
        let mut line = Self(within(tokio_tungstenite::accept_async(stream)).await.unwrap());
        line.hear("protocol").await;
        line
    }

    /// In one message.
    async fn say(&mut self, records: &[&str]) {
        let message: String = records.iter().map(|record| format!("{record}\x1e")).collect();
        self.0.send(Message::text(message)).await.unwrap();
    }

    /// The id of the next record that has this in it.
    async fn hear(&mut self, what: &str) -> String {
        loop {
            let message = within(self.0.next()).await.unwrap().unwrap().into_text().unwrap();
            if let Some(record) = message.split('\x1e').find(|record| record.contains(what)) {
                let record: serde_json::Value = serde_json::from_str(record).unwrap();
                return record["invocationId"].as_str().unwrap_or_default().to_owned();
            }
        }
    }

    async fn confirm(&mut self, what: &str) {
        let id = self.hear(what).await;
        self.answer(&id).await;
    }

    async fn answer(&mut self, id: &str) {
        self.say(&[&format!("{{\"type\":3,\"invocationId\":\"{id}\",\"result\":null}}")]).await;
    }
}

/// Nothing else wakes a reader for what comes right before the end: neither of a connection, nor of its beginning.
#[tokio::test]
async fn a_reader_is_woken_for_what_came_right_before_the_end() {
    let deleted = |path: &str| format!("{{\"type\":1,\"target\":\"FileDeleted\",\"arguments\":[\"b\",\"{path}\"]}}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let client = support::builder(&url).events(settings()).build().unwrap();
    let subscribing = tokio::spawn(client.bucket("b").events().send());
    let mut line = Line::open(&listener).await;
    line.say(&["{}"]).await;
    line.confirm("SubscribeToBucket").await;
    let mut events = within(subscribing).await.unwrap().unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    // Without a limit of its own, which would wake it.
    let reader = tokio::spawn(async move {
        while let Some(Ok(event)) = events.next().await {
            tell.send(short(&event)).unwrap();
        }
    });
    // It waits, and so it does after each that is told.
    tokio::task::yield_now().await;
    line.say(&[&deleted("1"), "garbage"]).await;
    assert_eq!(within(told.recv()).await.unwrap(), "-1");
    assert_eq!(within(told.recv()).await.unwrap(), "disconnected");
    let mut line = Line::open(&listener).await;
    line.say(&["{}", &deleted("2"), "garbage"]).await;
    assert_eq!(within(told.recv()).await.unwrap(), "-2");
    let mut line = Line::open(&listener).await;
    line.say(&["{}"]).await;
    line.confirm("SubscribeToBucket").await;
    assert_eq!(within(told.recv()).await.unwrap(), "reconnected");
    reader.abort();
}

/// A hub that takes longer than the limit for each answer gives one all the same.
#[tokio::test]
async fn an_answer_that_comes_late_counts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let limit = std::time::Duration::from_secs(1);
    let client = support::builder(&url).events(settings().handshake_timeout(limit)).build().unwrap();
    let first = tokio::spawn(client.bucket("first").events().send());
    let mut line = Line::open(&listener).await;
    line.say(&["{}"]).await;
    line.confirm("\"first\"").await;
    let _first = within(first).await.unwrap().unwrap();
    let late = tokio::spawn(client.bucket("late").events().send());
    let asked = line.hear("\"late\"").await;
    let again = line.hear("\"late\"").await;
    assert_ne!(asked, again);
    line.answer(&asked).await;
    let _late = within(late).await.unwrap().unwrap();
}

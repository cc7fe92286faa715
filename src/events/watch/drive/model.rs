//! A driver against a model of the server: whatever the order of events, however late, doubled or lost with a connection
//! they are, and whenever listings and look-ups are answered, the view ends up as the server is.
//!
//! Seeded histories in paused time, without sockets. More of them, and other ones, by
//! `CARBONFILES_MODEL_RUNS=1000000 CARBONFILES_MODEL_FIRST=… cargo test --features events --lib events::watch::drive::model`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use tokio::time::{sleep, timeout};

use super::*;
use crate::events::event::Event;
use crate::events::settings::EventSettings;
use crate::models::FileInfo;

/// Later than this after its change, no event comes.
const LATEST: Duration = Duration::from_millis(1999);
/// By then, all that goes on by itself has come to its end.
const SETTLED: Duration = Duration::from_secs(600);

/// What is there, by path.
type Files = BTreeMap<String, FileInfo>;

#[derive(Clone)]
struct Model {
    settings: EventSettings,
    /// As with buckets: that a file is stored again is said, but not what it is now, and nothing tells the newer state.
    is_vague: bool,
    state: Arc<Mutex<State>>,
}

struct State {
    random: fastrand::Rng,
    files: Files,
    /// How often something was stored.
    stored: u64,
    is_vague: bool,
    connected: bool,
    /// What a reader that is slow has not read yet.
    unread: Option<Vec<Arrival>>,
    to_client: UnboundedSender<Result<Arrival>>,
    start: Instant,
    /// What happened, for whoever has to find out why it went wrong.
    log: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Store(u8),
    Delete(u8),
    /// What was stored at a path, or that it was deleted.
    Send(u8, Option<Stored>),
    Lose,
    Resume,
    Hold,
    /// So many of what was not read are lost.
    Read(usize),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Stored {
    size: u64,
    /// What `updated_at` says, in seconds.
    stamp: i64,
    is_new: bool,
}

impl State {
    fn note(&mut self, what: &str) {
        let at = self.start.elapsed().as_millis();
        self.log.push(format!("{at} {what}"));
    }

    /// Mostly short, sometimes longer than any event is late.
    fn pause(&mut self) -> Duration {
        let most = [0, 5, 50, 500, 2500][self.random.usize(..5)];
        Duration::from_millis(self.random.u64(..=most))
    }

    fn tell(&mut self, event: Event) {
        let arrival = Arrival { at: Instant::now(), event };
        match &mut self.unread {
            Some(unread) => unread.push(arrival),
            None => drop(self.to_client.unbounded_send(Ok(arrival))),
        }
    }

    /// Carries it out, and says what comes of it when.
    fn act(&mut self, action: &Action) -> Vec<(Duration, Action)> {
        self.note(&format!("{action:?}"));
        match *action {
            Action::Store(path) => {
                self.stored += 1;
                let before = self.files.get(&path.to_string());
                let stored = Stored {
                    size: self.stored,
                    stamp: match before {
                        Some(before) if self.is_vague => before.updated_at.timestamp(),
                        _ => self.stored as i64,
                    },
                    is_new: before.is_none(),
                };
                self.files.insert(path.to_string(), file(path, &stored));
                self.events_of(&Action::Send(path, Some(stored)))
            }
            Action::Delete(path) => match self.files.remove(&path.to_string()) {
                Some(_) => self.events_of(&Action::Send(path, None)),
                None => Vec::new(),
            },
            Action::Send(path, ref stored) => {
                if self.connected {
                    let bucket_id = "b".to_owned();
                    self.tell(match stored {
                        Some(stored) if stored.is_new => Event::FileCreated { bucket_id, file: file(path, stored) },
                        Some(stored) => Event::FileUpdated { bucket_id, file: file(path, stored) },
                        None => Event::FileDeleted { bucket_id, path: path.to_string() },
                    });
                }
                Vec::new()
            }
            Action::Lose => {
                self.connected = false;
                Vec::new()
            }
            Action::Resume => {
                if !std::mem::replace(&mut self.connected, true) {
                    self.tell(Event::Reconnected { missed_since: Utc::now() });
                }
                Vec::new()
            }
            Action::Hold => {
                self.unread.get_or_insert_default();
                Vec::new()
            }
            Action::Read(lost) => {
                let mut unread = self.unread.take().unwrap_or_default();
                let lost = lost.min(unread.len());
                if lost > 0 {
                    self.tell(Event::Lagged(lost as u64));
                }
                for arrival in unread.drain(..).skip(lost) {
                    drop(self.to_client.unbounded_send(Ok(arrival)));
                }
                Vec::new()
            }
        }
    }

    /// An event comes at once or later, and now and then once more.
    fn events_of(&mut self, event: &Action) -> Vec<(Duration, Action)> {
        let times = 1 + usize::from(self.random.u8(..8) == 0);
        (0..times).map(|_| (self.pause().min(LATEST), event.clone())).collect()
    }

    /// What is done and goes wrong in a history.
    fn plan(&mut self) -> BTreeSet<(Instant, usize, Action)> {
        let (mut at, mut plan) = (Instant::now(), BTreeSet::new());
        for n in 0..self.random.usize(2..16) {
            at += self.pause();
            let path = self.random.u8(..2);
            let (action, undo) = match self.random.u8(..16) {
                0..=5 => (Action::Store(path), None),
                6..=11 => (Action::Delete(path), None),
                12..=14 => (Action::Lose, Some(Action::Resume)),
                _ => (Action::Hold, Some(Action::Read(self.random.usize(..4)))),
            };
            plan.insert((at, n, action));
            if let Some(undo) = undo {
                plan.insert((at + self.pause(), n, undo));
            }
        }
        plan
    }
}

fn file(path: u8, stored: &Stored) -> FileInfo {
    let json = serde_json::json!({"path": path.to_string(), "name": "x", "size": stored.size, "mime_type": "x",
        "created_at": "1970-01-01T00:00:00Z", "updated_at": "1970-01-01T00:00:00Z"});
    let mut file: FileInfo = serde_json::from_value(json).unwrap();
    file.updated_at += TimeDelta::seconds(stored.stamp);
    file
}

fn busy() -> Error {
    Error::new(ErrorKind::Server, "busy")
}

impl Model {
    fn new(seed: u64) -> Self {
        let is_vague = seed % 4 == 3;
        let state = State {
            random: fastrand::Rng::with_seed(seed),
            files: Files::new(),
            stored: 0,
            is_vague,
            connected: true,
            unread: None,
            to_client: unbounded().0,
            start: Instant::now(),
            log: Vec::new(),
        };
        Self { settings: EventSettings::default(), is_vague, state: Arc::new(Mutex::new(state)) }
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap())
    }

    async fn wait(&self) {
        let time = self.with(State::pause);
        sleep(time).await;
    }

    /// Whether a request fails.
    fn fails(&self) -> bool {
        self.with(|state| state.random.u8(..16) == 0)
    }

    async fn history(&self) {
        let mut plan = self.with(State::plan);
        let mut count = plan.len();
        while let Some((at, _, action)) = plan.pop_first() {
            sleep_until(at).await;
            for (wait, event) in self.with(|state| state.act(&action)) {
                count += 1;
                plan.insert((Instant::now() + wait, count, event));
            }
        }
        self.with(|state| {
            for end in [Action::Resume, Action::Read(0)] {
                state.act(&end);
            }
        });
    }

    /// What a reader makes of it, who takes a rest now and then.
    async fn follow(&self) -> Files {
        let look_ups = self.with(|state| [0, 1, 64][state.random.usize(..3)]);
        let mut steps = steps(self.clone(), Pace { relist: Duration::MAX, look_ups });
        let mut files = Files::new();
        let over = Instant::now() + SETTLED;
        while let Ok(Some(step)) = timeout(over - Instant::now(), steps.next()).await {
            match step.expect("nothing ends the watch") {
                WatchEvent::Listed(file) | WatchEvent::Changed(file) => drop(files.insert(file.path.clone(), file)),
                WatchEvent::Removed(path) => assert!(files.remove(&path).is_some(), "{path} is removed twice"),
                _ => {}
            }
            if self.with(|state| state.random.u8(..8) == 0) {
                self.wait().await;
            }
        }
        files
    }
}

impl Source for Model {
    type Row = FileInfo;

    fn settings(&self) -> &EventSettings {
        &self.settings
    }

    fn waits(&self) -> Reasons {
        stream::pending().boxed()
    }

    fn subscribe(&self) -> Subscribing {
        let model = self.clone();
        Box::pin(async move {
            model.wait().await;
            // What came before is not for it.
            Ok(model.with(|state| {
                let (to_client, events) = unbounded();
                state.to_client = to_client;
                state.unread = None;
                state.note("subscribed");
                events.boxed()
            }))
        })
    }

    /// Pages of one path each, as it is at some moment.
    fn list(&self) -> BoxStream<'static, Result<Page<FileInfo>>> {
        self.with(|state| state.note("list"));
        let model = self.clone();
        stream::iter(0u8..2)
            .then(move |path| {
                let model = model.clone();
                async move {
                    model.wait().await;
                    if model.fails() {
                        return Err(busy());
                    }
                    let found = model.with(|state| {
                        let found = state.files.get(&path.to_string()).cloned();
                        state.note(&format!("listed {path}: {:?}", found.as_ref().map(|file| file.size)));
                        found
                    });
                    model.wait().await;
                    Ok(Page::new(found.into_iter().collect(), 0, 1, 0))
                }
            })
            .boxed()
    }

    fn look(&self, path: String) -> BoxFuture<'static, Result<Option<FileInfo>>> {
        self.with(|state| state.note(&format!("look {path}")));
        let model = self.clone();
        Box::pin(async move {
            model.wait().await;
            if model.fails() {
                return Err(busy());
            }
            let found = model.with(|state| state.files.get(&path).cloned());
            model.wait().await;
            model.with(|state| state.note(&format!("saw {path}: {:?}", found.as_ref().map(|file| file.size))));
            Ok(found)
        })
    }

    fn told(&self, event: Event) -> Told<FileInfo> {
        match event {
            Event::FileUpdated { file, .. } if self.is_vague => Told::Different(file.path),
            Event::FileCreated { file, .. } | Event::FileUpdated { file, .. } => Told::Stored(file),
            Event::FileDeleted { path, .. } => Told::Gone(path),
            _ => Told::Gap,
        }
    }

    fn is_gone(&self, _: &Error) -> bool {
        false
    }
}

#[tokio::test(start_paused = true)]
async fn a_view_ends_up_as_the_server_is() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let first = number("CARBONFILES_MODEL_FIRST").unwrap_or(0);
    let runs = number("CARBONFILES_MODEL_RUNS").unwrap_or(1_000);
    let mut wrong = 0;
    for seed in first..first + runs {
        let model = Model::new(seed);
        let (seen, ()) = futures::join!(model.follow(), model.history());
        let (truth, log) = model.with(|state| (state.files.clone(), std::mem::take(&mut state.log)));
        if seen != truth {
            wrong += 1;
            let size = |files: &Files| files.iter().map(|(path, file)| (path.clone(), file.size)).collect::<Vec<_>>();
            if wrong <= 3 {
                println!("seed {seed}: seen {:?}, there {:?}\n{}", size(&seen), size(&truth), log.join("\n"));
            }
        }
    }
    assert_eq!(wrong, 0, "of {runs} histories");
}

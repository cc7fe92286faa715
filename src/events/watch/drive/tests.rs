//! A driver in a time of its own, with a source that says what it is told to and notes what it is asked.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use tokio::time::{sleep, timeout};

use super::*;
use crate::events::event::Event;
use crate::events::settings::EventSettings;
use crate::events::watch::source::of_the_stream;
use crate::models::{BucketInfo, FileInfo};

#[derive(Clone)]
struct Fake {
    settings: EventSettings,
    /// How long a listing takes.
    takes: Duration,
    start: Instant,
    notes: Arc<Mutex<Notes>>,
}

struct Notes {
    events: Option<UnboundedReceiver<Result<Arrival>>>,
    /// How the first listings end; the others find nothing.
    failures: VecDeque<Option<Error>>,
    listings: Vec<Duration>,
    look_ups: usize,
    /// After how long look-ups are answered and how; the others never are.
    answers: VecDeque<(Duration, Option<FileInfo>)>,
}

impl Fake {
    fn new(takes: Duration, failures: impl Into<VecDeque<Option<Error>>>) -> (Self, UnboundedSender<Result<Arrival>>) {
        let (tell, events) = unbounded();
        let failures = failures.into();
        let answers = VecDeque::new();
        let notes = Notes { events: Some(events), failures, listings: Vec::new(), look_ups: 0, answers };
        let (settings, start) = (EventSettings::default(), Instant::now());
        (Self { settings, takes, start, notes: Arc::new(Mutex::new(notes)) }, tell)
    }

    /// Follows it for so long, and says what is there in the end.
    async fn follow(&self, time: Duration) -> BTreeSet<String> {
        let mut steps = steps(self.clone(), Pace { relist: Duration::MAX, ..Pace::default() });
        let mut there = BTreeSet::new();
        let over = Instant::now() + time;
        while let Ok(Some(Ok(step))) = timeout(over - Instant::now(), steps.next()).await {
            match step {
                WatchEvent::Listed(file) | WatchEvent::Changed(file) => drop(there.insert(file.path)),
                WatchEvent::Removed(path) => drop(there.remove(&path)),
                _ => {}
            }
        }
        there
    }

    /// When listings began, in seconds.
    fn listings(&self) -> Vec<f64> {
        self.notes.lock().unwrap().listings.iter().map(Duration::as_secs_f64).collect()
    }

    fn look_ups(&self) -> usize {
        self.notes.lock().unwrap().look_ups
    }
}

impl Source for Fake {
    type Row = FileInfo;

    fn settings(&self) -> &EventSettings {
        &self.settings
    }

    fn waits(&self) -> Reasons {
        stream::pending().boxed()
    }

    fn subscribe(&self) -> Subscribing {
        let events = self.notes.lock().unwrap().events.take().unwrap();
        Box::pin(async move { Ok(events.boxed()) })
    }

    fn list(&self) -> BoxStream<'static, Result<Page<FileInfo>>> {
        let mut notes = self.notes.lock().unwrap();
        notes.listings.push(self.start.elapsed());
        let failure = notes.failures.pop_front().flatten();
        let takes = self.takes;
        stream::once(async move {
            sleep(takes).await;
            failure.map_or(Ok(Page::new(Vec::new(), 0, 100, 0)), Err)
        })
        .boxed()
    }

    fn look(&self, _: String) -> BoxFuture<'static, Result<Option<FileInfo>>> {
        let mut notes = self.notes.lock().unwrap();
        notes.look_ups += 1;
        match notes.answers.pop_front() {
            Some((takes, answer)) => Box::pin(sleep(takes).map(|()| Ok(answer))),
            None => Box::pin(std::future::pending()),
        }
    }

    fn told(&self, event: Event) -> Told<FileInfo> {
        match event {
            Event::FileCreated { file, .. } => Told::Stored(file),
            Event::FileDeleted { path, .. } => Told::Gone(path),
            other => of_the_stream(&other),
        }
    }

    fn is_gone(&self, _: &Error) -> bool {
        false
    }
}

fn stored(path: &str) -> Event {
    let json = serde_json::json!({"path": path, "name": path, "size": 1, "mime_type": "x",
        "created_at": "2026-11-21T09:34:42Z", "updated_at": "2026-11-21T09:34:42Z"});
    Event::FileCreated { bucket_id: "b".into(), file: serde_json::from_value(json).unwrap() }
}

fn gone(path: &str) -> Event {
    Event::FileDeleted { bucket_id: "b".into(), path: path.into() }
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn pauses_may_be_for_ever_and_are_never_nothing() {
    for _ in 0..100 {
        assert!(Pace { relist: Duration::MAX, ..Pace::default() }.pause() > AGES / 2);
        assert_eq!(Pace { relist: Duration::ZERO, ..Pace::default() }.pause(), BREATH);
    }
}

/// A server that asks for a rest gets it, whatever causes for a listing arise meanwhile.
#[tokio::test(start_paused = true)]
async fn a_gap_does_not_cut_the_wait_after_a_failure_short() {
    let busy = Error::new(ErrorKind::Server, "busy").with_retry_after(Some(Duration::from_secs(30)));
    let (source, tell) = Fake::new(Duration::ZERO, [None, Some(busy)]);
    let gaps = async {
        for _ in 0..8 {
            let event = Event::Lagged(1);
            tell.unbounded_send(Ok(Arrival { at: Instant::now(), event })).unwrap();
            sleep(Duration::from_secs(1)).await;
        }
    };
    futures::join!(source.follow(MINUTE), gaps);
    let [first, failed, next] = source.listings()[..] else { panic!("{:?}", source.listings()) };
    assert!(first < 0.01 && failed < 1.0 && (failed + 30.0..failed + 31.0).contains(&next), "{first} {failed} {next}");
}

/// Whether two events came close to each other is told by when they came, not by when they are read.
#[tokio::test(start_paused = true)]
async fn events_are_judged_by_when_they_came() {
    for (apart, look_ups) in [(5, 0), (1, 1)] {
        let (source, tell) = Fake::new(Duration::ZERO, []);
        // Later than what may be late of a time before the subscription.
        let now = Instant::now() + MINUTE;
        for (at, event) in [(now, stored("a")), (now + Duration::from_secs(apart), gone("a"))] {
            tell.unbounded_send(Ok(Arrival { at, event })).unwrap();
        }
        source.follow(MINUTE).await;
        assert_eq!((source.look_ups(), source.listings().len()), (look_ups, 1), "{apart} s apart");
    }
}

/// A look-up that was asked before events were lost says nothing of what they said, whenever its answer comes.
#[tokio::test(start_paused = true)]
async fn a_gap_outdates_what_is_being_looked_up() {
    let second = Duration::from_secs(1);
    let (source, tell) = Fake::new(second, []);
    let Event::FileCreated { file, .. } = stored("a") else { panic!() };
    source.notes.lock().unwrap().answers.extend([(second, Some(file)), (Duration::ZERO, None)]);
    let history = async {
        sleep(2 * second).await;
        for event in [gone("a"), stored("a")] {
            tell.unbounded_send(Ok(Arrival { at: Instant::now(), event })).unwrap();
        }
        sleep(second / 2).await;
        // It was deleted, which is seen by the listing that is under way when the answer comes.
        tell.unbounded_send(Ok(Arrival { at: Instant::now(), event: Event::Lagged(1) })).unwrap();
    };
    let (there, ()) = futures::join!(source.follow(MINUTE), history);
    assert_eq!(there, BTreeSet::new());
    assert_eq!((source.look_ups(), source.listings().len()), (2, 2));
}

/// Where many are in doubt at once, a listing stands for the look-ups; and where that goes on, it does so now and then.
#[tokio::test(start_paused = true)]
async fn a_listing_stands_for_too_many_look_ups() {
    for (takes, rest) in [(Duration::ZERO, INSTEAD), (3 * INSTEAD, 3 * INSTEAD)] {
        let (source, tell) = Fake::new(takes, []);
        let doubts = async {
            while source.start.elapsed() < MINUTE / 2 {
                // All of one batch, which is more than the look-ups that are allowed for.
                for n in 0..BATCH / 2 {
                    for event in [stored(&n.to_string()), gone(&n.to_string())] {
                        tell.unbounded_send(Ok(Arrival { at: Instant::now(), event })).unwrap();
                    }
                }
                sleep(BREATH / 2).await;
            }
        };
        futures::join!(source.follow(MINUTE), doubts);
        let listings = source.listings();
        assert_eq!(source.look_ups(), 0);
        assert!(listings.len() > 2, "{listings:?}");
        let pause = (takes + rest).as_secs_f64();
        assert!(listings.windows(2).all(|two| (pause..pause + 1.0).contains(&(two[1] - two[0]))), "{listings:?}");
    }
    let (source, tell) = Fake::new(Duration::ZERO, []);
    for n in 0..Pace::default().look_ups {
        for event in [stored(&n.to_string()), gone(&n.to_string())] {
            tell.unbounded_send(Ok(Arrival { at: Instant::now(), event })).unwrap();
        }
    }
    source.follow(MINUTE).await;
    assert_eq!((source.look_ups(), source.listings().len()), (Pace::default().look_ups, 1));
}

/// Nothing says that they will ever end: they are from a server of another version.
#[tokio::test(start_paused = true)]
async fn events_of_another_shape_make_a_listing_now_and_then() {
    let (source, tell) = Fake::new(Duration::ZERO, []);
    let unreadable = async {
        for _ in 0..1000 {
            let event = Event::Unknown { target: "FileUpdated".into(), arguments: serde_json::Value::Null };
            tell.unbounded_send(Ok(Arrival { at: Instant::now(), event })).unwrap();
            sleep(Duration::from_millis(10)).await;
        }
    };
    futures::join!(source.follow(Duration::from_secs(10)), unreadable);
    let listings = source.listings();
    assert!((3..=6).contains(&listings.len()), "{listings:?}");
}

/// A bucket whose time has passed by this clock, and by the server's only after so many listings.
#[derive(Clone)]
struct Overdue {
    settings: EventSettings,
    start: Instant,
    listed: usize,
    event: Option<Event>,
    /// When listings began, in seconds.
    listings: Arc<Mutex<Vec<f64>>>,
}

fn overdue() -> BucketInfo {
    let past = Utc::now() - Duration::from_secs(1);
    let json = serde_json::json!({"id": "brief", "name": "brief", "owner": "admin", "file_count": 0, "total_size": 0,
        "created_at": past, "expires_at": past});
    serde_json::from_value(json).unwrap()
}

impl Source for Overdue {
    type Row = BucketInfo;

    fn settings(&self) -> &EventSettings {
        &self.settings
    }

    fn waits(&self) -> Reasons {
        stream::pending().boxed()
    }

    fn subscribe(&self) -> Subscribing {
        let told = self.event.clone().map(|event| Ok(Arrival { at: Instant::now(), event }));
        Box::pin(async move { Ok(stream::iter(told).chain(stream::pending()).boxed()) })
    }

    fn list(&self) -> BoxStream<'static, Result<Page<BucketInfo>>> {
        let mut listings = self.listings.lock().unwrap();
        listings.push(self.start.elapsed().as_secs_f64().round());
        let rows = if listings.len() <= self.listed { vec![overdue()] } else { Vec::new() };
        stream::iter([Ok(Page::new(rows, 0, 100, 0))]).boxed()
    }

    fn look(&self, _: String) -> BoxFuture<'static, Result<Option<BucketInfo>>> {
        Box::pin(std::future::pending())
    }

    fn told(&self, event: Event) -> Told<BucketInfo> {
        match event {
            Event::BucketCreated { bucket } => Told::Stored(bucket),
            _ => Told::Nothing,
        }
    }

    fn is_gone(&self, _: &Error) -> bool {
        false
    }
}

/// Where this clock is ahead of the server's, the end of a bucket is waited for.
#[tokio::test(start_paused = true)]
async fn a_bucket_whose_time_has_passed_goes_when_the_server_says_so() {
    for (listed, event, times) in
        [(3, None, &[0.0, 1.0, 3.0, 7.0][..]), (0, Some(Event::BucketCreated { bucket: overdue() }), &[0.0, 1.0])]
    {
        let (settings, start, listings) = (EventSettings::default(), Instant::now(), Arc::<Mutex<_>>::default());
        let source = Overdue { settings, start, listed, event, listings: listings.clone() };
        let mut steps = steps(source, Pace { relist: Duration::MAX, ..Pace::default() });
        let removed = async { while !matches!(steps.next().await, Some(Ok(WatchEvent::Removed(_)))) {} };
        timeout(Duration::from_secs(10), removed).await.unwrap();
        assert!(timeout(MINUTE, steps.next()).await.is_err());
        assert_eq!(*listings.lock().unwrap(), times);
    }
}

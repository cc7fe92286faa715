use super::*;
use crate::error::ErrorKind;
use crate::events::queue::{Overflow, Room};
use chrono::TimeDelta;
use std::sync::LazyLock;
use tokio::runtime::{Builder, Runtime};

#[derive(Default)]
struct Hub {
    registry: Registry,
    groups: HashSet<String>,
}

impl Hub {
    /// Writes what is planned and says it as `+bucket` and `-bucket/path`, in order.
    fn plan(&mut self) -> Vec<(u64, String)> {
        let mut out = Vec::new();
        self.registry.plan(&mut out);
        let records = out.split(|b| *b == 0x1e).filter(|record| !record.is_empty());
        let said = records.map(|record| {
            let record: serde_json::Value = serde_json::from_slice(record).unwrap();
            let sign = if record["target"].as_str().unwrap().starts_with("Sub") { '+' } else { '-' };
            let what: Vec<_> = record["arguments"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
            let what = if what.is_empty() { "all".to_owned() } else { what.join("/") };
            match sign {
                '+' => self.groups.insert(what.clone()),
                _ => self.groups.remove(&what),
            };
            (record["invocationId"].as_str().unwrap().parse().unwrap(), format!("{sign}{what}"))
        });
        said.collect()
    }

    /// Carries out everything until nothing is left to do.
    fn settle(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let said = self.plan();
            if said.is_empty() {
                assert!(self.registry.is_settled(u64::MAX));
                return all;
            }
            for (id, what) in said {
                self.registry.completed(id, None, &mut Vec::new());
                all.push(what);
            }
        }
    }

    fn add(&mut self, interest: &Interest) -> (u64, Arc<Queue>) {
        let queue = Arc::new(Queue::new(room_for(10), Overflow::DropOldest));
        (self.registry.add(interest, Filter::default(), queue.clone(), runtime()), queue)
    }
}

fn runtime() -> Handle {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().build().unwrap());
    RUNTIME.handle().clone()
}

fn room_for(events: usize) -> Room {
    Room { events, bytes: usize::MAX }
}

fn bucket(id: &str) -> Interest {
    Interest::Bucket(id.into())
}

fn file(id: &str, path: &str) -> Interest {
    Interest::File(id.into(), path.into())
}

fn events(queue: &Queue) -> Vec<Event> {
    let mut taken = Default::default();
    let _ = queue.poll_take(&mut std::task::Context::from_waker(Waker::noop()), &mut taken);
    taken.into_iter().map(|arrival| arrival.open().event).collect()
}

#[test]
fn two_streams_of_a_bucket_join_once_and_the_last_one_leaves() {
    let mut hub = Hub::default();
    let (one, _) = hub.add(&bucket("a"));
    let (two, queue) = hub.add(&bucket("a"));
    assert!(!queue.is_in_force());
    assert_eq!(hub.settle(), ["+a"]);
    assert!(queue.is_in_force());
    let (three, third) = hub.add(&bucket("a"));
    assert!(third.is_in_force(), "at once: the group is joined");
    assert_eq!(hub.settle(), [""; 0]);
    hub.registry.remove(&bucket("a"), one);
    hub.registry.remove(&bucket("a"), three);
    assert_eq!(hub.settle(), [""; 0]);
    assert!(!hub.registry.is_empty());
    hub.registry.remove(&bucket("a"), two);
    assert!(hub.registry.is_empty());
    assert_eq!(hub.settle(), ["-a"]);
    assert!(hub.registry.is_empty() && hub.registry.buckets.is_empty());
}

#[test]
fn the_widest_group_is_joined_before_the_narrower_is_left() {
    let mut hub = Hub::default();
    let (_, one) = hub.add(&file("a", "x/y.txt"));
    hub.add(&file("a", "z"));
    assert_eq!(hub.settle().len(), 2);
    let (whole, _) = hub.add(&bucket("a"));
    let said = hub.plan();
    assert_eq!(said.iter().map(|s| s.1.as_str()).collect::<Vec<_>>(), ["+a"]);
    hub.registry.completed(said[0].0, None, &mut Vec::new());
    assert_eq!(hub.settle().iter().filter(|s| s.starts_with("-a/")).count(), 2);
    // While the bucket is joined, a file of it needs nothing.
    let (_, covered) = hub.add(&file("a", "new"));
    assert!(covered.is_in_force());
    assert_eq!(hub.settle(), [""; 0]);
    let mut wakers = Vec::new();
    hub.registry
        .deliver(Parcel::now(Event::FileDeleted { bucket_id: "a".into(), path: "x/y.txt".into() }), &mut wakers);
    assert_eq!(events(&one).len(), 1);
    assert_eq!(events(&covered).len(), 0);
    // And back: the files are joined before the bucket is left.
    hub.registry.remove(&bucket("a"), whole);
    let said = hub.plan();
    assert_eq!(said.len(), 3);
    assert!(said.iter().all(|s| s.1.starts_with('+')), "{said:?}");
    for (id, _) in said {
        hub.registry.completed(id, None, &mut Vec::new());
    }
    assert_eq!(hub.settle(), ["-a"]);
}

#[test]
fn copies_may_come_only_while_groups_overlap() {
    let mut hub = Hub::default();
    let event = |path: &str| Event::FileDeleted { bucket_id: "a".into(), path: path.into() };
    let answer = |hub: &mut Hub, id| hub.registry.completed(id, None, &mut Vec::new());
    hub.add(&file("a", "x"));
    hub.settle();
    assert!(!hub.registry.may_be_doubled(&event("x")));
    let (whole, _) = hub.add(&bucket("a"));
    let (join, _) = hub.plan().remove(0);
    assert!(hub.registry.may_be_doubled(&event("x")) && !hub.registry.may_be_doubled(&event("y")));
    answer(&mut hub, join);
    let (leave, what) = hub.plan().remove(0);
    assert_eq!(what, "-a/x");
    assert!(hub.registry.may_be_doubled(&event("x")), "they may be on their way");
    answer(&mut hub, leave);
    assert!(!hub.registry.may_be_doubled(&event("x")));
    hub.registry.remove(&bucket("a"), whole);
    let (join, _) = hub.plan().remove(0);
    answer(&mut hub, join);
    hub.plan();
    assert!(hub.registry.may_be_doubled(&event("x")));
    hub.registry.disconnected("", &mut Vec::new());
    assert!(!hub.registry.may_be_doubled(&event("x")));
}

#[test]
fn a_refusal_ends_those_who_need_the_group_and_nobody_else() {
    let mut hub = Hub::default();
    let (_, all) = hub.add(&Interest::All);
    let (_, other) = hub.add(&bucket("a"));
    let said = hub.plan();
    for (id, what) in said {
        let error = Error::new(ErrorKind::PermissionDenied, "Admin authentication required");
        hub.registry.completed(id, Some(&error).filter(|_| what == "+all"), &mut Vec::new());
    }
    assert!(all.has_ended() && !all.is_in_force());
    assert!(!other.has_ended() && other.is_in_force());
    assert_eq!(hub.settle(), [""; 0]);
}

#[test]
fn loss_and_return_are_told_once_to_those_who_were_in_force() {
    let mut hub = Hub::default();
    let (_, early) = hub.add(&bucket("a"));
    hub.settle();
    let mut wakers = Vec::new();
    hub.registry.disconnected("gone", &mut wakers);
    let (_, late) = hub.add(&file("a", "x"));
    assert!(!late.is_in_force());
    hub.registry.disconnected("gone again", &mut wakers);
    assert_eq!(hub.settle(), ["+a"]);
    assert!(late.is_in_force(), "the bucket's group serves it");
    let now = Utc::now();
    let since = now - TimeDelta::seconds(1);
    hub.registry.missing(since);
    hub.registry.missing(now);
    hub.registry.reconnected(now, &mut wakers);
    hub.registry.missing(now);
    hub.registry.reconnected(now, &mut wakers);
    assert_eq!(
        events(&early),
        [Event::Disconnected { reason: "gone".into() }, Event::Reconnected { missed_since: since }]
    );
    assert_eq!(events(&late), []);
}

#[test]
fn what_is_missing_has_begun_before_it_is_told() {
    let mut hub = Hub::default();
    let (_, queue) = hub.add(&bucket("a"));
    hub.settle();
    let now = Utc::now();
    hub.registry.missing(now);
    hub.registry.disconnected("", &mut Vec::new());
    // The clock was set back meanwhile.
    let before = now - TimeDelta::hours(1);
    hub.registry.reconnected(before, &mut Vec::new());
    assert_eq!(events(&queue).pop(), Some(Event::Reconnected { missed_since: before }));
}

/// In the others, nothing may be waited for.
#[test]
fn runtimes_that_run_by_themselves_come_first() {
    let mut hub = Hub::default();
    let several = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    for runtime in [runtime(), several.handle().clone(), runtime()] {
        let queue = Arc::new(Queue::new(room_for(1), Overflow::DropOldest));
        hub.registry.add(&bucket("a"), Filter::default(), queue, runtime);
    }
    let alone: Vec<_> =
        hub.registry.runtimes().iter().map(|r| r.runtime_flavor() == RuntimeFlavor::CurrentThread).collect();
    assert_eq!(alone, [false, true], "each once");
}

#[test]
fn newcomers_do_not_hold_up_those_who_were_first() {
    let mut hub = Hub::default();
    hub.add(&bucket("a"));
    let first = hub.plan();
    let last = hub.registry.last_id();
    hub.add(&bucket("b"));
    hub.plan();
    assert!(!hub.registry.is_settled(last));
    hub.registry.completed(first[0].0, None, &mut Vec::new());
    assert!(hub.registry.is_settled(last));
}

#[test]
fn a_file_that_its_bucket_served_was_in_force() {
    let mut hub = Hub::default();
    let (whole, _) = hub.add(&bucket("a"));
    hub.settle();
    hub.add(&file("a", "x"));
    hub.settle();
    hub.registry.remove(&bucket("a"), whole);
    let said = hub.plan();
    assert_eq!(said[0].1, "+a/x");
    assert!(hub.registry.was_in_force(said[0].0));
    hub.add(&file("b", "x"));
    let said = hub.plan();
    assert!(!hub.registry.was_in_force(said[0].0));
}

/// After a loss, a newcomer's bucket is joined in place of its files: who waits for a file was there before.
#[test]
fn a_file_that_its_bucket_is_to_serve_was_in_force() {
    let mut hub = Hub::default();
    hub.add(&file("a", "x"));
    hub.settle();
    let (whole, _) = hub.add(&bucket("a"));
    let said = hub.plan();
    assert_eq!(said[0].1, "+a");
    assert!(!hub.registry.was_in_force(said[0].0), "the file has its own group");
    hub.registry.disconnected("", &mut Vec::new());
    let said = hub.plan();
    assert_eq!((said.len(), said[0].1.as_str()), (1, "+a"));
    assert!(hub.registry.was_in_force(said[0].0));
    // Nor is it served as long as its own group is only asked for.
    hub.registry.remove(&bucket("a"), whole);
    assert_eq!(hub.plan()[0].1, "+a/x");
    assert!(hub.registry.was_in_force(said[0].0));
}

/// What can't be told is about whom: everybody has missed something.
#[test]
fn a_known_event_that_names_no_bucket_is_for_all() {
    let mut hub = Hub::default();
    let queues = [&Interest::All, &bucket("a"), &file("b", "x")].map(|interest| hub.add(interest).1);
    let unknown = |target: &str| Event::Unknown { target: target.into(), arguments: serde_json::json!([{"id": "a"}]) };
    for target in ["FileCreated", "FileScanned"] {
        hub.registry.deliver(Parcel::now(unknown(target)), &mut Vec::new());
    }
    let [all, bucket, file] = queues.map(|queue| events(&queue));
    assert_eq!(all, [unknown("FileCreated"), unknown("FileScanned")]);
    assert_eq!(bucket, [unknown("FileCreated")]);
    assert_eq!(file, [unknown("FileCreated")]);
}

/// The hub is slow, and answers what nobody waits for any more.
#[test]
fn a_late_answer_counts() {
    let mut hub = Hub::default();
    let (id, queue) = hub.add(&bucket("a"));
    let mut again = Vec::new();
    let mut asked = vec![hub.plan()[0].0];
    for _ in 0..2 {
        hub.registry.ask_again(asked[asked.len() - 1], &mut again);
        asked.push(hub.registry.oldest_asked().unwrap());
    }
    assert!(String::from_utf8(again).unwrap().matches("SubscribeToBucket").count() == 2 && !queue.is_in_force());
    hub.registry.completed(asked[0], None, &mut Vec::new());
    assert!(queue.is_in_force() && hub.registry.is_settled(u64::MAX));
    // The others come, too, and change nothing.
    let refusal = Error::new(ErrorKind::Server, "too much");
    hub.registry.completed(asked[1], Some(&refusal), &mut Vec::new());
    assert!(!queue.has_ended());
    assert_eq!(hub.plan().len(), 0);
    hub.registry.remove(&bucket("a"), id);
    assert_eq!(hub.settle(), ["-a"]);
    hub.registry.completed(asked[2], None, &mut Vec::new());
    assert!(hub.registry.buckets.is_empty(), "the hub has left it since");
}

/// Nor does the answer to a join that was taken back since.
#[test]
fn a_late_answer_to_what_was_left_counts_for_nothing() {
    let mut hub = Hub::default();
    let (id, _) = hub.add(&bucket("a"));
    let first = hub.plan()[0].0;
    hub.registry.ask_again(first, &mut Vec::new());
    hub.registry.remove(&bucket("a"), id);
    hub.plan();
    let (_, queue) = hub.add(&bucket("a"));
    assert_eq!(hub.plan()[0].1, "+a");
    hub.registry.completed(first, None, &mut Vec::new());
    assert!(!queue.is_in_force());
}

#[test]
fn a_connection_is_of_use_while_a_group_is_joined() {
    for interest in [Interest::All, bucket("a"), file("a", "x")] {
        let mut hub = Hub::default();
        hub.add(&interest);
        assert!(!hub.registry.is_of_use());
        hub.settle();
        assert!(hub.registry.is_of_use());
        hub.registry.disconnected("", &mut Vec::new());
        assert!(!hub.registry.is_of_use());
    }
}

/// No plan is made while there is no connection.
#[test]
fn nothing_is_left_of_those_who_went_while_there_was_no_connection() {
    let mut hub = Hub::default();
    hub.add(&bucket("kept"));
    hub.settle();
    hub.registry.disconnected("", &mut Vec::new());
    for n in 0..10 {
        for interest in [file("kept", &n.to_string()), file(&n.to_string(), "x"), bucket(&n.to_string())] {
            let (id, _) = hub.add(&interest);
            hub.registry.remove(&interest, id);
            // As a stream does that had ended by itself.
            hub.registry.remove(&interest, id);
        }
    }
    assert!(hub.registry.buckets.len() == 1 && hub.registry.buckets["kept"].files.is_empty());
    assert_eq!(hub.registry.changed, HashSet::from(["kept".into()]));
    assert_eq!(hub.settle(), ["+kept"]);
}

#[test]
fn a_subscription_that_fails_by_its_policy_leaves_its_group() {
    let mut hub = Hub::default();
    let queue = Arc::new(Queue::new(room_for(1), Overflow::Fail));
    hub.registry.add(&bucket("a"), Filter::default(), queue, runtime());
    hub.settle();
    for _ in 0..2 {
        hub.registry.deliver(Parcel::now(Event::BucketDeleted { bucket_id: "a".into() }), &mut Vec::new());
    }
    assert!(hub.registry.is_empty());
    assert_eq!(hub.settle(), ["-a"]);
}

/// Random comings, goings, losses and slow answers: at rest the hub's groups are exactly the widest that are needed, and
/// at no time was a subscription in force without a group that serves it.
#[test]
fn groups_are_right_after_any_history() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut hub = Hub::default();
        let mut here: Vec<(Interest, u64, Arc<Queue>, bool)> = Vec::new();
        let mut unanswered = std::collections::VecDeque::new();
        let choices = [bucket("a"), bucket("b"), file("a", "1"), file("a", "2"), file("b", "1"), Interest::All];
        for _ in 0..60 {
            match random.u8(0..10) {
                0..=3 => {
                    let interest = choices[random.usize(..choices.len())].clone();
                    let (id, queue) = hub.add(&interest);
                    here.push((interest, id, queue, false));
                }
                4..=6 if !here.is_empty() => {
                    let (interest, id, ..) = here.swap_remove(random.usize(..here.len()));
                    hub.registry.remove(&interest, id);
                }
                7 if random.u8(0..4) == 0 => {
                    hub.registry.disconnected("", &mut Vec::new());
                    hub.groups.clear();
                    unanswered.clear();
                    here.iter_mut().for_each(|(.., lost)| *lost = true);
                }
                _ => {
                    if let Some((id, _)) = unanswered.pop_front() {
                        hub.registry.completed(id, None, &mut Vec::new());
                    }
                }
            }
            unanswered.extend(hub.plan());
            for (interest, _, queue, _) in here.iter().filter(|(.., lost)| !lost) {
                let served = match interest {
                    Interest::All => hub.groups.contains("all"),
                    Interest::Bucket(id) => hub.groups.contains(&**id),
                    Interest::File(id, path) => {
                        hub.groups.contains(&**id) || hub.groups.contains(&format!("{id}/{path}"))
                    }
                };
                assert!(served || !queue.is_in_force(), "seed {seed}: {interest:?}");
            }
        }
        while let Some((id, _)) = unanswered.pop_front() {
            hub.registry.completed(id, None, &mut Vec::new());
            unanswered.extend(hub.plan());
        }
        let wanted: HashSet<String> = here
            .iter()
            .filter_map(|(interest, ..)| match interest {
                Interest::All => Some("all".to_owned()),
                Interest::Bucket(id) => Some(id.to_string()),
                Interest::File(id, _) if here.iter().any(|(i, ..)| *i == bucket(id)) => None,
                Interest::File(id, path) => Some(format!("{id}/{path}")),
            })
            .collect();
        assert_eq!(hub.groups, wanted, "seed {seed}");
    }
}

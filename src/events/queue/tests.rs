use super::*;
use crate::models::FileInfo;
use proptest::prelude::*;

fn file(path: &str, size: u64) -> FileInfo {
    let json = serde_json::json!({"path": path, "name": path, "size": size, "mime_type": "x",
        "created_at": "2026-11-21T09:34:42Z", "updated_at": "2026-11-21T09:34:42Z"});
    serde_json::from_value(json).unwrap()
}

fn created(path: &str, size: u64) -> Event {
    Event::FileCreated { bucket_id: "b".into(), file: file(path, size) }
}

fn updated(path: &str, size: u64) -> Event {
    Event::FileUpdated { bucket_id: "b".into(), file: file(path, size) }
}

fn room_for(events: usize, overflow: Overflow) -> Queue {
    Queue::new(Room { events, bytes: usize::MAX }, overflow)
}

fn push(queue: &Queue, event: Event) {
    let _ = queue.push(Arc::new(Parcel::now(event)));
}

fn take(queue: &Queue) -> Vec<Event> {
    let mut all = Vec::new();
    loop {
        let mut taken = VecDeque::new();
        match queue.poll_take(&mut Context::from_waker(Waker::noop()), &mut taken) {
            Poll::Ready(Some(Ok(()))) => all.extend(taken.into_iter().map(|parcel| parcel.open().event)),
            _ => return all,
        }
    }
}

#[test]
fn what_does_not_fit_is_told() {
    let queue = room_for(3, Overflow::DropOldest);
    for n in 0..5 {
        push(&queue, created("a", n));
    }
    assert_eq!(take(&queue), [Event::Lagged(2), created("a", 2), created("a", 3), created("a", 4)]);
    assert_eq!(take(&queue), []);
}

/// Whoever shows whether there is a connection does so by these two, and there may be no third for a long time.
#[test]
fn the_last_word_on_the_connection_is_not_lost() {
    let gone = || Event::Disconnected { reason: "gone".into() };
    let back = || Event::Reconnected { missed_since: chrono::DateTime::UNIX_EPOCH };
    for overflow in [Overflow::DropOldest, Overflow::CoalesceByPath] {
        let queue = room_for(2, overflow);
        for event in [gone(), back(), created("a", 1), created("b", 1)] {
            push(&queue, event);
        }
        assert_eq!(take(&queue), [Event::Lagged(1), back(), created("a", 1), created("b", 1)]);
        for event in [created("a", 1), back(), gone(), created("b", 1), created("c", 1)] {
            push(&queue, event);
        }
        assert_eq!(take(&queue), [Event::Lagged(2), gone(), created("b", 1), created("c", 1)]);
        for event in [back(), created("b", 1), created("c", 1)] {
            push(&queue, event);
        }
        assert_eq!(take(&queue), [back(), created("b", 1), created("c", 1)], "nothing is missing");
        assert_eq!(take(&queue), []);
    }
}

/// However few they are, long records do not fill the memory; and the longest still has a place.
#[test]
fn bytes_count_as_well() {
    let push = |queue: &Queue, path: &str, length| {
        let _ = queue.push(Arc::new(Parcel { length, ..Parcel::now(created(path, 1)) }));
    };
    let room = Room { events: 100, bytes: 10 };
    let queue = Queue::new(room, Overflow::DropOldest);
    for (path, length) in [("a", 4), ("b", 4), ("c", 2), ("d", 6), ("e", 1)] {
        push(&queue, path, length);
    }
    assert_eq!(take(&queue), [Event::Lagged(2), created("c", 1), created("d", 1), created("e", 1)]);
    for (path, length) in [("a", 11), ("b", 12)] {
        push(&queue, path, length);
    }
    assert_eq!(take(&queue), [Event::Lagged(1), created("b", 1)]);
    let queue = Queue::new(room, Overflow::CoalesceByPath);
    for length in 5..10 {
        push(&queue, "a", length);
    }
    assert_eq!(take(&queue), [created("a", 1)], "what was taken back makes room");
    let queue = Queue::new(room, Overflow::Fail);
    for path in ["a", "b", "c"] {
        push(&queue, path, 5);
    }
    assert!(queue.has_ended());
}

#[test]
fn the_newest_of_a_path_stays_in_the_order_of_arrival() {
    let queue = room_for(3, Overflow::CoalesceByPath);
    let deleted = |path: &str| Event::FileDeleted { bucket_id: "b".into(), path: path.into() };
    for event in [created("a", 1), updated("b", 1), updated("a", 2), updated("b", 2), deleted("c"), updated("a", 3)] {
        push(&queue, event);
    }
    assert_eq!(take(&queue), [updated("b", 2), deleted("c"), created("a", 3)]);
    // What is older but comes later does not hide what is newer.
    let mut newer = file("a", 9);
    newer.updated_at += std::time::Duration::from_secs(1);
    push(&queue, Event::FileUpdated { bucket_id: "b".into(), file: newer.clone() });
    push(&queue, updated("a", 1));
    assert_eq!(take(&queue), [Event::FileUpdated { bucket_id: "b".into(), file: newer }]);
    for path in ["a", "b", "c", "d", "b"] {
        push(&queue, updated(path, 1));
    }
    assert_eq!(take(&queue), [Event::Lagged(1), updated("c", 1), updated("d", 1), updated("b", 1)]);
}

/// Else a reader that knows nothing of it would never hear of the file.
#[test]
fn what_is_not_known_takes_the_place_of_nothing() {
    let queue = room_for(9, Overflow::CoalesceByPath);
    let scanned =
        || Event::Unknown { target: "FileScanned".into(), arguments: serde_json::json!(["b", {"path": "a"}]) };
    for event in [created("a", 1), scanned(), updated("a", 2), scanned(), scanned(), updated("a", 3), updated("a", 4)] {
        push(&queue, event);
    }
    let expected = [created("a", 1), scanned(), updated("a", 2), scanned(), scanned(), updated("a", 4)];
    assert_eq!(take(&queue), expected);
}

/// No event is so late: the server's clock was set back.
#[test]
fn what_is_much_older_by_its_time_is_newer() {
    let queue = room_for(9, Overflow::CoalesceByPath);
    let at = |seconds: i64| {
        let mut file = file("a", seconds as u64);
        file.updated_at += chrono::TimeDelta::seconds(seconds);
        file
    };
    for (earlier, later, kept) in [(30, 28, 30), (30, 27, 27)] {
        for seconds in [earlier, later] {
            push(&queue, Event::FileUpdated { bucket_id: "b".into(), file: at(seconds) });
        }
        assert_eq!(take(&queue), [Event::FileUpdated { bucket_id: "b".into(), file: at(kept) }]);
    }
}

#[test]
fn events_keep_the_time_at_which_they_came() {
    let start = tokio::time::Instant::now();
    let queue = room_for(3, Overflow::CoalesceByPath);
    for (seconds, event) in [(1, created("a", 1)), (2, created("b", 1)), (3, updated("a", 2))] {
        let at = start + std::time::Duration::from_secs(seconds);
        let _ = queue.push(Arc::new(Parcel { at, length: 0, event }));
    }
    let mut taken = VecDeque::new();
    assert!(queue.poll_take(&mut Context::from_waker(Waker::noop()), &mut taken).is_ready());
    let came: Vec<_> = taken.iter().map(|arrival| (arrival.at - start).as_secs()).collect();
    assert_eq!(came, [2, 3]);
}

#[test]
fn failing_gives_what_waited_and_then_the_error() {
    let queue = room_for(2, Overflow::Fail);
    for n in 0..4 {
        push(&queue, created("a", n));
    }
    let mut taken = VecDeque::new();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(queue.poll_take(&mut cx, &mut taken), Poll::Ready(Some(Ok(())))));
    assert_eq!(taken.len(), 2);
    taken.clear();
    let Poll::Ready(Some(Err(error))) = queue.poll_take(&mut cx, &mut taken) else { panic!() };
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    assert!(matches!(queue.poll_take(&mut cx, &mut taken), Poll::Ready(None)));
}

proptest! {
    /// However a reader dawdles, each path ends as it was last, and nothing is lost without a word.
    #[test]
    fn coalescing_keeps_the_last_of_each_path(
        steps in proptest::collection::vec((0u8..6, 0u8..8), 0..300),
        capacity in 1usize..10,
    ) {
        let queue = room_for(capacity, Overflow::CoalesceByPath);
        let (mut last, mut seen, mut lagged) = (HashMap::new(), HashMap::new(), false);
        let note = |events: Vec<Event>, seen: &mut HashMap<String, u64>, lagged: &mut bool| {
            for event in events {
                match event {
                    Event::FileUpdated { file, .. } => drop(seen.insert(file.path, file.size)),
                    Event::Lagged(_) => *lagged = true,
                    _ => unreachable!(),
                }
            }
        };
        for (n, (path, read)) in steps.into_iter().enumerate() {
            push(&queue, updated(&path.to_string(), n as u64));
            last.insert(path.to_string(), n as u64);
            prop_assert!(queue.lock().waiting.len() <= 2 * capacity + 1);
            if read == 0 {
                note(take(&queue), &mut seen, &mut lagged);
            }
        }
        note(take(&queue), &mut seen, &mut lagged);
        for (path, size) in last {
            prop_assert!(lagged || seen.get(&path) == Some(&size));
        }
    }
}

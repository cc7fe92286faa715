//! P: live events. They are not in the crate yet; each of these gets its function when they are.

use std::future::{Ready, ready};

use crate::bench::Bench;
use crate::operation::{Operation, Outcome, Trouble, operations};

pub(crate) const OPERATIONS: &[Operation] = operations!["events":
    P1 not_yet "connect, subscribe to a bucket, FileCreated arrives typed";
    P2 not_yet "FileUpdated and FileDeleted arrive";
    P3 not_yet "subscribe to one file only";
    P4 not_yet "subscribe to all: BucketCreated arrives";
    P5 not_yet "unsubscribe stops them";
    P6 not_yet "reconnects by itself after a drop";
    P7 not_yet "subscriptions are back after the reconnect";
    P8 not_yet "the application can see loss and return of the connection";
    P9 not_yet "still alive after 45 s of silence";
];

fn not_yet(_bench: Bench) -> Ready<Outcome> {
    ready(Err(Trouble::Skipped("this version of the crate has no live events".to_owned())))
}

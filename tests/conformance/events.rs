//! P: live events. They are a feature of the crate: without it, they are skipped.

use crate::operation::{Operation, operations};

#[cfg(feature = "events")]
mod live;
#[cfg(feature = "events")]
use live::*;
#[cfg(not(feature = "events"))]
use without::*;

pub(crate) const OPERATIONS: &[Operation] = operations!["events":
    P1 created "connect, subscribe to a bucket, FileCreated arrives typed";
    P2 updated_and_deleted "FileUpdated and FileDeleted arrive";
    P3 one_file "subscribe to one file only";
    P4 all "subscribe to all: BucketCreated arrives";
    P5 unsubscribe "unsubscribe stops them";
    P6 reconnect "reconnects by itself after a drop";
    P7 subscriptions_return "subscriptions are back after the reconnect";
    P8 loss_and_return "the application can see loss and return of the connection";
    P9 long_silence "still alive after 45 s of silence";
];

#[cfg(not(feature = "events"))]
mod without {
    use std::future::{Ready, ready};

    use crate::bench::Bench;
    use crate::operation::{Outcome, Trouble};

    macro_rules! skipped {
        ($($name:ident)*) => {
            $(pub(super) fn $name(_bench: Bench) -> Ready<Outcome> {
                ready(Err(Trouble::Skipped("this program was built without the feature `events`".to_owned())))
            })*
        };
    }

    skipped! { created updated_and_deleted one_file all unsubscribe reconnect subscriptions_return loss_and_return long_silence }
}

//! How much a client has under way at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Which way the bytes go. Each way has limits of its own: what is downloaded can then be uploaded as it comes, without
/// the one waiting for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

/// The limits of a client: transfers in flight, and bytes that they may hold.
///
/// They can't deadlock: a transfer asks for all it will need at its start, the count first and the bytes second, after
/// it has its turn at its path; and nobody waits for a turn at a path while holding any of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Limits {
    up: Lane,
    down: Lane,
}

#[derive(Debug, Clone, Default)]
struct Lane {
    transfers: Option<Arc<Semaphore>>,
    /// In KiB, and how many there are.
    buffers: Option<(Arc<Semaphore>, u32)>,
}

/// The room that a transfer takes up until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Room {
    _transfer: Option<OwnedSemaphorePermit>,
    _buffers: Option<OwnedSemaphorePermit>,
}

const KIB: u64 = 1 << 10;

impl Limits {
    /// At most so many transfers each way, and half of the bytes for each way; `None` is no limit.
    pub(crate) fn new(transfers: Option<usize>, bytes: Option<u64>) -> Self {
        let lane = || Lane {
            transfers: transfers.map(|count| Arc::new(Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS)))),
            buffers: bytes.map(|bytes| {
                let kib = (bytes / 2 / KIB).clamp(1, u64::from(u32::MAX >> 4)) as u32;
                (Arc::new(Semaphore::new(kib as usize)), kib)
            }),
        };
        Self { up: lane(), down: lane() }
    }

    /// Waits for room for a transfer that holds up to so many bytes; one that needs more than there ever is goes alone.
    pub(crate) async fn room(&self, way: Way, bytes: u64) -> Room {
        let lane = if way == Way::Up { &self.up } else { &self.down };
        // The semaphores are never closed, so there is no error to tell of.
        let _transfer = match &lane.transfers {
            Some(transfers) => transfers.clone().acquire_owned().await.ok(),
            None => None,
        };
        let _buffers = match &lane.buffers {
            Some((buffers, all)) => {
                let kib = u32::try_from(bytes.div_ceil(KIB)).unwrap_or(u32::MAX).min(*all);
                buffers.clone().acquire_many_owned(kib).await.ok()
            }
            None => None,
        };
        Room { _transfer, _buffers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn each_way_has_room_of_its_own() {
        let limits = Limits::new(Some(1), None);
        let down = limits.room(Way::Down, 1).await;
        let _up = limits.room(Way::Up, 1).await;
        assert!(limits.room(Way::Down, 1).now_or_never().is_none());
        drop(down);
        assert!(limits.room(Way::Down, 1).now_or_never().is_some());
    }

    #[tokio::test]
    async fn who_needs_more_than_there_is_goes_alone() {
        let limits = Limits::new(None, Some(200 * KIB));
        let small = limits.room(Way::Up, 1).await;
        assert!(limits.room(Way::Up, 1 << 40).now_or_never().is_none());
        drop(small);
        let large = limits.room(Way::Up, 1 << 40).await;
        assert!(limits.room(Way::Up, 1).now_or_never().is_none());
        drop(large);
    }

    #[tokio::test]
    async fn no_limit_is_no_limit() {
        let limits = Limits::default();
        let rooms: Vec<_> = (0..1000).filter_map(|_| limits.room(Way::Up, u64::MAX).now_or_never()).collect();
        assert_eq!(rooms.len(), 1000);
    }
}

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
    transfers: Option<Pool>,
    /// In KiB.
    buffers: Option<Pool>,
}

#[derive(Debug, Clone)]
struct Pool {
    free: Arc<Semaphore>,
    all: u32,
}

impl Pool {
    fn of(all: u64) -> Self {
        let all = all.clamp(1, u64::from(u32::MAX >> 4)) as u32;
        Self { free: Arc::new(Semaphore::new(all as usize)), all }
    }

    /// Waits for so many at once, or for all that there are. The semaphore is never closed, so there is no error to tell of.
    async fn take(&self, count: u64) -> Option<OwnedSemaphorePermit> {
        let count = count.min(u64::from(self.all)) as u32;
        self.free.clone().acquire_many_owned(count).await.ok()
    }
}

/// The room that a transfer takes up until it is dropped; several at once where they are parts of one.
#[derive(Debug, Default)]
pub(crate) struct Room {
    transfers: Option<OwnedSemaphorePermit>,
    buffers: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// Gives back what goes beyond so many transfers and bytes.
    pub(crate) fn keep(&mut self, transfers: usize, bytes: u64) {
        fn keep(permit: &mut Option<OwnedSemaphorePermit>, count: u64) {
            if let Some(permit) = permit {
                let surplus = (permit.num_permits() as u64).saturating_sub(count);
                drop(permit.split(surplus as usize));
            }
        }
        keep(&mut self.transfers, transfers as u64);
        keep(&mut self.buffers, bytes.div_ceil(KIB));
    }
}

const KIB: u64 = 1 << 10;

impl Limits {
    /// At most so many transfers each way, and half of the bytes for each way; `None` is no limit.
    pub(crate) fn new(transfers: Option<usize>, bytes: Option<u64>) -> Self {
        let lane = || Lane {
            transfers: transfers.map(|count| Pool::of(count as u64)),
            buffers: bytes.map(|bytes| Pool::of(bytes / 2 / KIB)),
        };
        Self { up: lane(), down: lane() }
    }

    fn lane(&self, way: Way) -> &Lane {
        if way == Way::Up { &self.up } else { &self.down }
    }

    /// Waits for room for so many transfers that hold up to so many bytes together; what needs more than there ever is goes
    /// alone.
    pub(crate) async fn room(&self, way: Way, transfers: usize, bytes: u64) -> Room {
        let lane = self.lane(way);
        let transfers = match &lane.transfers {
            Some(pool) => pool.take(transfers as u64).await,
            None => None,
        };
        let buffers = match &lane.buffers {
            Some(pool) => pool.take(bytes.div_ceil(KIB)).await,
            None => None,
        };
        Room { transfers, buffers }
    }

    /// How many transfers there may ever be at once.
    pub(crate) fn most_transfers(&self, way: Way) -> usize {
        self.lane(way).transfers.as_ref().map_or(usize::MAX, |pool| pool.all as usize)
    }

    /// How many bytes they may ever hold together.
    pub(crate) fn most_bytes(&self, way: Way) -> u64 {
        self.lane(way).buffers.as_ref().map_or(u64::MAX, |pool| u64::from(pool.all) * KIB)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn each_way_has_room_of_its_own() {
        let limits = Limits::new(Some(1), None);
        let down = limits.room(Way::Down, 1, 1).await;
        let _up = limits.room(Way::Up, 1, 1).await;
        assert!(limits.room(Way::Down, 1, 1).now_or_never().is_none());
        drop(down);
        assert!(limits.room(Way::Down, 1, 1).now_or_never().is_some());
    }

    #[tokio::test]
    async fn who_needs_more_than_there_is_goes_alone() {
        let limits = Limits::new(None, Some(200 * KIB));
        let small = limits.room(Way::Up, 1, 1).await;
        assert!(limits.room(Way::Up, 1, 1 << 40).now_or_never().is_none());
        drop(small);
        let large = limits.room(Way::Up, 1, 1 << 40).await;
        assert!(limits.room(Way::Up, 1, 1).now_or_never().is_none());
        drop(large);
    }

    #[tokio::test]
    async fn what_is_not_kept_is_there_for_others() {
        let limits = Limits::new(Some(3), Some(20 * KIB));
        let mut room = limits.room(Way::Down, 3, 10 * KIB).await;
        assert!(limits.room(Way::Down, 1, 1).now_or_never().is_none());
        room.keep(2, 4 * KIB);
        assert!(limits.room(Way::Down, 1, 6 * KIB).now_or_never().is_some());
        assert!(limits.room(Way::Down, 2, 1).now_or_never().is_none());
        assert!(limits.room(Way::Down, 1, 7 * KIB).now_or_never().is_none());
        assert_eq!((limits.most_transfers(Way::Down), limits.most_bytes(Way::Down)), (3, 10 * KIB));
    }

    #[tokio::test]
    async fn no_limit_is_no_limit() {
        let limits = Limits::default();
        assert_eq!((limits.most_transfers(Way::Up), limits.most_bytes(Way::Up)), (usize::MAX, u64::MAX));
        let rooms: Vec<_> = (0..1000).filter_map(|_| limits.room(Way::Up, 1, u64::MAX).now_or_never()).collect();
        assert_eq!(rooms.len(), 1000);
    }
}

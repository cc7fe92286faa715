//! Whether a target is still waited for.

use std::sync::{Mutex, PoisonError};

/// Whether nobody waits for the target any more.
#[derive(Debug, Default)]
pub(in crate::transfer) struct Dropped(Mutex<bool>);

impl Dropped {
    /// From now on nothing becomes the target. Waits for what is becoming it just now: a rename.
    pub(in crate::transfer) fn set(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Does this, unless it is dropped already.
    pub(super) fn unless<T>(&self, job: impl FnOnce() -> T) -> Option<T> {
        let dropped = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!*dropped).then(job)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn nothing_becomes_the_target_once_it_is_said_to_be_dropped() {
        let (dropped, renamed) = (Arc::<Dropped>::default(), Arc::new(AtomicBool::new(false)));
        let (begun, begins) = std::sync::mpsc::channel();
        let (go_on, goes_on) = std::sync::mpsc::channel();
        let job = std::thread::spawn({
            let (dropped, renamed) = (dropped.clone(), renamed.clone());
            move || {
                dropped.unless(|| {
                    begun.send(()).unwrap();
                    goes_on.recv().unwrap();
                    renamed.store(true, Ordering::SeqCst);
                })
            }
        });
        begins.recv().unwrap();
        let setter = std::thread::spawn({
            let dropped = dropped.clone();
            move || {
                dropped.set();
                renamed.load(Ordering::SeqCst)
            }
        });
        // It would have ended by now.
        (0..100).for_each(|_| std::thread::yield_now());
        go_on.send(()).unwrap();
        assert!(setter.join().unwrap(), "it waits for what is becoming the target");
        assert!(job.join().unwrap().is_some());
        assert!(dropped.unless(|| ()).is_none());
    }
}

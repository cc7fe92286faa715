//! How much memory this process takes while something happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::operation::Trouble;

const MIB: u64 = 1 << 20;

/// Watches the resident memory from its making on. The servers of a default run are another process.
pub(crate) struct Watch {
    before: Option<u64>,
    stop: Arc<AtomicBool>,
    peak: Arc<AtomicU64>,
    watching: Option<JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn start() -> Self {
        let (stop, peak) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let before = resident();
        let watching = before.map(|_| {
            let (stop, peak) = (stop.clone(), peak.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    peak.fetch_max(resident().unwrap_or(0), Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(2));
                }
            })
        });
        Self { before, stop, peak, watching }
    }

    /// What the peak grew by; more than `limit` MiB is a failure.
    pub(crate) fn flat(mut self, limit: u64) -> Result<String, Trouble> {
        self.stop.store(true, Ordering::Relaxed);
        let Some(before) = self.before else { return Ok("memory is not known on this system".to_owned()) };
        if let Some(watching) = self.watching.take() {
            let _ = watching.join();
        }
        let grown = self.peak.load(Ordering::Relaxed).saturating_sub(before) / MIB;
        let text = format!("peak grew {grown} MiB over {}", before / MIB);
        if grown < limit { Ok(text) } else { Err(Trouble::Failed(format!("{text}, the limit is {limit}"))) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The second number of `/proc/self/statm`: resident pages, which are of 4 KiB where this is likely to run.
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split(' ').nth(1)?.parse::<u64>().ok().map(|pages| pages * 4096)
}

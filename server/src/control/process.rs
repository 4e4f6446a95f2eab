//! What the control plane sees of the process.
//!
//! Must not know: how it is asked for. Invariant: reading is all that it does here, of counters that reactors publish and
//! of what the system says of the process; all else it asks reactors for, and whoever can do it.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::reactor::{Address, Published};
use crate::shard::{Common, Counters};

/// What the control plane sees.
pub struct Process {
    /// What all reactors share.
    pub common: Arc<Common>,
    /// What each reactor publishes, in order.
    pub published: Vec<Published>,
    /// Where each reactor is asked, in the same order.
    pub addresses: Vec<Address>,
    /// When the process began.
    pub began: SystemTime,
    /// Files that it may have open.
    pub open_files_max: u64,
    /// Counts log lines that found no room.
    pub dropped_log_lines: fn() -> u64,
    /// After how long a drain begins, and over how long it is spread, if nothing else is said (ms).
    pub goodbye_ms: (u32, u32),
    /// Reads certificates and ticket keys again.
    pub reload: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Process")
    }
}

impl Process {
    /// Has every reactor look at what was ordered.
    pub(super) fn wake(&self) {
        self.addresses.iter().for_each(Address::wake);
    }

    /// What all reactors have counted, as of a second ago.
    pub(super) fn counted(&self) -> Counters {
        let mut total = Counters::default();
        for published in &self.published {
            // Copied first: adding is no work to do under a lock.
            let one = published.lock().clone();
            total.add(&one);
        }
        total
    }
}

/// Files that the process has open, if the system says so.
pub(super) fn open_files() -> Option<u64> {
    let listed = std::fs::read_dir("/proc/self/fd").ok()?;
    // The one that lists them is no longer open.
    Some(listed.count().saturating_sub(1) as u64)
}

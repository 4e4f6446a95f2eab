//! What the control plane sees of the process.
//!
//! Must not know: how it is asked for. Invariant: reading is all that it does here, of counters that reactors publish and
//! of what the system says of the process; all else it asks reactors for, and whoever can do it.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::health::Health;
use crate::reactor::{Address, Published};
use crate::shard::{Common, Counters, Pace};

/// What the control plane sees.
pub struct Process {
    /// What all reactors share.
    pub common: Arc<Common>,
    /// What each reactor publishes, in order.
    pub published: Vec<Published>,
    /// Where each reactor is asked, in the same order.
    pub addresses: Vec<Address>,
    /// How connections are secured at each door, in the order of their numbers: `plain` or `tls`.
    pub doors: Vec<&'static str>,
    /// How the control plane itself does.
    pub health: Health,
    /// When the process began.
    pub began: SystemTime,
    /// Files that it may have open.
    pub open_files_max: u64,
    /// A number of the flags in force: another one where they differ.
    pub config: String,
    /// When each of the certificates in force ends (seconds since 1970).
    pub certificates_end: Box<dyn Fn() -> Vec<i64> + Send + Sync>,
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

    /// How the loop of each reactor goes, in order, as of a second ago.
    pub(super) fn paces(&self) -> Vec<Pace> {
        let paces = self.published.iter().map(|published| published.lock().pace);
        paces.collect()
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

#[cfg(test)]
impl Process {
    /// One of so many reactors that do not run, and all doors that are told.
    pub(super) fn unserved(reactors: usize) -> Self {
        use crate::limits::{CERTIFICATES_TOLD, DOORS_TOLD, Limits};
        Self {
            common: Arc::new(Common::new(Limits::default(), reactors)),
            published: (0..reactors).map(|_| Published::default()).collect(),
            addresses: Vec::new(),
            doors: vec!["tls"; DOORS_TOLD + 1],
            health: Health::default(),
            began: SystemTime::UNIX_EPOCH,
            open_files_max: 1_024,
            config: "0".to_owned(),
            certificates_end: Box::new(|| vec![1; CERTIFICATES_TOLD + 1]),
            dropped_log_lines: || 0,
            goodbye_ms: (0, 0),
            reload: Box::new(|| {}),
        }
    }
}

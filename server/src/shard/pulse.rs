//! Whether all reactors of the process go on: each notes when it has finished an iteration.
//!
//! Must not know: what an iteration does. Invariant: noting costs one store, asking one load for each reactor.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits::PULSE_MS;

/// When each reactor last finished an iteration (ms, of a clock that all share to within some milliseconds).
#[derive(Debug)]
pub(super) struct Pulse {
    beats: Box<[AtomicU64]>,
}

impl Pulse {
    pub(super) fn new(reactors: usize) -> Self {
        Self {
            beats: (0..reactors).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// This reactor has finished an iteration.
    pub(super) fn beat(&self, reactor: usize, now: u64) {
        self.beats[reactor].store(now, Ordering::Relaxed);
    }

    /// When this reactor has last finished one.
    pub(super) fn last(&self, reactor: usize) -> u64 {
        self.beats[reactor].load(Ordering::Relaxed)
    }

    /// Whether each has finished one within [`PULSE_MS`].
    pub(super) fn is_whole(&self, now: u64) -> bool {
        self.beats
            .iter()
            .all(|beat| beat.load(Ordering::Relaxed) + PULSE_MS >= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_stands_still_is_noticed() {
        let pulse = Pulse::new(3);
        assert!(pulse.is_whole(PULSE_MS));
        for reactor in 0..3 {
            pulse.beat(reactor, 10_000);
        }
        assert!(pulse.is_whole(10_000 + PULSE_MS));
        for reactor in [0, 2] {
            pulse.beat(reactor, 20_000);
        }
        assert!(!pulse.is_whole(20_000));
        pulse.beat(1, 20_001);
        assert!(pulse.is_whole(20_000), "clocks differ by a little");
    }
}
